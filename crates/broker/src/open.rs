//! The broker's start: everything that lasts is taken back from the engine.

use std::fmt;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use bytes::{Buf, Bytes};
use hashbrown::{HashMap, HashSet};
use meta::{Catalogue, Stream};
use model::budget::Budget;
use model::record::{Address, Space};
use model::subject::Subject;
use protocol::{
    Declare, Durability, Message, Module, Node, Now, Protocol, Retention, SpaceDeclaration,
    StreamDeclaration,
};
use storage::{Engine, LogId, Mode, Op, Write};
use thiserror::Error;

use crate::alias::Aliases;
use crate::compaction::Compactions;
use crate::cursors::Cursors;
use crate::deadlines::Deadlines;
use crate::desk::{Desk, Routes};
use crate::guard::{Guard, Seats};
use crate::holders::{Holders, Loss};
use crate::home::Home;
use crate::last_values::LastValues;
use crate::message::record_of;
use crate::modules::Modules;
use crate::parked::Parked;
use crate::port::{Authenticator, Mail, Port};
use crate::pressure::{Pressure, Resident};
use crate::queues::Queues;
use crate::retention::{SWEEP_EVERY, policy_of};
use crate::router::Router;
use crate::sessions::{SHARE, Sessions};
use crate::state::{Core, rows, table};
use crate::stats::{BrokerStats, Counters, set};
use crate::streams::{PRODUCER_KEY, Producers, home_of, mode_of};
use crate::timers::{Due, Timers};
use crate::turn::{Opaque, Shared, Turn};

/// The stream of what must last and has no other home.
pub(crate) const DEFAULT_STREAM: &[u8] = b"_default";
/// Records that only queues refer to.
pub(crate) const SPOOL: &[u8] = b"_spool";
const SPOOL_LOGS: u32 = 4;
/// Rows that the start reads at a time.
pub(crate) const PAGE: usize = 10_000;

/// How the default stream is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultStream {
    /// Partitions; fixed once it is made.
    pub partitions: u32,
    /// Age at which records go out of sight, in milliseconds.
    pub max_age_ms: Option<u64>,
    /// Bytes, over all partitions, above which the oldest go out of sight.
    pub max_bytes: Option<u64>,
    /// When its records are acknowledged; fixed once it is made.
    pub durability: Durability,
}

impl DefaultStream {
    fn retention(self) -> Retention {
        let partitions = u64::from(self.partitions.max(1));
        let max_bytes = self.max_bytes.map(|bytes| bytes / partitions);
        Retention { max_age_ms: self.max_age_ms, max_bytes, ..Retention::default() }
    }
}

/// The protocols that messages come through.
#[derive(Clone, Default)]
pub struct Protocols(pub Arc<[Box<dyn Protocol>]>);

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|protocol| protocol.name())).finish()
    }
}

/// What the broker is started with.
pub struct Options {
    /// The server.
    pub node: Arc<Node>,
    /// Randomness.
    pub seed: u64,
    /// The default stream.
    pub default_stream: DefaultStream,
    /// Streams that the configuration declares.
    pub streams: Vec<StreamDeclaration>,
    /// Objects that exist from the start.
    pub builtins: Vec<Declare>,
    /// The protocols: what they know of messages that queues give up.
    pub protocols: Protocols,
    /// Protocols' shared state machines.
    pub modules: Vec<Box<dyn Module>>,
    /// Who knows who clients are; `None`: whoever comes is let in as who it says, with the rights
    /// of those who did not log in.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// What memory is accounted into.
    pub budget: Arc<Budget>,
    /// The time of the start.
    pub now: Now,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("default_stream", &self.default_stream)
            .finish_non_exhaustive()
    }
}

/// Why the broker does not start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The engine took no writes.
    #[error("the storage engine takes no writes: {0}")]
    Storage(#[from] storage::SubmitError),
    /// A kept row is of another version, or damaged.
    #[error("a row of table {0} cannot be read; was the data written by a newer version?")]
    Row(&'static str),
    /// A declared stream cannot be.
    #[error("stream {name:?} of the configuration: {why}")]
    Stream {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// The broker, shared by all workers.
pub struct Broker {
    pub(crate) shared: Arc<Shared>,
    core: Mutex<Core>,
    /// Held while users and roles change.
    pub(crate) changing: Mutex<()>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broker")
    }
}

impl Broker {
    /// Takes back what the engine keeps. Blocks: called before anything is served.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(
        engine: Arc<dyn Engine>,
        mail: Arc<dyn Mail>,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        let mut catalogue = Catalogue::new();
        each_row(&*engine, table::CATALOGUE, |key, value| catalogue.restore(&key, value).is_ok())?;
        let policy = crate::login::restore(&*engine)?;
        let mut random = options.seed;
        let budget = options.budget;
        let default = options.default_stream;
        let default_row = system_stream(
            &engine,
            &mut catalogue,
            &mut random,
            SystemStream {
                name: DEFAULT_STREAM,
                partitions: default.partitions.max(1),
                retention: default.retention(),
                durability: default.durability,
            },
        )?;
        let spool_row = system_stream(
            &engine,
            &mut catalogue,
            &mut random,
            SystemStream {
                name: SPOOL,
                partitions: SPOOL_LOGS,
                retention: Retention::default(),
                durability: Durability::Durable,
            },
        )?;
        let default_home = Arc::new(Home { single: false, ..home_of(&default_row) });
        let shared = Arc::new(Shared {
            mail: Arc::new(Opaque(mail)),
            node: options.node,
            router: RwLock::new(Router::default()),
            epoch: AtomicU64::new(1),
            last_values: LastValues::new(budget.clone()),
            aliases: Aliases::new(crate::state::next_random(&mut random)),
            counters: Counters::default(),
            pressure: Arc::new(Pressure::new(budget.clone())),
            workers: AtomicU16::new(1),
            routes: AtomicU64::new(0),
            default_home,
            protocols: options.protocols,
            spools: spool_row.logs.iter().map(|log| LogId(*log)).collect(),
            guard: Guard::new(policy),
            authenticator: options.authenticator,
            engine,
        });
        let mut core = Core {
            catalogue,
            conns: crate::conns::Conns::default(),
            sessions: Sessions::default(),
            queues: Queues::new(budget),
            cursors: Cursors::default(),
            waiters: crate::read::Waiters::default(),
            timers: Timers::default(),
            deadlines: Deadlines::default(),
            modules: Modules::new(options.modules),
            producers: Producers::default(),
            processed: HashMap::new(),
            random,
            next_binding: 0,
            binding_numbers: HashMap::new(),
            flush_due: false,
            ticks: 0,
            expired_upto: None,
            compactions: Compactions::default(),
            holders: Holders::default(),
            parked: Parked::default(),
            resident: Resident::default(),
            reason: None,
        };
        core.restore(&shared, options.builtins, options.now)?;
        let mut nobody = Nobody;
        let turn = Turn::new(options.now, &mut nobody, &shared, 0);
        for declaration in &options.streams {
            core.configure(&turn, declaration)?;
        }
        let mut ops = Vec::new();
        for stream in core.catalogue.streams() {
            align(&*shared.engine, stream, &mut ops);
        }
        for ops in ops.chunks(PAGE) {
            write(&*shared.engine, ops.to_vec())?;
        }
        Ok(Arc::new(Self { shared, core: Mutex::new(core), changing: Mutex::default() }))
    }

    /// The desk of one worker.
    pub fn desk(self: &Arc<Self>, worker: u16) -> Desk {
        self.shared.workers.fetch_max(worker + 1, Ordering::Relaxed);
        let (routes, seats) = (Routes::default(), Seats::default());
        Desk { broker: self.clone(), worker, routes, seats, logins: HashSet::new() }
    }

    /// Counters and sizes.
    pub fn stats(&self) -> BrokerStats {
        let counters = &self.shared.counters;
        set(&counters.last_values, self.shared.last_values.len());
        let core = self.lock();
        set(&counters.streams, core.catalogue.stream_count());
        set(&counters.queues, core.queues.len());
        set(&counters.sessions, core.sessions.len());
        set(&counters.timers, core.timers.len());
        set(&counters.waiting_reads, core.waiters.len());
        counters.read()
    }

    /// What sessions and queues lost because they held too much, the most first.
    pub fn losses(&self, most: usize) -> Vec<Loss> {
        self.lock().losses(most)
    }

    /// Why publishing is refused at present, in words.
    pub fn refuses_because(&self) -> Option<&'static str> {
        self.shared.pressure.reason()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().expect("a panic under the broker's lock ends the server")
    }
}

/// Sets the policies of a stream's logs that are not what it wants: they are new, or of a version
/// that had none.
fn align(engine: &dyn Engine, stream: &Stream, ops: &mut Vec<Op>) {
    let policy = policy_of(stream);
    for log in stream.logs.iter().map(|log| LogId(*log)) {
        let present = engine.policy(log).unwrap_or_default();
        if present != policy {
            ops.push(Op::Policy { log, policy: policy.clone() });
        }
    }
}

/// The cluster's id: read, or made from `fresh` and kept. Blocks.
///
/// # Errors
///
/// [`OpenError::Storage`].
pub fn cluster_id(engine: &dyn Engine, fresh: [u8; 16]) -> Result<String, OpenError> {
    const KEY: &[u8] = b"cluster-id";
    if let Some(id) = engine.get(table::NODE, KEY) {
        return String::from_utf8(id.to_vec()).map_err(|_| OpenError::Row(table::NODE));
    }
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let number = u128::from_be_bytes(fresh);
    let id: String = (0..22)
        .map(|i| char::from(ALPHABET[usize::try_from((number >> (6 * i)) & 63).unwrap_or(0)]))
        .collect();
    let key = Bytes::from_static(KEY);
    let op = Op::Put { table: table::NODE, key, value: Bytes::from(id.clone()) };
    write(engine, vec![op])?;
    Ok(id)
}

/// Writes and waits.
pub(crate) fn write(engine: &dyn Engine, ops: Vec<Op>) -> Result<(), OpenError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    engine.submit(
        Write { ops, mode: Mode::Durable },
        Box::new(move |result| {
            // The receiver waits below until this has been sent.
            let _ = sender.send(result);
        }),
    );
    receiver.recv().expect("an engine completes each write")?;
    Ok(())
}

pub(crate) fn each_row(
    engine: &dyn Engine,
    table: storage::Table,
    mut take: impl FnMut(Bytes, Bytes) -> bool,
) -> Result<(), OpenError> {
    let mut from: Vec<u8> = Vec::new();
    loop {
        let page = engine.scan(table, &from, PAGE);
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = last.to_vec();
        from.push(0);
        for (key, value) in page {
            if !take(key, value) {
                return Err(OpenError::Row(table));
            }
        }
    }
}

/// A stream's logs acknowledge as they were made to.
fn check_durability(stream: &Stream, wanted: Durability) -> Result<(), OpenError> {
    if stream.durability == wanted {
        return Ok(());
    }
    Err(OpenError::Stream {
        name: String::from_utf8_lossy(&stream.name).into_owned(),
        why: format!(
            "it exists with durability {:?}, which cannot be changed to {:?}",
            stream.durability.as_str(),
            wanted.as_str()
        ),
    })
}

struct SystemStream {
    name: &'static [u8],
    partitions: u32,
    retention: Retention,
    durability: Durability,
}

/// A stream that the system itself keeps: as it is, or made.
fn system_stream(
    engine: &Arc<dyn Engine>,
    catalogue: &mut Catalogue,
    random: &mut u64,
    wanted: SystemStream,
) -> Result<Stream, OpenError> {
    let mut ops = Vec::new();
    let mut changes = Vec::new();
    let known = catalogue.stream(wanted.name).cloned();
    let mut stream = known.clone().unwrap_or_else(|| {
        let logs = (0..wanted.partitions)
            .map(|_| {
                let (log, change) = catalogue.take_log();
                changes.push(change);
                let mode = mode_of(wanted.durability);
                ops.push(Op::CreateLog { log: LogId(log), mode, first: 0 });
                log
            })
            .collect();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&crate::state::next_random(random).to_be_bytes());
        id[8..].copy_from_slice(&crate::state::next_random(random).to_be_bytes());
        Stream {
            name: Bytes::from_static(wanted.name),
            id,
            filters: Vec::new(),
            logs,
            internal: true,
            retention: Retention::default(),
            durability: wanted.durability,
            promoted: None,
        }
    });
    check_durability(&stream, wanted.durability)?;
    stream.retention = wanted.retention;
    if known.as_ref() != Some(&stream) {
        catalogue.add_stream(stream.clone(), &mut changes);
        ops.extend(rows(changes));
    }
    align(&**engine, &stream, &mut ops);
    if !ops.is_empty() {
        write(&**engine, ops)?;
    }
    Ok(stream)
}

impl Core {
    fn restore(
        &mut self,
        shared: &Arc<Shared>,
        builtins: Vec<Declare>,
        now: Now,
    ) -> Result<(), OpenError> {
        let engine = &shared.engine;
        for builtin in builtins {
            if let Declare::Space(space) = builtin {
                self.catalogue
                    .add_space(SpaceDeclaration { builtin: true, ..space }, &mut Vec::new());
            }
        }
        let queues: Vec<_> =
            self.catalogue.queues().map(|q| (q.log, q.declaration.clone())).collect();
        for (log, declaration) in queues {
            self.restore_queue(engine, now.instant, (log, declaration));
        }
        let mut router = shared.router.write().expect("no panic under this lock");
        for stream in self.catalogue.streams().filter(|s| !s.internal) {
            router.set_home(stream.logs[0], Arc::new(home_of(stream)));
        }
        let bindings: Vec<_> = self.catalogue.bindings().cloned().collect();
        for binding in bindings {
            self.route_binding(&mut router, &binding);
        }
        let mut left = Vec::new();
        self.restore_sessions(&**engine, &mut router, &mut left)?;
        drop(router);
        for ops in left.chunks(PAGE) {
            write(&**engine, ops.to_vec())?;
        }
        self.drop_deserted_shares(shared, now);
        self.begin_deadlines(&Turn::new(now, &mut Nobody, shared, 0));
        restore_last_values(shared)?;
        self.restore_modules(&**engine);
        if let Some(next) = engine.get(table::NODE, PRODUCER_KEY) {
            let next = next[..].try_into().map_err(|_| OpenError::Row(table::NODE))?;
            self.producers = Producers::from(i64::from_be_bytes(next));
        }
        self.timers.add(now.instant + SWEEP_EVERY, Due::Sweep);
        Ok(())
    }

    /// Shares whose last members were live went with the run.
    fn drop_deserted_shares(&mut self, shared: &Arc<Shared>, now: Now) {
        let deserted: Vec<Bytes> = self
            .catalogue
            .queues()
            .map(|queue| queue.declaration.name.clone())
            .filter(|name| name.starts_with(SHARE) && !self.sessions.is_shared(name))
            .collect();
        let mut nobody = Nobody;
        let mut turn = Turn::new(now, &mut nobody, shared, 0);
        for name in deserted {
            self.remove_queue(&mut turn, &name);
        }
    }

    /// Sessions whose owners were there when the server stopped are without one from now on.
    fn begin_deadlines(&mut self, turn: &Turn<'_>) {
        let clock = turn.shared.engine.clock_ms();
        let mut rows = Vec::new();
        let mut deadlines = self.deadlines.take_missing();
        for (id, session) in self.sessions.iter_mut().filter(|(_, s)| s.lacks_end()) {
            session.begin_leave(clock);
            rows.push(session.row(id));
            deadlines.extend(session.deadlines(id));
        }
        while !rows.is_empty() || !deadlines.is_empty() {
            let rest = rows.split_off(rows.len().min(PAGE));
            let page = std::mem::replace(&mut rows, rest);
            let rest = deadlines.split_off(deadlines.len().min(PAGE));
            let due = std::mem::replace(&mut deadlines, rest);
            self.keep_deadlines(turn, page, due);
        }
        self.await_deadline(turn, clock);
        self.await_records(turn);
    }

    /// A stream of the configuration: made, or its retention brought up to date.
    fn configure(
        &mut self,
        turn: &Turn<'_>,
        declaration: &StreamDeclaration,
    ) -> Result<(), OpenError> {
        let fail = |why: String| OpenError::Stream {
            name: String::from_utf8_lossy(&declaration.name).into_owned(),
            why,
        };
        let mut ops = Vec::new();
        if let Some(mut stream) = self.catalogue.stream(&declaration.name).cloned() {
            if !declaration.filters.is_empty() && stream.filters != declaration.filters {
                return Err(fail(
                    "it exists with other filters, which cannot be changed".to_owned(),
                ));
            }
            if !declaration.retention.is_possible() {
                return Err(fail("its limits are out of range".to_owned()));
            }
            check_durability(&stream, declaration.durability)?;
            if stream.retention != declaration.retention {
                stream.retention = declaration.retention.clone();
                self.keep_stream(turn, &stream, &mut ops);
            }
        } else {
            self.make_stream(turn, declaration, &mut ops).map_err(|why| fail(why.to_string()))?;
        }
        if ops.is_empty() { Ok(()) } else { write(&*turn.shared.engine, ops) }
    }
}

fn restore_last_values(shared: &Shared) -> Result<(), OpenError> {
    each_row(&*shared.engine, table::LAST, |key, value| {
        let mut parts = key.splitn(2, |byte| *byte == 0);
        let (Some(space), Some(subject)) = (parts.next(), parts.next()) else { return false };
        let space = match std::str::from_utf8(space) {
            Ok("") => Space::SHARED,
            Ok(name) => Space::named(name),
            Err(_) => return false,
        };
        let Ok(subject) = Subject::from_canonical(Bytes::copy_from_slice(subject)) else {
            return false;
        };
        let mut tail = Bytes::copy_from_slice(&value);
        if tail.len() < 8 {
            return false;
        }
        let timestamp_ms = tail.get_i64();
        let Some(record) = record_of(&subject, timestamp_ms, &tail) else { return false };
        let address = Address::Subject(space.clone(), subject.clone());
        let message = Arc::new(Message::new(address, record, None));
        shared.last_values.set(&space, &subject, 0, Some(message));
        true
    })
}

/// Nobody is connected yet.
struct Nobody;

impl Port for Nobody {
    fn deliver(&mut self, _: protocol::ConnId, _: protocol::Delivery) {}
    fn reply(&mut self, _: protocol::ConnId, _: protocol::Token, _: protocol::Reply) {}
    fn notice(&mut self, _: protocol::ConnId, _: protocol::Notice) {}
}
