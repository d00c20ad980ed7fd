//! Torrents of next to nothing but padding: what they cost is what was received,
//! not what their pieces measure.

use super::*;
use crate::disk::{CheckMode, DiskErrorKind};
use crate::hash::padding::ZeroHashes;
use crate::hash::{PieceHasher, Sha1Hasher};

const MIB: u64 = 1 << 20;

/// A disk with a torrent of pieces of which all but a block is padding.
struct Padded {
    _dir: tempfile::TempDir,
    disk: Disk,
    storage: Storage,
    events: mpsc::Receiver<DiskEvent>,
    blocks: Vec<(Block, Bytes)>,
}

/// As many pieces as `data`, each with that block before or behind its padding.
fn padded(piece_length: u64, data: &[u8], data_first: bool) -> Padded {
    let dir = tempfile::tempdir().unwrap();
    let (size, padding) = (u64::from(BLOCK_SIZE), piece_length - u64::from(BLOCK_SIZE));
    let pair = match data_first {
        true => [(size, false), (padding, true)],
        false => [(padding, true), (size, false)],
    };
    let files = data.iter().flat_map(|_| pair);
    let layout = Layout::new(piece_length as u32, files).unwrap();
    let name = |at| PathBuf::from(format!("{at}"));
    let paths: Vec<PathBuf> = (0..2 * data.len()).map(name).collect();
    // The test's own: what it hashes does not count.
    let zeros = ZeroHashes::default();
    let index = if data_first { 0 } else { padding / size } as u32;
    let mut hashes = Vec::new();
    let mut blocks = Vec::new();
    for (piece, &byte) in (0u32..).zip(data) {
        let block = Bytes::from(vec![byte; BLOCK_SIZE as usize]);
        let mut hasher = PieceHasher::Sha1(Sha1Hasher::new());
        if !data_first {
            zeros.update(&mut hasher, padding);
        }
        hasher.update(&block);
        if data_first {
            zeros.update(&mut hasher, padding);
        }
        hashes.extend(hasher.finish().as_bytes());
        blocks.push((Block::new(PieceIndex(piece), index), block));
    }
    let spec = StorageSpec::new(layout, paths, PieceHashes::sha1(hashes), dir.path()).unwrap();
    let disk = Disk::start(DiskConfig::default(), BufferPool::new(4, 4)).unwrap();
    let (sender, events) = mpsc::channel(1 << 16);
    let storage = disk.open(spec, sender);
    Padded {
        _dir: dir,
        disk,
        storage,
        events,
        blocks,
    }
}

impl Padded {
    fn hashed(&self) -> u64 {
        self.disk.inner.common.zeros.hashed()
    }

    /// The next event but for progress.
    async fn event(&mut self) -> DiskEvent {
        loop {
            let event = tokio::time::timeout(LIMIT, self.events.recv()).await;
            match event.expect("an event in time").expect("a channel") {
                DiskEvent::CheckProgress { .. } => {}
                event => return event,
            }
        }
    }

    /// Hands over all blocks, and waits until all pieces are there.
    async fn download(&mut self) {
        self.storage.write(self.blocks.clone(), PEER);
        let mut verified = 0;
        while verified < self.blocks.len() {
            match self.event().await {
                DiskEvent::Verified(pieces) => verified += pieces.len(),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn check(&mut self) -> DiskEvent {
        let _check = self.storage.check(CheckMode::All);
        self.event().await
    }
}

#[tokio::test]
async fn padding_is_hashed_once_for_all_pieces_that_share_it() {
    let length = 32 * MIB;
    // Sixty pieces with the same data before the padding, or any behind it.
    for (data, data_first) in [([7; 60], true), (std::array::from_fn(|at| at as u8), false)] {
        let mut world = padded(length, &data, data_first);
        world.download().await;
        // Two workers may come to the first one at the same time.
        assert!(world.hashed() <= 2 * length, "{} bytes", world.hashed());
        let before = world.hashed();
        let DiskEvent::Checked { have, .. } = world.check().await else {
            panic!("the check failed");
        };
        assert!(have.is_full());
        assert_eq!(world.hashed(), before, "a check hashes none of it again");
    }
}

#[tokio::test]
async fn far_more_padding_than_payload_is_an_error_and_not_minutes_of_work() {
    // 1.5 GiB behind 48 KiB, none of it to be shared.
    let mut world = padded(512 * MIB, &[1, 2, 3], true);
    world.storage.write(world.blocks.clone(), PEER);
    let error = loop {
        match world.event().await {
            DiskEvent::Verified(_) => {}
            DiskEvent::WriteFailed { error, .. } => break error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(error.kind, DiskErrorKind::Other);
    assert!(error.message.contains("padding"), "{error}");
    assert!(world.hashed() < 1100 * MIB, "{} bytes", world.hashed());
}

#[tokio::test]
async fn a_worker_does_its_other_work_between_steps_of_padding() {
    let mut world = padded(512 * MIB, &[1], true);
    world.storage.write(world.blocks.clone(), PEER);
    // It is answered before the piece is done, which takes 128 steps.
    world.storage.flush().await;
    assert!(world.hashed() < 256 * MIB, "{} bytes", world.hashed());
    assert!(matches!(world.event().await, DiskEvent::Verified(_)));
}
