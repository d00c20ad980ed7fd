//! The extension protocol (BEP 10) on one connection: the handshake, metadata
//! served and asked for (BEP 9), upload_only (BEP 21), lt_donthave (BEP 54).
//! Peer exchange (BEP 11) is in `pex`.
//!
//! In order: [`Connection::set_opening`], for a torrent whose metadata may be
//! given away [`Connection::offer_metadata`], then
//! [`Connection::announce_pieces`], which sends the handshake first.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::message_stats::Sort;
use super::pex::ConnectionPex;
use super::report::MetadataReply;
use super::{Connection, PeerError};
use crate::ext::{self, ExtendedHandshake, ExtensionIds, METADATA_PIECE, MetadataMessage};
use crate::ids::InfoHash;
use crate::wire::{Features, Message};

/// Requests for metadata that wait, at most; further ones are refused.
const MAX_QUEUED: usize = 64;

/// How often a peer may fetch the whole metadata.
const TIMES: usize = 4;

/// Refused metadata requests after which the peer is cut off.
const MAX_REFUSED: u32 = 1000;

/// Bytes that wait to be sent above which no metadata is added.
const SEND_AHEAD: usize = 64 * 1024;

/// Requests for metadata that wait for this peer's answer, at most.
const MAX_ASKED: usize = 16;

/// What an end says of itself when the connection opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The swarm.
    pub info_hash: InfoHash,
    /// The other end.
    pub remote: SocketAddr,
    /// What we call ourselves; nothing is said when empty.
    pub client: String,
    /// The port we listen on, for a peer that we called.
    pub port: Option<u16>,
    /// Pieces that the peer may fetch while it is choked.
    pub allowed_fast: usize,
    /// Whether we take part in peer exchange (BEP 11).
    pub pex: bool,
}

/// What this connection does with metadata.
#[derive(Debug, Default)]
enum Metadata {
    /// It is kept within the torrent: a private one (BEP 27).
    #[default]
    Withheld,
    /// It is not known yet.
    Wanted,
    /// Peers may have it.
    Served(Bytes),
}

/// The state of the extension protocol.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) opening: Option<Opening>,
    greeted: bool,
    upload_only: bool,
    pub(super) peer_ids: ExtensionIds,
    /// Requests that the peer queues, at least 1.
    reqq: Option<u32>,
    pub(super) pex: ConnectionPex,
    metadata: Metadata,
    /// Pieces of metadata that the peer waits for.
    queue: VecDeque<u32>,
    /// Pieces of metadata that it was promised so far.
    served: usize,
    refused: u32,
    /// Pieces of metadata that we wait for.
    asked: Vec<u32>,
}

impl Connection {
    /// Says what the other end understands, and what we say of ourselves.
    pub fn set_opening(&mut self, features: Features, opening: Opening) {
        self.features = features;
        self.extensions.pex.enabled = opening.pex;
        self.extensions.opening = Some(opening);
        if self.peer_pieces.pre_metadata.is_some() {
            self.extensions.metadata = Metadata::Wanted;
        }
    }

    /// Lets the peer have the torrent's info dict. Not to be called for a
    /// private torrent (BEP 27).
    pub fn offer_metadata(&mut self, info_dict: Bytes) {
        self.extensions.metadata = Metadata::Served(info_dict);
        self.greet_again();
    }

    /// Takes back the offer of metadata: the torrent turned out to be private.
    pub fn withhold_metadata(&mut self) {
        self.extensions.metadata = Metadata::Withheld;
    }

    /// We download nothing any more, or do again (BEP 21).
    pub fn set_upload_only(&mut self, upload_only: bool) {
        let it = &mut self.extensions;
        if std::mem::replace(&mut it.upload_only, upload_only) != upload_only
            && it.greeted
            && it.peer_ids.upload_only != 0
        {
            self.send.message(&Message::Extended {
                id: self.extensions.peer_ids.upload_only,
                payload: &[u8::from(upload_only)],
            });
        }
    }

    /// Asks for a piece of the metadata (BEP 9). The answer, which may never
    /// come, is part of a report.
    pub fn request_metadata(&mut self, piece: u32) {
        let id = self.extensions.peer_ids.metadata;
        if id == 0 || self.extensions.asked.len() >= MAX_ASKED {
            return;
        }
        self.extensions.asked.push(piece);
        let payload = MetadataMessage::Request(piece).encode_head();
        let payload = &payload;
        self.send.counts.add(Sort::Metadata, 1);
        self.send.message(&Message::Extended { id, payload });
    }

    /// Sends the extended handshake once more, if it was sent: something in it
    /// is new.
    pub(super) fn greet_again(&mut self) {
        if self.extensions.greeted {
            self.greet();
        }
    }

    /// Sends the extended handshake, if the peer understands it.
    pub(super) fn greet(&mut self) {
        let it = &mut self.extensions;
        let Some(opening) = it.opening.as_ref().filter(|_| self.features.extensions) else {
            return;
        };
        it.greeted = true;
        let metadata_size = match &it.metadata {
            Metadata::Served(bytes) => u32::try_from(bytes.len()).ok(),
            _ => None,
        };
        let offered = !matches!(it.metadata, Metadata::Withheld);
        let handshake = ExtendedHandshake {
            numbers: ExtensionIds {
                pex: if it.pex.enabled { ext::UT_PEX } else { 0 },
                metadata: if offered { ext::UT_METADATA } else { 0 },
                upload_only: ext::UPLOAD_ONLY,
                dont_have: ext::DONT_HAVE,
            },
            client: opening.client.clone(),
            port: opening.port,
            reqq: u32::try_from(self.limits.max_in).ok(),
            your_ip: Some(opening.remote.ip().to_canonical()),
            metadata_size,
            upload_only: it.upload_only.then_some(true),
            ..ExtendedHandshake::default()
        };
        self.send.message(&Message::Extended {
            id: ext::HANDSHAKE,
            payload: &handshake.encode(),
        });
    }

    pub(super) fn handle_extended(
        &mut self,
        now: Instant,
        id: u8,
        payload: &[u8],
    ) -> Result<(), PeerError> {
        if !self.features.extensions {
            // Its handshake has no extension bit, so we sent it no extension handshake.
            return Err(PeerError::NotNegotiated);
        }
        match id {
            ext::HANDSHAKE => {
                let hello = ExtendedHandshake::decode(payload)?;
                self.extensions.peer_ids = hello.numbers;
                self.extensions.reqq = hello.reqq;
                self.keep_to_reqq();
                self.pending_report.report.extended.hello = Some(Box::new(hello));
                self.pending_report.dirty = true;
            }
            ext::UPLOAD_ONLY => {
                self.pending_report.report.extended.upload_only =
                    Some(ext::decode_upload_only(payload)?);
                self.pending_report.dirty = true;
            }
            ext::DONT_HAVE => self.handle_dont_have(ext::decode_dont_have(payload)?)?,
            ext::UT_PEX => self.take_pex(now, payload)?,
            ext::UT_METADATA => match MetadataMessage::decode(payload)? {
                MetadataMessage::Request(piece) => self.serve_metadata(piece)?,
                MetadataMessage::Data {
                    piece,
                    total_size,
                    data,
                } => self.take_metadata(piece, total_size, Some(data)),
                MetadataMessage::Reject(piece) => self.take_metadata(piece, 0, None),
                MetadataMessage::Unknown => {}
            },
            // A number that we did not give out.
            _ => {}
        }
        Ok(())
    }

    /// Asks for no more at once than the peer says that it queues.
    pub(super) fn keep_to_reqq(&mut self) {
        let window = &mut self.limits.window;
        window.max = window.max.min(self.extensions.reqq.unwrap_or(window.max));
        self.requests.window.set_limits(*window);
    }

    fn take_metadata(&mut self, piece: u32, total_size: u32, data: Option<&[u8]>) {
        let asked = &mut self.extensions.asked;
        let Some(at) = asked.iter().position(|&asked| asked == piece) else {
            return;
        };
        asked.swap_remove(at);
        self.pending_report
            .report
            .extended
            .metadata
            .push(MetadataReply {
                piece,
                total_size,
                data: data.map(Bytes::copy_from_slice),
            });
        self.pending_report.dirty = true;
    }

    /// Queues a piece of metadata for the peer, or refuses it.
    fn serve_metadata(&mut self, piece: u32) -> Result<(), PeerError> {
        let it = &mut self.extensions;
        if it.peer_ids.metadata == 0 {
            return Ok(());
        }
        let pieces = match &it.metadata {
            Metadata::Served(bytes) => bytes.len().div_ceil(METADATA_PIECE as usize),
            _ => 0,
        };
        let fits = (piece as usize) < pieces;
        if fits && it.queue.len() < MAX_QUEUED && it.served < TIMES * pieces {
            it.served += 1;
            it.queue.push_back(piece);
            self.send_metadata();
            return Ok(());
        }
        it.refused += 1;
        if it.refused > MAX_REFUSED {
            return Err(PeerError::TooManyRequests);
        }
        let id = it.peer_ids.metadata;
        let payload = MetadataMessage::Reject(piece).encode_head();
        let payload = &payload;
        self.send.counts.add(Sort::Metadata, 1);
        self.send.message(&Message::Extended { id, payload });
        Ok(())
    }

    /// Sends metadata that the peer waits for, as its link takes it.
    pub(super) fn send_metadata(&mut self) {
        let it = &mut self.extensions;
        let Metadata::Served(bytes) = &it.metadata else {
            return;
        };
        while self.send.len() < SEND_AHEAD
            && let Some(piece) = it.queue.pop_front()
        {
            let from = piece as usize * METADATA_PIECE as usize;
            let to = (from + METADATA_PIECE as usize).min(bytes.len());
            let head = MetadataMessage::Data {
                piece,
                total_size: bytes.len() as u32,
                data: &[],
            };
            let data = bytes.slice(from..to);
            self.send.counts.add(Sort::Metadata, 1);
            self.send
                .extended(it.peer_ids.metadata, &head.encode_head(), data);
        }
    }
}
