//! What the process is: perhaps a running session, its alerts, and the way to
//! the client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use torrent_core::ids::InfoHash;
use torrent_engine::error::{Error, ErrorKind, Result};
use torrent_engine::session::{Session, SessionSlot};
use torrent_engine::torrent::handle::TorrentHandle;

use crate::alerts::Alerts;
use crate::output::Output;

/// How long a session may take for what is left to do: the last announces have
/// their own, shorter limit, and a disk needs its time to take what is buffered.
const WORK_LIMIT: Duration = Duration::from_secs(50);

/// How long it may take to stop then.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The state behind the commands.
#[derive(Debug)]
pub(crate) struct App {
    /// Where answers and events go.
    pub(crate) output: Output,
    running: Option<Running>,
}

/// A session and what belongs to it.
#[derive(Debug)]
pub(crate) struct Running {
    /// What started the session, and stops it.
    slot: Arc<SessionSlot>,
    /// The session.
    pub(crate) session: Session,
    /// Its alerts.
    pub(crate) alerts: Arc<Alerts>,
    /// Where torrents go that do not say where.
    pub(crate) download_dir: Option<PathBuf>,
    pump: JoinHandle<()>,
}

impl App {
    /// Without a session.
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            running: None,
        }
    }

    /// Fails if a session runs already.
    pub(crate) fn check_idle(&self) -> Result<()> {
        match self.running {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::SessionAlreadyRunning)),
        }
    }

    /// Takes over a session that was just started.
    pub(crate) fn run(
        &mut self,
        slot: Arc<SessionSlot>,
        session: Session,
        download_dir: Option<PathBuf>,
    ) -> &Running {
        let alerts = Arc::new(Alerts::new(&session.settings()));
        let pump = tokio::spawn({
            let (session, alerts, output) =
                (session.clone(), Arc::clone(&alerts), self.output.clone());
            async move { alerts.pump(&session, &output).await }
        });
        self.running.insert(Running {
            slot,
            session,
            alerts,
            download_dir,
            pump,
        })
    }

    /// The running session.
    pub(crate) fn running(&self) -> Result<&Running> {
        self.running.as_ref().ok_or_else(|| {
            Error::because(
                ErrorKind::SessionNotRunning,
                "the session is not running: 'init' starts it",
            )
        })
    }

    /// The torrent that a `torrent_id` names.
    pub(crate) fn torrent(&self, id: &str) -> Result<TorrentHandle> {
        let session = &self.running()?.session;
        InfoHash::from_hex(id)
            .and_then(|hash| session.find_torrent(hash))
            .ok_or_else(|| {
                Error::because(
                    ErrorKind::TorrentNotFound,
                    format!("unknown torrent_id '{id}'"),
                )
            })
    }

    /// Stops the session, if one runs, and returns when all of it is done. May
    /// be dropped half-way and called again.
    pub(crate) async fn shut_down(&mut self) -> Result<()> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        running.slot.stop_within(WORK_LIMIT);
        let slot = Arc::clone(&running.slot);
        let stopped = run_blocking(move || Ok(slot.join(STOP_LIMIT))).await?;
        running.alerts.stop();
        if let Err(error) = (&mut running.pump).await {
            tracing::error!(%error, "the alerts ended early");
        }
        let running = self.running.take();
        // The engine's own runtime must not be dropped on this one's thread.
        run_blocking(move || {
            drop(running);
            Ok(())
        })
        .await?;
        if stopped {
            Ok(())
        } else {
            Err(Error::because(
                ErrorKind::SessionStopFailed,
                format!("the session did not stop within {} s", STOP_LIMIT.as_secs()),
            ))
        }
    }
}

/// Runs what may take long, or must not run on this thread, on another one.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(Error::because(
                ErrorKind::InternalException,
                error.to_string(),
            ))
        })
}
