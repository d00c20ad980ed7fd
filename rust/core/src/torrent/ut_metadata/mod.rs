//! Fetching the info dict from peers (BEP 9): which peer is asked for which
//! piece, and which result is believed.
//!
//! The brain reports peers that have it ([`MetadataFetch::peer_has`]), answers
//! ([`MetadataFetch::answer`]) and time ([`MetadataFetch::poll`], which returns what to request
//! from which peer). Peers may give a wrong size or wrong bytes, answer slowly or
//! never, and come back as new peers.
//!
//! Each size that is claimed is an attempt of its own, in which the peers that
//! claim it share the pieces; a piece that one is slow to send is asked of
//! another too. When the result has the wrong hash, each of these peers becomes
//! an attempt of its own, all of them at once, so that one correct peer is
//! enough. A peer whose whole result is wrong is recorded as such by its address
//! ([`Reputation`]).
//!
//! Attempts run a few at a time and in rotation, in which every address has its
//! share, however many connections it has. What they hold is what came; beyond
//! twice the largest size that is accepted, the address that has sent most of it
//! begins again.
//! What has the right hash ends the search; if it cannot be used after all,
//! [`MetadataFetch::begin_again`] takes it up once more.

mod attempt;
mod schedule;
mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha1::{Digest, Sha1};

use crate::ban::ban_unit;
use crate::ids::{InfoHash, PeerKey};
use attempt::Attempt;
use schedule::Candidate;
use source::{MetadataSource, Reputation};

/// Time after which a piece is asked of a second peer, if there is nothing
/// else to ask it for.
const LATE: Duration = Duration::from_secs(1);

/// Sizes remembered to have given a wrong hash; with more, all count as such.
const MAX_SUSPECT: usize = 64;

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FetchVerdict {
    /// Nothing yet.
    Open,
    /// The info dict, with the right hash.
    Complete(Bytes),
    /// What these peers sent has the wrong hash. A single one is recorded as wrong.
    Wrong(BTreeSet<PeerKey>),
}

/// An attempt: at which size, and with which peer where only one takes part.
type AttemptKey = (u32, Option<PeerKey>);

/// The peers that take part in each attempt.
type Groups = BTreeMap<AttemptKey, Vec<PeerKey>>;

/// The search for the info dict of one torrent.
#[derive(Debug)]
pub(super) struct MetadataFetch {
    info_hash: InfoHash,
    max_size: u32,
    sources: BTreeMap<PeerKey, MetadataSource>,
    attempts: BTreeMap<AttemptKey, Attempt>,
    /// Sizes for which each peer is an attempt of its own.
    suspect: BTreeSet<u32>,
    reputation: Reputation,
    /// It was found.
    over: bool,
}

impl MetadataFetch {
    pub(super) fn new(info_hash: InfoHash, max_size: u32) -> Self {
        Self {
            info_hash,
            max_size,
            sources: BTreeMap::new(),
            attempts: BTreeMap::new(),
            suspect: BTreeSet::new(),
            reputation: Reputation::default(),
            over: false,
        }
    }

    /// Asks all peers anew for an info dict of up to `max_size` bytes.
    pub(super) fn begin_again(&mut self, now: Instant, max_size: u32) {
        self.over = false;
        self.max_size = max_size;
        self.attempts.clear();
        self.suspect.clear();
        self.reputation.forget();
        for source in self.sources.values_mut() {
            source.reset(now);
        }
    }

    /// A peer supports ut_metadata and says how long the info dict is, or does
    /// not say. Whether its claim can be true.
    pub(super) fn peer_has(
        &mut self,
        now: Instant,
        peer: PeerKey,
        ip: IpAddr,
        size: Option<u32>,
    ) -> bool {
        let size = size.unwrap_or(0);
        if size > self.max_size {
            return false;
        }
        // An IPv6 host has a whole network of addresses.
        let ip = ban_unit(ip);
        let wait = self.reputation.wait(ip);
        let source = self
            .sources
            .entry(peer)
            .or_insert_with(|| MetadataSource::new(ip, now + wait));
        let before = source.size;
        if size == 0 || size == before {
            return true;
        }
        if before == 0 && wait.is_zero() {
            // It got it meanwhile.
            source.wake(now);
        }
        source.size = size;
        // Answers to what it was asked under another size would not fit.
        let asked = source.forget_asked();
        self.give_back(before, peer, asked);
        true
    }

    pub(super) fn peer_left(&mut self, peer: PeerKey) {
        if let Some(mut source) = self.sources.remove(&peer) {
            self.give_back(source.size, peer, source.forget_asked());
        }
    }

    /// Requests to a peer came to nothing.
    fn give_back(&mut self, size: u32, peer: PeerKey, pieces: Vec<u32>) {
        let key = self.attempt_of(size, peer);
        if let Some(attempt) = self.attempts.get_mut(&key) {
            pieces
                .into_iter()
                .for_each(|piece| attempt.give_back(piece));
        }
    }

    /// Which peer to ask for which piece now.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<(PeerKey, u32)> {
        if self.over {
            return Vec::new();
        }
        self.expire(now);
        let groups = self.update_attempts();
        self.schedule_attempts(now, &groups);
        let mut requests = Vec::new();
        for (key, peers) in groups {
            if self
                .attempts
                .get(&key)
                .is_some_and(|it| it.active.is_some())
            {
                self.ask(now, key, &peers, &mut requests);
            }
        }
        // Those that do not say whether they have it.
        for (&key, source) in self.sources.iter_mut().filter(|(_, it)| it.size == 0) {
            if source.is_ready(now) && source.load().0 == 0 {
                source.ask(now, 0);
                requests.push((key, 0));
            }
        }
        requests
    }

    /// Asks the peers of an attempt for pieces, the least busy one first.
    fn ask(
        &mut self,
        now: Instant,
        key: AttemptKey,
        peers: &[PeerKey],
        requests: &mut Vec<(PeerKey, u32)>,
    ) {
        let Some(attempt) = self.attempts.get_mut(&key) else {
            return;
        };
        let mut late = late_pieces(now, attempt, &self.sources, peers);
        let mut ready: Vec<PeerKey> = peers.to_vec();
        ready.retain(|peer| self.sources.get(peer).is_some_and(|it| it.is_ready(now)));
        while let Some((at, &peer)) = ready
            .iter()
            .enumerate()
            .min_by_key(|(_, peer)| self.sources.get(*peer).map(MetadataSource::load))
        {
            let Some(source) = self.sources.get_mut(&peer) else {
                return;
            };
            let piece = attempt.take(|piece| source.was_asked(piece)).or_else(|| {
                let at = late.iter().position(|&piece| !source.was_asked(piece))?;
                Some(late.remove(at))
            });
            if let Some(piece) = piece {
                source.ask(now, piece);
                requests.push((peer, piece));
            }
            if piece.is_none() || !source.is_ready(now) {
                ready.remove(at);
            }
        }
    }

    /// The attempt that a peer takes part in which claims a size.
    fn attempt_of(&self, size: u32, peer: PeerKey) -> AttemptKey {
        let suspect = self.suspect.contains(&size) || self.suspect.len() > MAX_SUSPECT;
        (size, suspect.then_some(peer))
    }

    /// Stops waiting for what does not come.
    fn expire(&mut self, now: Instant) {
        let mut expired = Vec::new();
        for (&peer, source) in &mut self.sources {
            expired.push((source.size, peer, source.expire(now)));
        }
        for (size, peer, pieces) in expired.into_iter().filter(|it| !it.2.is_empty()) {
            self.give_back(size, peer, pieces);
        }
    }

    /// Every peer takes part in one attempt, and every attempt has peers, which
    /// are returned.
    fn update_attempts(&mut self) -> Groups {
        let mut groups = Groups::new();
        for (&peer, source) in self.sources.iter().filter(|(_, it)| it.size > 0) {
            let key = self.attempt_of(source.size, peer);
            groups.entry(key).or_default().push(peer);
        }
        self.attempts.retain(|key, _| groups.contains_key(key));
        for &key in groups.keys() {
            self.attempts
                .entry(key)
                .or_insert_with(|| Attempt::new(key.0));
        }
        groups
    }

    /// Chooses the attempts whose peers are asked.
    fn schedule_attempts(&mut self, now: Instant, groups: &Groups) {
        let mut candidates = Vec::new();
        for (&key, peers) in groups {
            let rested = peers.iter().filter_map(|peer| self.sources.get(peer));
            let rested = rested.filter(|it| it.is_rested(now)).map(|it| it.ip);
            let addresses: Vec<IpAddr> = rested.collect();
            let strikes = addresses.iter().map(|&ip| self.reputation.strikes(ip));
            let Some(attempt) = self.attempts.get_mut(&key) else {
                continue;
            };
            match strikes.min() {
                None => attempt.park(),
                Some(strikes) => candidates.push(Candidate {
                    key,
                    active: attempt.active,
                    rank: strikes.saturating_add(attempt.times_parked),
                    first_peer: peers.first().copied(),
                    addresses,
                }),
            }
        }
        let schedule = schedule::choose(now, candidates);
        for key in schedule.parked {
            if let Some(attempt) = self.attempts.get_mut(&key) {
                attempt.park();
            }
        }
        for key in schedule.started {
            if let Some(attempt) = self.attempts.get_mut(&key) {
                attempt.active = Some(now);
            }
        }
    }

    /// Keeps what all attempts hold within bounds, of which each address has its
    /// share: the one that has sent most begins again with what it has sent most
    /// of. So with four liars an honest peer keeps what it has sent up to two fifths
    /// of `max_size`, whatever they claim and however fast they are.
    fn bound_memory(&mut self, now: Instant) {
        let limit = u64::from(self.max_size).saturating_mul(2);
        while self.held() > limit {
            let mut shares: BTreeMap<IpAddr, u64> = BTreeMap::new();
            for (ip, bytes) in self.attempts.values().flat_map(Attempt::held_by) {
                *shares.entry(ip).or_default() += bytes;
            }
            let Some((ip, _)) = shares.into_iter().max_by_key(|(_, bytes)| *bytes) else {
                return;
            };
            let all = self.attempts.iter();
            let Some(key) = all.max_by_key(|(_, it)| it.held_of(ip)).map(|it| *it.0) else {
                return;
            };
            if let Some(attempt) = self.attempts.get_mut(&key) {
                attempt.drop_from(ip);
            }
            let there = self.sources.iter().filter(|(_, it)| it.ip == ip);
            let there: Vec<(PeerKey, u32)> = there.map(|(&peer, it)| (peer, it.size)).collect();
            for (peer, size) in there {
                if size == 0 || self.attempt_of(size, peer) != key {
                    continue;
                }
                let Some(source) = self.sources.get_mut(&peer) else {
                    continue;
                };
                let asked = source.forget_asked();
                source.failed(now);
                self.give_back(size, peer, asked);
            }
        }
    }

    /// Bytes that all attempts hold.
    fn held(&self) -> u64 {
        self.attempts.values().map(Attempt::held).sum()
    }

    /// A peer answered a request, or refused it (`None`). `total_size` is the
    /// info dict's as the answer says, or 0.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        peer: PeerKey,
        piece: u32,
        total_size: u32,
        data: Option<Bytes>,
    ) -> FetchVerdict {
        let max_size = self.max_size;
        let Some(source) = self.sources.get_mut(&peer) else {
            return FetchVerdict::Open;
        };
        if !source.answered(now, piece) || self.over {
            return FetchVerdict::Open;
        }
        if source.size == 0 && data.is_some() && total_size <= max_size {
            source.size = total_size;
        }
        let size = source.size;
        let key = self.attempt_of(size, peer);
        if size > 0 {
            self.attempts
                .entry(key)
                .or_insert_with(|| Attempt::new(size));
        }
        let contradicts = total_size != 0 && total_size != size;
        let attempt = self.attempts.get_mut(&key);
        let expected = attempt.as_ref().map_or(0, |it| it.piece_len(piece));
        let data = data.filter(|data| !contradicts && expected > 0 && data.len() == expected);
        let source = self.sources.get_mut(&peer);
        match (data, attempt) {
            (Some(data), Some(attempt)) => {
                if let Some(source) = source {
                    attempt.add(piece, data, peer, source.ip);
                    source.succeeded();
                }
            }
            (_, attempt) => {
                attempt.into_iter().for_each(|it| it.give_back(piece));
                source.into_iter().for_each(|it| it.failed(now));
                return FetchVerdict::Open;
            }
        }
        let verdict = self.judge(now, key);
        self.bound_memory(now);
        verdict
    }

    /// Looks at the hash, once every piece is there.
    fn judge(&mut self, now: Instant, key: AttemptKey) -> FetchVerdict {
        let whole = self.attempts.get(&key).and_then(Attempt::whole);
        let Some((whole, senders)) = whole else {
            return FetchVerdict::Open;
        };
        if Sha1::digest(&whole).as_slice() == self.info_hash.0 {
            self.attempts.clear();
            self.over = true;
            return FetchVerdict::Complete(whole.into());
        }
        let Some(failed) = self.attempts.remove(&key) else {
            return FetchVerdict::Open;
        };
        self.suspect.insert(key.0);
        if let (1, Some(liar)) = (senders.len(), senders.first()) {
            if let Some(source) = self.sources.get_mut(liar) {
                source.failed(now);
                self.reputation.strike(source.ip);
            }
        } else {
            // One of them may be correct: each goes on alone with what it sent.
            for &peer in &senders {
                self.attempts
                    .insert((key.0, Some(peer)), failed.part_of(peer));
            }
        }
        FetchVerdict::Wrong(senders)
    }
}

/// Pieces that the peers of an attempt are slow to send, the oldest first.
fn late_pieces(
    now: Instant,
    attempt: &Attempt,
    sources: &BTreeMap<PeerKey, MetadataSource>,
    peers: &[PeerKey],
) -> Vec<u32> {
    // For each piece, when it was asked for last.
    let mut under_way: BTreeMap<u32, Instant> = BTreeMap::new();
    let asked = peers.iter().filter_map(|peer| sources.get(peer));
    for (piece, at) in asked.flat_map(MetadataSource::asked) {
        let last = under_way.entry(piece).or_insert(at);
        *last = at.max(*last);
    }
    let mut late: Vec<(Instant, u32)> = under_way
        .into_iter()
        .filter(|&(piece, at)| !attempt.has(piece) && now.saturating_duration_since(at) >= LATE)
        .map(|(piece, at)| (at, piece))
        .collect();
    late.sort_unstable();
    late.into_iter().map(|(_, piece)| piece).collect()
}
