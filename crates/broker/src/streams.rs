//! Streams and views: found by name or id, made, removed, promoted; producer ids.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use meta::catalogue::Promoted;
use meta::{Stream, View};
use model::record::Space;
use model::render;
use model::subject::Subject;
use protocol::{
    ConnId, Declared, Durability, Refusal, Reply, Retention, StreamDeclaration, StreamRef,
    StreamStatus, Token,
};
use security::Action;
use storage::{LogId, Mode, Op};

use crate::completion::Step;
use crate::home::Home;
use crate::sessions::Cursor;
use crate::state::{Core, rows, table};
use crate::turn::{Turn, refusal_of};
use crate::{compaction, views};

/// How long a view is kept up to date after its last reading.
const LEASE_MS: i64 = 30_000;
/// Producer ids that become durable at a time.
const PRODUCER_BLOCK: i64 = 1000;
/// Most named views of a node.
const VIEWS_MAX: usize = 1_000_000;
/// Names that one request may describe.
const DESCRIBE_MAX: usize = 10_000;

/// What a reader or producer named.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A stream of its own.
    Stream(Stream),
    /// One subject of a stream.
    View(View),
}

impl Found {
    pub(crate) fn status(&self, asked: StreamRef) -> StreamStatus {
        let (name, id, partitions, internal, retention) = match self {
            Self::Stream(s) => (&s.name, s.id, s.logs.len(), s.internal, s.retention.clone()),
            Self::View(v) => (&v.name, v.id, 1, false, Retention::default()),
        };
        StreamStatus {
            asked,
            name: name.clone(),
            id,
            partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
            internal,
            retention,
            refused: None,
        }
    }
}

/// Ids for producers, given out of blocks that are durable before the first of them is used.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    next: i64,
    upto: i64,
    asked: bool,
    waiting: Vec<(ConnId, Option<Token>)>,
}

impl Producers {
    pub(crate) fn from(next: i64) -> Self {
        Self { next, upto: next, ..Self::default() }
    }
}

impl Core {
    /// The name that is meant; `None`: there is nothing of this id.
    pub(crate) fn name_of<'a>(&'a self, stream: &'a StreamRef) -> Option<&'a Bytes> {
        match stream {
            StreamRef::Name(name) => Some(name),
            StreamRef::Id(id) => self.catalogue.name_of(id),
        }
    }

    /// The stream or view, as it stands.
    pub(crate) fn find(&self, stream: &StreamRef) -> Option<Found> {
        let name = self.name_of(stream)?;
        if let Some(stream) = self.catalogue.stream(name) {
            return Some(Found::Stream(stream.clone()));
        }
        self.catalogue.view(name).map(|view| Found::View(view.clone()))
    }

    pub(crate) fn describe_streams(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        streams: Option<Vec<StreamRef>>,
        create: bool,
    ) {
        let mut ops = Vec::new();
        let statuses = match streams {
            None => self
                .all_streams()
                .into_iter()
                .filter(|status| turn.may_stream(Action::Describe, &status.name))
                .collect(),
            Some(streams) if streams.len() > DESCRIBE_MAX => {
                return turn.refuse(conn, token, Refusal::Limit("names in one request"));
            }
            Some(streams) => streams
                .into_iter()
                .map(|stream| match self.find_allowed(turn, &stream, create, &mut ops) {
                    Ok(found) => found.status(stream),
                    Err(refusal) => refused(stream, refusal),
                })
                .collect(),
        };
        let reply = Reply::Streams(statuses);
        if ops.is_empty() {
            turn.reply(conn, token, reply);
        } else {
            turn.reply_after(ops, conn, token, reply);
        }
    }

    fn all_streams(&self) -> Vec<StreamStatus> {
        let streams = self
            .catalogue
            .streams()
            .filter(|s| s.name != crate::open::SPOOL)
            .map(|s| Found::Stream(s.clone()).status(StreamRef::Name(s.name.clone())));
        let views = self
            .catalogue
            .views()
            .map(|v| Found::View(v.clone()).status(StreamRef::Name(v.name.clone())));
        streams.chain(views).collect()
    }

    /// As [`Core::find_or_make`], for whoever may look at it, and make it.
    fn find_allowed(
        &mut self,
        turn: &Turn<'_>,
        stream: &StreamRef,
        create: bool,
        ops: &mut Vec<Op>,
    ) -> Result<Found, Refusal> {
        let name = self.name_of(stream);
        let may = |action| name.is_none_or(|name| turn.may_stream(action, name));
        if !may(Action::Describe) && !may(Action::Create) {
            return Err(Refusal::NotAllowed);
        }
        let makes = create && may(Action::Create);
        self.find_or_make(turn, stream, makes, ops)
    }

    fn find_or_make(
        &mut self,
        turn: &Turn<'_>,
        stream: &StreamRef,
        create: bool,
        ops: &mut Vec<Op>,
    ) -> Result<Found, Refusal> {
        if let Some(found) = self.find(stream) {
            if let Found::View(view) = &found {
                lease(turn, &view.subject);
            }
            return Ok(found);
        }
        let StreamRef::Name(name) = stream else { return Err(Refusal::NotFound) };
        let subject =
            render::stream_name::parse(name).map_err(|_| Refusal::InvalidName)?.detached();
        let home = turn.shared.fresh_route(&Space::SHARED, &subject).home;
        let captured = home.is_some();
        let log = match &home {
            Some(home) => home.log(&subject, None, None),
            None => turn.shared.default_home.log(&subject, None, None),
        };
        let holds = views::holds(turn.shared.engine.as_ref(), log, &subject);
        if holds || (captured && create) {
            if self.catalogue.view_count() >= VIEWS_MAX {
                return Err(Refusal::Limit("named views"));
            }
            let view = View {
                name: Bytes::copy_from_slice(name),
                id: self.random_id(),
                subject: subject.clone(),
                log: log.0,
            };
            let mut changes = Vec::new();
            self.catalogue.add_view(view.clone(), &mut changes);
            ops.extend(rows(changes));
            lease(turn, &subject);
            return Ok(Found::View(view));
        }
        if !create {
            // Someone waits for this name: what is published meanwhile is there when it asks again.
            lease(turn, &subject);
            return Err(Refusal::NotFound);
        }
        let declaration = StreamDeclaration {
            name: Bytes::copy_from_slice(name),
            filters: Vec::new(),
            partitions: 0,
            retention: Retention::default(),
            durability: Durability::default(),
            dry_run: false,
        };
        self.make_stream(turn, &declaration, ops).map(Found::Stream)
    }

    pub(crate) fn declare_stream(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        declaration: &StreamDeclaration,
    ) {
        let mut ops = Vec::new();
        let asked = StreamRef::Name(declaration.name.clone());
        if declaration.dry_run {
            let reply = match self.catalogue.check_stream(declaration) {
                Ok(_) => {
                    let mut status = refused(asked, Refusal::NotFound);
                    status.refused = None;
                    status.partitions = self.partitions(turn, declaration);
                    status.retention = declaration.retention.clone();
                    Reply::Declared(Declared::Stream(status))
                }
                Err(refusal) => Reply::Refused(refusal),
            };
            return turn.reply(conn, token, reply);
        }
        match self.make_stream(turn, declaration, &mut ops) {
            Ok(stream) => {
                let status = Found::Stream(stream).status(asked);
                turn.reply_after(ops, conn, token, Reply::Declared(Declared::Stream(status)));
            }
            Err(refusal) => turn.refuse(conn, token, refusal),
        }
    }

    fn partitions(&self, turn: &Turn<'_>, declaration: &StreamDeclaration) -> u32 {
        match declaration.partitions {
            0 => turn.shared.node.default_partitions,
            given => given,
        }
    }

    /// Makes a stream and its logs. What the default stream holds of its one subject becomes the
    /// part below its first offset.
    pub(crate) fn make_stream(
        &mut self,
        turn: &Turn<'_>,
        declaration: &StreamDeclaration,
        ops: &mut Vec<Op>,
    ) -> Result<Stream, Refusal> {
        let filters = self.catalogue.check_stream(declaration)?;
        let filters: Vec<_> = filters.iter().map(model::filter::Filter::detached).collect();
        let mut promoted = None;
        if let [one] = &filters[..]
            && let Some(subject) = one.as_literal()
        {
            let log = turn.shared.default_home.log(&subject, None, None);
            if views::holds(turn.shared.engine.as_ref(), log, &subject) {
                let until = turn.shared.engine.bounds(log).map_or(0, |bounds| bounds.end);
                promoted = Some(Promoted { log: log.0, until });
            }
        }
        let mut logs = Vec::new();
        for partition in 0..self.partitions(turn, declaration) {
            let log = self.take_log(ops);
            let first = promoted.filter(|_| partition == 0).map_or(0, |p| p.until);
            ops.push(Op::CreateLog { log, mode: mode_of(declaration.durability), first });
            logs.push(log.0);
        }
        let stream = Stream {
            name: Bytes::copy_from_slice(&declaration.name),
            id: self.random_id(),
            filters,
            logs,
            internal: false,
            retention: declaration.retention.clone(),
            durability: declaration.durability,
            promoted,
        };
        self.keep_stream(turn, &stream, ops);
        self.open_cursors(&stream);
        let name = &stream.name;
        Ok(self.catalogue.stream(name).expect("just added").clone())
    }

    /// Durable sessions whose filters reach a new stream read it from its start.
    fn open_cursors(&mut self, stream: &Stream) {
        let mut touched = Vec::new();
        for (id, session) in self.sessions.iter_mut() {
            let reached = session.subscriptions.values().any(|s| {
                s.group.is_none()
                    && s.space.is_shared()
                    && stream.filters.iter().any(|filter| filter.overlaps(&s.filter))
            });
            if reached {
                let first = |log: u64| match stream.promoted {
                    Some(promoted) if stream.logs.first() == Some(&log) => promoted.until,
                    Some(_) | None => 0,
                };
                for log in &stream.logs {
                    session.cursors.entry(LogId(*log)).or_insert_with(|| Cursor::at(first(*log)));
                }
                touched.push(id);
            }
        }
        for id in touched {
            self.sessions.mark_dirty(id);
        }
    }

    pub(crate) fn destroy_stream(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        stream: &StreamRef,
    ) {
        let found = match self.find(stream) {
            None => return turn.refuse(conn, token, Refusal::NotFound),
            Some(Found::Stream(s)) if s.internal => {
                return turn.refuse(conn, token, Refusal::Reserved);
            }
            Some(found) => found,
        };
        let mut changes = Vec::new();
        let name = match &found {
            Found::Stream(stream) => &stream.name,
            Found::View(view) => &view.name,
        };
        let removed = self.catalogue.remove_stream(name, &mut changes);
        let mut ops = rows(changes);
        if let Some(stream) = removed {
            turn.shared.reroute(|router| router.clear_home(stream.logs[0]));
            for (_, session) in self.sessions.iter_mut() {
                for log in &stream.logs {
                    session.cursors.remove(&LogId(*log));
                }
            }
            self.forget_cursors_on(turn, &stream.logs, &mut ops);
            ops.extend(stream.logs.iter().map(|log| Op::DropLog(LogId(*log))));
            if stream.retention.cleanup.compacts() {
                ops.extend(stream.logs.iter().map(|log| compaction::forget(LogId(*log))));
            }
            for log in &stream.logs {
                self.compactions.forget(LogId(*log));
            }
        }
        turn.reply_after(ops, conn, token, Reply::Destroyed(0));
    }

    pub(crate) fn new_producer(&mut self, turn: &mut Turn<'_>, conn: ConnId, token: Option<Token>) {
        let producers = &mut self.producers;
        if producers.next < producers.upto {
            let id = producers.next;
            producers.next += 1;
            return turn.reply(conn, token, Reply::ProducerId(id));
        }
        producers.waiting.push((conn, token));
        if producers.asked {
            return;
        }
        producers.asked = true;
        let upto = producers.upto + PRODUCER_BLOCK;
        let op = Op::Put {
            table: table::NODE,
            key: Bytes::from_static(PRODUCER_KEY),
            value: Bytes::copy_from_slice(&upto.to_be_bytes()),
        };
        turn.shared.submit(vec![op], Mode::Durable, turn.worker, move |result| Step::Producers {
            upto,
            refused: result.as_ref().is_err_and(|e| refusal_of(e) != Refusal::NotFound),
        });
    }

    pub(crate) fn producers_ready(&mut self, turn: &mut Turn<'_>, upto: i64, refused: bool) {
        self.producers.asked = false;
        let waiting = std::mem::take(&mut self.producers.waiting);
        if refused {
            for (conn, token) in waiting {
                turn.refuse(conn, token, Refusal::StorageUnavailable);
            }
            return;
        }
        self.producers.upto = upto;
        for (conn, token) in waiting {
            self.new_producer(turn, conn, token);
        }
    }
}

/// The row that tells which producer ids were given out.
pub(crate) const PRODUCER_KEY: &[u8] = b"producers";

/// A stream as the publish path sees it.
pub(crate) fn home_of(stream: &Stream) -> Home {
    Home {
        name: stream.name.clone(),
        filters: stream.filters.clone(),
        logs: stream.logs.iter().map(|log| LogId(*log)).collect(),
        single: stream.single_subject().is_some(),
        message_bytes: stream.retention.max_message_bytes.map(|bytes| bytes as usize),
    }
}

/// Opens or renews the lease of a view: live messages of its subject are stored meanwhile.
pub(crate) fn lease(turn: &Turn<'_>, subject: &Subject) {
    let until = turn.now.unix_ms + LEASE_MS;
    let known = {
        let router = turn.shared.router.read().expect("no panic under this lock");
        router.lease_of(subject)
    };
    let lease = known.or_else(|| turn.shared.reroute(|router| router.lease(subject)));
    if let Some(lease) = lease {
        lease.store(until, Ordering::Relaxed);
    }
}

/// How the logs of a stream acknowledge.
pub(crate) fn mode_of(durability: Durability) -> Mode {
    match durability {
        Durability::Memory => Mode::Memory,
        Durability::Async => Mode::Async,
        Durability::Durable => Mode::Durable,
    }
}

fn refused(asked: StreamRef, refusal: Refusal) -> StreamStatus {
    let name = match &asked {
        StreamRef::Name(name) => name.clone(),
        StreamRef::Id(_) => Bytes::new(),
    };
    StreamStatus {
        asked,
        name,
        id: [0; 16],
        partitions: 0,
        internal: false,
        retention: Retention::default(),
        refused: Some(refusal),
    }
}
