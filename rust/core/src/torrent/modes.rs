//! The modes of a torrent, as libtorrent's `torrent_flags` name them, and what
//! turning one on or off does.

use std::sync::Arc;
use std::time::Instant;

use super::{PeerCommand, Torrent, TorrentEvent, TorrentState};
use crate::ids::{PeerKey, PieceIndex};

/// What a torrent does beyond plain downloading and seeding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// Never ask for blocks; what is there is served.
    pub upload_mode: bool,
    /// Fetch only what improves the ratio of bytes sent to bytes received.
    pub share_mode: bool,
    /// As a seed, show each new peer one piece at a time (BEP 16).
    pub super_seeding: bool,
    /// Stop as soon as the files are checked.
    pub stop_when_ready: bool,
}

impl Torrent {
    /// The modes that the torrent is in.
    pub fn modes(&self) -> Modes {
        self.activity.modes
    }

    /// Puts the torrent into other modes.
    pub fn set_modes(&mut self, now: Instant, modes: Modes) {
        let before = std::mem::replace(&mut self.activity.modes, modes);
        if before.super_seeding && !modes.super_seeding {
            self.show_everything();
        }
        self.update_upload_only();
        if before.upload_mode != modes.upload_mode {
            self.update_all_interest();
            self.top_up_starved(now);
        }
        self.stop_if_ready(now);
    }

    /// Stops, once, when the torrent was to stop as soon as it is checked.
    pub(super) fn stop_if_ready(&mut self, now: Instant) {
        let ready = matches!(
            self.activity.state,
            TorrentState::Downloading | TorrentState::Finished | TorrentState::Seeding
        );
        if self.activity.modes.stop_when_ready && ready {
            self.activity.modes.stop_when_ready = false;
            self.stop(now);
            self.event(TorrentEvent::StoppedWhenReady);
        }
    }

    /// Whether new peers are shown one piece at a time.
    pub(super) fn is_super_seeding(&self) -> bool {
        self.activity.modes.super_seeding && self.has_metadata() && self.pieces.picker.is_seed()
    }

    /// Shows peers the pieces that super-seeding has for them.
    pub(super) fn show_pieces(&mut self, now: Instant) {
        if !self.is_super_seeding() {
            return;
        }
        let availability = |piece: PieceIndex| self.pieces.picker.availability(piece);
        for (key, piece) in self.super_seed.show(now, &self.peers, availability) {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.upload.reveal(piece);
                self.command(key, PeerCommand::Have([piece].into()));
            }
        }
    }

    /// Announces to every peer all that super-seeding hid from it.
    fn show_everything(&mut self) {
        let mut news: Vec<(PeerKey, Arc<[PieceIndex]>)> = Vec::new();
        for (&key, peer) in &mut self.peers {
            if let Some(revealed) = peer.upload.revealed.take() {
                let have = self.pieces.picker.have().iter();
                let hidden = have.filter(|&piece| !revealed.get(piece)).map(PieceIndex);
                news.push((key, hidden.collect()));
            }
        }
        for (key, pieces) in news {
            self.command(key, PeerCommand::Have(pieces));
        }
    }
}
