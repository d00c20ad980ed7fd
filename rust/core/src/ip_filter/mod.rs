//! Which addresses are blocked: single ones, ranges, networks; IPv4 and IPv6.
//!
//! An [`IpFilter`] is built from rules ([`IpFilter::set`]; a later rule goes
//! before an earlier one) and from lists in the usual formats
//! ([`IpFilter::load`]), then asked ([`IpFilter::blocks`]). The engine keeps one
//! a session, within the [`FilterRules`] that made it. [`IpFilter::entries4`]
//! and [`IpFilter::entries6`] are libtorrent's form of it for session state.

mod lists;
mod rules;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;
use rangemap::RangeInclusiveSet;

pub use lists::Loaded;
pub use rules::FilterRules;

/// Separate ranges that a filter may have: the largest lists have half a
/// million. A range takes some 30 bytes.
pub const MAX_RANGES: usize = 4_000_000;

/// Why a rule or list was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The text is no address, range or network.
    #[error("'{0}' is neither an address nor a range nor a network of addresses")]
    NotARange(String),
    /// The range has ends of different kinds, or its end is before its start.
    #[error("'{0}' is a range that ends before it begins")]
    Backwards(String),
    /// There are too many ranges.
    #[error("the filter would have more than {MAX_RANGES} ranges")]
    TooMany,
    /// A binary list ends in the middle, or is of an unknown version.
    #[error("the list is not a PeerGuardian list of version 1, 2 or 3")]
    BadList,
    /// An entry of session state has the wrong size or is backwards.
    #[error("a filter entry is malformed")]
    BadEntry,
}

/// Addresses from one to another, both included and of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpRange {
    /// IPv4.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6.
    V6(Ipv6Addr, Ipv6Addr),
}

impl IpRange {
    /// The range from `first` to `last`; `None` when there is no such range.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => Some(Self::V4(first, last)),
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => Some(Self::V6(first, last)),
            _ => None,
        }
    }

    /// A range of IPv4 addresses within IPv6 is a range of IPv4: a filter looks
    /// such addresses up as IPv4.
    fn canonical(self) -> Self {
        match self {
            Self::V4(..) => self,
            Self::V6(first, last) => match (first.to_ipv4_mapped(), last.to_ipv4_mapped()) {
                (Some(first), Some(last)) => Self::V4(first, last),
                _ => self,
            },
        }
    }
}

impl From<IpAddr> for IpRange {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::V4(ip, ip),
            IpAddr::V6(ip) => Self::V6(ip, ip),
        }
    }
}

impl FromStr for IpRange {
    type Err = FilterError;

    /// Reads `a`, `a - b` or `a/bits`. IPv4 numbers may have leading zeros, as
    /// lists write them, and count as decimal.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        let text = text.trim();
        let unknown = || FilterError::NotARange(shorten(text));
        if let Some((first, last)) = text.split_once('-') {
            let first = address(first.trim()).ok_or_else(unknown)?;
            let last = address(last.trim()).ok_or_else(unknown)?;
            return Self::new(first, last).ok_or_else(|| FilterError::Backwards(shorten(text)));
        }
        if let Some((ip, bits)) = text.split_once('/') {
            let ip = address(ip.trim()).ok_or_else(unknown)?;
            let bits = bits.trim().parse().map_err(|_| unknown())?;
            let net = IpNet::new(ip, bits).map_err(|_| unknown())?;
            return Self::new(net.network(), net.broadcast()).ok_or_else(unknown);
        }
        address(text).map(Self::from).ok_or_else(unknown)
    }
}

/// What of a text a message shows.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|it| it.is_ascii_digit()) {
            return text.parse().ok();
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| IpAddr::from(octets))
}

/// A set of blocked addresses.
#[derive(Clone, Debug, Default)]
pub struct IpFilter {
    v4: RangeInclusiveSet<u32>,
    v6: RangeInclusiveSet<u128>,
    /// Ranges put in, at least as many as there are.
    inserted: usize,
}

/// The one flag of a libtorrent filter entry: connections are refused.
const BLOCKED: u32 = 1;

/// Two filters are equal when they block the same, however that came about.
impl PartialEq for IpFilter {
    fn eq(&self, other: &Self) -> bool {
        self.v4 == other.v4 && self.v6 == other.v6
    }
}

impl Eq for IpFilter {}

impl IpFilter {
    /// A filter that blocks nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Blocks a range, or lets it through again.
    ///
    /// # Errors
    ///
    /// [`FilterError::TooMany`] when the filter is full.
    pub fn set(&mut self, range: IpRange, blocked: bool) -> Result<(), FilterError> {
        self.make_room()?;
        self.inserted += 1;
        match (range.canonical(), blocked) {
            (IpRange::V4(first, last), true) => self.v4.insert(first.into()..=last.into()),
            (IpRange::V4(first, last), false) => self.v4.remove(first.into()..=last.into()),
            (IpRange::V6(first, last), true) => self.v6.insert(first.into()..=last.into()),
            (IpRange::V6(first, last), false) => self.v6.remove(first.into()..=last.into()),
        }
        Ok(())
    }

    /// Whether there is room for one more rule.
    fn make_room(&mut self) -> Result<(), FilterError> {
        // Both a hole and a range add one range at most.
        if self.inserted >= MAX_RANGES {
            self.inserted = self.len();
            if self.inserted >= MAX_RANGES {
                return Err(FilterError::TooMany);
            }
        }
        Ok(())
    }

    /// Whether connections with `ip` are refused. IPv4 within IPv6 is IPv4.
    pub fn blocks(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => !self.v4.is_empty() && self.v4.contains(&ip.into()),
            IpAddr::V6(ip) => !self.v6.is_empty() && self.v6.contains(&ip.into()),
        }
    }

    /// How many separate ranges are blocked.
    pub fn len(&self) -> usize {
        self.v4.iter().count() + self.v6.iter().count()
    }

    /// Whether nothing is blocked.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The blocked IPv4 ranges as libtorrent's session state has them
    /// (`ip_filter4`): first and last address and flags, 12 bytes.
    pub fn entries4(&self) -> impl Iterator<Item = [u8; 12]> + '_ {
        self.v4.iter().map(|range| {
            let mut entry = [0; 12];
            entry[..4].copy_from_slice(&range.start().to_be_bytes());
            entry[4..8].copy_from_slice(&range.end().to_be_bytes());
            entry[8..].copy_from_slice(&BLOCKED.to_be_bytes());
            entry
        })
    }

    /// The blocked IPv6 ranges in the same form (`ip_filter6`): 36 bytes.
    pub fn entries6(&self) -> impl Iterator<Item = [u8; 36]> + '_ {
        self.v6.iter().map(|range| {
            let mut entry = [0; 36];
            entry[..16].copy_from_slice(&range.start().to_be_bytes());
            entry[16..32].copy_from_slice(&range.end().to_be_bytes());
            entry[32..].copy_from_slice(&BLOCKED.to_be_bytes());
            entry
        })
    }

    /// Takes over an entry of 12 or 36 bytes.
    ///
    /// # Errors
    ///
    /// [`FilterError::BadEntry`] for another size or a range that is backwards,
    /// [`FilterError::TooMany`] when the filter is full.
    pub fn add_entry(&mut self, entry: &[u8]) -> Result<(), FilterError> {
        let (range, flags) = read_entry(entry).ok_or(FilterError::BadEntry)?;
        self.set(range, flags & BLOCKED != 0)
    }

    /// The blocked ranges.
    pub fn ranges(&self) -> impl Iterator<Item = IpRange> + '_ {
        let v4 = |it: &RangeInclusive<u32>| IpRange::V4((*it.start()).into(), (*it.end()).into());
        let v6 = |it: &RangeInclusive<u128>| IpRange::V6((*it.start()).into(), (*it.end()).into());
        self.v4.iter().map(v4).chain(self.v6.iter().map(v6))
    }
}

fn read_entry(entry: &[u8]) -> Option<(IpRange, u32)> {
    let (range, flags) = entry.split_last_chunk::<4>()?;
    let (first, last) = range.split_at(range.len() / 2);
    let (first, last): (IpAddr, IpAddr) = match range.len() {
        8 => (
            <[u8; 4]>::try_from(first).ok()?.into(),
            <[u8; 4]>::try_from(last).ok()?.into(),
        ),
        32 => (
            <[u8; 16]>::try_from(first).ok()?.into(),
            <[u8; 16]>::try_from(last).ok()?.into(),
        ),
        _ => return None,
    };
    Some((IpRange::new(first, last)?, u32::from_be_bytes(*flags)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(rules: &[(&str, bool)]) -> IpFilter {
        let mut filter = IpFilter::new();
        for (rule, blocked) in rules {
            filter.set(rule.parse().unwrap(), *blocked).unwrap();
        }
        filter
    }

    fn blocked(filter: &IpFilter, ip: &str) -> bool {
        filter.blocks(ip.parse().unwrap())
    }

    #[test]
    fn rules_are_addresses_ranges_and_networks() {
        let filter = filter(&[
            ("10.1.2.3", true),
            ("192.168.0.0 - 192.168.0.9", true),
            ("172.16.0.0/12", true),
            ("2001:db8::/32", true),
            ("fd00::1-fd00::ff", true),
            ("172.16.5.5", false),
        ]);
        for ip in [
            "10.1.2.3",
            "192.168.0.9",
            "172.31.255.255",
            "2001:db8:ffff::",
            "fd00::80",
            "::ffff:10.1.2.3",
        ] {
            assert!(blocked(&filter, ip), "{ip}");
        }
        for ip in ["10.1.2.4", "192.168.0.10", "172.16.5.5", "fd00::100", "::1"] {
            assert!(!blocked(&filter, ip), "{ip}");
        }
        assert_eq!(filter.len(), 6);
    }

    #[test]
    fn ipv4_within_ipv6_is_a_rule_for_ipv4() {
        let mut filter = filter(&[
            ("::ffff:10.1.2.3", true),
            ("::ffff:10.2.0.0/112", true),
            ("::ffff:10.2.0.9", false),
        ]);
        for ip in ["10.1.2.3", "::ffff:10.1.2.3", "10.2.3.4"] {
            assert!(blocked(&filter, ip), "{ip}");
        }
        assert!(!blocked(&filter, "10.2.0.9"));
        assert_eq!(filter.entries6().count(), 0);
        // A range that only touches it is one of IPv6.
        filter.set("::/80".parse().unwrap(), true).unwrap();
        assert!(blocked(&filter, "::1") && !blocked(&filter, "255.255.255.255"));
    }

    #[test]
    fn what_is_no_rule_is_named() {
        for text in [
            "",
            "x",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.400",
            "1.2.3.4/33",
            "::/129",
            "1-2",
        ] {
            let error = text.parse::<IpRange>().unwrap_err();
            assert_eq!(error, FilterError::NotARange(text.to_owned()));
        }
        for text in ["1.2.3.4-1.2.3.3", "1.2.3.4-::1"] {
            let error = text.parse::<IpRange>().unwrap_err();
            assert_eq!(error, FilterError::Backwards(text.to_owned()));
        }
        assert_eq!(
            "001.020.010.009".parse::<IpRange>(),
            "1.20.10.9".parse::<IpRange>()
        );
    }

    #[test]
    fn session_state_keeps_it() {
        let filter = filter(&[
            ("10.0.0.0/8", true),
            ("::1", true),
            ("255.255.255.255", true),
        ]);
        let entries: Vec<Vec<u8>> = filter
            .entries4()
            .map(|it| it.to_vec())
            .chain(filter.entries6().map(|it| it.to_vec()))
            .collect();
        assert_eq!(entries[0], [10, 0, 0, 0, 10, 255, 255, 255, 0, 0, 0, 1]);
        let mut back = IpFilter::new();
        for entry in &entries {
            back.add_entry(entry).unwrap();
        }
        assert!(back.ranges().eq(filter.ranges()));
        for bad in [
            &[0; 11][..],
            &[0; 13],
            &[9, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1],
            &[],
        ] {
            assert_eq!(back.add_entry(bad), Err(FilterError::BadEntry));
        }
        // An entry without the flag lets its range through.
        back.add_entry(&[10, 1, 0, 0, 10, 1, 255, 255, 0, 0, 0, 0])
            .unwrap();
        assert!(!blocked(&back, "10.1.2.3") && blocked(&back, "10.2.0.0"));
    }

    proptest! {
        #[test]
        fn later_rules_go_before_earlier_ones(
            rules in prop::collection::vec((0u8..=255, 0u8..=255, any::<bool>()), 0..30),
        ) {
            let mut filter = IpFilter::new();
            let mut model = [false; 256];
            for (one, other, blocked) in rules {
                let (first, last) = (one.min(other), one.max(other));
                let ip = |last: u8| IpAddr::from([9, 9, 9, last]);
                filter.set(IpRange::new(ip(first), ip(last)).unwrap(), blocked).unwrap();
                model[usize::from(first)..=usize::from(last)].fill(blocked);
            }
            for (last, blocked) in model.iter().enumerate() {
                prop_assert_eq!(filter.blocks(IpAddr::from([9, 9, 9, last as u8])), *blocked);
            }
        }
    }
}
