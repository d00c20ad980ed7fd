//! The brain of one swarm, without I/O: which peer gets which blocks, which ones may
//! download, which ones to connect to, and what state the torrent is in.
//!
//! The driver reports what happened on connections ([`Torrent::peer_report`]),
//! on disk ([`Torrent::pieces_verified`] and the like) and on the clock
//! ([`Torrent::handle_timeout`] when [`Torrent::poll_timeout`] is due), and
//! carries out [`Torrent::poll_output`] until it is empty. Payload bytes never
//! come here.

mod activity;
mod blocks;
mod choking;
mod connections;
mod dialing;
mod extensions;
mod files;
mod graceful_pause;
mod metadata;
mod modes;
mod output;
mod peer;
mod peer_download;
mod peer_priority;
mod peer_traffic;
mod peer_upload;
mod pex;
mod pieces;
mod redial;
mod rejected_requests;
mod resume;
mod share_mode;
mod smart_ban;
mod starved_peers;
mod suggest;
mod super_seed;
#[cfg(test)]
mod tests;
mod time_critical;
mod totals;
mod transfer_rates;
mod turnover;
mod ut_metadata;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bitfield::Bitfield;
use crate::ids::{PeerId, PeerKey, PieceIndex};
use crate::layout::Layout;
use crate::peer::{CloseReason, ConnectionLimits, PeerCommand, Watched};
use crate::peerlist::PeerList;
use crate::picker::{Picker, Priority};
use crate::settings::Settings;
use activity::Activity;
use choking::Choking;
pub use connections::Room;
use dialing::Dialing;
pub use files::file_progress;
pub use modes::Modes;
pub use output::{Haste, Output, TorrentEvent, TorrentState};
pub use peer::{Peer, PeerMeta};
pub use peer_download::PeerDownload;
pub use peer_traffic::PeerTraffic;
pub use peer_upload::PeerUpload;
use pex::PeerExchange;
use pieces::Pieces;
use smart_ban::SmartBan;
use starved_peers::StarvedPeers;
use suggest::Suggestions;
use super_seed::SuperSeed;
pub use totals::Totals;
pub use transfer_rates::TransferRates;
use ut_metadata::MetadataFetch;

/// How often choking, rates and connections are looked at.
const TICK: Duration = Duration::from_millis(500);

/// Seeds for each other peer, and at least, that make a swarm well seeded;
/// libtorrent's number.
const AUTO_SEQUENTIAL_SEEDS: usize = 10;

/// The brain. See the module's documentation for how it is driven.
#[derive(Debug)]
pub struct Torrent {
    settings: Arc<Settings>,
    activity: Activity,
    pieces: Pieces,
    /// The search for the metadata, while there is none.
    fetch: Option<MetadataFetch>,
    dialing: Dialing,
    peers: BTreeMap<PeerKey, Peer>,
    starved: StarvedPeers,
    choking: Choking,
    smart_ban: SmartBan,
    super_seed: SuperSeed,
    suggestions: Suggestions,
    pex: PeerExchange,
    /// What connections note in their reports.
    watched: Watched,
    totals: Totals,
    next_tick: Instant,
    outputs: VecDeque<Output>,
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
            activity: Activity::default(),
            pieces: Pieces::new(layout, seed, &settings),
            fetch: None,
            dialing: Dialing::new(our_id, &settings),
            peers: BTreeMap::new(),
            starved: StarvedPeers::default(),
            choking: Choking::default(),
            smart_ban: SmartBan::new(&settings),
            super_seed: SuperSeed::new(seed),
            suggestions: Suggestions::default(),
            pex: PeerExchange::default(),
            watched: Watched::default(),
            totals: Totals::new(now),
            next_tick: now,
            outputs: VecDeque::new(),
            settings,
        }
    }

    // ---- what the driver reads --------------------------------------------

    /// The next thing to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due; `None` where nothing depends on time.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.activity.is_started() {
            return None;
        }
        let times = [self.starved.retry(), self.tick_due()];
        times.into_iter().flatten().min()
    }

    /// When the next tick is. Beside connections there is one every [`TICK`];
    /// without any, only peers that wait for their call need one.
    fn tick_due(&self) -> Option<Instant> {
        if !self.peers.is_empty() || self.choking.has_news() {
            return Some(self.next_tick);
        }
        if !self.is_running() {
            return None;
        }
        let call = self.dialing.next_at(self.next_tick)?;
        Some(call.max(self.next_tick))
    }

    /// What the torrent is doing.
    pub fn state(&self) -> TorrentState {
        self.activity.state
    }

    /// Whether connections may be made.
    pub fn is_running(&self) -> bool {
        self.activity.is_running()
    }

    /// Whether blocks may be asked for.
    fn may_download(&self) -> bool {
        self.has_metadata() && self.activity.may_download()
    }

    /// Whether everything wanted is there.
    fn is_finished(&self) -> bool {
        self.pieces.is_finished()
    }

    /// Where its bytes are; without pieces while there is no metadata.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.pieces.layout
    }

    /// Pieces: what we have, want and fetch.
    pub fn picker(&self) -> &Picker {
        &self.pieces.picker
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
        &self.dialing.list
    }

    /// Connections, those being made included.
    pub fn num_connections(&self) -> usize {
        self.peers.len() + self.dialing.num_connecting()
    }

    // ---- what the game asks for -------------------------------------------

    /// Lets the traffic flow.
    pub fn start(&mut self, now: Instant) {
        self.end_graceful_pause(now);
        if self.activity.start() {
            self.dialing.start(&self.settings);
            self.next_tick = now;
        }
    }

    /// Closes all connections and makes no new ones until [`Self::start`].
    pub fn stop(&mut self, _now: Instant) {
        self.activity.stop();
        self.dialing.apply_settings(&self.settings, false);
        self.close_all(CloseReason::Stopped);
    }

    /// Takes new settings into use.
    pub fn apply_settings(&mut self, now: Instant, settings: Arc<Settings>) {
        let had_pex = self.is_pex_enabled();
        let running = self.activity.is_started();
        self.dialing.apply_settings(&settings, running);
        self.smart_ban.apply_settings(&settings);
        self.pieces.apply_settings(&settings);
        let limits = ConnectionLimits::from(&*settings);
        if limits != ConnectionLimits::from(&*self.settings) {
            self.command_all(PeerCommand::Limits(limits));
        }
        self.settings = settings;
        self.pex_changed(now, had_pex);
    }

    /// Limits connections and unchoked peers of this torrent; negative numbers
    /// stand for the session's limits. Connections beyond the limit are closed.
    pub fn set_limits(&mut self, now: Instant, max_connections: i64, max_uploads: i64) {
        self.dialing
            .set_max_connections(max_connections, &self.settings);
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
        self.pieces.set_sequential(sequential);
        self.update_order();
    }

    /// The pieces, from the first to the last one, that sequential mode begins
    /// with.
    pub fn set_sequential_range(&mut self, range: Option<(PieceIndex, PieceIndex)>) {
        self.pieces.picker.set_sequential_range(range);
    }

    /// Where nearly all peers are seeds there is nothing rare to save, and
    /// pieces in order are easier for every disk.
    fn update_order(&mut self) {
        let peers = self.peers.values();
        let open = peers.filter(|peer| peer.closing.is_none());
        let (seeds, others): (Vec<_>, Vec<_>) = open.partition(|peer| peer.is_seed());
        let auto = self.settings.auto_sequential
            && seeds.len() >= AUTO_SEQUENTIAL_SEEDS
            && others.len() * AUTO_SEQUENTIAL_SEEDS <= seeds.len();
        self.pieces.update_order(auto);
    }

    /// Sets the priorities of all pieces.
    pub fn set_priorities(&mut self, now: Instant, priorities: &[Priority]) {
        if self.pieces.set_priorities(priorities) {
            self.drop_unwanted_deadlines(now);
            self.revoke_unwanted();
            self.update_all_interest();
            self.update_state();
            self.top_up_starved(now);
        }
    }

    /// Asks for no new blocks while storage is in error; what we have is
    /// still served.
    pub fn set_storage_failed(&mut self, now: Instant, failed: bool) {
        self.activity.set_storage_failed(failed);
        self.update_all_interest();
        if !failed {
            self.top_up_starved(now);
        }
    }

    // ---- what the disk says -----------------------------------------------

    /// Files are being looked at: no traffic until [`Self::checked`].
    pub fn checking(&mut self, _now: Instant, state: TorrentState) {
        debug_assert!(state.is_checking());
        if self.activity.state.is_checking() {
            return self.set_state(state);
        }
        self.close_all(CloseReason::Stopped);
        self.close_finished();
        // The disk drops what is unfinished, so what these connections still
        // report is not there.
        for peer in self.peers.values_mut() {
            peer.download.disowned = true;
        }
        self.pieces.forget_all();
        self.set_state(state);
    }

    /// The files were looked at: this is what we have.
    pub fn checked(&mut self, now: Instant, have: &Bitfield) {
        self.pieces.found(have);
        // It was us who closed the connections.
        self.forgive_all();
        self.next_tick = now;
        self.leave_checking(now);
        self.welcome_back(now, have);
    }

    fn leave_checking(&mut self, now: Instant) {
        if self.pieces.picker.is_finished() {
            self.finish();
        } else {
            self.set_state(TorrentState::Downloading);
            // No piece will ever complete them.
            for file in self.pieces.empty_files() {
                self.event(TorrentEvent::FileCompleted(file));
            }
        }
        self.stop_if_ready(now);
    }

    /// These pieces are hashed, right, and in their files.
    pub fn pieces_verified(&mut self, _now: Instant, pieces: &[PieceIndex]) {
        let new: Vec<PieceIndex> = pieces
            .iter()
            .copied()
            .filter(|&piece| !self.pieces.picker.we_have(piece))
            .collect();
        if new.is_empty() || self.activity.state.is_checking() {
            return;
        }
        let mut wanted = new.clone();
        wanted.retain(|&piece| self.pieces.picker.is_wanted(piece));
        self.clear_suspects(&new);
        let completed = self.pieces.completed(&new);
        let shared: Arc<[PieceIndex]> = new.as_slice().into();
        for (&key, peer) in &mut self.peers {
            new.iter().for_each(|&piece| peer.upload.reveal(piece));
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
        for file in completed {
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
        if self.pieces.we_dont_have(piece) {
            self.announce_dont_have(piece);
        }
        self.update_all_interest();
        self.update_state();
        self.top_up_starved(now);
    }

    // ---- time ---------------------------------------------------------------

    /// Does what time asks for.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.activity.is_started() {
            return;
        }
        if self.starved.retry().is_some_and(|due| due <= now) && now < self.next_tick {
            self.top_up_starved(now);
        }
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        if !self.is_running() {
            self.plan_retry(now);
            return;
        }
        self.update_order();
        self.fetch_more(now);
        for (&key, peer) in &mut self.peers {
            // One that fell silent is slow.
            self.pieces
                .picker
                .set_download_rate(key, peer.traffic.rates.payload_download.rate(now));
        }
        self.choking.look_again();
        self.share(now);
        self.drop_redundant();
        self.drop_inactive(now);
        self.rescue_time_critical(now);
        self.show_pieces(now);
        self.top_up_starved(now);
        self.redial(now);
        self.connect_more(now);
        self.exchange_peers(now);
    }

    // ---- state --------------------------------------------------------------

    fn update_state(&mut self) {
        if self.activity.state.is_checking() {
            return;
        }
        match (self.activity.state, self.pieces.picker.is_finished()) {
            (TorrentState::Downloading, true) => self.finish(),
            (TorrentState::Finished, true) if self.pieces.picker.is_seed() => {
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
        if self.pieces.picker.is_seed() {
            self.set_state(TorrentState::Seeding);
        }
    }

    fn set_state(&mut self, state: TorrentState) {
        if self.activity.state != state {
            let previous = std::mem::replace(&mut self.activity.state, state);
            self.update_upload_only();
            self.event(TorrentEvent::StateChanged { state, previous });
        }
    }

    fn event(&mut self, event: TorrentEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Sends a command to a connection.
    fn command(&mut self, key: PeerKey, command: PeerCommand) {
        self.outputs.push_back(Output::Peer(key, command));
    }

    /// Sends a command to every connection.
    fn command_all(&mut self, command: PeerCommand) {
        for &key in self.peers.keys() {
            self.outputs.push_back(Output::Peer(key, command.clone()));
        }
    }

    /// Panics when the parts disagree with each other.
    #[cfg(any(debug_assertions, test))]
    pub fn check_invariants(&self) {
        self.activity.check_invariants();
        self.pieces.check_invariants();
        let open = |peer: &Peer| peer.closing.is_none();
        for (key, peer) in self.peers.iter().filter(|(_, peer)| open(peer)) {
            let interesting = self.pieces.picker.interesting_pieces(&peer.peer_pieces());
            assert_eq!(
                peer.download.interesting, interesting,
                "what {key:?} has for us"
            );
            // A graceful pause does not end what was asked for before.
            assert!(
                self.activity.is_pausing_gracefully()
                    || peer.download.interested == (interesting > 0 && self.may_download()),
                "whether {key:?} interests us"
            );
        }
        for key in self.starved.iter() {
            let peer = self.peers.get(&key).expect("a hungry peer is connected");
            assert!(!open(peer) || peer.download.want > 0);
        }
    }
}
