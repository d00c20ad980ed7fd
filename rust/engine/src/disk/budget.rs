//! How many payload bytes the disk workers hold, and when peers must wait.
//!
//! Bytes are charged when a batch is handed over and released once they are
//! written or dropped. Above the limit peers stop reading their sockets; they
//! go on below three quarters of it, so that they do not stop and go with
//! every block. Workers keep what they hold back below half of the limit (see
//! `worker`), so the lower mark is always reached.
//!
//! A block is a slice of the buffer that it was received in, and keeps all of it
//! when its neighbours are gone. So the memory that is pinned counts as well: at
//! five quarters of the limit peers stop, and the workers write what they hold.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use tokio::sync::Notify;

use crate::buffers::BufferPool;

/// The byte budget of all workers together.
pub(super) struct Budget {
    pool: BufferPool,
    limit: AtomicUsize,
    queued: AtomicUsize,
    congested: AtomicBool,
    /// Wakes those who wait for the lower mark.
    relieved: Notify,
}

impl Budget {
    /// A budget of `limit` bytes, received into buffers of `pool`.
    pub(super) fn new(limit: usize, pool: BufferPool) -> Self {
        Self {
            pool,
            limit: AtomicUsize::new(limit),
            queued: AtomicUsize::new(0),
            congested: AtomicBool::new(false),
            relieved: Notify::new(),
        }
    }

    /// The limit from now on.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, SeqCst);
        self.relieve();
    }

    fn limit(&self) -> usize {
        self.limit.load(SeqCst)
    }

    /// Bytes charged and not released.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(SeqCst)
    }

    /// Whether peers should stop reading.
    pub(super) fn congested(&self) -> bool {
        self.congested.load(SeqCst)
    }

    /// Whether so much memory is pinned that workers should write all they hold.
    pub(super) fn is_pinned(&self) -> bool {
        let limit = self.limit();
        self.pool.pinned_bytes() > limit + limit / 4
    }

    /// Returns whether this is what makes peers stop.
    pub(super) fn charge(&self, bytes: usize) -> bool {
        let over = self.queued.fetch_add(bytes, SeqCst) + bytes > self.limit();
        if !over && !self.is_pinned() {
            return false;
        }
        let first = !self.congested.swap(true, SeqCst);
        // A worker may have released everything just before the mark was
        // set, and then no other thread would clear it.
        self.relieve();
        first
    }

    pub(super) fn release(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, SeqCst);
        if bytes > 0 || self.congested() {
            self.relieve();
        }
    }

    fn relieve(&self) {
        let limit = self.limit();
        let low = self.queued() <= limit / 4 * 3 && self.pool.pinned_bytes() <= limit;
        if low && self.congested.swap(false, SeqCst) {
            self.relieved.notify_waiters();
        }
    }

    /// Nothing will be released any more: no thread need wait.
    pub(super) fn lift(&self) {
        self.congested.store(false, SeqCst);
        self.relieved.notify_waiters();
    }

    /// Returns at once unless the limit was passed, and then when the lower
    /// mark is reached.
    pub(super) async fn below_watermark(&self) {
        loop {
            let mut relieved = pin!(self.relieved.notified());
            // Registered before looking, so that no wake is missed.
            relieved.as_mut().enable();
            if !self.congested() {
                return;
            }
            relieved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::buffers::BufferClass;

    #[test]
    fn the_gate_closes_above_the_limit_and_opens_at_three_quarters() {
        let budget = Budget::new(100, BufferPool::default());
        let mut context = Context::from_waker(Waker::noop());
        budget.charge(100);
        assert!(pin!(budget.below_watermark()).poll(&mut context).is_ready());
        budget.charge(1);
        let mut wait = pin!(budget.below_watermark());
        assert_eq!(wait.as_mut().poll(&mut context), Poll::Pending);
        budget.release(25);
        assert_eq!(wait.as_mut().poll(&mut context), Poll::Pending);
        budget.release(1);
        assert_eq!(wait.as_mut().poll(&mut context), Poll::Ready(()));
        budget.charge(1000);
        assert!(budget.congested());
        budget.lift();
        assert!(!budget.congested());
        assert_eq!(budget.queued(), 1075);
    }

    #[test]
    fn pinned_memory_closes_the_gate_however_little_is_charged() {
        let pool = BufferPool::new(0, 0);
        let budget = Budget::new(100_000, pool.clone());
        let mut buffers = (0..3).map(|_| pool.take(BufferClass::Small).pin(10));
        let held: Vec<_> = buffers.by_ref().take(3).collect();
        assert!(!budget.charge(30));
        let copy = pool.copy(&[1; 30_000]);
        assert!(budget.charge(1), "it is this that closes it");
        assert!(!budget.charge(1));
        drop(copy);
        budget.release(0);
        assert!(!budget.congested());
        assert_eq!(pool.pinned_bytes(), 3 * 32 * 1024);
        drop(held);
        assert_eq!(pool.pinned_bytes(), 0);
    }
}
