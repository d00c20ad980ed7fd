//! Pieces that are allowed in spite of a choke (BEP 6), with a real connection
//! between the brain and the peer.

use std::io::IoSlice;

use super::*;
use crate::layout::Layout;
use crate::peer::{Connection, Limits, Opening, PeerError};
use crate::wire::{Features, Message, Request};

/// A brain, one connection, and what the peer receives of it.
struct Line {
    world: World,
    connection: Connection,
    /// Commands of the brain, and reports to it.
    actions: usize,
}

impl Line {
    /// To a peer that speaks Fast, of a torrent of ten pieces of two blocks.
    fn new() -> Self {
        let mut world = World::new("..........");
        world.join('p', false).unwrap();
        let piece = 2 * BLOCK_SIZE;
        let layout = Layout::new(piece, [(u64::from(piece) * 10, false)]).unwrap();
        let limits = Limits::from(&Settings::default());
        let mut connection = Connection::new(Arc::new(layout), limits, world.now());
        let opening = Opening {
            info_hash: Default::default(),
            remote: endpoint('p'),
            client: String::new(),
            port: None,
            allowed_fast: 0,
        };
        connection.set_opening(Features::OURS, opening);
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
        for turn in 0.. {
            assert!(turn < 50, "the brain and the connection never come to rest");
            let before = self.actions;
            while let Some(output) = self.world.torrent.poll_output() {
                if let Output::Peer(_, command) = output {
                    self.connection.obey(now, command)?;
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

    fn allowed(&self) -> usize {
        self.world.torrent.peers[&key('p')].allowed_fast.len()
    }
}

fn allow(piece: u32) -> Message<'static> {
    Message::AllowedFast(PieceIndex(piece))
}

fn rejects(requests: &[Request]) -> Vec<Message<'static>> {
    requests.iter().copied().map(Message::Reject).collect()
}

#[test]
fn a_permission_that_is_taken_back_is_asked_for_no_longer() {
    let mut line = Line::new();
    let hello = [Message::HaveAll, allow(7), allow(u32::MAX)];
    let asked = line.hear(&hello).unwrap();
    let pieces: Vec<u32> = asked.iter().map(|it| it.piece.0).collect();
    assert_eq!(pieces, [7, 7]);
    assert_eq!(line.allowed(), 1, "the other does not exist");
    assert_eq!(line.hear(&rejects(&asked)), Ok(Vec::new()));
    assert_eq!(line.allowed(), 0);
    assert!(line.actions < 20, "{} actions", line.actions);
    // It may change its mind, and others are fetched whole.
    let asked = line.hear(&[allow(7), allow(2)]).unwrap();
    assert_eq!(asked.len(), 4);
    let left = line.hear(&rejects(&asked[..1])).unwrap();
    assert!(left.is_empty(), "{left:?}");
    // What was asked for of a choked piece is asked for again at the unchoke.
    let asked = line.hear(&[Message::Unchoke]).unwrap();
    assert!(!asked.is_empty());
}

#[test]
fn who_allows_and_refuses_in_turn_is_left() {
    let mut line = Line::new();
    let mut asked = line.hear(&[Message::HaveAll, allow(7)]).unwrap();
    let mut error = None;
    for _ in 0..2000 {
        let mut answer = rejects(&asked);
        answer.push(allow(7));
        match line.hear(&answer) {
            Ok(next) => asked = next,
            Err(reason) => {
                error = Some(reason);
                break;
            }
        }
        assert_eq!(line.allowed(), 1);
    }
    assert_eq!(error, Some(PeerError::RefusesAll));
}
