//! What a picker answers without changing: what is here, what is wanted, what a
//! peer has for us.

use std::sync::Arc;

use super::bit_scan::Common;
use super::downloading_piece::DownloadingPiece;
use super::{PartialPiece, PeerPieces, Picker};
use crate::{
    bitfield::Bitfield,
    ids::{Block, PeerKey, PieceIndex},
};

impl Picker {
    /// Whether `piece` is here and verified.
    pub fn we_have(&self, piece: PieceIndex) -> bool {
        self.have.get(piece.0)
    }

    /// The pieces that are here and verified.
    pub fn have(&self) -> &Arc<Bitfield> {
        &self.have
    }

    /// Whether the peer has a wanted piece that we lack. At worst it reads a
    /// bit a piece; to follow a HAVE, [`Picker::is_wanted`] is enough.
    pub fn is_interesting(&self, has: &PeerPieces<'_>) -> bool {
        Common::all(&self.lacking, has).next().is_some()
    }

    /// How many wanted pieces that we lack the peer has: where a count that
    /// follows each HAVE and each finished piece starts from.
    pub fn interesting_pieces(&self, has: &PeerPieces<'_>) -> u32 {
        match has {
            PeerPieces::All => self.lacking.count(),
            PeerPieces::Some(_) => Common::all(&self.lacking, has).count() as u32,
        }
    }

    /// Whether `piece` is wanted and we lack it.
    pub fn is_wanted(&self, piece: PieceIndex) -> bool {
        self.lacking.get(piece.0)
    }

    /// Whether every block of `piece` is here and its hash is still to be
    /// checked.
    pub fn piece_complete_blocks(&self, piece: PieceIndex) -> bool {
        self.downloading
            .get(piece.0)
            .is_some_and(DownloadingPiece::is_complete)
    }

    /// The peers that sent blocks of a begun or complete, not yet verified
    /// `piece`, each once.
    pub fn contributors(&self, piece: PieceIndex) -> Vec<PeerKey> {
        let mut peers: Vec<PeerKey> = self
            .downloading
            .get(piece.0)
            .into_iter()
            .flat_map(DownloadingPiece::received_blocks)
            .map(|(_, peer)| peer)
            .collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// The begun pieces, in ascending order.
    pub fn partial_pieces(&self) -> impl Iterator<Item = PartialPiece<'_>> {
        self.downloading
            .iter()
            .map(|(piece, partial)| PartialPiece {
                piece: PieceIndex(piece),
                partial,
            })
    }

    /// Bytes in wanted pieces, had or not; padding apart, here and below.
    pub fn total_wanted(&self) -> u64 {
        self.bytes.wanted
    }

    /// Bytes in wanted pieces that are here, verified or not.
    pub fn wanted_done(&self) -> u64 {
        self.bytes.wanted_done()
    }

    /// Bytes in wanted pieces that are not here.
    pub fn wanted_left(&self) -> u64 {
        self.bytes.wanted - self.wanted_done()
    }

    /// Bytes that are here, verified or not, wanted or not.
    pub fn done(&self) -> u64 {
        self.bytes.done()
    }

    /// How many pieces are here and verified.
    pub fn num_have(&self) -> u32 {
        self.have.count()
    }

    /// Whether every wanted piece is here and verified.
    pub fn is_finished(&self) -> bool {
        self.lacking.none()
    }

    /// Whether every piece is here and verified.
    pub fn is_seed(&self) -> bool {
        self.have.is_full()
    }

    /// The piece that fewest peers have, at least one, among those that are
    /// neither here nor wanted nor begun, and how many have it.
    pub fn rarest_unwanted(&self) -> Option<(PieceIndex, u32)> {
        self.layout
            .pieces()
            .filter(|&piece| {
                !self.have.get(piece.0)
                    && !self.lacking.get(piece.0)
                    && !self.downloading.contains(piece.0)
            })
            .map(|piece| (piece, self.availability(piece)))
            .filter(|&(_, peers)| peers > 0)
            .min_by_key(|&(_, peers)| peers)
    }

    /// How many copies of the torrent the swarm holds, ourselves included: the
    /// copies of the rarest piece, and how many pieces in a thousand there are
    /// more copies of.
    pub fn distributed_copies(&self) -> (u32, u32) {
        self.availability.distributed_copies()
    }

    /// Bytes of a begun piece that are here.
    pub(super) fn received_bytes(&self, piece: u32) -> u64 {
        self.downloading.get(piece).map_or(0, |partial| {
            partial
                .received_blocks()
                .map(|(index, _)| {
                    u64::from(
                        self.layout
                            .block_payload(Block::new(PieceIndex(piece), index)),
                    )
                })
                .sum()
        })
    }

    /// Panics when the parts disagree with each other.
    #[cfg(any(debug_assertions, test))]
    pub fn check_invariants(&self) {
        self.buckets.check_invariants(self.availability.all());
        self.availability.check_invariants(&self.have);
        let mut totals = super::bytes::PayloadBytes::default();
        for piece in self.layout.pieces() {
            let (have, wanted) = (self.we_have(piece), self.priority(piece).is_wanted());
            let partial = self.downloading.get(piece.0);
            assert_eq!(self.is_wanted(piece), wanted && !have);
            assert!(!(have && partial.is_some()), "{piece} is had and begun");
            assert_eq!(
                self.buckets.contains(piece.0, self.priority(piece)),
                wanted && !have && partial.is_none() && !self.time_critical.contains(&piece.0),
                "{piece} is filed wrongly"
            );
            let choosable = wanted
                && !self.time_critical.contains(&piece.0)
                && partial.is_some_and(|partial| partial.open() > 0);
            assert_eq!(self.downloading.is_choosable(piece.0), choosable);
            if let Some(partial) = partial {
                partial.check_invariants();
                assert!(partial.received() + partial.leased() > 0, "{piece} is idle");
            }
            let length = u64::from(self.layout.piece_payload(piece));
            let here = self.received_bytes(piece.0);
            let flag = u64::from;
            totals.wanted += length * flag(wanted);
            totals.have += length * flag(have);
            totals.have_wanted += length * flag(have && wanted);
            totals.partial += here;
            totals.partial_wanted += here * flag(wanted);
        }
        assert_eq!(totals, self.bytes);
    }
}
