//! Work that must have a storage's files to itself: renaming, moving, and
//! taking files out of the part file.
//!
//! Every worker is asked to keep what comes for the storage for later
//! ([`WorkerMessage::Fence`]); when all have said so
//! and the files are closed, only the work touches them. What was kept is
//! done when the fence falls, which it does also when the work panics or
//! its caller is gone. Peers' reads wait meanwhile; blocks that come
//! stay charged to the byte budget, so the torrent should ask for none.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::storage::{Storage, StorageShared};
use super::worker::WorkerMessage;

/// Falls when it is dropped.
struct Fence {
    shared: Arc<StorageShared>,
    workers: Arc<[Sender<WorkerMessage>]>,
}

impl Drop for Fence {
    fn drop(&mut self) {
        for worker in self.workers.iter() {
            // A worker that has stopped keeps nothing.
            let _ = worker.send(WorkerMessage::Unfence(Arc::clone(&self.shared)));
        }
    }
}

impl Storage {
    /// Does `work` on a thread of its own while nothing else touches the
    /// files.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        op: DiskOp,
        work: impl FnOnce(&Arc<StorageShared>, &Common) -> Result<T, DiskError> + Send + 'static,
    ) -> Result<T, DiskError> {
        let (shared, common) = self.parts();
        let permit = shared.exclusive_work.permit().await;
        if shared.ending.go_on().is_err() {
            return Err(shared.error(op, None, Fault::Closed));
        }
        let fence = Fence {
            shared: Arc::clone(&shared),
            workers: self.workers(),
        };
        self.ask_all(|reply| WorkerMessage::Fence {
            storage: Arc::clone(&shared),
            reply,
        })
        .await;
        let of = Arc::clone(&shared);
        let outcome = tokio::task::spawn_blocking(move || {
            // Held until the work ends, even when its caller is gone; the
            // fence falls before the turn ends.
            let _permit = permit;
            let _fence = fence;
            of.io.release(&common);
            let outcome = work(&of, &common);
            of.io.release(&common);
            outcome
        });
        match outcome.await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%error, "work on files was cut short");
                Err(shared.error(op, None, Fault::CutShort))
            }
        }
    }
}
