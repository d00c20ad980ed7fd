//! The background of a session: one thread that owns the tokio runtime and
//! runs the session's task until the ordered shutdown is complete.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use torrent_core::ids::{InfoHash, TorrentKey};
use torrent_core::settings::Settings;
use torrent_core::turnover::Turnover;

use crate::buffers::BufferPool;
use crate::command_queue::Receiver;
use crate::context::final_announces::FinalAnnounces;
use crate::context::{Context, Services, supervise_owned};
use crate::coop;
use crate::discovery::tracker::TrackerClient;
use crate::disk::{Disk, DiskConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{SocketError, typed};
use crate::log::LoggedSession;
use crate::net::connect_limiter::ConnectLimiter;
use crate::net::dial::Dialler;
use crate::net::listen;
use crate::net::udp::{ErrorSink, UdpSockets};
use crate::net::utp::UtpEndpoints;
use crate::session::accept;
use crate::session::bound::{Bound, settings_of_listening};
use crate::session::joiner::{Done, End, Joiner};
use crate::session::restore;
use crate::session::shutdown::{self, close_folder, finish_announces, save_state};
use crate::session::successor;
use crate::session::turnover;
use crate::session::updates::Updates;
use crate::session::{SessionCommand, SessionShared, helpers};
use crate::threads;
use crate::timer::sleep_until;
use crate::torrent::{self, NewTorrent, UnfinishedRemoval};

/// How long after a change the session's state is saved, so that several
/// changes become one save.
const SAVE_DELAY: Duration = Duration::from_millis(500);

/// How long the end waits for runtime threads that hang in the operating system
/// (a name look-up) before it leaves them behind.
const RUNTIME_LIMIT: Duration = Duration::from_millis(300);

/// Disk workers, at most; the setting `aio_threads` says how many of them work
/// at once.
const MAX_WORKERS: usize = 64;

/// How a session gets its folder and its listen sockets.
pub(crate) enum Start {
    /// The session has both already.
    Now(Bound),
    /// An earlier session, which is ending, has the folder, the ports or both.
    Waiting {
        /// The folder that is waited for.
        folder: Option<PathBuf>,
        /// What counts as default under the folder's settings.
        usual: Arc<Settings>,
        /// For how long at most.
        limit: Duration,
    },
}

/// Starts the disk workers and the thread of a session.
pub(crate) fn spawn(
    session: Arc<SessionShared>,
    inbox: Receiver<SessionCommand>,
    start: Start,
) -> Result<Joiner> {
    let failed =
        |error: std::io::Error| Error::because(ErrorKind::SessionStartFailed, error.to_string());
    let context = context(&session).map_err(failed)?;
    // A session starts once, and so this is empty.
    let _ = session.disk.set(context.disk.watch());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores().clamp(1, 4))
        .thread_name("torrent-io")
        .on_thread_start(threads::begin)
        .enable_all()
        .build()
        .map_err(failed)?;
    let done = Arc::new(Done::default());
    let thread = std::thread::Builder::new()
        .name("torrent-session".to_owned())
        .spawn({
            let done = Arc::clone(&done);
            let logged = LoggedSession::new(session.services.stopping.subscribe());
            move || {
                threads::begin();
                runtime.block_on(async {
                    run(&session, &context, inbox, start).await;
                    finish_announces(&session, &context, &done).await;
                    drop((session, context));
                });
                runtime.shutdown_timeout(RUNTIME_LIMIT);
                drop(logged);
                done.reach(End::Finished);
            }
        })
        .map_err(failed)?;
    Ok(Joiner::new(done, thread))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What the tasks of `session` work with, the disk workers included.
pub(crate) fn context(session: &SessionShared) -> io::Result<Arc<Context>> {
    let settings = session.services.settings.borrow().clone();
    let pool = BufferPool::default();
    let config = DiskConfig {
        workers: cores().clamp(1, MAX_WORKERS),
        file_pool_size: settings.file_pool_size as usize,
        max_queued_bytes: settings.max_queued_disk_bytes as usize,
    };
    let services = Arc::clone(&session.services);
    let udp = Arc::new(UdpSockets::new(udp_errors(&services)));
    Ok(Arc::new(Context {
        trackers: TrackerClient::new(
            session.services.settings.subscribe(),
            session.services.address_filter.filter(),
            Arc::clone(&udp),
            Arc::clone(&services.clock),
        ),
        utp: UtpEndpoints::new(
            Arc::clone(&udp),
            session.services.settings.subscribe(),
            Arc::clone(&services.stats.utp),
        ),
        udp,
        connect_limiter: ConnectLimiter::default(),
        dialler: Dialler::default(),
        final_announces: FinalAnnounces::default(),
        services,
        disk: Disk::start(config, pool.clone())?,
        pool,
    }))
}

/// Posts what goes wrong at UDP sockets.
fn udp_errors(session: &Arc<Services>) -> ErrorSink {
    let session = Arc::downgrade(session);
    Arc::new(move |endpoint, operation, error| {
        if let Some(session) = session.upgrade() {
            session.events.post(typed::UDP_ERROR, None, || SocketError {
                endpoint,
                operation,
                error: error.to_string(),
            });
        }
    })
}

/// The session's task.
struct SessionTask {
    session: Arc<SessionShared>,
    context: Arc<Context>,
    /// Torrents that run, or are still shutting down.
    torrents: JoinSet<(TorrentKey, InfoHash)>,
    /// By the hash that names what is saved of a torrent.
    alive: HashMap<InfoHash, Alive>,
    updates: Updates,
    /// When the session's state is to be saved.
    save_due: Option<Instant>,
    turnover: Turnover,
}

/// A torrent that runs, or has files that are to be deleted.
#[derive(Default)]
struct Alive {
    /// Those of the same hash that wait for it to close its files.
    waiting: Vec<NewTorrent>,
    /// Says to a removal that the torrent is added again.
    removal: Option<Arc<Notify>>,
}

async fn run(
    session: &Arc<SessionShared>,
    context: &Arc<Context>,
    mut inbox: Receiver<SessionCommand>,
    start: Start,
) {
    let Some(bound) = begin(session, context, start).await else {
        return;
    };
    let mut listen_settings = bound.settings;
    tracing::info!("the session runs");
    context.udp.open(bound.udp);
    context.utp.open();
    let mut listeners = accept::spawn(session, bound.sockets, &context.utp);
    let mut helpers = helpers::spawn(session, context);
    let mut task = SessionTask::new(session, context);
    let mut next_trim = tokio::time::Instant::now();
    let mut next_tick = tokio::time::Instant::now();
    let mut stopping = session.services.stopping.subscribe();
    let mut settings = session.services.settings.subscribe();
    // They may have changed since the sockets were opened.
    settings.mark_changed();
    while !*stopping.borrow_and_update() {
        coop::round().await;
        let tick = time_between_updates(session);
        tokio::select! {
            command = inbox.recv() => match command {
                Some(SessionCommand::Add(new)) => task.add(*new),
                Some(SessionCommand::FinishRemoval(removal)) => task.finish_removal(*removal),
                Some(SessionCommand::PostUpdates) => task.updates.post_updates(session),
                Some(SessionCommand::Reopen) => reopen(session, context, &mut listeners).await,
                None => break,
            },
            Some(ended) = task.torrents.join_next() => task.ended(ended.ok()),
            () = tokio::time::sleep_until(next_tick) => {
                next_tick = tokio::time::Instant::now() + tick;
                task.updates.post_tick(session);
                turnover::look(session, &mut task.turnover);
            }
            () = session.state_unsaved.notified() => {
                task.save_due.get_or_insert_with(|| Instant::now() + SAVE_DELAY);
            }
            () = sleep_until(task.save_due) => {
                task.save_due = None;
                // What fails is reported and tried again by the directory's
                // thread: this task waits for no disk.
                drop(save_state(session));
            }
            _ = settings.changed() => {
                let wanted = settings_of_listening(&settings.borrow_and_update());
                if wanted != listen_settings {
                    listen_settings = wanted;
                    reopen(session, context, &mut listeners).await;
                }
            }
            _ = stopping.changed() => {}
            () = tokio::time::sleep_until(next_trim) => {
                context.pool.trim();
                let kept = session.services.settings.borrow().idle_buffer_time;
                // From now: after a sleep of the machine there is nothing to make up for.
                let kept = Duration::from_secs(kept.unsigned_abs());
                next_trim = tokio::time::Instant::now() + kept;
            }
        }
    }
    context.final_announces.begin();
    // Final announces leave from other ports: a session that comes after may have
    // these from here on.
    listeners.shutdown().await;
    context.utp.shut_down().await;
    context.udp.shut_down().await;
    session.listening.store(false, Ordering::Release);
    task.add_the_last(&mut inbox);
    let all_ended = async {
        while let Some(ended) = task.torrents.join_next().await {
            task.ended(ended.ok());
        }
        context.disk.stop().await;
        save_state(session).await;
    };
    let deadline = shutdown::deadline(session);
    if tokio::time::timeout_at(deadline, all_ended).await.is_err() {
        tracing::warn!("the shutdown took too long and was cut short");
        task.torrents.shutdown().await;
    }
    helpers.shutdown().await;
    close_folder(session, deadline).await;
    tracing::info!("the session has stopped");
}

fn time_between_updates(session: &SessionShared) -> Duration {
    let tick = session.services.settings.borrow().status_update_interval;
    Duration::from_millis(tick.unsigned_abs())
}

/// Takes what the session needs. `None` when it ends before it has it.
async fn begin(session: &Arc<SessionShared>, context: &Context, start: Start) -> Option<Bound> {
    let (folder, usual, limit) = match start {
        Start::Now(bound) => return Some(bound),
        Start::Waiting {
            folder,
            usual,
            limit,
        } => (folder, usual, limit),
    };
    tracing::info!("the session waits for an earlier one to end");
    let taken = successor::take_up(session, folder, &usual, limit).await;
    if let Ok(Some(bound)) = taken {
        session.up.store(true, Ordering::Release);
        return Some(bound);
    }
    if let Err(error) = taken {
        session.fail(error);
    }
    restore::give_up(session);
    context.final_announces.begin();
    session.listening.store(false, Ordering::Release);
    context.disk.stop().await;
    close_folder(session, tokio::time::Instant::now()).await;
    None
}

/// Runs a torrent. One that came before those of the state directory is looked
/// up there first: by its own task, so that the disk keeps no other one waiting and
/// a panic ends this torrent alone.
async fn run_torrent(session: Arc<SessionShared>, context: Arc<Context>, new: NewTorrent) {
    if let Some(new) = Box::pin(restore::looked_up(&session, new)).await {
        torrent::run(context, new).await;
    }
}

/// Listens where the settings say now. Connections that were made stay.
async fn reopen(session: &Arc<SessionShared>, context: &Context, listeners: &mut JoinSet<()>) {
    listeners.shutdown().await;
    let settings = session.services.settings.borrow().clone();
    context.utp.reset_unlisted(&settings);
    context.udp.close().await;
    match listen::bind(&settings) {
        Ok(listening) => {
            // Before torrents announce the new endpoints.
            context.udp.open(listening.udp);
            context.utp.open();
            session.services.network.show(
                &session.services.events,
                &listening.sockets,
                &listening.errors,
            );
            *listeners = accept::spawn(session, listening.sockets, &context.utp);
        }
        // Settings that cannot be read are never applied.
        Err(error) => tracing::error!(%error, "the listen sockets cannot be opened"),
    }
}

impl SessionTask {
    fn new(session: &Arc<SessionShared>, context: &Arc<Context>) -> Self {
        Self {
            session: Arc::clone(session),
            context: Arc::clone(context),
            torrents: JoinSet::new(),
            alive: HashMap::new(),
            updates: Updates::default(),
            save_due: None,
            turnover: Turnover::new(Instant::now()),
        }
    }

    /// Runs a torrent; one whose predecessor of the same hash is still closing
    /// its files waits for that.
    fn add(&mut self, mut new: NewTorrent) {
        let (key, hash) = (new.handle.key(), new.handle.info_hash());
        if let Some(alive) = self.alive.get_mut(&hash) {
            if let Some(removal) = &alive.removal {
                removal.notify_one();
                new.may_have_record = true;
            }
            alive.waiting.push(new);
            return;
        }
        self.alive.insert(hash, Alive::default());
        let session = &self.context.services;
        if new.claim.ticket.is_none() {
            // In the order in which they are added.
            new.claim.ticket = session.path_claims.try_newcomer_ticket();
        }
        let (session, context) = (Arc::clone(&self.session), Arc::clone(&self.context));
        self.torrents.spawn(async move {
            let services = Arc::clone(&context.services);
            supervise_owned(services, "torrent", run_torrent(session, context, new)).await;
            (key, hash)
        });
    }

    /// What was added right before the end runs for as long as it takes to write
    /// down that it is there.
    fn add_the_last(&mut self, inbox: &mut Receiver<SessionCommand>) {
        inbox.close();
        while let Some(command) = inbox.try_recv() {
            if let SessionCommand::Add(new) = command {
                self.add(*new);
            }
        }
    }

    /// Goes on with a removal that an earlier session has begun.
    fn finish_removal(&mut self, removal: UnfinishedRemoval) {
        let (key, hash) = (removal.torrent.key, removal.info_hash());
        let added_again = Arc::new(Notify::new());
        // Torrents of its hash are added after it.
        let alive = self.alive.entry(hash).or_default();
        alive.removal = Some(Arc::clone(&added_again));
        let context = Arc::clone(&self.context);
        self.torrents.spawn(async move {
            let services = Arc::clone(&context.services);
            let finish = removal.finish(context, added_again);
            supervise_owned(services, "removal", finish).await;
            (key, hash)
        });
    }

    fn ended(&mut self, torrent: Option<(TorrentKey, InfoHash)>) {
        let Some((key, hash)) = torrent else { return };
        self.updates.forget(key);
        let alive = self.alive.remove(&hash).unwrap_or_default();
        for next in alive.waiting {
            self.add(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_queue;
    use crate::coop::testing::assert_gives_way;
    use crate::session::tests::support::Node;

    #[tokio::test]
    async fn a_game_that_never_stops_asking_leaves_others_their_turn() {
        let node = Node::new();
        let session = &node.session.shared;
        let context = context(session).unwrap();
        let (sender, inbox) = command_queue::queue();
        let start = Start::Now(Bound::new(
            listen::Listening::default(),
            &session.services.settings.borrow(),
        ));
        let task = run(session, &context, inbox, start);
        let feed = move || assert!(sender.send(SessionCommand::PostUpdates));
        assert_gives_way(task, feed).await;
        context.disk.stop().await;
    }
}
