//! The background of a session: one thread that owns the tokio runtime and
//! runs the session's task until the ordered shutdown is complete.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::task::JoinSet;
use torrent_core::ids::InfoHash;
use torrent_core::settings::Settings;
use torrent_core::turnover::Turnover;

use crate::accept;
use crate::buffers::BufferPool;
use crate::choke;
use crate::commands::Receiver;
use crate::disk::{Disk, DiskConfig};
use crate::due::sleep_until;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Detail, kind};
use crate::fair;
use crate::farewells::Farewells;
use crate::net::dial::Dialler;
use crate::net::listen::{self, Listener};
use crate::pace::Pace;
use crate::performance::PerformanceWarning;
use crate::queue;
use crate::rates::{self, Direction};
use crate::restore;
use crate::session::{NewTorrent, SessionCommand, SessionShared};
use crate::status::TorrentStatus;
use crate::successor;
use crate::threads;
use crate::torrent;
use crate::tracker::{ErrorSink, TrackerClient};
use crate::turnover;
use crate::upkeep;

/// How long the parts of a shutdown may take together, unless the owner says
/// otherwise. A game that quits waits for this at most.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(4500);

/// How long after a change the session's state is saved, so that several
/// changes become one save.
const SAVE_DELAY: Duration = Duration::from_millis(500);

/// How long the end of a session waits for the answers of trackers.
pub const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// What runtime threads that hang in the operating system (a name look-up)
/// are given before they are left behind.
const RUNTIME_LIMIT: Duration = Duration::from_millis(300);

/// What the state directory is given to finish what is queued for it, beyond
/// the time that the rest has left.
const KEEPER_LIMIT: Duration = Duration::from_millis(500);

/// Sessions whose threads still run, for [`join_all`].
static RUNNING: Mutex<Vec<Arc<Done>>> = Mutex::new(Vec::new());

/// How far the end of a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    #[default]
    NotYet,
    /// Files are closed, ports and folder are free.
    Stopped,
    /// Its thread has nothing left to do.
    Finished,
}

/// Told how far the end of a session is.
#[derive(Debug, Default)]
struct Done {
    end: Mutex<End>,
    changed: Condvar,
}

impl Done {
    fn wait(&self, wanted: End, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut end = self.end.lock();
        while *end < wanted {
            if self.changed.wait_until(&mut end, deadline).timed_out() {
                return *end >= wanted;
            }
        }
        true
    }

    fn reach(&self, end: End) {
        *self.end.lock() = end;
        self.changed.notify_all();
    }
}

/// Waits for the end of a session.
#[derive(Debug)]
pub(crate) struct Joiner {
    done: Arc<Done>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Joiner {
    /// Waits until the session has stopped, at most `limit`. Whether it has.
    pub(crate) fn join(&self, limit: Duration) -> bool {
        self.done.wait(End::Stopped, limit)
    }

    /// Waits until its threads have ended, at most `limit`. Whether they have.
    pub(crate) fn join_threads(&self, limit: Duration) -> bool {
        if !self.done.wait(End::Finished, limit) {
            return false;
        }
        if let Some(thread) = self.thread.lock().take() {
            // It has said that it is done: this only waits for its last steps.
            let _ = thread.join();
        }
        true
    }
}

/// Waits until every stopped session's threads have ended, so that the library
/// may be unloaded; at most `limit`. Whether they have.
pub fn join_all(limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let running = RUNNING.lock().clone();
    running.iter().all(|done| {
        done.wait(
            End::Finished,
            deadline.saturating_duration_since(Instant::now()),
        )
    })
}

/// Disk workers, at most; the setting `aio_threads` says how many of them work
/// at once.
const MAX_WORKERS: usize = 64;

/// What all tasks of a session share.
pub(crate) struct Context {
    pub(crate) session: Arc<SessionShared>,
    pub(crate) disk: Disk,
    pub(crate) pool: BufferPool,
    pub(crate) trackers: TrackerClient,
    pub(crate) pace: Pace,
    pub(crate) dialler: Dialler,
    pub(crate) farewells: Farewells,
}

/// How a session comes to its folder and its listen sockets.
pub(crate) enum Start {
    /// It has them.
    Now(Bound),
    /// An earlier session, which is ending, has the folder, the ports or both.
    Waiting {
        /// The folder that is waited for.
        folder: Option<PathBuf>,
    },
}

/// Listen sockets, and the settings that they were opened by: those of the
/// session may have changed since.
pub(crate) struct Bound {
    sockets: Vec<Listener>,
    settings: ListenSettings,
}

impl Bound {
    pub(crate) fn new(sockets: Vec<Listener>, settings: &Settings) -> Self {
        Self {
            sockets,
            settings: settings_of_listening(settings),
        }
    }
}

/// Starts the disk workers and the thread of a session.
pub(crate) fn spawn(
    session: Arc<SessionShared>,
    inbox: Receiver<SessionCommand>,
    start: Start,
) -> Result<Joiner> {
    let failed =
        |error: std::io::Error| Error::because(ErrorKind::SessionStartFailed, error.to_string());
    let settings = session.settings.borrow().clone();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = BufferPool::default();
    let config = DiskConfig {
        workers: cores.clamp(1, MAX_WORKERS),
        file_pool_size: settings.file_pool_size as usize,
        max_queued_bytes: settings.max_queued_disk_bytes as usize,
    };
    let disk = Disk::start(config, pool.clone()).map_err(failed)?;
    // A session starts once, and so this is empty.
    let _ = session.disk.set(disk.watch());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(1, 4))
        .thread_name("torrent-io")
        .on_thread_start(threads::begin)
        .enable_all()
        .build()
        .map_err(failed)?;
    let context = Arc::new(Context {
        trackers: TrackerClient::new(
            session.settings.subscribe(),
            session.guard.filter(),
            udp_errors(&session),
        ),
        pace: Pace::default(),
        dialler: Dialler::default(),
        farewells: Farewells::default(),
        session,
        disk,
        pool,
    });
    let done = Arc::new(Done::default());
    let thread = std::thread::Builder::new()
        .name("torrent-session".to_owned())
        .spawn({
            let done = Arc::clone(&done);
            move || {
                threads::begin();
                RUNNING.lock().push(Arc::clone(&done));
                runtime.block_on(async {
                    run(Arc::clone(&context), inbox, start).await;
                    farewell(&context, &done).await;
                    drop(context);
                });
                runtime.shutdown_timeout(RUNTIME_LIMIT);
                RUNNING.lock().retain(|other| !Arc::ptr_eq(other, &done));
                done.reach(End::Finished);
            }
        })
        .map_err(failed)?;
    Ok(Joiner {
        done,
        thread: Mutex::new(Some(thread)),
    })
}

/// Warns of a rate limit that headers alone use up.
fn warn_of_limits(session: &Arc<SessionShared>) -> impl Fn(Direction) + Send + use<> {
    let session = Arc::clone(session);
    move |direction| {
        let warning = match direction {
            Direction::Up => PerformanceWarning::UploadLimitTooLow,
            Direction::Down => PerformanceWarning::DownloadLimitTooLow,
        };
        session.warn(None, warning);
    }
}

/// Posts what goes wrong at the sockets for UDP trackers.
fn udp_errors(session: &Arc<SessionShared>) -> ErrorSink {
    let session = Arc::downgrade(session);
    Arc::new(move |endpoint, operation, error| {
        if let Some(session) = session.upgrade() {
            session
                .events
                .post(kind::UDP_ERROR, None, || Detail::Socket {
                    endpoint,
                    operation,
                    error: error.to_string(),
                });
        }
    })
}

/// Runs a task and turns its panic into an `internal_error` event.
pub(crate) async fn supervise(
    context: Arc<Context>,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    if let Err(error) = tokio::spawn(task).await
        && error.is_panic()
    {
        report_panic(&context.session, name);
    }
}

/// Posts the event that stands for a panic in a task.
pub(crate) fn report_panic(session: &SessionShared, name: &'static str) {
    tracing::error!(task = name, "a task panicked");
    let message = format!("the {name} task failed");
    session.events.post(kind::INTERNAL_ERROR, None, || {
        Detail::Error(Error::because(ErrorKind::InternalException, message))
    });
}

/// The session's task.
struct SessionTask {
    context: Arc<Context>,
    /// Torrents that run, or are still shutting down.
    torrents: JoinSet<InfoHash>,
    alive: HashMap<InfoHash, Vec<NewTorrent>>,
    /// Statuses as of the last `torrents_updated` and `state_update`.
    last_tick: HashMap<InfoHash, Arc<TorrentStatus>>,
    last_update: HashMap<InfoHash, Arc<TorrentStatus>>,
    /// When the session's state is to be saved.
    save_due: Option<Instant>,
    turnover: Turnover,
}

/// The session has stopped: its trackers may take a little longer, and then go
/// on being told in the background, within the limit of that.
async fn farewell(context: &Context, done: &Done) {
    let session = &context.session;
    let patience = session.settings.borrow().stop_tracker_timeout;
    let patience = Duration::from_secs(patience.unsigned_abs());
    let begun = context.farewells.begun();
    let mut hurry = session.hurry.subscribe();
    let mut announces = context.farewells.all();
    let all = async { while announces.join_next().await.is_some() {} };
    tokio::pin!(all);
    let early = tokio::time::timeout_at(begun + FAREWELL_LIMIT.min(patience), &mut all).await;
    done.reach(End::Stopped);
    if early.is_err() {
        tracing::debug!("trackers do not answer, and are told in the background");
        tokio::select! {
            _ = tokio::time::timeout_at(begun + patience, all) => {}
            _ = hurry.wait_for(|hurry| *hurry) => {}
        }
    }
}

async fn run(context: Arc<Context>, mut inbox: Receiver<SessionCommand>, start: Start) {
    let Some(bound) = begin(&context, start).await else {
        return;
    };
    let mut listen_settings = bound.settings;
    tracing::info!("the session runs");
    let mut listeners = accept::spawn(&context, bound.sockets);
    let mut helpers = JoinSet::new();
    let session = &context.session;
    helpers.spawn(supervise(
        Arc::clone(&context),
        "choking",
        choke::run(Arc::clone(session)),
    ));
    helpers.spawn(supervise(
        Arc::clone(&context),
        "rate limit",
        rates::run(
            Arc::clone(&session.rates),
            session.settings.subscribe(),
            warn_of_limits(session),
        ),
    ));
    helpers.spawn(supervise(
        Arc::clone(&context),
        "queue",
        queue::run(Arc::clone(session)),
    ));
    helpers.spawn(supervise(
        Arc::clone(&context),
        "state directory",
        restore::run(Arc::clone(session)),
    ));
    helpers.spawn(supervise(
        Arc::clone(&context),
        "state directory",
        restore::tell_of_failures(Arc::clone(session)),
    ));
    helpers.spawn(supervise(
        Arc::clone(&context),
        "upkeep",
        upkeep::run(Arc::clone(&context)),
    ));
    let mut task = SessionTask {
        context: Arc::clone(&context),
        torrents: JoinSet::new(),
        alive: HashMap::new(),
        last_tick: HashMap::new(),
        last_update: HashMap::new(),
        save_due: None,
        turnover: Turnover::new(Instant::now()),
    };
    let mut next_trim = tokio::time::Instant::now();
    let mut next_tick = tokio::time::Instant::now();
    let mut stopping = context.session.stopping.subscribe();
    let mut settings = context.session.settings.subscribe();
    // They may have changed since the sockets were opened.
    settings.mark_changed();
    while !*stopping.borrow_and_update() {
        fair::round().await;
        let tick = Duration::from_millis(
            context
                .session
                .settings
                .borrow()
                .status_update_interval
                .unsigned_abs(),
        );
        tokio::select! {
            command = inbox.recv() => match command {
                Some(SessionCommand::Add(new)) => task.add(look_up(&context, *new).await),
                Some(SessionCommand::PostUpdates) => task.post_updates(),
                Some(SessionCommand::Reopen) => reopen(&context, &mut listeners).await,
                None => break,
            },
            Some(ended) = task.torrents.join_next() => task.ended(ended.ok()),
            () = tokio::time::sleep_until(next_tick) => {
                next_tick = tokio::time::Instant::now() + tick;
                task.post_tick();
                turnover::look(&context.session, &mut task.turnover);
            }
            () = context.session.state_unsaved.notified() => {
                task.save_due.get_or_insert_with(|| Instant::now() + SAVE_DELAY);
            }
            () = sleep_until(task.save_due) => {
                task.save_due = None;
                // What fails is reported and tried again by the directory's
                // thread: this task waits for no disk.
                drop(save_state(&context.session));
            }
            _ = settings.changed() => {
                let wanted = settings_of_listening(&settings.borrow_and_update());
                if wanted != listen_settings {
                    listen_settings = wanted;
                    reopen(&context, &mut listeners).await;
                }
            }
            _ = stopping.changed() => {}
            () = tokio::time::sleep_until(next_trim) => {
                context.pool.trim();
                let kept = context.session.settings.borrow().idle_buffer_time;
                next_trim += Duration::from_secs(kept.unsigned_abs());
            }
        }
    }
    context.farewells.begin();
    listeners.shutdown().await;
    context.session.listening.store(false, Ordering::Release);
    // What was added right before runs for as long as it takes to write down
    // that it is there.
    inbox.close();
    while let Some(command) = inbox.try_recv() {
        if let SessionCommand::Add(new) = command {
            task.add(look_up(&context, *new).await);
        }
    }
    let all_ended = async {
        while let Some(ended) = task.torrents.join_next().await {
            task.ended(ended.ok());
        }
        context.disk.stop().await;
        save_state(&context.session).await;
    };
    let limit = context.session.shutdown_limit.get();
    let deadline = tokio::time::Instant::now() + *limit.unwrap_or(&SHUTDOWN_LIMIT);
    if tokio::time::timeout_at(deadline, all_ended).await.is_err() {
        tracing::warn!("the shutdown took too long and was cut short");
        task.torrents.shutdown().await;
    }
    helpers.shutdown().await;
    close_folder(&context.session, deadline).await;
    tracing::info!("the session has stopped");
}

/// Takes what the session needs. `None` when it ends before it has it.
async fn begin(context: &Arc<Context>, start: Start) -> Option<Bound> {
    let session = &context.session;
    let folder = match start {
        Start::Now(bound) => return Some(bound),
        Start::Waiting { folder } => folder,
    };
    tracing::info!("the session waits for an earlier one to end");
    let taken = successor::take_up(session, folder).await;
    if let Ok(Some(bound)) = taken {
        session.up.store(true, Ordering::Release);
        return Some(bound);
    }
    if let Err(error) = taken {
        session.fail(error);
    }
    restore::give_up(session);
    context.farewells.begin();
    session.listening.store(false, Ordering::Release);
    context.disk.stop().await;
    close_folder(session, tokio::time::Instant::now()).await;
    None
}

/// A torrent that came before the session had its folder is looked up there.
async fn look_up(context: &Arc<Context>, mut new: NewTorrent) -> NewTorrent {
    if new.early.is_none() {
        return new;
    }
    let session = Arc::clone(&context.session);
    let looked_up = tokio::task::spawn_blocking(move || {
        session.look_up(&mut new);
        new
    });
    match looked_up.await {
        Ok(new) => new,
        // As with any panic of ours.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Gives up the state directory, which is given a little beyond the deadline.
async fn close_folder(session: &SessionShared, deadline: tokio::time::Instant) {
    if let Some(keeper) = session.keeper.get().cloned() {
        // It gives up the folder's lock when it is done.
        let closed = tokio::task::spawn_blocking(move || keeper.stop());
        let closed = tokio::time::timeout_at(deadline + KEEPER_LIMIT, closed);
        if closed.await.is_err() {
            tracing::warn!("the state directory took too long to close");
        }
    }
}

/// The settings that decide where we listen.
type ListenSettings = (String, i64, bool);

fn settings_of_listening(settings: &Settings) -> ListenSettings {
    (
        settings.listen_interfaces.clone(),
        settings.max_retry_port_bind,
        settings.listen_system_port_fallback,
    )
}

/// Listens where the settings say now. Connections that were made stay.
async fn reopen(context: &Arc<Context>, listeners: &mut JoinSet<()>) {
    listeners.shutdown().await;
    let settings = context.session.settings.borrow().clone();
    match listen::bind(&settings) {
        Ok(listening) => {
            let session = &context.session;
            session.network.show(&session.events, &listening);
            *listeners = accept::spawn(context, listening.sockets);
        }
        // Settings that cannot be read are never applied.
        Err(error) => tracing::error!(%error, "the listen sockets cannot be opened"),
    }
}

/// Puts the session's state into the state directory; done when it is there
/// or did not get there at once.
fn save_state(session: &SessionShared) -> impl Future<Output = ()> + use<> {
    let keeper = session.keeper.get();
    let saved = keeper.map(|keeper| keeper.save_session(session.encode_state().into()));
    async {
        if let Some(saved) = saved {
            // The directory's thread reports what fails.
            let _ = saved.await;
        }
    }
}

impl SessionTask {
    /// Runs a torrent; one whose predecessor of the same hash is still closing
    /// its files waits for that.
    fn add(&mut self, new: NewTorrent) {
        let hash = new.handle.info_hash();
        if let Some(waiting) = self.alive.get_mut(&hash) {
            waiting.push(new);
            return;
        }
        self.alive.insert(hash, Vec::new());
        let context = Arc::clone(&self.context);
        self.torrents.spawn(async move {
            supervise(Arc::clone(&context), "torrent", torrent::run(context, new)).await;
            hash
        });
    }

    fn ended(&mut self, hash: Option<InfoHash>) {
        let Some(hash) = hash else { return };
        self.last_tick.remove(&hash);
        self.last_update.remove(&hash);
        for next in self.alive.remove(&hash).into_iter().flatten() {
            self.add(next);
        }
    }

    fn post_updates(&mut self) {
        let changed = changes(&self.context.session, &mut self.last_update);
        let events = &self.context.session.events;
        events.post(kind::STATE_UPDATE, None, || Detail::Statuses(changed));
    }

    fn post_tick(&mut self) {
        let changed = changes(&self.context.session, &mut self.last_tick);
        if !changed.is_empty() {
            let events = &self.context.session.events;
            events.post(kind::TORRENTS_UPDATED, None, || Detail::Statuses(changed));
        }
    }
}

/// The statuses that tell more than those in `last`, which is brought up to date.
fn changes(
    session: &SessionShared,
    last: &mut HashMap<InfoHash, Arc<TorrentStatus>>,
) -> Vec<Arc<TorrentStatus>> {
    let handles: Vec<_> = session.registry.lock().values().cloned().collect();
    handles
        .iter()
        .filter_map(|handle| {
            let status = handle.status();
            let known = last.insert(handle.info_hash(), Arc::clone(&status));
            let is_news = known
                .is_none_or(|known| !Arc::ptr_eq(&known, &status) && status.is_news_after(&known));
            is_news.then_some(status)
        })
        .collect()
}
