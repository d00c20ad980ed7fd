//! Events of the brain, posted and carried out.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use torrent_core::external_ip::Witness;
use torrent_core::torrent::{TorrentEvent, TorrentState};

use super::Driver;
use super::handle::resume::SaveFlags;
use crate::error::{Error, ErrorKind};
use crate::event::{EventBody, PeerRef, PieceRead, StateChange, TypedKind, typed};

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
                self.post(typed::STATE_CHANGED, || StateChange { state, previous });
            }
            TorrentEvent::Finished => {
                self.times.times.finished();
                self.publish(Instant::now());
                self.post(typed::TORRENT_FINISHED, || ());
                self.flush(None);
            }
            TorrentEvent::PiecesVerified(pieces) => {
                self.records.saver.not_durable_yet(&pieces);
                self.unsaved(SaveFlags::IF_DOWNLOAD_PROGRESS);
                self.publish_pieces();
                self.post(typed::PIECE_FINISHED, || pieces);
            }
            TorrentEvent::MetadataFailed => {
                let error = Error::because(
                    ErrorKind::TorrentInfoParseError,
                    "metadata from peers has the wrong hash",
                );
                self.post(typed::METADATA_FAILED, || error);
            }
            TorrentEvent::SeenAs { ip, by } => {
                let session = &self.context.services;
                session.seen_as(ip, by.ip(), Witness::Peer);
            }
            TorrentEvent::HashFailed(piece) => {
                self.post(typed::HASH_FAILED, || piece);
            }
            TorrentEvent::PeerBanned(peer) => self.post_peer(typed::PEER_BAN, peer),
            TorrentEvent::PeerSnubbed(peer, true) => self.post_peer(typed::PEER_SNUBBED, peer),
            TorrentEvent::PeerSnubbed(peer, false) => self.post_peer(typed::PEER_UNSNUBBED, peer),
            TorrentEvent::FileCompleted(file) => {
                self.records.saver.file_completed(file);
                self.post(typed::FILE_COMPLETED, || vec![file]);
            }
            TorrentEvent::DeadlineMet(piece) => self.read_piece(piece, None),
            TorrentEvent::DeadlineCancelled(piece) => {
                self.post(typed::READ_PIECE, || PieceRead {
                    piece,
                    data: Bytes::new(),
                    error: "the deadline was taken back".to_owned(),
                });
            }
            TorrentEvent::StoppedWhenReady => self.stopped_when_ready(),
            TorrentEvent::GracefullyPaused => self.post(typed::TORRENT_PAUSED, || ()),
        }
    }

    pub(super) fn post<T>(&self, kind: TypedKind<T>, says: impl FnOnce() -> T) {
        self.context
            .services
            .events
            .post(kind, Some(&self.handle.torrent_ref()), says);
    }

    pub(super) fn post_body(&self, body: EventBody) {
        let events = &self.context.services.events;
        events.post_body(Some(&self.handle.torrent_ref()), body);
    }

    pub(super) fn post_peer(&mut self, kind: TypedKind<PeerRef>, endpoint: SocketAddr) {
        let mut peers = self.brain.peers().map(|(_, peer)| peer.meta);
        let known = peers.find(|meta| meta.endpoint == endpoint);
        let id = known.map(|meta| meta.id).unwrap_or_default();
        drop(peers);
        self.post(kind, || PeerRef { endpoint, id });
    }
}
