//! Lists of addresses in the formats that other clients use.
//!
//! - eMule `.dat`: `001.002.003.000 - 001.002.003.255 , 000 , description`; an
//!   access level above 127 lets the range through.
//! - PeerGuardian text (`.p2p`): `description:1.2.3.0-1.2.3.255`.
//! - PeerGuardian binary (`.p2b`), versions 1 to 3.
//! - A rule a line, as [`IpRange`] reads it.

use super::{FilterError, IpFilter, IpRange};

/// A range of eMule's is blocked up to this access level.
const BLOCKED_LEVEL: u32 = 127;

/// Begins a binary list; its version follows.
const MAGIC: &[u8] = b"\xff\xff\xff\xffP2B";

/// What came of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Ranges that were taken.
    pub ranges: usize,
    /// Lines that are neither a range nor a comment.
    pub errors: usize,
}

impl IpFilter {
    /// Adds the ranges of a list. Lines of a text list that are no range are
    /// counted and skipped.
    ///
    /// # Errors
    ///
    /// [`FilterError::TooMany`] when there are too many ranges, and
    /// [`FilterError::BadList`] for a broken binary list; the ranges before are
    /// taken then.
    pub fn load(&mut self, list: &[u8]) -> Result<Loaded, FilterError> {
        read(list, |range, blocked| self.set(range, blocked))
    }
}

/// Hands the ranges of a list to `set`, in order.
pub(super) fn read(
    list: &[u8],
    mut set: impl FnMut(IpRange, bool) -> Result<(), FilterError>,
) -> Result<Loaded, FilterError> {
    if let Some(binary) = list.strip_prefix(MAGIC) {
        return read_binary(binary, |range| set(range, true));
    }
    let mut loaded = Loaded::default();
    let text = list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list);
    for line in text.split(|&byte| matches!(byte, b'\n' | b'\r')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") || line.starts_with(b"//") {
            continue;
        }
        match read_line(&String::from_utf8_lossy(line)) {
            Some((range, blocked)) => {
                set(range, blocked)?;
                loaded.ranges += 1;
            }
            None => loaded.errors += 1,
        }
    }
    Ok(loaded)
}

fn read_binary(
    list: &[u8],
    mut block: impl FnMut(IpRange) -> Result<(), FilterError>,
) -> Result<Loaded, FilterError> {
    let (&version, list) = list.split_first().ok_or(FilterError::BadList)?;
    let mut rest = Bytes(list);
    let mut loaded = Loaded::default();
    let mut take = |list: &mut Bytes<'_>| {
        let first = list.number().ok_or(FilterError::BadList)?;
        let last = list.number().ok_or(FilterError::BadList)?;
        if first > last {
            loaded.errors += 1;
            return Ok(());
        }
        loaded.ranges += 1;
        block(IpRange::V4(first.into(), last.into()))
    };
    match version {
        1 | 2 => {
            while !rest.0.is_empty() {
                rest.name().ok_or(FilterError::BadList)?;
                take(&mut rest)?;
            }
        }
        3 => {
            let names = rest.number().ok_or(FilterError::BadList)?;
            for _ in 0..names {
                rest.name().ok_or(FilterError::BadList)?;
            }
            let ranges = rest.number().ok_or(FilterError::BadList)?;
            for _ in 0..ranges {
                let _name = rest.number().ok_or(FilterError::BadList)?;
                take(&mut rest)?;
            }
        }
        _ => return Err(FilterError::BadList),
    }
    Ok(loaded)
}

/// The range in a line, and whether it is blocked.
fn read_line(line: &str) -> Option<(IpRange, bool)> {
    let mut fields = line.split(',');
    if let Some(Ok(range)) = fields.next().map(str::parse) {
        let level = fields.next().map(|level| level.trim().parse::<u32>());
        return match level {
            None => Some((range, true)),
            Some(Ok(level)) => Some((range, level <= BLOCKED_LEVEL)),
            Some(Err(_)) => None,
        };
    }
    // The name may have colons of its own.
    let (_, range) = line.rsplit_once(':')?;
    Some((range.parse().ok()?, true))
}

/// What is left of a binary list.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// Skips text that ends with a zero.
    fn name(&mut self) -> Option<()> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        self.0 = self.0.get(end + 1..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(list: &[u8]) -> (IpFilter, Result<Loaded, FilterError>) {
        let mut filter = IpFilter::new();
        let loaded = filter.load(list);
        (filter, loaded)
    }

    fn ranges(filter: &IpFilter) -> Vec<String> {
        let show = |range| match range {
            IpRange::V4(first, last) => format!("{first}-{last}"),
            IpRange::V6(first, last) => format!("{first}-{last}"),
        };
        filter.ranges().map(show).collect()
    }

    #[test]
    fn emule_and_peerguardian_text_and_plain_rules() {
        let list = b"\xef\xbb\xbf# a comment\r\n\
            001.002.003.000 - 001.002.003.255 , 000 , Somebody, Inc.\r\n\
            004.000.000.000 - 004.000.000.255 , 200 , welcome\n\
            // another comment\n\n\
            Name: with colon, and comma:5.6.7.8-5.6.7.9\n\
            caf\xe9:6.0.0.1-6.0.0.1\n\
            9.9.9.0/24\n\
            2001:db8::/48\n\
            nonsense\n\
            1.2.3.4 - 1.2.3.5 , high , level\n";
        let (filter, loaded) = load(list);
        let expected = Loaded {
            ranges: 6,
            errors: 2,
        };
        assert_eq!(loaded, Ok(expected));
        assert_eq!(
            ranges(&filter),
            [
                "1.2.3.0-1.2.3.255",
                "5.6.7.8-5.6.7.9",
                "6.0.0.1-6.0.0.1",
                "9.9.9.0-9.9.9.255",
                "2001:db8::-2001:db8:0:ffff:ffff:ffff:ffff:ffff"
            ]
        );
    }

    #[test]
    fn binary_lists_of_all_versions() {
        let mut second = b"\xff\xff\xff\xffP2B\x02".to_vec();
        second.extend(b"one\0\x01\x02\x03\x00\x01\x02\x03\xff");
        second.extend(b"backwards\0\x05\0\0\0\x04\0\0\0");
        second.extend(b"two\0\x09\0\0\x01\x09\0\0\x01");
        let mut third = b"\xff\xff\xff\xffP2B\x03\0\0\0\x01a name\0\0\0\0\x02".to_vec();
        third.extend(b"\0\0\0\0\x01\x02\x03\x00\x01\x02\x03\xff");
        third.extend(b"\0\0\0\0\x09\0\0\x01\x09\0\0\x01");
        for (list, errors) in [(second, 1), (third, 0)] {
            let (filter, loaded) = load(&list);
            assert_eq!(loaded, Ok(Loaded { ranges: 2, errors }));
            assert_eq!(ranges(&filter), ["1.2.3.0-1.2.3.255", "9.0.0.1-9.0.0.1"]);
            let (_, cut) = load(&list[..list.len() - 1]);
            assert_eq!(cut, Err(FilterError::BadList));
        }
        assert_eq!(
            load(b"\xff\xff\xff\xffP2B\x09").1,
            Err(FilterError::BadList)
        );
        // More names and ranges than there are bytes.
        let endless = b"\xff\xff\xff\xffP2B\x03\xff\xff\xff\xff";
        assert_eq!(load(endless).1, Err(FilterError::BadList));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_an_error(
            list in prop::collection::vec(any::<u8>(), 0..200), binary: bool, version in 0u8..5,
        ) {
            let mut whole = if binary { [MAGIC, &[version]].concat() } else { Vec::new() };
            whole.extend(list);
            let (filter, loaded) = load(&whole);
            if let Ok(loaded) = loaded {
                prop_assert!(filter.len() <= loaded.ranges + 1);
            }
        }
    }
}
