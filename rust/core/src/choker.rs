//! Who may download from us (BEP 3, "choking").
//!
//! One [`Choker`] a torrent, owned by its brain, which calls
//! [`Choker::decide`] at [`Choker::poll_timeout`] and whenever a peer joins,
//! leaves or changes its interest, and sends the chokes and unchokes that come
//! out. A free slot is given away at once; who holds a slot loses it only at a
//! regular round (every 15 s), to the peers that do most for us, or, when we
//! seed, to those that have waited longest. Some slots are optimistic: they go
//! round (every 30 s) among those that have earned none, newcomers first, so
//! that better partners are found.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use crate::ids::PeerKey;

/// How many slots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// Everybody who is interested.
    Unlimited,
    /// So many.
    Fixed(u32),
    /// As many as peers reach steps of upload rate that go up by
    /// [`RATE_STEP`], and one to spare.
    ByRate,
}

/// Bytes a second that each further slot of [`Slots::ByRate`] must carry more
/// than the one before; the first must carry half of it.
pub const RATE_STEP: u64 = 2048;

/// Who goes first while we seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedOrder {
    /// In turn, each for its quota.
    RoundRobin,
    /// Those that take most.
    FastestUpload,
    /// Those that have just begun or are nearly done, for they have least to
    /// gain by being here without giving.
    AntiLeech,
}

/// The settings of a choker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChokerSettings {
    /// How many slots there are, optimistic ones included.
    pub slots: Slots,
    /// How many of them are optimistic; 0 means a fifth, and at least one.
    pub optimistic: u32,
    /// Time between regular rounds.
    pub interval: Duration,
    /// Time between changes of the optimistic slots.
    pub optimistic_interval: Duration,
    /// Who goes first while we seed.
    pub seed_order: SeedOrder,
    /// Bytes that a peer may take in one turn of [`SeedOrder::RoundRobin`]:
    /// `seeding_piece_quota` pieces.
    pub quota: u64,
}

impl ChokerSettings {
    /// Eight slots, rounds every 15 s and 30 s, and turns of 20 pieces of
    /// `piece_length` bytes.
    pub fn new(piece_length: u32) -> Self {
        Self {
            slots: Slots::Fixed(8),
            optimistic: 0,
            interval: Duration::from_secs(15),
            optimistic_interval: Duration::from_secs(30),
            seed_order: SeedOrder::RoundRobin,
            quota: 20 * u64::from(piece_length),
        }
    }
}

/// What a decision knows of a connected peer.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The peer.
    pub key: PeerKey,
    /// Whether it is interested in what we have.
    pub interested: bool,
    /// Whether we unchoke it now.
    pub unchoked: bool,
    /// Whether we have never unchoked it.
    pub fresh: bool,
    /// When we unchoked it, or choked it, or when it connected: whichever was
    /// last.
    pub since: Instant,
    /// Payload bytes a second that we get from it.
    pub download_rate: u64,
    /// Payload bytes a second that it gets from us.
    pub upload_rate: u64,
    /// Payload bytes that it got from us since it was unchoked.
    pub uploaded: u64,
    /// How much of the torrent it has, in thousandths.
    pub progress: u16,
}

/// What is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Peers to choke; each is unchoked now.
    pub choke: Vec<PeerKey>,
    /// Peers to unchoke; each is choked now.
    pub unchoke: Vec<PeerKey>,
}

/// A turn lasts at least this long, however much was taken in it.
const MIN_TURN: Duration = Duration::from_secs(60);

/// The slots of one torrent.
#[derive(Clone, Debug)]
pub struct Choker {
    settings: ChokerSettings,
    /// Holders of optimistic slots.
    optimistic: Vec<PeerKey>,
    /// `None` before the first round.
    next_round: Option<Instant>,
    next_rotation: Option<Instant>,
}

impl Choker {
    /// A choker that has not held a round yet; the first is due at once.
    pub fn new(settings: ChokerSettings) -> Self {
        Self {
            settings,
            optimistic: Vec::new(),
            next_round: None,
            next_rotation: None,
        }
    }

    /// Puts other settings into effect, from the next decision on, which is due
    /// at once.
    pub fn set_settings(&mut self, settings: ChokerSettings) {
        self.settings = settings;
        self.next_round = None;
    }

    /// When a decision is due though nothing happens; `None` for at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_round
    }

    /// Whether the peer holds an optimistic slot.
    pub fn is_optimistic(&self, peer: PeerKey) -> bool {
        self.optimistic.contains(&peer)
    }

    /// Decides who is unchoked: everything anew when a round is due or more
    /// slots are taken than there are; else only free slots are given away.
    /// `peers` are all connected peers of the torrent, in any order.
    pub fn decide(&mut self, now: Instant, peers: &[Candidate], seeding: bool) -> Changes {
        self.optimistic
            .retain(|key| peers.iter().any(|peer| peer.key == *key));
        let slots = self.slots(peers);
        let taken = peers.iter().filter(|peer| peer.unchoked).count();
        if self.next_round.is_none_or(|due| now >= due) || taken > slots {
            self.next_round = now.checked_add(self.settings.interval);
            self.round(now, peers, seeding, slots)
        } else {
            self.fill(now, peers, seeding, slots - taken)
        }
    }

    fn slots(&self, peers: &[Candidate]) -> usize {
        match self.settings.slots {
            Slots::Unlimited => usize::MAX,
            Slots::Fixed(slots) => slots as usize,
            Slots::ByRate => {
                let mut rates: Vec<u64> = peers
                    .iter()
                    .filter(|peer| peer.unchoked)
                    .map(|peer| peer.upload_rate)
                    .collect();
                rates.sort_unstable_by_key(|&rate| Reverse(rate));
                let steps = (0..).map(|step| RATE_STEP / 2 + step * RATE_STEP);
                1 + rates
                    .iter()
                    .zip(steps)
                    .take_while(|(rate, step)| **rate >= *step)
                    .count()
            }
        }
    }

    fn optimistic_slots(&self, slots: usize) -> usize {
        match self.settings.optimistic {
            0 => (slots / 5).max(1).min(slots),
            some => (some as usize).min(slots),
        }
    }

    /// Gives every slot anew.
    fn round(&mut self, now: Instant, peers: &[Candidate], seeding: bool, slots: usize) -> Changes {
        let mut ranked: Vec<&Candidate> = peers.iter().filter(|peer| peer.interested).collect();
        let mut winners: Vec<PeerKey>;
        if ranked.len() <= slots {
            winners = ranked.iter().map(|peer| peer.key).collect();
            self.optimistic.clear();
        } else {
            ranked.sort_by_key(|peer| self.rank(now, peer, seeding));
            let optimistic = self.optimistic_slots(slots);
            let waiting = ranked.split_off(slots - optimistic);
            winners = ranked.iter().map(|peer| peer.key).collect();
            self.rotate(now, waiting, optimistic);
            winners.extend(&self.optimistic);
        }
        let wins = |peer: &&Candidate| winners.contains(&peer.key);
        Changes {
            choke: peers
                .iter()
                .filter(|peer| peer.unchoked && !wins(peer))
                .map(|peer| peer.key)
                .collect(),
            unchoke: peers
                .iter()
                .filter(|peer| !peer.unchoked && wins(peer))
                .map(|peer| peer.key)
                .collect(),
        }
    }

    /// Gives the optimistic slots to some of those that have no other.
    fn rotate(&mut self, now: Instant, mut waiting: Vec<&Candidate>, slots: usize) {
        let due = self.next_rotation.is_none_or(|due| now >= due);
        if due {
            self.next_rotation = now.checked_add(self.settings.optimistic_interval);
        }
        // Who holds one keeps it until the rotation, then goes last.
        let holders = &self.optimistic;
        waiting.sort_by_key(|peer| {
            let holds = holders.contains(&peer.key);
            (holds == due, peer.unchoked, !peer.fresh, peer.since)
        });
        self.optimistic = waiting
            .into_iter()
            .take(slots)
            .map(|peer| peer.key)
            .collect();
    }

    /// Gives away free slots, and those of peers that have lost interest when
    /// somebody else wants them.
    fn fill(&self, now: Instant, peers: &[Candidate], seeding: bool, free: usize) -> Changes {
        let mut wanting: Vec<&Candidate> = peers
            .iter()
            .filter(|peer| peer.interested && !peer.unchoked)
            .collect();
        if wanting.is_empty() {
            return Changes::default();
        }
        wanting.sort_by_key(|peer| self.rank(now, peer, seeding));
        let idle = peers
            .iter()
            .filter(|peer| peer.unchoked && !peer.interested);
        let choke: Vec<PeerKey> = idle
            .take(wanting.len().saturating_sub(free))
            .map(|peer| peer.key)
            .collect();
        let unchoke = wanting
            .into_iter()
            .take(free.saturating_add(choke.len()))
            .map(|peer| peer.key)
            .collect();
        Changes { choke, unchoke }
    }

    /// The merit of a peer, the best first.
    fn rank(&self, now: Instant, peer: &Candidate, seeding: bool) -> impl Ord + use<> {
        let turn_over = peer.unchoked
            && peer.uploaded >= self.settings.quota
            && now.saturating_duration_since(peer.since) >= MIN_TURN;
        // (class, rate or score, waiting since)
        let (class, score) = match (seeding, self.settings.seed_order) {
            (false, _) => (0, peer.download_rate),
            (true, SeedOrder::FastestUpload) => (0, peer.upload_rate),
            (true, SeedOrder::AntiLeech) => (0, u64::from(peer.progress.abs_diff(500))),
            (true, SeedOrder::RoundRobin) if turn_over => (2, 0),
            (true, SeedOrder::RoundRobin) if peer.unchoked => (0, peer.upload_rate),
            (true, SeedOrder::RoundRobin) => (1, 0),
        };
        (class, Reverse(score), !peer.fresh, peer.since, peer.key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::at;

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

    fn choker(slots: Slots) -> Choker {
        Choker::new(ChokerSettings {
            slots,
            ..ChokerSettings::new(16 * 1024)
        })
    }

    /// Carries out a decision, as the brain would.
    fn step(choker: &mut Choker, millis: u64, peers: &mut [Candidate], seeding: bool) -> String {
        let changes = choker.decide(at(millis), peers, seeding);
        for peer in peers.iter_mut() {
            let (choke, unchoke) = (
                changes.choke.contains(&peer.key),
                changes.unchoke.contains(&peer.key),
            );
            assert!(!choke || peer.unchoked);
            assert!(!unchoke || !peer.unchoked);
            if choke || unchoke {
                peer.unchoked = unchoke;
                peer.fresh = false;
                peer.since = at(millis);
                peer.uploaded = 0;
            }
        }
        let name = |peer: &Candidate| char::from(b'a' + peer.key.0 as u8);
        peers
            .iter()
            .filter(|peer| peer.unchoked)
            .map(name)
            .collect()
    }

    #[test]
    fn everybody_gets_a_slot_at_once_while_there_are_enough() {
        let mut choker = choker(Slots::Fixed(3));
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
        let mut choker = choker(Slots::Fixed(2));
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
        let mut choker = choker(Slots::Fixed(3));
        let mut peers: Vec<_> = (0..6).map(peer).collect();
        for (peer, rate) in peers.iter_mut().zip([10, 50, 0, 40, 0, 20]) {
            peer.download_rate = rate;
        }
        // Two slots by merit (b, d); the third to each of the rest in turn.
        let mut seen = String::new();
        for round in 0..8 {
            let slots = step(&mut choker, round * 15_000, &mut peers, false);
            assert!(slots.contains('b') && slots.contains('d'), "{slots}");
            let other = slots.replace(['b', 'd'], "");
            assert_eq!(other.len(), 1);
            let key = PeerKey(u64::from(other.as_bytes()[0] - b'a'));
            assert!(choker.is_optimistic(key) && !choker.is_optimistic(PeerKey(1)));
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
        let mut choker = choker(Slots::Fixed(2));
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
        let mut choker = Choker::new(ChokerSettings {
            slots: Slots::Fixed(3),
            optimistic: 1,
            optimistic_interval: Duration::from_secs(1 << 30),
            ..ChokerSettings::new(1000)
        });
        let mut peers: Vec<_> = (0..5).map(peer).collect();
        for peer in &mut peers {
            peer.since = at(peer.key.0);
        }
        assert_eq!(step(&mut choker, 10, &mut peers, true), "abc");
        assert!(choker.is_optimistic(PeerKey(2)));
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
        for (peer, (rate, progress)) in
            peers
                .iter_mut()
                .zip([(5, 500), (1, 990), (9, 400), (2, 20)])
        {
            (peer.upload_rate, peer.progress) = (rate, progress);
        }
        for (order, winners) in [
            (SeedOrder::FastestUpload, [2, 0]),
            (SeedOrder::AntiLeech, [1, 3]),
        ] {
            let mut choker = Choker::new(ChokerSettings {
                slots: Slots::Fixed(3),
                seed_order: order,
                ..ChokerSettings::new(1000)
            });
            let unchoke = choker.decide(at(0), &peers, true).unchoke;
            assert!(winners.iter().all(|&key| unchoke.contains(&PeerKey(key))));
        }
    }

    #[test]
    fn slots_by_rate_grow_with_what_the_peers_take() {
        let mut choker = choker(Slots::ByRate);
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
        let mut choker = choker(Slots::Unlimited);
        let mut peers: Vec<_> = (0..20).map(peer).collect();
        assert_eq!(step(&mut choker, 0, &mut peers, false).len(), 20);
        choker.set_settings(ChokerSettings {
            slots: Slots::Fixed(2),
            ..ChokerSettings::new(1)
        });
        assert_eq!(step(&mut choker, 1, &mut peers, false).len(), 2);
        choker.set_settings(ChokerSettings {
            slots: Slots::Fixed(0),
            ..ChokerSettings::new(1)
        });
        assert_eq!(step(&mut choker, 2, &mut peers, false), "");
        assert_eq!(step(&mut choker, 3, &mut peers, false), "");
    }

    proptest! {
        #[test]
        fn slots_are_never_exceeded_nor_left_empty(
            slots in 0u32..6,
            seeding: bool,
            rounds in prop::collection::vec(
                (1u64..20_000, prop::collection::vec((any::<bool>(), 0u64..100), 0..12)), 1..20),
        ) {
            let mut choker = choker(Slots::Fixed(slots));
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
        }
    }
}
