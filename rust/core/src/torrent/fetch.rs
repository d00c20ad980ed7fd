//! Fetching the info dict from peers (BEP 9): which peer is asked for which
//! piece, and whom to believe.
//!
//! The brain tells of peers that have it ([`Fetch::peer_has`]), of answers
//! ([`Fetch::answer`]) and of time ([`Fetch::poll`], which says whom to ask
//! for what). Peers may lie about its size and its bytes. Each size that is
//! claimed is an attempt of its own, a few of them at once; an attempt asks
//! many peers, and if what comes of it has the wrong hash, it goes on with one
//! peer at a time, so that the liar is known by name. Memory is bounded by the
//! largest size that is accepted. What has the right hash ends the search; if
//! it cannot be used after all, [`Fetch::begin_again`] takes it up once more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha1::{Digest, Sha1};

use crate::ext::METADATA_PIECE;
use crate::ids::{InfoHash, PeerKey};

/// Pieces asked of one peer at once.
const PER_PEER: usize = 4;

/// Time after which a piece is asked of somebody else.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How long a peer is left alone that refused or lied, times its strikes.
const REST: Duration = Duration::from_secs(20);

/// Time without a new piece after which an attempt makes room for another.
const STALL: Duration = Duration::from_secs(30);

/// Sizes that are tried at once.
const MAX_ATTEMPTS: usize = 3;

/// Sizes remembered to have given a wrong hash; with more, all count as such.
const MAX_SUSPECT: usize = 64;

/// A peer that speaks ut_metadata.
#[derive(Debug)]
struct Source {
    /// Bytes in the info dict as it says; 0 when it does not.
    size: u32,
    asked: Vec<(u32, Instant)>,
    strikes: u32,
    rest_until: Instant,
}

impl Source {
    fn strike(&mut self, now: Instant) {
        self.strikes = self.strikes.saturating_add(1);
        self.rest_until = now + REST * self.strikes.min(10);
    }

    fn is_ready(&self, now: Instant) -> bool {
        now >= self.rest_until && self.asked.len() < PER_PEER
    }
}

/// The info dict as some peers say it is long.
#[derive(Debug)]
struct Attempt {
    size: u32,
    pieces: Vec<Option<(Bytes, PeerKey)>>,
    /// Only this peer is asked: several together lied.
    owner: Option<PeerKey>,
    last_progress: Instant,
}

impl Attempt {
    fn new(size: u32, now: Instant) -> Self {
        Self {
            size,
            pieces: vec![None; size.div_ceil(METADATA_PIECE) as usize],
            owner: None,
            last_progress: now,
        }
    }

    fn clear(&mut self, owner: Option<PeerKey>, now: Instant) {
        self.pieces.fill(None);
        self.owner = owner;
        self.last_progress = now;
    }

    fn piece_len(&self, piece: u32) -> usize {
        let from = piece.saturating_mul(METADATA_PIECE);
        self.size.saturating_sub(from).min(METADATA_PIECE) as usize
    }
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet.
    Open,
    /// The info dict, with the right hash.
    Complete(Bytes),
    /// What these peers sent has the wrong hash. One alone is a liar.
    Wrong(BTreeSet<PeerKey>),
}

/// The search for the info dict of one torrent.
#[derive(Debug)]
pub(super) struct Fetch {
    info_hash: InfoHash,
    max_size: u32,
    sources: BTreeMap<PeerKey, Source>,
    attempts: Vec<Attempt>,
    /// Sizes for which peers are asked one at a time.
    suspect: BTreeSet<u32>,
    /// It was found.
    over: bool,
}

impl Fetch {
    pub(super) fn new(info_hash: InfoHash, max_size: u32) -> Self {
        Self {
            info_hash,
            max_size,
            sources: BTreeMap::new(),
            attempts: Vec::new(),
            suspect: BTreeSet::new(),
            over: false,
        }
    }

    /// Asks everybody anew for an info dict of up to `max_size` bytes.
    pub(super) fn begin_again(&mut self, now: Instant, max_size: u32) {
        self.over = false;
        self.max_size = max_size;
        self.attempts.clear();
        self.suspect.clear();
        for source in self.sources.values_mut() {
            source.asked.clear();
            source.strikes = 0;
            source.rest_until = now;
        }
    }

    /// A peer speaks ut_metadata and says how long the info dict is, or does
    /// not say. Whether its claim can be true.
    pub(super) fn peer_has(&mut self, now: Instant, peer: PeerKey, size: Option<u32>) -> bool {
        let size = size.unwrap_or(0);
        if size > self.max_size {
            return false;
        }
        let source = self.sources.entry(peer).or_insert(Source {
            size,
            asked: Vec::new(),
            strikes: 0,
            rest_until: now,
        });
        if source.size == 0 && size > 0 {
            // It got it meanwhile.
            source.rest_until = now;
        }
        if size > 0 {
            source.size = size;
        }
        true
    }

    pub(super) fn peer_left(&mut self, peer: PeerKey) {
        self.sources.remove(&peer);
    }

    /// Whom to ask for which piece now.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<(PeerKey, u32)> {
        if self.over {
            return Vec::new();
        }
        self.expire(now);
        self.begin_attempts(now);
        let mut requests = Vec::new();
        for attempt in &mut self.attempts {
            if self.suspect.contains(&attempt.size) || self.suspect.len() > MAX_SUSPECT {
                choose_owner(attempt, &self.sources, now);
            }
            let (size, owner) = (attempt.size, attempt.owner);
            let suspect = self.suspect.contains(&size) || self.suspect.len() > MAX_SUSPECT;
            for (piece, _) in (0..).zip(&attempt.pieces).filter(|(_, got)| got.is_none()) {
                let has = |it: &Source| it.size == size;
                let of_size = || self.sources.values().filter(|it| has(it));
                if of_size().any(|it| it.asked.iter().any(|(asked, _)| *asked == piece)) {
                    continue;
                }
                let ready = self.sources.iter_mut().filter(|(key, it)| {
                    has(it) && it.is_ready(now) && (!suspect || owner == Some(**key))
                });
                // The least busy one.
                let Some((&key, source)) = ready.min_by_key(|(_, it)| (it.asked.len(), it.strikes))
                else {
                    break;
                };
                source.asked.push((piece, now));
                requests.push((key, piece));
            }
        }
        // Those that do not say whether they have it.
        for (&key, source) in self.sources.iter_mut().filter(|(_, it)| it.size == 0) {
            if source.is_ready(now) && source.asked.is_empty() {
                source.asked.push((0, now));
                requests.push((key, 0));
            }
        }
        requests
    }

    /// Gives up waiting for what does not come.
    fn expire(&mut self, now: Instant) {
        for source in self.sources.values_mut() {
            let before = source.asked.len();
            source
                .asked
                .retain(|(_, at)| now.saturating_duration_since(*at) < ANSWER_TIME);
            if source.asked.len() < before {
                source.strike(now);
            }
        }
        let sources = &mut self.sources;
        self.attempts.retain(|attempt| {
            let stalled = now.saturating_duration_since(attempt.last_progress) > STALL;
            let mut supporters = sources.values_mut().filter(|it| it.size == attempt.size);
            if stalled {
                supporters.for_each(|it| it.strike(now));
                false
            } else {
                supporters.next().is_some()
            }
        });
    }

    /// Begins with the sizes that most is to be said for.
    fn begin_attempts(&mut self, now: Instant) {
        let mut claims: BTreeMap<u32, (u32, usize)> = BTreeMap::new();
        let rested = self.sources.values().filter(|it| now >= it.rest_until);
        for source in rested.filter(|it| it.size > 0) {
            let claim = claims.entry(source.size).or_insert((u32::MAX, 0));
            claim.0 = claim.0.min(source.strikes);
            claim.1 += 1;
        }
        for attempt in &self.attempts {
            claims.remove(&attempt.size);
        }
        let mut claims: Vec<(u32, (u32, usize))> = claims.into_iter().collect();
        claims.sort_by_key(|(size, (strikes, count))| (*strikes, std::cmp::Reverse(*count), *size));
        for (size, _) in claims {
            let held: u64 = self.attempts.iter().map(|it| u64::from(it.size)).sum();
            let fits = held + u64::from(size) <= u64::from(self.max_size) + (1 << 20);
            if self.attempts.len() < MAX_ATTEMPTS && fits {
                self.attempts.push(Attempt::new(size, now));
            }
        }
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
    ) -> Verdict {
        let Some(source) = self.sources.get_mut(&peer) else {
            return Verdict::Open;
        };
        source.asked.retain(|(asked, _)| *asked != piece);
        if self.over {
            return Verdict::Open;
        }
        let Some(data) = data else {
            source.strike(now);
            return Verdict::Open;
        };
        if source.size == 0 && total_size > 0 && total_size <= self.max_size {
            source.size = total_size;
            let tried = self.attempts.iter().any(|it| it.size == total_size);
            if !tried && self.attempts.len() < MAX_ATTEMPTS {
                self.attempts.push(Attempt::new(total_size, now));
            }
        }
        let size = source.size;
        let Some(attempt) = self.attempts.iter_mut().find(|it| it.size == size) else {
            return Verdict::Open;
        };
        let contradicts = total_size != 0 && total_size != size;
        let expected = attempt.piece_len(piece);
        let suspect = self.suspect.contains(&size) || self.suspect.len() > MAX_SUSPECT;
        if contradicts || data.len() != expected || expected == 0 {
            source.strike(now);
            return Verdict::Open;
        }
        if suspect && attempt.owner != Some(peer) {
            return Verdict::Open;
        }
        if let Some(slot @ None) = attempt.pieces.get_mut(piece as usize) {
            *slot = Some((data, peer));
            attempt.last_progress = now;
        }
        self.judge(now, size)
    }

    /// Looks at the hash, once every piece is there.
    fn judge(&mut self, now: Instant, size: u32) -> Verdict {
        let Some(at) = self.attempts.iter().position(|it| it.size == size) else {
            return Verdict::Open;
        };
        let pieces = &self.attempts[at].pieces;
        if pieces.iter().any(Option::is_none) {
            return Verdict::Open;
        }
        let mut whole = Vec::with_capacity(size as usize);
        let mut senders = BTreeSet::new();
        for (data, sender) in pieces.iter().flatten() {
            whole.extend_from_slice(data);
            senders.insert(*sender);
        }
        if Sha1::digest(&whole).as_slice() == self.info_hash.0 {
            self.attempts.clear();
            self.over = true;
            return Verdict::Complete(whole.into());
        }
        for sender in &senders {
            if let Some(source) = self.sources.get_mut(sender) {
                source.strike(now);
                if senders.len() > 1 {
                    // One of them may be honest: each gets a turn of its own.
                    source.rest_until = now;
                }
            }
        }
        self.suspect.insert(size);
        self.attempts[at].clear(None, now);
        Verdict::Wrong(senders)
    }
}

/// Lets one peer at a time supply the whole.
fn choose_owner(attempt: &mut Attempt, sources: &BTreeMap<PeerKey, Source>, now: Instant) {
    let able = |it: &Source| it.size == attempt.size && now >= it.rest_until;
    if let Some(owner) = attempt.owner
        && sources.get(&owner).is_some_and(able)
    {
        return;
    }
    let able = sources.iter().filter(|(_, it)| able(it));
    let next = able.min_by_key(|(_, it)| it.strikes).map(|(&key, _)| key);
    if next.is_some() {
        let progress = attempt.last_progress;
        attempt.clear(next, progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    const MAX: u32 = 100_000;

    fn dict(length: usize, salt: u8) -> Vec<u8> {
        (0..length).map(|at| (at * 7) as u8 ^ salt).collect()
    }

    fn piece(dict: &[u8], piece: u32) -> Bytes {
        let from = (piece * METADATA_PIECE) as usize;
        let to = (from + METADATA_PIECE as usize).min(dict.len());
        Bytes::copy_from_slice(&dict[from..to])
    }

    fn fetch(dict: &[u8]) -> Fetch {
        Fetch::new(InfoHash(Sha1::digest(dict).into()), MAX)
    }

    /// Answers every request as `tell` says; what came of it.
    fn run(
        fetch: &mut Fetch,
        millis: &mut u64,
        limit: u64,
        tell: impl Fn(PeerKey, u32) -> Option<Bytes>,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let end = *millis + limit;
        while *millis < end {
            for (peer, piece) in fetch.poll(at(*millis)) {
                let verdict = fetch.answer(at(*millis), peer, piece, 0, tell(peer, piece));
                let complete = matches!(verdict, Verdict::Complete(_));
                if verdict != Verdict::Open {
                    verdicts.push(verdict);
                }
                if complete {
                    return verdicts;
                }
            }
            *millis += 500;
        }
        verdicts
    }

    #[test]
    fn pieces_are_spread_over_peers_and_never_asked_twice() {
        let truth = dict(50_000, 0);
        let mut fetch = fetch(&truth);
        for peer in 0..2 {
            assert!(fetch.peer_has(at(0), PeerKey(peer), Some(50_000)));
        }
        let asked = fetch.poll(at(0));
        let mut pieces: Vec<u32> = asked.iter().map(|(_, piece)| *piece).collect();
        pieces.sort_unstable();
        assert_eq!(pieces, [0, 1, 2, 3]);
        let of_first = asked.iter().filter(|(peer, _)| peer.0 == 0).count();
        assert_eq!(of_first, 2);
        assert!(fetch.poll(at(100)).is_empty());
        for (peer, number) in asked.into_iter().rev() {
            let data = Some(piece(&truth, number));
            let verdict = fetch.answer(at(200), peer, number, 50_000, data);
            if let Verdict::Complete(whole) = verdict {
                assert!(whole == truth);
                return;
            }
        }
        panic!("never complete");
    }

    #[test]
    fn silence_and_refusals_lead_to_another_peer() {
        let truth = dict(100, 0);
        let mut fetch = fetch(&truth);
        fetch.peer_has(at(0), PeerKey(1), Some(100));
        assert_eq!(fetch.poll(at(0)), [(PeerKey(1), 0)]);
        fetch.peer_has(at(0), PeerKey(2), Some(100));
        assert!(fetch.poll(at(4000)).is_empty());
        assert_eq!(
            fetch.poll(at(5000)),
            [(PeerKey(2), 0)],
            "the first was silent"
        );
        let refused = fetch.answer(at(5000), PeerKey(2), 0, 0, None);
        assert_eq!(refused, Verdict::Open);
        assert!(
            fetch.poll(at(6000)).is_empty(),
            "both are left alone for a while"
        );
        assert!(!fetch.poll(at(26_000)).is_empty());
    }

    #[test]
    fn a_liar_among_the_honest_is_found_and_named() {
        let truth = dict(50_000, 0);
        let lie = dict(50_000, 1);
        let mut fetch = fetch(&truth);
        for peer in 0..3 {
            fetch.peer_has(at(0), PeerKey(peer), Some(50_000));
        }
        let mut millis = 0;
        let verdicts = run(&mut fetch, &mut millis, 300_000, |peer, number| {
            Some(piece(if peer.0 == 1 { &lie } else { &truth }, number))
        });
        assert!(matches!(&verdicts[0], Verdict::Wrong(senders) if senders.len() > 1));
        assert!(matches!(verdicts.last(), Some(Verdict::Complete(_))));
    }

    #[test]
    fn one_alone_who_lies_is_guilty() {
        let mut fetch = fetch(&dict(100, 0));
        fetch.peer_has(at(0), PeerKey(1), Some(100));
        let lie = |_, number| Some(piece(&dict(100, 1), number));
        let verdicts = run(&mut fetch, &mut 0, 1000, lie);
        assert_eq!(verdicts, [Verdict::Wrong([PeerKey(1)].into())]);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_and_lengths_that_do_not_fit_ignored() {
        let truth = dict(20_000, 0);
        let mut fetch = fetch(&truth);
        assert!(!fetch.peer_has(at(0), PeerKey(1), Some(MAX + 1)));
        assert!(fetch.peer_has(at(0), PeerKey(2), Some(20_000)));
        assert_eq!(fetch.poll(at(0)).len(), 2);
        let short = Some(Bytes::from_static(b"short"));
        assert_eq!(fetch.answer(at(0), PeerKey(2), 0, 0, short), Verdict::Open);
        let beyond = Some(piece(&truth, 0));
        let verdict = fetch.answer(at(0), PeerKey(2), u32::MAX, 0, beyond);
        assert_eq!(verdict, Verdict::Open);
        assert!(fetch.attempts[0].pieces.iter().all(Option::is_none));
    }

    #[test]
    fn what_is_held_is_bounded_whatever_is_claimed() {
        let mut fetch = fetch(&dict(100, 0));
        for peer in 0..1000 {
            fetch.peer_has(at(0), PeerKey(peer), Some(MAX - peer as u32));
        }
        for tick in 0..200 {
            fetch.poll(at(tick * 500));
            let held: u64 = fetch.attempts.iter().map(|it| u64::from(it.size)).sum();
            assert!(fetch.attempts.len() <= MAX_ATTEMPTS);
            assert!(held <= u64::from(MAX) + (1 << 20));
        }
    }

    #[test]
    fn a_peer_that_does_not_say_is_asked_and_tells_the_size() {
        let truth = dict(20_000, 0);
        let mut fetch = fetch(&truth);
        fetch.peer_has(at(0), PeerKey(1), None);
        assert_eq!(fetch.poll(at(0)), [(PeerKey(1), 0)]);
        let first = Some(piece(&truth, 0));
        fetch.answer(at(0), PeerKey(1), 0, 20_000, first);
        assert_eq!(fetch.poll(at(0)), [(PeerKey(1), 1)]);
        let last = fetch.answer(at(0), PeerKey(1), 1, 20_000, Some(piece(&truth, 1)));
        assert!(matches!(last, Verdict::Complete(_)));
    }
}
