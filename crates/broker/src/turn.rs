//! One turn of a worker: what everything that handles a request needs at hand.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use model::record::Space;
use model::subject::Subject;
use protocol::{ConnId, Node, Now, Refusal, Reply, Token};
use security::{Access, Action};
use storage::{Committed, Engine, LogId, Mode, Op, SubmitError, Write};

use crate::alias::Aliases;
use crate::completion::{Completion, Step};
use crate::guard::{Guard, Rights};
use crate::home::Home;
use crate::last_values::LastValues;
use crate::open::Protocols;
use crate::port::{Authenticator, Mail, Port};
use crate::pressure::Pressure;
use crate::router::{Route, Router};
use crate::stats::Counters;

/// What all workers share without the core's lock.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) mail: Arc<dyn MailDebug>,
    pub(crate) node: Arc<Node>,
    pub(crate) router: RwLock<Router>,
    /// Raised with each change of the router and each queue that goes; routes of another epoch are
    /// stale.
    pub(crate) epoch: AtomicU64,
    pub(crate) last_values: LastValues,
    pub(crate) aliases: Aliases,
    pub(crate) counters: Counters,
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) workers: AtomicU16,
    /// Routes that desks keep, for what they take in memory.
    pub(crate) routes: AtomicU64,
    pub(crate) default_home: Arc<Home>,
    pub(crate) protocols: Protocols,
    pub(crate) spools: Vec<LogId>,
    pub(crate) guard: Guard,
    pub(crate) authenticator: Option<Arc<dyn Authenticator>>,
}

impl std::fmt::Debug for dyn Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticator")
    }
}

/// [`Mail`] that can stand in a structure that derives `Debug`.
pub(crate) trait MailDebug: Mail + std::fmt::Debug {}

/// Gives any mail a `Debug`.
pub(crate) struct Opaque(pub(crate) Arc<dyn Mail>);

impl std::fmt::Debug for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mail")
    }
}

impl Mail for Opaque {
    fn post(&self, worker: u16, completion: Completion) {
        self.0.post(worker, completion);
    }
}

impl MailDebug for Opaque {}

impl Shared {
    /// The worker that goes on with commits of a log, so that they are handled in order.
    pub(crate) fn worker_of(&self, log: LogId) -> u16 {
        let workers = u64::from(self.workers.load(Ordering::Relaxed).max(1));
        u16::try_from(log.0 % workers).expect("a remainder of a u16")
    }

    /// Hands a write to the engine; `then` tells what the worker goes on with.
    pub(crate) fn submit(
        &self,
        ops: Vec<Op>,
        mode: Mode,
        worker: u16,
        then: impl FnOnce(Result<Committed, SubmitError>) -> Step + Send + 'static,
    ) {
        let (mail, pressure) = (self.mail.clone(), self.pressure.clone());
        self.engine.submit(
            Write { ops, mode },
            Box::new(move |result| {
                if let Err(error) = &result
                    && pressure.note(error)
                {
                    mail.post(0, Completion(Step::Watch));
                }
                mail.post(worker, Completion(then(result)));
            }),
        );
    }

    /// Changes the router.
    pub(crate) fn reroute<R>(&self, change: impl FnOnce(&mut Router) -> R) -> R {
        let mut router = self.router.write().expect("no panic under this lock");
        let result = change(&mut router);
        self.outdate_routes();
        result
    }

    /// Routes that were computed before are not to be used any more.
    pub(crate) fn outdate_routes(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// A route as it is now, not cached.
    pub(crate) fn fresh_route(&self, space: &Space, subject: &Subject) -> Route {
        let router = self.router.read().expect("no panic under this lock");
        let mut route = router.route(space, subject);
        self.guard.screen(subject, &mut route);
        route
    }
}

/// One turn.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) port: &'a mut dyn Port,
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) worker: u16,
    /// What whoever asks may do; `None` where the broker itself goes on.
    pub(crate) access: Option<Arc<Access>>,
    /// Queues gave up what this worker is to bury before it ends the turn.
    pub(crate) burials: bool,
    /// Sessions that read their logs before this worker ends the turn, outside of the lock.
    pub(crate) behind: Vec<u64>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(
        now: Now,
        port: &'a mut dyn Port,
        shared: &'a Arc<Shared>,
        worker: u16,
    ) -> Self {
        Self { now, port, shared, worker, access: None, burials: false, behind: Vec::new() }
    }
}

impl Turn<'_> {
    /// Whether whoever asks may do this to a stream or view of this name.
    pub(crate) fn may_stream(&self, action: Action, name: &[u8]) -> bool {
        self.access.as_ref().is_none_or(|access| access.may_stream(action, name))
    }

    /// Answers, if an answer is wanted.
    pub(crate) fn reply(&mut self, conn: ConnId, token: Option<Token>, reply: Reply) {
        if let Some(token) = token {
            self.port.reply(conn, token, reply);
        }
    }

    /// Refuses, if an answer is wanted.
    pub(crate) fn refuse(&mut self, conn: ConnId, token: Option<Token>, refusal: Refusal) {
        self.reply(conn, token, Reply::Refused(refusal));
    }

    /// Makes rows durable, then answers.
    pub(crate) fn reply_after(
        &self,
        ops: Vec<Op>,
        conn: ConnId,
        token: Option<Token>,
        reply: Reply,
    ) {
        self.shared.submit(ops, Mode::Durable, self.worker, move |result| match result {
            Ok(_) => Step::Reply { conn, token, reply },
            Err(error) => Step::Reply { conn, token, reply: Reply::Refused(refusal_of(&error)) },
        });
    }
}

/// How a write that failed is told.
pub(crate) fn refusal_of(error: &SubmitError) -> Refusal {
    match error {
        SubmitError::NoLog(_) => Refusal::NotFound,
        SubmitError::OutOfOrder => Refusal::OutOfOrder,
        SubmitError::Fenced => Refusal::Fenced,
        SubmitError::Limit(_) => Refusal::Limit("records of the stream"),
        SubmitError::Bound(what) => Refusal::Limit(what),
        SubmitError::Busy | SubmitError::Full => Refusal::NoRoom,
        SubmitError::Poisoned => Refusal::StorageUnavailable,
    }
}
