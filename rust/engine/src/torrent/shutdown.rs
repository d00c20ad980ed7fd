//! The end of a torrent, in order: connections, disk, trackers, events.

use std::time::{Duration, Instant};

use super::files::FilesEnd;
use super::move_storage::StorageWorkEnd;
use super::{Driver, LoopEnd, TaskEnd, all_left};
use crate::event::typed;

/// How long the torrent's own tasks are waited for when it ends, at most.
const TASKS_LIMIT: Duration = Duration::from_secs(2);

impl Driver {
    pub(super) async fn end(mut self, verdict: LoopEnd) {
        if let Some(check) = self.checking.running.take() {
            check.cancel();
        }
        self.cut_short();
        let now = Instant::now();
        self.brain.clear_deadlines(now);
        self.brain.stop(now);
        self.set_filtered(true);
        self.context
            .services
            .bandwidth
            .set_torrent(self.handle.key(), 0, 0);
        // Only the last announces are waited for.
        self.announcing.tasks.abort_all();
        self.stop_announcing();
        self.drain_outputs();
        let announced = self.take_announces(&verdict);
        let closing = async {
            let saves = matches!(verdict, LoopEnd::SessionStopped);
            self.join_tasks(saves).await;
            match &verdict {
                LoopEnd::Removed { delete } => {
                    self.close().await;
                    // Of those that share files and go, the last one deletes
                    // them, and is there until the others have left them.
                    all_left(self.location.lease.removed_before()).await;
                    // Before others have the place: what comes back after a
                    // kill would miss its files.
                    self.delete_and_forget(*delete).await;
                    self.location.lease.release();
                }
                LoopEnd::SessionStopped => {
                    self.save_last().await;
                    self.close().await;
                    self.location.lease.stay();
                }
            }
        };
        tokio::join!(closing, announced);
        self.flushed();
        // After the last output of the brain.
        self.context.services.choking.gone(self.handle.key());
        if let Some(storage) = self.storage.slot.get() {
            // A move may have ended when its receiver was already dropped.
            self.handle
                .shared
                .save_path
                .store(storage.save_path().into());
        }
        self.publish(Instant::now());
        self.context.services.forget(self.handle.key());
        if matches!(verdict, LoopEnd::Removed { .. }) {
            self.handle.shared.lifetime.leave();
            self.post(typed::TORRENT_REMOVED, || ());
        }
    }

    /// Waits for connections to close and for work on the files to end, both of
    /// which were asked to; tasks that hang are left behind. With `saves` it also
    /// waits for saves: the device is synced anyway.
    async fn join_tasks(&mut self, saves: bool) {
        let deadline = tokio::time::sleep(TASKS_LIMIT);
        tokio::pin!(deadline);
        // Dials and reads that are still under way have no receiver.
        while !self.peers.mailboxes.is_empty()
            || self.location.work.is_busy()
            || self.storage.work.sorting
            || saves && self.records.saver.is_asked()
        {
            tokio::select! {
                ended = self.tasks.join_next() => match ended {
                    Some(Ok(ended)) => self.last_end(ended),
                    // A panic: what it was about shows at the deadline.
                    Some(Err(_)) => {}
                    None => break,
                },
                () = &mut deadline => break,
            }
        }
        self.tasks.shutdown().await;
    }

    async fn close(&self) {
        if let Some(storage) = self.storage.slot.get() {
            storage.close().await;
        }
    }

    /// A task has ended while the torrent ends: its result is recorded, and no
    /// further work begins.
    fn last_end(&mut self, ended: TaskEnd) {
        match ended {
            TaskEnd::Peer(end) => self.peer_ended(*end),
            TaskEnd::StorageWork(StorageWorkEnd::Redone(Err(_))) => {
                self.location.work.look_failed()
            }
            TaskEnd::StorageWork(end) => self.storage_work_ended(end),
            TaskEnd::Gathered(gathered, requests) => self.gathered(*gathered, requests),
            TaskEnd::Files(FilesEnd::Sorted(outcome)) => self.last_sorted(outcome),
            TaskEnd::Flushed(answer) => self.flush_over(answer),
            TaskEnd::Kept(kept) => self.kept(&kept),
            _ => {}
        }
    }

    /// The last announces, on their own and within their own limit. Those of a
    /// session that stops are the session's, which goes on without their answers.
    fn take_announces(&mut self, verdict: &LoopEnd) -> impl Future<Output = ()> + use<> {
        let mut announces = std::mem::take(&mut self.announcing.tasks);
        if matches!(verdict, LoopEnd::SessionStopped) {
            self.context.final_announces.take(&mut announces);
        }
        let limit = self.context.services.settings.borrow().stop_tracker_timeout;
        // The remainder is for what comes after: the whole end keeps to the limit.
        let limit = Duration::from_secs(limit.unsigned_abs()).mul_f64(0.9);
        async move {
            let all = async { while announces.join_next().await.is_some() {} };
            // What is not answered by then is dropped with the set.
            let _ = tokio::time::timeout(limit, all).await;
        }
    }
}
