//! What the brain knows of one connection.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bitfield::Bitfield;
use crate::choker::Candidate;
use crate::ids::{Block, PeerId, PeerKey, PieceIndex};
use crate::peer::PeerStats;
use crate::peerlist::Sources;
use crate::picker::PeerPieces;
use crate::rate::RateMeter;

use super::CloseReason;
use super::refusals::Refusals;

/// What is known of a connection when its handshake is done.
#[derive(Clone, Copy, Debug)]
pub struct PeerMeta {
    /// The other end.
    pub endpoint: SocketAddr,
    /// How it names itself.
    pub id: PeerId,
    /// Whether it called us.
    pub incoming: bool,
    /// Where we know it from.
    pub source: Sources,
    /// How long it took to connect to it; zero when it called us.
    pub connect_time: Duration,
}

/// One connection in the swarm.
#[derive(Debug)]
pub struct Peer {
    /// Who it is.
    pub meta: PeerMeta,
    /// When its handshake was done.
    pub connected_at: Instant,
    /// We told it that we are interested.
    pub interested: bool,
    /// It is interested in us.
    pub interested_in_us: bool,
    /// It chokes us.
    pub choking_us: bool,
    /// We choke it.
    pub choked_by_us: bool,
    /// When we choked or unchoked it last, or else when it connected.
    since: Instant,
    /// We have never unchoked it.
    fresh: bool,
    /// It is unchoked to give it a chance, not for its merit.
    pub optimistic: bool,
    /// It is suspected of bad data, and fetches whole pieces, alone.
    pub on_parole: bool,
    /// Pieces it took part in that failed their hash.
    pub hash_failures: u32,
    /// Attempts to connect to it, in a row, that failed before this connection.
    pub failures: u8,
    /// When anything last went either way.
    pub last_active: Instant,
    /// When anything last came from it.
    pub(super) last_received: Instant,
    /// When either side last wanted something of the other, or else when it
    /// connected; as of the last tick.
    pub(super) last_useful: Instant,
    /// When it was last given blocks to request.
    pub last_lease: Option<Instant>,
    /// Totals and gauges as last reported.
    pub stats: PeerStats,
    /// Rate of bytes received.
    pub download: RateMeter,
    /// Rate of bytes sent.
    pub upload: RateMeter,
    /// Rate of payload received.
    pub payload_download: RateMeter,
    /// Rate of payload sent.
    pub payload_upload: RateMeter,
    /// Shared with who looks at it, and copied only when it changes then.
    pieces: Arc<Bitfield>,
    leased: VecDeque<Block>,
    /// The pieces it was told that we have, where it was not told of all
    /// (BEP 16).
    pub(super) told: Option<Bitfield>,
    /// Wanted pieces that it has and we lack.
    pub(super) interesting: u32,
    /// Blocks it could take on.
    pub(super) want: u32,
    /// Payload sent when it was unchoked.
    sent_before: u64,
    /// The entry in the list of peers that stands for it, if one does: an
    /// incoming connection comes from a port that nobody listens on.
    pub(super) listed: Option<SocketAddr>,
    /// What the peer's program calls itself (BEP 10); empty when it does not.
    pub client: String,
    /// It said what it has.
    pub(super) announced: bool,
    /// It downloads nothing (BEP 21).
    pub upload_only: bool,
    /// It was told once that we want nothing (BEP 21): if it leaves, that may
    /// be why.
    pub told_upload_only: bool,
    /// Pieces that it suggested, the latest first (BEP 6).
    pub(super) suggested: Vec<PieceIndex>,
    /// Pieces that we suggested to it since it may download, the latest last.
    pub(super) advised: Vec<PieceIndex>,
    /// Pieces that it serves although it chokes us (BEP 6).
    pub(super) allowed_fast: BTreeSet<PieceIndex>,
    /// What it refused.
    pub(super) refusals: Refusals,
    /// It was told to close, and why.
    pub(super) closing: Option<CloseReason>,
    /// The disk has dropped what it delivered last.
    pub(super) disowned: bool,
}

impl Peer {
    pub(super) fn new(meta: PeerMeta, num_pieces: u32, now: Instant) -> Self {
        Self {
            meta,
            connected_at: now,
            interested: false,
            interested_in_us: false,
            choking_us: true,
            choked_by_us: true,
            since: now,
            fresh: true,
            optimistic: false,
            on_parole: false,
            hash_failures: 0,
            failures: 0,
            last_active: now,
            last_received: now,
            last_useful: now,
            last_lease: None,
            stats: PeerStats::default(),
            download: RateMeter::new(now),
            upload: RateMeter::new(now),
            payload_download: RateMeter::new(now),
            payload_upload: RateMeter::new(now),
            pieces: Arc::new(Bitfield::new(num_pieces)),
            leased: VecDeque::new(),
            told: None,
            interesting: 0,
            want: 0,
            sent_before: 0,
            listed: (!meta.incoming).then_some(meta.endpoint),
            client: String::new(),
            announced: false,
            upload_only: false,
            told_upload_only: false,
            suggested: Vec::new(),
            advised: Vec::new(),
            allowed_fast: BTreeSet::new(),
            refusals: Refusals::default(),
            closing: None,
            disowned: false,
        }
    }

    /// The pieces that it has.
    pub fn pieces(&self) -> &Arc<Bitfield> {
        &self.pieces
    }

    /// Whether it has everything.
    pub fn is_seed(&self) -> bool {
        self.pieces.is_full() && !self.pieces.is_empty()
    }

    pub(super) fn set_pieces(&mut self, pieces: Bitfield) {
        self.pieces = Arc::new(pieces);
    }

    /// Adds a piece; whether it was new.
    pub(super) fn add_piece(&mut self, piece: PieceIndex) -> bool {
        !self.pieces.get(piece.0) && Arc::make_mut(&mut self.pieces).set(piece.0)
    }

    /// Removes a piece; whether it was there.
    pub(super) fn remove_piece(&mut self, piece: PieceIndex) -> bool {
        self.pieces.get(piece.0) && Arc::make_mut(&mut self.pieces).clear(piece.0)
    }

    pub(super) fn peer_pieces(&self) -> PeerPieces<'_> {
        if self.is_seed() {
            PeerPieces::All
        } else {
            PeerPieces::Some(&self.pieces)
        }
    }

    /// Whether it knows that we have the piece.
    pub(super) fn was_told(&self, piece: PieceIndex) -> bool {
        self.told.as_ref().is_none_or(|told| told.get(piece.0))
    }

    /// It is told that we have the piece.
    pub(super) fn tell(&mut self, piece: PieceIndex) {
        if let Some(told) = &mut self.told {
            told.set(piece.0);
        }
    }

    /// We got these pieces: it is less interesting now.
    pub(super) fn lose_interest_in(&mut self, pieces: &[PieceIndex]) {
        let fewer = pieces
            .iter()
            .filter(|piece| self.pieces.get(piece.0))
            .count();
        self.interesting = self.interesting.saturating_sub(fewer as u32);
    }

    pub(super) fn leased(&self) -> impl Iterator<Item = Block> + '_ {
        self.leased.iter().copied()
    }

    pub(super) fn lease(&mut self, now: Instant, blocks: &[Block]) {
        self.last_lease = Some(now);
        self.leased.extend(blocks);
    }

    /// Ends the leases on blocks of some pieces, and returns the blocks.
    pub(super) fn revoke(&mut self, concerned: impl Fn(PieceIndex) -> bool) -> Vec<Block> {
        let mut revoked = Vec::new();
        self.leased.retain(|&block| {
            let ends = concerned(block.piece);
            if ends {
                revoked.push(block);
            }
            !ends
        });
        revoked
    }

    pub(super) fn lease_ended(&mut self, block: Block) {
        // Leases end roughly in the order in which they began.
        if let Some(at) = self.leased.iter().position(|&leased| leased == block) {
            self.leased.remove(at);
        }
    }

    /// Takes over new totals and returns the difference to the last ones.
    pub(super) fn count(&mut self, now: Instant, stats: &PeerStats) -> PeerStats {
        let old = std::mem::replace(&mut self.stats, *stats);
        let more = PeerStats {
            received: stats.received - old.received,
            sent: stats.sent - old.sent,
            payload_received: stats.payload_received - old.payload_received,
            payload_sent: stats.payload_sent - old.payload_sent,
            redundant: stats.redundant - old.redundant,
            ..*stats
        };
        if more.received > 0 {
            self.last_received = now;
        }
        if more.received + more.sent > 0 {
            self.last_active = now;
        }
        self.download.add(now, more.received);
        self.upload.add(now, more.sent);
        self.payload_download.add(now, more.payload_received);
        self.payload_upload.add(now, more.payload_sent);
        more
    }

    /// We choke it now, or let it download.
    pub(super) fn set_choked(&mut self, now: Instant, choked: bool) {
        self.choked_by_us = choked;
        self.since = now;
        self.fresh &= choked;
        self.advised.clear();
        self.sent_before = self.stats.payload_sent;
    }

    /// How it stands before the choker.
    pub(super) fn candidate(&mut self, key: PeerKey, now: Instant) -> Candidate {
        let pieces = u64::from(self.pieces.len().max(1));
        Candidate {
            key,
            interested: self.interested_in_us && !self.is_seed() && !self.upload_only,
            unchoked: !self.choked_by_us,
            fresh: self.fresh,
            since: self.since,
            download_rate: self.payload_download.rate(now),
            upload_rate: self.payload_upload.rate(now),
            uploaded: self.stats.payload_sent - self.sent_before,
            progress: (u64::from(self.pieces.count()) * 1000 / pieces) as u16,
        }
    }
}
