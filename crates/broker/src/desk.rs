//! One per I/O worker: takes requests, and keeps routes that were computed before.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use model::budget::Level;
use model::record::Space;
use model::subject::Subject;
use protocol::{ConnId, Notice, Now, Refusal, Reply, Request, Token};

use crate::completion::{Completion, Step};
use crate::guard::Seats;
use crate::open::Broker;
use crate::port::Port;
use crate::router::Route;
use crate::timers::Due;
use crate::turn::Turn;

/// Bytes on their way to the disk above which sockets are not read. Engines take twice as much and
/// more, so that what is read already is not refused.
const CONGESTED_BYTES: u64 = 16 << 20;
/// Most routes that a desk keeps, over all spaces.
const ROUTES_MAX: usize = 65_536;
/// The same while memory is scarce.
const ROUTES_CROWDED: usize = 4_096;

/// The broker as one worker sees it.
#[derive(Debug)]
pub struct Desk {
    pub(crate) broker: Arc<Broker>,
    pub(crate) worker: u16,
    pub(crate) routes: Routes,
    pub(crate) seats: Seats,
    /// Connections of which it is being found out who they are.
    pub(crate) logins: HashSet<ConnId>,
}

/// Routes of subjects and queues that were published to.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    epoch: u64,
    kept: usize,
    shared: HashMap<Subject, Arc<Route>, FixedState>,
    named: HashMap<Space, HashMap<Subject, Arc<Route>, FixedState>>,
    queues: HashMap<Bytes, Arc<Route>, FixedState>,
}

impl Routes {
    /// The route of a subject: cached, or computed.
    pub(crate) fn get(&mut self, turn: &Turn<'_>, space: &Space, subject: &Subject) -> Arc<Route> {
        self.let_go(turn);
        let cache = if space.is_shared() {
            &mut self.shared
        } else {
            self.named.entry_ref(space).or_default()
        };
        if let Some(route) = cache.get(subject) {
            return route.clone();
        }
        self.kept += 1;
        turn.shared.routes.fetch_add(1, Ordering::Relaxed);
        let route = Arc::new(turn.shared.fresh_route(space, subject));
        cache.insert(subject.detached(), route.clone());
        route
    }

    /// The route of a queue of this name, which `find` knows the number of.
    pub(crate) fn of_queue(
        &mut self,
        turn: &Turn<'_>,
        name: &Bytes,
        find: impl FnOnce() -> Option<u64>,
    ) -> Arc<Route> {
        self.let_go(turn);
        if let Some(route) = self.queues.get(name) {
            return route.clone();
        }
        // One that comes later has no part in what is kept here.
        let Some(queue) = find() else { return Arc::default() };
        self.kept += 1;
        turn.shared.routes.fetch_add(1, Ordering::Relaxed);
        let route = Arc::new(Route { queues: vec![queue], ..Route::default() });
        self.queues.insert(Bytes::copy_from_slice(name), route.clone());
        route
    }

    /// Forgets what is out of date, and everything when it is too much.
    fn let_go(&mut self, turn: &Turn<'_>) {
        let epoch = turn.shared.epoch.load(Ordering::Acquire);
        let crowded =
            self.kept >= ROUTES_CROWDED && turn.shared.pressure.budget.level() >= Level::Shrink;
        if epoch == self.epoch && self.kept < ROUTES_MAX && !crowded {
            return;
        }
        self.shared.clear();
        self.named.clear();
        self.queues.clear();
        turn.shared.routes.fetch_sub(self.kept as u64, Ordering::Relaxed);
        self.kept = 0;
        self.epoch = epoch;
    }
}

impl Desk {
    /// Carries a request out. Answers and deliveries go to `port`, now or in a later turn.
    pub fn request(
        &mut self,
        now: Now,
        conn: ConnId,
        token: Option<Token>,
        request: Request,
        port: &mut dyn Port,
    ) {
        let broker = self.broker.clone();
        let mut turn = Turn::new(now, port, &broker.shared, self.worker);
        let turn = &mut turn;
        if let Err(refusal) = self.authorise(turn, conn, &request) {
            return turn.refuse(conn, token, refusal);
        }
        match request {
            Request::Publish(publish) => {
                self.publish(turn, Some(conn), token, publish);
                return self.bury(turn);
            }
            Request::Authenticate(asked) => return self.authenticate(turn, conn, token, asked),
            Request::Append(append) => return self.append(turn, conn, token, append),
            Request::Read(read) => return self.read(turn, conn, token, read),
            Request::PurgeStream(purge) => return self.purge_stream(turn, conn, token, purge),
            Request::Locate(stream, partition, position) => {
                return self.locate(turn, conn, token, &stream, partition, position);
            }
            other @ (Request::Subscribe(_)
            | Request::Unsubscribe(_)
            | Request::Claim(_)
            | Request::Release(_)
            | Request::Remember(_)
            | Request::Settle(_)
            | Request::Declare(_)
            | Request::Alter(_)
            | Request::Destroy(_)
            | Request::Bind(_)
            | Request::Unbind(_)
            | Request::DescribeStreams { .. }
            | Request::DescribeQueue(_)
            | Request::DescribeSpace(_)
            | Request::Purge(_)
            | Request::Consume(_)
            | Request::Cancel(_)
            | Request::Window { .. }
            | Request::Pull(_)
            | Request::OpenCursor(_)
            | Request::PullCursor(_)
            | Request::CloseCursor(_)
            | Request::Propose(_)
            | Request::NewProducer) => {
                let mut core = broker.lock();
                core.request(turn, conn, token, other);
            }
        }
        self.publish_wills(turn);
        self.catch_up(turn);
        self.bury(turn);
    }

    /// Goes on with what the engine finished.
    pub fn complete(&mut self, now: Now, completion: Completion, port: &mut dyn Port) {
        let broker = self.broker.clone();
        let mut turn = Turn::new(now, port, &broker.shared, self.worker);
        let turn = &mut turn;
        match completion.0 {
            Step::Published(done) => self.published(turn, *done),
            Step::Appended(done) => self.appended(turn, *done),
            Step::Login(login) => self.logged_in(turn, *login),
            Step::Recheck => self.recheck(turn),
            Step::Expel(conn) => turn.port.notice(conn, Notice::Expelled),
            Step::Reply { conn, token, reply } => turn.reply(conn, token, reply),
            Step::Claimed { conn, token, claimed, session } => {
                broker.lock().claimed(turn, session, (conn, token), claimed);
            }
            Step::Kept(flushed, taken) => broker.lock().flushed(&flushed, taken),
            Step::Ended(session) => broker.lock().forget_memory(turn, session),
            Step::Subscribed { conn, token, replay } => {
                turn.reply(conn, token, Reply::Subscribed);
                if let Some(replay) = replay {
                    broker.lock().replay(turn, replay);
                }
            }
            Step::Replay(replay) => broker.lock().replay(turn, replay),
            Step::Dispatch(queue) => broker.lock().dispatch(turn, queue),
            Step::Fresh(queue) => broker.lock().dispatch_fresh(turn, queue),
            Step::Queue(queue) => broker.lock().queue_due(turn, queue),
            Step::Bury => turn.burials = true,
            Step::Records(cursor) => broker.lock().cursor_due(turn, cursor),
            Step::BuryRecord(cursor) => self.bury_record(turn, cursor),
            Step::Answers(answers) => {
                for (to, answer) in answers {
                    turn.port.reply(to.conn, to.token, Reply::Proposed(answer));
                }
            }
            Step::Unkept(proposers) => {
                for to in proposers {
                    turn.refuse(to.conn, Some(to.token), Refusal::StorageUnavailable);
                }
            }
            Step::Producers { upto, refused } => broker.lock().producers_ready(turn, upto, refused),
            Step::Scan(session) => broker.lock().scan(turn, session),
            Step::Compacted { log, taken } => self.compacted(turn, log, taken),
            Step::Purge(job) => self.go_on_purging(turn, *job),
            Step::Watch => broker.lock().watch(turn),
            Step::Unpark => self.unpark(turn),
            Step::Deadlines { kept, lost } => broker.lock().deadlines_kept(turn, &kept, lost),
            Step::PutOff(put_off) => broker.lock().put_aside(turn, *put_off),
            Step::Recall(queue, number) => {
                broker.lock().go_on_recalling(turn, queue, number);
            }
            Step::DeadlinesMet { removed } => {
                broker.lock().deadlines_met(turn, removed);
                self.publish_wills(turn);
            }
            Step::Flushed | Step::Tick => {}
        }
        self.catch_up(turn);
        self.bury(turn);
    }

    /// Forgets a connection: what it had unsettled goes back, what was its own goes with it.
    pub fn gone(&mut self, now: Now, conn: ConnId, port: &mut dyn Port) {
        let broker = self.broker.clone();
        let mut turn = Turn::new(now, port, &broker.shared, self.worker);
        broker.lock().gone(&mut turn, conn);
        self.leaves(conn);
        self.publish_wills(&mut turn);
        self.catch_up(&mut turn);
        self.bury(&mut turn);
    }

    /// The connection's outbound bytes crossed the high mark (`stopped`) or the low one.
    pub fn flow(&mut self, now: Now, conn: ConnId, stopped: bool, port: &mut dyn Port) {
        let broker = self.broker.clone();
        let mut turn = Turn::new(now, port, &broker.shared, self.worker);
        broker.lock().flow(&mut turn, conn, stopped);
        self.catch_up(&mut turn);
        self.bury(&mut turn);
    }

    /// Whether so much waits to be written that the engine would soon refuse more.
    pub fn is_congested(&self) -> bool {
        self.broker.shared.engine.pending_bytes() > CONGESTED_BYTES
    }

    /// Whether sessions are to know that publishing is refused for want of room.
    pub fn is_pressed(&self) -> bool {
        self.broker.shared.pressure.is_told()
    }

    /// When [`Desk::timeout`] is due. The first worker keeps the timers of all.
    pub fn deadline(&self) -> Option<Instant> {
        if self.worker == 0 { self.broker.lock().timers.deadline() } else { None }
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: Now, port: &mut dyn Port) {
        let broker = self.broker.clone();
        let mut turn = Turn::new(now, port, &broker.shared, self.worker);
        let turn = &mut turn;
        loop {
            let Some(due) = broker.lock().timers.take(now.instant) else { break };
            match due {
                Due::Read(waiter) => self.read_timeout(turn, waiter),
                Due::Deadlines => broker.lock().deadlines_due(turn),
                Due::Lost(deadline) => broker.lock().meet(turn, deadline),
                Due::Queue(queue) => broker.lock().queue_due(turn, queue),
                Due::Records(cursor) => broker.lock().cursor_due(turn, cursor),
                Due::Burials => broker.lock().wake_buriers(turn),
                Due::Module(index) => broker.lock().module_timeout(turn, index),
                Due::Flush => broker.lock().flush(turn),
                Due::Sweep => broker.lock().sweep(turn),
                Due::Compact => self.compact_step(turn),
            }
        }
        self.publish_wills(turn);
        self.catch_up(turn);
        self.bury(turn);
    }

    /// Wills that became due under the lock are published outside of it.
    fn publish_wills(&mut self, turn: &mut Turn<'_>) {
        let wills = self.broker.lock().sessions.take_wills();
        for (will, session) in wills {
            self.publish_will(turn, will, session);
        }
    }
}
