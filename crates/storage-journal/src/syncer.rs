//! Syncs beside the lane: one at a time, on a thread of its own, while the next group is written.
//!
//! The thread is started by the first sync that is handed over; a lane that is never busy has
//! none. Without a thread the sync is done when its result is asked for: the same order of
//! operations, for tests.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::vfs::VfsFile;

/// What a sync has returned, and how long it took.
pub(crate) type Synced = (io::Result<()>, Duration);

/// Called on the syncing thread after each sync.
pub(crate) type OnDone = Arc<dyn Fn() + Send + Sync>;

/// See the module's text.
pub(crate) struct Syncer {
    desk: Arc<Desk>,
    /// None: syncs are done by whoever waits for them.
    on_done: Option<OnDone>,
    thread: Option<thread::JoinHandle<()>>,
}

impl std::fmt::Debug for Syncer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Syncer").field("desk", &self.desk).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Desk {
    order: Mutex<Order>,
    ordered: Condvar,
    done: Condvar,
}

#[derive(Debug, Default)]
enum Order {
    #[default]
    None,
    Wanted(Arc<dyn VfsFile>),
    Running,
    Done(Synced),
    Closed,
}

impl Syncer {
    /// Syncs are done by whoever waits for them.
    pub(crate) fn inline() -> Self {
        Self { desk: Arc::default(), on_done: None, thread: None }
    }

    /// Syncs are done by a thread.
    pub(crate) fn threaded(on_done: OnDone) -> Self {
        Self { desk: Arc::default(), on_done: Some(on_done), thread: None }
    }

    /// Starts a sync; the one before it must have been waited for.
    pub(crate) fn start(&mut self, file: Arc<dyn VfsFile>) {
        if self.thread.is_none()
            && let Some(on_done) = &self.on_done
        {
            let (desk, on_done) = (self.desk.clone(), on_done.clone());
            let spawned = thread::Builder::new()
                .name("syncer".into())
                .spawn(move || desk.run(on_done.as_ref()));
            match spawned {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => {
                    // From now on as without a thread.
                    tracing::warn!(%error, "the syncing thread cannot be started");
                    self.on_done = None;
                }
            }
        }
        *self.desk.order() = Order::Wanted(file);
        self.desk.ordered.notify_one();
    }

    /// The result of the sync that was started; waits for it.
    pub(crate) fn wait(&mut self) -> Synced {
        let threaded = self.thread.is_some();
        let mut order = self.desk.order();
        loop {
            match std::mem::take(&mut *order) {
                Order::Done(synced) => return synced,
                Order::Wanted(file) if !threaded => {
                    drop(order);
                    return sync(file.as_ref());
                }
                Order::None | Order::Closed => {
                    return (Err(io::Error::other("the sync was lost")), Duration::ZERO);
                }
                waiting @ (Order::Wanted(_) | Order::Running) => *order = waiting,
            }
            order = self.desk.done.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Syncs a file here and now.
pub(crate) fn sync(file: &dyn VfsFile) -> Synced {
    let started = Instant::now();
    let result = file.fdatasync();
    (result, started.elapsed())
}

impl Desk {
    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, on_done: &(dyn Fn() + Send + Sync)) {
        let mut order = self.order();
        loop {
            match std::mem::take(&mut *order) {
                Order::Closed => return,
                Order::Wanted(file) => {
                    *order = Order::Running;
                    drop(order);
                    let synced = sync(file.as_ref());
                    drop(file);
                    order = self.order();
                    if matches!(*order, Order::Closed) {
                        return;
                    }
                    *order = Order::Done(synced);
                    self.done.notify_one();
                    drop(order);
                    on_done();
                    order = self.order();
                }
                other @ (Order::None | Order::Running | Order::Done(_)) => {
                    *order = other;
                    order = self.ordered.wait(order).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        *self.desk.order() = Order::Closed;
        self.desk.ordered.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the syncing thread has panicked");
        }
    }
}
