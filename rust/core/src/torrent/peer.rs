//! What the brain knows of one connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bitfield::Bitfield;
use crate::choker::Candidate;
use crate::ids::{PeerId, PeerKey, PieceIndex};
use crate::mse::Method;
use crate::peerlist::Sources;
use crate::picker::PeerPieces;

use super::peer_download::PeerDownload;
use super::peer_traffic::PeerTraffic;
use super::peer_upload::PeerUpload;
use super::pex::PexPartner;
use crate::peer::{CloseReason, ConnectionKind};

/// What is known of a connection when its handshake is done.
#[derive(Clone, Copy, Debug)]
pub struct PeerMeta {
    /// The other end.
    pub endpoint: SocketAddr,
    /// How it names itself.
    pub id: PeerId,
    /// What carries it.
    pub connection: ConnectionKind,
    /// How its handshake was encrypted (MSE), if it was.
    pub encryption: Option<Method>,
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
    /// What the peer's program calls itself (BEP 10); empty when it does not.
    pub client: Arc<str>,
    /// The entry in the list of peers that stands for it, if one does: an
    /// incoming connection comes from a port on which the peer does not listen.
    pub(super) listed: Option<SocketAddr>,
    pub(super) pex: PexPartner,
    /// Attempts to connect to it, in a row, that failed before this connection.
    pub failures: u8,
    /// When its handshake was done.
    pub connected_at: Instant,
    /// When either side last wanted something of the other, or else when it
    /// connected; as of the last tick.
    pub(super) last_useful: Instant,
    /// It said what it has.
    pub(super) announced: bool,
    /// Shared with who looks at it, and copied only when it changes then.
    pieces: Arc<Bitfield>,
    /// What went over the connection.
    pub traffic: PeerTraffic,
    /// What we have of it.
    pub download: PeerDownload,
    /// What it has of us.
    pub upload: PeerUpload,
    /// It downloads nothing (BEP 21).
    pub upload_only: bool,
    /// It was informed once that we want nothing (BEP 21): if it leaves, that may
    /// be why.
    pub upload_only_sent: bool,
    /// It was asked to close, and why.
    pub(super) closing: Option<CloseReason>,
}

impl Peer {
    pub(super) fn new(meta: PeerMeta, num_pieces: u32, now: Instant) -> Self {
        Self {
            meta,
            client: Arc::default(),
            listed: (!meta.incoming).then_some(meta.endpoint),
            pex: PexPartner::default(),
            failures: 0,
            connected_at: now,
            last_useful: now,
            announced: false,
            pieces: Arc::new(Bitfield::new(num_pieces)),
            traffic: PeerTraffic::new(now),
            download: PeerDownload::new(),
            upload: PeerUpload::new(now),
            upload_only: false,
            upload_only_sent: false,
            closing: None,
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

    /// We got these pieces: it is less interesting now.
    pub(super) fn lose_interest_in(&mut self, pieces: &[PieceIndex]) {
        let fewer = pieces
            .iter()
            .filter(|piece| self.pieces.get(piece.0))
            .count();
        self.download.interesting = self.download.interesting.saturating_sub(fewer as u32);
    }

    /// We choke it now, or let it download.
    pub(super) fn set_choked(&mut self, now: Instant, choked: bool) {
        let sent = self.traffic.stats.payload_sent;
        self.upload.set_choked(now, choked, sent);
    }

    /// Whether either side wants something of the other.
    pub(super) fn is_useful(&self) -> bool {
        self.download.interested || self.upload.interested_in_us
    }

    /// How it stands before the choker.
    pub(super) fn candidate(&mut self, key: PeerKey, now: Instant) -> Candidate {
        let pieces = u64::from(self.pieces.len().max(1));
        let interested = self.upload.interested_in_us && !self.is_seed() && !self.upload_only;
        let upload = &self.upload;
        let rates = &mut self.traffic.rates;
        Candidate {
            key,
            interested,
            unchoked: !upload.choked_by_us,
            fresh: upload.is_fresh(),
            since: upload.since(),
            download_rate: rates.payload_download.rate(now),
            upload_rate: rates.payload_upload.rate(now),
            uploaded: upload.sent_since(self.traffic.stats.payload_sent),
            progress: (u64::from(self.pieces.count()) * 1000 / pieces) as u16,
        }
    }
}
