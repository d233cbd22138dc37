//! Last values: what a new subscription begins with (retained messages).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use hashbrown::HashMap;
use model::budget::{Budget, Class};
use model::filter::Filter;
use model::record::Space;
use model::subject::Subject;
use model::tree::SubjectTree;
use protocol::Message;

/// Most last values of a node.
pub(crate) const LAST_VALUES_MAX: usize = 10_000_000;
/// Most bytes of them.
const LAST_BYTES_MAX: usize = 4 << 30;
/// The part of the memory budget that they may take, in percent.
const BUDGET_SHARE: u64 = 25;

#[derive(Debug)]
pub(crate) struct LastValues {
    bytes_max: usize,
    budget: Arc<Budget>,
    next_order: AtomicU64,
    values: RwLock<Values>,
}

#[derive(Debug, Default)]
struct Values {
    sequence: u64,
    count: usize,
    bytes: usize,
    spaces: HashMap<Space, SubjectTree<Value>>,
    /// Cleared since the last two sweeps.
    cleared: [Vec<(Space, Subject)>; 2],
}

/// A value, or the trace of one that was cleared a moment ago.
#[derive(Debug)]
struct Value {
    /// When it was published, among all last values.
    order: u64,
    /// When it became visible.
    sequence: u64,
    message: Option<Arc<Message>>,
}

/// Some last values in order.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) messages: Vec<Arc<Message>>,
    /// Where the next page begins, if there is one.
    pub(crate) more_after: Option<Subject>,
}

impl LastValues {
    /// None yet; what they take is accounted for here.
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        let bytes_max = budget.share(BUDGET_SHARE, LAST_BYTES_MAX);
        Self { bytes_max, budget, next_order: AtomicU64::new(0), values: RwLock::default() }
    }

    /// The place of a publish among all that set or clear last values.
    pub(crate) fn take_order(&self) -> u64 {
        self.next_order.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Sets a value, or clears it with `None`. What was published before the present one is too
    /// late: publishes that wait for the disk are overtaken by those that do not. `false` when the
    /// node holds as many values as it may.
    pub(crate) fn set(
        &self,
        space: &Space,
        subject: &Subject,
        order: u64,
        message: Option<Arc<Message>>,
    ) -> bool {
        let mut values = self.values.write().expect("no panic under this lock");
        let values = &mut *values;
        values.sequence += 1;
        let size = |m: &Arc<Message>| m.record.size() + subject.as_bytes().len();
        let tree = values.spaces.entry_ref(space).or_default();
        if tree.get(subject).is_some_and(|value| value.order > order) {
            return true;
        }
        let more = message.as_ref().map_or(0, size);
        if more > 0 && (values.count >= LAST_VALUES_MAX || values.bytes + more > self.bytes_max) {
            return false;
        }
        if message.is_none() {
            values.cleared[0].push((space.clone(), subject.detached()));
        }
        values.bytes += more;
        values.count += usize::from(message.is_some());
        let value = Value { order, sequence: values.sequence, message };
        if let Some(old) = tree.insert(subject, value).and_then(|old| old.message) {
            values.bytes -= size(&old);
            values.count -= 1;
        }
        self.budget.set(Class::LastValues, values.bytes as u64);
        true
    }

    /// Forgets the traces of values that were cleared two sweeps ago.
    pub(crate) fn sweep(&self) {
        let mut values = self.values.write().expect("no panic under this lock");
        let values = &mut *values;
        let older = std::mem::take(&mut values.cleared[0]);
        for (space, subject) in std::mem::replace(&mut values.cleared[1], older) {
            let Some(tree) = values.spaces.get_mut(&space) else { continue };
            if tree.get(&subject).is_some_and(|value| value.message.is_none()) {
                tree.remove(&subject);
            }
        }
    }

    /// The mark of a subscription: values set later come to it live.
    pub(crate) fn mark(&self) -> u64 {
        self.values.read().expect("no panic under this lock").sequence
    }

    /// Up to `limit` values that match, up to the mark, behind `after`.
    pub(crate) fn page(
        &self,
        space: &Space,
        filter: &Filter,
        mark: u64,
        after: Option<&Subject>,
        limit: usize,
    ) -> Page {
        let values = self.values.read().expect("no panic under this lock");
        let mut page = Page::default();
        let Some(tree) = values.spaces.get(space) else { return page };
        for (subject, Value { sequence, message, .. }) in tree.matching(filter, after) {
            let Some(message) = message else { continue };
            if page.messages.len() == limit {
                return page;
            }
            if *sequence <= mark {
                page.messages.push(message.clone());
                page.more_after = Some(subject.clone());
            }
        }
        page.more_after = None;
        page
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.values.read().expect("no panic under this lock").count
    }
}
