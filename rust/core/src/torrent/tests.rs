//! Worlds are drawn: `x` is a piece that is there, `.` one that is not, `-` one
//! that is not wanted. What the brain puts out is compared as text.

mod metadata;
mod modes;
mod suggest;
mod turnover;
mod urgent;
mod whereabouts;

use super::*;
use crate::choker::Choker;
use crate::ids::{BLOCK_SIZE, Block, TorrentKey};
use crate::peer::{PeerStats, Report};
use crate::peerlist::Sources;
use crate::testing::at;

const OUR_ID: u8 = b'M';

struct World {
    millis: u64,
    torrent: Torrent,
    choker: Choker,
    /// What the session's limit leaves.
    room: Room,
}

/// A set of pieces from its drawing.
fn bits(drawing: &str) -> Bitfield {
    let mut bits = Bitfield::new(drawing.len() as u32);
    for (at, _) in drawing.match_indices('x') {
        bits.set(at as u32);
    }
    bits
}

/// A block, as "piece:index".
fn block(name: &str) -> Block {
    let (piece, index) = name.split_once(':').unwrap();
    Block::new(PieceIndex(piece.parse().unwrap()), index.parse().unwrap())
}

fn blocks(names: &str) -> Vec<Block> {
    names.split_whitespace().map(block).collect()
}

fn key(peer: char) -> PeerKey {
    PeerKey(u64::from(u32::from(peer)))
}

fn endpoint(peer: char) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, peer as u8], 6881))
}

fn id(letter: u8) -> PeerId {
    PeerId([letter; 20])
}

impl World {
    /// A running torrent of pieces of two blocks, checked.
    fn new(drawing: &str) -> Self {
        Self::with(drawing, |_| {})
    }

    fn with(drawing: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let mut world = Self::unchecked(drawing.len() as u64, change);
        world.prioritize(drawing);
        world.torrent.checked(at(0), &bits(drawing));
        world.out();
        world
    }

    /// Two files, the first of them one piece long.
    fn unchecked(pieces: u64, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            torrent_connect_boost: 0,
            ..Settings::default()
        };
        change(&mut settings);
        let piece = u64::from(2 * BLOCK_SIZE);
        let files = [(piece, false), (piece * (pieces - 1), false)];
        let layout = Layout::new(2 * BLOCK_SIZE, files).unwrap();
        let choker = Choker::new((&settings).into());
        let mut torrent = Torrent::new(Arc::new(layout), id(OUR_ID), settings.into(), 1, at(0));
        torrent.start(at(0));
        Self {
            millis: 0,
            torrent,
            choker,
            room: Room::Free,
        }
    }

    fn now(&self) -> Instant {
        at(self.millis)
    }

    fn prioritize(&mut self, drawing: &str) {
        let level = |piece| match piece {
            '-' => Priority::SKIP,
            _ => Priority::NORMAL,
        };
        let priorities: Vec<Priority> = drawing.chars().map(level).collect();
        self.torrent.set_priorities(self.now(), &priorities);
    }

    fn join(&mut self, peer: char, incoming: bool) -> Result<(), CloseReason> {
        let meta = PeerMeta {
            endpoint: endpoint(peer),
            id: id(peer as u8),
            incoming,
            source: Sources::TRACKER,
            connect_time: Duration::ZERO,
        };
        self.torrent
            .peer_connected(self.now(), key(peer), meta, self.room)
    }

    /// A peer that has these pieces joins.
    fn peer(&mut self, peer: char, drawing: &str) {
        self.join(peer, false).unwrap();
        self.say(peer, |it| it.bitfield = Some(bits(drawing)));
    }

    /// Peers that have these pieces, unchoke us, and could take many blocks.
    fn givers(&mut self, peers: &[(char, &str)]) {
        for (peer, drawing) in peers {
            self.peer(*peer, drawing);
            self.say(*peer, |it| it.choked = Some(false));
        }
        self.out();
    }

    fn say(&mut self, peer: char, what: impl FnOnce(&mut Report)) {
        let mut report = self.torrent.last_report(key(peer));
        what(&mut report);
        self.torrent.peer_report(self.now(), key(peer), report);
        self.torrent.check_invariants();
    }

    fn want(&mut self, peer: char, want: u32) {
        self.say(peer, |it| it.want = want);
    }

    fn got(&mut self, peer: char, names: &str) {
        self.say(peer, |it| it.blocks = blocks(names));
    }

    fn leave(&mut self, peer: char, failed: bool) {
        let last = self.torrent.last_report(key(peer));
        self.torrent
            .peer_disconnected(self.now(), key(peer), last, failed);
        self.torrent.check_invariants();
    }

    fn verified(&mut self, pieces: &[u32]) {
        let pieces: Vec<PieceIndex> = pieces.iter().copied().map(PieceIndex).collect();
        self.torrent.pieces_verified(&pieces);
        self.torrent.check_invariants();
    }

    fn failed(&mut self, piece: u32, senders: &[char]) {
        let senders: Vec<PeerKey> = senders.iter().copied().map(key).collect();
        self.torrent
            .piece_failed(self.now(), PieceIndex(piece), &senders, &[]);
        self.torrent.check_invariants();
    }

    /// Lets time pass, a tick at a time.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(500) {
            self.millis += 500;
            self.torrent.handle_timeout(self.now());
        }
        self.torrent.check_invariants();
    }

    /// What the brain put out since it was last looked at.
    /// Lets the session's choker decide.
    fn choking(&mut self) {
        while let Some(standing) = self.torrent.take_standing(self.now()) {
            self.choker.update(TorrentKey(0), standing);
            for (_, changes) in self.choker.decide(self.now()) {
                self.torrent.apply_choking(self.now(), &changes);
            }
        }
    }

    fn out(&mut self) -> Vec<String> {
        self.choking();
        std::iter::from_fn(|| self.torrent.poll_output())
            .map(|output| match output {
                Output::Peer(key, command) => {
                    let peer = char::from_u32(key.0 as u32).unwrap();
                    format!("{peer} {}", command_text(&command))
                }
                Output::Connect { endpoint, haste } => {
                    let pace = match haste {
                        Haste::Paced => "",
                        Haste::First => " at once",
                        Haste::Named => " by name",
                    };
                    format!("connect {endpoint}{pace}")
                }
                Output::Event(TorrentEvent::StateChanged { state, .. }) => state.name().into(),
                Output::Event(TorrentEvent::PiecesVerified(pieces)) => {
                    format!("verified{}", list(&pieces))
                }
                Output::Metadata(bytes) => format!("metadata of {} bytes", bytes.len()),
                Output::Event(TorrentEvent::MetadataFailed) => "metadata failed".into(),
                Output::Event(TorrentEvent::SeenAs { ip, .. }) => format!("seen as {ip}"),
                Output::Event(TorrentEvent::HashFailed(piece)) => format!("hash failed {piece}"),
                Output::Ban(ip) => format!("ban {ip}"),
                Output::Event(TorrentEvent::PeerBanned(at)) => format!("banned {at}"),
                Output::Event(TorrentEvent::PeerSnubbed(at, is)) => format!("snubbed {at} {is}"),
                Output::Event(TorrentEvent::FileCompleted(file)) => format!("file {file}"),
                Output::Event(TorrentEvent::Finished) => "finished!".into(),
                Output::Event(TorrentEvent::DeadlineMet(piece)) => format!("met {piece}"),
                Output::Event(TorrentEvent::DeadlineCancelled(piece)) => {
                    format!("not met {piece}")
                }
                Output::Event(TorrentEvent::StoppedWhenReady) => "stopped when ready".into(),
                Output::Event(TorrentEvent::Drained) => "drained".into(),
            })
            .collect()
    }

    /// The same without commands to peers.
    fn events(&mut self) -> Vec<String> {
        let mut out = self.out();
        out.retain(|line| line.chars().nth(1) != Some(' '));
        out
    }

    /// The same, only about leases, each as sorted blocks.
    fn leases(&mut self) -> Vec<String> {
        let mut out = self.out();
        out.retain(|line| line.contains(" lease "));
        out
    }
}

fn list(items: &[impl std::fmt::Display]) -> String {
    items.iter().map(|item| format!(" {item}")).collect()
}

fn command_text(command: &PeerCommand) -> String {
    match command {
        PeerCommand::Start(have) => format!("start {}", have.count()),
        PeerCommand::Metadata(layout) => format!("metadata of {}", layout.num_pieces()),
        PeerCommand::RequestMetadata(piece) => format!("ask for metadata {piece}"),
        PeerCommand::Suggest(pieces) => format!("suggest{}", list(pieces)),
        PeerCommand::UploadOnly(only) => format!("upload only {only}"),
        PeerCommand::Lost(pieces) => format!("lost{}", list(pieces)),
        PeerCommand::Lease(blocks) => {
            let mut blocks = blocks.clone();
            blocks.sort_unstable();
            format!("lease{}", list(&blocks))
        }
        PeerCommand::Urgent(blocks) => format!("urgent{}", list(blocks)),
        PeerCommand::Promote(blocks) => format!("promote{}", list(blocks)),
        PeerCommand::Withdraw(blocks) => format!("withdraw{}", list(blocks)),
        PeerCommand::Limits(_) => "limits".into(),
        PeerCommand::Watch(_) => "watch".into(),
        PeerCommand::Cancel(blocks) => format!("cancel{}", list(blocks)),
        PeerCommand::HaveToo(pieces) => format!("have too{}", list(pieces)),
        PeerCommand::Have(pieces) => format!("have{}", list(pieces)),
        PeerCommand::Choke(choke) => if *choke { "choke" } else { "unchoke" }.into(),
        PeerCommand::Interested(wanted) => format!("interested {wanted}"),
        PeerCommand::Close(reason) => format!("close: {reason}"),
    }
}

#[test]
fn interest_follows_what_they_have_and_what_we_want() {
    let mut world = World::new("x..-");
    world.join('a', false).unwrap();
    assert_eq!(world.out(), ["a start 1"]);
    world.say('a', |it| it.bitfield = Some(bits("x..x")));
    assert!(world.out().is_empty(), "had, or not wanted");
    world.say('a', |it| it.haves = vec![PieceIndex(1), PieceIndex(1)]);
    assert_eq!(world.out(), ["a interested true"]);
    world.verified(&[1]);
    assert_eq!(
        world.out(),
        ["a have 1", "verified 1", "a interested false"]
    );
    world.prioritize("x...");
    assert_eq!(world.out(), ["a interested true"]);
    world.prioritize("x..-");
    assert_eq!(world.out(), ["a interested false"]);
}

#[test]
fn blocks_are_leased_only_by_who_unchokes_us() {
    let mut world = World::new("..");
    world.peer('a', "x.");
    world.want('a', 2);
    assert!(world.leases().is_empty());
    world.say('a', |it| {
        it.choked = Some(false);
        it.want = 3;
    });
    assert_eq!(world.leases(), ["a lease 0:0 0:1"]);
}

#[test]
fn a_want_is_remembered_until_blocks_come_free() {
    // By a choke of another peer.
    let mut world = World::new("..");
    world.givers(&[('a', "xx"), ('b', "xx"), ('c', "xx"), ('d', "xx")]);
    for peer in ['a', 'b', 'c'] {
        world.want(peer, 4);
    }
    assert_eq!(world.leases().len(), 3, "the end game fills three leases");
    world.want('d', 4);
    assert!(world.leases().is_empty());
    world.say('a', |it| {
        it.choked = Some(true);
        it.returned = blocks("0:0 0:1 1:0 1:1");
    });
    assert_eq!(world.leases(), ["d lease 0:0 0:1 1:0 1:1"]);
    // By a disconnect.
    let mut world = World::new(".");
    world.givers(&[('a', "x"), ('b', "x")]);
    world.want('a', 1);
    assert_eq!(world.leases(), ["a lease 0:0"]);
    world.want('b', 1);
    world.say('b', |it| it.want = 3);
    world.leases();
    world.leave('a', true);
    world.got('b', "0:0 0:1");
    // By a hash failure.
    world.failed(0, &['a', 'b', 'b']);
    assert_eq!(world.leases(), ["b lease 0:0 0:1"]);
    let failures: Vec<u32> = world.torrent.peers().map(|it| it.1.hash_failures).collect();
    assert_eq!(failures, [1], "once a piece");
    // By a HAVE.
    let mut world = World::new("..");
    world.givers(&[('a', "x.")]);
    world.want('a', 9);
    assert_eq!(world.leases(), ["a lease 0:0 0:1"]);
    world.say('a', |it| it.haves = vec![PieceIndex(1)]);
    assert_eq!(world.leases(), ["a lease 1:0 1:1"]);
    // By a change of priorities.
    let mut world = World::new(".-");
    world.givers(&[('a', "xx")]);
    world.want('a', 9);
    assert_eq!(world.leases(), ["a lease 0:0 0:1"]);
    world.prioritize("..");
    assert_eq!(world.leases(), ["a lease 1:0 1:1"]);
}

#[test]
fn a_want_is_forgotten_with_the_choke_and_with_our_interest() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx"), ('b', "x.")]);
    world.want('a', 99);
    world.say('a', |it| {
        it.choked = Some(true);
        it.returned = blocks("0:0 0:1 1:0 1:1");
    });
    world.out();
    world.say('a', |it| it.choked = Some(false));
    assert!(world.leases().is_empty(), "it has not asked again");
    world.want('b', 9);
    assert_eq!(world.leases(), ["b lease 0:0 0:1"]);
    world.verified(&[0]);
    assert!(world.out().contains(&"b interested false".to_owned()));
    // A report that was under way.
    world.want('b', 9);
    world.say('b', |it| it.haves = vec![PieceIndex(1)]);
    assert_eq!(world.out(), ["b interested true"]);
}

#[test]
fn the_end_game_asks_twice_and_cancels_the_slower() {
    let mut world = World::new(".");
    world.givers(&[('a', "x"), ('b', "x")]);
    world.want('a', 2);
    world.want('b', 2);
    assert_eq!(world.leases(), ["a lease 0:0 0:1", "b lease 0:0 0:1"]);
    world.got('b', "0:1");
    assert_eq!(world.out(), ["a cancel 0:1"]);
    world.got('a', "0:0");
    assert_eq!(world.out(), ["b cancel 0:0"]);
    // Blocks that crossed the cancel are not new.
    world.got('a', "0:1");
    assert_eq!(world.torrent.totals().redundant, u64::from(BLOCK_SIZE));
    assert!(world.out().is_empty());
    // Nothing is owed any more: the piece comes anew as a whole.
    world.failed(0, &['a', 'b']);
    world.out();
    world.leave('a', false);
    world.want('b', 2);
    assert_eq!(world.leases(), ["b lease 0:0 0:1"]);
}

#[test]
fn a_piece_that_is_lost_is_cancelled_before_it_is_asked_for_again() {
    let mut world = World::new(".");
    world.givers(&[('a', "x")]);
    world.want('a', 2);
    world.got('a', "0:0");
    world.want('a', 2);
    world.out();
    world.torrent.piece_lost(world.now(), PieceIndex(0));
    let out = world.out();
    assert_eq!(out, ["a cancel 0:1", "a lease 0:0 0:1"]);
}

#[test]
fn leases_on_pieces_that_are_no_longer_wanted_are_taken_back() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx")]);
    world.want('a', 4);
    world.out();
    world.prioritize(".-");
    assert_eq!(world.out(), ["a cancel 1:0 1:1"]);
    world.prioritize("..");
    world.want('a', 2);
    assert_eq!(world.leases(), ["a lease 1:0 1:1"]);
}

#[test]
fn states_change_in_libtorrents_order() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx")]);
    world.verified(&[0]);
    assert_eq!(world.events(), ["verified 0", "file 0"]);
    world.verified(&[0, 1]);
    assert_eq!(
        world.events(),
        ["verified 1", "file 1", "finished", "finished!", "seeding"]
    );
    assert_eq!(world.torrent.file_progress(), [32_768, 32_768]);
    // A check of everything.
    world.torrent.checking(TorrentState::CheckingFiles);
    assert_eq!(world.events(), ["checking_files"]);
    assert_eq!(world.torrent.file_progress(), [0, 0]);
    world.verified(&[1]);
    assert!(world.events().is_empty(), "news from before the check");
    world.torrent.checked(world.now(), &bits("x."));
    assert_eq!(world.events(), ["downloading"]);
    // One that finds everything.
    let mut world = World::unchecked(3, |_| {});
    world.torrent.checked(at(0), &bits("xxx"));
    assert_eq!(world.events(), ["finished", "finished!", "seeding"]);
}

#[test]
fn finished_is_not_seeding_and_ends_when_more_is_wanted() {
    let mut world = World::new("x.-");
    world.verified(&[1]);
    assert_eq!(world.events(), ["verified 1", "finished", "finished!"]);
    world.prioritize("x..");
    assert_eq!(world.events(), ["downloading"]);
    // Finished by wanting less.
    world.prioritize("x.-");
    assert_eq!(world.events(), ["finished", "finished!"]);
    // The rest comes although nobody asked for it.
    world.verified(&[2]);
    assert_eq!(world.events(), ["verified 2", "file 1", "seeding"]);
}

#[test]
fn connections_of_seeds_are_closed_when_nothing_is_wanted() {
    let mut world = World::new("x.-");
    world.givers(&[('s', "xxx"), ('l', "x..")]);
    world.pass(500);
    assert!(world.out().is_empty());
    world.verified(&[1]);
    world.out();
    world.pass(500);
    let redundant = "s close: neither side needs anything";
    assert_eq!(world.out(), [redundant]);
    world.pass(5000);
    assert!(world.out().is_empty(), "told once");
    // A peer that becomes a seed.
    let mut world = World::new("xx");
    world.peer('l', "x.");
    world.pass(500);
    world.out();
    world.say('l', |it| it.haves = vec![PieceIndex(1)]);
    world.pass(500);
    assert_eq!(world.out(), ["l close: neither side needs anything"]);
}

#[test]
fn a_seed_is_called_again_when_more_is_wanted() {
    let mut world = World::new("x-");
    world
        .torrent
        .add_peers(at(0), [endpoint('s')], Sources::TRACKER);
    assert_eq!(world.out(), ["connect 10.0.0.115:6881"]);
    world.peer('s', "xx");
    world.pass(500);
    world.leave('s', false);
    world.out();
    world.pass(300_000);
    assert!(world.out().is_empty());
    world.prioritize("x.");
    world.pass(500);
    assert_eq!(world.out(), ["downloading", "connect 10.0.0.115:6881"]);
}

#[test]
fn the_newest_connections_go_when_there_are_too_many() {
    let mut world = World::new("..");
    for peer in ['a', 'b', 'c'] {
        world.join(peer, false).unwrap();
    }
    world.out();
    world.torrent.set_limits(world.now(), 2, -1);
    assert_eq!(world.out(), ["c close: too many connections"]);
    world.torrent.set_limits(world.now(), 2, -1);
    assert!(world.out().is_empty(), "told once");
    assert_eq!(world.join('d', false), Err(CloseReason::TooMany));
    world.leave('a', false);
    assert_eq!(world.join('e', true), Ok(()), "the third is on its way out");
    assert_eq!(world.join('f', true), Err(CloseReason::TooMany));
}

#[test]
fn we_do_not_talk_to_ourselves() {
    let mut world = World::new("..");
    world
        .torrent
        .add_peers(at(0), [endpoint('M')], Sources::TRACKER);
    assert_eq!(world.out(), ["connect 10.0.0.77:6881"]);
    assert_eq!(world.join('M', true), Err(CloseReason::OurselvesAgain));
    assert_eq!(world.join('M', false), Err(CloseReason::OurselvesAgain));
    assert_eq!(world.torrent.peer_list().failcount(endpoint('M')), 1);
    assert!(world.out().is_empty());
}

/// A connection with the peer of this id, from or to an endpoint.
fn meta(letter: u8, endpoint: SocketAddr, incoming: bool) -> PeerMeta {
    PeerMeta {
        endpoint,
        id: id(letter),
        incoming,
        source: Sources::TRACKER,
        connect_time: Duration::ZERO,
    }
}

#[test]
fn of_two_dials_that_cross_the_one_of_the_greater_id_stays() {
    let call = SocketAddr::from(([10, 0, 0, 9], 50_000));
    for (letter, ours_stays) in [(b'A', true), (b'Z', false)] {
        let peer = char::from(letter);
        for incoming_first in [true, false] {
            let mut world = World::with("..", |it| it.allow_multiple_connections_per_ip = true);
            world.torrent.connect_to(at(0), endpoint(peer));
            world.out();
            let [first, second] = [incoming_first, !incoming_first].map(|incoming| {
                let endpoint = if incoming { call } else { endpoint(peer) };
                meta(letter, endpoint, incoming)
            });
            let (now, out) = (at(100), |world: &mut World| world.out().join(", "));
            let torrent = &mut world.torrent;
            assert_eq!(
                torrent.peer_connected(now, key('1'), first, Room::Free),
                Ok(())
            );
            let verdict = torrent.peer_connected(now, key('2'), second, Room::Free);
            let second_stays = incoming_first == ours_stays;
            if second_stays {
                assert_eq!(verdict, Ok(()));
                assert!(out(&mut world).contains("1 close: the peer is connected already"));
                world.leave('1', false);
            } else {
                assert_eq!(verdict, Err(CloseReason::Duplicate));
            }
            // Whichever it is, the peer's own endpoint is not called again
            // until the connection is over.
            world.torrent.connect_to(at(200), endpoint(peer));
            world.pass(400_000);
            assert!(!out(&mut world).contains("connect 10"));
            world.leave(if second_stays { '2' } else { '1' }, false);
            world.out();
            world.pass(70_000);
            assert_eq!(out(&mut world), format!("connect {}", endpoint(peer)));
        }
    }
}

#[test]
fn an_old_connection_is_not_given_up_for_a_new_one() {
    for letter in [b'A', b'Z'] {
        for incoming in [true, false] {
            let mut world = World::with("..", |it| it.allow_multiple_connections_per_ip = true);
            let now = at(0);
            let [old, new] = [incoming, !incoming].map(|it| meta(letter, endpoint('a'), it));
            let torrent = &mut world.torrent;
            assert_eq!(
                torrent.peer_connected(now, key('1'), old, Room::Free),
                Ok(())
            );
            assert_eq!(
                torrent.peer_connected(at(60_000), key('2'), new, Room::Free),
                Err(CloseReason::Duplicate)
            );
        }
    }
}

#[test]
fn one_address_calls_once_unless_it_may_call_more_often() {
    for allowed in [false, true] {
        let mut world = World::with("..", |it| it.allow_multiple_connections_per_ip = allowed);
        let now = world.now();
        let mut call = |letter, port| {
            let endpoint = SocketAddr::from(([10, 0, 0, 9], port));
            let key = PeerKey(u64::from(letter));
            let torrent = &mut world.torrent;
            torrent.peer_connected(now, key, meta(letter, endpoint, true), Room::Free)
        };
        assert_eq!(call(b'a', 1000), Ok(()));
        assert_eq!(call(b'b', 1001).is_ok(), allowed);
    }
}

#[test]
fn a_peer_that_calls_anew_takes_the_place_of_its_old_connection() {
    let mut world = World::new("..");
    let call = |world: &mut World, name, host, port| {
        let endpoint = SocketAddr::from(([10, 0, 0, host], port));
        let torrent = &mut world.torrent;
        torrent.peer_connected(at(0), key(name), meta(b'a', endpoint, true), Room::Free)
    };
    assert_eq!(call(&mut world, '1', 9, 1000), Ok(()));
    world.out();
    // A stranger does not push it out by its name.
    let stranger = call(&mut world, '2', 8, 1000);
    assert_eq!(stranger, Err(CloseReason::Duplicate));
    assert_eq!(call(&mut world, '3', 9, 1001), Ok(()));
    let out = world.out().join(", ");
    assert!(
        out.contains("1 close: the peer is connected already"),
        "{out}"
    );
    world.leave('1', false);
    assert!(world.torrent.peer(key('3')).is_some());
}

#[test]
fn totals_are_sums_over_all_connections() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx"), ('b', "xx")]);
    let stats = |received, payload_received| PeerStats {
        received,
        payload_received,
        redundant: 10,
        ..PeerStats::default()
    };
    world.say('a', |it| it.stats = stats(1000, 900));
    world.say('b', |it| it.stats = stats(500, 400));
    world.say('a', |it| it.stats = stats(1500, 1300));
    world.leave('a', false);
    world.say('a', |it| it.stats = stats(9999, 9999));
    let totals = world.torrent.totals();
    assert_eq!((totals.received, totals.payload_received), (2000, 1700));
    assert_eq!(totals.redundant, 20);
    assert_eq!(totals.download.total(), 2000);
    world.failed(0, &[]);
    assert_eq!(world.torrent.totals().failed, u64::from(2 * BLOCK_SIZE));
}

#[test]
fn nothing_is_fetched_in_upload_mode() {
    let mut world = World::new("x..");
    world.givers(&[('a', "xxx")]);
    world.want('a', 1);
    assert_eq!(world.leases().len(), 1);
    world.torrent.set_storage_failed(world.now(), true);
    assert_eq!(world.out(), ["a interested false"]);
    world.want('a', 5);
    world.peer('b', "..x");
    assert_eq!(world.out(), ["b start 1"]);
    // What we have is still given.
    world.say('b', |it| it.interested = Some(true));
    assert_eq!(world.out(), ["b unchoke"]);
    world.torrent.set_storage_failed(world.now(), false);
    assert_eq!(world.out(), ["a interested true", "b interested true"]);
    world.want('a', 9);
    assert_eq!(world.leases().len(), 1);
}

#[test]
fn a_peer_that_the_game_names_is_called_once_and_at_once() {
    let mut world = World::new("..");
    let peer = endpoint('a');
    for _ in 0..3 {
        world.torrent.connect_to(world.now(), peer);
        world.pass(500);
    }
    assert_eq!(world.out(), ["connect 10.0.0.97:6881 by name"]);
    world.torrent.connect_failed(world.now(), peer);
    world.torrent.connect_to(world.now(), peer);
    assert_eq!(
        world.out(),
        ["connect 10.0.0.97:6881 by name"],
        "whatever its failures"
    );
    world.join('a', false).unwrap();
    world.out();
    world.torrent.connect_to(world.now(), peer);
    assert!(world.out().is_empty());
    // Not while there is no traffic, and no endpoint that is none.
    world
        .torrent
        .connect_to(world.now(), "10.0.0.1:0".parse().unwrap());
    world.torrent.stop();
    world.torrent.connect_to(world.now(), endpoint('b'));
    assert_eq!(world.out(), ["a close: the torrent was stopped"]);
    assert_eq!(world.join('c', true), Err(CloseReason::Stopped));
    world.leave('a', false);
    world.torrent.start(world.now());
    world.pass(500);
    let out = world.out();
    assert_eq!(out.len(), 2, "both are called now: {out:?}");
}

#[test]
fn a_stop_that_is_taken_back_at_once_costs_no_wait() {
    let mut world = World::new("..");
    world.torrent.connect_to(world.now(), endpoint('a'));
    world.join('a', false).unwrap();
    world.torrent.stop();
    world.torrent.start(world.now());
    world.pass(500);
    world.leave('a', false);
    world.out();
    world.pass(500);
    assert_eq!(world.out(), ["connect 10.0.0.97:6881"]);
}

#[test]
fn what_came_during_a_check_does_not_count() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx"), ('b', "xx")]);
    world.want('a', 2);
    world.got('a', "0:0");
    world.out();
    world.torrent.checking(TorrentState::CheckingFiles);
    assert_eq!(world.torrent.picker().done(), 0);
    // Both connections still have something to say.
    world.got('a', "0:1");
    world.torrent.checked(world.now(), &bits(".."));
    world.got('a', "1:0");
    world.got('b', "1:1");
    assert_eq!(world.torrent.picker().done(), 0);
    for peer in ['a', 'b'] {
        world.leave(peer, false);
    }
    world.givers(&[('a', "xx")]);
    world.want('a', 9);
    assert_eq!(world.leases(), ["a lease 0:0 0:1 1:0 1:1"]);
}
