//! Taking up what earlier sessions left: blocks of unfinished pieces, and
//! addresses that were banned. Called once the torrent was checked.

use std::net::IpAddr;

use super::Torrent;
use crate::bitfield::Bitfield;
use crate::ids::{Block, PeerKey, PieceIndex};
use crate::picker::Received;

impl Torrent {
    /// Notes that these blocks of an unfinished piece are in the files; their
    /// sender is not known. Whether any of them counts: not those of a
    /// piece that is there or not wanted.
    pub fn adopt_partial(&mut self, piece: PieceIndex, blocks: &Bitfield) -> bool {
        let mut cancels = Vec::new();
        let mut counts = false;
        for index in blocks.iter() {
            let block = Block::new(piece, index);
            let received = self
                .pieces
                .picker
                .received(PeerKey::UNKNOWN, block, &mut cancels);
            counts |= matches!(received, Received::New);
        }
        counts
    }

    /// Bans addresses that were banned before.
    pub fn restore_bans(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for address in addresses {
            self.dialing.list.ban(address);
        }
    }
}
