//! A torrent that begins with a hash alone, and the moment its metadata comes
//! (BEP 9).
//!
//! Until then the torrent has no pieces: it connects to peers, but blocks,
//! choking and interest wait. In order: [`Torrent::without_metadata`],
//! [`Torrent::fetch_metadata`], [`Torrent::set_metadata`], and then as for any
//! other torrent [`Torrent::checked`]. Connections live through all of it;
//! what their peers have is kept by `crate::peer` until it can be judged.

use std::sync::Arc;
use std::time::Instant;

use super::ut_metadata::MetadataFetch;
use super::{Output, PeerCommand, Torrent, TorrentState};
use crate::bitfield::Bitfield;
use crate::ids::{InfoHash, PeerId, PieceIndex};
use crate::layout::Layout;
use crate::settings::Settings;

/// Bytes of the longest info dict that is fetched.
fn max_size(settings: &Settings) -> u32 {
    u32::try_from(settings.max_metadata_size).unwrap_or(u32::MAX)
}

impl Torrent {
    /// A torrent of which only the hash is known; it waits for
    /// [`Self::fetch_metadata`].
    pub fn without_metadata(
        info_hash: InfoHash,
        our_id: PeerId,
        settings: Arc<Settings>,
        now: Instant,
    ) -> Self {
        Self {
            fetch: Some(MetadataFetch::new(info_hash, max_size(&settings))),
            ..Self::new(Arc::new(Layout::unknown()), our_id, settings, 0, now)
        }
    }

    /// Whether it is known what the torrent consists of.
    pub fn has_metadata(&self) -> bool {
        self.pieces.has_metadata()
    }

    /// Looks for peers that have the metadata, until [`Self::set_metadata`].
    /// To be called again when what they had could not be used: it may be
    /// another time, under other settings.
    pub fn fetch_metadata(&mut self, now: Instant) {
        debug_assert!(!self.has_metadata(), "the metadata is known");
        if let Some(fetch) = &mut self.fetch {
            fetch.begin_again(now, max_size(&self.settings));
        }
        self.next_tick = now;
        self.set_state(TorrentState::DownloadingMetadata);
    }

    /// The metadata is known: the torrent waits for [`Self::checked`], its
    /// connections stay. Limits, priorities and the order of pieces are as in
    /// a new torrent and must be set again.
    pub fn set_metadata(&mut self, _now: Instant, layout: Arc<Layout>, seed: u64) {
        debug_assert!(!self.has_metadata(), "metadata comes once");
        self.fetch = None;
        self.pieces.set_metadata(layout, seed, &self.settings);
        for (&key, peer) in &mut self.peers {
            peer.set_pieces(Bitfield::new(self.pieces.layout.num_pieces()));
            let metadata = PeerCommand::Metadata(Arc::clone(&self.pieces.layout));
            self.outputs.push_back(Output::Peer(key, metadata));
        }
        self.set_state(TorrentState::CheckingResumeData);
    }

    /// Connections that lived through the check: they are sent what we have, and
    /// the traffic begins.
    pub(super) fn welcome_back(&mut self, now: Instant, have: &Bitfield) {
        let pieces: Arc<[PieceIndex]> = have.iter().map(PieceIndex).collect();
        let open = self.peers.iter().filter(|(_, peer)| peer.closing.is_none());
        let open: Vec<_> = open.map(|(&key, _)| key).collect();
        if !pieces.is_empty() {
            for key in open {
                self.command(key, PeerCommand::Have(Arc::clone(&pieces)));
            }
        }
        self.update_all_interest();
        self.top_up_starved(now);
    }
}
