//! Who may download from us (BEP 3, "choking"), over all torrents of a
//! session.
//!
//! One [`Choker`] a session. Each torrent reports how its interested peers
//! stand ([`Choker::update`], whenever a peer joins, leaves or changes its
//! interest, and every half second while there are any); the driver then calls
//! [`Choker::handle_timeout`], also at [`Choker::poll_timeout`], and hands each
//! torrent its [`Changes`], which [`Choker::poll_output`] gives.
//!
//! A free slot is given away at once; who holds a slot loses it only at a
//! regular round (every 15 s), to the peers that do most for us, or, where we
//! seed, to those that have waited longest. Some slots are optimistic: they go
//! round (every 30 s) among those that have earned none, newcomers first, so
//! that better partners are found. The session's slots hold for all torrents
//! together; a torrent's own limit holds within them.
//!
//! A decision and a report may cross on their way: every decision has a number,
//! and a report says which one it knows of. Until it knows the last one, the
//! choker believes its own decision and not the report.

mod round;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::ids::{PeerKey, TorrentKey};
use crate::settings::Settings;

/// How many slots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadSlots {
    /// Every interested peer.
    Unlimited,
    /// So many.
    Fixed(u32),
    /// As many as peers reach steps of upload rate that go up by
    /// [`RATE_STEP`], and one to spare.
    ByRate,
}

/// Bytes a second that each further slot of [`UploadSlots::ByRate`] must carry more
/// than the one before; the first must carry half of it.
pub const RATE_STEP: u64 = 2048;

/// Who goes first where we seed.
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
    /// How many slots there are in the session, optimistic ones included.
    pub slots: UploadSlots,
    /// How many of them are optimistic; 0 means a fifth, and at least one.
    pub optimistic: u32,
    /// Time between regular rounds.
    pub interval: Duration,
    /// Time between changes of the optimistic slots.
    pub optimistic_interval: Duration,
    /// Who goes first where we seed.
    pub seed_order: SeedOrder,
    /// Pieces that a peer may take in one turn of [`SeedOrder::RoundRobin`].
    pub quota: u32,
}

impl Default for ChokerSettings {
    /// Eight slots, rounds every 15 s and 30 s, and turns of 20 pieces.
    fn default() -> Self {
        Self {
            slots: UploadSlots::Fixed(8),
            optimistic: 0,
            interval: Duration::from_secs(15),
            optimistic_interval: Duration::from_secs(30),
            seed_order: SeedOrder::RoundRobin,
            quota: 20,
        }
    }
}

impl From<&Settings> for ChokerSettings {
    fn from(settings: &Settings) -> Self {
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        let number = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            slots: match (
                settings.choking_algorithm,
                u32::try_from(settings.unchoke_slots_limit),
            ) {
                (2, _) => UploadSlots::ByRate,
                (_, Ok(slots)) => UploadSlots::Fixed(slots),
                (_, Err(_)) => UploadSlots::Unlimited,
            },
            optimistic: number(settings.num_optimistic_unchoke_slots),
            interval: seconds(settings.unchoke_interval),
            optimistic_interval: seconds(settings.optimistic_unchoke_interval),
            seed_order: match settings.seed_choking_algorithm {
                1 => SeedOrder::FastestUpload,
                2 => SeedOrder::AntiLeech,
                _ => SeedOrder::RoundRobin,
            },
            quota: number(settings.seeding_piece_quota),
        }
    }
}

/// What a decision knows of a connected peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// How the peers of one torrent stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The number of the last [`Changes`] that are in effect; 0 for none.
    pub applied: u64,
    /// Whether the torrent has all that it wants.
    pub seeding: bool,
    /// Most peers unchoked in this torrent; `None` for the session's limit.
    pub max_uploads: Option<u32>,
    /// Bytes in a piece.
    pub piece_length: u32,
    /// The peers that are interested or unchoked; others may be left out.
    pub candidates: Vec<Candidate>,
}

/// What a torrent is to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names the decision, from 1.
    pub number: u64,
    /// Peers to choke; each is unchoked now.
    pub choke: Vec<PeerKey>,
    /// Peers to unchoke; each is choked now.
    pub unchoke: Vec<PeerKey>,
    /// The peers that hold an optimistic slot from now on.
    pub optimistic: Vec<PeerKey>,
}

/// One torrent as the choker sees it.
#[derive(Clone, Debug)]
struct Group {
    standing: Standing,
    /// The number of the last decision that was handed out.
    sent: u64,
    /// Holders of optimistic slots.
    optimistic: Vec<PeerKey>,
}

/// The slots of a session.
#[derive(Clone, Debug)]
pub struct Choker {
    settings: ChokerSettings,
    groups: BTreeMap<TorrentKey, Group>,
    /// `None` where the clock cannot count that far.
    next_round: Option<Instant>,
    next_rotation: Option<Instant>,
    outputs: VecDeque<(TorrentKey, Changes)>,
}

impl Choker {
    /// A choker that has not held a round yet.
    pub fn new(now: Instant, settings: ChokerSettings) -> Self {
        Self {
            settings,
            groups: BTreeMap::new(),
            next_round: Some(now),
            next_rotation: Some(now),
            outputs: VecDeque::new(),
        }
    }

    /// Puts other settings into effect, from the next decision on, which is due
    /// at once.
    pub fn set_settings(&mut self, now: Instant, settings: ChokerSettings) {
        if self.settings != settings {
            self.settings = settings;
            self.next_round = Some(now);
        }
    }

    /// When [`Self::handle_timeout`] is due though nothing happens; `None` while
    /// no torrent has a peer to decide on.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let anybody = self
            .groups
            .values()
            .any(|group| !group.standing.candidates.is_empty());
        self.next_round.filter(|_| anybody)
    }

    /// Takes over how a torrent's peers stand; a new torrent joins by it.
    pub fn update(&mut self, torrent: TorrentKey, mut standing: Standing) {
        standing.candidates.sort_unstable_by_key(|peer| peer.key);
        let Some(group) = self.groups.get_mut(&torrent) else {
            let group = Group {
                sent: standing.applied,
                standing,
                optimistic: Vec::new(),
            };
            self.groups.insert(torrent, group);
            return;
        };
        if standing.applied < group.sent {
            for candidate in &mut standing.candidates {
                let believed = &group.standing.candidates;
                let at = believed.binary_search_by_key(&candidate.key, |old| old.key);
                if let Some(old) = at.ok().and_then(|at| believed.get(at))
                    && old.unchoked != candidate.unchoked
                {
                    candidate.unchoked = old.unchoked;
                    (candidate.since, candidate.fresh) = (old.since, old.fresh);
                    candidate.uploaded = 0;
                }
            }
        }
        group.standing = standing;
    }

    /// Forgets a torrent: its slots are free.
    pub fn remove(&mut self, torrent: TorrentKey) {
        self.groups.remove(&torrent);
    }

    /// A decision did not reach its torrent: what that says next is true again.
    pub fn undelivered(&mut self, torrent: TorrentKey) {
        if let Some(group) = self.groups.get_mut(&torrent) {
            group.sent = 0;
        }
    }

    /// The next torrent for which something changes.
    pub fn poll_output(&mut self) -> Option<(TorrentKey, Changes)> {
        self.outputs.pop_front()
    }

    /// Decides who is unchoked: everything anew when a round is due or more
    /// slots are taken than there are; else only free slots are given away. To
    /// be called when torrents have said how their peers stand, too, once for
    /// all of them.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = self.next_round.is_some_and(|due| now >= due);
        let mut table = round::Table::new(&self.settings, &mut self.groups, now);
        if due || table.is_overfull() {
            self.next_round = now.checked_add(self.settings.interval);
            let rotation = self.next_rotation.is_some_and(|due| now >= due);
            if rotation {
                self.next_rotation = now.checked_add(self.settings.optimistic_interval);
            }
            table.round(rotation);
        } else {
            table.fill();
        }
        let winners = table.winners();
        self.note(now, &winners);
    }

    /// Believes what was decided, and says what of it is new.
    fn note(&mut self, now: Instant, winners: &BTreeMap<(TorrentKey, PeerKey), bool>) {
        for (&torrent, group) in &mut self.groups {
            let mut changes = Changes::default();
            for peer in &mut group.standing.candidates {
                let held = winners.get(&(torrent, peer.key));
                if held == Some(&true) {
                    changes.optimistic.push(peer.key);
                }
                if held.is_some() == peer.unchoked {
                    continue;
                }
                if peer.unchoked {
                    changes.choke.push(peer.key);
                } else {
                    changes.unchoke.push(peer.key);
                    peer.fresh = false;
                }
                peer.unchoked = !peer.unchoked;
                peer.since = now;
                peer.uploaded = 0;
            }
            let same = group.optimistic == changes.optimistic;
            if same && changes.choke.is_empty() && changes.unchoke.is_empty() {
                continue;
            }
            group.optimistic.clone_from(&changes.optimistic);
            group.sent = group.sent.max(group.standing.applied).saturating_add(1);
            changes.number = group.sent;
            self.outputs.push_back((torrent, changes));
        }
    }
}
