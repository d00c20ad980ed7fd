//! The choker on a clock of its own.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::testing::{Machine, at, check_contract, count_outputs};

const ONE: TorrentKey = TorrentKey(1);
const TWO: TorrentKey = TorrentKey(2);

fn peer(key: u64) -> Candidate {
    Candidate {
        key: PeerKey(key),
        interested: true,
        unchoked: false,
        fresh: true,
        since: at(0),
        download_rate: 0,
        upload_rate: 0,
        uploaded: 0,
        progress: 0,
    }
}

fn choker(slots: UploadSlots) -> Choker {
    Choker::new(
        at(0),
        ChokerSettings {
            slots,
            ..ChokerSettings::default()
        },
    )
}

/// Reports to the choker how torrent one stands.
fn report(
    choker: &mut Choker,
    torrent: TorrentKey,
    applied: u64,
    peers: &[Candidate],
    seeding: bool,
) {
    choker.update(
        torrent,
        Standing {
            applied,
            seeding,
            max_uploads: None,
            piece_length: 1000,
            candidates: peers.to_vec(),
        },
    );
}

/// Carries out changes, as the brain would.
fn carry_out(millis: u64, peers: &mut [Candidate], changes: &Changes) {
    for peer in peers.iter_mut() {
        let (choke, unchoke) = (
            changes.choke.contains(&peer.key),
            changes.unchoke.contains(&peer.key),
        );
        assert!(!choke || peer.unchoked);
        assert!(!unchoke || !peer.unchoked);
        if choke || unchoke {
            peer.unchoked = unchoke;
            peer.fresh &= choke;
            peer.since = at(millis);
            peer.uploaded = 0;
        }
    }
}

/// Reports and carries out a decision, with nothing crossing; the slots of
/// torrent one by the letters of their holders.
fn step(choker: &mut Choker, millis: u64, peers: &mut [Candidate], seeding: bool) -> String {
    let applied = choker.groups.get(&ONE).map_or(0, |group| group.sent);
    report(choker, ONE, applied, peers, seeding);
    for (torrent, changes) in decide(choker, at(millis)) {
        assert_eq!(torrent, ONE);
        carry_out(millis, peers, &changes);
    }
    holders(peers)
}

/// What the choker puts out at this time.
fn decide(choker: &mut Choker, now: Instant) -> Vec<(TorrentKey, Changes)> {
    choker.handle_timeout(now);
    std::iter::from_fn(|| choker.poll_output()).collect()
}

fn holders(peers: &[Candidate]) -> String {
    let name = |peer: &Candidate| char::from(b'a' + peer.key.0 as u8);
    let holds = peers.iter().filter(|peer| peer.unchoked);
    holds.map(name).collect()
}

fn optimistic(choker: &Choker, key: u64) -> bool {
    choker.groups[&ONE].optimistic.contains(&PeerKey(key))
}

#[test]
fn everybody_gets_a_slot_at_once_while_there_are_enough() {
    let mut choker = choker(UploadSlots::Fixed(3));
    let mut peers = vec![peer(0)];
    assert_eq!(choker.poll_timeout(), None);
    assert_eq!(step(&mut choker, 0, &mut peers, false), "a");
    peers.push(peer(1));
    peers.push(peer(2));
    peers[2].interested = false;
    assert_eq!(step(&mut choker, 1, &mut peers, false), "ab");
    peers[2].interested = true;
    peers.push(peer(3));
    assert_eq!(step(&mut choker, 2, &mut peers, false), "abc");
    assert_eq!(choker.poll_timeout(), Some(at(15_000)));
    peers.remove(0);
    assert_eq!(step(&mut choker, 3, &mut peers, false), "bcd");
}

#[test]
fn who_lost_interest_makes_room_only_for_others() {
    let mut choker = choker(UploadSlots::Fixed(2));
    let mut peers = vec![peer(0), peer(1)];
    step(&mut choker, 0, &mut peers, false);
    peers[0].interested = false;
    assert_eq!(step(&mut choker, 1, &mut peers, false), "ab");
    peers.push(peer(2));
    assert_eq!(step(&mut choker, 2, &mut peers, false), "bc");
    peers[1].interested = false;
    assert_eq!(step(&mut choker, 15_000, &mut peers, false), "c");
}

#[test]
fn slots_go_to_those_that_send_most_and_one_goes_round() {
    let mut choker = choker(UploadSlots::Fixed(3));
    let mut peers: Vec<_> = (0..6).map(peer).collect();
    for (peer, rate) in peers.iter_mut().zip([10, 50, 0, 40, 0, 20]) {
        peer.download_rate = rate;
    }
    // Two slots by merit (b, d); the third to each of the others in turn.
    let mut seen = String::new();
    for round in 0..8 {
        let slots = step(&mut choker, round * 15_000, &mut peers, false);
        assert!(slots.contains('b') && slots.contains('d'), "{slots}");
        let other = slots.replace(['b', 'd'], "");
        assert_eq!(other.len(), 1);
        let key = u64::from(other.as_bytes()[0] - b'a');
        assert!(optimistic(&choker, key) && !optimistic(&choker, 1));
        seen += &other;
    }
    assert_eq!(seen.len(), 8);
    let (firsts, seconds): (Vec<char>, Vec<char>) = (
        seen.chars().step_by(2).collect(),
        seen.chars().skip(1).step_by(2).collect(),
    );
    assert_eq!(firsts, seconds, "kept for two rounds");
    assert_eq!(firsts.iter().collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn a_newcomer_is_next_in_the_optimistic_slot() {
    let mut choker = choker(UploadSlots::Fixed(2));
    let mut peers: Vec<_> = (0..3).map(peer).collect();
    peers[0].download_rate = 9;
    assert_eq!(step(&mut choker, 0, &mut peers, false), "ab");
    peers[2].fresh = false;
    peers.push(peer(3));
    peers[3].since = at(20_000);
    assert_eq!(step(&mut choker, 30_000, &mut peers, false), "ad");
    assert_eq!(step(&mut choker, 60_000, &mut peers, false), "ac");
}

#[test]
fn seeding_goes_round_by_quota() {
    let mut choker = Choker::new(
        at(0),
        ChokerSettings {
            slots: UploadSlots::Fixed(3),
            optimistic: 1,
            optimistic_interval: Duration::from_secs(1 << 30),
            ..ChokerSettings::default()
        },
    );
    let mut peers: Vec<_> = (0..5).map(peer).collect();
    for peer in &mut peers {
        peer.since = at(peer.key.0);
    }
    assert_eq!(step(&mut choker, 10, &mut peers, true), "abc");
    assert!(optimistic(&choker, 2));
    peers[0].uploaded = 20_000;
    peers[1].uploaded = 19_999;
    // The quota counts only after a minute.
    assert_eq!(step(&mut choker, 30_000, &mut peers, true), "abc");
    assert_eq!(step(&mut choker, 60_010, &mut peers, true), "bcd");
    assert_eq!(step(&mut choker, 90_000, &mut peers, true), "bcd");
}

#[test]
fn seeding_can_prefer_the_fastest_or_the_ends() {
    let mut peers: Vec<_> = (0..4).map(peer).collect();
    for (peer, (rate, progress)) in peers
        .iter_mut()
        .zip([(5, 500), (1, 990), (9, 400), (2, 20)])
    {
        (peer.upload_rate, peer.progress) = (rate, progress);
    }
    for (order, winners) in [
        (SeedOrder::FastestUpload, [2, 0]),
        (SeedOrder::AntiLeech, [1, 3]),
    ] {
        let mut choker = Choker::new(
            at(0),
            ChokerSettings {
                slots: UploadSlots::Fixed(3),
                seed_order: order,
                ..ChokerSettings::default()
            },
        );
        report(&mut choker, ONE, 0, &peers, true);
        let unchoke = decide(&mut choker, at(0)).remove(0).1.unchoke;
        assert!(winners.iter().all(|&key| unchoke.contains(&PeerKey(key))));
    }
}

#[test]
fn slots_by_rate_grow_with_what_the_peers_take() {
    let mut choker = choker(UploadSlots::ByRate);
    let mut peers: Vec<_> = (0..9).map(peer).collect();
    assert_eq!(step(&mut choker, 0, &mut peers, true).len(), 1);
    for round in 1..9u64 {
        for peer in &mut peers {
            peer.upload_rate = if peer.unchoked { 6000 } else { 0 };
        }
        let slots = step(&mut choker, round * 15_000, &mut peers, true).len();
        assert_eq!(slots, 4.min(round as usize + 1));
    }
}

#[test]
fn fewer_slots_take_effect_at_once_and_none_is_possible() {
    let mut choker = choker(UploadSlots::Unlimited);
    let mut peers: Vec<_> = (0..20).map(peer).collect();
    assert_eq!(step(&mut choker, 0, &mut peers, false).len(), 20);
    choker.set_settings(
        at(0),
        ChokerSettings {
            slots: UploadSlots::Fixed(2),
            ..ChokerSettings::default()
        },
    );
    assert_eq!(step(&mut choker, 1, &mut peers, false).len(), 2);
    choker.set_settings(
        at(0),
        ChokerSettings {
            slots: UploadSlots::Fixed(0),
            ..ChokerSettings::default()
        },
    );
    assert_eq!(step(&mut choker, 2, &mut peers, false), "");
    assert_eq!(step(&mut choker, 3, &mut peers, false), "");
}

#[test]
fn the_slots_are_the_sessions_and_a_torrents_limit_holds_within_them() {
    let mut choker = choker(UploadSlots::Fixed(5));
    let mut first: Vec<_> = (0..6).map(peer).collect();
    let mut second: Vec<_> = (0..6).map(peer).collect();
    for (one, other) in first.iter_mut().zip(&mut second) {
        (one.download_rate, other.download_rate) = (10 + one.key.0, 100 + one.key.0);
    }
    report(&mut choker, ONE, 0, &first, false);
    choker.update(
        TWO,
        Standing {
            applied: 0,
            seeding: false,
            max_uploads: Some(2),
            piece_length: 1000,
            candidates: second.clone(),
        },
    );
    for (torrent, changes) in decide(&mut choker, at(0)) {
        let peers = if torrent == ONE {
            &mut first
        } else {
            &mut second
        };
        carry_out(0, peers, &changes);
    }
    // Torrent two has the better partners, but at most two slots, one of which
    // it keeps for others than the best.
    let (one, two) = (holders(&first), holders(&second));
    assert_eq!(one.len() + two.len(), 5, "{one} {two}");
    assert!(two.len() <= 2, "{two}");
    assert!(two.contains('f') && one.contains('f'), "{one} {two}");
    // Torrent two goes: at once the others have its slots.
    choker.remove(TWO);
    assert_eq!(step(&mut choker, 1, &mut first, false).len(), 5);
}

#[test]
fn a_torrents_own_limit_lets_everybody_have_a_turn() {
    let mut choker = choker(UploadSlots::Fixed(8));
    let mut peers: Vec<_> = (0..5).map(peer).collect();
    for peer in &mut peers {
        peer.download_rate = peer.key.0;
    }
    let mut seen = BTreeSet::new();
    for round in 0..10 {
        let applied = choker.groups.get(&ONE).map_or(0, |group| group.sent);
        choker.update(
            ONE,
            Standing {
                applied,
                seeding: false,
                max_uploads: Some(2),
                piece_length: 1000,
                candidates: peers.clone(),
            },
        );
        for (_, changes) in decide(&mut choker, at(round * 15_000)) {
            carry_out(round * 15_000, &mut peers, &changes);
        }
        let slots = holders(&peers);
        assert_eq!(slots.len(), 2);
        assert!(slots.contains('e'), "{slots}");
        seen.extend(slots.chars());
    }
    assert_eq!(seen.len(), 5);
}

#[test]
fn a_report_that_crosses_a_decision_does_not_give_a_slot_twice() {
    let mut choker = choker(UploadSlots::Fixed(1));
    let mut peers: Vec<_> = (0..2).map(peer).collect();
    report(&mut choker, ONE, 0, &peers, false);
    let (_, changes) = decide(&mut choker, at(0)).remove(0);
    assert_eq!((changes.number, changes.unchoke.len()), (1, 1));
    // The torrent does not know of it yet, and another looks better now.
    let other = usize::from(changes.unchoke[0] == PeerKey(0));
    peers[other].download_rate = 1000;
    report(&mut choker, ONE, 0, &peers, false);
    assert_eq!(decide(&mut choker, at(1)), []);
    // It was lost on the way: what the torrent says is true again.
    choker.undelivered(ONE);
    report(&mut choker, ONE, 0, &peers, false);
    let (_, changes) = decide(&mut choker, at(2)).remove(0);
    assert_eq!(changes.unchoke, [PeerKey(other as u64)]);
    carry_out(2, &mut peers, &changes);
    report(&mut choker, ONE, changes.number, &peers, false);
    assert_eq!(decide(&mut choker, at(3)), []);
}

#[test]
fn who_gives_goes_before_who_only_takes() {
    let mut choker = choker(UploadSlots::Fixed(3));
    let mut giving: Vec<_> = (0..3).map(peer).collect();
    let mut taking: Vec<_> = (0..3).map(peer).collect();
    for peer in &mut giving {
        peer.download_rate = 1;
    }
    for peer in &mut taking {
        peer.upload_rate = 1_000_000;
    }
    report(&mut choker, TWO, 0, &giving, false);
    report(&mut choker, ONE, 0, &taking, true);
    let decided = decide(&mut choker, at(0));
    let two = &decided.iter().find(|it| it.0 == TWO).unwrap().1;
    assert!(two.unchoke.len() - two.optimistic.len() == 2);
}

#[test]
fn settings_come_by_libtorrents_names() {
    let settings = Settings {
        choking_algorithm: 2,
        seed_choking_algorithm: 1,
        ..Settings::default()
    };
    let read = ChokerSettings::from(&settings);
    assert_eq!(read.slots, UploadSlots::ByRate);
    assert_eq!(read.seed_order, SeedOrder::FastestUpload);
    assert_eq!(
        ChokerSettings::from(&Settings::default()),
        ChokerSettings::default()
    );
    let unlimited = Settings {
        unchoke_slots_limit: -1,
        ..Settings::default()
    };
    assert_eq!(
        ChokerSettings::from(&unlimited).slots,
        UploadSlots::Unlimited
    );
}

impl Machine for Choker {
    fn poll_timeout(&self) -> Option<Instant> {
        Choker::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Choker::handle_timeout(self, now);
    }

    fn poll_all(&mut self, _now: Instant) -> usize {
        count_outputs(|| self.poll_output())
    }
}

proptest! {
    #[test]
    fn slots_are_never_exceeded_nor_left_empty(
        slots in 0u32..6,
        seeding: bool,
        rounds in prop::collection::vec(
            (1u64..20_000, prop::collection::vec((any::<bool>(), 0u64..100), 0..12)), 1..20),
    ) {
        let mut choker = choker(UploadSlots::Fixed(slots));
        let mut peers: Vec<Candidate> = Vec::new();
        let mut millis = 0;
        for (wait, states) in rounds {
            millis += wait;
            peers.truncate(states.len());
            for (key, (interested, rate)) in (0..).zip(states) {
                if peers.len() as u64 <= key {
                    peers.push(Candidate { since: at(millis), ..peer(key) });
                }
                let peer = &mut peers[key as usize];
                peer.interested = interested;
                (peer.download_rate, peer.upload_rate) = (rate, rate);
                peer.uploaded += rate * 1000;
            }
            step(&mut choker, millis, &mut peers, seeding);
            let count = |test: fn(&&Candidate) -> bool| peers.iter().filter(test).count();
            prop_assert!(count(|peer| peer.unchoked) <= slots as usize);
            let served = count(|peer| peer.unchoked && peer.interested);
            prop_assert_eq!(served, count(|peer| peer.interested).min(slots as usize));
        }
        check_contract(&mut choker, at(millis));
        check_contract(&mut choker, at(millis + 60_000));
    }
}
