//! What each request needs, asked before it is carried out. Reads and lists that name several
//! things are answered for each by itself, where they are looked up.

use bytes::Bytes;
use model::filter::Filter;
use model::record::{Address, Space};
use protocol::{
    BindTarget, Binding, ConnId, DeadLetter, Declare, Destroy, Intent, QueueDeclaration, Refusal,
    Request, StreamRef,
};
use security::{Access, Action, Kind, Verdict};

use crate::desk::Desk;
use crate::guard::{EXCHANGE, Rights, named};
use crate::objects::space_named;
use crate::turn::Turn;

/// What is done, and to what: for the decision, and for the log of what was refused.
type Need<'a> = (Action, Kind, &'a [u8]);

impl Desk {
    /// Refuses a request that its client may not ask.
    pub(crate) fn authorise(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        request: &Request,
    ) -> Result<(), Refusal> {
        let guard = &turn.shared.guard;
        let access = self.seats.access(guard, conn);
        let result = match request {
            Request::Publish(publish) => self.may_publish(turn, &access, &publish.to),
            Request::Append(append) => self.may_stream(&access, Action::Publish, &append.stream),
            Request::Locate(stream, ..) => self.may_stream(&access, Action::Describe, stream),
            Request::PurgeStream(purge) => self.may_stream(&access, Action::Purge, &purge.stream),
            Request::Alter(alter) => self.may_stream(&access, Action::Alter, &alter.stream),
            Request::OpenCursor(open) => self
                .may_stream(&access, Action::Consume, &open.stream)
                .and_then(|()| may(&access, (Action::Consume, Kind::Group, &open.name)))
                .and_then(|()| may_bury(&access, open.policy.dead_letter.as_ref())),
            Request::Subscribe(subscribe) => {
                may_subscribe(&access, &subscribe.space, &subscribe.filter)
            }
            // Not denied is allowed: whoever is let in has a session.
            Request::Claim(claim) => {
                let need = (Action::Consume, Kind::Session, &claim.name[..]);
                let denied = access.verdict(need.0, need.1, need.2) == Verdict::Denied;
                if denied || !guard.has_let_in(conn) { Err(said(need)) } else { Ok(()) }
            }
            Request::Declare(Declare::Stream(stream)) => {
                may(&access, (Action::Create, Kind::Stream, &stream.name))
            }
            Request::Declare(Declare::Space(space)) => {
                may(&access, (Action::Create, Kind::Space, &space.name))
            }
            Request::Declare(Declare::Queue(queue)) => may_declare(&access, queue),
            Request::Destroy(Destroy::Stream(stream)) => {
                self.may_stream(&access, Action::Delete, stream)
            }
            Request::Destroy(Destroy::Space { name, .. }) => {
                may(&access, (Action::Delete, Kind::Space, name))
            }
            Request::Destroy(Destroy::Queue { name, .. }) => {
                may(&access, (Action::Delete, Kind::Queue, name))
            }
            Request::Bind(binding) | Request::Unbind(binding) => may_bind(&access, binding),
            Request::DescribeQueue(name) => may_see(&access, Kind::Queue, name),
            Request::DescribeSpace(name) => may_see(&access, Kind::Space, name),
            Request::Purge(name) => may(&access, (Action::Purge, Kind::Queue, name)),
            Request::Consume(consume) => {
                may(&access, (Action::Consume, Kind::Queue, &consume.queue))
            }
            Request::Pull(pull) => may(&access, (Action::Consume, Kind::Queue, &pull.queue)),
            Request::Propose(propose) => {
                let action = match propose.intent {
                    Intent::Use => Action::Consume,
                    Intent::Look => Action::Describe,
                    Intent::Remove => Action::Delete,
                };
                may(&access, (action, Kind::Group, &propose.key))
            }
            // A read and a list are answered item by item; the others touch only what is the
            // connection's own.
            Request::Authenticate(_)
            | Request::Read(_)
            | Request::DescribeStreams { .. }
            | Request::Unsubscribe(_)
            | Request::Release(_)
            | Request::Remember(_)
            | Request::Settle(_)
            | Request::Cancel(_)
            | Request::Window { .. }
            | Request::PullCursor(_)
            | Request::CloseCursor(_)
            | Request::NewProducer => Ok(()),
        };
        result.map_err(|what| {
            guard.deny(conn, turn.now.unix_ms, what);
            Refusal::NotAllowed
        })?;
        turn.access = Some(access);
        Ok(())
    }

    fn may_publish(
        &self,
        turn: &Turn<'_>,
        access: &Access,
        address: &Address,
    ) -> Result<(), String> {
        let Some((kind, name)) = named(address) else { return Ok(()) };
        if access.may(Action::Publish, kind, name) {
            return Ok(());
        }
        // Whoever received a request may answer it.
        match address {
            Address::Subject(_, subject) if turn.shared.aliases.resolve(subject).is_some() => {
                Ok(())
            }
            Address::Subject(..) | Address::Queue(_) => Err(said((Action::Publish, kind, name))),
        }
    }

    fn may_stream(
        &self,
        access: &Access,
        action: Action,
        stream: &StreamRef,
    ) -> Result<(), String> {
        if access.may_all(action, Kind::Stream) {
            return Ok(());
        }
        match self.broker.lock().name_of(stream) {
            Some(name) if !access.may_stream(action, name) => {
                Err(said((action, Kind::Stream, name)))
            }
            // One that is not there is not found, whoever asks.
            Some(_) | None => Ok(()),
        }
    }
}

/// What was refused, in the words of grants.
fn said((action, kind, name): Need<'_>) -> String {
    format!("{} {} {}", action.as_str(), kind.as_str(), String::from_utf8_lossy(name))
}

fn may(access: &Access, need: Need<'_>) -> Result<(), String> {
    let (action, kind, name) = need;
    if access.may(action, kind, name) { Ok(()) } else { Err(said(need)) }
}

/// Whoever may do something with it may look at it.
fn may_see(access: &Access, kind: Kind, name: &Bytes) -> Result<(), String> {
    let any = [Action::Describe, Action::Consume, Action::Publish, Action::Create];
    if any.into_iter().any(|action| access.may(action, kind, name)) {
        Ok(())
    } else {
        Err(said((Action::Describe, kind, name)))
    }
}

fn may_declare(access: &Access, queue: &QueueDeclaration) -> Result<(), String> {
    may(access, (Action::Create, Kind::Queue, &queue.name))?;
    may_bury(access, queue.options.as_ref().and_then(|options| options.dead_letter.as_ref()))
}

/// What has dead letters publishes them for its maker.
fn may_bury(access: &Access, dead_letter: Option<&DeadLetter>) -> Result<(), String> {
    match dead_letter {
        None => Ok(()),
        Some(DeadLetter::To(address)) => match named(address) {
            Some((kind, name)) => may(access, (Action::Publish, kind, name)),
            None => Ok(()),
        },
        Some(DeadLetter::Within { space, .. }) => may_use(access, Action::Publish, space),
        Some(DeadLetter::ByName) if access.may_all(Action::Publish, Kind::Queue) => Ok(()),
        Some(DeadLetter::ByName) => Err(said((Action::Publish, Kind::Queue, b"**"))),
    }
}

/// A binding takes messages out of its source, as a subscription does, and puts them into its
/// target, as a publish does.
fn may_bind(access: &Access, binding: &Binding) -> Result<(), String> {
    match &binding.target {
        BindTarget::Queue(name) => may(access, (Action::Publish, Kind::Queue, name))?,
        BindTarget::Space(name) => may_use(access, Action::Publish, &space_named(name))?,
    }
    may_subscribe(access, &binding.source, &binding.filter)
}

fn may_subscribe(access: &Access, space: &Space, filter: &Filter) -> Result<(), String> {
    if access.may_subscribe(space, filter) {
        return Ok(());
    }
    let filter = filter.to_string();
    Err(match space.name().and_then(|name| name.strip_prefix(EXCHANGE)) {
        Some(exchange) => said((Action::Consume, Kind::Space, exchange.as_bytes())),
        None => said((Action::Consume, Kind::Subject, filter.as_bytes())),
    })
}

/// The whole of a space: the shared one is all subjects.
fn may_use(access: &Access, action: Action, space: &Space) -> Result<(), String> {
    match space.name() {
        Some(name) => {
            let name = name.strip_prefix(EXCHANGE).unwrap_or(name);
            may(access, (action, Kind::Space, name.as_bytes()))
        }
        None if access.may_all(action, Kind::Subject) => Ok(()),
        None => Err(said((action, Kind::Subject, b"**"))),
    }
}
