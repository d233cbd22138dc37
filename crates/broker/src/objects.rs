//! Subscriptions, spaces, queues and bindings: made, changed, removed. Each request under the lock.

use bytes::Bytes;
use model::filter::Filter;
use model::record::Space;
use model::subject::Subject;
use protocol::{
    BindTarget, Binding, ConnId, Consume, Declare, Declared, Delivery, Destroy, Matched,
    QueueDeclaration, Refusal, Release, Reply, Request, SpaceDeclaration, SpaceStatus, Start,
    Subscribe, Token,
};
use storage::{LogId, Mode, Op};

use crate::completion::{Completion, Step};
use crate::conns::{Held, Window};
use crate::publish::memory_key;
use crate::queues::is_durable;
use crate::router::Target;
use crate::sessions::{Cursor, Durable, SHARE, cursor_name, share_name};
use crate::state::{Core, rows, table};
use crate::turn::Turn;

/// Last values that a subscription gets in one turn.
const REPLAY_PAGE: usize = 256;
/// Most spaces of a node.
const SPACES_MAX: usize = 100_000;
/// Most bindings of a node.
const BINDINGS_MAX: usize = 10_000_000;
/// The window that shared subscriptions of a connection take their places in.
const SHARE_WINDOW: u32 = u32::MAX;

/// Last values on their way to a new subscription.
#[derive(Debug)]
pub(crate) struct Replay {
    conn: ConnId,
    number: u32,
    space: Space,
    filter: Filter,
    mark: u64,
    after: Option<Subject>,
}

impl Core {
    /// One request that needs the lock.
    pub(crate) fn request(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        request: Request,
    ) {
        match request {
            Request::Subscribe(subscribe) => self.subscribe(turn, conn, token, subscribe),
            Request::Unsubscribe(number) => self.unsubscribe(turn, conn, token, number),
            Request::Claim(claim) => self.claim(turn, conn, token, claim),
            Request::Release(release) => self.release(turn, conn, token, release),
            Request::Remember(remember) => self.remember(turn, conn, token, &remember),
            Request::Settle(settle) => self.settle(turn, conn, token, settle),
            Request::Declare(declare) => self.declare(turn, conn, token, declare),
            Request::Alter(alter) => self.alter_stream(turn, conn, token, alter),
            Request::Destroy(destroy) => self.destroy(turn, conn, token, destroy),
            Request::Bind(binding) => self.bind(turn, conn, token, binding),
            Request::Unbind(binding) => {
                let changes = self.unbind(turn, &[binding]);
                self.answer_rows(turn, conn, token, changes, Reply::Done);
            }
            Request::DescribeStreams { streams, create } => {
                self.describe_streams(turn, conn, token, streams, create);
            }
            Request::DescribeQueue(name) => {
                let reply = self.describe_queue(turn, conn, &name);
                turn.reply(conn, token, reply);
            }
            Request::DescribeSpace(name) => {
                let reply = match self.catalogue.space(&name) {
                    Some(space) => Reply::Space(SpaceStatus { declaration: space.clone() }),
                    None => Reply::Refused(Refusal::NotFound),
                };
                turn.reply(conn, token, reply);
            }
            Request::Purge(name) => {
                let reply = match self.usable_queue(conn, &name) {
                    Ok(id) => Reply::Purged(self.purge(turn, id)),
                    Err(refusal) => Reply::Refused(refusal),
                };
                turn.reply(conn, token, reply);
            }
            Request::Consume(consume) => self.consume(turn, conn, token, consume),
            Request::Cancel(number) => {
                self.cancel(turn, conn, number);
                turn.reply(conn, token, Reply::Done);
            }
            Request::Window { window, size } => {
                self.conns.rare(conn).windows.entry(window).or_default().size = size;
                self.flow_if_open(turn, conn);
                turn.reply(conn, token, Reply::Done);
            }
            Request::Pull(pull) => self.pull(turn, conn, token, &pull),
            Request::OpenCursor(open) => self.open_cursor(turn, conn, token, open),
            Request::PullCursor(pull) => self.pull_cursor(turn, conn, token, pull),
            Request::CloseCursor(close) => self.close_cursor(turn, conn, token, close),
            Request::Propose(propose) => self.propose(turn, conn, token, propose),
            Request::NewProducer => self.new_producer(turn, conn, token),
            Request::Authenticate(_)
            | Request::Publish(_)
            | Request::Append(_)
            | Request::Read(_)
            | Request::Locate(..)
            | Request::PurgeStream(_) => {
                unreachable!("the desk answers these itself")
            }
        }
    }

    fn flow_if_open(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        if self.conns.is_open(conn) {
            self.flow(turn, conn, false);
        }
    }

    /// Makes rows durable and answers; at once when there are none.
    pub(crate) fn answer_rows(
        &self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        ops: Vec<Op>,
        reply: Reply,
    ) {
        if ops.is_empty() {
            turn.reply(conn, token, reply);
        } else {
            turn.reply_after(ops, conn, token, reply);
        }
    }

    fn subscribe(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        subscribe: Subscribe,
    ) {
        let limit = turn.shared.node.limits.subscriptions;
        let held = self.conns.get(conn).map_or(0, |c| c.subscriptions.len());
        let durable = self.session_of(conn).map_or(0, |id| self.sessions.subscriptions(id));
        if held + durable >= limit {
            return turn.refuse(conn, token, Refusal::Limit("subscriptions of a connection"));
        }
        let session = self.session_of(conn).filter(|_| subscribe.durable);
        let filter = subscribe.filter.detached();
        let (number, space) = (subscribe.number, subscribe.space.clone());
        let mut ops = Vec::new();
        let replaced = self.replace(turn, conn, number, &mut ops);
        let wants_values = match subscribe.start {
            Start::Now => false,
            Start::LastValues => true,
            Start::LastValuesIfNew => !replaced,
        };
        let mark = match session {
            Some(id) => self.subscribe_durable(turn, conn, id, subscribe, &filter, &mut ops),
            None => match self.share_of(subscribe.group.as_deref()) {
                Some(queue) => {
                    self.join_share(turn, conn, number, queue);
                    0
                }
                None => self.subscribe_live(turn, conn, &subscribe, &filter),
            },
        };
        let replay = wants_values
            .then(|| Box::new(Replay { conn, number, space, filter, mark, after: None }));
        if ops.is_empty() {
            turn.reply(conn, token, Reply::Subscribed);
            if let Some(replay) = replay {
                self.replay(turn, replay);
            }
            return;
        }
        turn.shared.submit(ops, Mode::Durable, turn.worker, move |result| match result {
            Ok(_) => Step::Subscribed { conn, token, replay },
            Err(error) => {
                let refusal = crate::turn::refusal_of(&error);
                Step::Reply { conn, token, reply: Reply::Refused(refusal) }
            }
        });
    }

    fn subscribe_live(
        &mut self,
        turn: &Turn<'_>,
        conn: ConnId,
        subscribe: &Subscribe,
        filter: &Filter,
    ) -> u64 {
        let Subscribe { number, skip_own, .. } = *subscribe;
        let target = match &subscribe.group {
            None => Target::Live { conn, number, skip_own },
            Some(group) => {
                let group = Bytes::copy_from_slice(group);
                self.sessions.live_members.entry_ref(&group).or_default().push((conn, number));
                Target::Member { group, conn, number, skip_own }
            }
        };
        let mark = turn.shared.reroute(|router| {
            router.insert(&subscribe.space, filter, target.clone());
            turn.shared.last_values.mark()
        });
        let space = subscribe.space.clone();
        self.conns.entry(conn).hold(Held { number, space, filter: filter.clone(), target });
        mark
    }

    fn subscribe_durable(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        id: u64,
        subscribe: Subscribe,
        filter: &Filter,
        ops: &mut Vec<Op>,
    ) -> u64 {
        let Subscribe { number, space, group, memo, skip_own, .. } = subscribe;
        let mut since = Vec::new();
        if group.is_none() && space.is_shared() {
            for log in self.logs_of(turn, filter) {
                let end = turn.shared.engine.bounds(log).map_or(0, |bounds| bounds.end);
                since.push((log, end));
            }
        }
        let subscription = Durable {
            space: space.clone(),
            filter: filter.clone(),
            group: group.map(|g| Bytes::copy_from_slice(&g)),
            memo: Bytes::copy_from_slice(&memo),
            skip_own,
            since: since.clone(),
        };
        ops.push(subscription_row(id, number, &subscription));
        let share = subscription.group.as_ref().map(|group| share_name(group, filter));
        if let Some(share) = &share {
            self.sessions.join_share(share);
        }
        let session = self.sessions.get_mut(id).expect("a claimed session is there");
        session.subscriptions.insert(number, subscription);
        for (log, end) in since {
            let cursor = session.cursors.entry(log).or_insert_with(|| Cursor::at(end));
            let processed = self.processed.get(&log).copied().unwrap_or_default();
            let state = Some(cursor.state(processed));
            ops.push(Op::Cursor { name: cursor_name(id), log, state });
        }
        match share {
            None => turn.shared.reroute(|router| {
                router.insert(&space, filter, Target::Durable { session: id, number });
                turn.shared.last_values.mark()
            }),
            Some(queue) => {
                self.make_share(turn, &queue, &space, filter, ops);
                self.join_share(turn, conn, number, queue);
                turn.shared.last_values.mark()
            }
        }
    }

    /// The logs that a filter's messages may be stored in.
    pub(crate) fn logs_of(&self, turn: &Turn<'_>, filter: &Filter) -> Vec<LogId> {
        let literal = filter.as_literal();
        let mut logs: Vec<LogId> = Vec::new();
        let default = &turn.shared.default_home;
        match &literal {
            Some(subject) => logs.push(default.log(subject, None, None)),
            None => logs.extend(&default.logs),
        }
        for stream in self.catalogue.streams() {
            if stream.filters.iter().any(|f| f.overlaps(filter)) {
                logs.extend(stream.logs.iter().map(|log| LogId(*log)));
            }
        }
        logs
    }

    /// Takes out the subscription of this number; whether there was one.
    fn replace(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        number: u32,
        ops: &mut Vec<Op>,
    ) -> bool {
        let mut found = false;
        if let Some(held) = self.conns.get_mut(conn).and_then(|c| c.let_go(number)) {
            self.unroute(turn, std::slice::from_ref(&held));
            found = true;
        }
        if self.conns.get(conn).is_some_and(|c| c.consumes(number)) {
            self.cancel(turn, conn, number);
            found = true;
        }
        if let Some(id) = self.session_of(conn)
            && let Some(old) =
                self.sessions.get_mut(id).and_then(|s| s.subscriptions.remove(&number))
        {
            self.drop_durable(turn, id, number, &old, ops);
            found = true;
        }
        found
    }

    fn unsubscribe(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        number: u32,
    ) {
        let mut ops = Vec::new();
        if self.replace(turn, conn, number, &mut ops) {
            self.answer_rows(turn, conn, token, ops, Reply::Done);
        } else {
            turn.refuse(conn, token, Refusal::NotFound);
        }
    }

    /// Goes on with last values, as long as their receiver keeps up.
    pub(crate) fn replay(&mut self, turn: &mut Turn<'_>, mut replay: Box<Replay>) {
        let stands = self.conns.get(replay.conn).is_some_and(|conn| {
            conn.subscriptions.iter().any(|held| held.number == replay.number)
                || conn.session.is_some()
        });
        if !stands {
            return;
        }
        if !self.conns.is_open(replay.conn) {
            self.conns.rare(replay.conn).replays.push(*replay);
            return;
        }
        let page = turn.shared.last_values.page(
            &replay.space,
            &replay.filter,
            replay.mark,
            replay.after.as_ref(),
            REPLAY_PAGE,
        );
        for message in page.messages {
            let guard = &turn.shared.guard;
            let may =
                message.subject().is_none_or(|subject| guard.may_receive(replay.conn, subject));
            if !may || message.record.is_expired(turn.now.unix_ms) {
                continue;
            }
            let delivery = Delivery {
                message,
                matched: Matched::One(replay.number),
                tag: None,
                redelivered: false,
                deliveries: None,
                last_value: true,
            };
            turn.port.deliver(replay.conn, delivery);
        }
        if let Some(after) = page.more_after {
            replay.after = Some(after);
            turn.shared.mail.post(turn.worker, Completion(Step::Replay(replay)));
        }
    }

    fn declare(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        declare: Declare,
    ) {
        match declare {
            Declare::Stream(stream) => self.declare_stream(turn, conn, token, &stream),
            Declare::Space(space) => {
                let reply = match self.catalogue.space(&space.name) {
                    Some(there) if is_same_space(there, &space) => Reply::Declared(Declared::Space),
                    Some(there) => Reply::Refused(Refusal::DifferentSpace(Box::new(there.clone()))),
                    None if self.catalogue.space_count() >= SPACES_MAX => {
                        Reply::Refused(Refusal::Limit("spaces"))
                    }
                    None => {
                        let mut changes = Vec::new();
                        self.catalogue.add_space(space, &mut changes);
                        let reply = Reply::Declared(Declared::Space);
                        return self.answer_rows(turn, conn, token, rows(changes), reply);
                    }
                };
                turn.reply(conn, token, reply);
            }
            Declare::Queue(queue) => self.declare_queue(turn, conn, token, queue),
        }
    }

    fn make_share(
        &mut self,
        turn: &mut Turn<'_>,
        name: &Bytes,
        space: &Space,
        filter: &Filter,
        ops: &mut Vec<Op>,
    ) {
        if let Some(id) = self.queues.id(name) {
            let queue = self.queues.get_mut(id).expect("an id of the index");
            queue.declaration.auto_delete = false;
            return;
        }
        let declaration = QueueDeclaration {
            name: name.clone(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Bytes::new(),
            options: None,
        };
        self.make_queue(turn, declaration, None, ops);
        let binding = Binding {
            source: space.clone(),
            target: BindTarget::Queue(name.clone()),
            filter: filter.clone(),
            headers: None,
            identity: Bytes::new(),
            durable: true,
        };
        let mut changes = Vec::new();
        self.add_binding(turn, binding, &mut changes);
        ops.extend(rows(changes));
        // Those who shared live until now share the queue.
        let members = self.sessions.live_members.remove(&name[SHARE.len()..]);
        for (conn, number) in members.into_iter().flatten() {
            if let Some(held) = self.conns.get_mut(conn).and_then(|c| c.let_go(number)) {
                self.unroute(turn, std::slice::from_ref(&held));
                self.join_share(turn, conn, number, name.clone());
            }
        }
    }

    /// The queue of a share that has durable members.
    fn share_of(&self, group: Option<&[u8]>) -> Option<Bytes> {
        let name = Bytes::from([SHARE, group?].concat());
        self.queues.id(&name).map(|_| name)
    }

    /// Takes live subscriptions out of the router.
    fn unroute(&mut self, turn: &Turn<'_>, all: &[Held]) {
        for held in all {
            if let Target::Member { group, conn, number, .. } = &held.target
                && let Some(members) = self.sessions.live_members.get_mut(group)
            {
                members.retain(|member| member != &(*conn, *number));
                if members.is_empty() {
                    self.sessions.live_members.remove(group);
                }
            }
        }
        turn.shared.reroute(|router| {
            for held in all {
                router.remove(&held.space, &held.filter, &held.target);
            }
        });
    }

    pub(crate) fn join_share(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        number: u32,
        queue: Bytes,
    ) {
        let window = self
            .session_of(conn)
            .and_then(|id| self.sessions.get_mut(id))
            .map_or(1, |s| s.window());
        let windows = &mut self.conns.rare(conn).windows;
        windows.entry(SHARE_WINDOW).or_insert(Window { size: window, used: 0 });
        let consume = Consume {
            number,
            queue,
            no_ack: false,
            exclusive: false,
            priority: 0,
            windows: vec![SHARE_WINDOW],
        };
        self.consume(turn, conn, None, consume);
    }

    /// A session left a share; the last one takes its queue along.
    pub(crate) fn leave_share(&mut self, turn: &mut Turn<'_>, group: &Bytes, filter: &Filter) {
        let share = share_name(group, filter);
        if !self.sessions.leave_share(&share) {
            return;
        }
        // Without durable members it lives as long as live ones consume it.
        match self.queues.id(&share).and_then(|id| self.queues.get_mut(id)) {
            Some(queue) if queue.consumers() > 0 => queue.declaration.auto_delete = true,
            Some(_) | None => {
                self.remove_queue(turn, &share);
            }
        }
    }

    fn bind(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        mut binding: Binding,
    ) {
        binding.filter = binding.filter.detached();
        let source =
            binding.source.name().map(|name| name.strip_prefix("exchange/").unwrap_or(name));
        let source = source.and_then(|name| self.catalogue.space(name.as_bytes()));
        if !binding.source.is_shared() && source.is_none() {
            return turn.refuse(conn, token, Refusal::NotFound);
        }
        let source_lasts = source.is_none_or(|s| s.durable || s.builtin);
        let target_lasts = match &binding.target {
            BindTarget::Queue(name) => match self.usable_queue(conn, name) {
                Ok(id) => is_durable(id),
                Err(refusal) => return turn.refuse(conn, token, refusal),
            },
            // The shared space has no name; it is always there.
            BindTarget::Space(name) if name.is_empty() => true,
            BindTarget::Space(name) => match self.catalogue.space(name) {
                Some(space) => space.durable || space.builtin,
                None => return turn.refuse(conn, token, Refusal::NotFound),
            },
        };
        if self.catalogue.binding_count() >= BINDINGS_MAX {
            return turn.refuse(conn, token, Refusal::Limit("bindings"));
        }
        binding.durable = binding.durable && source_lasts && target_lasts;
        let mut changes = Vec::new();
        self.add_binding(turn, binding, &mut changes);
        self.answer_rows(turn, conn, token, rows(changes), Reply::Done);
    }

    /// Puts a binding into the catalogue and the router.
    pub(crate) fn add_binding(
        &mut self,
        turn: &Turn<'_>,
        binding: Binding,
        changes: &mut Vec<meta::Change>,
    ) {
        if self.catalogue.bind(binding.clone(), changes) {
            turn.shared.reroute(|router| self.route_binding(router, &binding));
        }
    }

    /// Puts a binding that the catalogue has into the router.
    pub(crate) fn route_binding(&mut self, router: &mut crate::router::Router, binding: &Binding) {
        self.next_binding += 1;
        let number = self.next_binding;
        let Some(target) = self.binding_target(binding, number) else { return };
        let key = (binding.source.clone(), binding.target.clone(), binding.identity.clone());
        self.binding_numbers.insert(key, number);
        if let Some(condition) = &binding.headers {
            router.set_condition(number, condition.clone());
        }
        router.insert(&binding.source, &binding.filter, target);
    }

    fn binding_target(&self, binding: &Binding, number: u64) -> Option<Target> {
        Some(match &binding.target {
            BindTarget::Queue(name) => {
                Target::Queue { queue: self.queues.id(name)?, binding: number }
            }
            BindTarget::Space(name) => Target::Space { space: space_named(name), binding: number },
        })
    }

    /// Removes bindings, and auto-delete spaces that lost their last one; the rows that changed.
    pub(crate) fn unbind(&mut self, turn: &Turn<'_>, gone: &[Binding]) -> Vec<Op> {
        let mut changes = Vec::new();
        let removed = self.catalogue.unbind(gone, &mut changes);
        for binding in &removed {
            let key = (binding.source.clone(), binding.target.clone(), binding.identity.clone());
            let Some(number) = self.binding_numbers.remove(&key) else { continue };
            let Some(target) = self.binding_target(binding, number) else { continue };
            turn.shared.reroute(|router| {
                router.remove(&binding.source, &binding.filter, &target);
                router.clear_condition(number);
            });
        }
        let mut ops = rows(changes);
        for binding in &removed {
            let Some(name) = binding.source.name().and_then(|n| n.strip_prefix("exchange/")) else {
                continue;
            };
            let auto = self.catalogue.space(name.as_bytes()).is_some_and(|s| s.auto_delete);
            if auto && !self.catalogue.bindings().any(|b| b.source == binding.source) {
                ops.extend(self.remove_space(turn, name.as_bytes()));
            }
        }
        ops
    }

    fn remove_space(&mut self, turn: &Turn<'_>, name: &[u8]) -> Vec<Op> {
        let mut changes = Vec::new();
        self.catalogue.remove_space(name, &mut changes);
        let mut ops = rows(changes);
        let space = space_named(name);
        let gone: Vec<Binding> = self
            .catalogue
            .bindings()
            .filter(|b| b.source == space || matches!(&b.target, BindTarget::Space(n) if n == name))
            .cloned()
            .collect();
        ops.extend(self.unbind(turn, &gone));
        ops
    }

    fn destroy(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        destroy: Destroy,
    ) {
        match destroy {
            Destroy::Stream(stream) => self.destroy_stream(turn, conn, token, &stream),
            Destroy::Space { name, if_unused } => {
                let Some(space) = self.catalogue.space(&name) else {
                    return turn.refuse(conn, token, Refusal::NotFound);
                };
                if space.builtin {
                    return turn.refuse(conn, token, Refusal::Reserved);
                }
                let source = space_named(&name);
                if if_unused && self.catalogue.bindings().any(|b| b.source == source) {
                    return turn.refuse(conn, token, Refusal::InUse);
                }
                let ops = self.remove_space(turn, &name);
                self.answer_rows(turn, conn, token, ops, Reply::Destroyed(0));
            }
            Destroy::Queue { name, if_unused, if_empty } => {
                let id = match self.usable_queue(conn, &name) {
                    Ok(id) => id,
                    Err(refusal) => return turn.refuse(conn, token, refusal),
                };
                let queue = self.queues.get(id).expect("usable");
                if if_unused && queue.consumers() > 0 {
                    return turn.refuse(conn, token, Refusal::InUse);
                }
                if if_empty && !queue.is_empty() {
                    return turn.refuse(conn, token, Refusal::NotEmpty);
                }
                let (count, ops) = self.take_queue(turn, &name);
                self.answer_rows(turn, conn, token, ops, Reply::Destroyed(count));
            }
        }
    }

    /// Forgets a connection.
    pub(crate) fn gone(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        self.forget_consumers(turn, conn);
        self.forget_members(turn, conn);
        self.modules_gone(turn, conn);
        self.waiters.forget(conn, &mut self.timers);
        self.forget_parked(turn, conn);
        if self.session_of(conn).is_some() {
            let release = Release { expiry: None, will: None, handover: None };
            self.release(turn, conn, None, release);
        }
        if let Some(claiming) = self.conns.get(conn).and_then(|c| c.claiming) {
            self.sessions.forget_waiting(claiming, conn);
        }
        if let Some(state) = self.conns.remove(conn)
            && !state.subscriptions.is_empty()
        {
            self.unroute(turn, &state.subscriptions);
        }
    }
}

/// The space of this name, among those that are declared; the shared one without a name.
pub(crate) fn space_named(name: &[u8]) -> Space {
    if name.is_empty() {
        return Space::SHARED;
    }
    Space::named(&format!("exchange/{}", String::from_utf8_lossy(name)))
}

fn is_same_space(there: &SpaceDeclaration, new: &SpaceDeclaration) -> bool {
    let SpaceDeclaration { name, kind, durable, auto_delete, internal, arguments, builtin: _ } =
        new;
    there.name == *name
        && there.kind == *kind
        && there.durable == *durable
        && there.auto_delete == *auto_delete
        && there.internal == *internal
        && there.arguments == *arguments
}

fn subscription_row(id: u64, number: u32, subscription: &Durable) -> Op {
    let mut row = meta::row::Writer::default()
        .bytes(subscription.space.name().unwrap_or_default().as_bytes())
        .bytes(&subscription.filter.to_bytes())
        .flags(&[subscription.group.is_some(), subscription.skip_own])
        .bytes(subscription.group.as_deref().unwrap_or_default())
        .bytes(&subscription.memo);
    for (log, since) in &subscription.since {
        row = row.number(log.0).number(*since);
    }
    let key = memory_key(id, &number.to_be_bytes());
    Op::Put { table: table::SUBSCRIPTIONS, key, value: row.finish() }
}

/// Reads a row back: session, number, subscription.
pub(crate) fn read_subscription(
    key: &[u8],
    value: Bytes,
) -> Result<(u64, u32, Durable), meta::row::Unreadable> {
    use meta::row::{Reader, Unreadable};
    let (id, number) = key.split_at_checked(8).ok_or(Unreadable)?;
    let id = u64::from_be_bytes(id.try_into().map_err(|_| Unreadable)?);
    let number = u32::from_be_bytes(number.try_into().map_err(|_| Unreadable)?);
    let mut row = Reader::new(value)?;
    let space = row.bytes()?;
    let space = match std::str::from_utf8(&space).map_err(|_| Unreadable)? {
        "" => Space::SHARED,
        name => Space::named(name),
    };
    let filter = Filter::from_bytes(&row.bytes()?).map_err(|_| Unreadable)?;
    let [has_group, skip_own] = row.flags()?;
    let group = row.bytes()?;
    let group = has_group.then_some(group);
    let memo = row.bytes()?;
    let mut since = Vec::new();
    while !row.is_done() {
        since.push((LogId(row.number()?), row.number()?));
    }
    Ok((id, number, Durable { space, filter, group, memo, skip_own, since }))
}
