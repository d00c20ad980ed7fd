//! Who sent bad data: from pieces that failed their hash to addresses that are
//! banned.
//!
//! One [`Suspects`] a torrent, owned by its brain, which reports every
//! piece that failed ([`Suspects::piece_failed`]) and of those that passed
//! while any peer was under suspicion ([`Suspects::piece_passed`]), and bans the
//! addresses that come back.
//!
//! Proof comes in three ways. Who sent all of a bad piece is guilty. Who sent
//! two different versions of a block is. And when a piece that failed is there
//! at last, the peer that sent other bytes for one of its blocks before is: for that
//! the disk hands over a digest of each block. Until then every peer that took
//! part is on parole: fetches whole pieces, alone, so that the next bad one has
//! a single author, and a good one clears the suspect.
//!
//! Evidence goes by address, since a ban does too: a new port is no new peer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use crate::ids::{PeerKey, PieceIndex};

/// Addresses under suspicion that are remembered; the oldest are forgotten.
const MAX_SUSPECTS: usize = 4096;

/// Blocks of failed pieces that are remembered, over all pieces.
const MAX_RECORDS: usize = 65_536;

/// Most trust that can be earned, and the least that there is: libtorrent's.
const TRUST: std::ops::RangeInclusive<i8> = -7..=8;

/// What a ban covers: who has one address of an IPv6 network has all of it.
pub fn ban_unit(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

/// A set of banned addresses, bounded: the oldest ban is lifted for a new one.
#[derive(Clone, Debug, Default)]
pub struct BanList {
    banned: BTreeSet<IpAddr>,
    /// `banned`, the oldest first.
    order: VecDeque<IpAddr>,
}

impl BanList {
    /// Most addresses kept.
    pub const MAX: usize = 10_000;

    /// Bans an address, an IPv6 one with its whole /64. Whether that is new.
    pub fn ban(&mut self, ip: IpAddr) -> bool {
        let ip = ban_unit(ip);
        if !self.banned.insert(ip) {
            return false;
        }
        self.order.push_back(ip);
        if self.order.len() > Self::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.banned.remove(&oldest);
        }
        true
    }

    /// Whether an address is banned.
    pub fn contains(&self, ip: IpAddr) -> bool {
        !self.banned.is_empty() && self.banned.contains(&ban_unit(ip))
    }

    /// The banned addresses, the oldest first; an IPv6 one stands for its /64.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = IpAddr> + '_ {
        self.order.iter().copied()
    }
}

/// One block of a piece as the disk has received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedBlock {
    /// Which block.
    pub block: u32,
    /// The connection that it came from.
    pub sender: PeerKey,
    /// Equal for equal bytes, within one storage; `None` where the bytes were never
    /// in memory.
    pub digest: Option<u64>,
}

/// One block of a piece as it came: from whom, and a digest of its bytes. All
/// digests of one piece are of one kind; only their being equal says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Which block.
    pub block: u32,
    /// Who sent it; `None` when that is not known any more.
    pub ip: Option<IpAddr>,
    /// The digest, where there is one.
    pub digest: Option<u64>,
}

/// A block of a piece that failed.
#[derive(Clone, Copy, Debug)]
struct BlockRecord {
    block: u32,
    ip: IpAddr,
    digest: u64,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, Default)]
struct Suspect {
    trust: i8,
    hash_failures: u32,
    on_parole: bool,
}

/// Every peer that took part in a piece that failed.
#[derive(Clone, Debug)]
pub struct Suspects {
    parole: bool,
    suspects: BTreeMap<IpAddr, Suspect>,
    order: VecDeque<IpAddr>,
    records: BTreeMap<PieceIndex, Vec<BlockRecord>>,
    /// Pieces of `records`, the oldest first.
    pieces: VecDeque<PieceIndex>,
    num_records: usize,
}

impl Suspects {
    /// No peer is under suspicion. `parole` as in [`Self::set_parole`].
    pub fn new(parole: bool) -> Self {
        Self {
            parole,
            suspects: BTreeMap::new(),
            order: VecDeque::new(),
            records: BTreeMap::new(),
            pieces: VecDeque::new(),
            num_records: 0,
        }
    }

    /// Whether suspects are put on parole (`use_parole_mode`). Without it their
    /// trust decides: two points less for a bad piece, one more for a good one,
    /// and at -7 they are banned, right or wrong.
    pub fn set_parole(&mut self, parole: bool) {
        self.parole = parole;
        if !parole {
            for suspect in self.suspects.values_mut() {
                suspect.on_parole = false;
            }
        }
    }

    /// Whether no peer is under suspicion: then [`Self::piece_passed`] need not
    /// be called.
    pub fn is_empty(&self) -> bool {
        self.suspects.is_empty() && self.records.is_empty()
    }

    /// Whether an address is to fetch whole pieces, alone.
    pub fn is_on_parole(&self, ip: IpAddr) -> bool {
        let suspect = self.suspects.get(&ban_unit(ip));
        suspect.is_some_and(|suspect| suspect.on_parole)
    }

    /// Pieces that an address took part in and that failed.
    pub fn hash_failures(&self, ip: IpAddr) -> u32 {
        let suspect = self.suspects.get(&ban_unit(ip));
        suspect.map_or(0, |suspect| suspect.hash_failures)
    }

    /// A piece failed. `blocks` are all of its blocks that a peer sent.
    /// Returns who is to be banned.
    pub fn piece_failed(&mut self, piece: PieceIndex, blocks: &[Sent]) -> Vec<IpAddr> {
        let known = |sent: &Sent| sent.ip.map(ban_unit);
        let senders: BTreeSet<IpAddr> = blocks.iter().filter_map(known).collect();
        let sole = senders.len() == 1 && blocks.iter().all(|sent| sent.ip.is_some());
        let mut guilty = BTreeSet::new();
        for &ip in &senders {
            let parole = self.parole;
            let suspect = self.suspect(ip);
            suspect.hash_failures = suspect.hash_failures.saturating_add(1);
            suspect.trust = suspect.trust.saturating_sub(2).max(*TRUST.start());
            suspect.on_parole = parole;
            if sole || (!parole && suspect.trust <= *TRUST.start()) {
                guilty.insert(ip);
            }
        }
        for sent in blocks {
            let (Some(ip), Some(digest)) = (known(sent), sent.digest) else {
                continue;
            };
            let block = sent.block;
            let records = self.records.get(&piece).map_or(&[][..], Vec::as_slice);
            let mut same = records
                .iter()
                .filter(|record| record.block == block && record.ip == ip);
            match same.next() {
                Some(before) if before.digest != digest => {
                    guilty.insert(ip);
                }
                Some(_) => {}
                None => self.record(piece, block, ip, digest),
            }
        }
        self.convict(guilty)
    }

    /// A piece passed. `senders` are those of its blocks; `digests`, each with its
    /// block and in their order, come where the piece had failed before. Returns who
    /// is to be banned.
    pub fn piece_passed(
        &mut self,
        piece: PieceIndex,
        senders: impl IntoIterator<Item = IpAddr>,
        digests: &[(u32, u64)],
    ) -> Vec<IpAddr> {
        let senders: BTreeSet<IpAddr> = senders.into_iter().map(ban_unit).collect();
        for ip in &senders {
            if let Some(suspect) = self.suspects.get_mut(ip) {
                suspect.trust = suspect.trust.saturating_add(1).min(*TRUST.end());
                suspect.on_parole &= senders.len() > 1;
            }
        }
        let records = self.forget(piece);
        if digests.is_empty() {
            return Vec::new();
        }
        let lied = |record: &&BlockRecord| {
            let found = digests.binary_search_by_key(&record.block, |&(block, _)| block);
            let right = found.ok().and_then(|at| digests.get(at));
            right.is_some_and(|&(_, right)| right != record.digest)
        };
        let guilty: BTreeSet<IpAddr> = records.iter().filter(lied).map(|it| it.ip).collect();
        if !guilty.is_empty() {
            // The others had no part in it.
            let cleared: BTreeSet<IpAddr> = records.iter().map(|record| record.ip).collect();
            for ip in cleared.difference(&guilty) {
                if let Some(suspect) = self.suspects.get_mut(ip) {
                    suspect.trust = suspect.trust.saturating_add(2).min(*TRUST.end());
                    suspect.on_parole = false;
                }
            }
        }
        self.convict(guilty)
    }

    fn convict(&mut self, guilty: BTreeSet<IpAddr>) -> Vec<IpAddr> {
        for ip in &guilty {
            self.suspects.remove(ip);
        }
        self.order.retain(|ip| !guilty.contains(ip));
        guilty.into_iter().collect()
    }

    fn suspect(&mut self, ip: IpAddr) -> &mut Suspect {
        if !self.suspects.contains_key(&ip) {
            self.order.push_back(ip);
            if self.order.len() > MAX_SUSPECTS
                && let Some(oldest) = self.order.pop_front()
            {
                self.suspects.remove(&oldest);
            }
        }
        self.suspects.entry(ip).or_default()
    }

    fn record(&mut self, piece: PieceIndex, block: u32, ip: IpAddr, digest: u64) {
        while self.num_records >= MAX_RECORDS {
            let Some(&oldest) = self.pieces.front() else {
                return;
            };
            self.forget(oldest);
        }
        if !self.records.contains_key(&piece) {
            self.pieces.push_back(piece);
        }
        let records = self.records.entry(piece).or_default();
        records.push(BlockRecord { block, ip, digest });
        self.num_records += 1;
    }

    fn forget(&mut self, piece: PieceIndex) -> Vec<BlockRecord> {
        let Some(records) = self.records.remove(&piece) else {
            return Vec::new();
        };
        self.pieces.retain(|&other| other != piece);
        self.num_records -= records.len();
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(letter: char) -> IpAddr {
        IpAddr::from([10, 0, 0, letter as u8])
    }

    /// A piece as it came: "a1 b2" is digest 1 from a, 2 from b.
    fn sent(drawing: &str) -> Vec<Sent> {
        let one = |(block, word): (u32, &str)| {
            let (who, digest) = word.split_at(1);
            let who = who.chars().next().filter(|&who| who != '?');
            Sent {
                block,
                ip: who.map(ip),
                digest: digest.parse().ok(),
            }
        };
        (0..).zip(drawing.split_whitespace()).map(one).collect()
    }

    fn failed(suspects: &mut Suspects, piece: u32, drawing: &str) -> String {
        names(suspects.piece_failed(PieceIndex(piece), &sent(drawing)))
    }

    fn passed(suspects: &mut Suspects, piece: u32, drawing: &str) -> String {
        let blocks = sent(drawing);
        let digest = |sent: &Sent| Some((sent.block, sent.digest?));
        let digests: Vec<(u32, u64)> = blocks.iter().filter_map(digest).collect();
        let senders = blocks.iter().filter_map(|sent| sent.ip);
        names(suspects.piece_passed(PieceIndex(piece), senders, &digests))
    }

    fn names(ips: Vec<IpAddr>) -> String {
        let letter = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => char::from(v4.octets()[3]),
            IpAddr::V6(_) => '6',
        };
        ips.into_iter().map(letter).collect()
    }

    #[test]
    fn who_sent_all_of_a_bad_piece_is_guilty() {
        let mut suspects = Suspects::new(true);
        assert_eq!(failed(&mut suspects, 0, "a1 a2 a3"), "a");
        // An unknown peer may have done it.
        assert_eq!(failed(&mut suspects, 1, "b1 ?2 b3"), "");
        assert!(suspects.is_on_parole(ip('b')) && !suspects.is_on_parole(ip('a')));
    }

    #[test]
    fn a_liar_is_found_when_the_piece_comes_right_and_the_others_are_cleared() {
        let mut suspects = Suspects::new(true);
        assert_eq!(failed(&mut suspects, 5, "a1 b2 c99"), "");
        assert!("abc".chars().all(|it| suspects.is_on_parole(ip(it))));
        assert_eq!(suspects.hash_failures(ip('a')), 1);
        assert_eq!(passed(&mut suspects, 5, "a1 a2 b3"), "c");
        assert!("abc".chars().all(|it| !suspects.is_on_parole(ip(it))));
        // Nothing is left of the piece.
        assert_eq!(suspects.num_records, 0);
        assert_eq!(passed(&mut suspects, 5, "a1 a2 b3"), "");
    }

    #[test]
    fn two_versions_of_one_block_are_proof() {
        let mut suspects = Suspects::new(true);
        assert_eq!(failed(&mut suspects, 5, "a1 b2 c98"), "");
        assert_eq!(failed(&mut suspects, 5, "a1 b2 c99"), "c");
        // The good ones sent the same twice.
        assert_eq!(passed(&mut suspects, 5, "b1 b2 a3"), "c");
    }

    #[test]
    fn a_good_piece_fetched_alone_ends_parole_and_a_shared_one_does_not() {
        let mut suspects = Suspects::new(true);
        failed(&mut suspects, 5, "a1 b2");
        passed(&mut suspects, 6, "a1 b2");
        assert!(suspects.is_on_parole(ip('a')));
        passed(&mut suspects, 7, "a1 a2");
        assert!(!suspects.is_on_parole(ip('a')) && suspects.is_on_parole(ip('b')));
        assert_eq!(failed(&mut suspects, 8, "b1 b2"), "b");
    }

    #[test]
    fn bad_company_alone_bans_nobody_unless_there_is_no_parole() {
        let mut suspects = Suspects::new(true);
        for piece in 0..50 {
            assert_eq!(failed(&mut suspects, piece, "a1 b2"), "");
        }
        suspects.set_parole(false);
        assert!(!suspects.is_on_parole(ip('a')));
        for piece in 50..53 {
            passed(&mut suspects, piece, "a1 a2");
        }
        assert_eq!(failed(&mut suspects, 60, "a1 b2"), "b");
        assert_eq!(failed(&mut suspects, 61, "a1 c2"), "a");
    }

    #[test]
    fn memory_is_bounded() {
        let mut suspects = Suspects::new(true);
        let blocks = |from: u32| -> Vec<Sent> {
            (0..1000)
                .map(|block| Sent {
                    block,
                    ip: Some(IpAddr::from((from * 1000 + block + 1).to_be_bytes())),
                    digest: Some(1),
                })
                .collect()
        };
        for piece in 0..100 {
            suspects.piece_failed(PieceIndex(piece), &blocks(piece));
        }
        assert!(suspects.num_records <= MAX_RECORDS);
        assert!(suspects.suspects.len() <= MAX_SUSPECTS);
        assert_eq!(suspects.order.len(), suspects.suspects.len());
        let records: usize = suspects.records.values().map(Vec::len).sum();
        assert_eq!(records, suspects.num_records);
    }

    #[test]
    fn a_ban_covers_an_ipv6_network_and_the_oldest_is_lifted() {
        let mut bans = BanList::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(bans.ban(address("2001:db8:1:2:3::4")));
        assert!(!bans.ban(address("2001:db8:1:2:9::9")));
        assert!(bans.contains(address("2001:db8:1:2::")));
        assert!(bans.ban(address("::ffff:10.0.0.1")) && bans.contains(address("10.0.0.1")));
        for number in 0..BanList::MAX as u32 {
            bans.ban(IpAddr::from((0x0b00_0000 + number).to_be_bytes()));
        }
        assert_eq!(bans.iter().len(), BanList::MAX);
        assert!(!bans.contains(address("10.0.0.1")));
    }
}
