//! Messages of ut_pex (BEP 11): endpoints that joined the sender's swarm, and
//! that left it.

use std::net::SocketAddr;

use super::ExtError;
use crate::address::{read_endpoint, write_endpoint};
use crate::bencode::{DecodeLimits, Dict, DictItem, Document};

/// Longest message in bytes that is read; libtorrent's limit.
pub const MAX_PEX_MESSAGE: usize = 500 * 1024;

/// Endpoints of each sort that are read from one message; the others are left
/// out.
const MAX_ENDPOINTS: usize = 1000;

/// The dict and its six strings; a little more is tolerated.
const LIMITS: DecodeLimits = DecodeLimits {
    depth: 8,
    tokens: 200,
};

/// What the sender says of an endpoint: a set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PexFlags(pub u8);

impl PexFlags {
    /// It supports encrypted connections.
    pub const ENCRYPTION: Self = Self(0x01);
    /// It has everything, or only uploads.
    pub const SEED: Self = Self(0x02);
    /// It supports uTP.
    pub const UTP: Self = Self(0x04);
    /// It supports ut_holepunch (BEP 55).
    pub const HOLEPUNCH: Self = Self(0x08);
    /// The sender has connected to it, so it can be reached.
    pub const REACHABLE: Self = Self(0x10);

    /// Whether all of `other` are among them.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags, and `other` if `on`.
    pub fn with(self, other: Self, on: bool) -> Self {
        if on { Self(self.0 | other.0) } else { self }
    }
}

/// An endpoint that joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PexPeer {
    /// Where it listens.
    pub endpoint: SocketAddr,
    /// What the sender says of it.
    pub flags: PexFlags,
}

/// A message of ut_pex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PexMessage {
    /// Endpoints that joined since the last message.
    pub added: Vec<PexPeer>,
    /// Endpoints that left since then.
    pub dropped: Vec<SocketAddr>,
}

impl PexMessage {
    /// Reads the payload of a ut_pex message. Flags that are missing are none; a
    /// rest that is no whole endpoint is left out, and so is whatever is beyond
    /// 1000 endpoints of a sort.
    pub fn decode(payload: &[u8]) -> Result<Self, ExtError> {
        if payload.len() > MAX_PEX_MESSAGE {
            return Err(ExtError::PexTooLong(payload.len()));
        }
        let document = Document::parse_prefix(payload, &LIMITS).map_err(|_| ExtError::NotADict)?;
        let dict = document.root().as_dict().ok_or(ExtError::NotADict)?;
        let mut added = added::<6>(dict, "added", "added.f");
        added.extend(self::added::<18>(dict, "added6", "added6.f"));
        let dropped = endpoints::<6>(dict, "dropped").chain(endpoints::<18>(dict, "dropped6"));
        let dropped = dropped.collect();
        Ok(Self { added, dropped })
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut dict = DictItem::new();
        for (v4, added, flags, dropped) in [
            (true, "added", "added.f", "dropped"),
            (false, "added6", "added6.f", "dropped6"),
        ] {
            let of_family = |endpoint: &SocketAddr| endpoint.is_ipv4() == v4;
            let joined = self.added.iter().filter(|it| of_family(&it.endpoint));
            let left = self.dropped.iter().filter(|it| of_family(it));
            dict.insert(added, compact(joined.clone().map(|it| it.endpoint)));
            dict.insert(flags, joined.map(|it| it.flags.0).collect::<Vec<u8>>());
            dict.insert(dropped, compact(left.copied()));
        }
        dict.encode()
    }
}

fn added<const N: usize>(dict: Dict<'_>, key: &str, flags: &str) -> Vec<PexPeer> {
    let flags = dict.bytes(flags).unwrap_or_default();
    let flags = flags.iter().copied().chain(std::iter::repeat(0));
    let all = endpoints::<N>(dict, key).zip(flags);
    let peer = |(endpoint, flags)| PexPeer {
        endpoint,
        flags: PexFlags(flags),
    };
    all.map(peer).collect()
}

/// Those under `key`, of `N` bytes each.
fn endpoints<'a, const N: usize>(
    dict: Dict<'a>,
    key: &str,
) -> impl Iterator<Item = SocketAddr> + use<'a, N> {
    let bytes = dict.bytes(key).unwrap_or_default();
    let whole = bytes.chunks_exact(N).take(MAX_ENDPOINTS);
    whole.filter_map(read_endpoint)
}

fn compact(endpoints: impl Iterator<Item = SocketAddr>) -> Vec<u8> {
    let mut bytes = Vec::new();
    endpoints.for_each(|endpoint| write_endpoint(endpoint, &mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(endpoint: &str, flags: u8) -> PexPeer {
        PexPeer {
            endpoint: endpoint.parse().unwrap(),
            flags: PexFlags(flags),
        }
    }

    #[test]
    fn a_message_has_the_form_of_the_bep() {
        let message = PexMessage {
            added: vec![peer("1.2.3.4:258", 0x12), peer("[2001:db8::1]:1", 1)],
            dropped: vec!["5.6.7.8:65535".parse().unwrap()],
        };
        let mut bytes = b"d5:added6:\x01\x02\x03\x04\x01\x027:added.f1:\x12".to_vec();
        bytes.extend_from_slice(b"6:added618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01");
        bytes.extend_from_slice(b"8:added6.f1:\x017:dropped6:\x05\x06\x07\x08\xff\xff");
        bytes.extend_from_slice(b"8:dropped60:e");
        assert_eq!(message.encode(), bytes);
        assert_eq!(PexMessage::decode(&bytes), Ok(message));
    }

    #[test]
    fn what_is_missing_or_cut_costs_nothing_else() {
        let read = PexMessage::decode(b"d5:added8:\x01\x02\x03\x04\0\x01\x05\x06e").unwrap();
        assert_eq!(read.added, [peer("1.2.3.4:1", 0)]);
        assert_eq!(PexMessage::decode(b"de"), Ok(PexMessage::default()));
        assert_eq!(
            PexMessage::decode(b"d5:addedi1e7:droppedlee"),
            Ok(PexMessage::default())
        );
        assert_eq!(PexMessage::decode(b"le"), Err(ExtError::NotADict));
        let long = vec![b'x'; MAX_PEX_MESSAGE + 1];
        let refused = PexMessage::decode(&long);
        assert_eq!(refused, Err(ExtError::PexTooLong(long.len())));
    }

    #[test]
    fn a_message_names_a_bounded_number_of_endpoints() {
        let mut bytes = b"d5:added120000:".to_vec();
        bytes.extend(std::iter::repeat_n(7, 120_000));
        bytes.extend_from_slice(b"e");
        let read = PexMessage::decode(&bytes).unwrap();
        assert_eq!(read.added.len(), MAX_ENDPOINTS);
    }

    proptest! {
        #[test]
        fn messages_round_trip(
            added in prop::collection::vec((any::<SocketAddr>(), any::<u8>()), 0..20),
            dropped in prop::collection::vec(any::<SocketAddr>(), 0..20),
        ) {
            // Families are sent one after the other, without a flow or scope.
            let plain = |addr: SocketAddr| SocketAddr::new(addr.ip(), addr.port());
            let mut message = PexMessage {
                added: added
                    .into_iter()
                    .map(|(addr, flags)| PexPeer {
                        endpoint: plain(addr),
                        flags: PexFlags(flags),
                    })
                    .collect(),
                dropped: dropped.into_iter().map(plain).collect(),
            };
            message.added.sort_by_key(|it| it.endpoint.is_ipv6());
            message.dropped.sort_by_key(SocketAddr::is_ipv6);
            prop_assert_eq!(PexMessage::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = PexMessage::decode(&bytes);
        }
    }
}
