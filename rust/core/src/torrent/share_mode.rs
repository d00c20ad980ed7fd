//! Share mode: nothing is wanted for its own sake. Now and then a piece is
//! fetched that is rare enough among many downloaders to be sent on several
//! times. The rules are libtorrent's.

use std::time::Instant;

use super::{CloseReason, Torrent};
use crate::ids::{PeerKey, PieceIndex};
use crate::picker::Priority;

/// Connections beyond which too many seeds are too many.
const CROWD: usize = 20;

impl Torrent {
    /// Looks whether one more piece would pay, and wants it then.
    pub(super) fn share(&mut self, now: Instant) {
        if !self.activity.modes.share_mode || !self.has_metadata() || self.pieces.picker.is_seed() {
            return;
        }
        let target = self.settings.share_mode_target.unsigned_abs();
        let (mut seeds, mut downloaders, mut missing) = (Vec::new(), 0u64, 0u64);
        for (&key, peer) in self.peers.iter().filter(|(_, peer)| peer.closing.is_none()) {
            if peer.is_seed() {
                seeds.push(key);
            } else {
                downloaders += 1;
                missing += u64::from(peer.pieces().len() - peer.pieces().count());
            }
        }
        self.drop_seeds(&seeds, seeds.len() + downloaders as usize);
        // While we fetch one piece and send it on, each seed sends two.
        if downloaders == 0 || missing <= 2 * seeds.len() as u64 {
            return;
        }
        let begun = self.pieces.picker.partial_pieces().count() as u64;
        let fetched = u64::from(self.pieces.picker.num_have()) + begun;
        let bytes = fetched.saturating_mul(u64::from(self.pieces.layout.piece_length()));
        if fetched > 0 && bytes.saturating_mul(target) > self.totals.payload_sent {
            return;
        }
        // No more at once than a twentieth of what was ever fetched.
        if begun > fetched / 20 || !self.pieces.picker.is_finished() {
            return;
        }
        let peers = seeds.len() as u64 + downloaders;
        let Some((piece, holders)) = self.pieces.picker.rarest_unwanted() else {
            return;
        };
        // Not enough peers lack it: it could not be sent often enough.
        if peers - peers.min(u64::from(holders)) < target {
            return;
        }
        self.want(now, piece);
    }

    fn want(&mut self, now: Instant, piece: PieceIndex) {
        self.pieces.picker.set_priority(piece, Priority::NORMAL);
        self.update_all_interest();
        self.update_state();
        self.top_up_starved(now);
    }

    /// In a swarm of seeds no peer would download from us.
    fn drop_seeds(&mut self, seeds: &[PeerKey], peers: usize) {
        let crowded = peers > CROWD || peers * 10 > self.dialing.max_connections * 9;
        if crowded && seeds.len() * 2 > peers {
            for &key in seeds.iter().take(seeds.len() - peers / 2) {
                self.close(key, CloseReason::Redundant);
            }
        }
    }
}
