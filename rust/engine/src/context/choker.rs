//! Where torrents leave their standing for the session's choker. Only the last one
//! of each torrent is kept: it never fills up, and no torrent waits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use torrent_core::choker::{Changes, Standing};
use torrent_core::ids::TorrentKey;

/// A torrent that the choker decides for.
pub(crate) trait Choked: fmt::Debug + Send + Sync {
    /// Whom to choke and to let download. False if the torrent is too busy to
    /// take it.
    fn choke(&self, changes: Changes) -> bool;
}

/// How a torrent's peers stand, and where decisions go; `None` when the torrent
/// is gone.
pub(crate) type StandingReport = Option<(Standing, Arc<dyn Choked>)>;

/// The last word of each torrent.
#[derive(Debug, Default)]
pub(crate) struct StandingInbox {
    reports: Mutex<BTreeMap<TorrentKey, StandingReport>>,
    arrived: Notify,
}

impl StandingInbox {
    /// How a torrent's peers stand.
    pub(crate) fn report(&self, torrent: TorrentKey, standing: Standing, to: Arc<dyn Choked>) {
        self.put(torrent, Some((standing, to)));
    }

    /// A torrent is gone: its slots are free.
    pub(crate) fn gone(&self, torrent: TorrentKey) {
        self.put(torrent, None);
    }

    fn put(&self, torrent: TorrentKey, report: StandingReport) {
        self.reports.lock().insert(torrent, report);
        self.arrived.notify_one();
    }

    /// Waits for a standing. For the choker's task only.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// All words that were left.
    pub(crate) fn take(&self) -> BTreeMap<TorrentKey, StandingReport> {
        std::mem::take(&mut self.reports.lock())
    }
}
