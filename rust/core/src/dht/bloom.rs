//! Bloom filters of addresses, with which nodes count a swarm without naming its
//! peers (BEP 33).

use std::net::IpAddr;

use sha1::{Digest, Sha1};

/// Bytes of a filter.
pub const BLOOM_BYTES: usize = 256;

/// A set of addresses that can be counted and united.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BloomFilter(pub [u8; BLOOM_BYTES]);

impl Default for BloomFilter {
    fn default() -> Self {
        Self([0; BLOOM_BYTES])
    }
}

impl BloomFilter {
    /// Reads one of 256 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// Puts in an address.
    pub fn insert(&mut self, ip: IpAddr) {
        let hash: [u8; 20] = match ip.to_canonical() {
            IpAddr::V4(ip) => Sha1::digest(ip.octets()).into(),
            IpAddr::V6(ip) => Sha1::digest(ip.octets()).into(),
        };
        for pair in [[hash[0], hash[1]], [hash[2], hash[3]]] {
            let bit = usize::from(u16::from_le_bytes(pair)) % (BLOOM_BYTES * 8);
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// Adds what is in `other`.
    pub fn unite(&mut self, other: &Self) {
        for (byte, more) in self.0.iter_mut().zip(other.0) {
            *byte |= more;
        }
    }

    /// About how many addresses are in it; beyond 6000 the number means little.
    pub fn estimate(&self) -> f64 {
        let bits = (BLOOM_BYTES * 8) as f64;
        let zeros: u32 = self.0.iter().map(|byte| byte.count_zeros()).sum();
        // A full filter has no logarithm: it counts as one bit short of it.
        let zeros = f64::from(zeros).clamp(1.0, bits);
        (zeros / bits).ln() / (2.0 * (1.0 - 1.0 / bits).ln())
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXUPPER;

    use super::*;

    const VECTOR: &str = "\
        F6C3F5EAA07FFD91BDE89F777F26FB2BFF37BDB8FB2BBAA2FD3DDDE7BACFFF75EE7CCBAE\
        FE5EEDB1FBFAFF67F6ABFF5E43DDBCA3FD9B9FFDF4FFD3E9DFF12D1BDF59DB53DBE9FA5B\
        7FF3B8FDFCDE1AFB8BEDD7BE2F3EE71EBBBFE93BCDEEFE148246C2BC5DBFF7E7EFDCF24F\
        D8DC7ADFFD8FFFDFDDFFF7A4BBEEDF5CB95CE81FC7FCFF1FF4FFFFDFE5F7FDCBB7FD79B3\
        FA1FC77BFE07FFF905B7B7FFC7FEFEFFE0B8370BB0CD3F5B7F2BD93FEB4386CFDD6F7FD5\
        BFAF2E9EBFFFFEECD67ADBF7C67F17EFD5D75EBA6FFEBA7FFF47A91EB1BFBB53E8ABFB57\
        62ABE8FF237279BFEFBFEEF5FFC5FEBFDFE5ADFFADFEE1FB737FFFFBFD9F6AEFFEEE76B6\
        FD8F72EF";

    #[test]
    fn the_vector_of_bep_33() {
        let mut filter = BloomFilter::default();
        let mut v6 = BloomFilter::default();
        for last in 0..=255u8 {
            filter.insert(IpAddr::from([192, 0, 2, last]));
        }
        for last in 0..=0x3e7 {
            v6.insert(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
        }
        filter.unite(&v6);
        assert_eq!(HEXUPPER.encode(&filter.0), VECTOR);
        assert!((filter.estimate() - 1224.9308).abs() < 0.001);
        assert_eq!(BloomFilter::from_bytes(&filter.0), Some(filter));
    }

    #[test]
    fn an_empty_and_a_full_filter_can_be_counted() {
        assert_eq!(BloomFilter::default().estimate(), 0.0);
        let full = BloomFilter([0xff; BLOOM_BYTES]).estimate();
        assert!(full > 6000.0 && full.is_finite());
        assert_eq!(BloomFilter::from_bytes(&[0; 255]), None);
    }
}
