//! The Fast extension (BEP 6): pieces that are served in spite of a choke, and
//! requests that are always answered.
//!
//! Part of [`Connection`]; the torrent learns of allowed and suggested pieces
//! by reports, and leases blocks of allowed ones while we are choked.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use sha1::{Digest, Sha1};

use super::{BlockNote, Connection, PeerError};
use crate::bitfield::Bitfield;
use crate::ids::{BLOCK_SIZE, Block, InfoHash, PieceIndex};
use crate::wire::{Message, Request};

/// Pieces that a peer may allow us at a time, and suggest to us in one wake.
const MAX_NAMED: usize = 100;

/// Blocks that are asked for while we are choked, at most.
const CHOKED_WINDOW: u32 = 16;

/// How often a peer may ask for the whole of the pieces that we allow it.
const TIMES: u32 = 3;

/// What the two ends allow each other.
#[derive(Debug, Default)]
pub(super) struct Fast {
    /// Pieces that the peer may ask for while we choke it.
    granted: BTreeSet<PieceIndex>,
    /// Requests for them that are still served.
    grants_left: u32,
    /// Pieces that the peer serves while it chokes us.
    allowed: BTreeSet<PieceIndex>,
    /// The torrent does not know of the last change of `allowed`.
    pending_report: bool,
}

impl Fast {
    pub(super) fn is_granted(&self, piece: PieceIndex) -> bool {
        self.granted.contains(&piece)
    }

    pub(super) fn is_allowed(&self, block: Block) -> bool {
        self.allowed.contains(&block.piece)
    }

    /// Blocks that may be outstanding while we are choked.
    pub(super) fn choked_window(&self) -> u32 {
        if self.allowed.is_empty() {
            0
        } else {
            CHOKED_WINDOW
        }
    }

    /// What the peer allows now, if the torrent does not know it.
    pub(super) fn take_news(&mut self) -> Option<BTreeSet<PieceIndex>> {
        std::mem::take(&mut self.pending_report).then(|| self.allowed.clone())
    }

    /// The peer serves the piece in spite of a choke; whether that is new.
    fn allow(&mut self, piece: PieceIndex) -> bool {
        let new = self.allowed.len() < MAX_NAMED && self.allowed.insert(piece);
        self.pending_report |= new;
        new
    }

    /// The torrent has no more pieces than these.
    pub(super) fn judge(&mut self, num_pieces: u32) {
        self.allowed.retain(|piece| piece.0 < num_pieces);
        self.pending_report = true;
    }
}

/// The pieces that the peer at `ip` may fetch while it is choked: `count` of
/// them (or all there are), the same wherever they are computed (BEP 6).
pub fn allowed_fast_set(
    ip: Ipv4Addr,
    info_hash: InfoHash,
    num_pieces: u32,
    count: usize,
) -> Vec<PieceIndex> {
    let mut set = Vec::new();
    if num_pieces == 0 {
        return set;
    }
    let count = count.min(num_pieces as usize);
    let [a, b, c, _] = ip.octets();
    let mut seed = vec![a, b, c, 0];
    seed.extend_from_slice(&info_hash.0);
    // Each round gives five numbers; those that repeat are passed over.
    while set.len() < count {
        let hash = Sha1::digest(&seed);
        seed = hash.to_vec();
        for word in hash.chunks_exact(4) {
            let number = word
                .iter()
                .fold(0u32, |number, &byte| number << 8 | u32::from(byte));
            let piece = PieceIndex(number % num_pieces);
            if set.len() < count && !set.contains(&piece) {
                set.push(piece);
            }
        }
    }
    set
}

impl Connection {
    /// Opens with everything that we have, in the shortest form that the peer
    /// understands.
    pub(super) fn send_pieces(&mut self, have: &Bitfield) {
        if !self.features.fast {
            if !have.none() {
                self.send.announce(&Message::Bitfield(have.as_bytes()));
            }
        } else if have.none() {
            self.send.message(&Message::HaveNone);
        } else if have.is_full() {
            self.send.message(&Message::HaveAll);
        } else {
            self.send.announce(&Message::Bitfield(have.as_bytes()));
        }
    }

    /// Informs the peer which pieces it may ask for while it is choked.
    pub(super) fn grant(&mut self) {
        let Some(opening) = &self.extensions.opening else {
            return;
        };
        let IpAddr::V4(ip) = opening.remote.ip() else {
            return;
        };
        let count = opening.allowed_fast;
        let have = &self.announced;
        if !self.features.fast || have.none() || count == 0 {
            return;
        }
        let set = allowed_fast_set(ip, opening.info_hash, have.len(), count);
        for piece in set.into_iter().filter(|piece| have.get(piece.0)) {
            self.send.message(&Message::AllowedFast(piece));
            let blocks = self.layout.blocks_in_piece(piece);
            self.fast.grants_left += TIMES * blocks;
            self.fast.granted.insert(piece);
        }
    }

    /// Advises the peer to ask for these pieces, if it understands that.
    pub(super) fn suggest(&mut self, pieces: &[PieceIndex]) {
        if self.features.fast {
            for &piece in pieces {
                self.send.message(&Message::Suggest(piece));
            }
        }
    }

    /// Whether a request may be served in spite of the choke; counts it.
    pub(super) fn use_grant(&mut self, request: Request) -> bool {
        let usable = self.fast.is_granted(request.piece)
            && self.fast.grants_left > 0
            && request.length <= BLOCK_SIZE;
        if usable {
            self.fast.grants_left -= 1;
        }
        usable
    }

    /// Refuses a request, if the peer understands that.
    pub(super) fn reject(&mut self, request: Request) -> Result<(), PeerError> {
        if self.features.fast {
            self.send.message(&Message::Reject(request));
            if self.is_overfull() {
                return Err(PeerError::TooManyRequests);
            }
        }
        Ok(())
    }

    /// Drops the requests that wait for pieces other than those to `keep`, and
    /// says so, if the peer understands that. Whether there were any.
    pub(super) fn drop_uploads(&mut self, keep: impl Fn(&Fast, PieceIndex) -> bool) -> bool {
        let fast = &self.fast;
        let dropped = self.uploads.drop_requests(|piece| keep(fast, piece));
        if self.features.fast {
            for &request in &dropped {
                self.send.message(&Message::Reject(request));
            }
        }
        !dropped.is_empty()
    }

    /// Takes a message of the Fast extension.
    pub(super) fn handle_fast(&mut self, message: Message<'_>) -> Result<(), PeerError> {
        if !self.features.fast {
            return Err(PeerError::NotNegotiated);
        }
        match message {
            Message::HaveAll => self.take_all_or_none(true)?,
            Message::HaveNone => self.take_all_or_none(false)?,
            Message::Suggest(piece) => self.take_suggestion(piece),
            Message::AllowedFast(piece) => self.take_permission(piece),
            Message::Reject(request) => self.take_reject(request)?,
            _ => {}
        }
        Ok(())
    }

    fn take_suggestion(&mut self, piece: PieceIndex) {
        let room = self.pending_report.report.suggested.len() < MAX_NAMED;
        if room && piece.0 < self.layout.num_pieces() {
            self.pending_report.report.suggested.push(piece);
            self.pending_report.dirty = true;
        }
    }

    fn take_permission(&mut self, piece: PieceIndex) {
        let pieces = match self.peer_pieces.pre_metadata {
            Some(_) => self.limits.max_pieces,
            None => self.layout.num_pieces(),
        };
        if piece.0 < pieces && self.fast.allow(piece) {
            self.pending_report.dirty = true;
        }
    }

    /// A request will not be answered: its block is free for others. So is what
    /// waits of the same piece, which would be refused too. After a choke that
    /// is no more than a part of it, unless the peer had allowed the piece, or
    /// has sent nothing since it let us ask.
    fn take_reject(&mut self, request: Request) -> Result<(), PeerError> {
        let Request {
            piece,
            begin,
            length,
        } = request;
        let block = self.layout.block_at(piece, begin, length);
        let asked = |&asked: &Block| Some(asked) == block;
        let Some(at) = self.requests.outstanding.iter().position(asked) else {
            // A cancelled one.
            return self.requests.count_surplus();
        };
        let refused = self.requests.outstanding.remove(at);
        if self.pending_report.watched.request_failures {
            self.pending_report
                .report
                .notes
                .extend(refused.map(BlockNote::Dropped));
        }
        self.pending_report.report.returned.extend(refused);
        let of_choke = self.requests.peer_choking && !self.fast.allowed.contains(&piece);
        if !of_choke || !self.requests.fruitful {
            self.pending_report.report.refused.extend(refused);
        }
        let other = |block: Block| block.piece != piece;
        self.requests
            .leased
            .retain(other, &mut self.pending_report.report.returned);
        self.pending_report.dirty = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_that_of_the_bep() {
        let of = |count| {
            let ip = Ipv4Addr::new(80, 4, 4, 200);
            let set = allowed_fast_set(ip, InfoHash([0xaa; 20]), 1313, count);
            set.into_iter().map(|piece| piece.0).collect::<Vec<_>>()
        };
        assert_eq!(of(7), [1059, 431, 808, 1217, 287, 376, 1188]);
        assert_eq!(of(9), [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
        let all = allowed_fast_set(Ipv4Addr::LOCALHOST, InfoHash([1; 20]), 3, 5);
        assert_eq!(all.len(), 3);
        assert!(allowed_fast_set(Ipv4Addr::LOCALHOST, InfoHash([1; 20]), 0, 5).is_empty());
    }
}
