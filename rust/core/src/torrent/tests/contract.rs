//! Any course of events keeps the contract of the machines, and the invariants.

use proptest::prelude::*;

use super::*;

const PEERS: [char; 4] = ['a', 'b', 'c', 'd'];
const PIECES: u32 = 5;

/// Something happens to the torrent; `choice` says to which peer or piece.
fn step(world: &mut World, what: u8, choice: u8) {
    let now = world.now();
    let peer = PEERS[usize::from(choice) % PEERS.len()];
    let piece = u32::from(choice) % PIECES;
    let is_peer = world.torrent.peer(key(peer)).is_some();
    match what {
        0 | 1 if !is_peer => {
            if world.join(peer, choice.is_multiple_of(2)).is_ok() {
                world.say(peer, |it| {
                    it.pieces.bitfield =
                        Some(bits(["xxxxx", "x.x.x", "....."][usize::from(choice) % 3]));
                    it.choked = Some(false);
                });
            }
        }
        2 if is_peer => world.leave(peer, choice > 127),
        3 | 4 if is_peer => world.want(peer, u32::from(choice % 8)),
        5 if is_peer => world.say(peer, |it| it.choked = Some(choice > 127)),
        6 if is_peer => world.say(peer, |it| it.interested = Some(choice > 127)),
        7 | 8 if is_peer => {
            let leased: Vec<Block> = world
                .torrent
                .peer(key(peer))
                .into_iter()
                .flat_map(|peer| peer.download.leased())
                .collect();
            world.say(peer, |it| match choice % 3 {
                0 => it.refused = leased,
                1 => it.returned = leased,
                _ => it.blocks = leased,
            });
        }
        9 => world.verified(&[piece]),
        10 => world.failed(piece, &[peer, peer]),
        11 => world.torrent.piece_lost(now, PieceIndex(piece)),
        12 => world.torrent.set_storage_failed(now, choice > 127),
        13 => world.torrent.checking(now, TorrentState::CheckingFiles),
        14 if world.torrent.state().is_checking() => world.torrent.checked(now, &bits("x.x..")),
        15 => world.torrent.stop(now),
        16 => world.torrent.start(now),
        17 => world.torrent.pause_gracefully(now),
        18 => world
            .torrent
            .woke_up(now, Duration::from_secs(u64::from(choice) * 60)),
        19 => world.torrent.set_deadline(
            now,
            PieceIndex(piece),
            Duration::from_millis(u64::from(choice)),
            choice > 127,
        ),
        20 => {
            let drawing = ["-....", ".....", "x-x-x"][usize::from(choice) % 3];
            world.prioritize(drawing);
        }
        21 => world.torrent.set_modes(
            now,
            Modes {
                upload_mode: choice & 1 != 0,
                share_mode: choice & 2 != 0,
                super_seeding: choice & 4 != 0,
                stop_when_ready: choice & 8 != 0,
            },
        ),
        22 => drop(world.torrent.connect_to(now, endpoint(peer))),
        23 => world.torrent.set_limits(now, i64::from(choice % 4), -1),
        24 => world.choking(),
        _ => world.millis += u64::from(choice) * 40,
    }
}

proptest! {
    #[test]
    fn the_contract_holds_whatever_happens(
        seed in any::<bool>(),
        steps in prop::collection::vec((0u8..30, any::<u8>()), 1..100),
    ) {
        let mut world = World::new(if seed { "xxxxx" } else { "....." });
        for (what, choice) in steps {
            step(&mut world, what, choice);
            let now = world.now();
            check_contract(&mut world.torrent, now);
            world.torrent.check_invariants();
        }
        let stopped = world.now();
        world.torrent.stop(stopped);
        check_contract(&mut world.torrent, stopped);
        prop_assert_eq!(world.torrent.poll_timeout(), None, "one that is stopped sleeps");
    }
}
