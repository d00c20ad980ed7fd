//! What peers say by extensions: who they are (BEP 10), that they do not
//! download (BEP 21), that they lost pieces (BEP 54), which pieces they would
//! serve (BEP 6), and pieces of the metadata (BEP 9).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::ut_metadata::FetchVerdict;
use super::{CloseReason, Output, Peer, PeerCommand, Torrent, TorrentEvent};
use crate::bitfield::Bitfield;
use crate::ext::ExtendedHandshake;
use crate::ids::{PeerKey, PieceIndex};
use crate::peer::{ConnectionReport, MetadataReply};

impl Torrent {
    /// Takes what extensions brought out of a report.
    pub(super) fn note_extensions(
        &mut self,
        now: Instant,
        key: PeerKey,
        report: &mut ConnectionReport,
    ) {
        if let Some(hello) = report.extended.hello.take() {
            self.note_hello(now, key, &hello);
        }
        if let Some(upload_only) = report.extended.upload_only
            && let Some(peer) = self.peers.get_mut(&key)
        {
            peer.upload_only = upload_only;
        }
        self.note_dont_have(key, &report.pieces.dont_have);
        let most = self.settings.max_suggest_pieces.unsigned_abs() as usize;
        if let Some(peer) = self.peers.get_mut(&key) {
            if let Some(allowed) = report.allowed_fast.take() {
                peer.download.allowed_fast = allowed;
            }
            peer.download.note_suggested(&report.suggested, most);
        }
        self.take_pex(now, key, std::mem::take(&mut report.extended.pex));
        for reply in report.extended.metadata.drain(..) {
            self.note_metadata(now, key, reply);
        }
    }

    fn note_hello(&mut self, now: Instant, key: PeerKey, hello: &ExtendedHandshake) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.client = hello.client.as_str().into();
        peer.upload_only = hello.upload_only.unwrap_or(peer.upload_only);
        let endpoint = peer.meta.endpoint;
        if let Some(ip) = hello.your_ip {
            self.event(TorrentEvent::SeenAs { ip, by: endpoint });
        }
        if let Some(port) = hello.port {
            self.note_port(now, key, port);
        }
        self.note_pex_support(now, key, hello.numbers.pex != 0);
        if hello.numbers.metadata == 0 {
            return;
        }
        if let Some(fetch) = &mut self.fetch {
            if !fetch.peer_has(now, key, endpoint.ip(), hello.metadata_size) {
                self.close(key, CloseReason::BadMetadata);
            }
            self.fetch_more(now);
        }
    }

    fn note_metadata(&mut self, now: Instant, key: PeerKey, reply: MetadataReply) {
        let Some(fetch) = &mut self.fetch else {
            return;
        };
        match fetch.answer(now, key, reply.piece, reply.total_size, reply.data) {
            FetchVerdict::Open => {}
            FetchVerdict::Complete(info_dict) => {
                self.outputs.push_back(Output::Metadata(info_dict));
            }
            FetchVerdict::Wrong(senders) => {
                self.event(TorrentEvent::MetadataFailed);
                if senders.len() == 1 {
                    for liar in senders {
                        self.close(liar, CloseReason::BadMetadata);
                        self.forget_source(liar);
                    }
                }
            }
        }
        self.fetch_more(now);
    }

    /// The peer is no source of metadata any more.
    pub(super) fn forget_source(&mut self, key: PeerKey) {
        if let Some(fetch) = &mut self.fetch {
            fetch.peer_left(key);
        }
    }

    /// Asks for metadata, if some is to be asked for.
    pub(super) fn fetch_more(&mut self, now: Instant) {
        let Some(fetch) = &mut self.fetch else {
            return;
        };
        for (key, piece) in fetch.poll(now) {
            let request = PeerCommand::RequestMetadata(piece);
            self.outputs.push_back(Output::Peer(key, request));
        }
    }

    fn note_dont_have(&mut self, key: PeerKey, pieces: &BTreeSet<PieceIndex>) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        for &piece in pieces {
            let was_seed = peer.is_seed();
            if !peer.remove_piece(piece) {
                continue;
            }
            if was_seed {
                self.pieces.picker.peer_seed_left();
                self.pieces.picker.peer_joined(peer.pieces());
                if let Some(endpoint) = peer.listed {
                    self.dialing.list.set_seed(endpoint, false);
                }
            } else {
                self.pieces.picker.peer_dont_have(piece);
            }
            if self.pieces.picker.is_wanted(piece) {
                peer.download.interesting = peer.download.interesting.saturating_sub(1);
            }
        }
    }

    /// Informs peers that support upload_only whether we still download.
    pub(super) fn update_upload_only(&mut self) {
        let upload_only = self.asks_nobody();
        if !self.activity.set_upload_only_sent(upload_only) {
            return;
        }
        for (&key, peer) in &mut self.peers {
            peer.upload_only_sent |= upload_only;
            let command = PeerCommand::UploadOnly(upload_only);
            self.outputs.push_back(Output::Peer(key, command));
        }
    }

    /// Whether peers are to know that we request no blocks (BEP 21). A
    /// super-seed hides that it has everything, and in share mode we may ask
    /// any time. A storage error is temporary, and does not cost a connection.
    fn asks_nobody(&self) -> bool {
        let hidden = self.is_super_seeding() || self.activity.modes.share_mode;
        self.has_metadata()
            && !hidden
            && (self.activity.modes.upload_mode || self.pieces.picker.is_finished())
    }

    /// A piece that we had is wrong or gone: peers are informed of it (BEP 54).
    pub(super) fn announce_dont_have(&mut self, piece: PieceIndex) {
        let gone: Arc<[PieceIndex]> = [piece].into();
        for &key in self.peers.keys() {
            let lost = PeerCommand::DontHave(Arc::clone(&gone));
            self.outputs.push_back(Output::Peer(key, lost));
        }
    }

    /// What we want of what a peer that chokes us serves all the same; `None`
    /// if that is nothing.
    pub(super) fn allowed_pieces(&self, peer: &Peer) -> Option<Bitfield> {
        let wanted = |piece: &&PieceIndex| {
            peer.pieces().get(piece.0) && self.pieces.picker.is_wanted(**piece)
        };
        let mut pieces = peer.download.allowed_fast.iter().filter(wanted).peekable();
        pieces.peek()?;
        let mut allowed = Bitfield::new(self.pieces.layout.num_pieces());
        for piece in pieces {
            allowed.set(piece.0);
        }
        Some(allowed)
    }
}
