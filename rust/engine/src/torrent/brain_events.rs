//! Events of the brain, posted and carried out.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use torrent_core::external_ip::Witness;
use torrent_core::torrent::{TorrentEvent, TorrentState};

use super::Driver;
use super::handle::resume::SaveFlags;
use crate::error::{Error, ErrorKind};
use crate::event::{Detail, Kind, PeerFact, PeerRef, kind};

impl Driver {
    pub(super) fn brain_event(&mut self, event: TorrentEvent) {
        match event {
            TorrentEvent::StateChanged { state, previous } => {
                self.unsaved(SaveFlags::IF_STATE_CHANGED);
                self.times
                    .times
                    .state_changed(Instant::now(), state, self.paused);
                self.announcing
                    .announcer
                    .set_upload_only(state == TorrentState::Finished);
                match state {
                    TorrentState::Seeding => self.announcing.announcer.completed(Instant::now()),
                    // A check is not over yet.
                    _ if state.is_checking() => {}
                    _ => self.announcing.announcer.incomplete(),
                }
                // A consumer that gets the change finds it in the snapshot too.
                self.publish(Instant::now());
                self.post(kind::STATE_CHANGED, || Detail::State { state, previous });
            }
            TorrentEvent::Finished => {
                self.times.times.finished();
                self.publish(Instant::now());
                self.post(kind::TORRENT_FINISHED, || Detail::None);
                self.flush(None);
            }
            TorrentEvent::PiecesVerified(pieces) => {
                self.records.saver.not_durable_yet(&pieces);
                self.unsaved(SaveFlags::IF_DOWNLOAD_PROGRESS);
                self.publish_pieces();
                self.post(kind::PIECE_FINISHED, || Detail::Pieces(pieces));
            }
            TorrentEvent::MetadataFailed => {
                let error = Error::because(
                    ErrorKind::TorrentInfoParseError,
                    "metadata from peers has the wrong hash",
                );
                self.post(kind::METADATA_FAILED, || Detail::Error(error));
            }
            TorrentEvent::SeenAs { ip, by } => {
                let session = &self.context.services;
                session.seen_as(ip, by.ip(), Witness::Peer);
            }
            TorrentEvent::HashFailed(piece) => {
                self.post(kind::HASH_FAILED, || Detail::Piece(piece));
            }
            TorrentEvent::PeerBanned(peer) => self.post_peer(kind::PEER_BAN, peer),
            TorrentEvent::PeerSnubbed(peer, true) => self.post_peer(kind::PEER_SNUBBED, peer),
            TorrentEvent::PeerSnubbed(peer, false) => self.post_peer(kind::PEER_UNSNUBBED, peer),
            TorrentEvent::FileCompleted(file) => {
                self.records.saver.file_completed(file);
                self.post(kind::FILE_COMPLETED, || Detail::File(file));
            }
            TorrentEvent::DeadlineMet(piece) => self.read_piece(piece, None),
            TorrentEvent::DeadlineCancelled(piece) => {
                self.post(kind::READ_PIECE, || Detail::PieceData {
                    piece,
                    data: Bytes::new(),
                    error: "the deadline was taken back".to_owned(),
                });
            }
            TorrentEvent::StoppedWhenReady => self.stopped_when_ready(),
            TorrentEvent::GracefullyPaused => self.post(kind::TORRENT_PAUSED, || Detail::None),
        }
    }

    pub(super) fn post(&self, kind: Kind, detail: impl FnOnce() -> Detail) {
        self.context
            .services
            .events
            .post(kind, Some(&self.handle.torrent_ref()), detail);
    }

    pub(super) fn post_peer(&mut self, kind: Kind, endpoint: SocketAddr) {
        let mut peers = self.brain.peers().map(|(_, peer)| peer.meta);
        let known = peers.find(|meta| meta.endpoint == endpoint);
        let id = known.map(|meta| meta.id).unwrap_or_default();
        drop(peers);
        self.post(kind, || Detail::Peer {
            peer: PeerRef { endpoint, id },
            fact: PeerFact::Plain,
        });
    }
}
