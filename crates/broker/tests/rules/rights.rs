//! Who may do what (ADR 19): a matrix over all verbs, and what a change does to those who are there.

use std::sync::Arc;

use broker::{Attempt, Authenticator, Change, ChangeError, Outcome};
use bytes::Bytes;
use model::filter::Filter;
use model::record::{Address, Assurance, Space};
use protocol::{
    Alter, Append, Authenticate, BindTarget, Binding, Claim, ConnId, Consume, Credentials,
    CursorPolicy, Declare, Destroy, Durability, Expiry, Notice, OpenCursor, Position, Publish,
    Pull, PurgeStream, QueueDeclaration, Read, ReadItem, Refusal, Reply, Request, Retention,
    Secret, SpaceDeclaration, StreamDeclaration, StreamRef, Wait, Which,
};
use security::{Credential, Grant, Identity, Role, User};
use storage::memory::Memory;

use crate::queueing::queue;
use crate::world::{Setting, World, conn, memory, message, subscription};

/// Lets in the users of the policy by their passwords, which are in plain here.
struct Door;

impl Authenticator for Door {
    fn authenticate(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>) {
        let Attempt { asked, policy, .. } = attempt;
        let Credentials::Password { user, password } = asked.credentials else {
            return done(Outcome::Refused);
        };
        let name = std::str::from_utf8(&user).unwrap();
        let proven = policy.user(name).is_some_and(|user| {
            user.credentials.iter().any(|credential| credential.is_token(&password.0))
        });
        done(if proven {
            Outcome::In(Identity::builtin(name), Bytes::new())
        } else {
            Outcome::Refused
        });
    }

    fn gone(&self, _: ConnId) {}
}

const ADA: u32 = 1;

fn world() -> World {
    world_on(Arc::new(memory()))
}

fn world_on(engine: Arc<Memory>) -> World {
    World::with(engine, Setting { authenticator: Some(Arc::new(Door)), ..Setting::default() })
}

fn user(name: &str, grants: &[&str]) -> User {
    let grants = grants.iter().map(|text| text.parse::<Grant>().expect(text)).collect();
    User { grants, credentials: vec![Credential::token(b"secret")], ..User::new(name) }
}

fn put(world: &World, name: &str, grants: &[&str]) {
    world.broker.change_policy(Change::PutUser(user(name, grants)), "root", 1).unwrap();
}

fn log_in(world: &mut World, conn: ConnId, name: &'static str, password: &'static str) -> Reply {
    let credentials = Credentials::Password {
        user: Bytes::from_static(name.as_bytes()),
        password: Secret(Bytes::from_static(password.as_bytes())),
    };
    let client = Bytes::from_static(b"pump-7");
    world.ask(conn, Request::Authenticate(Authenticate { credentials, client })).unwrap()
}

/// Ada, let in with these grants.
fn ada(grants: &[&str]) -> (World, ConnId) {
    let mut world = world();
    prepare(&mut world);
    put(&world, "ada", grants);
    let conn = conn(ADA);
    let reply = log_in(&mut world, conn, "ada", "secret");
    assert!(matches!(reply, Reply::Authenticated(_)), "{reply:?}");
    (world, conn)
}

fn name(name: &'static str) -> StreamRef {
    StreamRef::Name(Bytes::from_static(name.as_bytes()))
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn stream(name: &'static str) -> StreamDeclaration {
    StreamDeclaration {
        name: bytes(name),
        filters: Vec::new(),
        partitions: 1,
        retention: Retention::default(),
        durability: Durability::default(),
        dry_run: false,
    }
}

fn space(name: &'static str) -> SpaceDeclaration {
    SpaceDeclaration {
        name: bytes(name),
        kind: bytes("topic"),
        durable: false,
        auto_delete: false,
        internal: false,
        arguments: Bytes::new(),
        builtin: false,
    }
}

fn binding(source: Space, to: BindTarget) -> Binding {
    Binding {
        source,
        target: to,
        filter: Filter::mqtt(&bytes("s/x")).unwrap(),
        headers: None,
        identity: bytes("b"),
        durable: false,
    }
}

/// What the requests of the matrix are about, made by someone who may do everything.
fn prepare(world: &mut World) {
    let root = conn(8);
    let makes = [
        Declare::Stream(stream("st.a")),
        Declare::Space(space("sp.a")),
        Declare::Space(space("sp.b")),
        Declare::Queue(queue("qu.a", false)),
    ];
    for declare in makes {
        let reply = world.ask(root, Request::Declare(declare));
        assert!(matches!(reply, Some(Reply::Declared(_))), "{reply:?}");
    }
}

fn to(address: Address) -> Request {
    let publish = message("unused", "x", Assurance::AtMostOnce);
    Request::Publish(Publish { to: address, ..publish })
}

fn exchange(name: &str) -> Space {
    Space::named(&format!("exchange/{name}"))
}

fn subject(text: &'static str) -> model::subject::Subject {
    model::render::mqtt::parse(&bytes(text)).unwrap()
}

type Make = fn() -> Request;

/// Every verb: what it needs, and the request.
fn verbs() -> Vec<(&'static [&'static str], Make)> {
    vec![
        (&["publish subject s/x"], || to(Address::shared(subject("s/x")))),
        (&["publish subject $SYS/x"], || {
            to(Address::Subject(Space::named("mqtt"), subject("$SYS/x")))
        }),
        (&["publish queue qu.a"], || to(Address::Queue(bytes("qu.a")))),
        (&["publish space sp.a"], || to(Address::Subject(exchange("sp.a"), subject("s/x")))),
        (&["consume subject s/x"], || Request::Subscribe(subscription(1, "s/x", false))),
        (&["consume subject s/**"], || Request::Subscribe(subscription(1, "s/#", false))),
        (&["consume subject s/*"], || Request::Subscribe(subscription(1, "s/+", false))),
        (&["publish stream st.a"], || {
            Request::Append(Append {
                stream: name("st.a"),
                partition: 0,
                batch: Bytes::new(),
                wait: Wait::Stored,
            })
        }),
        (&["consume stream st.a"], || {
            let item = ReadItem { stream: name("st.a"), partition: 0, offset: 0, max_bytes: 10 };
            Request::Read(Read { items: vec![item], min_bytes: 0, max_bytes: 10, wait_ms: 0 })
        }),
        (&["describe stream st.a"], || Request::Locate(name("st.a"), 0, Position::Latest)),
        (&["describe stream st.a"], || Request::DescribeStreams {
            streams: Some(vec![name("st.a")]),
            create: false,
        }),
        (&["create stream st.b"], || Request::Declare(Declare::Stream(stream("st.b")))),
        (&["alter stream st.a"], || {
            let retention = Retention::default();
            Request::Alter(Alter { stream: name("st.a"), retention, dry_run: false })
        }),
        (&["delete stream st.a"], || Request::Destroy(Destroy::Stream(name("st.a")))),
        (&["purge stream st.a"], || {
            let (stream, which) = (name("st.a"), Which::Below(None));
            Request::PurgeStream(PurgeStream { stream, partition: 0, which })
        }),
        (&["create queue qu.b"], || Request::Declare(Declare::Queue(queue("qu.b", false)))),
        (&["describe queue qu.a"], || Request::DescribeQueue(bytes("qu.a"))),
        (&["consume queue qu.a"], || {
            Request::Consume(Consume {
                number: 1,
                queue: bytes("qu.a"),
                no_ack: true,
                exclusive: false,
                priority: 0,
                windows: Vec::new(),
            })
        }),
        (&["consume queue qu.a"], || Request::Pull(Pull { queue: bytes("qu.a"), no_ack: true })),
        (&["purge queue qu.a"], || Request::Purge(bytes("qu.a"))),
        (&["delete queue qu.a"], || {
            let (if_unused, if_empty) = (false, false);
            Request::Destroy(Destroy::Queue { name: bytes("qu.a"), if_unused, if_empty })
        }),
        (&["create space sp.c"], || Request::Declare(Declare::Space(space("sp.c")))),
        (&["describe space sp.a"], || Request::DescribeSpace(bytes("sp.a"))),
        (&["delete space sp.a"], || {
            Request::Destroy(Destroy::Space { name: bytes("sp.a"), if_unused: false })
        }),
        (&["publish queue qu.a", "consume space sp.a"], || {
            Request::Bind(binding(exchange("sp.a"), BindTarget::Queue(bytes("qu.a"))))
        }),
        (&["publish queue qu.a", "consume subject s/x"], || {
            Request::Bind(binding(Space::SHARED, BindTarget::Queue(bytes("qu.a"))))
        }),
        (&["publish space sp.b", "consume space sp.a"], || {
            Request::Bind(binding(exchange("sp.a"), BindTarget::Space(bytes("sp.b"))))
        }),
        (&["publish queue qu.a", "consume space sp.a"], || {
            Request::Unbind(binding(exchange("sp.a"), BindTarget::Queue(bytes("qu.a"))))
        }),
        (&["consume stream st.a", "consume group gr.a"], || {
            Request::OpenCursor(OpenCursor {
                number: 1,
                name: bytes("gr.a"),
                stream: name("st.a"),
                partition: 0,
                start: Position::Earliest,
                policy: CursorPolicy {
                    ack_wait_ms: None,
                    max_deliveries: None,
                    max_pending: 1,
                    filter: None,
                    dead_letter: None,
                },
            })
        }),
    ]
}

fn is_not_allowed(reply: Option<&Reply>) -> bool {
    match reply {
        Some(Reply::Refused(refusal)) => *refusal == Refusal::NotAllowed,
        Some(Reply::Read(outcomes)) => outcomes[0].refused == Some(Refusal::NotAllowed),
        Some(Reply::Streams(all)) => all[0].refused == Some(Refusal::NotAllowed),
        _ => false,
    }
}

/// The pattern of another name of the kind.
fn elsewhere(need: &str) -> String {
    let (head, _) = need.rsplit_once(' ').unwrap();
    format!("{head} elsewhere")
}

#[test]
fn every_verb_is_refused_without_its_right_and_allowed_with_it() {
    let mut cells = 0;
    for (needs, make) in verbs() {
        let allow: Vec<String> = needs.iter().map(|need| format!("allow {need}")).collect();
        let all = |need: &str| {
            let mut words = need.split(' ');
            let (action, kind) = (words.next().unwrap(), words.next().unwrap());
            format!("allow {action} {kind} **")
        };
        let wide: Vec<String> = needs.iter().map(|need| all(need)).collect();
        let mut rows: Vec<(Vec<String>, bool)> = vec![
            (Vec::new(), false),
            (allow.clone(), true),
            (wide.clone(), true),
            (needs.iter().map(|need| format!("allow {}", elsewhere(need))).collect(), false),
        ];
        for (at, need) in needs.iter().enumerate() {
            // Each right by itself is not enough where two are needed, and a deny of one is.
            let mut without = allow.clone();
            without.remove(at);
            rows.push((without, false));
            for base in [&allow, &wide] {
                let mut denied = base.clone();
                denied.push(format!("deny {need}"));
                rows.push((denied.clone(), false));
                denied.rotate_right(1);
                rows.push((denied, false));
                let mut beside = base.clone();
                beside.push(format!("deny {}", elsewhere(need)));
                rows.push((beside, true));
            }
        }
        for (grants, allowed) in rows {
            let texts: Vec<&str> = grants.iter().map(String::as_str).collect();
            let (mut world, conn) = ada(&texts);
            let reply = world.ask(conn, make());
            assert!(reply.is_some(), "{needs:?} is answered");
            assert_eq!(
                is_not_allowed(reply.as_ref()),
                !allowed,
                "{needs:?} with {grants:?}: {reply:?}"
            );
            if !allowed {
                let events = world.broker.audit(0, 100);
                let told = events.iter().any(|event| event.user == "ada");
                let listed = matches!(reply, Some(Reply::Read(_) | Reply::Streams(_)));
                assert!(told || listed, "{needs:?}: the log has it");
            }
            cells += 1;
        }
    }
    assert!(cells > 300, "{cells} cells");
}

#[test]
fn whoever_did_not_log_in_may_do_what_the_role_anonymous_says() {
    let mut world = world();
    let guest = conn(3);
    let publish = || Request::Publish(message("s/x", "1", Assurance::AtMostOnce));
    assert!(!is_not_allowed(world.ask(guest, publish()).as_ref()));
    let grants = vec!["allow publish subject open/**".parse().unwrap()];
    let role = Role { name: "anonymous".to_owned(), grants };
    world.broker.change_policy(Change::PutRole(role), "root", 1).unwrap();
    world.settle_down();
    assert!(is_not_allowed(world.ask(guest, publish()).as_ref()));
    let open = Request::Publish(message("open/x", "1", Assurance::AtMostOnce));
    assert!(!is_not_allowed(world.ask(guest, open).as_ref()));
}

#[test]
fn a_wrong_password_lets_nobody_in() {
    let mut world = world();
    put(&world, "ada", &["allow publish subject **"]);
    for (name, password) in [("ada", "wrong"), ("bob", "secret")] {
        let reply = log_in(&mut world, conn(1), name, password);
        assert!(matches!(reply, Reply::Refused(Refusal::NotAllowed)), "{reply:?}");
    }
}

#[test]
fn a_subscription_that_lost_its_right_gets_nothing_more_and_goes_on_when_it_is_back() {
    let (mut world, ada) = ada(&["allow consume subject s/**"]);
    world.subscribe(ada, 1, "s/#", false);
    let send = |world: &mut World, body: &str| {
        world.publish(conn(8), "s/x", body, Assurance::AtMostOnce);
    };
    send(&mut world, "1");
    put(&world, "ada", &["allow consume subject s/**", "deny consume subject s/x"]);
    world.settle_down();
    send(&mut world, "2");
    put(&world, "ada", &["allow consume subject s/**"]);
    world.settle_down();
    send(&mut world, "3");
    assert_eq!(world.take(ada), ["1", "3"]);
}

#[test]
fn a_stored_message_is_not_delivered_to_a_session_whose_owner_lost_the_right() {
    let (mut world, ada) = ada(&["allow consume subject s/**"]);
    world.claim(ada, "ada", true, 10);
    world.subscribe(ada, 1, "s/#", true);
    for body in ["1", "2"] {
        put(&world, "ada", &["allow consume subject s/**", "deny consume subject s/secret"]);
        world.settle_down();
        world.publish(conn(8), "s/secret", "no", Assurance::AtLeastOnce);
        world.publish(conn(8), "s/x", body, Assurance::AtLeastOnce);
    }
    assert_eq!(world.take(ada), ["1", "2"]);
    world.gone(ada);
    world.publish(conn(8), "s/secret", "no", Assurance::AtLeastOnce);
    world.publish(conn(8), "s/x", "3", Assurance::AtLeastOnce);
    let again = conn(5);
    log_in(&mut world, again, "ada", "secret");
    world.claim(again, "ada", false, 10);
    let got = world.take(again);
    assert!(got.contains(&"3".to_owned()) && !got.contains(&"no".to_owned()), "{got:?}");
}

#[test]
fn last_values_that_may_not_be_received_are_left_out() {
    let (mut world, ada) = ada(&["allow consume subject s/**", "deny consume subject s/secret"]);
    for name in ["s/secret", "s/x"] {
        let mut publish = message(name, name, Assurance::AtMostOnce);
        publish.record.retain = true;
        world.ask(conn(8), Request::Publish(publish));
    }
    world.subscribe(ada, 1, "s/#", false);
    assert_eq!(world.take(ada), ["s/x"]);
}

#[test]
fn a_consumer_that_lost_its_right_ends_and_is_told() {
    let (mut world, ada) = ada(&["allow consume queue qu.a"]);
    let consume = Consume {
        number: 7,
        queue: bytes("qu.a"),
        no_ack: true,
        exclusive: false,
        priority: 0,
        windows: Vec::new(),
    };
    assert!(matches!(world.ask(ada, Request::Consume(consume)), Some(Reply::Subscribed)));
    put(&world, "ada", &[]);
    world.settle_down();
    assert!(world.got.notices.contains(&(ada, Notice::ConsumerGone(7))));
    world.ask(conn(8), to(Address::Queue(bytes("qu.a"))));
    assert!(world.take(ada).is_empty());
}

#[test]
fn a_user_that_is_removed_is_sent_away_and_may_do_nothing_meanwhile() {
    let (mut world, ada) = ada(&["allow publish subject **"]);
    let publish = || Request::Publish(message("s/x", "1", Assurance::AtMostOnce));
    assert!(!is_not_allowed(world.ask(ada, publish()).as_ref()));
    let remove =
        |world: &World| world.broker.change_policy(Change::RemoveUser("ada".to_owned()), "root", 1);
    remove(&world).unwrap();
    assert!(is_not_allowed(world.ask(ada, publish()).as_ref()));
    world.settle_down();
    assert!(world.got.notices.contains(&(ada, Notice::Expelled)));
    assert_eq!(remove(&world), Err(ChangeError::NotFound("user", "ada".to_owned())));
}

#[test]
fn users_and_roles_outlive_a_restart() {
    let engine = Arc::new(memory());
    let world = world_on(engine.clone());
    put(&world, "ada", &["allow publish subject s/${client}"]);
    let role = Role { name: "r".to_owned(), grants: Vec::new() };
    world.broker.change_policy(Change::PutRole(role.clone()), "root", 1).unwrap();
    let mut world = world_on(engine);
    assert_eq!(world.broker.policy().role("r").as_deref(), Some(&role));
    let ada = conn(1);
    assert!(matches!(log_in(&mut world, ada, "ada", "secret"), Reply::Authenticated(_)));
    let send = |world: &mut World, to: &str| world.publish(ada, to, "x", Assurance::AtMostOnce);
    assert!(matches!(send(&mut world, "s/pump-7"), Reply::Published(_)));
    assert!(is_not_allowed(Some(&send(&mut world, "s/pump-8"))));
}

#[test]
fn lists_hold_what_may_be_seen() {
    let (mut world, ada) = ada(&["allow describe stream st.**"]);
    world.ask(conn(8), Request::Declare(Declare::Stream(stream("other"))));
    let all = Request::DescribeStreams { streams: None, create: false };
    let Some(Reply::Streams(streams)) = world.ask(ada, all) else { panic!("a list") };
    let names: Vec<_> = streams.iter().map(|stream| &stream.name[..]).collect();
    assert_eq!(names, [b"st.a"]);
}

#[test]
fn nobody_is_served_where_a_login_is_awaited() {
    let mut world = world();
    put(&world, "ada", &["allow publish subject **"]);
    let conn = conn(1);
    world.awaits_login(conn);
    let publish = || Request::Publish(message("s/x", "1", Assurance::AtMostOnce));
    let claim = || {
        let (name, expiry) = (bytes("c"), Expiry::After(0));
        Request::Claim(Claim { name, clean: true, expiry, window: 1 })
    };
    assert!(is_not_allowed(world.ask(conn, publish()).as_ref()));
    assert!(is_not_allowed(world.ask(conn, claim()).as_ref()), "not even a session");
    log_in(&mut world, conn, "ada", "secret");
    assert!(!is_not_allowed(world.ask(conn, publish()).as_ref()));
    assert!(!is_not_allowed(world.ask(conn, claim()).as_ref()));
}

#[test]
fn whoever_has_gone_before_the_answer_is_not_let_in() {
    let mut world = world();
    put(&world, "ada", &["deny consume subject secret"]);
    let conn = conn(1);
    let credentials =
        Credentials::Password { user: bytes("ada"), password: Secret(bytes("secret")) };
    let asked = Authenticate { credentials, client: Bytes::new() };
    let token = world.start(conn, Request::Authenticate(asked));
    world.gone(conn);
    assert!(!world.got.replies.contains_key(&token));
    // The next one in its place is nobody.
    let subscribe = Request::Subscribe(subscription(1, "secret", false));
    assert!(matches!(world.ask(conn, subscribe), Some(Reply::Subscribed)));
}

#[test]
fn the_log_keeps_little_of_what_a_client_says() {
    let (mut world, ada) = ada(&[]);
    let long: &'static str = "x".repeat(60_000).leak();
    world.publish(ada, long, "1", Assurance::AtMostOnce);
    let events = world.broker.audit(0, 100);
    let event = events.iter().find(|event| event.what.starts_with("publish")).unwrap();
    assert_eq!(event.what.len(), 256);
}

#[test]
fn a_queue_of_another_declaration_is_no_way_around() {
    let (mut world, ada) = ada(&["allow create queue qu.**"]);
    let options = protocol::QueueOptions {
        dead_letter: Some(protocol::DeadLetter::To(Address::shared(subject("s/x")))),
        ..protocol::QueueOptions::default()
    };
    let declaration = QueueDeclaration { options: Some(Box::new(options)), ..queue("qu.b", false) };
    let reply = world.ask(ada, Request::Declare(Declare::Queue(declaration)));
    assert!(is_not_allowed(reply.as_ref()), "dead letters would be published for it");
}
