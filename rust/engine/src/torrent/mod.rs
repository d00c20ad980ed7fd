//! One task per torrent: drives `torrent_core::torrent` and carries out what
//! it decides. Payload never passes through here.

mod address_filter;
mod brain_events;
mod check;
mod claim_paths;
mod commands;
mod completion;
mod dial;
mod disk;
mod download_queue;
mod driver_parts;
mod files;
pub mod handle;
pub(crate) mod metadata;
mod move_storage;
mod new_torrent;
mod options;
mod peers;
mod queue;
mod removal;
mod resource_shortage;
mod resume;
mod save_path;
mod save_resume;
mod second_add;
mod shutdown;
mod snapshot;
mod storage_error;
mod times;
mod trackers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use torrent_core::check_state::CheckState;
use torrent_core::ids::PeerKey;
use torrent_core::metainfo::{Info, MetainfoError};
use torrent_core::peerlist::Sources;
use torrent_core::storage_backoff::StorageBackoff;
use torrent_core::torrent::{Output, Torrent};
use torrent_core::tracker::Announcer;

use crate::command_queue::Receiver;
use crate::context::Context;
use crate::context::path_claims::PathLease;
use crate::coop;
use crate::disk::{CheckHandle, DiskError, DiskEvent, ResumeAccepted, ResumeRejected, StorageSlot};
use crate::error::Error;
use crate::event::typed;
use crate::peer::PeerReport;
use crate::peer::mailbox::Mailbox;
use crate::timer::sleep_until;
use claim_paths::ClaimOutcome;
use completion::Uncompleted;
use driver_parts::{
    Announcing, Checking, ErrorState, Location, Peers, Records, Times, TorrentStorage,
};
use files::{FileWork, FilesEnd};
use handle::storage::Deletion;
use handle::{Command, Reannounce, TorrentHandle};
use move_storage::{StorageWork, StorageWorkEnd};
pub(crate) use new_torrent::{GivenRecord, NewTorrent, PendingClaim};
pub(crate) use removal::UnfinishedRemoval;
use resource_shortage::AfterShortage;
use resume::ResumeState;
use save_path::FolderLook;
use save_resume::{Asked, RecordParts, SavedRecord, Saver};
pub(crate) use second_add::SecondAdd;
use snapshot::CountedStats;
use times::TorrentTimes;
use trackers::{Baseline, TrackerOutcome};

/// Reports of connections that wait; a full channel makes connections wait.
const REPORT_QUEUE: usize = 1024;

/// Disk events that wait; the workers keep and merge what does not fit.
const DISK_QUEUE: usize = 1024;

/// Messages taken at once from each channel, so that work per wake is bounded.
const BATCH: usize = 128;

/// The outcome of a task of the torrent.
enum TaskEnd {
    Peer(Box<peers::PeerEnd>),
    Dialled(dial::Dialled),
    StorageFailed(DiskError),
    Files(FilesEnd),
    StorageWork(StorageWorkEnd),
    /// What a look at the save path found.
    Root(FolderLook),
    /// The same, after a read found bytes missing.
    Gone(FolderLook),
    Reannounce(Reannounce),
    Metadata(Result<Arc<Info>, MetainfoError>),
    /// The claim of the paths that the metadata names, and its outcome.
    PathsClaimed(Arc<Info>, crate::error::Result<()>),
    ResumeChecked(Box<Result<ResumeAccepted, ResumeRejected>>),
    Gathered(Box<RecordParts>, Vec<Asked>),
    Flushed(Option<oneshot::Sender<()>>),
    Kept(SavedRecord),
    Done,
}

/// The torrent's task.
struct Driver {
    context: Arc<Context>,
    handle: TorrentHandle,
    brain: Torrent,
    storage: TorrentStorage,
    location: Location,
    failure: ErrorState,
    checking: Checking,
    peers: Peers,
    tasks: JoinSet<TaskEnd>,
    announcing: Announcing,
    paused: bool,
    times: Times,
    records: Records,
    uncompleted: Uncompleted,
    /// The torrent ends: nothing begins any more.
    ending: bool,
}

/// What ended the torrent's loop.
enum LoopEnd {
    Removed { delete: Deletion },
    SessionStopped,
}

/// Runs a torrent from its arrival to its end.
pub(crate) async fn run(context: Arc<Context>, mut new: NewTorrent) {
    // What is awaited once has no room in the task for as long as it runs.
    let outcome = match Box::pin(claim_paths::claim_paths(&context, &mut new)).await {
        Ok(ClaimOutcome::Removed) => {
            if new.may_have_record {
                Box::pin(removal::forget(&context, new.handle.info_hash())).await;
            }
            return claim_paths::leave(&context, &new.handle);
        }
        Ok(outcome) => outcome,
        Err(error) => return claim_paths::refuse(&context, &mut new, error),
    };
    let (reports, report_queue) = mpsc::channel(REPORT_QUEUE);
    let (disk_events, disk_queue) = mpsc::channel(DISK_QUEUE);
    let handle = new.handle.clone();
    let storage = StorageSlot::default();
    let is_claimed = matches!(outcome, ClaimOutcome::Claimed);
    if let Some(metainfo) = handle.metainfo().filter(|_| is_claimed) {
        match metadata::spec(&metainfo.info, &handle) {
            Ok(spec) => {
                // No other code fills it.
                let _ = storage.set(context.disk.open(spec, disk_events.clone()));
            }
            Err(error) => return claim_paths::refuse(&context, &mut new, error),
        }
    }
    let mut driver = Driver::new(
        context,
        handle,
        storage,
        disk_events,
        reports,
        new.claim.lease,
    );
    driver.location.owns_paths = is_claimed || new.restored;
    driver.storage.work.seed_mode = new.record.seed_mode;
    driver.location.work = StorageWork::restored(new.move_journal);
    driver.location.awaited = new.awaited.map(Arc::new);
    driver.records.resume_state = new.record.into_state();
    if !driver.handle.is_on_disk() {
        driver.records.resume_state.nothing_is_there();
    }
    driver.add_peers(Instant::now(), new.peers, Sources::MANUAL);
    driver.records.is_unread = new.may_have_record;
    // What could not be read stays as it is if the torrent does nothing but end.
    let is_kept = new.remembered || new.may_have_record && !is_claimed;
    driver.begin(new.paused, is_kept, new.without_effect);
    let queues = Queues {
        commands: new.commands,
        reports: report_queue,
        disk: disk_queue,
    };
    let verdict = driver.live(queues).await;
    Box::pin(driver.end(verdict)).await;
    drop(new.ends);
}

struct Queues {
    commands: Receiver<Command>,
    reports: mpsc::Receiver<PeerReport>,
    disk: mpsc::Receiver<DiskEvent>,
}

impl Queues {
    /// How a torrent ends whose session stops: it may have been removed right
    /// before. Messages that are not carried out any more go to `unfinished`.
    fn drain_commands(&mut self, mut unfinished: impl FnMut(Command)) -> LoopEnd {
        // A caller that goes on posting would keep this loop from ending.
        self.commands.close();
        let mut verdict = LoopEnd::SessionStopped;
        while let Some(command) = self.commands.try_recv() {
            match command {
                Command::Remove { delete } => verdict = LoopEnd::Removed { delete },
                command => unfinished(command),
            }
        }
        verdict
    }
}

/// Waits until these torrents have given up their paths.
async fn all_left(after: Vec<watch::Receiver<bool>>) {
    for mut left in after {
        // Without a sender it has left.
        let _ = left.wait_for(|left| *left).await;
    }
}

impl Driver {
    fn new(
        context: Arc<Context>,
        handle: TorrentHandle,
        storage: StorageSlot,
        disk_events: mpsc::Sender<DiskEvent>,
        reports: mpsc::Sender<PeerReport>,
        lease: Arc<PathLease>,
    ) -> Self {
        let now = Instant::now();
        let settings = context.services.settings.borrow().clone();
        let listening = context.services.network.listening();
        let seed = rand::random();
        Self {
            brain: {
                let (id, settings) = (handle.shared.identity.peer_id, Arc::clone(&settings));
                match handle.metainfo() {
                    Some(metainfo) => {
                        let layout = Arc::new(metainfo.info.layout.clone());
                        Torrent::new(layout, id, settings, seed, now)
                    }
                    None => Torrent::without_metadata(handle.info_hash(), id, settings, now),
                }
            },
            tasks: JoinSet::new(),
            paused: true,
            uncompleted: Uncompleted::default(),
            ending: false,
            announcing: Announcing {
                announcer: trackers::announcer(&handle, now, &settings, &listening, seed),
                tasks: JoinSet::new(),
                key: rand::random(),
                baseline: Baseline::default(),
                endpoints: listening,
            },
            peers: Peers::new(reports),
            checking: Checking {
                state: CheckState::new(),
                running: None,
            },
            failure: ErrorState {
                backoff: StorageBackoff::new(),
                after_shortage: AfterShortage::default(),
                error: None,
            },
            records: Records {
                resume_state: ResumeState::default(),
                saver: {
                    let state_store = context.services.state_store.get().cloned();
                    // What is in memory is gone by the next session.
                    Saver::new(state_store.filter(|_| handle.is_on_disk()), now)
                },
                is_unread: false,
            },
            location: Location {
                lease,
                owns_paths: true,
                work: StorageWork::default(),
                gone: BTreeMap::new(),
                awaited: None,
            },
            times: Times {
                times: TorrentTimes::new(now),
                counted: CountedStats::default(),
            },
            storage: TorrentStorage {
                slot: storage,
                events: disk_events,
                work: FileWork::default(),
            },
            context,
            handle,
        }
    }

    fn begin(&mut self, paused: bool, remembered: bool, without_effect: Vec<String>) {
        let now = Instant::now();
        self.enable_announcer();
        self.paused = paused;
        self.times
            .times
            .restore(now, &self.records.resume_state.record);
        if !remembered {
            self.keep_source();
        }
        self.restore_peers();
        if !self.brain.has_metadata() {
            self.brain.fetch_metadata(now);
            // In libtorrent's order.
            self.drain_outputs();
        }
        self.post(typed::ADD_TORRENT, || self.handle.added(without_effect));
        self.times.times.paused_changed(now, paused);
        if !paused {
            self.brain.start(now);
        }
        self.watch();
        self.read_options();
        self.read_priorities();
        self.start_check();
        if !self.brain.has_metadata() && !self.paused {
            self.start_announcing(now);
        }
        self.drain_outputs();
        self.publish(now);
    }

    async fn live(&mut self, mut queues: Queues) -> LoopEnd {
        let mut stopping = self.context.services.stopping.subscribe();
        let mut settings = self.context.services.settings.subscribe();
        let mut filter = self.context.services.address_filter.filter();
        let mut session_paused = self.context.services.paused.subscribe();
        let mut suspends = self.context.services.clock.suspends();
        let mut queue_verdict = self.handle.shared.queue.subscribe();
        // They may have changed since the driver was made and looked at them.
        queue_verdict.mark_changed();
        settings.mark_changed();
        session_paused.mark_changed();
        // They grow with what comes.
        let mut reports = Vec::new();
        let mut disk = Vec::new();
        loop {
            coop::round().await;
            if *stopping.borrow_and_update() {
                return queues.drain_commands(|command| self.leave_unfinished(command));
            }
            let due = self.due();
            // Most of what wakes a torrent changes it; its timers change it rarely.
            let mut quiet = None;
            tokio::select! {
                count = queues.reports.recv_many(&mut reports, BATCH) => {
                    debug_assert!(count > 0, "the driver holds a sender itself");
                    self.peer_reports(reports.drain(..));
                }
                _ = queues.disk.recv_many(&mut disk, BATCH) => {
                    // What connections reported before comes first: a verdict
                    // on a piece must not overtake the news of its blocks.
                    self.waiting_reports(&mut queues.reports);
                    for event in disk.drain(..) {
                        self.disk_event(event);
                    }
                }
                command = queues.commands.recv() => match command {
                    Some(Command::Remove { delete }) => {
                        // Given before the removal, by another thread.
                        queues.drain_commands(|command| self.leave_unfinished(command));
                        return LoopEnd::Removed { delete };
                    }
                    Some(command) => self.handle_command(command),
                    None => return LoopEnd::SessionStopped,
                },
                Some(ended) = self.tasks.join_next() => {
                    // What a connection reported while it lasted comes before
                    // its end: afterwards it cannot be attributed to a peer.
                    self.waiting_reports(&mut queues.reports);
                    self.task_ended(ended);
                }
                Some(Ok(outcome)) = self.announcing.tasks.join_next() => self.announce_done(outcome),
                _ = settings.changed() => self.apply_settings(),
                _ = filter.changed() => self.filter_changed(),
                _ = session_paused.changed() => self.read_options(),
                _ = queue_verdict.changed() => self.queue_verdict_changed(),
                Ok(()) = suspends.changed() => {
                    let uncounted = *suspends.borrow_and_update();
                    self.woke_up(uncounted);
                }
                _ = stopping.changed() => {}
                () = sleep_until(due) => {
                    let now = Instant::now();
                    quiet = Some(self.shape());
                    self.look_for_room();
                    self.brain.handle_timeout(now);
                    self.announcing.announcer.handle_timeout(now);
                    self.check_input(|checks| checks.handle_timeout(now));
                    self.failure.backoff.handle_timeout(now);
                    self.drain_storage_outputs();
                }
            }
            if quiet.is_none_or(|shape| shape != self.shape()) {
                self.times.times.changed();
            }
            self.drain_outputs();
        }
    }

    /// Whatever a sleep of the machine makes out of date begins anew.
    fn woke_up(&mut self, uncounted: Duration) {
        let now = Instant::now();
        self.brain.woke_up(now, uncounted);
        self.announcing.announcer.woke_up(now, uncounted);
    }

    /// What a timer may have changed, apart from what it has carried out.
    fn shape(&self) -> impl PartialEq + use<> {
        let list = self.brain.peer_list();
        (
            self.brain.num_connections(),
            list.len(),
            list.num_seeds(),
            self.announcing.announcer.revision(),
        )
    }

    fn peer_reports(&mut self, reports: impl Iterator<Item = PeerReport>) {
        let now = Instant::now();
        for PeerReport { key, mut report } in reports {
            self.post_notes(key, &mut report);
            self.brain.peer_report(now, key, *report);
        }
    }

    /// What connections have reported so far, before something that follows from it.
    fn waiting_reports(&mut self, reports: &mut mpsc::Receiver<PeerReport>) {
        // Those that come meanwhile are for later: they might never end.
        let waiting = reports.len();
        self.peer_reports(std::iter::from_fn(|| reports.try_recv().ok()).take(waiting));
    }

    /// When the next of the machines wants to be woken; never, where a torrent has
    /// nothing to do.
    fn due(&self) -> Option<Instant> {
        let machines = [
            self.brain.poll_timeout(),
            self.announcing.announcer.poll_timeout(),
            self.failure.backoff.poll_timeout(),
            self.checking.state.poll_timeout(),
        ];
        machines
            .into_iter()
            .flatten()
            .chain(self.records.saver.poll_timeout())
            .chain(self.times.times.next_snapshot())
            .min()
    }

    /// Carries out what the machines decided, and shows it.
    fn drain_outputs(&mut self) {
        while let Some(output) = self.brain.poll_output() {
            self.times.times.changed();
            match output {
                Output::Peer(key, command) => {
                    if let Some(mailbox) = self.peers.mailboxes.get(&key) {
                        mailbox.post(command);
                    }
                }
                Output::Connect { endpoint, haste } => self.dial(endpoint, haste),
                Output::Ban(ip) => self.ban(ip),
                Output::Metadata(info_dict) => self.read_metadata(info_dict),
                Output::Event(event) => self.brain_event(event),
            }
        }
        self.announce_pending();
        self.follow_own_endpoints();
        let now = Instant::now();
        if let Some(standing) = self.brain.take_standing(now) {
            let session = &self.context.services;
            let to = Arc::clone(&self.handle.shared);
            session.choking.report(self.handle.key(), standing, to);
        }
        self.autosave(now);
        if self.times.times.next_snapshot().is_some_and(|at| now >= at) {
            self.publish(now);
        }
    }

    fn task_ended(&mut self, ended: Result<TaskEnd, tokio::task::JoinError>) {
        match ended {
            Ok(TaskEnd::Peer(end)) => self.peer_ended(*end),
            Ok(TaskEnd::Dialled(dialled)) => self.dialled(dialled),
            Ok(TaskEnd::Reannounce(request)) => {
                self.announcing.announcer.reannounce(
                    Instant::now(),
                    request.tracker,
                    request.ignore_min_interval,
                );
            }
            Ok(TaskEnd::Metadata(Ok(info))) => self.metadata_known(info),
            Ok(TaskEnd::Metadata(Err(error))) => self.metadata_refused(error.into()),
            Ok(TaskEnd::PathsClaimed(info, outcome)) => self.paths_claimed(info, outcome),
            Ok(TaskEnd::StorageFailed(error)) => self.storage_failed(error),
            Ok(TaskEnd::ResumeChecked(outcome)) => self.resume_checked(*outcome),
            Ok(TaskEnd::Gathered(gathered, requests)) => self.gathered(*gathered, requests),
            Ok(TaskEnd::Kept(kept)) => self.kept(&kept),
            Ok(TaskEnd::Files(end)) => self.files_end(end),
            Ok(TaskEnd::StorageWork(end)) => self.storage_work_ended(end),
            Ok(TaskEnd::Root(look)) => self.root_looked_for(look),
            Ok(TaskEnd::Gone(look)) => self.pieces_gone(look),
            Ok(TaskEnd::Flushed(answer)) => self.flush_over(answer),
            Ok(TaskEnd::Done) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coop::testing::assert_gives_way;
    use crate::session::add::AddTorrent;
    use crate::session::registry::Origin;
    use crate::session::runtime;
    use crate::session::tests::support::{Node, Payload};

    /// Runs a torrent's task beside another one, fed by `feed`.
    async fn run_with(feed: impl FnMut(&TorrentHandle) + 'static) {
        let node = Node::new();
        let session = &node.session.shared;
        let context = runtime::context(session).unwrap();
        let payload = Payload::of_two_files(1);
        let add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
        let (handle, new) = session.register(add, Origin::Game).unwrap();
        let mut feed = feed;
        let fed = handle.clone();
        let task = run(Arc::clone(&context), new.unwrap());
        assert_gives_way(task, move || feed(&fed)).await;
        context.disk.stop().await;
    }

    #[tokio::test]
    async fn a_game_that_never_stops_calling_leaves_others_their_turn() {
        run_with(|handle| drop(handle.ask(crate::torrent::handle::post::PostRequest::Status)))
            .await;
    }

    #[tokio::test]
    async fn a_session_that_never_stops_changing_leaves_others_their_turn() {
        // What is as it was is no change.
        run_with(|handle| {
            handle
                .set_max_uploads(15 - handle.max_uploads().max(7))
                .unwrap()
        })
        .await;
    }
}
