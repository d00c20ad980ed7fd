//! Super-seeding (BEP 16): a seed that seems to have nothing shows each peer
//! one piece at a time, so that every piece leaves it about once.
//!
//! The brain reports which peers are there and what they get; what comes back are
//! pieces to show to peers. A peer is shown a piece that no peer has and that is
//! shown to no other. It is shown the next one when the piece has reached another
//! peer too. When all pieces are out, a peer that gets nothing for a while is
//! shown the rarest piece that it lacks: perhaps no other peer serves it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::Peer;
use crate::ids::{PeerKey, PieceIndex};

/// Pieces shown to a peer that have not reached another one yet: one on its
/// way to the peer while it passes on the other.
const SHOWN: usize = 2;

/// A peer that got nothing for this long is shown one more piece.
const STALLED: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct RevealedPiece {
    /// Pieces that are still to be passed on.
    pieces: Vec<PieceIndex>,
    /// When it was last shown a piece or got one.
    since: Instant,
}

/// Which pieces were shown to which peer.
#[derive(Debug)]
pub(super) struct SuperSeed {
    peers: BTreeMap<PeerKey, RevealedPiece>,
    rng: StdRng,
}

impl SuperSeed {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            peers: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// A peer got something.
    pub(super) fn progressed(&mut self, now: Instant, key: PeerKey) {
        if let Some(shown) = self.peers.get_mut(&key) {
            shown.since = now;
        }
    }

    /// Pieces to show now, and to which peer. `availability` is the peers that have
    /// a piece.
    pub(super) fn show(
        &mut self,
        now: Instant,
        peers: &BTreeMap<PeerKey, Peer>,
        availability: impl Fn(PieceIndex) -> u32,
    ) -> Vec<(PeerKey, PieceIndex)> {
        self.peers.retain(|key, _| peers.contains_key(key));
        let downloads = |peer: &&Peer| peer.closing.is_none() && !peer.is_seed();
        let downloaders = peers.values().filter(downloads).count();
        let mut plan = Vec::new();
        // Once all pieces are out, no more have to be looked for.
        let mut all_out = false;
        for (&key, peer) in peers.iter().filter(|(_, peer)| downloads(peer)) {
            let shown = self.peers.entry(key).or_insert(RevealedPiece {
                pieces: Vec::new(),
                since: now,
            });
            shown.pieces.retain(|&piece| {
                let has = u32::from(peer.pieces().get(piece.0));
                // Alone, it has no peer to pass it on to.
                has == 0 || (downloaders > 1 && availability(piece) < 2)
            });
            let stalled = now.saturating_duration_since(shown.since) >= STALLED;
            if stalled {
                // Those that it should pass them on to may not want them.
                shown.pieces.retain(|&piece| !peer.pieces().get(piece.0));
            }
            let room = SHOWN.saturating_sub(shown.pieces.len());
            for _ in 0..room {
                if all_out && !stalled {
                    break;
                }
                let Some(piece) = self.choose(peer, stalled, &availability) else {
                    all_out |= !stalled;
                    break;
                };
                plan.push((key, piece));
                if let Some(shown) = self.peers.get_mut(&key) {
                    shown.pieces.push(piece);
                    shown.since = now;
                }
            }
        }
        plan
    }

    /// The rarest piece that the peer lacks and that is shown to no peer; unless
    /// `any` will do, one that no peer has.
    fn choose(
        &mut self,
        peer: &Peer,
        any: bool,
        availability: &impl Fn(PieceIndex) -> u32,
    ) -> Option<PieceIndex> {
        let taken: BTreeSet<PieceIndex> = self
            .peers
            .values()
            .flat_map(|shown| shown.pieces.iter().copied())
            .collect();
        let has = peer.pieces();
        let mut fewest = if any { u32::MAX } else { 0 };
        let mut best = Vec::new();
        for piece in (0..has.len()).map(PieceIndex) {
            if has.get(piece.0) || peer.upload.is_revealed(piece) || taken.contains(&piece) {
                continue;
            }
            let copies = availability(piece);
            if copies < fewest {
                fewest = copies;
                best.clear();
            }
            if copies == fewest {
                best.push(piece);
            }
        }
        (!best.is_empty()).then(|| best[self.rng.random_range(0..best.len())])
    }
}
