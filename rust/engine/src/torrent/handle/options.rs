//! What the game wants of a torrent. Written by handles, read by the torrent's
//! task, so that a getter answers with what a setter just set.
//!
//! All of it can be taken out from under the lock for next to nothing: the plain
//! part is copied, and the lists are shared until one of them changes.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use torrent_core::ids::{FileIndex, PieceIndex};

use super::modes::{Discovery, Modes};
use super::storage::StorageMode;
use super::{PendingState, TorrentHandle};
use crate::disk::StorageKind;
use crate::error::Result;
use crate::event::command_sequence::CommandTopic;
use crate::status::TorrentStatus;
use crate::torrent::handle::resume::SaveFlags;

/// Flags, modes and limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PlainOptions {
    pub(crate) paused: bool,
    /// It was paused gracefully.
    pub(crate) graceful: bool,
    /// The queue decides whether it runs, whatever `paused` says.
    pub(crate) auto_managed: bool,
    pub(crate) sequential: bool,
    /// The pieces that sequential mode begins with: the first and the last.
    pub(crate) sequential_range: Option<(PieceIndex, PieceIndex)>,
    pub(crate) max_connections: i64,
    pub(crate) max_uploads: i64,
    pub(crate) apply_ip_filter: bool,
    pub(crate) discovery: Discovery,
    pub(crate) download_limit: i64,
    pub(crate) upload_limit: i64,
    pub(crate) modes: Modes,
    pub(crate) storage_mode: StorageMode,
    /// Never changes.
    pub(crate) storage: StorageKind,
}

impl PlainOptions {
    /// Writes into a status what follows from the options alone.
    pub(crate) fn show(&self, status: &mut TorrentStatus) {
        status.is_auto_managed = self.auto_managed;
        status.connections_limit = self.max_connections;
        status.uploads_limit = self.max_uploads;
        status.download_limit = self.download_limit;
        status.upload_limit = self.upload_limit;
        status.is_sequential_download = self.sequential;
        status.is_upload_mode = self.modes.upload_mode;
        status.is_share_mode = self.modes.share_mode;
        status.is_super_seeding = self.modes.super_seeding;
        status.is_stop_when_ready = self.modes.stop_when_ready;
    }
}

/// All options of a torrent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) plain: PlainOptions,
    pub(crate) piece_priorities: Arc<Vec<u8>>,
    pub(crate) file_priorities: Arc<Vec<u8>>,
    pub(crate) trackers: Arc<Vec<Vec<String>>>,
    /// Files that have another name than the torrent gives them.
    pub(crate) renamed_files: Arc<BTreeMap<FileIndex, String>>,
    /// Where the part file is, below the save path; empty for that itself.
    pub(crate) part_file_dir: Arc<Path>,
    /// By URL; those without an entry have none.
    pub(crate) fail_limits: Arc<HashMap<String, u8>>,
}

impl Options {
    /// The priorities of all pieces, to change some.
    pub(crate) fn pieces_mut(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.piece_priorities)
    }
}

impl TorrentHandle {
    /// Flags, modes and limits as they are now.
    pub(crate) fn plain_options(&self) -> PlainOptions {
        self.shared.options.lock().plain
    }

    /// Changes flags, modes or limits and notifies the task, unless nothing changed.
    pub(crate) fn change(&self, change: impl FnOnce(&mut PlainOptions)) -> Result<()> {
        self.check_valid()?;
        {
            let mut options = self.shared.options.lock();
            let before = options.plain;
            change(&mut options.plain);
            let after = options.plain;
            if after == before {
                return Ok(());
            }
            self.note_unsaved(SaveFlags::of_change(before, after));
            // Under the lock, as the task reads them.
            let asked = &self.shared.asked;
            asked.ask(CommandTopic::Options);
            if after.paused != before.paused || after.graceful != before.graceful {
                asked.ask(CommandTopic::Pause);
            }
            if before.paused && !after.paused {
                asked.ask(CommandTopic::Resume);
            }
        }
        self.look(PendingState::Options);
        Ok(())
    }
}
