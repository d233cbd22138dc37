//! Batches in: checked, appended as they are, and told to whoever else listens to the subject.

use std::sync::Arc;

use bytes::Bytes;
use meta::Stream;
use model::record::Space;
use model::render;
use model::subject::Subject;
use protocol::{
    Append, Appended, ConnId, Durability, Refusal, Reply, Retention, StreamDeclaration, Token,
};
use storage::batch::{self, BatchError, CheckLimits, Checked};
use storage::{
    Append as AppendOp, Body, Committed, LogId, Mode, Op, StoredBatch, Subjects, SubmitError,
    Target,
};

use crate::completion::Step;
use crate::desk::Desk;
use crate::message::of_batch;
use crate::publish::AS_THE_LOG;
use crate::queues::{Item, is_durable};
use crate::router::Route;
use crate::state::Core;
use crate::stats::add;
use crate::streams::Found;
use crate::turn::{Turn, refusal_of};

/// Most references that one batch may make in queues.
const TARGETS_MAX: usize = 200_000;

/// A batch whose append is under way.
#[derive(Debug)]
pub(crate) struct AppendDone {
    conn: ConnId,
    token: Option<Token>,
    log: LogId,
    subject: Subject,
    batch: Bytes,
    route: Arc<Route>,
    durable: Vec<u64>,
    result: Result<Committed, SubmitError>,
}

impl Desk {
    pub(crate) fn append(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        append: Append,
    ) {
        match self.plan_append(turn, &append) {
            Ok((checked, ops, place)) => {
                let target = Placed { conn, token, log: place.log, subject: place.subject };
                self.append_checked(turn, target, append.batch, &checked, ops);
            }
            Err(refusal) => {
                add(&turn.shared.counters.refused, 1);
                turn.refuse(conn, token, refusal);
            }
        }
    }

    /// Checks a batch, and finds where it goes.
    fn plan_append(
        &self,
        turn: &Turn<'_>,
        append: &Append,
    ) -> Result<(Checked, Vec<Op>, Place), Refusal> {
        if let Some(refusal) = turn.shared.pressure.refuses_storing() {
            return Err(refusal);
        }
        let limits = &turn.shared.node.limits;
        let limits = CheckLimits {
            message_bytes: limits.message_bytes,
            headers: limits.headers,
            ..CheckLimits::default()
        };
        let checked = batch::check(&append.batch, &limits)
            .map_err(|error| refusal_of_batch(&error, limits.message_bytes))?;
        let mut ops = Vec::new();
        let place = self.broker.lock().partition_to_write(turn, append, &mut ops)?;
        if let Some(most) = place.batch_bytes
            && append.batch.len() > most
        {
            return Err(Refusal::TooLarge(most));
        }
        if place.keyed {
            let records = batch::records(&append.batch);
            if records.is_ok_and(|records| records.iter().any(|record| record.key.is_none())) {
                return Err(Refusal::InvalidRecord("a record of this stream needs a key"));
            }
        }
        Ok((checked, ops, place))
    }

    fn append_checked(
        &mut self,
        turn: &mut Turn<'_>,
        placed: Placed,
        batch: Bytes,
        checked: &Checked,
        mut ops: Vec<Op>,
    ) {
        let Placed { conn, token, log, subject } = placed;
        let route = self.routes.get(turn, &Space::SHARED, &subject);
        let durable = match &route.queues[..] {
            [] => Vec::new(),
            queues => self.broker.lock().durable_takers(queues),
        };
        if durable.len() * checked.count as usize > TARGETS_MAX {
            return turn.refuse(conn, token, Refusal::Limit("references of one batch"));
        }
        // A stream that is made for it has rows of its own.
        let mode = if ops.is_empty() && durable.is_empty() { AS_THE_LOG } else { Mode::Durable };
        let targets = (0..checked.count)
            .flat_map(|record| {
                let target =
                    move |queue: &u64| Target { record, queue: LogId(*queue), priority: 0 };
                durable.iter().map(target)
            })
            .collect();
        ops.push(Op::Append(AppendOp {
            log,
            body: Body::Batch {
                bytes: batch.clone(),
                subject: subject.clone(),
                producer: checked.producer,
            },
            targets,
            once: None,
        }));
        add(&turn.shared.counters.messages_in, checked.count as usize);
        add(&turn.shared.counters.stored, checked.count as usize);
        add(&turn.shared.counters.bytes_in, batch.len());
        let worker = turn.shared.worker_of(log);
        let mut done = Box::new(AppendDone {
            conn,
            token,
            log,
            subject,
            batch,
            route,
            durable,
            result: Ok(Committed::default()),
        });
        turn.shared.submit(ops, mode, worker, move |result| {
            done.result = result;
            Step::Appended(done)
        });
    }

    /// The append of a batch is done.
    pub(crate) fn appended(&mut self, turn: &mut Turn<'_>, done: AppendDone) {
        let committed = match &done.result {
            Ok(committed) => committed,
            Err(error) => {
                add(&turn.shared.counters.refused, 1);
                return turn.refuse(done.conn, done.token, refusal_of(error));
            }
        };
        let Some(appended) = committed.appended.first() else { return };
        let log_start = turn.shared.engine.bounds(done.log).map_or(0, |bounds| bounds.first);
        turn.reply(
            done.conn,
            done.token,
            Reply::Appended(Appended {
                base_offset: appended.base,
                log_start,
                duplicate: appended.duplicate,
            }),
        );
        if appended.duplicate {
            return;
        }
        self.tell_listeners(turn, &done, appended);
        self.broker.lock().committed(turn, done.log, appended.last);
        self.wake_reads(turn, done.log);
    }

    fn tell_listeners(
        &mut self,
        turn: &mut Turn<'_>,
        done: &AppendDone,
        appended: &storage::Appended,
    ) {
        let route = self.routes.get(turn, &Space::SHARED, &done.subject);
        let nobody = route.live.is_empty()
            && route.groups.is_empty()
            && route.sessions.is_empty()
            && route.queues.is_empty()
            && done.durable.is_empty();
        if nobody {
            return;
        }
        let stored = StoredBatch {
            base: appended.base,
            last: appended.last,
            max_timestamp_ms: 0,
            bytes: batch::patched(&done.batch, appended.base, 0),
            subjects: Subjects::One(done.subject.clone()),
        };
        let transient: Vec<u64> =
            done.route.queues.iter().copied().filter(|queue| !is_durable(*queue)).collect();
        for (index, (offset, message)) in of_batch(&stored, 0).into_iter().enumerate() {
            self.deliver(turn, &message, &route, Some((done.log, offset)));
            if done.durable.is_empty() && transient.is_empty() {
                continue;
            }
            let mut core = self.broker.lock();
            for (n, queue) in done.durable.iter().enumerate() {
                let place = appended.places.get(index * done.durable.len() + n).copied();
                let item = Item::stored(&message, Some((done.log, offset)), place, 0);
                core.push(turn, *queue, item);
            }
            if !transient.is_empty() {
                let kept = crate::message::detached(&message);
                for queue in &transient {
                    core.push(turn, *queue, Item::transient(kept.clone(), 0));
                }
            }
        }
    }
}

struct Placed {
    conn: ConnId,
    token: Option<Token>,
    log: LogId,
    subject: Subject,
}

impl Core {
    /// The log of a partition that is written to. Writing to a view of the default stream makes it
    /// a stream of its own, in the same write.
    fn partition_to_write(
        &mut self,
        turn: &Turn<'_>,
        append: &Append,
        ops: &mut Vec<Op>,
    ) -> Result<Place, Refusal> {
        let stream: Stream = match self.find(&append.stream).ok_or(Refusal::NotFound)? {
            Found::Stream(stream) if stream.internal => return Err(Refusal::NotAllowed),
            Found::Stream(stream) => stream,
            Found::View(view) => {
                let captured = turn.shared.fresh_route(&Space::SHARED, &view.subject).home;
                if captured.is_some() {
                    // The subject lives in another stream: its records go there.
                    let place = Place::plain(LogId(view.log), view.subject);
                    return Ok(place);
                }
                let declaration = StreamDeclaration {
                    name: view.name.clone(),
                    filters: Vec::new(),
                    partitions: 1,
                    retention: Retention::default(),
                    durability: Durability::default(),
                    dry_run: false,
                };
                self.make_stream(turn, &declaration, ops)?
            }
        };
        let log = stream.logs.get(append.partition as usize).ok_or(Refusal::NotFound)?;
        let subject = match stream.single_subject() {
            Some(subject) => subject,
            None => render::stream_name::parse(&stream.name).map_err(|_| Refusal::InvalidName)?,
        };
        Ok(Place {
            log: LogId(*log),
            subject,
            batch_bytes: stream.retention.max_message_bytes.map(|bytes| bytes as usize),
            keyed: stream.retention.cleanup.compacts(),
        })
    }
}

/// Where a batch goes, and what holds there.
struct Place {
    log: LogId,
    subject: Subject,
    /// The largest batch.
    batch_bytes: Option<usize>,
    /// Records without a key are refused.
    keyed: bool,
}

impl Place {
    fn plain(log: LogId, subject: Subject) -> Self {
        Self { log, subject, batch_bytes: None, keyed: false }
    }
}

fn refusal_of_batch(error: &BatchError, message_bytes: usize) -> Refusal {
    match error {
        BatchError::Length | BatchError::Checksum => Refusal::Corrupt,
        BatchError::Magic(_) | BatchError::Codec => Refusal::UnsupportedFormat,
        BatchError::Attributes(_) => Refusal::InvalidRecord("attributes that a client may not set"),
        BatchError::Count => Refusal::InvalidRecord("record counts do not match"),
        BatchError::Record => Refusal::InvalidRecord("malformed record"),
        BatchError::Producer => Refusal::InvalidRecord("malformed producer fields"),
        BatchError::Compression(_) => Refusal::InvalidRecord("records cannot be decompressed"),
        BatchError::TooLarge(_) => Refusal::TooLarge(message_bytes),
    }
}
