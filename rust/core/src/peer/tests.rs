mod lost;
mod snub;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::ids::BLOCK_SIZE;
use crate::settings::Settings;
use crate::torrent::CloseReason;
use crate::wire::Request;

const PIECE: u32 = 64 * 1024;

struct World {
    now: Instant,
    conn: Connection,
}

impl World {
    /// A connection for a torrent of eight pieces of four blocks each, the
    /// last of which is one byte short.
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let layout = Layout::new(PIECE, [(u64::from(PIECE) * 8 - 1, false)]).unwrap();
        // The only clock in these tests: everything else is relative to it.
        #[expect(clippy::disallowed_methods)]
        let now = Instant::now();
        Self {
            now,
            conn: Connection::new(Arc::new(layout), Limits::from(&settings), now),
        }
    }

    fn feed(&mut self, messages: &[Message<'_>]) -> Result<Vec<BlockIn>, PeerError> {
        let mut input = Vec::new();
        for message in messages {
            message.encode(&mut input);
        }
        let mut blocks = Vec::new();
        let taken = self.conn.handle_input(self.now, &input, &mut blocks)?;
        assert_eq!(taken, input.len());
        Ok(blocks)
    }

    /// Everything that waits to be sent, decoded.
    fn sent(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        while self.conn.wants_write() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.conn.slices(&mut slices);
            let chunk: Vec<u8> = slices[..filled]
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect();
            self.conn.handle_sent(self.now, chunk.len());
            bytes.extend(chunk);
        }
        let mut messages = Vec::new();
        let mut rest = &bytes[..];
        while let Some((message, used)) = Message::decode(rest, 1 << 20).unwrap() {
            messages.push(match message {
                Message::Request(it) => format!("request {}:{}+{}", it.piece, it.begin, it.length),
                Message::Cancel(it) => format!("cancel {}:{}", it.piece, it.begin),
                Message::Piece { piece, begin, data } => {
                    format!("piece {piece}:{begin}+{}", data.len())
                }
                Message::Have(piece) => format!("have {piece}"),
                other => format!("{other:?}").to_lowercase(),
            });
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
        messages
    }

    /// Unchoked by the peer and interested in it, with `count` blocks leased.
    fn downloading(mut self, count: u32) -> Self {
        self.feed(&[Message::Unchoke]).unwrap();
        self.conn.set_interested(self.now, true);
        let blocks: Vec<Block> = (0..count).map(block).collect();
        self.conn.lease(self.now, &blocks);
        self
    }

    fn report(&mut self) -> Report {
        self.conn.take_report().expect("a report")
    }
}

#[test]
fn what_a_peer_says_before_the_metadata_is_judged_when_it_comes() {
    let has = |bits| Message::Bitfield(bits);
    let layout = || Arc::new(Layout::new(PIECE, [(u64::from(PIECE) * 10, false)]).unwrap());
    let mut world = World::new();
    let limits = Limits::from(&Settings::default());
    world.conn = Connection::without_metadata(limits, world.now);
    let early = Message::Have(PieceIndex(9));
    let asked = request(0);
    world
        .feed(&[has(&[0x80, 0]), Message::Unchoke, early, asked])
        .unwrap();
    let report = world.report();
    assert_eq!((report.bitfield, report.haves.len()), (None, 0));
    world.conn.set_metadata(layout()).unwrap();
    let pieces = world.report().bitfield.unwrap();
    assert_eq!(pieces.iter().collect::<Vec<_>>(), [0, 9]);
    world.feed(&[Message::Have(PieceIndex(1))]).unwrap();
    assert_eq!(world.report().haves, [PieceIndex(1)]);

    let mut world = World::new();
    world.conn = Connection::without_metadata(limits, world.now);
    world.feed(&[has(&[0x80])]).unwrap();
    let judged = world.conn.set_metadata(layout());
    assert_eq!(judged, Err(PeerError::WrongBitfield));
}

/// The `at`-th block of the torrent.
fn block(at: u32) -> Block {
    Block::new(PieceIndex(at / 4), at % 4)
}

fn piece(at: u32, data: &[u8]) -> Message<'_> {
    let block = block(at);
    Message::Piece {
        piece: block.piece,
        begin: block.begin(),
        data,
    }
}

fn request(at: u32) -> Message<'static> {
    let block = block(at);
    Message::Request(Request {
        piece: block.piece,
        begin: block.begin(),
        length: BLOCK_SIZE,
    })
}

#[test]
fn leases_become_requests_as_far_as_the_window_is_open() {
    let mut world = World::new().downloading(0);
    let want = world.report().want;
    assert!(want >= 4, "a first request for blocks, not {want}");
    let blocks: Vec<Block> = (0..31).map(block).collect();
    world.conn.lease(world.now, &blocks);
    let sent = world.sent();
    assert_eq!(sent[0], "interested");
    let first = sent.len() - 1;
    assert!((2..31).contains(&first), "{first} requests at first");
    assert_eq!(sent[1], "request 0:0+16384");

    // Each block lets more requests out, from the lease and without asking.
    let data = vec![7; BLOCK_SIZE as usize];
    let got = world.feed(&[piece(0, &data), piece(1, &data)]).unwrap();
    assert_eq!(got.len(), 2);
    assert_eq!((got[0].block, got[1].block), (block(0), block(1)));
    assert_eq!(got[1].payload.len(), data.len());
    assert!(world.sent().len() >= 2);
    let report = world.report();
    assert_eq!(report.blocks, [block(0), block(1)]);
    assert_eq!(report.stats.payload_received, 2 * u64::from(BLOCK_SIZE));
}

#[test]
fn partial_messages_are_left_and_come_again() {
    let mut world = World::new().downloading(1);
    let data = vec![7; BLOCK_SIZE as usize];
    let mut input = Vec::new();
    Message::KeepAlive.encode(&mut input);
    piece(0, &data).encode(&mut input);
    let mut blocks = Vec::new();
    let now = world.now;
    let taken = world
        .conn
        .handle_input(now, &input[..1000], &mut blocks)
        .unwrap();
    assert_eq!((taken, blocks.len()), (4, 0));
    let taken = world
        .conn
        .handle_input(now, &input[4..], &mut blocks)
        .unwrap();
    assert_eq!((taken, blocks.len()), (input.len() - 4, 1));
    assert_eq!(blocks[0].payload, 13..13 + data.len());
}

#[test]
fn unasked_blocks_are_not_passed_on() {
    let mut world = World::new().downloading(1);
    let data = vec![7; BLOCK_SIZE as usize];
    assert!(world.feed(&[piece(5, &data)]).unwrap().is_empty());
    assert_eq!(world.report().stats.redundant, u64::from(BLOCK_SIZE));
    // The same block twice: the second time it is no longer asked for.
    assert_eq!(
        world
            .feed(&[piece(0, &data), piece(0, &data)])
            .unwrap()
            .len(),
        1
    );
    assert_eq!(world.report().stats.redundant, 2 * u64::from(BLOCK_SIZE));
}

#[test]
fn a_choke_gives_every_lease_back() {
    let mut world = World::new().downloading(20);
    world.sent();
    world.report();
    world.feed(&[Message::Choke]).unwrap();
    let report = world.report();
    assert_eq!(report.choked, Some(true));
    assert_eq!(report.returned.len(), 20);
    assert_eq!(report.want, 0);
    // A lease that crossed the choke comes straight back.
    world.conn.lease(world.now, &[block(3)]);
    assert_eq!(world.report().returned, [block(3)]);
    assert!(world.sent().is_empty());
    // Unchoked again, it asks again.
    world.feed(&[Message::Unchoke]).unwrap();
    assert!(world.report().want > 0);
}

#[test]
fn a_cancelled_lease_is_taken_back_on_the_wire_if_it_was_sent() {
    let mut world = World::new().downloading(30);
    let requested = world.sent().len() as u32 - 1;
    let reserve = 29;
    assert!(requested <= reserve);
    world.conn.cancel(world.now, &[block(0), block(reserve)]);
    assert_eq!(world.sent()[0], "cancel 0:0");
    assert!(
        world
            .feed(&[piece(0, &vec![0; BLOCK_SIZE as usize])])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_silent_debtor_is_snubbed_and_loses_its_leases() {
    let mut world = World::new().downloading(20);
    world.report();
    let due = world.conn.poll_timeout();
    assert_eq!(due, world.now + Duration::from_secs(20));
    world.now = due;
    world.conn.handle_timeout(due).unwrap();
    let report = world.report();
    assert_eq!(report.returned.len(), 20);
    assert!(report.stats.snubbed);
    assert!((1..=3).contains(&report.want), "{}", report.want);
}

#[test]
fn silence_ends_a_connection_and_quiet_is_filled_with_keep_alives() {
    let mut world = World::new();
    let start = world.now;
    world.now = world.conn.poll_timeout();
    world.conn.handle_timeout(world.now).unwrap();
    assert_eq!(world.sent(), ["keepalive"]);
    world.now = start + Duration::from_secs(120);
    assert_eq!(
        world.conn.handle_timeout(world.now),
        Err(PeerError::TimedOut)
    );
}

#[test]
fn adjacent_requests_become_one_read() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    world.sent();
    world
        .feed(&[request(0), request(1), request(2), request(9)])
        .unwrap();
    let job = world.conn.poll_read().unwrap();
    assert_eq!(
        (job.piece, job.begin, job.length),
        (PieceIndex(0), 0, 3 * BLOCK_SIZE)
    );
    let other = world.conn.poll_read().unwrap();
    assert_eq!(
        (other.piece, other.begin, other.length),
        (PieceIndex(2), BLOCK_SIZE, BLOCK_SIZE)
    );
    assert_eq!(world.conn.poll_read(), None);
    let data = Bytes::from(vec![1; job.length as usize]);
    assert_eq!(world.conn.handle_read(&job, Some(&data)), None);
    assert_eq!(
        world.sent(),
        [
            "piece 0:0+16384",
            "piece 0:16384+16384",
            "piece 0:32768+16384"
        ]
    );
    // What cannot be read is not sent.
    let left = world.conn.handle_read(&other, None);
    assert_eq!(left, Some(CloseReason::CannotTell), "it knows no refusals");
    assert!(world.sent().is_empty());
}

#[test]
fn uploads_respect_the_watermark_and_the_choke() {
    let mut world = World::with(|settings| settings.send_buffer_watermark = 32_768);
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    for at in [0, 4, 8, 12] {
        world.feed(&[request(at)]).unwrap();
    }
    let one = world.conn.poll_read().unwrap();
    let two = world.conn.poll_read().unwrap();
    let data = Bytes::from(vec![1; BLOCK_SIZE as usize]);
    assert_eq!(world.conn.handle_read(&one, Some(&data)), None);
    assert_eq!(world.conn.handle_read(&two, Some(&data)), None);
    assert_eq!(world.conn.poll_read(), None, "above the watermark");
    world.sent();
    let three = world.conn.poll_read().unwrap();
    world.conn.set_choking(true);
    assert_eq!(world.conn.handle_read(&three, Some(&data)), None);
    assert_eq!(world.sent(), ["choke"]);
    assert_eq!(world.conn.poll_read(), None, "the choke dropped the rest");
}

#[test]
fn payload_counts_as_sent_when_it_is_and_is_reported_soon() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    world
        .feed(&[Message::Interested, request(0), request(1)])
        .unwrap();
    let job = world.conn.poll_read().unwrap();
    let data = Bytes::from(vec![7; job.length as usize]);
    assert_eq!(world.conn.handle_read(&job, Some(&data)), None);
    assert_eq!(world.report().stats.payload_sent, 0);
    let mut reported = Vec::new();
    while world.conn.wants_write() {
        // As under a low limit.
        world.conn.handle_sent(world.now, 1000);
        reported.extend(world.conn.take_report().map(|it| it.stats.payload_sent));
    }
    assert_eq!(reported.last(), Some(&(2 * u64::from(BLOCK_SIZE))));
    assert_eq!(reported.len(), 2);
}

#[test]
fn requests_for_what_cannot_be_read_are_refused() {
    let mut world = World::new();
    world.conn.features.fast = true;
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    world.feed(&[request(4), request(8), request(9)]).unwrap();
    world.sent();
    let refusal = |at| {
        let Message::Request(request) = request(at) else {
            panic!("not a request");
        };
        format!("{:?}", Message::Reject(request)).to_lowercase()
    };
    let read = world.conn.poll_read().unwrap();
    assert_eq!(world.conn.handle_read(&read, None), None);
    assert_eq!(world.sent(), [refusal(4)]);
    // What still waits for a piece that is gone is not read in vain.
    let told = world.conn.announce_lost(world.now, &[PieceIndex(2)]);
    assert_eq!(told, None);
    assert_eq!(world.sent(), [refusal(8), refusal(9)]);
    assert_eq!(world.conn.poll_read(), None);
    world.feed(&[request(8)]).unwrap();
    assert_eq!(world.sent(), [refusal(8)]);
}

#[test]
fn senseless_requests_are_ignored_up_to_a_limit() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.feed(&[request(0)]).unwrap();
    assert_eq!(world.conn.poll_read(), None, "choked peers get nothing");
    world.conn.set_choking(false);
    let bad = |piece, begin, length| {
        Message::Request(Request {
            piece: PieceIndex(piece),
            begin,
            length,
        })
    };
    let bad = [
        bad(8, 0, BLOCK_SIZE),
        bad(0, PIECE, 1),
        bad(0, u32::MAX, u32::MAX),
        bad(0, 0, BLOCK_SIZE + 1),
        bad(7, PIECE - BLOCK_SIZE, BLOCK_SIZE),
        bad(0, 0, 0),
    ];
    world.feed(&bad).unwrap();
    assert_eq!(world.conn.poll_read(), None);
    let error = (0..100).find_map(|_| world.feed(&bad).err());
    assert_eq!(error, Some(PeerError::InvalidRequests));
}

#[test]
fn a_request_flood_is_cut_off() {
    let mut world = World::with(|settings| settings.max_allowed_in_request_queue = 16);
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    let flood: Vec<_> = (0..17).map(request).collect();
    assert_eq!(world.feed(&flood), Err(PeerError::TooManyRequests));
}

#[test]
fn a_cancel_takes_a_request_out_of_the_queue() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    let Message::Request(first) = request(0) else {
        unreachable!()
    };
    world
        .feed(&[request(0), request(9), Message::Cancel(first)])
        .unwrap();
    assert_eq!(world.conn.poll_read().unwrap().piece, PieceIndex(2));
    assert_eq!(world.conn.poll_read(), None);
}

#[test]
fn hostile_numbers_end_the_connection() {
    let cases: [(Message<'_>, PeerError); 3] = [
        (Message::Have(PieceIndex(8)), PeerError::NoSuchPiece(8)),
        (Message::Bitfield(&[0xff, 0xff]), PeerError::WrongBitfield),
        (
            Message::Piece {
                piece: PieceIndex(0),
                begin: 1,
                data: &[0; 100],
            },
            PeerError::NoSuchBlock,
        ),
    ];
    for (message, error) in cases {
        assert_eq!(World::new().feed(&[message]), Err(error));
    }
}

#[test]
fn a_later_bitfield_replaces_what_was_said_before() {
    let mut world = World::new();
    world
        .feed(&[
            Message::Have(PieceIndex(1)),
            Message::Bitfield(&[0x80]),
            Message::Have(PieceIndex(2)),
        ])
        .unwrap();
    let report = world.report();
    assert_eq!(report.bitfield.unwrap().as_bytes(), [0x80]);
    assert_eq!(report.haves, [PieceIndex(2)]);
}

#[test]
fn pieces_are_announced_once() {
    let mut world = World::new();
    let mut have = Bitfield::new(8);
    have.set(1);
    world.conn.announce_pieces(&have);
    world.conn.announce_have(&[PieceIndex(1), PieceIndex(2)]);
    assert_eq!(world.sent(), ["bitfield([64])", "have 2"]);
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::new(8));
    assert!(world.sent().is_empty(), "an empty bitfield is not sent");
}

#[test]
fn blocks_before_an_error_in_the_same_input_are_given_back() {
    let mut world = World::new().downloading(3);
    let data = vec![7; BLOCK_SIZE as usize];
    world.feed(&[piece(0, &data)]).unwrap();
    let bad = Message::Have(PieceIndex(8));
    let error = world.feed(&[piece(1, &data), bad, piece(2, &data)]);
    assert_eq!(error, Err(PeerError::NoSuchPiece(8)));
    let report = world.report();
    assert_eq!(report.blocks, [block(0)]);
    assert_eq!(report.returned, [block(1)]);
}

#[test]
fn a_snubbed_peer_keeps_few_of_the_blocks_it_asked_for_before() {
    let mut world = World::new().downloading(1);
    world.now = world.conn.poll_timeout();
    world.conn.handle_timeout(world.now).unwrap();
    world.report();
    let blocks: Vec<Block> = (0..20).map(block).collect();
    world.conn.lease(world.now, &blocks);
    let report = world.report();
    assert!(report.stats.snubbed);
    assert_eq!(report.stats.outstanding, 1);
    assert!(report.returned.len() >= 15, "{}", report.returned.len());
}

#[test]
fn requests_that_cross_a_choke_are_no_offence() {
    let mut world = World::with(|settings| settings.max_allowed_in_request_queue = 100);
    world.conn.announce_pieces(&Bitfield::full(8));
    for _ in 0..20 {
        world.conn.set_choking(false);
        world.conn.set_choking(true);
        let flood: Vec<_> = (0..30).chain(0..30).map(request).collect();
        world.feed(&flood).unwrap();
        assert_eq!(world.conn.poll_read(), None);
    }
    let flood: Vec<_> = (0..30).map(request).collect();
    world.feed(&flood).unwrap();
    assert_eq!(world.feed(&flood), Err(PeerError::InvalidRequests));
}

#[test]
fn a_long_message_over_a_slow_link_is_not_silence() {
    let mut world = World::new().downloading(1);
    let mut input = Vec::new();
    piece(0, &[7; BLOCK_SIZE as usize]).encode(&mut input);
    for part in 1..5 {
        world.now += Duration::from_secs(50);
        let (now, end) = (world.now, part * 4000);
        let taken = world.conn.handle_input(now, &input[..end], &mut Vec::new());
        assert_eq!(taken, Ok(0));
        world.conn.handle_timeout(now).unwrap();
    }
}

#[test]
fn urgent_blocks_are_requested_before_all_others_be_the_window_full_or_not() {
    let mut world = World::new().downloading(12);
    assert_eq!(world.sent().len(), 1 + 4);
    world.conn.lease_urgent(world.now, &[block(20), block(21)]);
    assert_eq!(world.sent(), ["request 5:0+16384", "request 5:16384+16384"]);
    assert_eq!(world.conn.final_report().stats.outstanding, 6);
}

#[test]
fn blocks_that_were_withdrawn_are_welcome_all_the_same() {
    let mut world = World::new().downloading(6);
    world.sent();
    world.conn.withdraw(world.now, &[block(0), block(5)]);
    let sent = world.sent();
    assert_eq!(sent, ["cancel 0:0", "request 1:0+16384"]);
    let data = vec![7; BLOCK_SIZE as usize];
    let late = Message::Piece {
        piece: PieceIndex(0),
        begin: 0,
        data: &data,
    };
    assert_eq!(world.feed(&[late]).unwrap().len(), 1);
    let report = world.conn.final_report();
    assert_eq!((report.blocks, report.stats.redundant), (vec![block(0)], 0));
    // Twice is once too often.
    assert!(world.feed(&[late]).unwrap().is_empty());
    assert_eq!(world.conn.final_report().stats.redundant, 16_384);
}

#[test]
fn a_snubbing_peer_may_still_deliver_what_others_are_asked_for() {
    let mut world = World::new().downloading(3);
    world.sent();
    world.now += Duration::from_secs(20);
    world.conn.handle_timeout(world.now).unwrap();
    let report = world.conn.final_report();
    assert_eq!(report.returned, [block(0), block(1), block(2)]);
    assert!(report.stats.snubbed && report.notes.is_empty());
    let data = vec![7; BLOCK_SIZE as usize];
    let late = Message::Piece {
        piece: PieceIndex(0),
        begin: 16_384,
        data: &data,
    };
    assert_eq!(world.feed(&[late]).unwrap().len(), 1);
    assert!(!world.conn.final_report().stats.snubbed);
}

#[test]
fn only_what_is_watched_is_noted() {
    let everything = Watched {
        progress: true,
        trouble: true,
        peer: true,
        upload: true,
        asked: true,
    };
    for watched in [Watched::default(), everything] {
        let mut world = World::new();
        world.conn.watch(watched);
        let mut world = world.downloading(2);
        let data = vec![7; BLOCK_SIZE as usize];
        let piece = |index| Message::Piece {
            piece: PieceIndex(index),
            begin: 0,
            data: &data,
        };
        world.feed(&[piece(0), piece(4)]).unwrap();
        world.conn.set_choking(false);
        let request = Request {
            piece: PieceIndex(1),
            begin: 0,
            length: 1,
        };
        world
            .feed(&[Message::Request(request), Message::Choke])
            .unwrap();
        let expected = vec![
            Note::Requested(block(0)),
            Note::Requested(block(1)),
            Note::Finished(block(0)),
            Note::Unwanted(block(16)),
            Note::Invalid {
                request,
                we_have: false,
                interested: false,
                withheld: false,
            },
            Note::Dropped(block(1)),
        ];
        let noted = world.conn.final_report().notes;
        let quiet = watched == Watched::default();
        assert_eq!(noted, if quiet { Vec::new() } else { expected });
    }
}

#[test]
fn a_block_under_way_is_shown() {
    let mut world = World::new().downloading(1);
    let data = vec![7; BLOCK_SIZE as usize];
    let mut input = Vec::new();
    Message::Piece {
        piece: PieceIndex(0),
        begin: 0,
        data: &data,
    }
    .encode(&mut input);
    let mut blocks = Vec::new();
    for (end, bytes) in [(12, None), (13, Some(0)), (113, Some(100))] {
        world
            .conn
            .handle_input(world.now, &input[..end], &mut blocks)
            .unwrap();
        let incoming = world.conn.final_report().stats.incoming;
        assert_eq!(incoming.map(|it| it.bytes), bytes);
    }
    world
        .conn
        .handle_input(world.now, &input, &mut blocks)
        .unwrap();
    assert_eq!(world.conn.final_report().stats.incoming, None);
}

#[test]
fn urgent_blocks_beyond_the_limit_wait_in_their_order_before_all_others() {
    let mut world = World::with(|it| it.max_out_request_queue = 4).downloading(6);
    world.sent();
    world.conn.lease_urgent(world.now, &[block(20), block(21)]);
    world.conn.lease_urgent(world.now, &[block(24)]);
    world.conn.promote(world.now, &[block(5), block(30)]);
    assert_eq!(world.sent(), [""; 0]);
    world.conn.cancel(world.now, &[block(21)]);
    world
        .conn
        .cancel(world.now, &[block(0), block(1), block(2), block(3)]);
    let sent = world.sent();
    let requests: Vec<&str> = sent
        .iter()
        .filter_map(|it| it.strip_prefix("request "))
        .collect();
    assert_eq!(
        requests,
        ["5:0+16384", "6:0+16384", "1:16384+16384", "1:0+16384"]
    );
}
