//! The life of a connection: CONNECT, login, the claim of its session, packets, the end.
//!
//! ```text
//! Fresh --CONNECT--> Claiming --Authenticated, Claimed--> Open --> Ended
//!   '----- refused, malformed, too late ------------^
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mqtt_codec::connect::level_of;
use mqtt_codec::{
    ConnAck, Connect, Limits, Malformed, Packet, PacketType, Properties, ReasonCode, Text, Version,
    decode, decode_connect,
};
use protocol::{
    Authenticate, Claim, Close, Credentials, Expiry, Input, Node, Notice, Now, Outbox, Peer,
    Refusal, Reply, Request, Secret,
};

use crate::inbound::{RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM};
use crate::open::{Open, Terms, expiry_of};
use crate::outbound::WINDOW_MAX;
use crate::refusal::Cause;
use crate::turn::{Asked, Ending, Link, Turn};
use crate::will::Will;

/// How long a client may take from its first byte, or from none, to a session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// What a packet may be longer than the largest payload: topic and properties.
const HEAD_BYTES_MAX: usize = 64 * 1024 + 4096;

/// One MQTT connection, from its first byte to its last.
#[derive(Debug)]
pub struct Session {
    node: Arc<Node>,
    seed: u64,
    /// Nobody is served without having been let in.
    login: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing but a CONNECT is accepted, and that soon.
    Fresh {
        deadline: Instant,
    },
    /// The session is asked for; an earlier owner may have to let go first.
    Claiming(Box<Claiming>),
    Open(Box<Open>),
    Ended,
}

#[derive(Debug)]
struct Claiming {
    deadline: Instant,
    terms: Terms,
    clean: bool,
    /// The client identifier that the client did not choose.
    assigned: Option<Text>,
    /// What is left to do.
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// To be let in, and then to claim the session of this name.
    Login {
        name: Bytes,
        password: bool,
    },
    Claim,
}

impl Session {
    /// A connection that has said nothing yet.
    pub fn new(now: Now, peer: &Peer) -> Self {
        Self {
            node: Arc::clone(&peer.node),
            seed: peer.seed,
            login: peer.login,
            state: State::Fresh { deadline: now.instant + CONNECT_TIMEOUT },
        }
    }

    /// The largest packet that is accepted, as MQTT 5 clients are told.
    fn packet_bytes_max(&self) -> u32 {
        let bytes = self.node.limits.message_bytes.saturating_add(HEAD_BYTES_MAX);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    fn wire_limits(&self) -> Limits {
        Limits {
            packet_bytes_max: self.packet_bytes_max(),
            user_properties_max: u16::try_from(self.node.limits.headers).unwrap_or(u16::MAX),
            ..Limits::default()
        }
    }

    fn input(&mut self, input: Input<'_>, turn: &mut Turn<'_>) -> Result<(), Ending> {
        match input {
            Input::Opened => Ok(()),
            Input::Bytes(buffer) => self.bytes(buffer, turn),
            Input::Reply(token, reply) => match &mut self.state {
                State::Claiming(_) => self.progressed(reply, turn),
                State::Open(open) => open.reply(token, &reply, turn),
                State::Fresh { .. } | State::Ended => Ok(()),
            },
            Input::Deliveries(deliveries) => {
                if let State::Open(open) = &mut self.state {
                    open.deliver(deliveries, &self.node.limits, turn);
                }
                Ok(())
            }
            Input::Notice(notice) => self.notice(&notice, turn),
            Input::Timeout => self.timeout(turn),
            Input::End => {
                self.end(turn);
                Ok(())
            }
        }
    }

    fn bytes(&mut self, buffer: &mut BytesMut, turn: &mut Turn<'_>) -> Result<(), Ending> {
        let wire = self.wire_limits();
        if let State::Fresh { deadline } = self.state {
            let level = level_of(buffer);
            match decode_connect(buffer, &wire) {
                Ok(None) => return Ok(()),
                Ok(Some(connect)) => self.connect(&connect, deadline, turn)?,
                Err(malformed) => return Err(refuse_malformed(malformed, level, turn)),
            }
        }
        if let State::Open(open) = &mut self.state {
            let version = open.link().version;
            while let Some(packet) = decode(buffer, version, &wire)? {
                open.packet(packet, &self.node.limits, turn)?;
            }
        }
        Ok(())
    }

    /// Takes in the CONNECT: says no at once, or asks for the session.
    fn connect(
        &mut self,
        connect: &Connect,
        deadline: Instant,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        let none = Properties::default();
        let own = connect.properties.as_deref().unwrap_or(&none);
        let version = connect.version;
        let link = Link {
            version,
            packet_bytes_max: own.maximum_packet_size.map_or(u32::MAX, |max| max.get()),
        };
        if own.authentication_method.is_some() {
            let why = "no authentication method is supported"; // §4.12
            return Err(refuse(link, ReasonCode::BadAuthenticationMethod, why, turn));
        }
        let must_name = match version {
            Version::V31 => true,
            Version::V311 => !connect.clean_start, // [MQTT311-3.1.3-8]
            Version::V5 => false,
        };
        if connect.client_id.is_empty() && must_name {
            let why = "no client identifier";
            return Err(refuse(link, ReasonCode::ClientIdentifierNotValid, why, turn));
        }
        let will = match connect.will.as_deref().map(Will::new).transpose() {
            Ok(will) => will.map(Box::new),
            Err(_) => {
                let why = "the will's topic is not accepted";
                return Err(refuse(link, ReasonCode::TopicNameInvalid, why, turn));
            }
        };
        if will.as_ref().is_some_and(|will| will.is_reserved()) {
            let why = "the will's topic is reserved";
            return Err(refuse(link, ReasonCode::NotAuthorized, why, turn));
        }
        let assigned = connect.client_id.is_empty().then(|| self.assigned_id());
        let name = assigned.clone().unwrap_or_else(|| connect.client_id.detached()).into_bytes();
        let expiry = match version {
            Version::V5 => expiry_of(own.session_expiry_secs.unwrap_or(0)),
            // [MQTT311-3.1.2-4] [MQTT311-3.1.2-6]
            Version::V31 | Version::V311 if connect.clean_start => Expiry::After(0),
            Version::V31 | Version::V311 => Expiry::Never,
        };
        let window = own.receive_maximum.map_or(WINDOW_MAX, |max| max.get().min(WINDOW_MAX));
        let keep_alive_secs = connect.keep_alive_secs;
        let terms = Terms { link, keep_alive_secs, expiry, will, window };
        let clean = connect.clean_start;
        let credentials = credentials_of(connect);
        let password = !credentials.is_none();
        let mut claiming = Claiming { deadline, terms, clean, assigned, step: Step::Claim };
        if password || self.login {
            claiming.step = Step::Login { name: name.clone(), password };
            let request = Request::Authenticate(Authenticate { credentials, client: name });
            turn.out.ask(Asked::Claim.token(0), request);
        } else {
            claiming.claim(name, turn);
        }
        self.state = State::Claiming(Box::new(claiming));
        Ok(())
    }

    /// An answer on the way to the session.
    fn progressed(&mut self, reply: Reply, turn: &mut Turn<'_>) -> Result<(), Ending> {
        let State::Claiming(claiming) = &mut self.state else { return Ok(()) };
        let Step::Login { name, password } = &mut claiming.step else {
            return self.claimed(reply, turn);
        };
        if let Reply::Authenticated(_) = reply {
            let name = std::mem::take(name);
            claiming.claim(name, turn);
            return Ok(());
        }
        let (code, why) = if !matches!(reply, Reply::Refused(Refusal::NotAllowed)) {
            (ReasonCode::ServerUnavailable, "nobody can be let in at present")
        } else if *password {
            (ReasonCode::BadUserNameOrPassword, "the name or the password is wrong")
        } else {
            (ReasonCode::NotAuthorized, "nobody is let in without a name and a password")
        };
        Err(refuse(claiming.terms.link, code, why, turn))
    }

    /// A name that nobody else has [MQTT-3.1.3-6].
    fn assigned_id(&self) -> Text {
        Text::new(Bytes::from(format!("auto-{:016x}", self.seed)))
            .expect("a short ASCII text is a valid field")
    }

    /// The session is ours, or is not to be had.
    fn claimed(&mut self, reply: Reply, turn: &mut Turn<'_>) -> Result<(), Ending> {
        let State::Claiming(claiming) = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(());
        };
        let Claiming { terms, clean, assigned, .. } = *claiming;
        let link = terms.link;
        let Reply::Claimed(claimed) = reply else {
            let cause = if let Reply::Refused(no) = &reply { Cause::of(no) } else { Cause::Other };
            let code = match cause {
                Cause::Right => ReasonCode::NotAuthorized,
                Cause::Limit => ReasonCode::QuotaExceeded,
                Cause::Name => ReasonCode::ClientIdentifierNotValid,
                Cause::Storage | Cause::Nobody | Cause::Other => ReasonCode::ServerUnavailable,
            };
            return Err(refuse(link, code, "the session is not to be had", turn));
        };
        let present = claimed.present && !clean;
        let properties = link.version.is_v5().then(|| Box::new(self.announce(assigned)));
        let connack = ConnAck { session_present: present, code: ReasonCode::Success, properties };
        link.send(&Packet::ConnAck(connack), turn);
        let mut open = Box::new(Open::new(terms, turn.now.instant));
        if present {
            open.resume(*claimed, &self.node.limits, turn);
        }
        self.state = State::Open(open);
        Ok(())
    }

    /// What MQTT 5 clients are told in CONNACK, where it is not the default.
    fn announce(&self, assigned_client_id: Option<Text>) -> Properties {
        Properties {
            assigned_client_id,
            receive_maximum: RECEIVE_MAXIMUM.try_into().ok(),
            topic_alias_maximum: Some(TOPIC_ALIAS_MAXIMUM),
            maximum_packet_size: self.packet_bytes_max().try_into().ok(),
            ..Properties::default()
        }
    }

    fn notice(&mut self, notice: &Notice, turn: &mut Turn<'_>) -> Result<(), Ending> {
        let (code, why, close) = match notice {
            Notice::Displaced => {
                (ReasonCode::SessionTakenOver, "another connection took over", Close::Displaced)
            }
            Notice::Draining => {
                (ReasonCode::ServerShuttingDown, "the server is going down", Close::Draining)
            }
            Notice::Expelled => {
                let why = "an administrator ended the connection";
                (ReasonCode::AdministrativeAction, why, Close::Refused(why.to_owned()))
            }
            Notice::SlowReceiver => {
                let why = "too much waits to be read";
                (ReasonCode::QuotaExceeded, why, Close::Refused(why.to_owned()))
            }
            Notice::ConsumerGone(_) | Notice::Pressure(_) => return Ok(()),
        };
        match &self.state {
            State::Open(open) => open.link().goodbye(code, why, turn),
            State::Claiming(claiming) => {
                refuse(claiming.terms.link, ReasonCode::ServerUnavailable, why, turn);
            }
            State::Fresh { .. } | State::Ended => {}
        }
        self.end(turn);
        Err(Ending::Close(close))
    }

    fn timeout(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        let now = turn.now.instant;
        match &mut self.state {
            State::Fresh { deadline } if now >= *deadline => Err(Ending::Close(Close::Timeout)),
            State::Claiming(claiming) if now >= claiming.deadline => {
                let link = claiming.terms.link;
                let why = "the session's former owner does not let go";
                Err(refuse(link, ReasonCode::ServerUnavailable, why, turn))
            }
            State::Open(open) => open.timeout(turn),
            State::Fresh { .. } | State::Claiming(_) | State::Ended => Ok(()),
        }
    }

    /// Lets go of the session, once.
    fn end(&mut self, turn: &mut Turn<'_>) {
        if let State::Open(mut open) = std::mem::replace(&mut self.state, State::Ended) {
            open.end(turn);
        }
    }

    /// Says what is left to say.
    fn close(&self, ending: Ending, turn: &mut Turn<'_>) -> Close {
        let mut goodbye = |code, why: &str| {
            if let State::Open(open) = &self.state {
                open.link().goodbye(code, why, turn);
            }
        };
        match ending {
            Ending::Close(close) => close,
            Ending::Fault(code, why) => {
                goodbye(code, &why);
                Close::Violation(why)
            }
            Ending::Refused(code, why) => {
                goodbye(code, why);
                Close::Refused(why.to_owned())
            }
        }
    }
}

impl Claiming {
    fn claim(&mut self, name: Bytes, turn: &mut Turn<'_>) {
        self.step = Step::Claim;
        let Terms { expiry, window, .. } = self.terms;
        let claim = Claim { name, clean: self.clean, expiry, window: u32::from(window) };
        turn.out.ask(Asked::Claim.token(0), Request::Claim(claim));
    }
}

/// A password without a name is allowed from MQTT 5 on (§3.1.2.9): a token.
fn credentials_of(connect: &Connect) -> Credentials {
    let password = connect
        .password
        .as_ref()
        .map(|password| Secret(Bytes::copy_from_slice(password.as_bytes())));
    match (&connect.user_name, password) {
        (None, None) => Credentials::None,
        (None, Some(token)) => Credentials::Token(token),
        (Some(user), password) => Credentials::Password {
            user: user.detached().into_bytes(),
            password: password.unwrap_or_default(),
        },
    }
}

impl protocol::Session for Session {
    fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) -> Result<(), Close> {
        let mut turn = Turn::new(now, out);
        let result = self.input(input, &mut turn);
        let result = result.map_err(|ending| self.close(ending, &mut turn));
        turn.finish();
        if matches!(self.state, State::Claiming(_)) {
            out.pause();
        }
        result
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Fresh { deadline } => Some(*deadline),
            State::Claiming(claiming) => Some(claiming.deadline),
            State::Open(open) => open.deadline(),
            State::Ended => None,
        }
    }
}

/// Sends the CONNACK that says no; no packet follows it [MQTT-3.1.4-6].
fn refuse(link: Link, code: ReasonCode, why: &str, turn: &mut Turn<'_>) -> Ending {
    let properties = link.reason(why).map(|reason| {
        Box::new(Properties { reason_string: Some(reason), ..Properties::default() })
    });
    let connack = ConnAck { session_present: false, code, properties };
    link.send(&Packet::ConnAck(connack), turn);
    Ending::Close(Close::Refused(why.to_owned()))
}

/// Answers a CONNECT that could not be read: in MQTT 5 and after an unknown version by CONNACK,
/// otherwise by closing the connection [MQTT-3.1.4-1] [MQTT311-3.1.4-1].
fn refuse_malformed(malformed: Malformed, level: Option<u8>, turn: &mut Turn<'_>) -> Ending {
    let code = malformed.reason();
    let version = match malformed {
        // Bridges mark their level with the upper bit; they speak 3.1 or 3.1.1.
        Malformed::UnsupportedVersion { level: 6..0x80 } => Some(Version::V5),
        Malformed::UnsupportedVersion { .. } => Some(Version::V311),
        Malformed::Packet(_)
        | Malformed::Protocol(_)
        | Malformed::TooLarge { .. }
        | Malformed::TopicName
        | Malformed::TopicAlias
        | Malformed::TooMany(_) => (level == Some(5)).then_some(Version::V5),
    };
    if let Some(version) = version.filter(|_| code.is_valid_in(PacketType::ConnAck)) {
        let link = Link { version, packet_bytes_max: u32::MAX };
        refuse(link, code, &malformed.to_string(), turn);
    }
    Ending::Close(Close::Violation(malformed.to_string()))
}
