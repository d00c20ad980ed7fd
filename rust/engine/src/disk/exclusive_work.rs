//! The order of slow work on the files of one storage: one at a time, in the
//! order in which it was asked for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Says when slow work may begin. This is no lock: it guards no data, the files
/// are kept apart from the workers by the fence, and the right to work goes on
/// from the task that waited for it to the thread that works.
#[derive(Debug)]
pub(super) struct ExclusiveWork(Arc<Semaphore>);

/// The right to work on the files, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for ExclusiveWork {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl ExclusiveWork {
    /// Waits until all work that was asked for before is over.
    pub(super) async fn permit(&self) -> Permit {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        // It is never closed.
        Permit {
            _permit: permit.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn work_is_done_one_after_another() {
        let work = ExclusiveWork::default();
        let first = work.permit().await;
        let mut second = Box::pin(work.permit());
        let mut third = Box::pin(work.permit());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "not before");
        let second = second.await;
        drop(second);
        third.await;
    }
}
