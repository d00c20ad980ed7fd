//! One connection after its handshake, as a machine without I/O (BEP 3).
//!
//! The driver feeds received bytes to [`Connection::handle_input`], hands the
//! block payloads that come out of it to the disk, carries out
//! [`Connection::poll_read`], sends [`Connection::slices`], and passes
//! [`Connection::take_report`] on to the torrent once per wake. The torrent
//! answers with leases of blocks: permission to request them here. So the
//! picker is asked once per tens of blocks, and the next requests leave in the
//! same wake in which blocks arrive.

mod commands;
mod early;
mod extensions;
mod fast;
mod notes;
mod report;
mod send;
mod upload;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bitfield::Bitfield;
use crate::ext::ExtError;
use crate::ids::{BLOCK_SIZE, Block, PieceIndex};
use crate::layout::Layout;
use crate::settings::Settings;
use crate::window::{Window, WindowLimits};
use crate::wire::{Features, Message, Request, WireError, message_limit};
use early::EarlyPieces;
use extensions::Extensions;
pub use extensions::Opening;
use fast::Fast;
pub use fast::allowed_fast_set;
pub use notes::{Note, Watched};
pub use report::{Incoming, MetadataReply, PeerStats, Report};
use send::SendQueue;
use upload::Uploads;
pub use upload::{READ_JOB_BYTES, ReadJob};

/// Requests that make no sense, after which the peer is cut off; libtorrent's
/// number.
const MAX_INVALID_REQUESTS: u32 = 300;

/// How long requests may still arrive that were made before the choke.
const CROSSING: Duration = Duration::from_secs(2);

/// Why a connection must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The peer does not speak the protocol.
    #[error("protocol error: {0}")]
    Wire(#[from] WireError),
    /// A piece number beyond the torrent's last.
    #[error("the peer named piece {0}, which does not exist")]
    NoSuchPiece(u32),
    /// A bitfield of another torrent's size.
    #[error("the peer's bitfield has the wrong size")]
    WrongBitfield,
    /// Bytes that belong to no block.
    #[error("the peer sent bytes that belong to no block")]
    NoSuchBlock,
    /// Too many requests at once.
    #[error("the peer asked for too many blocks at once")]
    TooManyRequests,
    /// Too many senseless requests.
    #[error("the peer made too many invalid requests")]
    InvalidRequests,
    /// Requests long after we choked it.
    #[error("the peer makes requests although it is choked")]
    ChokedRequests,
    /// An extension's message makes no sense.
    #[error("extension protocol: {0}")]
    Extension(#[from] ExtError),
    /// A message of an extension that the peer did not name in its handshake.
    #[error("the peer uses an extension that it did not announce")]
    NotNegotiated,
    /// It takes back more pieces than any honest peer loses.
    #[error("the peer loses too many pieces")]
    LosesTooMuch,
    /// It lets us ask and refuses everything.
    #[error("the peer refuses every request")]
    RefusesAll,
    /// Nothing was heard for too long.
    #[error("the peer has been silent for too long")]
    TimedOut,
}

/// A block that arrived and was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockIn {
    /// Which block.
    pub block: Block,
    /// Where its bytes stand in the input.
    pub payload: Range<usize>,
}

/// Limits of a connection, taken from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    window: WindowLimits,
    max_in: usize,
    peer_timeout: Duration,
    request_timeout: Duration,
    send_watermark: usize,
    /// Pieces that a torrent may have, as long as its own number is unknown.
    max_pieces: u32,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        Self {
            window: WindowLimits {
                queue_time: seconds(settings.request_queue_time),
                max: settings.max_out_request_queue as u32,
            },
            max_in: settings.max_allowed_in_request_queue as usize,
            peer_timeout: seconds(settings.peer_timeout),
            request_timeout: seconds(settings.request_timeout.min(settings.piece_timeout)),
            send_watermark: settings.send_buffer_watermark as usize,
            max_pieces: settings.max_piece_count as u32,
        }
    }
}

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
    peer_interested: bool,
    /// The pieces that we told the peer of.
    announced: Bitfield,

    window: Window,
    leased: VecDeque<Block>,
    /// How many leases at the front are urgent.
    urgent: usize,
    /// Requested and not yet here, oldest first.
    outstanding: VecDeque<Block>,
    /// Requested, but others are asked for them now; they are welcome still.
    late: VecDeque<Block>,
    /// Blocks asked of the torrent and not yet leased.
    asked: u32,
    /// When the peer last delivered, or was first asked after a pause.
    last_block: Instant,

    /// What both ends understand.
    features: Features,
    extensions: Extensions,
    fast: Fast,

    uploads: Uploads,
    invalid_requests: u32,
    /// When the first request came after the choke.
    choked_at: Option<Instant>,
    /// Requests that came since we choked the peer, and those of them that
    /// cannot have crossed the choke.
    choked_requests: usize,
    late_requests: u32,

    send: SendQueue,
    last_received: Instant,
    last_sent: Instant,
    report: Report,
    dirty: bool,
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
            peer_interested: false,
            leased: VecDeque::new(),
            urgent: 0,
            outstanding: VecDeque::new(),
            late: VecDeque::new(),
            asked: 0,
            last_block: now,
            features: Features::default(),
            extensions: Extensions::default(),
            fast: Fast::default(),
            uploads: Uploads::default(),
            invalid_requests: 0,
            choked_at: None,
            choked_requests: 0,
            late_requests: 0,
            send: SendQueue::default(),
            last_received: now,
            last_sent: now,
            report: Report::default(),
            dirty: false,
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

    /// Takes all whole messages at the beginning of `input`, appending the
    /// blocks among them to `blocks`. Returns how many bytes were taken; the
    /// rest must come again, with more behind it. After an error none of the
    /// blocks of this input count as received.
    pub fn handle_input(
        &mut self,
        now: Instant,
        input: &[u8],
        blocks: &mut Vec<BlockIn>,
    ) -> Result<usize, PeerError> {
        // A part of a message is a sign of life too.
        self.last_received = now;
        let accepted_before = blocks.len();
        let taken = match self.take_messages(input, blocks) {
            Ok(taken) => taken,
            Err(error) => {
                self.disown(&blocks.split_off(accepted_before));
                return Err(error);
            }
        };
        let accepted = &blocks[accepted_before..];
        if !accepted.is_empty() {
            let bytes = accepted
                .iter()
                .map(|block| block.payload.len() as u64)
                .sum();
            self.last_block = now;
            self.report.stats.payload_received += bytes;
            self.window.on_block(now, bytes);
            self.fast.block_came();
        }
        self.fill_window(now);
        Ok(taken)
    }

    fn take_messages(
        &mut self,
        input: &[u8],
        blocks: &mut Vec<BlockIn>,
    ) -> Result<usize, PeerError> {
        let mut taken = 0;
        while let Some((message, used)) = Message::decode(&input[taken..], self.message_limit)? {
            let end = taken + used;
            self.handle_message(message, end, blocks)?;
            taken = end;
        }
        self.report.stats.incoming = self.incoming(&input[taken..]);
        Ok(taken)
    }

    /// The block that is on its way, if `rest` begins with one.
    fn incoming(&self, rest: &[u8]) -> Option<Incoming> {
        let (piece, begin, bytes) = Message::piece_under_way(rest)?;
        let block = Block::new(piece, begin / BLOCK_SIZE);
        let total = self.layout.block_len(block);
        (bytes <= total).then_some(Incoming {
            block,
            bytes,
            total,
        })
    }

    /// Takes back that these blocks, the last ones, were received.
    fn disown(&mut self, blocks: &[BlockIn]) {
        let reported = &mut self.report.blocks;
        reported.truncate(reported.len().saturating_sub(blocks.len()));
        let returned = &mut self.report.returned;
        returned.extend(blocks.iter().map(|it| it.block));
    }

    /// Counts `bytes` that were received.
    pub fn count_received(&mut self, bytes: usize) {
        self.report.stats.received += bytes as u64;
    }

    fn handle_message(
        &mut self,
        message: Message<'_>,
        end: usize,
        blocks: &mut Vec<BlockIn>,
    ) -> Result<(), PeerError> {
        match message {
            Message::KeepAlive | Message::Port(_) | Message::Unknown(_) => {}
            Message::Choke => {
                self.peer_choking = true;
                self.note_choke(true);
                if self.features.fast {
                    // What was asked for is refused one by one, or still sent.
                    self.give_back_leased();
                } else {
                    if self.watched.trouble {
                        let dropped = self.outstanding.iter().copied().map(Note::Dropped);
                        self.report.notes.extend(dropped);
                    }
                    self.give_back();
                    self.late.clear();
                }
            }
            Message::Unchoke => {
                if self.peer_choking {
                    self.peer_choking = false;
                    self.note_choke(false);
                }
            }
            Message::Interested => self.note_interest(true),
            Message::NotInterested => self.note_interest(false),
            Message::Have(piece) if let Some(early) = &mut self.early => early.have(piece)?,
            Message::Bitfield(bits) if let Some(early) = &mut self.early => early.bitfield(bits)?,
            Message::Have(piece) => {
                if piece.0 >= self.layout.num_pieces() {
                    return Err(PeerError::NoSuchPiece(piece.0));
                }
                self.report.lost.retain(|&lost| lost != piece);
                self.report.haves.push(piece);
                self.dirty = true;
            }
            Message::Bitfield(bits) => {
                let pieces = Bitfield::from_wire(bits, self.layout.num_pieces())
                    .ok_or(PeerError::WrongBitfield)?;
                self.report.haves.clear();
                self.report.lost.clear();
                self.report.bitfield = Some(pieces);
                self.dirty = true;
            }
            Message::Request(request) => self.handle_request(request)?,
            Message::Cancel(request) => {
                if self.uploads.cancel(request) {
                    self.reject(request)?;
                }
            }
            Message::Suggest(_)
            | Message::HaveAll
            | Message::HaveNone
            | Message::Reject(_)
            | Message::AllowedFast(_) => self.handle_fast(message)?,
            Message::Extended { id, payload } => self.handle_extended(id, payload)?,
            Message::Piece { piece, begin, data } => {
                let length = data.len() as u32;
                let block = self
                    .layout
                    .block_at(piece, begin, length)
                    .ok_or(PeerError::NoSuchBlock)?;
                if self.was_asked(block) {
                    self.report.blocks.push(block);
                    if self.watched.progress {
                        self.report.notes.push(Note::Finished(block));
                    }
                    blocks.push(BlockIn {
                        block,
                        payload: end - data.len()..end,
                    });
                } else {
                    self.report.stats.redundant += u64::from(length);
                    if self.watched.peer {
                        self.report.notes.push(Note::Unwanted(block));
                    }
                }
                self.dirty = true;
            }
        }
        Ok(())
    }

    /// Whether the block was asked for, which it is no longer.
    fn was_asked(&mut self, block: Block) -> bool {
        for asked in [&mut self.outstanding, &mut self.late] {
            if let Some(at) = asked.iter().position(|&asked| asked == block) {
                asked.remove(at);
                return true;
            }
        }
        false
    }

    fn note_choke(&mut self, choked: bool) {
        self.report.choked = Some(choked);
        // The torrent forgets what a choked peer asked for, and so do we.
        self.asked = 0;
        self.report.want = 0;
        self.dirty = true;
    }

    fn note_interest(&mut self, interested: bool) {
        if !interested {
            self.drop_uploads(|_, _| false);
        }
        self.peer_interested = interested;
        self.report.interested = Some(interested);
        self.dirty = true;
    }

    fn handle_request(&mut self, request: Request) -> Result<(), PeerError> {
        let Request {
            piece,
            begin,
            length,
        } = request;
        let valid = length <= BLOCK_SIZE
            && self.layout.contains(piece, begin, length)
            && self.announced.get(piece.0);
        if self.choking && !(valid && self.use_grant(request)) {
            return self.refuse_choked(request);
        }
        if !valid {
            self.invalid_requests += 1;
            if self.watched.peer {
                self.report.notes.push(Note::Invalid {
                    request,
                    we_have: self.announced.get(piece.0),
                    interested: self.peer_interested,
                    withheld: false,
                });
                self.dirty = true;
            }
            if self.invalid_requests > MAX_INVALID_REQUESTS {
                return Err(PeerError::InvalidRequests);
            }
            return self.reject(request);
        }
        if self.uploads.len() >= self.limits.max_in {
            return Err(PeerError::TooManyRequests);
        }
        self.uploads.push(request);
        self.dirty = true;
        Ok(())
    }

    /// Counts a request that came while we choke the peer.
    fn refuse_choked(&mut self, request: Request) -> Result<(), PeerError> {
        // They may have crossed the choke, but no more of them than we would
        // have queued.
        self.choked_requests += 1;
        if self.choked_requests > self.limits.max_in {
            return Err(PeerError::InvalidRequests);
        }
        let first = *self.choked_at.get_or_insert(self.last_received);
        if self.last_received > first + CROSSING {
            self.late_requests += 1;
            if self.late_requests > MAX_INVALID_REQUESTS {
                return Err(PeerError::ChokedRequests);
            }
        }
        self.reject(request)
    }

    /// Gives back what was not asked for yet, allowed pieces apart.
    fn give_back_leased(&mut self) {
        let (kept, returned): (VecDeque<Block>, VecDeque<Block>) = self
            .leased
            .drain(..)
            .partition(|&block| self.fast.is_allowed(block));
        self.leased = kept;
        self.report.returned.extend(returned);
        self.dirty = true;
    }

    /// Gives every leased block back to the torrent.
    fn give_back(&mut self) {
        let returned = &mut self.report.returned;
        returned.extend(self.outstanding.drain(..));
        returned.extend(self.leased.drain(..));
        self.urgent = 0;
        self.dirty = true;
    }

    /// Sends requests for leased blocks as far as the window is open, and asks
    /// the torrent for more in good time.
    fn fill_window(&mut self, now: Instant) {
        if !self.interested || self.most_outstanding() == 0 {
            return;
        }
        let target = self.most_outstanding();
        if self.outstanding.is_empty() {
            self.last_block = now;
        }
        if !self.leased.is_empty() {
            self.window.on_requested(now, self.outstanding.len() as u32);
        }
        while (self.outstanding.len() as u32) < target
            && let Some(block) = self.leased.pop_front()
        {
            self.urgent = self.urgent.saturating_sub(1);
            self.request(block);
        }
        let wished = self.wished();
        let held = self.outstanding.len() as u32 + self.leased.len() as u32 + self.asked;
        if held + wished / 8 < wished {
            let more = wished - held;
            self.asked += more;
            self.report.want += more;
            self.dirty = true;
        }
    }

    fn request(&mut self, block: Block) {
        if !self.late.is_empty() {
            self.late.retain(|&late| late != block);
        }
        self.outstanding.push_back(block);
        let request = self.request_for(block);
        self.send.message(&Message::Request(request));
        if self.watched.progress {
            self.report.notes.push(Note::Requested(block));
            self.dirty = true;
        }
    }

    /// Blocks that may be outstanding now.
    fn most_outstanding(&self) -> u32 {
        match self.peer_choking {
            false => self.window.target(),
            true => self.window.target().min(self.fast.choked_window()),
        }
    }

    /// Blocks to hold, requested or not: a reserve of leased ones keeps the
    /// window full while the torrent is thinking.
    fn wished(&self) -> u32 {
        let target = self.most_outstanding();
        target + target / 4 + 1
    }

    fn request_for(&self, block: Block) -> Request {
        Request {
            piece: block.piece,
            begin: block.begin(),
            length: self.layout.block_len(block),
        }
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
                self.send.message(&Message::Have(piece));
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

    /// Lets the connection request these blocks.
    pub fn lease(&mut self, now: Instant, blocks: &[Block]) {
        self.asked = self.asked.saturating_sub(blocks.len() as u32);
        self.leased.extend(blocks);
        if !self.interested {
            self.give_back();
        } else {
            if self.peer_choking {
                self.give_back_leased();
            }
            self.fill_window(now);
            self.give_back_surplus();
        }
    }

    /// Requests these blocks at once, before all others, be the window full or
    /// not.
    pub fn lease_urgent(&mut self, now: Instant, blocks: &[Block]) {
        self.asked = self.asked.saturating_sub(blocks.len() as u32);
        if self.peer_choking || !self.interested {
            self.report.returned.extend(blocks);
            self.dirty = true;
            return;
        }
        if self.outstanding.is_empty() {
            self.last_block = now;
        }
        self.window.on_requested(now, self.outstanding.len() as u32);
        // Beyond the hard limit they wait behind those that came before them.
        let most = self.limits.window.max as usize;
        let room = most.saturating_sub(self.outstanding.len());
        let (first, rest) = blocks.split_at(room.min(blocks.len()));
        for &block in first {
            self.request(block);
        }
        for &block in rest {
            self.leased.insert(self.urgent, block);
            self.urgent += 1;
        }
        self.fill_window(now);
    }

    /// Forgets a lease that waits; whether there was one.
    fn unlease(&mut self, block: Block) -> bool {
        let Some(at) = self.leased.iter().position(|&leased| leased == block) else {
            return false;
        };
        self.leased.remove(at);
        if at < self.urgent {
            self.urgent -= 1;
        }
        true
    }

    /// Requests at once those of these blocks that are leased and wait.
    pub fn promote(&mut self, now: Instant, blocks: &[Block]) {
        let waiting: Vec<Block> = blocks
            .iter()
            .copied()
            .filter(|&block| self.unlease(block))
            .collect();
        if !waiting.is_empty() {
            self.lease_urgent(now, &waiting);
        }
    }

    /// Takes leases back because others are asked for the blocks. What was
    /// requested already may come all the same.
    pub fn withdraw(&mut self, now: Instant, blocks: &[Block]) {
        for &block in blocks {
            if let Some(at) = self.outstanding.iter().position(|&asked| asked == block) {
                self.outstanding.remove(at);
                let request = self.request_for(block);
                self.send.message(&Message::Cancel(request));
                self.expect_late(block);
            } else {
                self.unlease(block);
            }
        }
        self.fill_window(now);
    }

    fn expect_late(&mut self, block: Block) {
        // More than two windows of them will not come any more.
        if self.late.len() >= 2 * self.limits.window.max as usize {
            self.late.pop_front();
        }
        self.late.push_back(block);
    }

    /// Gives back what a snubbing peer asked for in better days: it would only
    /// sit on it.
    fn give_back_surplus(&mut self) {
        let most = self.wished() as usize;
        if self.window.is_snubbed() && self.leased.len() > most {
            self.report.returned.extend(self.leased.drain(most..));
            self.urgent = self.urgent.min(most);
            self.dirty = true;
        }
    }

    /// Takes leases back: somebody else delivered the blocks.
    pub fn cancel(&mut self, now: Instant, blocks: &[Block]) {
        for &block in blocks {
            if let Some(at) = self.outstanding.iter().position(|&asked| asked == block) {
                self.outstanding.remove(at);
                let request = self.request_for(block);
                self.send.message(&Message::Cancel(request));
            } else {
                self.unlease(block);
            }
        }
        self.fill_window(now);
    }

    /// Chokes the peer or lets it download.
    pub fn set_choking(&mut self, choking: bool) {
        if self.choking == choking {
            return;
        }
        self.choking = choking;
        self.choked_requests = 0;
        self.late_requests = 0;
        self.choked_at = None;
        if choking {
            self.send.message(&Message::Choke);
            self.drop_uploads(|fast, piece| fast.is_granted(piece));
        } else {
            self.send.message(&Message::Unchoke);
        }
    }

    /// Tells the peer whether we want something it has.
    pub fn set_interested(&mut self, now: Instant, interested: bool) {
        if self.interested == interested {
            return;
        }
        self.interested = interested;
        if interested {
            self.send.message(&Message::Interested);
            self.fill_window(now);
        } else {
            self.send.message(&Message::NotInterested);
            self.asked = 0;
            self.report.want = 0;
            self.give_back();
        }
    }

    /// The next bytes to read from disk for the peer, if it may have some and
    /// its send queue is below the watermark.
    pub fn poll_read(&mut self) -> Option<ReadJob> {
        self.uploads
            .next(self.send.len(), self.limits.send_watermark)
    }

    /// Queues what was read. Requests whose data could not be read (`None`), or
    /// whose peer was choked meanwhile, are refused.
    pub fn handle_read(&mut self, job: &ReadJob, data: Option<&Bytes>) {
        self.uploads.done(job);
        let data = data.filter(|data| data.len() == job.length as usize);
        let may_have = !self.choking || self.fast.is_granted(job.piece);
        match data.filter(|_| may_have) {
            Some(data) => {
                self.send.blocks(job.piece, job.begin, data, &job.spans);
                self.report.stats.payload_sent += u64::from(job.length);
                if self.watched.upload {
                    let blocks = job.spans.iter().map(|&(begin, _)| begin / BLOCK_SIZE);
                    let notes = blocks.map(|index| Note::Uploaded(Block::new(job.piece, index)));
                    self.report.notes.extend(notes);
                }
                self.dirty = true;
            }
            None => self.reject_read(job),
        }
    }

    /// Whether there is something to send.
    pub fn wants_write(&self) -> bool {
        self.send.len() > 0
    }

    /// Fills `out` with what to send next; returns how many are filled.
    pub fn slices<'a>(&'a mut self, out: &mut [IoSlice<'a>]) -> usize {
        self.send.slices(out, usize::MAX)
    }

    /// The same, up to `most` bytes: there is a limit.
    pub fn slices_within<'a>(&'a mut self, out: &mut [IoSlice<'a>], most: usize) -> usize {
        self.send.slices(out, most)
    }

    /// The first `bytes` of what was to be sent are sent.
    pub fn handle_sent(&mut self, now: Instant, bytes: usize) {
        self.send.advance(bytes);
        self.send_metadata();
        self.last_sent = now;
        self.report.stats.sent += bytes as u64;
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Instant {
        let mut due = (self.last_received + self.limits.peer_timeout)
            .min(self.last_sent + self.limits.peer_timeout / 2);
        if !self.outstanding.is_empty() && !self.window.is_snubbed() {
            due = due.min(self.last_block + self.limits.request_timeout);
        }
        due
    }

    /// Does what time asks for: keep-alives, giving up on a silent peer.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), PeerError> {
        if now >= self.last_received + self.limits.peer_timeout {
            return Err(PeerError::TimedOut);
        }
        if now >= self.last_sent + self.limits.peer_timeout / 2 {
            self.send.message(&Message::KeepAlive);
            self.last_sent = now;
        }
        if !self.outstanding.is_empty()
            && !self.window.is_snubbed()
            && now >= self.last_block + self.limits.request_timeout
        {
            self.window.set_snubbed(now, true);
            for block in std::mem::take(&mut self.outstanding) {
                if self.watched.trouble {
                    self.report.notes.push(Note::TimedOut(block));
                }
                self.report.returned.push(block);
                self.expect_late(block);
            }
            self.give_back();
            self.fill_window(now);
        }
        Ok(())
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
        let stats = PeerStats {
            outstanding: self.outstanding.len() as u32,
            upload_queue: self.uploads.len() as u32,
            target: self.window.target(),
            snubbed: self.window.is_snubbed(),
            ..self.report.stats
        };
        let report = std::mem::take(&mut self.report);
        self.report.stats = stats;
        Report { stats, ..report }
    }
}

#[cfg(test)]
mod tests;
