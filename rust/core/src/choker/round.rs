//! One decision: every peer that wants a slot, over all torrents, in order of
//! merit. Made and used up by `Choker::decide`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Candidate, ChokerSettings, Group, RATE_STEP, SeedOrder, UploadSlots};
use crate::ids::{PeerKey, TorrentKey};

/// A turn lasts at least this long, however much was taken in it.
const MIN_SLOT_TIME: Duration = Duration::from_secs(60);

/// A peer, and what its torrent adds to its merit.
struct RankedPeer {
    torrent: TorrentKey,
    peer: Candidate,
    seeding: bool,
    /// Bytes in one turn of a seed.
    quota: u64,
    /// It holds an optimistic slot.
    optimistic: bool,
    /// It shall have a slot.
    wins: bool,
}

/// The slots of one torrent.
struct FreeSlots {
    max: usize,
    /// Who wants one.
    interested: usize,
    taken: usize,
}

/// Every peer, and how many slots there are.
pub(super) struct Table<'a> {
    settings: &'a ChokerSettings,
    now: Instant,
    entries: Vec<RankedPeer>,
    rooms: BTreeMap<TorrentKey, FreeSlots>,
    slots: usize,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        settings: &'a ChokerSettings,
        groups: &mut BTreeMap<TorrentKey, Group>,
        now: Instant,
    ) -> Self {
        let mut entries = Vec::new();
        let mut rooms = BTreeMap::new();
        for (&torrent, group) in groups {
            let standing = &group.standing;
            let peers = || standing.candidates.iter();
            rooms.insert(
                torrent,
                FreeSlots {
                    max: standing.max_uploads.map_or(usize::MAX, |max| max as usize),
                    interested: peers().filter(|peer| peer.interested).count(),
                    taken: 0,
                },
            );
            entries.extend(peers().map(|&peer| RankedPeer {
                torrent,
                peer,
                seeding: standing.seeding,
                quota: u64::from(settings.quota) * u64::from(standing.piece_length),
                optimistic: group.optimistic.contains(&peer.key),
                wins: peer.unchoked,
            }));
        }
        let mut table = Self {
            settings,
            now,
            slots: slots(settings, &entries),
            entries,
            rooms,
        };
        for entry in &table.entries {
            if let Some(room) = table.rooms.get_mut(&entry.torrent) {
                room.taken += usize::from(entry.wins);
            }
        }
        table
    }

    /// Whether a peer has to lose a slot.
    pub(super) fn is_overfull(&self) -> bool {
        self.taken() > self.slots || self.rooms.values().any(|room| room.taken > room.max)
    }

    fn taken(&self) -> usize {
        self.rooms.values().map(|room| room.taken).sum()
    }

    /// Who has a slot, and whether it is an optimistic one.
    pub(super) fn winners(&self) -> BTreeMap<(TorrentKey, PeerKey), bool> {
        let winners = self.entries.iter().filter(|entry| entry.wins);
        winners
            .map(|entry| ((entry.torrent, entry.peer.key), entry.optimistic))
            .collect()
    }

    fn optimistic_slots(&self, slots: usize) -> usize {
        match self.settings.optimistic {
            0 => (slots / 5).max(1).min(slots),
            some => (some as usize).min(slots),
        }
    }

    /// Gives every slot anew; `rotation` when the optimistic ones go on to the
    /// next.
    pub(super) fn round(&mut self, rotation: bool) {
        let wanted: usize = self
            .rooms
            .values()
            .map(|room| room.interested.min(room.max))
            .sum();
        let scarce = wanted > self.slots;
        let by_merit = match scarce {
            true => self.slots - self.optimistic_slots(self.slots),
            false => self.slots,
        };
        for room in self.rooms.values_mut() {
            room.taken = 0;
        }
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_cached_key(|&at| self.entries.get(at).map(|entry| self.rank(entry)));
        let mut waiting = Vec::new();
        let mut given = 0;
        for at in order {
            let room = self
                .entries
                .get(at)
                .and_then(|it| self.rooms.get(&it.torrent));
            let fits = room.is_some_and(|room| {
                let spare = match room.interested > room.max {
                    true => self.optimistic_slots(room.max),
                    false => 0,
                };
                given < by_merit && room.taken < room.max - spare
            });
            let Some(entry) = self.entries.get_mut(at) else {
                continue;
            };
            entry.wins = entry.peer.interested && fits;
            if entry.wins {
                given += 1;
                entry.optimistic = false;
                self.take(at);
            } else if entry.peer.interested {
                waiting.push(at);
            } else {
                entry.optimistic = false;
            }
        }
        self.rotate(rotation, waiting);
    }

    fn take(&mut self, at: usize) {
        if let Some(entry) = self.entries.get(at)
            && let Some(room) = self.rooms.get_mut(&entry.torrent)
        {
            room.taken += 1;
        }
    }

    /// Gives the slots that are left to some of those that have none.
    fn rotate(&mut self, rotation: bool, mut waiting: Vec<usize>) {
        // Who holds one keeps it until the rotation, then goes last.
        waiting.sort_by_cached_key(|&at| {
            self.entries.get(at).map(|entry| {
                let peer = &entry.peer;
                (
                    entry.optimistic == rotation,
                    peer.unchoked,
                    !peer.fresh,
                    peer.since,
                    (entry.torrent, peer.key),
                )
            })
        });
        let mut left = self.slots.saturating_sub(self.taken());
        for at in waiting {
            let Some(entry) = self.entries.get_mut(at) else {
                continue;
            };
            let room = self.rooms.get(&entry.torrent);
            entry.wins = left > 0 && room.is_some_and(|room| room.taken < room.max);
            entry.optimistic = entry.wins;
            if entry.wins {
                left -= 1;
                self.take(at);
            }
        }
    }

    /// Gives away free slots, and those of peers that have lost interest when
    /// other peers want them.
    pub(super) fn fill(&mut self) {
        let mut wanting: Vec<usize> = (0..self.entries.len())
            .filter(|&at| {
                self.entries
                    .get(at)
                    .is_some_and(|entry| entry.peer.interested && !entry.wins)
            })
            .collect();
        wanting.sort_by_cached_key(|&at| self.entries.get(at).map(|entry| self.rank(entry)));
        let mut taken = self.taken();
        for at in wanting {
            let Some(torrent) = self.entries.get(at).map(|entry| entry.torrent) else {
                continue;
            };
            let room = self.rooms.get(&torrent);
            let torrent_full = room.is_none_or(|room| room.taken >= room.max);
            if torrent_full || taken >= self.slots {
                let Some(idle) = self.idle(torrent_full.then_some(torrent)) else {
                    continue;
                };
                self.leave(idle);
                taken -= 1;
            }
            if let Some(entry) = self.entries.get_mut(at) {
                entry.wins = true;
                taken += 1;
                self.take(at);
            }
        }
    }

    /// A holder of a slot, of one torrent if given, who does not want it.
    fn idle(&self, torrent: Option<TorrentKey>) -> Option<usize> {
        self.entries.iter().position(|entry| {
            entry.wins
                && !entry.peer.interested
                && torrent.is_none_or(|torrent| torrent == entry.torrent)
        })
    }

    fn leave(&mut self, at: usize) {
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        (entry.wins, entry.optimistic) = (false, false);
        if let Some(room) = self.rooms.get_mut(&entry.torrent) {
            room.taken -= 1;
        }
    }

    /// The merit of a peer, the best first: who gives to us goes before who
    /// does not.
    fn rank(&self, entry: &RankedPeer) -> impl Ord + use<> {
        let (seeding, peer) = (entry.seeding, &entry.peer);
        let turn_over = peer.unchoked
            && peer.uploaded >= entry.quota
            && self.now.saturating_duration_since(peer.since) >= MIN_SLOT_TIME;
        let gives = if seeding { 0 } else { peer.download_rate };
        // (class, score)
        let (class, score) = match (seeding, self.settings.seed_order) {
            (false, _) => (1, 0),
            (true, SeedOrder::FastestUpload) => (1, peer.upload_rate),
            (true, SeedOrder::AntiLeech) => (1, u64::from(peer.progress.abs_diff(500))),
            (true, SeedOrder::RoundRobin) if turn_over => (2, 0),
            (true, SeedOrder::RoundRobin) if peer.unchoked => (0, peer.upload_rate),
            (true, SeedOrder::RoundRobin) => (1, 0),
        };
        (
            Reverse(gives),
            class,
            Reverse(score),
            !peer.fresh,
            peer.since,
            (entry.torrent, peer.key),
        )
    }
}

fn slots(settings: &ChokerSettings, entries: &[RankedPeer]) -> usize {
    match settings.slots {
        UploadSlots::Unlimited => usize::MAX,
        UploadSlots::Fixed(slots) => slots as usize,
        UploadSlots::ByRate => {
            let mut rates: Vec<u64> = entries
                .iter()
                .filter(|entry| entry.peer.unchoked)
                .map(|entry| entry.peer.upload_rate)
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
