use std::sync::Arc;
use std::time::Instant;

use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{Block, PeerId, PeerKey, PieceIndex};
use torrent_core::peer::{ConnectionKind, ConnectionReport, PieceNews};
use torrent_core::peerlist::Sources;
use torrent_core::torrent::{PeerMeta, Room};

use super::*;
use crate::disk::StorageSlot;
use crate::session::add::AddTorrent;
use crate::session::registry::Origin;
use crate::session::runtime;
use crate::session::tests::support::{Node, Payload};
use crate::status::download_queue::DownloadQueue;
use crate::torrent::{DISK_QUEUE, REPORT_QUEUE, metadata, mpsc};

/// What is shown of a torrent, but for its status.
struct Parts {
    swarm: Arc<SwarmSnapshot>,
    files: Arc<FilesSnapshot>,
    trackers: Arc<Shown<TrackersSnapshot>>,
    queue: Arc<DownloadQueue>,
}

impl Parts {
    fn of(handle: &TorrentHandle) -> Self {
        let view = &handle.shared.view;
        Self {
            swarm: view.swarm.load_full(),
            files: view.files.load_full(),
            trackers: view.trackers.load_full(),
            queue: view.download_queue.load_full(),
        }
    }

    /// Which are other objects than those.
    fn changes(&self, before: &Self) -> Vec<&'static str> {
        let same = [
            ("swarm", Arc::ptr_eq(&self.swarm, &before.swarm)),
            ("files", Arc::ptr_eq(&self.files, &before.files)),
            ("trackers", Arc::ptr_eq(&self.trackers, &before.trackers)),
            ("queue", Arc::ptr_eq(&self.queue, &before.queue)),
        ];
        let changed = same.iter().filter(|(_, same)| !same);
        changed.map(|&(part, _)| part).collect()
    }
}

#[tokio::test]
async fn a_snapshot_of_an_idle_torrent_touches_no_pieces() {
    let node = Node::new();
    let session = &node.session.shared;
    let context = runtime::context(session).unwrap();
    let torrent = Payload::of_two_files(1).torrent(Some("http://127.0.0.1:9/"));
    let add = AddTorrent::from_data(&torrent, node.folder.path()).unwrap();
    let (handle, new) = session.register(add, Origin::Game).unwrap();
    let (reports, _report_queue) = mpsc::channel(REPORT_QUEUE);
    let (disk_events, _disk_queue) = mpsc::channel(DISK_QUEUE);
    let (slot, lease) = (StorageSlot::default(), new.unwrap().claim.lease);
    let mut driver = Driver::new(context, handle.clone(), slot, disk_events, reports, lease);
    let now = Instant::now();
    let pieces = driver.brain.layout().num_pieces();
    driver.brain.checked(now, &Bitfield::new(pieces));
    driver.drain_outputs();
    driver.publish(now);
    assert_eq!(
        driver.times.times.next_snapshot(),
        None,
        "it has nothing to do"
    );

    // Parts without a reader are not made, and unchanged ones are not replaced.
    let before = Parts::of(&handle);
    driver.publish(now);
    driver.publish(now);
    assert!(Parts::of(&handle).changes(&before).is_empty());
    assert!(!before.swarm.is_made() && !before.files.is_made());
    driver.publish_pieces();
    let shown = handle.pieces();
    driver.publish_pieces();
    assert!(Arc::ptr_eq(&shown, &handle.pieces()), "nothing was copied");
    assert_eq!(*handle.piece_availability(), vec![0; pieces as usize]);
    assert_eq!(*handle.file_progress(), [0, 0]);

    // A piece changes what is shown of pieces, and no more.
    driver.brain.pieces_verified(now, &[PieceIndex(0)]);
    driver.drain_outputs();
    driver.publish(now);
    assert_eq!(Parts::of(&handle).changes(&before), ["files"]);
    assert_eq!(handle.pieces().count(), 1);
    assert_eq!(handle.file_progress()[0], 32 * 1024);
    assert!(
        Parts::of(&handle).files.is_made(),
        "made ahead for its reader"
    );

    // So do trackers.
    let before = Parts::of(&handle);
    handle.add_tracker("http://127.0.0.1:9/more", 0).unwrap();
    driver.trackers_changed(now);
    assert!(driver.times.times.next_snapshot().is_some());
    driver.publish(now);
    assert_eq!(Parts::of(&handle).changes(&before), ["trackers"]);
    assert_eq!(handle.trackers().len(), 2);
    driver.context.disk.stop().await;
}

/// The driver of a torrent that has files and no task.
fn driver_with_files(node: &Node) -> Driver {
    let session = &node.session.shared;
    let context = runtime::context(session).unwrap();
    let torrent = Payload::of_two_files(1).torrent(None);
    let add = AddTorrent::from_data(&torrent, node.folder.path()).unwrap();
    let (handle, new) = session.register(add, Origin::Game).unwrap();
    let (reports, _) = mpsc::channel(REPORT_QUEUE);
    let (disk_events, _) = mpsc::channel(DISK_QUEUE);
    let slot = StorageSlot::default();
    let spec = metadata::spec(&handle.metainfo().unwrap().info, &handle).unwrap();
    let _ = slot.set(context.disk.open(spec, disk_events.clone()));
    Driver::new(
        context,
        handle,
        slot,
        disk_events,
        reports,
        new.unwrap().claim.lease,
    )
}

#[tokio::test]
async fn a_snapshot_reads_no_begun_piece_that_is_as_it_was() {
    let node = Node::new();
    let mut driver = driver_with_files(&node);
    let (now, peer) = (Instant::now(), PeerKey(1));
    let pieces = driver.brain.layout().num_pieces();
    driver.brain.checked(now, &Bitfield::new(pieces));
    driver.brain.start(now);
    let meta = PeerMeta {
        endpoint: ([127, 0, 0, 1], 9).into(),
        id: PeerId([1; 20]),
        connection: ConnectionKind::Tcp,
        encryption: None,
        incoming: false,
        source: Sources::MANUAL,
        connect_time: Duration::ZERO,
    };
    driver
        .brain
        .peer_connected(now, peer, meta, Room::Free)
        .unwrap();
    let report = |want, blocks| ConnectionReport {
        pieces: PieceNews {
            bitfield: Some(Bitfield::full(pieces)),
            ..PieceNews::default()
        },
        choked: Some(false),
        want,
        blocks,
        ..ConnectionReport::default()
    };
    driver.brain.peer_report(now, peer, report(6, Vec::new()));
    driver.publish(now);
    let queue = |driver: &Driver| driver.handle.shared.view.download_queue.load_full();
    let before = queue(&driver);
    assert!(before.rows().len() > 1);
    driver.publish(now);
    let same = queue(&driver);
    let kept = |one: &DownloadQueue, other: &DownloadQueue| {
        let rows = one.rows().iter().zip(other.rows());
        rows.filter(|(one, other)| Arc::ptr_eq(one, other)).count()
    };
    assert_eq!(kept(&before, &same), before.rows().len());
    // A block changes its piece, and no other.
    let first = driver.brain.picker().partial_pieces().next().unwrap();
    let requested = first.begun_blocks().next().unwrap().0;
    let block = Block::new(first.piece, requested);
    driver.brain.peer_report(now, peer, report(0, vec![block]));
    driver.publish(now);
    let other = queue(&driver);
    assert_eq!(other.rows().len(), before.rows().len());
    assert_eq!(kept(&before, &other), before.rows().len() - 1);
    driver.context.disk.stop().await;
}

#[tokio::test]
async fn a_snapshot_in_seed_mode_reads_pieces_when_they_have_changed() {
    let node = Node::new();
    let mut driver = driver_with_files(&node);
    let now = Instant::now();
    let pieces = driver.brain.layout().num_pieces();
    driver.brain.checked(now, &Bitfield::new(pieces));
    driver.storage.work.seed_mode = true;
    driver.publish(now);
    let shown = |driver: &Driver| driver.handle.shared.view.verified.load_full();
    let before = shown(&driver);
    driver.publish(now);
    driver.publish(now);
    assert!(Arc::ptr_eq(&before, &shown(&driver)));
    let storage = driver.storage.slot.get().unwrap();
    storage.mark_unknown(&Bitfield::full(pieces));
    driver.publish(now);
    assert!(!Arc::ptr_eq(&before, &shown(&driver)));
    driver.context.disk.stop().await;
}
