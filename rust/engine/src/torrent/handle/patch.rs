//! Several options of a torrent, changed together or not at all.

use torrent_core::ids::PieceIndex;
use torrent_core::queue::Move;

use super::TorrentHandle;
use super::validate::{check_file_priorities, check_limit, check_priorities, check_rate};
use crate::error::{Error, ErrorKind, Result};

/// Which options change, and to what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptionsPatch {
    /// Most connections: -1 for no limit, else at least 2.
    pub max_connections: Option<i64>,
    /// Most peers that may download from us: -1 for the session's limit, else
    /// at least 2.
    pub max_uploads: Option<i64>,
    /// Most bytes received a second; 0 for no limit.
    pub download_limit: Option<i64>,
    /// Most bytes sent a second; 0 for no limit.
    pub upload_limit: Option<i64>,
    /// The session's IP filter holds for it.
    pub apply_ip_filter: Option<bool>,
    /// The queue decides when it runs.
    pub auto_managed: Option<bool>,
    /// Where it goes in the queue, one step after the other.
    pub moves: Vec<Move>,
    /// Fetch pieces in order.
    pub sequential_download: Option<bool>,
    /// Fetch pieces in order, those from the first to the last one first.
    pub sequential_range: Option<(PieceIndex, PieceIndex)>,
    /// Ask for nothing.
    pub upload_mode: Option<bool>,
    /// Fetch only what improves the ratio.
    pub share_mode: Option<bool>,
    /// Show each peer one piece at a time (BEP 16).
    pub super_seeding: Option<bool>,
    /// Pause when the files are checked.
    pub stop_when_ready: Option<bool>,
    /// Priorities from the first file on; pieces follow.
    pub file_priorities: Option<Vec<u8>>,
    /// Priorities from the first piece on, after those of the files.
    pub piece_priorities: Option<Vec<u8>>,
}

impl OptionsPatch {
    fn check(&self, handle: &TorrentHandle) -> Result<()> {
        handle.check_valid()?;
        let limits = [self.max_connections, self.max_uploads];
        limits.into_iter().flatten().try_for_each(check_limit)?;
        let rates = [self.download_limit, self.upload_limit];
        rates.into_iter().flatten().try_for_each(check_rate)?;
        if let Some((first, last)) = self.sequential_range {
            handle.check_range(first, last)?;
        }
        if let Some(priorities) = &self.file_priorities {
            let files = handle.known_metainfo()?.info.files.len();
            check_file_priorities(files, priorities)?;
        }
        if let Some(priorities) = &self.piece_priorities {
            handle.check_piece_priorities(priorities)?;
        }
        Ok(())
    }
}

impl TorrentHandle {
    /// Changes these options: all of them, or none when one of them cannot be.
    pub fn set_options(&self, patch: &OptionsPatch) -> Result<()> {
        patch.check(self)?;
        // From here on nothing is refused.
        if let Some(on) = patch.auto_managed {
            self.set_auto_managed(on)?;
        }
        for &to in &patch.moves {
            self.move_in_queue(to)?;
        }
        self.change(|options| {
            let limits = [
                (&mut options.max_connections, patch.max_connections),
                (&mut options.max_uploads, patch.max_uploads),
                (
                    &mut options.download_limit,
                    patch.download_limit.map(|it| it.max(0)),
                ),
                (
                    &mut options.upload_limit,
                    patch.upload_limit.map(|it| it.max(0)),
                ),
            ];
            for (limit, given) in limits {
                *limit = given.unwrap_or(*limit);
            }
            let modes = &mut options.modes;
            let flags = [
                (&mut options.apply_ip_filter, patch.apply_ip_filter),
                (&mut modes.upload_mode, patch.upload_mode),
                (&mut modes.super_seeding, patch.super_seeding),
                (&mut modes.stop_when_ready, patch.stop_when_ready),
            ];
            for (flag, given) in flags {
                *flag = given.unwrap_or(*flag);
            }
        })?;
        if let Some(sequential) = patch.sequential_download {
            self.set_sequential_download(sequential)?;
        }
        if let Some((first, last)) = patch.sequential_range {
            self.set_sequential_range(first, last)?;
        }
        if let Some(on) = patch.share_mode {
            self.set_share_mode(on)?;
        }
        // Files first: pieces that are given too say it more precisely.
        if let Some(priorities) = &patch.file_priorities {
            self.prioritize_files(priorities)?;
        }
        if let Some(priorities) = &patch.piece_priorities {
            self.prioritize_pieces(priorities)?;
        }
        Ok(())
    }

    /// Whether these can be the priorities of the first pieces.
    pub(super) fn check_piece_priorities(&self, priorities: &[u8]) -> Result<()> {
        check_priorities(priorities)?;
        let count = self.known_metainfo()?.info.layout.num_pieces() as usize;
        if priorities.len() <= count {
            return Ok(());
        }
        Err(Error::because(
            ErrorKind::InvalidPieceIndex,
            format!("{} priorities for {count} pieces", priorities.len()),
        ))
    }

    /// Whether there is such a run of pieces.
    pub(crate) fn check_range(&self, first: PieceIndex, last: PieceIndex) -> Result<()> {
        self.check_piece(first)?;
        self.check_piece(last)?;
        if first <= last {
            return Ok(());
        }
        let reason = format!("the range from piece {first} to {last} is empty");
        Err(Error::because(ErrorKind::InvalidParameter, reason))
    }
}
