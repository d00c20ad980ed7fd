//! Driver tests: real workers on real files in folders of their own.

mod checking;
mod contract;
mod faults;
mod lifecycle;
#[cfg(unix)]
mod linking;
mod merkle_roots;
mod padding;
mod placing;
mod resuming;
mod syncing;
mod systems;
mod wanting;
mod writing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{BLOCK_SIZE, Block, PeerKey, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::merkle::MerkleHasher;
use torrent_core::piece_hash::{PieceHashKind, PieceHashes};

use super::{Disk, DiskConfig, DiskEvent, ResumeClaim, Storage, StorageKind, StorageSpec};
use crate::buffers::BufferPool;
use crate::hash::sha1;

const PEER: PeerKey = PeerKey(1);

/// Nothing here takes this long unless it is stuck, however busy the machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A torrent with its payload, a disk, and a storage in a folder of its own.
struct World {
    dir: tempfile::TempDir,
    layout: Layout,
    payload: Vec<u8>,
    paths: Vec<PathBuf>,
    disk: Disk,
    storage: Storage,
    events: mpsc::Receiver<DiskEvent>,
    pool: BufferPool,
}

/// Files as (path, length); a path that starts with `.pad` is padding.
fn world(piece_length: u32, files: &[(&str, u64)]) -> World {
    world_with(piece_length, files, DiskConfig::default())
}

fn world_with(piece_length: u32, files: &[(&str, u64)], config: DiskConfig) -> World {
    world_of(PieceHashKind::Sha1, piece_length, files, config)
}

/// The same with hashes of this kind.
fn world_of(
    kind: PieceHashKind,
    piece_length: u32,
    files: &[(&str, u64)],
    config: DiskConfig,
) -> World {
    world_in(StorageKind::Files, kind, piece_length, files, config)
}

/// The same with the bytes in files or in memory.
fn world_in(
    storage: StorageKind,
    kind: PieceHashKind,
    piece_length: u32,
    files: &[(&str, u64)],
    config: DiskConfig,
) -> World {
    let dir = tempfile::tempdir().unwrap();
    let pads = files
        .iter()
        .map(|(path, length)| (*length, path.starts_with(".pad")));
    let layout = Layout::new(piece_length, pads).unwrap();
    // Every byte differs from its neighbours and from those a block away.
    let mut payload: Vec<u8> = (0..layout.total_length())
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8)
        .collect();
    for place in layout.files().iter().filter(|place| place.pad) {
        payload[place.offset as usize..(place.offset + place.length) as usize].fill(0);
    }
    let paths: Vec<_> = files.iter().map(|(path, _)| PathBuf::from(path)).collect();
    let pool = BufferPool::new(4, 4);
    let disk = Disk::start(config, pool.clone()).unwrap();
    // Room for an event per piece, so that no test has to drain as it goes.
    let (sender, events) = mpsc::channel(1 << 16);
    let hashes = hashes(kind, &layout, &payload);
    let spec = StorageSpec::new(layout.clone(), paths.clone(), hashes, dir.path()).unwrap();
    let storage = disk.open(spec.kind(storage), sender);
    World {
        dir,
        layout,
        payload,
        paths,
        disk,
        storage,
        events,
        pool,
    }
}

fn spec(layout: &Layout, paths: &[PathBuf], payload: &[u8], save_path: &Path) -> StorageSpec {
    let hashes = hashes(PieceHashKind::Sha1, layout, payload);
    StorageSpec::new(layout.clone(), paths.to_owned(), hashes, save_path).unwrap()
}

fn hashes(kind: PieceHashKind, layout: &Layout, payload: &[u8]) -> PieceHashes {
    let pieces = layout
        .pieces()
        .zip(payload.chunks(layout.piece_length() as usize));
    let hashes = pieces.flat_map(|(piece, content)| match kind {
        PieceHashKind::Sha1 => sha1(content).to_vec(),
        PieceHashKind::MerkleRoot => {
            let mut hasher = MerkleHasher::new(layout.piece_tree(piece));
            hasher.update(content);
            hasher.finish().to_vec()
        }
    });
    PieceHashes::new(kind, hashes.collect::<Vec<u8>>())
}

impl World {
    fn path(&self, file: usize) -> PathBuf {
        self.dir.path().join(&self.paths[file])
    }

    fn blocks_of(&self, piece: u32) -> Vec<(Block, Bytes)> {
        let piece = PieceIndex(piece);
        (0..self.layout.blocks_in_piece(piece))
            .map(|index| Block::new(piece, index))
            .filter(|&block| self.layout.block_payload(block) > 0)
            .map(|block| {
                let begin = self.layout.piece_offset(piece) + u64::from(block.begin());
                let end = begin + u64::from(self.layout.block_len(block));
                let data = &self.payload[begin as usize..end as usize];
                (block, Bytes::copy_from_slice(data))
            })
            .collect()
    }

    /// The pieces that are not padding alone.
    fn payload_pieces(&self) -> Vec<u32> {
        let pieces = self.layout.pieces();
        let real = pieces.filter(|&piece| self.layout.piece_payload(piece) > 0);
        real.map(|piece| piece.0).collect()
    }

    fn all_blocks(&self) -> Vec<(Block, Bytes)> {
        let pieces = self.layout.pieces();
        pieces.flat_map(|piece| self.blocks_of(piece.0)).collect()
    }

    /// The next event, or a failed test.
    async fn event(&mut self) -> DiskEvent {
        tokio::time::timeout(LIMIT, self.events.recv())
            .await
            .expect("an event in time")
            .expect("a channel")
    }

    /// Everything reported about what was handed over so far.
    async fn settle(&mut self) -> Vec<DiskEvent> {
        self.storage.flush().await;
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        events
    }

    /// Has `pieces` believed without a look.
    async fn trust(&self, pieces: &Bitfield) {
        let claim = ResumeClaim {
            verify_files: false,
            ..claim(pieces.clone())
        };
        self.storage.check_resume(claim).await.unwrap();
    }

    /// Puts the payload on disk without the storage's help.
    fn fill_files(&self) {
        for (place, path) in self.layout.files().iter().zip(&self.paths) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let range = place.offset as usize..(place.offset + place.length) as usize;
            if !place.pad {
                fs::write(path, &self.payload[range]).unwrap();
            }
        }
    }

    /// Every stored file has its contents and padding was not stored.
    fn assert_files(&self) {
        for (place, path) in self.layout.files().iter().zip(&self.paths) {
            let path = self.dir.path().join(path);
            if place.pad {
                assert!(!path.exists(), "{}", path.display());
            } else {
                let range = place.offset as usize..(place.offset + place.length) as usize;
                let found = fs::read(&path).unwrap();
                assert!(found == self.payload[range], "{}", path.display());
            }
        }
    }
}

/// A claim about `have` alone.
fn claim(have: Bitfield) -> ResumeClaim {
    ResumeClaim {
        have,
        unfinished: BTreeMap::new(),
        stats: Vec::new(),
        verify_files: true,
        seed: 1,
    }
}

/// Waits until `condition` holds: for what a worker does unasked.
async fn until(mut condition: impl FnMut() -> bool) {
    let held = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let held = tokio::time::timeout(LIMIT, held).await;
    held.expect("the condition never held");
}

/// The pieces reported as verified, sorted; other events fail the test.
fn verified(events: &[DiskEvent]) -> Vec<u32> {
    let mut pieces = Vec::new();
    for event in events {
        match event {
            DiskEvent::Verified(some) => pieces.extend(some.iter().map(|piece| piece.0)),
            // Comes with pieces that failed at first.
            DiskEvent::Audited { .. } => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    pieces.sort_unstable();
    pieces
}

/// A small generator, so that a failing order can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
