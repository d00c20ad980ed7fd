//! The tasks that run beside the session's own for as long as it does.

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;
use torrent_core::ids::TorrentKey;

use super::SessionShared;
use crate::context::{Context, supervise};
use crate::event::performance::PerformanceWarning;
use crate::net::bandwidth::{self, Direction};
use crate::session::choker;
use crate::session::disk_settings;
use crate::session::queue;
use crate::session::restore;

/// Starts all of them.
pub(crate) fn spawn(session: &Arc<SessionShared>, context: &Arc<Context>) -> JoinSet<()> {
    let services = &context.services;
    let mut helpers = Helpers {
        context,
        tasks: JoinSet::new(),
    };
    let settings = || services.settings.subscribe();
    let (choking, events) = (&services.choking, &services.events);
    let choking = choker::run(Arc::clone(choking), settings(), Arc::clone(events));
    helpers.add("choking", choking);
    let limiter = Arc::clone(&services.bandwidth);
    let limiter = bandwidth::run(limiter, settings(), warn_of_limits(session));
    helpers.add("rate limit", limiter);
    let (queue, saved, asking) = (&services.queue, Arc::clone(session), Arc::clone(session));
    let queue = queue::run(
        Arc::clone(queue),
        settings(),
        move || saved.state_changed(),
        move |torrent| scrape(&asking, torrent),
    );
    helpers.add("queue", queue);
    helpers.add("state directory", restore::run(Arc::clone(session)));
    let failures = restore::post_write_failures(Arc::clone(session));
    helpers.add("state directory", failures);
    let clock = Arc::clone(&services.clock);
    helpers.add("suspend", async move { clock.watch_for_suspends().await });
    helpers.add("disk settings", disk_settings::run(Arc::clone(context)));
    helpers.tasks
}

struct Helpers<'a> {
    context: &'a Arc<Context>,
    tasks: JoinSet<()>,
}

impl Helpers<'_> {
    fn add(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let services = Arc::clone(&self.context.services);
        self.tasks.spawn(supervise(services, name, task));
    }
}

/// Warns of a rate limit that headers alone use up.
fn warn_of_limits(session: &Arc<SessionShared>) -> impl Fn(Direction) + Send + use<> {
    let session = Arc::clone(session);
    move |direction| {
        let warning = match direction {
            Direction::Up => PerformanceWarning::UploadLimitTooLow,
            Direction::Down => PerformanceWarning::DownloadLimitTooLow,
        };
        session.services.events.warn(None, warning);
    }
}

/// Asks a tracker for the numbers of a swarm. A session that is paused as a whole
/// keeps silent.
fn scrape(session: &SessionShared, torrent: TorrentKey) {
    if *session.services.paused.borrow() {
        return;
    }
    let handle = session.registry.lock().get(torrent).cloned();
    if let Some(handle) = handle {
        // If the torrent's queue is full, the next scrape comes later.
        let _ = handle.scrape_tracker(None);
    }
}
