//! Pieces that are allowed in spite of a choke (BEP 6), with a real connection
//! between the brain and the peer.

use std::io::IoSlice;

use super::*;
use crate::layout::Layout;
use crate::peer::{Connection, ConnectionLimits, Opening, PeerError};
use crate::picker::PartialPiece;
use crate::wire::{Features, Message, Request};

/// A brain, one connection, and what the peer receives of it.
struct Line {
    world: World,
    connection: Connection,
    /// Commands of the brain, and reports to it.
    actions: usize,
}

impl Line {
    /// To a peer that supports Fast or does not, of a torrent of ten pieces of two
    /// blocks.
    fn new(fast: bool) -> Self {
        let mut world = World::new("..........");
        world.join('p', false).unwrap();
        let piece = 2 * BLOCK_SIZE;
        let layout = Layout::new(piece, [(u64::from(piece) * 10, false)]).unwrap();
        let limits = ConnectionLimits::from(&Settings::default());
        let mut connection = Connection::new(Arc::new(layout), limits, world.now());
        let opening = Opening {
            info_hash: Default::default(),
            remote: endpoint('p'),
            client: String::new(),
            port: None,
            allowed_fast: 0,
            pex: false,
        };
        let theirs = Features {
            fast,
            ..Features::OURS
        };
        connection.set_opening(theirs, opening);
        Self {
            world,
            connection,
            actions: 0,
        }
    }

    /// The peer says this; what we request in turn, once all is quiet.
    fn hear(&mut self, messages: &[Message<'_>]) -> Result<Vec<Request>, PeerError> {
        let mut input = Vec::new();
        for message in messages {
            message.encode(&mut input);
        }
        let now = self.world.now();
        self.connection.handle_input(now, &input, &mut Vec::new())?;
        self.settle()
    }

    /// Lets a moment pass.
    fn pass(&mut self) {
        self.world.millis += 10;
        let now = self.world.now();
        self.world.torrent.handle_timeout(now);
        if self.connection.poll_timeout().is_some_and(|due| due <= now) {
            self.connection.handle_timeout(now).unwrap();
        }
    }

    /// Whether every block came, in which case the pieces are verified.
    fn is_complete(&mut self) -> bool {
        let full = |it: &PartialPiece<'_>| it.received() == 2;
        let pieces = self.world.torrent.picker().partial_pieces();
        let full: Vec<PieceIndex> = pieces.filter(full).map(|it| it.piece).collect();
        self.world.torrent.pieces_verified(self.world.now(), &full);
        self.world.torrent.picker().is_finished()
    }

    fn settle(&mut self) -> Result<Vec<Request>, PeerError> {
        let now = self.world.now();
        for turn in 0.. {
            assert!(turn < 50, "the brain and the connection never come to rest");
            let before = self.actions;
            while let Some(output) = self.world.torrent.poll_output() {
                if let Output::Peer(_, command) = output {
                    self.connection.handle_command(now, command)?;
                    self.actions += 1;
                }
            }
            if let Some(report) = self.connection.take_report() {
                self.world.torrent.peer_report(now, key('p'), report);
                self.world.torrent.check_invariants();
                self.actions += 1;
            }
            if self.actions == before {
                break;
            }
        }
        Ok(self.requests())
    }

    fn requests(&mut self) -> Vec<Request> {
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.connection.slices(&mut slices);
            let before = bytes.len();
            slices[..filled]
                .iter()
                .for_each(|it| bytes.extend_from_slice(it));
            let sent = bytes.len() - before;
            self.connection.handle_sent(self.world.now(), sent);
        }
        let (mut requests, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((message, used)) = Message::decode(rest, 1 << 20).unwrap() {
            if let Message::Request(request) = message {
                requests.push(request);
            }
            rest = &rest[used..];
        }
        requests
    }
}

fn allow(piece: u32) -> Message<'static> {
    Message::AllowedFast(PieceIndex(piece))
}

/// A peer that refuses what it is asked for until some moment, then serves it.
/// Returns how many requests it got, and when the torrent was complete; stops
/// after 10 s.
fn refuse(line: &mut Line, until: u64, opening: &[Message<'_>], how: How) -> (usize, Option<u64>) {
    let mut asked = line.hear(opening).unwrap();
    let (mut count, mut done) = (0, None);
    let data = [7; BLOCK_SIZE as usize];
    while line.world.millis < 10_000 && done.is_none() {
        let mut answer = Vec::new();
        if line.world.millis < 3000 {
            count += asked.len();
        }
        for request in std::mem::take(&mut asked) {
            let refused = how.piece.is_none_or(|piece| piece == request.piece.0);
            if line.world.millis >= until || !refused {
                answer.push(Message::Piece {
                    piece: request.piece,
                    begin: request.begin,
                    data: &data,
                });
            } else if how.fast {
                answer.push(Message::Reject(request));
            } else {
                // Which drops what was asked for after it, too.
                answer.extend([Message::Choke, Message::Unchoke]);
                break;
            }
        }
        answer.extend(how.again.filter(|_| !answer.is_empty()));
        if answer.is_empty() {
            line.pass();
        }
        asked = line.hear(&answer).expect("still connected");
        if line.is_complete() {
            done = Some(line.world.millis);
        }
    }
    (count, done)
}

/// How a peer refuses.
#[derive(Clone, Copy)]
struct How {
    /// By a message of the Fast extension, or else by a choke.
    fast: bool,
    /// This piece alone.
    piece: Option<u32>,
    /// What it says after each answer.
    again: Option<Message<'static>>,
}

#[test]
fn what_is_refused_for_a_moment_is_asked_for_after_pauses_that_grow() {
    let unchoked = [Message::HaveAll, Message::Unchoke];
    let old = [Message::Bitfield(&[0xff, 0xc0]), Message::Unchoke];
    let mut allowed = vec![Message::HaveAll];
    allowed.extend((0..10).map(allow));
    for piece in [Some(4), None] {
        for until in [0, 100, 1000, 3000] {
            let how = |fast, again| How { fast, piece, again };
            for (name, opening, how) in [
                ("rejects", &unchoked[..], how(true, None)),
                ("chokes", &old, how(false, None)),
                ("rejects what it allows", &allowed, how(true, None)),
                (
                    "allows it again and again",
                    &allowed,
                    how(true, Some(allow(4))),
                ),
            ] {
                let mut line = Line::new(how.fast);
                let (asked, done) = refuse(&mut line, until, opening, how);
                assert!(asked <= 40, "{name}, {piece:?}: {asked} requests");
                assert!(done.is_some(), "{name}, {piece:?}, {until}: never complete");
                let done = done.unwrap_or_default();
                assert!(done <= 4500, "{name} {piece:?} until {until}: {done}");
            }
        }
    }
}

#[test]
fn a_peer_that_always_refuses_costs_next_to_nothing() {
    for fast in [true, false] {
        let mut line = Line::new(fast);
        let opening: &[Message<'_>] = match fast {
            true => &[Message::HaveAll, Message::Unchoke],
            false => &[Message::Bitfield(&[0xff, 0xc0]), Message::Unchoke],
        };
        let how = How {
            fast,
            piece: None,
            again: None,
        };
        let (asked, done) = refuse(&mut line, u64::MAX, opening, how);
        assert_eq!(done, None);
        assert!(asked <= 20, "{asked} requests");
        assert!(line.actions < 200, "{} actions", line.actions);
    }
}

#[test]
fn what_one_peer_refuses_others_are_asked_for_at_once() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx"), ('b', "xx")]);
    world.want('a', 2);
    world.want('b', 6);
    assert_eq!(world.leases().len(), 2, "a piece each");
    let piece = world.torrent.peers[&key('a')]
        .download
        .leased()
        .next()
        .unwrap()
        .piece;
    world.say('a', |it| {
        let refused = [0, 1].map(|index| Block::new(piece, index));
        it.returned = refused.into();
        it.refused = refused.into();
        it.want = 2;
    });
    let leases = world.leases();
    assert_eq!(leases, [format!("b lease {piece}:0 {piece}:1")]);
}

#[test]
fn a_piece_with_a_deadline_is_asked_of_others_while_a_peer_refuses_it() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx")]);
    world.want('a', 0);
    world.out();
    let soon = Duration::from_secs(5);
    world
        .torrent
        .set_deadline(world.now(), PieceIndex(1), soon, false);
    let urgent = |world: &mut World| -> Vec<String> {
        let mut out = world.out();
        out.retain(|line| line.contains(" urgent "));
        out
    };
    assert_eq!(urgent(&mut world), ["a urgent 1:0 1:1"]);
    let refuse = |it: &mut ConnectionReport| {
        it.returned = blocks("1:0 1:1");
        it.refused = blocks("1:0 1:1");
        it.want = 4;
    };
    world.say('a', refuse);
    assert!(urgent(&mut world).is_empty());
    world.pass(500);
    assert_eq!(urgent(&mut world), ["a urgent 1:0"], "one block, to see");
    world.say('a', |it| {
        it.blocks = blocks("1:0");
        it.want = 1;
    });
    assert_eq!(urgent(&mut world), ["a urgent 1:1"]);
}
