//! Worlds are drawn: `x` is a piece that is there, `.` one that is not, `-` one
//! that is not wanted. What the brain puts out is compared as text.

mod connections;
mod contract;
mod fast;
mod idle;
mod leases;
mod metadata;
mod modes;
mod peer_priority;
mod pex;
mod states;
mod suggest;
mod time_critical;
mod turnover;

use std::net::SocketAddr;

use super::*;
use crate::ban::ReceivedBlock;
use crate::choker::Choker;
use crate::ids::{BLOCK_SIZE, Block, TorrentKey};
use crate::peer::{ConnectionKind, ConnectionReport};
use crate::peerlist::Sources;
use crate::testing::{Machine, at, check_contract, count_outputs};

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
        let choker = Choker::new(at(0), (&settings).into());
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
            connection: ConnectionKind::Tcp,
            encryption: None,
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
        self.say(peer, |it| it.pieces.bitfield = Some(bits(drawing)));
    }

    /// Peers that have these pieces, unchoke us, and could take many blocks.
    fn givers(&mut self, peers: &[(char, &str)]) {
        for (peer, drawing) in peers {
            self.peer(*peer, drawing);
            self.say(*peer, |it| it.choked = Some(false));
        }
        self.out();
    }

    fn say(&mut self, peer: char, what: impl FnOnce(&mut ConnectionReport)) {
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
        self.torrent.pieces_verified(self.now(), &pieces);
        self.torrent.check_invariants();
    }

    fn failed(&mut self, piece: u32, senders: &[char]) {
        let received = |(block, &sender): (u32, &char)| ReceivedBlock {
            block,
            sender: key(sender),
            digest: None,
        };
        let blocks: Vec<ReceivedBlock> = (0..).zip(senders).map(received).collect();
        self.torrent
            .piece_failed(self.now(), PieceIndex(piece), &blocks);
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

    /// Lets the session's choker decide.
    fn choking(&mut self) {
        while let Some(standing) = self.torrent.take_standing(self.now()) {
            self.choker.update(TorrentKey(0), standing);
            self.choker.handle_timeout(self.now());
            while let Some((_, changes)) = self.choker.poll_output() {
                self.torrent.apply_choking(self.now(), &changes);
            }
        }
    }

    /// What the brain put out since it was last looked at.
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
                Output::Event(TorrentEvent::GracefullyPaused) => "drained".into(),
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
        PeerCommand::PexEnabled(enabled) => format!("pex {enabled}"),
        PeerCommand::Pex(payload) => pex::text(payload),
        PeerCommand::UploadOnly(only) => format!("upload only {only}"),
        PeerCommand::DontHave(pieces) => format!("lost{}", list(pieces)),
        PeerCommand::Lease(blocks) => {
            let mut blocks = blocks.clone();
            blocks.sort_unstable();
            format!("lease{}", list(&blocks))
        }
        PeerCommand::TimeCritical(blocks) => format!("urgent{}", list(blocks)),
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

impl Machine for Torrent {
    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn poll_all(&mut self, _: Instant) -> usize {
        count_outputs(|| self.poll_output())
    }
}

/// A connection with the peer of this id, from or to an endpoint.
fn meta(letter: u8, endpoint: SocketAddr, incoming: bool) -> PeerMeta {
    PeerMeta {
        endpoint,
        id: id(letter),
        connection: ConnectionKind::Tcp,
        encryption: None,
        incoming,
        source: Sources::TRACKER,
        connect_time: Duration::ZERO,
    }
}
