//! One connection after its handshake, as a machine without I/O (BEP 3).
//!
//! The driver feeds received bytes to [`Connection::handle_input`], hands the
//! block payloads that come out of it to the disk, carries out
//! [`Connection::poll_read`], sends [`Connection::slices`], and passes
//! [`Connection::take_report`] on to the torrent once per wake. The torrent
//! answers with leases of blocks: permission to request them here. So the
//! picker is asked once per tens of blocks, and the next requests leave in the
//! same wake in which blocks arrive.

mod command;
mod counts;
mod early;
mod error;
mod extensions;
mod fast;
mod input;
mod leases;
mod limits;
mod lost;
mod notes;
mod partial;
mod patience;
mod report;
mod send;
mod serve;
mod snub;
mod theirs;
mod unsent;
mod upload;
mod waiting;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use crate::bitfield::Bitfield;
use crate::ids::{BLOCK_SIZE, Block, PieceIndex};
use crate::layout::Layout;
use crate::window::Window;
use crate::wire::{Features, Message, message_limit};
pub use command::{CloseReason, PeerCommand};
pub use counts::{Counts, SORTS, Sort, Traffic};
use early::EarlyPieces;
pub use error::PeerError;
use extensions::Extensions;
pub use extensions::Opening;
use fast::Fast;
pub use fast::allowed_fast_set;
pub use input::BlockIn;
pub use limits::Limits;
use lost::Lost;
pub use notes::{Note, Watched};
use partial::Partial;
use patience::Patience;
pub use report::{Incoming, MetadataReply, PeerStats, Report};
use send::SendQueue;
use theirs::Theirs;
use upload::Uploads;
pub use upload::{READ_JOB_BYTES, ReadJob};
use waiting::Waiting;

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Connection {
    /// Without pieces while there is no metadata.
    layout: Arc<Layout>,
    /// What the peer has, as long as there is no metadata to judge it by.
    early: Option<EarlyPieces>,
    limits: Limits,
    message_limit: usize,

    choking: bool,
    interested: bool,
    peer_choking: bool,
    /// It has sent a block since it unchoked us.
    fruitful: bool,
    peer_interested: bool,
    /// The pieces that we told the peer of.
    announced: Bitfield,

    window: Window,
    leased: Waiting,
    /// Requested and not yet here, oldest first.
    outstanding: VecDeque<Block>,
    /// Requested, but others are asked for them now; they are welcome still.
    late: VecDeque<Block>,
    /// Blocks asked of the torrent and not yet leased.
    asked: u32,
    /// How long it is waited for them.
    patience: Patience,
    /// When the next block of a snubbing peer is asked of others.
    next_give_up: Instant,

    /// What both ends understand.
    features: Features,
    extensions: Extensions,
    fast: Fast,
    theirs: Theirs,
    lost: Lost,

    uploads: Uploads,
    invalid_requests: u32,
    /// When the first request came after the choke.
    choked_at: Option<Instant>,
    /// Requests that came since we choked the peer, and those of them that
    /// cannot have crossed the choke.
    choked_requests: usize,
    late_requests: u32,

    send: SendQueue,
    /// What is to be counted, but for what goes, which `send` counts.
    traffic: Traffic,
    last_received: Instant,
    last_sent: Instant,
    report: Report,
    dirty: bool,
    /// When the block that is under way is told of.
    partial: Partial,
    /// Bytes sent, as of the last report.
    sent_reported: u64,
    watched: Watched,
}

impl Connection {
    /// A connection whose handshake is done.
    pub fn new(layout: Arc<Layout>, limits: Limits, now: Instant) -> Self {
        Self {
            message_limit: message_limit(layout.num_pieces()),
            announced: Bitfield::new(layout.num_pieces()),
            window: Window::new(now, limits.window),
            layout,
            early: None,
            limits,
            choking: true,
            interested: false,
            peer_choking: true,
            fruitful: false,
            peer_interested: false,
            leased: Waiting::default(),
            outstanding: VecDeque::new(),
            late: VecDeque::new(),
            asked: 0,
            patience: Patience::new(now),
            next_give_up: now,
            features: Features::default(),
            extensions: Extensions::default(),
            fast: Fast::default(),
            theirs: Theirs::default(),
            lost: Lost::default(),
            uploads: Uploads::default(),
            invalid_requests: 0,
            choked_at: None,
            choked_requests: 0,
            late_requests: 0,
            send: SendQueue::default(),
            traffic: Traffic::default(),
            last_received: now,
            last_sent: now,
            report: Report::default(),
            dirty: false,
            partial: Partial::default(),
            sent_reported: 0,
            watched: Watched::default(),
        }
    }

    /// A connection of a torrent whose metadata is not known yet; it comes by
    /// [`Self::set_metadata`].
    pub fn without_metadata(limits: Limits, now: Instant) -> Self {
        Self {
            early: Some(EarlyPieces::new(limits.max_pieces)),
            message_limit: message_limit(limits.max_pieces),
            ..Self::new(Arc::new(Layout::unknown()), limits, now)
        }
    }

    /// The torrent's metadata is known: what the peer said before is judged by
    /// it, and the peer is to be closed if it spoke of another torrent.
    pub fn set_metadata(&mut self, layout: Arc<Layout>) -> Result<(), PeerError> {
        let Some(early) = self.early.take() else {
            return Ok(());
        };
        self.message_limit = message_limit(layout.num_pieces());
        self.announced = Bitfield::new(layout.num_pieces());
        self.report.bitfield = early.judge(layout.num_pieces())?;
        self.fast.judge(layout.num_pieces());
        self.layout = layout;
        self.dirty = true;
        Ok(())
    }

    /// Puts other limits into effect.
    pub fn set_limits(&mut self, now: Instant, limits: Limits) {
        self.limits = limits;
        self.keep_to_reqq();
        self.fill_window(now);
    }

    /// Chooses what [`Report::notes`] tells of.
    pub fn watch(&mut self, watched: Watched) {
        self.watched = watched;
    }

    /// Opens the conversation: tells the peer who we are and what we have.
    pub fn announce_pieces(&mut self, have: &Bitfield) {
        self.greet();
        self.announced = have.clone();
        self.send_pieces(have);
        self.grant();
    }

    /// Tells the peer of pieces that we got since.
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
        if !self.late.is_empty() {
            self.late.retain(|late| !pieces.contains(&late.piece));
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
        self.last_sent = now;
        let stats = &mut self.report.stats;
        stats.sent += bytes as u64;
        stats.payload_sent += payload;
        // Under a limit much time may pass until something else is reported.
        let much = stats.sent - self.sent_reported >= u64::from(BLOCK_SIZE);
        if much || (payload > 0 && self.send.len() == 0) {
            self.dirty = true;
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Instant {
        let keep_alive = self.last_sent + self.limits.peer_timeout / 2;
        let silence = self.last_received + self.limits.peer_timeout;
        let silence = Some(silence).filter(|_| self.patience.held_since().is_none());
        [silence, self.next_snub(), self.partial.due()]
            .into_iter()
            .flatten()
            .fold(keep_alive, Instant::min)
    }

    /// Does what time asks for: keep-alives, giving up on a silent peer.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), PeerError> {
        let silent = now >= self.last_received + self.limits.peer_timeout;
        if silent && self.patience.held_since().is_none() {
            return Err(PeerError::TimedOut);
        }
        if now >= self.last_sent + self.limits.peer_timeout / 2 {
            self.send.message(&Message::KeepAlive);
            self.last_sent = now;
        }
        if self.next_snub().is_some_and(|due| due <= now) {
            self.snub(now);
        }
        self.dirty |= self.partial.is_due(now);
        Ok(())
    }

    /// What went each way since the last time, for statistics; queued messages
    /// count as gone.
    pub fn take_counts(&mut self) -> Traffic {
        Traffic {
            sent: std::mem::take(&mut self.send.counts),
            ..std::mem::take(&mut self.traffic)
        }
    }

    /// What happened since the last report, if anything the torrent cares for.
    pub fn take_report(&mut self) -> Option<Report> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        Some(self.final_report())
    }

    /// The report whether or not there is news: for the moment of closing,
    /// and for the torrent's regular look at the totals.
    pub fn final_report(&mut self) -> Report {
        self.dirty = false;
        self.partial.told();
        let stats = PeerStats {
            outstanding: self.outstanding.len() as u32,
            upload_queue: self.uploads.len() as u32,
            target: self.window.target(),
            snubbed: self.window.is_snubbed(),
            ..self.report.stats
        };
        let report = std::mem::take(&mut self.report);
        self.report.stats = stats;
        self.sent_reported = stats.sent;
        let allowed_fast = self.fast.take_news();
        Report {
            stats,
            allowed_fast,
            ..report
        }
    }
}

#[cfg(test)]
mod tests;
