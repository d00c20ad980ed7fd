//! The brain of one swarm, without I/O: who gets which blocks, whom we let
//! download, whom to connect to, and what state the torrent is in.
//!
//! The driver reports what happened on connections ([`Torrent::peer_report`]),
//! on disk ([`Torrent::pieces_verified`] and its kin) and on the clock
//! ([`Torrent::handle_timeout`] when [`Torrent::poll_timeout`] is due), and
//! carries out [`Torrent::poll_output`] until it is empty. Payload bytes never
//! come here.

mod blocks;
mod choking;
mod connections;
mod deadlines;
mod drain;
mod extensions;
mod fetch;
mod files;
mod messages;
mod metadata;
mod modes;
mod peer;
mod redial;
mod refusals;
mod resume;
mod share;
mod suggest;
mod super_seed;
mod suspicion;
#[cfg(test)]
mod tests;
mod totals;
mod turnover;
mod urgent;
mod whereabouts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bitfield::Bitfield;
use crate::ids::{PeerId, PeerKey, PieceIndex};
use crate::layout::Layout;
use crate::peer::{CloseReason, Limits, PeerCommand, Watched};
use crate::peerlist::{PeerList, PeerListSettings};
use crate::picker::{Picker, PickerSettings, Priority};
use crate::settings::Settings;
use choking::Choking;
pub use connections::Room;
use deadlines::Deadlines;
use fetch::Fetch;
use files::FileProgress;
pub use messages::{Haste, Output, TorrentEvent, TorrentState};
pub use modes::Modes;
pub use peer::{Peer, PeerMeta};
use redial::Redials;
use suggest::Suggestions;
use super_seed::SuperSeed;
use suspicion::Suspicion;
pub use totals::Totals;

/// How often choking, rates and connections are looked at.
const TICK: Duration = Duration::from_millis(500);

/// Seeds for each other peer, and at least, that make a swarm well seeded;
/// libtorrent's number.
const AUTO_SEQUENTIAL_SEEDS: usize = 10;

/// The brain. See the module's words for how it is driven.
#[derive(Debug)]
pub struct Torrent {
    /// Without pieces while there is no metadata.
    layout: Arc<Layout>,
    our_id: PeerId,
    settings: Arc<Settings>,
    max_connections: usize,

    picker: Picker,
    choking: Choking,
    suspicion: Suspicion,
    list: PeerList,
    redials: Redials,
    files: FileProgress,
    peers: BTreeMap<PeerKey, Peer>,
    /// Peers that could take more blocks than there were.
    hungry: BTreeSet<PeerKey>,
    connecting: BTreeSet<SocketAddr>,
    /// The search for the metadata, while there is none.
    fetch: Option<Fetch>,
    /// Connections that the session still has room for.
    session_room: usize,
    /// Connections that are still made beyond the session's pace.
    boost: i64,

    state: TorrentState,
    running: bool,
    /// It stops as soon as what was asked for is here.
    draining: bool,
    sequential: bool,
    modes: Modes,
    watched: Watched,
    deadlines: Deadlines,
    super_seed: SuperSeed,
    suggestions: Suggestions,
    /// No new blocks are asked for: storage is in trouble.
    storage_failed: bool,
    /// What peers were told last (BEP 21).
    told_upload_only: bool,
    next_tick: Instant,
    /// When a peer that refused blocks may be asked again.
    next_retry: Option<Instant>,
    outputs: VecDeque<Output>,

    totals: Totals,
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
        let mut picker = Picker::new(&layout, seed);
        picker.set_settings(picker_settings(&settings));
        Self {
            picker,
            choking: Choking::default(),
            suspicion: Suspicion::new(&settings),
            list: PeerList::new(peer_list_settings(&settings, false)),
            redials: Redials::default(),
            files: FileProgress::new(&layout),
            layout,
            our_id,
            max_connections: settings.connections_limit as usize,
            settings,
            peers: BTreeMap::new(),
            hungry: BTreeSet::new(),
            connecting: BTreeSet::new(),
            fetch: None,
            told_upload_only: false,
            session_room: usize::MAX,
            boost: 0,
            state: TorrentState::CheckingResumeData,
            running: false,
            draining: false,
            sequential: false,
            modes: Modes::default(),
            watched: Watched::default(),
            deadlines: Deadlines::default(),
            super_seed: SuperSeed::new(seed),
            suggestions: Suggestions::default(),
            storage_failed: false,
            next_tick: now,
            next_retry: None,
            outputs: VecDeque::new(),
            totals: Totals::new(now),
        }
    }

    // ---- what the driver reads --------------------------------------------

    /// The next thing to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = self
            .next_retry
            .map_or(self.next_tick, |it| it.min(self.next_tick));
        self.running.then_some(next)
    }

    /// What the torrent is doing.
    pub fn state(&self) -> TorrentState {
        self.state
    }

    /// Whether connections may be made.
    pub fn is_running(&self) -> bool {
        self.running && !self.draining && !self.state.is_checking()
    }

    /// Whether blocks may be asked for.
    fn may_download(&self) -> bool {
        self.has_metadata() && !self.draining && !self.state.is_checking() && !self.is_upload_only()
    }

    /// Whether everything wanted is there.
    fn is_finished(&self) -> bool {
        self.has_metadata() && self.picker.is_finished()
    }

    /// Where its bytes are; without pieces while there is no metadata.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
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

    /// One of the connections.
    pub fn peer(&self, key: PeerKey) -> Option<&Peer> {
        self.peers.get(&key)
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
        self.end_drain(now);
        if !self.running {
            self.running = true;
            self.boost = self.settings.torrent_connect_boost;
            self.list
                .set_settings(peer_list_settings(&self.settings, true));
            self.forgive_all();
            self.next_tick = now;
        }
    }

    /// Closes all connections and makes no new ones until [`Self::start`].
    pub fn stop(&mut self) {
        self.running = false;
        self.list
            .set_settings(peer_list_settings(&self.settings, false));
        self.draining = false;
        self.close_all(CloseReason::Stopped);
    }

    /// Takes new settings into use.
    pub fn apply_settings(&mut self, settings: Arc<Settings>) {
        self.list
            .set_settings(peer_list_settings(&settings, self.running));
        self.suspicion.apply_settings(&settings);
        self.picker.set_settings(picker_settings(&settings));
        let limits = Limits::from(&*settings);
        if limits != Limits::from(&*self.settings) {
            self.command_all(PeerCommand::Limits(limits));
        }
        self.settings = settings;
    }

    /// Limits connections and unchoked peers of this torrent; negative numbers
    /// stand for the session's limits. Connections beyond the limit are closed.
    pub fn set_limits(&mut self, now: Instant, max_connections: i64, max_uploads: i64) {
        let session = self.settings.connections_limit;
        let connections = if max_connections < 0 {
            session
        } else {
            max_connections.min(session)
        };
        self.max_connections = connections as usize;
        self.choking.set_max_uploads(max_uploads);
        self.drop_surplus(now);
    }

    /// Chooses what connections note in their reports.
    pub fn watch(&mut self, watched: Watched) {
        if std::mem::replace(&mut self.watched, watched) != watched {
            self.command_all(PeerCommand::Watch(watched));
        }
    }

    /// Fetches pieces in order, or the rarest first.
    pub fn set_sequential(&mut self, sequential: bool) {
        self.sequential = sequential;
        self.update_order();
    }

    /// The pieces, from the first to the last one, that sequential mode begins
    /// with.
    pub fn set_sequential_range(&mut self, range: Option<(PieceIndex, PieceIndex)>) {
        self.picker.set_sequential_range(range);
    }

    /// Where nearly all peers are seeds there is nothing rare to save, and
    /// pieces in order are easier for everybody's disk.
    fn update_order(&mut self) {
        let peers = self.peers.values();
        let open = peers.filter(|peer| peer.closing.is_none());
        let (seeds, others): (Vec<_>, Vec<_>) = open.partition(|peer| peer.is_seed());
        let auto = self.settings.auto_sequential
            && seeds.len() >= AUTO_SEQUENTIAL_SEEDS
            && others.len() * AUTO_SEQUENTIAL_SEEDS <= seeds.len();
        self.picker.set_sequential(self.sequential || auto);
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
            self.drop_unwanted_deadlines(now);
            self.revoke_unwanted();
            self.update_all_interest();
            self.update_state();
            self.feed_hungry(now);
        }
    }

    /// Asks for no new blocks while storage is in trouble; what we have is
    /// still served.
    pub fn set_storage_failed(&mut self, now: Instant, failed: bool) {
        self.storage_failed = failed;
        self.update_all_interest();
        if !failed {
            self.feed_hungry(now);
        }
    }

    // ---- what the disk says -----------------------------------------------

    /// Files are being looked at: no traffic until [`Self::checked`].
    pub fn checking(&mut self, state: TorrentState) {
        debug_assert!(state.is_checking());
        if self.state.is_checking() {
            return self.set_state(state);
        }
        self.close_all(CloseReason::Stopped);
        self.close_drained();
        // The disk drops what is unfinished, so what these connections still
        // report is not there.
        for peer in self.peers.values_mut() {
            peer.disowned = true;
        }
        for piece in self.picker.have().clone().iter() {
            self.picker.lost(PieceIndex(piece));
        }
        self.drop_partials();
        self.files.reset(&self.layout, self.picker.have());
        self.set_state(state);
    }

    /// The files were looked at: this is what we have.
    pub fn checked(&mut self, now: Instant, have: &Bitfield) {
        self.drop_partials();
        for piece in have.iter() {
            self.picker.set_have(PieceIndex(piece));
        }
        self.files.reset(&self.layout, self.picker.have());
        // It was us who closed the connections.
        self.forgive_all();
        self.next_tick = now;
        self.leave_checking();
        self.welcome_back(now, have);
    }

    /// Forgets blocks of unfinished pieces.
    fn drop_partials(&mut self) {
        let begun: Vec<PieceIndex> = self.picker.partial_pieces().map(|it| it.piece).collect();
        for piece in begun {
            self.picker.lost(piece);
        }
    }

    fn leave_checking(&mut self) {
        if self.picker.is_finished() {
            self.finish();
        } else {
            self.set_state(TorrentState::Downloading);
            // No piece will ever complete them.
            for file in files::empty(&self.layout) {
                self.event(TorrentEvent::FileCompleted(file));
            }
        }
        self.stop_if_ready();
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
        self.clear_suspects(&new);
        for &piece in &new {
            self.picker.set_have(piece);
        }
        let shared: Arc<[PieceIndex]> = new.as_slice().into();
        for (&key, peer) in &mut self.peers {
            new.iter().for_each(|&piece| peer.tell(piece));
            let redundant = new.iter().all(|piece| peer.pieces().get(piece.0));
            let have = if redundant && !self.settings.send_redundant_have {
                PeerCommand::HaveToo(Arc::clone(&shared))
            } else {
                PeerCommand::Have(Arc::clone(&shared))
            };
            self.outputs.push_back(Output::Peer(key, have));
            peer.lose_interest_in(&wanted);
        }
        self.pieces_used(&new);
        self.event(TorrentEvent::PiecesVerified(new.clone()));
        for file in self.files.completed_by(&self.layout, &new) {
            self.event(TorrentEvent::FileCompleted(file));
        }
        self.meet_deadlines(&new);
        self.send_interest();
        self.update_state();
    }

    /// A piece could not be written, its blocks were dropped, or its bytes are
    /// gone from the files.
    pub fn piece_lost(&mut self, now: Instant, piece: PieceIndex) {
        self.revoke(|leased| leased == piece);
        let had = self.picker.we_have(piece);
        self.picker.lost(piece);
        if had {
            self.files.reset(&self.layout, self.picker.have());
            self.had_and_lost(piece);
        }
        self.update_all_interest();
        self.update_state();
        self.feed_hungry(now);
    }

    // ---- time ---------------------------------------------------------------

    /// Does what time asks for.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.running {
            return;
        }
        if self.next_retry.is_some_and(|due| due <= now) && now < self.next_tick {
            self.feed_hungry(now);
        }
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        if !self.is_running() {
            return;
        }
        self.update_order();
        self.fetch_more(now);
        for (&key, peer) in &mut self.peers {
            // One that fell silent is slow.
            self.picker.set_pace(key, peer.payload_download.rate(now));
        }
        self.choking.look_again();
        self.share(now);
        self.drop_redundant();
        self.drop_inactive(now);
        self.rescue_urgent(now);
        self.show_pieces(now);
        self.feed_hungry(now);
        self.redial(now);
        self.connect_more(now);
    }

    // ---- state --------------------------------------------------------------

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
                // Seeds were of no use to us; now they are.
                self.forgive_all();
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
            self.update_upload_only();
            self.event(TorrentEvent::StateChanged { state, previous });
        }
    }

    fn event(&mut self, event: TorrentEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Tells a connection something.
    fn command(&mut self, key: PeerKey, command: PeerCommand) {
        self.outputs.push_back(Output::Peer(key, command));
    }

    /// Tells every connection something.
    fn command_all(&mut self, command: PeerCommand) {
        for &key in self.peers.keys() {
            self.outputs.push_back(Output::Peer(key, command.clone()));
        }
    }

    /// Panics when the parts disagree with each other.
    #[cfg(any(debug_assertions, test))]
    pub fn check_invariants(&self) {
        self.picker.check_invariants();
        let open = |peer: &Peer| peer.closing.is_none();
        assert!(self.has_metadata() || self.picker.have().is_empty());
        for (key, peer) in self.peers.iter().filter(|(_, peer)| open(peer)) {
            let interesting = self.picker.interesting_pieces(&peer.peer_pieces());
            assert_eq!(peer.interesting, interesting, "what {key:?} has for us");
            assert_eq!(peer.interested, interesting > 0 && self.may_download());
            assert!(!self.hungry.contains(key) || peer.want > 0);
        }
        assert!(self.hungry.iter().all(|key| self.peers.contains_key(key)));
    }
}

fn peer_list_settings(settings: &Settings, running: bool) -> PeerListSettings {
    let max_size = if running {
        settings.max_peerlist_size
    } else {
        settings.max_paused_peerlist_size
    };
    PeerListSettings {
        max_size: max_size as usize,
        max_failcount: settings.max_failcount.min(255) as u8,
        min_reconnect: Duration::from_secs(settings.min_reconnect_time.unsigned_abs()),
        max_per_ip: max_per_address(settings),
        no_privileged_ports: settings.no_connect_privileged_ports,
    }
}

/// Connections that one address may have.
fn max_per_address(settings: &Settings) -> usize {
    match settings.max_connections_per_ip {
        _ if !settings.allow_multiple_connections_per_ip => 1,
        0 => usize::MAX,
        most => most as usize,
    }
}

fn picker_settings(settings: &Settings) -> PickerSettings {
    PickerSettings {
        random_first: settings.initial_picker_threshold.unsigned_abs() as u32,
        partials_first: settings.prioritize_partial_pieces,
        extent_affinity: settings.piece_extent_affinity,
        strict_end_game: settings.strict_end_game_mode,
    }
}
