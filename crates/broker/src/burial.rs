//! Dead letters: what a queue gives up is published anew, to where the queue sends it, with the
//! history of its deaths.
//!
//! ```text
//! given up -> routed as a publish -> [append of the copy + settle of the original] -> handed out
//! ```
//!
//! A copy that comes back to a queue where it died already is dropped, unless a receiver has
//! rejected it since: otherwise it would go round for ever.

use std::sync::Arc;

use bytes::Bytes;
use model::record::{Address, Cause, DEATHS_MAX, Death, Record};
use model::render;
use protocol::{DeadLetter, Message};
use storage::{LogId, Op, SubmitError};

use crate::completion::{Completion, Step};
use crate::cursors::{Burial, Corpse};
use crate::desk::Desk;
use crate::message::detach;
use crate::publish::{Asked, Plan, PublishDone, resolve};
use crate::queues::{Dead, Grave, Loaded, begin_lifetime, load};
use crate::state::Core;
use crate::stats::add;
use crate::turn::Turn;

/// Burials in one turn of a worker.
const BURY_MAX: usize = 256;

/// What is being buried.
#[derive(Debug)]
pub(crate) enum Buried {
    Message(Dead),
    Record(Burial),
}

impl Buried {
    /// What settles it with its burial.
    pub(crate) fn settle(&self) -> Option<Op> {
        match self {
            Self::Message(dead) => {
                let places = vec![dead.item.place()?];
                Some(Op::Settle { queue: LogId(dead.queue), places })
            }
            Self::Record(burial) => Some(burial.settle()),
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Message(dead) => dead.cause,
            Self::Record(burial) => burial.cause,
        }
    }
}

impl Desk {
    /// Buries what queues gave up in this turn.
    pub(crate) fn bury(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::take(&mut turn.burials) {
            return;
        }
        for _ in 0..BURY_MAX {
            let Some(grave) = self.broker.lock().next_grave(turn) else { return };
            self.bury_one(turn, grave);
        }
        turn.burials = false;
        turn.shared.mail.post(turn.worker, Completion(Step::Bury));
    }

    fn bury_one(&mut self, turn: &mut Turn<'_>, grave: Grave) {
        let message = match load(turn, &grave.dead.item) {
            Loaded::Here(message, _) => message,
            Loaded::Lost => return self.broker.lock().buried_nowhere(turn, &grave.dead),
            Loaded::Unreadable => return self.broker.lock().unreadable_dead(turn, grave.dead),
        };
        let Grave { dead, name, to } = grave;
        match dead_letter(turn, (&to, &name, dead.cause), &message) {
            Some(copy) => self.publish_dead(turn, copy, Buried::Message(dead)),
            None => self.broker.lock().buried_nowhere(turn, &dead),
        }
    }

    /// Buries the next dead record of a group cursor.
    pub(crate) fn bury_record(&mut self, turn: &mut Turn<'_>, cursor: u64) {
        let Some(corpse) = self.broker.lock().next_corpse(turn, cursor) else { return };
        let Corpse { burial, message, name, to } = corpse;
        match dead_letter(turn, (&to, &name, burial.cause), &message) {
            Some(copy) => self.publish_dead(turn, copy, Buried::Record(burial)),
            None => self.broker.lock().record_buried(turn, &burial, false),
        }
    }

    fn publish_dead(&mut self, turn: &mut Turn<'_>, mut copy: Message, buried: Buried) {
        let route = self.route(turn, &copy.address);
        let attributes = if route.conditional.is_empty() {
            Vec::new()
        } else {
            let mut protocols = turn.shared.protocols.0.iter();
            protocols.find_map(|protocol| protocol.attributes(&copy)).unwrap_or_default()
        };
        let (mut queues, behind) = resolve(&route, &attributes);
        let aims = {
            let core = self.broker.lock();
            if buried.cause() != Cause::Rejected {
                queues.to_mut().retain(|id| {
                    let name = core.queues.get(*id).map(|queue| &queue.declaration.name);
                    !name.is_some_and(|name| is_automatic_cycle(deaths(&copy.record), name))
                });
            }
            core.aim(&queues, &copy)
        };
        let Ok(aims) = aims else {
            return self.broker.lock().not_buried_now(turn, buried, &SubmitError::Busy);
        };
        if aims.timed {
            begin_lifetime(turn, &mut copy.record);
        }
        detach(&mut copy);
        let plan = Plan {
            conn: None,
            token: None,
            message: Arc::new(copy),
            route,
            aims,
            behind,
            buried: Some(Box::new(buried)),
        };
        self.store(turn, plan, Asked::stored());
    }

    /// The copy of a dead letter is on its way to storage.
    pub(crate) fn begin_burial(&mut self, done: &PublishDone) {
        if let Some(Buried::Message(_)) = done.buried.as_deref() {
            self.broker.lock().burial_begins(done.message.record.size());
        }
    }

    /// It is there, or was not taken.
    pub(crate) fn end_burial(
        &mut self,
        turn: &mut Turn<'_>,
        done: &mut PublishDone,
        result: Result<(), &SubmitError>,
    ) {
        let Some(buried) = done.buried.take() else { return };
        let mut core = self.broker.lock();
        let dead = match *buried {
            Buried::Message(dead) => dead,
            Buried::Record(burial) if result.is_ok() || done.delivered => {
                return core.record_buried(turn, &burial, true);
            }
            Buried::Record(burial) => return core.record_not_buried(turn, &burial),
        };
        core.burial_ends(turn, done.message.record.size());
        match result {
            Ok(()) => {
                add(&turn.shared.counters.dead_lettered, 1);
                core.queues.gone(dead.queue, &dead.item);
            }
            Err(_) if done.delivered => core.buried_unstored(turn, &dead),
            Err(error) => core.not_buried(turn, dead, error),
        }
    }

    /// No copy of it is stored.
    pub(crate) fn unstored_burial(&mut self, turn: &mut Turn<'_>, done: &mut PublishDone) {
        let Some(buried) = done.buried.take() else { return };
        let mut core = self.broker.lock();
        match (*buried, done.is_for_nobody()) {
            (Buried::Message(dead), true) => core.buried_nowhere(turn, &dead),
            (Buried::Message(dead), false) => core.buried_unstored(turn, &dead),
            (Buried::Record(burial), nobody) => core.record_buried(turn, &burial, !nobody),
        }
    }
}

impl Core {
    fn not_buried_now(&mut self, turn: &mut Turn<'_>, buried: Buried, error: &SubmitError) {
        match buried {
            Buried::Message(dead) => self.not_buried(turn, dead, error),
            Buried::Record(burial) => self.record_not_buried(turn, &burial),
        }
    }
}

fn deaths(record: &Record) -> &[Death] {
    record.properties.as_ref().map_or(&[], |properties| &properties.deaths)
}

/// Whether a message died in this queue before, and has not been rejected since.
fn is_automatic_cycle(deaths: &[Death], queue: &Bytes) -> bool {
    let last = deaths.iter().position(|death| death.queue == *queue);
    last.is_some_and(|last| deaths[..=last].iter().all(|d| d.cause != Cause::Rejected))
}

/// The copy that is published, unless there is nowhere to publish it to.
fn dead_letter(
    turn: &Turn<'_>,
    (to, name, cause): (&DeadLetter, &Bytes, Cause),
    message: &Message,
) -> Option<Message> {
    let address = address(to, &message.address)?;
    let mut record = message.record.clone();
    record.retain = false;
    let properties = record.properties_mut();
    // The first death ends the publisher's limit on its time.
    properties.expires_at_ms = None;
    let lifetime = properties.lifetime.take();
    let known = properties.deaths.iter().position(|d| d.queue == *name && d.cause == cause);
    let death = match known {
        Some(at) => {
            let death = properties.deaths.remove(at);
            Death { count: death.count.saturating_add(1), ..death }
        }
        None => Death {
            queue: name.clone(),
            cause,
            count: 1,
            time_ms: turn.now.unix_ms,
            address: message.address.clone(),
            ttl_ms: lifetime.and_then(|lifetime| lifetime.ttl_ms),
            first: properties.deaths.is_empty(),
        },
    };
    properties.deaths.insert(0, death);
    (properties.deaths.len() <= DEATHS_MAX).then(|| Message::new(address, record, None))
}

/// Where a message goes that was published to `original`.
fn address(to: &DeadLetter, original: &Address) -> Option<Address> {
    Some(match (to, original) {
        (DeadLetter::To(address), _) => address.clone(),
        (DeadLetter::Within { space, private }, _) => {
            let subject = match original {
                Address::Subject(_, subject) => subject.clone(),
                Address::Queue(name) => render::queue_name::parse(name).ok()?,
            };
            let hidden = space.is_shared() && subject.is_private();
            Address::Subject(if hidden { private } else { space }.clone(), subject)
        }
        (DeadLetter::ByName, Address::Queue(name)) => Address::Queue(name.clone()),
        (DeadLetter::ByName, Address::Subject(_, subject)) => {
            Address::Queue(render::queue_name::to_bytes(subject).ok()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(queue: &'static str, cause: Cause) -> Death {
        Death {
            queue: Bytes::from(queue),
            cause,
            count: 1,
            time_ms: 0,
            address: Address::Queue(Bytes::from(queue)),
            ttl_ms: None,
            first: false,
        }
    }

    #[test]
    fn a_cycle_is_automatic_unless_a_receiver_rejected_on_the_way() {
        let q = Bytes::from("q");
        let expired = death("q", Cause::Expired);
        assert!(!is_automatic_cycle(&[], &q));
        assert!(!is_automatic_cycle(&[death("other", Cause::Expired)], &q));
        assert!(is_automatic_cycle(&[death("r", Cause::MaxLength), expired.clone()], &q));
        assert!(!is_automatic_cycle(&[death("r", Cause::Rejected), expired.clone()], &q));
        assert!(!is_automatic_cycle(&[death("q", Cause::Rejected)], &q));
        assert!(is_automatic_cycle(&[expired, death("r", Cause::Rejected)], &q), "before that");
    }

    #[test]
    fn addresses_keep_the_subject_or_lose_it() {
        let name = |name: &'static str| Address::Queue(Bytes::from(name));
        let by_name = |original| address(&DeadLetter::ByName, &original);
        assert_eq!(by_name(name("q")), Some(name("q")));
        let subject = render::queue_name::parse(b"a.b").expect("a subject");
        let shared = Address::shared(subject);
        assert_eq!(by_name(shared.clone()), Some(name("a.b")));
        let (space, private) = (model::record::Space::SHARED, model::record::Space::named("p"));
        let within = DeadLetter::Within { space, private: private.clone() };
        assert_eq!(address(&within, &name("a.b")), Some(shared));
        let hidden = render::queue_name::parse(b"$a").expect("a subject");
        assert_eq!(address(&within, &name("$a")), Some(Address::Subject(private, hidden)));
    }
}
