//! The torrent that an event is about: what names it, and nothing that keeps
//! it alive.

use std::fmt;
use std::sync::Arc;

use torrent_core::ids::{InfoHash, InfoHashes, TorrentKey};

use crate::event::command_sequence::CommandSequence;

/// Names the torrent of an event. Two are equal if they name the same torrent;
/// one that was removed and added again is another torrent.
#[derive(Clone)]
pub struct TorrentRef {
    /// Its key, which no other torrent of the process ever has.
    pub key: TorrentKey,
    /// What names its swarms.
    pub hashes: InfoHashes,
    /// Its name when the event happened; empty while it is not known.
    pub name: Arc<str>,
    /// The commands that its events may seem to answer.
    pub(crate) asked: Arc<CommandSequence>,
}

impl TorrentRef {
    /// A torrent of which no command is known.
    pub fn new(key: TorrentKey, hashes: InfoHashes, name: &str) -> Self {
        Self {
            key,
            hashes,
            name: name.into(),
            asked: Arc::default(),
        }
    }

    /// The v1 info-hash, or the first 20 bytes of the v2 one where there is no
    /// other: see [`InfoHashes::handshake_hash`].
    pub fn info_hash(&self) -> InfoHash {
        self.hashes.handshake_hash()
    }

    /// The same torrent by another name.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self.clone()
        }
    }
}

impl PartialEq for TorrentRef {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for TorrentRef {}

impl fmt::Debug for TorrentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TorrentRef")
            .field("key", &self.key)
            .field("hashes", &self.hashes)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
