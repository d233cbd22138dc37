//! Last values: what a new subscription begins with (retained messages).

use std::sync::{Arc, RwLock};

use hashbrown::HashMap;
use model::filter::Filter;
use model::record::Space;
use model::subject::Subject;
use model::tree::SubjectTree;
use protocol::Message;

/// Most last values of a node.
pub(crate) const LAST_VALUES_MAX: usize = 10_000_000;
/// Most bytes of them.
pub(crate) const LAST_BYTES_MAX: usize = 4 << 30;

#[derive(Debug, Default)]
pub(crate) struct LastValues(RwLock<Values>);

#[derive(Debug, Default)]
struct Values {
    sequence: u64,
    count: usize,
    bytes: usize,
    spaces: HashMap<Space, SubjectTree<(u64, Arc<Message>)>>,
}

/// Some last values in order.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) messages: Vec<Arc<Message>>,
    /// Where the next page begins, if there is one.
    pub(crate) more_after: Option<Subject>,
}

impl LastValues {
    /// Sets a value; `false` when the node holds as many as it may.
    pub(crate) fn set(&self, space: &Space, subject: &Subject, message: Arc<Message>) -> bool {
        let mut values = self.0.write().expect("no panic under this lock");
        values.sequence += 1;
        let sequence = values.sequence;
        let size = message.record.size() + subject.as_bytes().len();
        if values.count >= LAST_VALUES_MAX || values.bytes + size > LAST_BYTES_MAX {
            return false;
        }
        let tree = values.spaces.entry_ref(space).or_default();
        let before = tree.insert(subject, (sequence, message));
        values.bytes += size;
        match before {
            Some((_, old)) => {
                values.bytes -= old.record.size() + subject.as_bytes().len();
            }
            None => values.count += 1,
        }
        true
    }

    /// Removes a value.
    pub(crate) fn clear(&self, space: &Space, subject: &Subject) {
        let mut values = self.0.write().expect("no panic under this lock");
        values.sequence += 1;
        let old = values.spaces.get_mut(space).and_then(|tree| tree.remove(subject));
        if let Some((_, old)) = old {
            values.count -= 1;
            values.bytes -= old.record.size() + subject.as_bytes().len();
        }
    }

    /// The mark of a subscription: values set later come to it live.
    pub(crate) fn mark(&self) -> u64 {
        self.0.read().expect("no panic under this lock").sequence
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
        let values = self.0.read().expect("no panic under this lock");
        let mut page = Page::default();
        let Some(tree) = values.spaces.get(space) else { return page };
        for (subject, (sequence, message)) in tree.matching(filter, after) {
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
        self.0.read().expect("no panic under this lock").count
    }
}
