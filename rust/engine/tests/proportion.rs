//! What a hostile torrent and its peers cost in memory: what was received and 8
//! MiB, however long the pieces are. A binary of its own, because it counts what
//! is allocated, with one test at a time, because nothing else may allocate
//! meanwhile.
#![allow(unsafe_code, reason = "the counting allocator")]

mod support;

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use torrent_engine::buffers::BufferPool;
use torrent_engine::core::ids::{BLOCK_SIZE, Block, PeerKey, PieceIndex};
use torrent_engine::core::layout::Layout;
use torrent_engine::core::picker::{PeerPieces, Picker, Speed};
use torrent_engine::core::piece_hash::PieceHashes;
use torrent_engine::disk::{Disk, DiskConfig, DiskEvent, StorageSpec};
use torrent_engine::session::AddTorrent;
use torrent_engine::status::{BlockInfo, BlockProgress, TorrentState};

use support::raw_peer::shake_from;
use support::{Node, Payload, wait_until};

/// The system's allocator, counting.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system allocator's own answer to the same request.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Memory) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Memory) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Held by the test that counts.
static ALONE: Mutex<()> = Mutex::new(());

const PEERS: u32 = 190;

const MIB: usize = 1 << 20;

#[test]
fn pieces_of_512_mib_cost_what_is_received() {
    let _alone = ALONE.lock();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(receive_blocks());
}

async fn receive_blocks() {
    let total = 200 * 512 * MIB as u64;
    let layout = Layout::new(512 << 20, [(total, false)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hashes = PieceHashes::sha1(vec![0; 20 * layout.num_pieces() as usize]);
    let paths = vec![PathBuf::from("f")];
    let spec = StorageSpec::new(layout.clone(), paths, hashes, folder.path()).unwrap();
    let disk = Disk::start(DiskConfig::default(), BufferPool::default()).unwrap();
    let (sender, _events) = mpsc::channel(1 << 12);
    let storage = disk.open(spec, sender);

    let before = LIVE.load(Relaxed);
    // Each peer has a piece to itself, and sends one block of it.
    let mut picker = Picker::new(&layout, 1);
    let mut received = 0;
    for peer in (0..PEERS).map(|peer| PeerKey(u64::from(peer))) {
        let mut leased = Vec::new();
        picker.pick(peer, &PeerPieces::All, 5, Speed::Fast, &[], &mut leased);
        assert_eq!(leased.len(), 5);
        let block = leased[0];
        picker.received(peer, block, &mut Vec::new());
        let data = vec![7; BLOCK_SIZE as usize];
        received += data.len();
        storage.write(vec![(block, Bytes::from(data))], peer);
    }
    storage.flush().await;
    let used = LIVE.load(Relaxed) - before;
    assert_eq!(picker.partial_pieces().count(), PEERS as usize);
    assert!(
        used <= received + 8 * MIB,
        "{used} bytes for {received} received"
    );

    // What is here of a long piece costs no more when the remainder of it comes.
    let piece = PieceIndex(picker.partial_pieces().next().unwrap().piece.0);
    for index in 100..1100 {
        let block = Block::new(piece, index);
        picker.received(PeerKey(0), block, &mut Vec::new());
        received += BLOCK_SIZE as usize;
        let data = Bytes::from(vec![7; BLOCK_SIZE as usize]);
        storage.write(vec![(block, data)], PeerKey(0));
    }
    storage.flush().await;
    let used = LIVE.load(Relaxed) - before;
    assert!(used <= received + 8 * MIB, "{used} bytes for {received}");
    disk.stop().await;
}

/// Pieces of padding with one block each, which is wrong, and a torrent that has no
/// time for what becomes of them.
#[test]
fn pieces_that_fail_cost_what_is_received_while_they_wait_to_be_reported() {
    const PIECES: usize = 300;
    const LENGTH: u32 = 64 << 20;
    let _alone = ALONE.lock();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        // The padding is in front, where all pieces have the same.
        let piece = [
            (u64::from(LENGTH - BLOCK_SIZE), true),
            (u64::from(BLOCK_SIZE), false),
        ];
        let files = std::iter::repeat_n(piece, PIECES).flatten();
        let layout = Layout::new(LENGTH, files).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let hashes = PieceHashes::sha1(vec![0; 20 * PIECES]);
        let paths = (0..2 * PIECES).map(|file| PathBuf::from(file.to_string()));
        let spec = StorageSpec::new(layout.clone(), paths.collect(), hashes, folder.path());
        let disk = Disk::start(DiskConfig::default(), BufferPool::default()).unwrap();
        let (sender, mut events) = mpsc::channel(1);
        let storage = disk.open(spec.unwrap(), sender);

        let before = LIVE.load(Relaxed);
        for piece in layout.pieces() {
            let block = Block::new(piece, layout.blocks_in_piece(piece) - 1);
            let data = Bytes::from(vec![7; BLOCK_SIZE as usize]);
            storage.write(vec![(block, data)], PeerKey(1));
        }
        // Until all of them are hashed.
        while disk.queued_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let used = LIVE.load(Relaxed).saturating_sub(before);
        let received = PIECES * BLOCK_SIZE as usize;
        assert!(
            used <= received + 8 * MIB,
            "{used} bytes for {received} received"
        );
        for _ in 0..PIECES {
            let event = events.recv().await.unwrap();
            let DiskEvent::PieceFailed { blocks, .. } = event else {
                panic!("{event:?}");
            };
            assert_eq!(blocks.len(), 1);
        }
        disk.stop().await;
    });
}

/// What a torrent costs that has everything and no peers: its task, its queues and
/// its lists, which hold nothing.
#[test]
fn an_idle_torrent_costs_little() {
    const TORRENTS: u32 = 50;
    let _alone = ALONE.lock();
    let mut node = Node::with(&[("alert_mask", 0.into())]);
    // Odd numbers: each is a payload of its own.
    let mut seed = |numbers: std::ops::Range<u32>| {
        let payloads = numbers.map(|number| {
            let payload = Payload::new(&[("a.bin", 100_000)], 16 * 1024, 2 * number + 1);
            (number.to_string(), payload)
        });
        for (name, payload) in payloads {
            let folder = node.folder.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            payload.write(&folder);
            let add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
            let handle = node.session.add_torrent(add).unwrap();
            wait_until("seeding", || handle.status().is_seeding);
        }
        node.drain();
    };
    // What is made with the first ones is shared.
    seed(0..10);
    let before = LIVE.load(Relaxed);
    seed(10..10 + TORRENTS);
    wait_until("nothing but idle torrents is in memory", || {
        LIVE.load(Relaxed).saturating_sub(before) <= TORRENTS as usize * 40 * 1024
    });
}

/// A torrent of `pieces` pieces of 511 MiB, all of whose hashes are wrong.
fn long_pieces(pieces: usize) -> Vec<u8> {
    let length = 511 * MIB;
    let mut torrent = format!(
        "d4:infod6:lengthi{}e4:name1:f12:piece lengthi{length}e6:pieces{}:",
        length * pieces,
        20 * pieces
    )
    .into_bytes();
    torrent.extend(vec![0; 20 * pieces]);
    torrent.extend(b"ee");
    torrent
}

/// Skips messages up to a request.
fn wait_for_request(stream: &mut TcpStream) {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut message).unwrap();
        if message.first() == Some(&6) {
            return;
        }
    }
}

// Other systems have one loopback address.
#[cfg(target_os = "linux")]
#[test]
fn what_is_shown_of_long_pieces_costs_what_is_begun() {
    const CALLERS: usize = 30;
    let _alone = ALONE.lock();
    let node = Node::with(&[
        ("alert_mask", 0.into()),
        ("status_update_interval", 100.into()),
    ]);
    let handle = node.add(&long_pieces(CALLERS));
    wait_until("it downloads", || {
        handle.status().state == TorrentState::Downloading
    });
    let before = LIVE.load(Relaxed);
    // Each has one piece, unchokes and never sends a block.
    let mut callers: Vec<TcpStream> = (0..CALLERS)
        .map(|at| {
            let id = 2 + at as u8;
            let from = Ipv4Addr::new(127, 0, 0, id);
            let mut stream = shake_from(from, node.endpoint(), handle.info_hash(), id);
            let mut pieces = vec![0; CALLERS.div_ceil(8)];
            pieces[at / 8] |= 0x80 >> (at % 8);
            let mut messages = (1 + pieces.len() as u32).to_be_bytes().to_vec();
            messages.push(5);
            messages.extend(pieces);
            messages.extend([0, 0, 0, 1, 1]);
            stream.write_all(&messages).unwrap();
            stream
        })
        .collect();
    callers.iter_mut().for_each(wait_for_request);
    wait_until("all of it is shown", || {
        handle.download_queue().len() == CALLERS
    });
    // The list that was read goes with its snapshot; nothing was received.
    wait_until("what is begun is all there is in memory", || {
        LIVE.load(Relaxed).saturating_sub(before) <= 8 * MIB
    });
    // A reader that asks gets the whole of it.
    let queue = handle.download_queue();
    assert_eq!(queue.len(), CALLERS);
    for piece in queue.iter() {
        assert_eq!(piece.blocks.len(), 511 * MIB / BLOCK_SIZE as usize);
        let asked = |block: &&BlockInfo| block.state == BlockProgress::Requested;
        assert_eq!(
            piece.blocks.iter().filter(asked).count(),
            piece.requested as usize
        );
        assert!(piece.requested > 0);
    }
}
