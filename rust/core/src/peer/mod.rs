//! One connection after its handshake, as a machine without I/O (BEP 3).
//!
//! The driver feeds received bytes to [`Connection::handle_input`], hands the
//! block payloads that come out of it to the disk, carries out
//! [`Connection::poll_read`], sends [`Connection::slices`], and passes
//! [`Connection::take_report`] on to the torrent once per wake. The torrent
//! answers with leases of blocks: permission to request them here. So the
//! picker is asked once per tens of blocks, and the next requests leave in the
//! same wake in which blocks arrive.

mod block_alerts;
mod block_progress;
mod command;
mod connection_kind;
mod dial_order;
mod dont_have;
mod encryption_policy;
mod error;
mod extensions;
mod fast;
mod input;
mod invalid_requests;
mod leases;
mod limits;
mod message_stats;
mod peer_pieces;
mod pending_report;
mod pex;
mod pre_metadata;
mod report;
mod request_queue;
mod request_timeout;
mod requests;
mod send;
mod send_backlog;
mod upload;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use crate::bitfield::Bitfield;
use crate::ids::PieceIndex;
use crate::layout::Layout;
use crate::wire::{Features, Message, message_limit};
pub use block_alerts::{BlockNote, Watched};
pub use command::{CloseReason, PeerCommand};
pub use connection_kind::ConnectionKind;
pub use dial_order::DialOrder;
use dont_have::SentDontHave;
pub use encryption_policy::{EncryptionPolicy, HandshakeOrder};
pub use error::PeerError;
use extensions::Extensions;
pub use extensions::Opening;
use fast::Fast;
pub use fast::allowed_fast_set;
pub use input::BlockIn;
pub use limits::ConnectionLimits;
pub use message_stats::{MessageCounts, SORTS, Sort, Traffic};
use peer_pieces::RemotePieces;
use pending_report::PendingReport;
pub use report::{ConnectionReport, ExtensionNews, Incoming, MetadataReply, PeerStats, PieceNews};
use requests::Requests;
use send::SendQueue;
use upload::Uploads;
pub use upload::{READ_JOB_BYTES, ReadJob};

/// When there was traffic last, by which a silent connection is kept or given up.
#[derive(Debug)]
struct LastTraffic {
    received: Instant,
    sent: Instant,
    /// The peer was silent for too long.
    timed_out: bool,
}

impl LastTraffic {
    fn new(now: Instant) -> Self {
        Self {
            received: now,
            sent: now,
            timed_out: false,
        }
    }
}

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Connection {
    /// Without pieces while there is no metadata.
    layout: Arc<Layout>,
    limits: ConnectionLimits,
    message_limit: usize,
    /// What both ends understand.
    features: Features,
    extensions: Extensions,
    fast: Fast,
    /// The pieces that were announced to the peer.
    announced: Bitfield,
    sent_dont_have: SentDontHave,
    peer_pieces: RemotePieces,
    requests: Requests,
    uploads: Uploads,
    send: SendQueue,
    last: LastTraffic,
    pending_report: PendingReport,
}

impl Connection {
    /// A connection whose handshake is done.
    pub fn new(layout: Arc<Layout>, limits: ConnectionLimits, now: Instant) -> Self {
        Self {
            message_limit: message_limit(layout.num_pieces()),
            announced: Bitfield::new(layout.num_pieces()),
            requests: Requests::new(now, limits.window),
            layout,
            limits,
            features: Features::default(),
            extensions: Extensions::default(),
            fast: Fast::default(),
            sent_dont_have: SentDontHave::default(),
            peer_pieces: RemotePieces::default(),
            uploads: Uploads::default(),
            send: SendQueue::default(),
            last: LastTraffic::new(now),
            pending_report: PendingReport::default(),
        }
    }

    /// A connection of a torrent whose metadata is not known yet; it comes by
    /// [`Self::set_metadata`].
    pub fn without_metadata(limits: ConnectionLimits, now: Instant) -> Self {
        Self {
            peer_pieces: RemotePieces::before_metadata(limits.max_pieces),
            message_limit: message_limit(limits.max_pieces),
            ..Self::new(Arc::new(Layout::unknown()), limits, now)
        }
    }

    /// The torrent's metadata is known: what the peer said before is judged by
    /// it, and the peer is to be closed if that was about another torrent.
    pub fn set_metadata(&mut self, layout: Arc<Layout>) -> Result<(), PeerError> {
        let Some(early) = self.peer_pieces.pre_metadata.take() else {
            return Ok(());
        };
        self.message_limit = message_limit(layout.num_pieces());
        self.announced = Bitfield::new(layout.num_pieces());
        self.pending_report.report.pieces.bitfield = early.judge(layout.num_pieces())?;
        self.fast.judge(layout.num_pieces());
        self.layout = layout;
        self.pending_report.dirty = true;
        Ok(())
    }

    /// Puts other limits into effect.
    pub fn set_limits(&mut self, now: Instant, limits: ConnectionLimits) {
        self.limits = limits;
        self.keep_to_reqq();
        self.fill_window(now);
    }

    /// Chooses what [`ConnectionReport::notes`] contains.
    pub fn watch(&mut self, watched: Watched) {
        self.pending_report.watched = watched;
    }

    /// Opens the conversation: sends who we are and what we have.
    pub fn announce_pieces(&mut self, have: &Bitfield) {
        self.greet();
        self.announced = have.clone();
        self.send_pieces(have);
        self.grant();
    }

    /// Announces pieces that we got since to the peer.
    pub fn announce_have(&mut self, pieces: &[PieceIndex]) {
        for &piece in pieces {
            if self.announced.set(piece.0) {
                self.send.announce(&Message::Have(piece));
            }
        }
        self.note_have(pieces);
    }

    /// Notes that we have pieces which the peer has too, without telling it: it
    /// may ask for them, and need not send what is left of them.
    pub fn note_have(&mut self, pieces: &[PieceIndex]) {
        for &piece in pieces {
            self.announced.set(piece.0);
        }
        if !self.requests.late.is_empty() {
            self.requests
                .late
                .retain(|late| !pieces.contains(&late.piece));
        }
    }

    /// Whether there is something to send.
    pub fn wants_write(&self) -> bool {
        self.send.len() > 0
    }

    /// Fills `out` with what to send next; returns how many are filled.
    pub fn slices<'a>(&'a mut self, out: &mut [IoSlice<'a>]) -> usize {
        self.send.slices(out)
    }

    /// Bytes of messages that were queued since this was asked last, apart from
    /// blocks and from those by which we ask for blocks: what counts under an
    /// upload limit besides blocks.
    pub fn take_overhead(&mut self) -> u64 {
        std::mem::take(&mut self.send.overhead)
    }

    /// The first `bytes` of what was to be sent are sent.
    pub fn handle_sent(&mut self, now: Instant, bytes: usize) {
        let payload = self.send.advance(bytes);
        self.send_metadata();
        self.last.sent = now;
        let all = self.send.len() == 0;
        self.pending_report.sent(bytes, payload, all);
    }

    /// When [`Self::handle_timeout`] is due; never again after it has failed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.last.timed_out {
            return None;
        }
        let keep_alive = self.last.sent + self.limits.peer_timeout / 2;
        let silence = self.last.received + self.limits.peer_timeout;
        let silence = Some(silence).filter(|_| self.requests.request_timer.held_since().is_none());
        [silence, self.next_snub(), self.pending_report.partial.due()]
            .into_iter()
            .flatten()
            .chain([keep_alive])
            .min()
    }

    /// Does what time asks for: keep-alives, giving up on a silent peer. The
    /// error is the end of the connection: time asks for nothing more.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), PeerError> {
        let silent = now >= self.last.received + self.limits.peer_timeout;
        if silent && self.requests.request_timer.held_since().is_none() {
            self.last.timed_out = true;
            return Err(PeerError::TimedOut);
        }
        if now >= self.last.sent + self.limits.peer_timeout / 2 {
            self.send.message(&Message::KeepAlive);
            self.last.sent = now;
        }
        if self.next_snub().is_some_and(|due| due <= now) {
            self.snub(now);
        }
        self.pending_report.dirty |= self.pending_report.partial.is_due(now);
        Ok(())
    }

    /// What went each way since the last time, for statistics; queued messages
    /// count as gone.
    pub fn take_counts(&mut self) -> Traffic {
        Traffic {
            sent: std::mem::take(&mut self.send.counts),
            ..std::mem::take(&mut self.pending_report.traffic)
        }
    }

    /// What happened since the last report, if anything the torrent cares for.
    pub fn take_report(&mut self) -> Option<ConnectionReport> {
        if !std::mem::take(&mut self.pending_report.dirty) {
            return None;
        }
        Some(self.final_report())
    }

    /// The report whether or not there is news: for the moment of closing,
    /// and for the torrent's regular look at the totals.
    pub fn final_report(&mut self) -> ConnectionReport {
        let stats = &mut self.pending_report.report.stats;
        stats.outstanding = self.requests.outstanding.len() as u32;
        stats.upload_queue = self.uploads.len() as u32;
        stats.target = self.requests.window.target();
        stats.snubbed = self.requests.window.is_snubbed();
        ConnectionReport {
            allowed_fast: self.fast.take_news(),
            ..self.pending_report.take_report()
        }
    }
}

#[cfg(test)]
mod tests;
