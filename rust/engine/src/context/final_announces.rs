//! The last announces of a session's torrents. The session has stopped without
//! their answers; they go on for a while.

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Collects the announces of torrents that end.
#[derive(Debug, Default)]
pub(crate) struct FinalAnnounces(Mutex<PendingAnnounces>);

#[derive(Debug, Default)]
struct PendingAnnounces {
    begun: Option<Instant>,
    announces: JoinSet<()>,
}

impl FinalAnnounces {
    /// The end of the session begins.
    pub(crate) fn begin(&self) {
        self.0.lock().begun.get_or_insert_with(Instant::now);
    }

    /// When that was.
    pub(crate) fn begun(&self) -> Instant {
        *self.0.lock().begun.get_or_insert_with(Instant::now)
    }

    /// Takes over announces that are under way.
    pub(crate) fn take<T: Send + 'static>(&self, announces: &mut JoinSet<T>) {
        let mut announces = std::mem::take(announces);
        let all = async move { while announces.join_next().await.is_some() {} };
        self.0.lock().announces.spawn(all);
    }

    /// All of them.
    pub(crate) fn all(&self) -> JoinSet<()> {
        std::mem::take(&mut self.0.lock().announces)
    }
}
