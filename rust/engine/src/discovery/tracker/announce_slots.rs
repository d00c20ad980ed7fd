//! How many announces are under way at once.

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Places for announces, in the order in which they are asked for. Starting a
/// thousand torrents must not open a thousand sockets.
#[derive(Debug)]
pub(super) struct AnnounceSlots {
    free: Semaphore,
    count: Mutex<usize>,
}

impl AnnounceSlots {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Semaphore::new(count),
            count: Mutex::new(count),
        }
    }

    /// Waits for a place, of which there are `wanted` from now on; places that
    /// are taken stay so until they are given back.
    pub(super) async fn take(&self, wanted: usize) -> Option<SemaphorePermit<'_>> {
        self.resize(wanted);
        // The semaphore is never closed; without a permit it goes on as well.
        self.free.acquire().await.ok()
    }

    fn resize(&self, wanted: usize) {
        let mut count = self.count.lock();
        if *count < wanted {
            self.free.add_permits(wanted - *count);
            *count = wanted;
        } else {
            // Those that are taken now are found at a later call.
            *count -= self.free.forget_permits(*count - wanted);
        }
    }

    #[cfg(test)]
    pub(super) fn available(&self) -> usize {
        self.free.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_follow_the_setting() {
        let slots = AnnounceSlots::new(2);
        let first = slots.take(2).await;
        let second = slots.take(2).await;
        assert!(first.is_some() && second.is_some());
        drop(first);
        slots.resize(1);
        assert_eq!(slots.available(), 0, "one is taken and one is allowed");
        drop(second);
        assert_eq!(slots.available(), 1);
        slots.resize(5);
        assert_eq!(slots.available(), 5);
    }
}
