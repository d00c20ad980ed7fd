//! Node ids: 160 bits whose distance is their XOR (BEP 5), and which the
//! address of a node restricts (BEP 42).

use std::fmt;
use std::net::IpAddr;

use data_encoding::HEXLOWER_PERMISSIVE;
use rand::{RngExt, rngs::StdRng};

use crate::address::is_local;
use crate::crc32c::crc32c;
use crate::ids::InfoHash;

/// What of an address counts for an id: the more significant a byte, the fewer
/// bits of it (BEP 42).
const MASK_V4: [u8; 4] = [0x03, 0x0f, 0x3f, 0xff];
const MASK_V6: [u8; 8] = [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff];

/// A place in the key space: of a node, a torrent or an item.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 20]);

impl NodeId {
    /// Any id.
    pub fn random(rng: &mut StdRng) -> Self {
        let mut id = [0; 20];
        rng.fill(&mut id);
        Self(id)
    }

    /// An id that a node at `ip` may have (BEP 42). `rand` is the last byte, of which
    /// the low three bits choose one of eight prefixes.
    pub fn for_address(ip: IpAddr, rand: u8, rng: &mut StdRng) -> Self {
        let prefix = prefix_of(ip, rand);
        let mut id = Self::random(rng);
        id.0[0] = (prefix >> 24) as u8;
        id.0[1] = (prefix >> 16) as u8;
        id.0[2] = (prefix >> 8) as u8 & 0xf8 | id.0[2] & 0x07;
        id.0[19] = rand;
        id
    }

    /// Whether a node at `ip` may have this id (BEP 42). Any id is good on a private
    /// network, whose nodes are not seen by the address they know themselves by.
    pub fn is_valid_for(self, ip: IpAddr) -> bool {
        if is_local(ip) {
            return true;
        }
        let prefix = prefix_of(ip, self.0[19]);
        let own = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], 0]);
        (own ^ prefix) >> 11 == 0
    }

    /// How far `self` is from `other`.
    pub fn distance(self, other: Self) -> Distance {
        let mut distance = [0; 20];
        for (to, (a, b)) in distance.iter_mut().zip(self.0.iter().zip(other.0)) {
            *to = a ^ b;
        }
        Distance(distance)
    }

    /// How many bits at the start both have in common: 0 to 160.
    pub fn common_bits(self, other: Self) -> u32 {
        let mut bits = 0;
        for (a, b) in self.0.iter().zip(other.0) {
            let zeros = (a ^ b).leading_zeros();
            bits += zeros;
            if zeros < 8 {
                break;
            }
        }
        bits
    }

    /// A random id that has the first `bits` bits in common with this one.
    pub fn random_near(self, bits: u32, rng: &mut StdRng) -> Self {
        let mut id = Self::random(rng);
        for (at, byte) in id.0.iter_mut().enumerate() {
            let kept = bits.saturating_sub(at as u32 * 8).min(8);
            let mask = (0xff00u16 >> kept) as u8;
            *byte = self.0[at] & mask | *byte & !mask;
        }
        id
    }

    /// Eight bits of the id, from bit `from` on.
    pub(super) fn bits_from(self, from: u32) -> u8 {
        let (byte, shift) = (from as usize / 8, from % 8);
        let at = |index| u16::from(self.0.get(index).copied().unwrap_or(0));
        ((at(byte) << 8 | at(byte + 1)) >> (8 - shift)) as u8
    }
}

/// The XOR of two ids, which sorts by distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; 20]);

impl Distance {
    /// The largest of all.
    pub(super) const MAX: Self = Self([0xff; 20]);

    /// As a part of the whole key space: 0 to 1.
    pub(super) fn fraction(self) -> f64 {
        let bytes = self.0.iter().rev();
        bytes.fold(0.0, |sum, byte| (sum + f64::from(*byte)) / 256.0)
    }
}

fn prefix_of(ip: IpAddr, rand: u8) -> u32 {
    let mut masked = [0; 8];
    let length = match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for (to, (byte, mask)) in masked.iter_mut().zip(ip.octets().iter().zip(MASK_V4)) {
                *to = byte & mask;
            }
            MASK_V4.len()
        }
        IpAddr::V6(ip) => {
            for (to, (byte, mask)) in masked.iter_mut().zip(ip.octets().iter().zip(MASK_V6)) {
                *to = byte & mask;
            }
            MASK_V6.len()
        }
    };
    masked[0] |= (rand & 0x07) << 5;
    crc32c(&masked[..length])
}

impl From<InfoHash> for NodeId {
    fn from(hash: InfoHash) -> Self {
        Self(hash.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    /// Addresses, the byte at random, and an id of BEP 42 for each.
    const VECTORS: [(&str, u8, &str); 6] = [
        (
            "124.31.75.21",
            1,
            "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401",
        ),
        (
            "21.75.31.124",
            86,
            "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256",
        ),
        (
            "65.23.51.170",
            22,
            "a5d43220bc8f112a3d426c84764f8c2a1150e616",
        ),
        (
            "84.124.73.14",
            65,
            "1b0321dd1bb1fe518101ceef99462b947a01ff41",
        ),
        (
            "43.213.53.83",
            90,
            "e56f6cbf5b7c4be0237986d5243b87aa6d51305a",
        ),
        (
            "2001:b829:2123:be84:e16c:d6ae:5290:49f1",
            4,
            "0a8ad123be84e16cd6ae529049f1f1bbe9ebb304",
        ),
    ];

    fn id(hex: &str) -> NodeId {
        NodeId(InfoHash::from_hex(hex).unwrap().0)
    }

    #[test]
    fn ids_of_bep_42_are_valid_and_ours_have_the_same_prefix() {
        let mut rng = StdRng::seed_from_u64(1);
        for (ip, rand, hex) in VECTORS {
            let ip: IpAddr = ip.parse().unwrap();
            let id = id(hex);
            assert!(id.is_valid_for(ip), "{ip}");
            let ours = NodeId::for_address(ip, rand, &mut rng);
            assert!(ours.common_bits(id) >= 21, "{ip}: {ours}");
            assert!(ours.is_valid_for(ip) && ours.0[19] == rand);
            for bit in 0..21 {
                let mut wrong = id;
                wrong.0[bit / 8] ^= 0x80 >> (bit % 8);
                assert!(!wrong.is_valid_for(ip), "{ip}: bit {bit}");
            }
            let mut wrong = id;
            wrong.0[19] ^= 1;
            assert!(!wrong.is_valid_for(ip), "{ip}: another prefix");
            assert!(!id.is_valid_for("9.9.9.9".parse().unwrap()));
        }
    }

    #[test]
    fn any_id_is_valid_on_a_private_network() {
        for ip in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fe80::1"] {
            assert!(NodeId([7; 20]).is_valid_for(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn a_mapped_address_counts_as_the_address_in_it() {
        let id = id("5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401");
        assert!(id.is_valid_for("::ffff:124.31.75.21".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn distances_and_prefixes(a: [u8; 20], b: [u8; 20], bits in 0u32..=160, from in 0u32..160, seed: u64) {
            let (a, b) = (NodeId(a), NodeId(b));
            let mut rng = StdRng::seed_from_u64(seed);
            prop_assert_eq!(a.distance(b), b.distance(a));
            prop_assert_eq!(a.distance(a), NodeId::default().distance(NodeId::default()));
            prop_assert!(a.random_near(bits, &mut rng).common_bits(a) >= bits);
            let bit = |id: NodeId, at: u32| id.0.get(at as usize / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
            let expected = (0..8).fold(0, |sum, at| sum << 1 | bit(a, from + at));
            prop_assert_eq!(a.bits_from(from), expected);
            let common = (0..160).take_while(|&at| bit(a, at) == bit(b, at)).count();
            prop_assert_eq!(a.common_bits(b) as usize, common);
        }
    }
}
