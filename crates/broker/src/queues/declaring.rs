//! Queues made, described, restored at the start, and removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use meta::Queue as QueueRow;
use protocol::{BindTarget, Binding, ConnId, Declared, QueueDeclaration, Refusal, Reply, Token};
use storage::{Engine, LogId, Mode, Op, ReadLimits, batch};

use super::aside::{Aside, minute};
use super::{Item, Queue, is_durable};
use crate::completion::Step;
use crate::deadlines::Kind;
use crate::state::{Core, rows};
use crate::timers::Due;
use crate::turn::Turn;

/// Most queues of a node.
const QUEUES_MAX: usize = 1_000_000;
/// References that the start reads at a time.
const PAGE: usize = 10_000;

impl Core {
    pub(crate) fn declare_queue(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        declaration: QueueDeclaration,
    ) {
        if let Some(id) = self.queues.id(&declaration.name) {
            let reply = match self.usable_queue(conn, &declaration.name) {
                Err(refusal) => Reply::Refused(refusal),
                Ok(_) => self.declared_again(turn, id, &declaration),
            };
            return turn.reply(conn, token, reply);
        }
        if self.queues.len() >= QUEUES_MAX {
            return turn.refuse(conn, token, Refusal::Limit("queues"));
        }
        let mut ops = Vec::new();
        let id = self.make_queue(turn, declaration.clone(), Some(conn), &mut ops);
        if declaration.exclusive {
            self.conns.rare(conn).exclusive.push(declaration.name);
        }
        let status = self.queues.get(id).expect("just made").status();
        self.answer_rows(turn, conn, token, ops, Reply::Declared(Declared::Queue(status)));
    }

    fn declared_again(
        &mut self,
        turn: &mut Turn<'_>,
        id: u64,
        declaration: &QueueDeclaration,
    ) -> Reply {
        let stands = &self.queues.get(id).expect("an id of the index").declaration;
        if stands != declaration {
            return Reply::Refused(Refusal::DifferentQueue(Box::new(stands.clone())));
        }
        self.used(turn, id);
        self.tend(turn, id);
        let status = self.queues.get(id).expect("nothing removes it here").status();
        Reply::Declared(Declared::Queue(status))
    }

    pub(crate) fn describe_queue(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        name: &Bytes,
    ) -> Reply {
        match self.usable_queue(conn, name) {
            Err(refusal) => Reply::Refused(refusal),
            Ok(id) => {
                self.used(turn, id);
                self.tend(turn, id);
                Reply::Queue(self.queues.get(id).expect("nothing removes it here").status())
            }
        }
    }

    /// Makes a queue; what makes it last goes to `ops`.
    pub(crate) fn make_queue(
        &mut self,
        turn: &Turn<'_>,
        declaration: QueueDeclaration,
        conn: Option<ConnId>,
        ops: &mut Vec<Op>,
    ) -> u64 {
        let durable = declaration.durable && !declaration.exclusive;
        let id = if durable {
            let log = self.take_log(ops);
            ops.push(Op::CreateLog { log, mode: Mode::Durable, first: 0 });
            let mut changes = Vec::new();
            let row = QueueRow { declaration: declaration.clone(), log: log.0 };
            self.catalogue.add_queue(row, &mut changes);
            ops.extend(rows(changes));
            log.0
        } else {
            self.queues.take_transient()
        };
        let owner = if declaration.exclusive { conn } else { None };
        let clock = turn.shared.engine.clock_ms();
        self.queues.insert(id, Queue::new(declaration, owner, clock));
        self.schedule(turn, id);
        id
    }

    /// Removes a queue with its bindings and messages; how many messages.
    pub(crate) fn remove_queue(&mut self, turn: &mut Turn<'_>, name: &Bytes) -> u64 {
        let (count, ops) = self.take_queue(turn, name);
        if !ops.is_empty() {
            turn.shared.submit(ops, Mode::Async, turn.worker, |_| Step::Flushed);
        }
        count
    }

    pub(crate) fn take_queue(&mut self, turn: &mut Turn<'_>, name: &Bytes) -> (u64, Vec<Op>) {
        let Some(id) = self.queues.id(name) else { return (0, Vec::new()) };
        let target = BindTarget::Queue(name.clone());
        let gone: Vec<Binding> = self.catalogue.bindings_to(&target).cloned().collect();
        let mut ops = self.unbind(turn, &gone);
        let mut changes = Vec::new();
        self.catalogue.remove_queue(name, &mut changes);
        ops.extend(rows(changes));
        if is_durable(id) {
            // Its references go with it.
            ops.push(Op::DropLog(LogId(id)));
        }
        let count = self.queues.get(id).map_or(0, |queue| queue.len() as u64);
        if let Some(queue) = self.queues.remove(id) {
            if let Some(timer) = queue.timer {
                self.timers.cancel(timer);
            }
            turn.shared.outdate_routes();
            self.dismiss(turn, &queue);
        }
        (count, ops)
    }

    /// The queue, if this connection may use it.
    pub(crate) fn usable_queue(&self, conn: ConnId, name: &Bytes) -> Result<u64, Refusal> {
        let id = self.queues.id(name).ok_or(Refusal::NotFound)?;
        let owner = self.queues.get(id).and_then(|queue| queue.owner);
        if owner.is_some_and(|owner| owner != conn) {
            return Err(Refusal::Locked);
        }
        Ok(id)
    }

    /// Takes back a queue and its unsettled references at the start.
    pub(crate) fn restore_queue(
        &mut self,
        engine: &Arc<dyn Engine>,
        now: std::time::Instant,
        (id, declaration): (u64, QueueDeclaration),
    ) {
        let clock = engine.clock_ms();
        let mut queue = Queue::new(declaration, None, clock);
        let options = queue.declaration.options().clone();
        let mut sizes = options.max_bytes.map(|_| Sizes::default());
        queue.aside = Aside::started(clock);
        let mut minutes = BTreeSet::new();
        let mut from = 0;
        loop {
            let page = engine.refs(LogId(id), from, PAGE);
            let Some(last) = page.last() else { break };
            from = last.place + 1;
            for reference in &page {
                if reference.not_before_ms > clock && queue.aside.found(reference.not_before_ms) {
                    minutes.insert(minute(id, reference.not_before_ms).at_ms);
                    continue;
                }
                let mut item = Item::restored(reference);
                if let Some(sizes) = &mut sizes {
                    item.set_bytes(sizes.of(&**engine, reference.log, reference.offset));
                }
                if reference.not_before_ms > clock {
                    queue.backlog.push_delayed(item, reference.not_before_ms);
                } else {
                    queue.backlog.push(item);
                }
                self.queues.held += 1;
            }
        }
        self.deadlines.expect(engine, Kind::PutOff, id, minutes);
        queue.timed |= !queue.is_empty();
        let waits = !queue.is_empty()
            && (options.message_ttl_ms.is_some() || options.dead_letter.is_some());
        if waits
            || queue.drops()
            || queue.backlog.next_wake().is_some()
            || options.unused_ms.is_some()
        {
            queue.timer = Some(self.timers.add(now, Due::Queue(id)));
        }
        self.queues.insert(id, queue);
    }
}

/// Payload sizes of stored records, a batch at a time.
#[derive(Default)]
struct Sizes {
    log: Option<LogId>,
    of: HashMap<u64, usize>,
}

impl Sizes {
    fn of(&mut self, engine: &dyn Engine, log: LogId, offset: u64) -> usize {
        if self.log != Some(log) || !self.of.contains_key(&offset) {
            self.read(engine, log, offset);
        }
        self.of.get(&offset).copied().unwrap_or(0)
    }

    fn read(&mut self, engine: &dyn Engine, log: LogId, offset: u64) {
        self.log = Some(log);
        self.of.clear();
        let limits = ReadLimits { max_bytes: 1, held: true };
        let Ok(batches) = engine.read(log, offset, limits) else { return };
        for stored in &batches {
            for record in batch::records(&stored.bytes).unwrap_or_default() {
                let size = record.value.as_ref().map_or(0, Bytes::len);
                self.of.insert(record.offset, size);
            }
        }
    }
}
