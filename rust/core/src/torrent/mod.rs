//! The brain of one swarm, without I/O: who gets which blocks, whom we let
//! download, whom to connect to, and what state the torrent is in.
//!
//! The driver reports what happened on connections ([`Torrent::peer_report`]),
//! on disk ([`Torrent::pieces_verified`] and its kin) and on the clock
//! ([`Torrent::handle_timeout`] when [`Torrent::poll_timeout`] is due), and
//! carries out [`Torrent::poll_output`] until it is empty. Payload bytes never
//! come here.

mod files;
mod peer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bitfield::Bitfield;
use crate::choker::{Candidate, Choker, ChokerSettings, Slots};
use crate::ids::{Block, PeerId, PeerKey, PieceIndex};
use crate::layout::Layout;
use crate::peer::Report;
use crate::peerlist::{PeerList, PeerListSettings, Sources};
use crate::picker::{Picker, Priority, Received, Speed};
use crate::rate::RateMeter;
use crate::settings::Settings;
use files::FileProgress;
pub use peer::{Peer, PeerMeta};

/// How often choking, rates and connections are looked at.
const TICK: Duration = Duration::from_millis(500);

/// Blocks leased to one peer in one go, at most.
const MAX_LEASE: u32 = 512;

/// What a torrent is doing; the numbers are libtorrent's `state_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum TorrentState {
    /// Hashing files that were found on disk.
    CheckingFiles = 1,
    /// Fetching the info dictionary from peers (BEP 9).
    DownloadingMetadata = 2,
    /// Downloading.
    Downloading = 3,
    /// Everything wanted is there, but not all of the torrent.
    Finished = 4,
    /// All of the torrent is there.
    Seeding = 5,
    /// Just added; looking at what is on disk.
    #[default]
    CheckingResumeData = 7,
}

impl TorrentState {
    /// libtorrent's number.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// libtorrent's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckingFiles => "checking_files",
            Self::DownloadingMetadata => "downloading_metadata",
            Self::Downloading => "downloading",
            Self::Finished => "finished",
            Self::Seeding => "seeding",
            Self::CheckingResumeData => "checking_resume_data",
        }
    }

    /// Whether files are being looked at, so that there is no traffic.
    pub const fn is_checking(self) -> bool {
        matches!(self, Self::CheckingFiles | Self::CheckingResumeData)
    }
}

impl From<TorrentState> for crate::value::Value {
    fn from(state: TorrentState) -> Self {
        state.code().into()
    }
}

/// Why a connection is closed from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The torrent is paused, checked or removed.
    #[error("the torrent was stopped")]
    Stopped,
    /// Both ends have everything.
    #[error("neither side needs anything")]
    Redundant,
    /// There are too many connections.
    #[error("too many connections")]
    TooMany,
    /// The same peer is connected already.
    #[error("the peer is connected already")]
    Duplicate,
    /// We connected to ourselves.
    #[error("connected to ourselves")]
    OurselvesAgain,
}

/// What a connection is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerCommand {
    /// Open with this bitfield.
    Start(Arc<Bitfield>),
    /// Request these blocks.
    Lease(Vec<Block>),
    /// Do not request these blocks after all.
    Cancel(Vec<Block>),
    /// Tell the peer that we have these pieces.
    Have(Arc<[PieceIndex]>),
    /// Choke the peer, or let it download.
    Choke(bool),
    /// Tell the peer whether we want something it has.
    Interested(bool),
    /// Close the connection.
    Close(CloseReason),
}

/// Something to tell the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TorrentEvent {
    /// The state changed.
    StateChanged {
        /// What it is now.
        state: TorrentState,
        /// What it was before.
        previous: TorrentState,
    },
    /// Everything wanted is there.
    Finished,
    /// These pieces are there.
    PiecesVerified(Vec<PieceIndex>),
    /// A piece did not have the right hash and is fetched again.
    HashFailed(PieceIndex),
    /// All of this file is there.
    FileCompleted(u32),
}

/// What the driver is to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell a connection something.
    Peer(PeerKey, PeerCommand),
    /// Connect to this endpoint; then call `peer_connected` or `connect_failed`.
    Connect(SocketAddr),
    /// Post an event.
    Event(TorrentEvent),
}

/// The brain. See the module's words for how it is driven.
#[derive(Debug)]
pub struct Torrent {
    layout: Arc<Layout>,
    our_id: PeerId,
    settings: Arc<Settings>,
    max_connections: usize,

    picker: Picker,
    choker: Choker,
    list: PeerList,
    files: FileProgress,
    peers: BTreeMap<PeerKey, Peer>,
    /// Peers that could take more blocks than there were.
    hungry: BTreeSet<PeerKey>,
    connecting: BTreeSet<SocketAddr>,

    state: TorrentState,
    running: bool,
    /// No new blocks are asked for: storage is in trouble.
    upload_mode: bool,
    next_tick: Instant,
    outputs: VecDeque<Output>,

    totals: Totals,
    cancels: Vec<PeerKey>,
}

/// Sums over all connections the torrent ever had, with their present rates.
#[derive(Debug)]
pub struct Totals {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Payload bytes received.
    pub payload_received: u64,
    /// Payload bytes sent.
    pub payload_sent: u64,
    /// Payload bytes that came twice or unasked.
    pub redundant: u64,
    /// Payload bytes of pieces that failed their hash.
    pub failed: u64,
    /// Rate of `received`.
    pub download: RateMeter,
    /// Rate of `sent`.
    pub upload: RateMeter,
    /// Rate of `payload_received`.
    pub payload_download: RateMeter,
    /// Rate of `payload_sent`.
    pub payload_upload: RateMeter,
}

impl Torrent {
    /// A torrent that has nothing yet and waits for [`Self::checked`].
    pub fn new(
        layout: Arc<Layout>,
        our_id: PeerId,
        settings: Arc<Settings>,
        seed: u64,
        now: Instant,
    ) -> Self {
        Self {
            picker: Picker::new(&layout, seed),
            choker: Choker::new(choker_settings(&settings, &layout, -1)),
            list: PeerList::new(peer_list_settings(&settings)),
            files: FileProgress::new(&layout),
            layout,
            our_id,
            max_connections: settings.connections_limit as usize,
            settings,
            peers: BTreeMap::new(),
            hungry: BTreeSet::new(),
            connecting: BTreeSet::new(),
            state: TorrentState::CheckingResumeData,
            running: false,
            upload_mode: false,
            next_tick: now,
            outputs: VecDeque::new(),
            totals: Totals::new(now),
            cancels: Vec::new(),
        }
    }

    // ---- what the driver reads --------------------------------------------

    /// The next thing to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.running.then_some(self.next_tick)
    }

    /// What the torrent is doing.
    pub fn state(&self) -> TorrentState {
        self.state
    }

    /// Whether connections may be made.
    pub fn is_running(&self) -> bool {
        self.running && !self.state.is_checking()
    }

    /// Pieces: what we have, want and fetch.
    pub fn picker(&self) -> &Picker {
        &self.picker
    }

    /// Sums over all connections; mutable because rates are read off as of now.
    pub fn totals(&mut self) -> &mut Totals {
        &mut self.totals
    }

    /// The connections; mutable because rates are read off as of now.
    pub fn peers(&mut self) -> impl ExactSizeIterator<Item = (PeerKey, &mut Peer)> {
        self.peers.iter_mut().map(|(key, peer)| (*key, peer))
    }

    /// Whether the peer is unchoked to give it a chance.
    pub fn is_optimistic(&self, key: PeerKey) -> bool {
        self.choker.is_optimistic(key)
    }

    /// Known endpoints.
    pub fn peer_list(&self) -> &PeerList {
        &self.list
    }

    /// Verified bytes of each file.
    pub fn file_progress(&self) -> Vec<u64> {
        self.files.progress(&self.layout, self.picker.have())
    }

    /// Connections, those being made included.
    pub fn num_connections(&self) -> usize {
        self.peers.len() + self.connecting.len()
    }

    // ---- what the game asks for -------------------------------------------

    /// Lets the traffic flow.
    pub fn start(&mut self, now: Instant) {
        if !self.running {
            self.running = true;
            self.list.forgive_all();
            self.next_tick = now;
        }
    }

    /// Closes all connections and makes no new ones until [`Self::start`].
    pub fn stop(&mut self) {
        self.running = false;
        self.close_all(CloseReason::Stopped);
    }

    fn close_all(&mut self, reason: CloseReason) {
        for &key in self.peers.keys() {
            self.outputs
                .push_back(Output::Peer(key, PeerCommand::Close(reason)));
        }
    }

    /// Takes new settings into use.
    pub fn apply_settings(&mut self, settings: Arc<Settings>) {
        self.list.set_settings(peer_list_settings(&settings));
        self.settings = settings;
    }

    /// Limits connections and unchoked peers of this torrent; negative numbers
    /// stand for the session's limits.
    pub fn set_limits(&mut self, max_connections: i64, max_uploads: i64) {
        let session = self.settings.connections_limit;
        let connections = if max_connections < 0 {
            session
        } else {
            max_connections.min(session)
        };
        self.max_connections = connections as usize;
        let choker = choker_settings(&self.settings, &self.layout, max_uploads);
        self.choker.set_settings(choker);
        let surplus = self.peers.len().saturating_sub(self.max_connections);
        let newest: Vec<_> = self.peers.keys().rev().take(surplus).copied().collect();
        for key in newest {
            self.command(key, PeerCommand::Close(CloseReason::TooMany));
        }
    }

    /// Fetches pieces in order, or the rarest first.
    pub fn set_sequential(&mut self, sequential: bool) {
        self.picker.set_sequential(sequential);
    }

    /// Sets the priorities of all pieces.
    pub fn set_priorities(&mut self, now: Instant, priorities: &[Priority]) {
        let mut changed = false;
        for (piece, &priority) in self.layout.pieces().zip(priorities) {
            if self.picker.priority(piece) != priority {
                self.picker.set_priority(piece, priority);
                changed = true;
            }
        }
        if changed {
            self.update_all_interest();
            self.update_state();
            self.feed_hungry(now);
        }
    }

    /// Asks for no new blocks while storage is in trouble; what we have is
    /// still served.
    pub fn set_upload_mode(&mut self, now: Instant, upload_mode: bool) {
        self.upload_mode = upload_mode;
        self.update_all_interest();
        if !upload_mode {
            self.feed_hungry(now);
        }
    }

    /// Learns of endpoints in this swarm.
    pub fn add_peers(
        &mut self,
        now: Instant,
        endpoints: impl IntoIterator<Item = SocketAddr>,
        source: Sources,
    ) {
        for endpoint in endpoints {
            // Refused ones (banned, our own, no host) are simply not peers.
            let _ = self.list.add(endpoint, source);
        }
        if self.is_running() {
            self.connect_more(now);
        }
    }

    /// Connects to a peer now, whatever its failures were.
    pub fn connect_to(&mut self, now: Instant, endpoint: SocketAddr) {
        if self.list.add(endpoint, Sources::MANUAL).is_err() || !self.is_running() {
            return;
        }
        let connected = |peer: &Peer| !peer.meta.incoming && peer.meta.endpoint == endpoint;
        if self.connecting.contains(&endpoint) || self.peers.values().any(connected) {
            return;
        }
        self.list.dialling(now, endpoint);
        self.connecting.insert(endpoint);
        self.outputs.push_back(Output::Connect(endpoint));
    }

    // ---- what the disk says -----------------------------------------------

    /// Files are being looked at: no traffic until [`Self::checked`].
    pub fn checking(&mut self, state: TorrentState) {
        debug_assert!(state.is_checking());
        self.close_all(CloseReason::Stopped);
        for piece in self.picker.have().clone().iter() {
            self.picker.lost(PieceIndex(piece));
        }
        self.set_state(state);
    }

    /// The files were looked at: this is what we have.
    pub fn checked(&mut self, now: Instant, have: &Bitfield) {
        for piece in have.iter() {
            self.picker.set_have(PieceIndex(piece));
        }
        self.files.reset(&self.layout, self.picker.have());
        self.next_tick = now;
        self.leave_checking();
    }

    fn leave_checking(&mut self) {
        if self.picker.is_finished() {
            self.finish();
        } else {
            self.set_state(TorrentState::Downloading);
        }
    }

    /// These pieces are hashed, right, and in their files.
    pub fn pieces_verified(&mut self, pieces: &[PieceIndex]) {
        let new: Vec<PieceIndex> = pieces
            .iter()
            .copied()
            .filter(|&piece| !self.picker.we_have(piece))
            .collect();
        if new.is_empty() || self.state.is_checking() {
            return;
        }
        let mut wanted = new.clone();
        wanted.retain(|&piece| self.picker.is_wanted(piece));
        for &piece in &new {
            self.picker.set_have(piece);
        }
        let shared: Arc<[PieceIndex]> = new.as_slice().into();
        for &key in self.peers.keys() {
            let have = PeerCommand::Have(Arc::clone(&shared));
            self.outputs.push_back(Output::Peer(key, have));
        }
        for peer in self.peers.values_mut() {
            peer.lose_interest_in(&wanted);
        }
        self.event(TorrentEvent::PiecesVerified(new.clone()));
        for file in self.files.completed_by(&self.layout, &new) {
            self.event(TorrentEvent::FileCompleted(file));
        }
        self.send_interest();
        self.update_state();
    }

    /// A piece did not have the right hash.
    pub fn piece_failed(&mut self, now: Instant, piece: PieceIndex, senders: &[PeerKey]) {
        self.totals.failed += u64::from(self.layout.piece_len(piece));
        for key in senders {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.hash_failures += 1;
            }
        }
        self.event(TorrentEvent::HashFailed(piece));
        self.piece_lost(now, piece);
    }

    /// A piece could not be written, or its blocks were dropped.
    pub fn piece_lost(&mut self, now: Instant, piece: PieceIndex) {
        self.picker.lost(piece);
        self.update_all_interest();
        self.update_state();
        self.feed_hungry(now);
    }

    // ---- what connections say ---------------------------------------------

    /// A connection is past its handshake; `room` says whether the session's
    /// limit leaves room for it. Returns why it must be closed again, or takes
    /// it in.
    pub fn peer_connected(
        &mut self,
        now: Instant,
        key: PeerKey,
        meta: PeerMeta,
        room: bool,
    ) -> Result<(), CloseReason> {
        if !meta.incoming {
            self.connecting.remove(&meta.endpoint);
        }
        if let Err(reason) = self.admit(&meta, room) {
            if !meta.incoming {
                self.list.closed(now, meta.endpoint);
            }
            return Err(reason);
        }
        self.list.connected(meta.endpoint);
        let start = PeerCommand::Start(Arc::new(self.picker.have().clone()));
        self.peers
            .insert(key, Peer::new(meta, self.layout.num_pieces(), now));
        self.command(key, start);
        Ok(())
    }

    /// Whether a connection may join the others.
    fn admit(&mut self, meta: &PeerMeta, room: bool) -> Result<(), CloseReason> {
        if !self.is_running() {
            return Err(CloseReason::Stopped);
        }
        if meta.id == self.our_id {
            return Err(CloseReason::OurselvesAgain);
        }
        let twin = self.peers.iter().find(|(_, peer)| peer.meta.id == meta.id);
        if let Some((&key, peer)) = twin {
            // Two peers that dial each other at once must agree on which of
            // the two connections stays: that of the greater peer id.
            let ours_counts = self.our_id > meta.id;
            if peer.meta.incoming == meta.incoming || ours_counts == meta.incoming {
                return Err(CloseReason::Duplicate);
            }
            self.command(key, PeerCommand::Close(CloseReason::Duplicate));
            return Ok(());
        }
        let same_ip = |peer: &Peer| peer.meta.endpoint.ip() == meta.endpoint.ip();
        if !self.settings.allow_multiple_connections_per_ip
            && meta.incoming
            && self.peers.values().any(same_ip)
        {
            return Err(CloseReason::Duplicate);
        }
        if !room || self.peers.len() >= self.max_connections {
            return Err(CloseReason::TooMany);
        }
        Ok(())
    }

    /// An outgoing connection could not be made.
    pub fn connect_failed(&mut self, now: Instant, endpoint: SocketAddr) {
        self.connecting.remove(&endpoint);
        self.list.failed(now, endpoint);
    }

    /// A connection is closed; `last` is what it still had to say.
    pub fn peer_disconnected(&mut self, now: Instant, key: PeerKey, last: Report, failed: bool) {
        self.peer_report(now, key, last);
        let Some(peer) = self.peers.remove(&key) else {
            return;
        };
        self.hungry.remove(&key);
        if peer.is_seed() {
            self.picker.peer_seed_left();
        } else {
            self.picker.peer_left(peer.pieces());
        }
        for block in peer.leased() {
            self.picker.returned(key, block);
        }
        if failed {
            self.list.failed(now, peer.meta.endpoint);
        } else {
            self.list.closed(now, peer.meta.endpoint);
        }
        self.feed_hungry(now);
        self.rechoke(now);
    }

    /// An empty report for a connection whose task is lost: its totals stay.
    pub fn last_report(&self, key: PeerKey) -> Report {
        let stats = self.peers.get(&key).map(|peer| peer.stats);
        Report {
            stats: stats.unwrap_or_default(),
            ..Report::default()
        }
    }

    /// What happened on a connection since its last report.
    pub fn peer_report(&mut self, now: Instant, key: PeerKey, report: Report) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        self.totals.add(now, peer.count(now, &report.stats));
        if let Some(pieces) = report.bitfield {
            if peer.is_seed() {
                self.picker.peer_seed_left();
            } else {
                self.picker.peer_left(peer.pieces());
            }
            peer.set_pieces(pieces);
            self.list.set_seed(peer.meta.endpoint, peer.is_seed());
            if peer.is_seed() {
                self.picker.peer_seed_joined();
            } else {
                self.picker.peer_joined(peer.pieces());
            }
            peer.interesting = self.picker.interesting_pieces(&peer.peer_pieces());
        }
        for piece in report.haves {
            let was_seed = peer.is_seed();
            if peer.add_piece(piece) {
                self.picker.peer_has(piece);
                if self.picker.is_wanted(piece) {
                    peer.interesting += 1;
                }
                if peer.is_seed() && !was_seed {
                    self.list.set_seed(peer.meta.endpoint, true);
                    self.picker.peer_left(peer.pieces());
                    self.picker.peer_seed_joined();
                }
            }
        }
        for block in report.blocks {
            peer.lease_ended(block);
            self.cancels.clear();
            if self.picker.received(key, block, &mut self.cancels) == Received::Duplicate {
                self.totals.redundant += u64::from(self.layout.block_len(block));
            }
            for other in self.cancels.drain(..) {
                let cancel = PeerCommand::Cancel(vec![block]);
                self.outputs.push_back(Output::Peer(other, cancel));
            }
        }
        let mut freed = !report.returned.is_empty();
        for block in report.returned {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.lease_ended(block);
            }
            self.picker.returned(key, block);
        }
        freed |= self.note_flags(now, key, report.choked, report.interested);
        self.update_interest(key);
        if let Some(peer) = self.peers.get_mut(&key)
            && report.want > 0
        {
            peer.want += report.want;
            self.feed(now, key);
        }
        if freed {
            self.feed_hungry(now);
        }
    }

    /// Takes note of choke and interest; whether blocks became free.
    fn note_flags(
        &mut self,
        now: Instant,
        key: PeerKey,
        choked: Option<bool>,
        interested: Option<bool>,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&key) else {
            return false;
        };
        if let Some(choked) = choked {
            peer.choking_us = choked;
            peer.want = 0;
            self.hungry.remove(&key);
        }
        if let Some(interested) = interested {
            peer.interested_in_us = interested;
            self.rechoke(now);
        }
        choked == Some(true)
    }

    // ---- time ---------------------------------------------------------------

    /// Does what time asks for.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.running || now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        if self.state.is_checking() {
            return;
        }
        self.rechoke(now);
        self.drop_redundant();
        self.feed_hungry(now);
        self.connect_more(now);
    }

    /// Closes connections on which neither side needs anything.
    fn drop_redundant(&mut self) {
        if !self.picker.is_finished() {
            return;
        }
        let useless: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_seed() && self.picker.is_seed())
            .map(|(key, _)| *key)
            .collect();
        for key in useless {
            self.command(key, PeerCommand::Close(CloseReason::Redundant));
        }
    }

    fn connect_more(&mut self, now: Instant) {
        if !self.settings.enable_outgoing_tcp {
            return;
        }
        self.list.set_finished(self.picker.is_finished());
        // The session paces the dialling; this only bounds one burst.
        let mut burst = self.settings.connection_speed;
        while burst > 0
            && self.num_connections() < self.max_connections
            && let Some(endpoint) = self.list.next_candidate(now)
        {
            burst -= 1;
            self.connecting.insert(endpoint);
            self.outputs.push_back(Output::Connect(endpoint));
        }
    }

    /// Chooses whom to let download.
    fn rechoke(&mut self, now: Instant) {
        let seeding = self.picker.is_finished();
        let candidates: Vec<Candidate> = self
            .peers
            .iter_mut()
            .map(|(&key, peer)| peer.candidate(key, now))
            .collect();
        let changes = self.choker.decide(now, &candidates, seeding);
        self.choke(now, &changes.choke, true);
        self.choke(now, &changes.unchoke, false);
    }

    fn choke(&mut self, now: Instant, keys: &[PeerKey], choked: bool) {
        for &key in keys {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.set_choked(now, choked);
                self.command(key, PeerCommand::Choke(choked));
            }
        }
    }

    // ---- blocks -------------------------------------------------------------

    /// Leases blocks to a peer that wants some.
    fn feed(&mut self, now: Instant, key: PeerKey) {
        if !self.is_running() {
            return;
        }
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let ready = peer.want > 0 && peer.interesting > 0 && !peer.choking_us && !self.upload_mode;
        if !ready {
            return;
        }
        let rate = peer.payload_download.rate(now);
        let speed = Speed::of(rate, self.layout.piece_length());
        let mut blocks = Vec::new();
        let count = peer.want.min(MAX_LEASE);
        let pieces = peer.peer_pieces();
        self.picker.pick(key, &pieces, count, speed, &mut blocks);
        peer.want -= blocks.len() as u32;
        if peer.want > 0 {
            self.hungry.insert(key);
        } else {
            self.hungry.remove(&key);
        }
        if !blocks.is_empty() {
            peer.lease(now, &blocks);
            self.command(key, PeerCommand::Lease(blocks));
        }
    }

    /// Serves peers that wanted more blocks than there were.
    fn feed_hungry(&mut self, now: Instant) {
        let waiting: Vec<PeerKey> = self.hungry.iter().copied().collect();
        for key in waiting {
            self.feed(now, key);
        }
    }

    // ---- interest and state ---------------------------------------------------

    fn update_all_interest(&mut self) {
        for peer in self.peers.values_mut() {
            peer.interesting = self.picker.interesting_pieces(&peer.peer_pieces());
        }
        self.send_interest();
    }

    fn send_interest(&mut self) {
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.update_interest(key);
        }
    }

    fn update_interest(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let interested = peer.interesting > 0 && !self.upload_mode;
        if peer.interested != interested {
            peer.interested = interested;
            if !interested {
                peer.want = 0;
                self.hungry.remove(&key);
            }
            self.command(key, PeerCommand::Interested(interested));
        }
    }

    fn update_state(&mut self) {
        if self.state.is_checking() {
            return;
        }
        match (self.state, self.picker.is_finished()) {
            (TorrentState::Downloading, true) => self.finish(),
            (TorrentState::Finished, true) if self.picker.is_seed() => {
                self.set_state(TorrentState::Seeding);
            }
            (TorrentState::Finished | TorrentState::Seeding, false) => {
                self.set_state(TorrentState::Downloading);
            }
            _ => {}
        }
    }

    /// In libtorrent's order: finished, the event, and perhaps seeding.
    fn finish(&mut self) {
        self.set_state(TorrentState::Finished);
        self.event(TorrentEvent::Finished);
        if self.picker.is_seed() {
            self.set_state(TorrentState::Seeding);
        }
    }

    fn set_state(&mut self, state: TorrentState) {
        if self.state != state {
            let previous = std::mem::replace(&mut self.state, state);
            self.event(TorrentEvent::StateChanged { state, previous });
        }
    }

    fn event(&mut self, event: TorrentEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    fn command(&mut self, key: PeerKey, command: PeerCommand) {
        self.outputs.push_back(Output::Peer(key, command));
    }

    /// Panics when the parts disagree with each other.
    #[cfg(any(debug_assertions, test))]
    pub fn check_invariants(&self) {
        self.picker.check_invariants();
        for (key, peer) in &self.peers {
            let interesting = self.picker.interesting_pieces(&peer.peer_pieces());
            assert_eq!(peer.interesting, interesting, "what {key:?} has for us");
            assert_eq!(peer.interested, interesting > 0 && !self.upload_mode);
            assert!(!self.hungry.contains(key) || peer.want > 0);
        }
        assert!(self.hungry.iter().all(|key| self.peers.contains_key(key)));
    }
}

fn peer_list_settings(settings: &Settings) -> PeerListSettings {
    PeerListSettings {
        max_size: settings.max_peerlist_size as usize,
        max_failcount: settings.max_failcount.min(255) as u8,
        min_reconnect: Duration::from_secs(settings.min_reconnect_time.unsigned_abs()),
        many_per_ip: settings.allow_multiple_connections_per_ip,
    }
}

/// The choker's view of the settings; negative `max_uploads` stands for the
/// session's limit.
fn choker_settings(settings: &Settings, layout: &Layout, max_uploads: i64) -> ChokerSettings {
    let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
    let slots = if max_uploads < 0 {
        settings.unchoke_slots_limit
    } else {
        max_uploads
    };
    ChokerSettings {
        slots: u32::try_from(slots).map_or(Slots::Unlimited, Slots::Fixed),
        interval: seconds(settings.unchoke_interval),
        optimistic_interval: seconds(settings.optimistic_unchoke_interval),
        quota: settings.seeding_piece_quota.unsigned_abs() * u64::from(layout.piece_length()),
        ..ChokerSettings::new(layout.piece_length())
    }
}

impl Totals {
    fn new(now: Instant) -> Self {
        Self {
            received: 0,
            sent: 0,
            payload_received: 0,
            payload_sent: 0,
            redundant: 0,
            failed: 0,
            download: RateMeter::new(now),
            upload: RateMeter::new(now),
            payload_download: RateMeter::new(now),
            payload_upload: RateMeter::new(now),
        }
    }

    fn add(&mut self, now: Instant, more: crate::peer::PeerStats) {
        self.received += more.received;
        self.sent += more.sent;
        self.payload_received += more.payload_received;
        self.payload_sent += more.payload_sent;
        self.redundant += more.redundant;
        self.download.add(now, more.received);
        self.upload.add(now, more.sent);
        self.payload_download.add(now, more.payload_received);
        self.payload_upload.add(now, more.payload_sent);
    }
}
