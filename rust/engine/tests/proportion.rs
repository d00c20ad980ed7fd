//! What a hostile torrent and its peers cost in memory: what was received and 8
//! MiB, however long the pieces are. A binary of its own, because it counts what
//! is allocated; one test, because nothing else may allocate meanwhile.
#![allow(unsafe_code, reason = "the counting allocator")]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use tokio::sync::mpsc;
use torrent_engine::buffers::BufferPool;
use torrent_engine::core::ids::{BLOCK_SIZE, Block, PeerKey, PieceIndex};
use torrent_engine::core::layout::Layout;
use torrent_engine::core::picker::{PeerPieces, Picker, Speed};
use torrent_engine::disk::{Disk, DiskConfig, StorageSpec};

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

const PEERS: u32 = 190;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn pieces_of_512_mib_cost_what_is_received() {
    let total = 200 * 512 * MIB as u64;
    let layout = Layout::new(512 << 20, [(total, false)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hashes = vec![0; 20 * layout.num_pieces() as usize].into();
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

    // Peers that have nothing to do cost little, however often they ask.
    for round in 0..50 {
        for peer in 0..PEERS {
            let mut again = Vec::new();
            let peer = PeerKey(u64::from(1000 + peer));
            let none = torrent_engine::core::bitfield::Bitfield::new(layout.num_pieces());
            picker.pick(
                peer,
                &PeerPieces::Some(&none),
                5,
                Speed::Slow,
                &[],
                &mut again,
            );
            assert!(again.is_empty(), "round {round}");
        }
    }
    disk.stop().await;
}
