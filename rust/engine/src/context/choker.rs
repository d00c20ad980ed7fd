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
pub(crate) type Word = Option<(Standing, Arc<dyn Choked>)>;

/// The last word of each torrent.
#[derive(Debug, Default)]
pub(crate) struct ChokeDesk {
    words: Mutex<BTreeMap<TorrentKey, Word>>,
    arrived: Notify,
}

impl ChokeDesk {
    /// How a torrent's peers stand.
    pub(crate) fn report(&self, torrent: TorrentKey, standing: Standing, to: Arc<dyn Choked>) {
        self.leave(torrent, Some((standing, to)));
    }

    /// A torrent is gone: its slots are free.
    pub(crate) fn gone(&self, torrent: TorrentKey) {
        self.leave(torrent, None);
    }

    fn leave(&self, torrent: TorrentKey, word: Word) {
        self.words.lock().insert(torrent, word);
        self.arrived.notify_one();
    }

    /// Waits for a standing. For the choker's task only.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// All words that were left.
    pub(crate) fn take(&self) -> BTreeMap<TorrentKey, Word> {
        std::mem::take(&mut self.words.lock())
    }
}
