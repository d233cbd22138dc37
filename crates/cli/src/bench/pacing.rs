//! When a publisher may send its next message.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is on its way from one publisher; shared by its worker and those of its receivers.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Messages sent.
    pub(super) sent: AtomicU64,
    /// Messages received, over all receivers; or acknowledged, if there are none.
    pub(super) arrived: AtomicU64,
}

/// How long a full window may see no progress before its messages count as lost.
const STALL_NS: u64 = 1_000_000_000;

/// The pace of one publisher.
#[derive(Clone, Debug)]
pub(super) enum Pace {
    /// By the clock: message i is due at `start + i * interval`.
    Open {
        /// When the first is due.
        start_ns: f64,
        /// Between two.
        interval_ns: f64,
    },
    /// By what came back: at most `window` on their way.
    Closed(Window),
}

/// A bounded number of messages on their way.
#[derive(Clone, Debug)]
pub(super) struct Window {
    size: u64,
    /// How often each message arrives.
    copies: u64,
    /// Messages that were waited for in vain, so that a loss does not stop the run.
    written_off: u64,
    seen: u64,
    seen_ns: u64,
}

impl Window {
    pub(super) fn new(size: u64, copies: u64) -> Self {
        Self { size, copies: copies.max(1), written_off: 0, seen: 0, seen_ns: 0 }
    }

    /// How many more may be sent now.
    fn room(&mut self, flow: &Flow, now_ns: u64) -> u64 {
        let arrived = flow.arrived.load(Ordering::Relaxed);
        if arrived != self.seen {
            self.seen = arrived;
            self.seen_ns = now_ns;
        }
        let sent = flow.sent.load(Ordering::Relaxed);
        let away = (sent - self.written_off).saturating_sub(arrived / self.copies);
        if away >= self.size && now_ns.saturating_sub(self.seen_ns) > STALL_NS {
            self.written_off = sent.saturating_sub(arrived / self.copies);
            self.seen_ns = now_ns;
            return self.size;
        }
        self.size.saturating_sub(away)
    }
}

/// What a publisher may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// Send this many; the intended time of message i is asked for with [`Pace::intended_ns`].
    Send(u64),
    /// The next message is due then.
    At(u64),
    /// Something must arrive first.
    Blocked,
}

impl Pace {
    /// What may be sent at `now_ns`.
    pub(super) fn permit(&mut self, flow: &Flow, now_ns: u64) -> Permit {
        match self {
            Self::Open { start_ns, interval_ns } => {
                let sent = flow.sent.load(Ordering::Relaxed);
                let due = ((now_ns as f64 - *start_ns) / *interval_ns).floor() + 1.0;
                let due = if due > 0.0 { due as u64 } else { 0 };
                if due > sent {
                    Permit::Send(due - sent)
                } else {
                    Permit::At((*start_ns + sent as f64 * *interval_ns) as u64)
                }
            }
            Self::Closed(window) => match window.room(flow, now_ns) {
                0 => Permit::Blocked,
                room => Permit::Send(room),
            },
        }
    }

    /// When message `number` was to be sent; `now_ns` in the closed loop.
    pub(super) fn intended_ns(&self, number: u64, now_ns: u64) -> u64 {
        match self {
            Self::Open { start_ns, interval_ns } => {
                (*start_ns + number as f64 * *interval_ns) as u64
            }
            Self::Closed(_) => now_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Flow, Ordering, Pace, Permit, STALL_NS, Window};

    #[test]
    fn an_open_loop_owes_what_it_is_late_with() {
        let mut pace = Pace::Open { start_ns: 1000.0, interval_ns: 100.0 };
        let flow = Flow::default();
        assert_eq!(pace.permit(&flow, 500), Permit::At(1000));
        assert_eq!(pace.permit(&flow, 1000), Permit::Send(1));
        assert_eq!(pace.permit(&flow, 1950), Permit::Send(10));
        flow.sent.store(10, Ordering::Relaxed);
        assert_eq!(pace.permit(&flow, 1950), Permit::At(2000));
        assert_eq!(pace.intended_ns(3, 99_999), 1300, "however late it is sent");
    }

    #[test]
    fn a_closed_loop_counts_each_copy_and_writes_off_what_stalls() {
        let mut pace = Pace::Closed(Window::new(10, 2));
        let flow = Flow::default();
        assert_eq!(pace.permit(&flow, 0), Permit::Send(10));
        flow.sent.store(10, Ordering::Relaxed);
        assert_eq!(pace.permit(&flow, 1), Permit::Blocked);
        flow.arrived.store(7, Ordering::Relaxed);
        assert_eq!(pace.permit(&flow, 2), Permit::Send(3), "three arrived twice");
        flow.sent.store(13, Ordering::Relaxed);
        assert_eq!(pace.permit(&flow, STALL_NS), Permit::Blocked);
        assert_eq!(pace.permit(&flow, STALL_NS + 3), Permit::Send(10));
        assert_eq!(pace.permit(&flow, STALL_NS + 4), Permit::Send(10));
    }
}
