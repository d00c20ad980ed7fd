//! Canonical peer priority (BEP 40): a number that both ends of a connection
//! compute alike, so that a swarm with more peers than connections settles into
//! a random graph that no peer can bend towards itself.

use std::net::{IpAddr, SocketAddr};

use crate::crc32c::crc32c;

/// The priority of the connection between `a` and `b`, in either order; higher
/// is better. 0 when they are not of the same address family.
pub fn canonical_priority(a: SocketAddr, b: SocketAddr) -> u32 {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    match (a.ip(), b.ip()) {
        (low, high) if low == high => {
            let [p, q] = a.port().to_be_bytes();
            let [r, s] = b.port().to_be_bytes();
            crc32c(&[p, q, r, s])
        }
        (IpAddr::V4(low), IpAddr::V4(high)) => hash(low.octets(), high.octets(), 2, 1),
        // BEP 40 lengthens the prefix by what is alike; libtorrent, and with
        // it nearly every peer, keeps one byte more.
        (IpAddr::V6(low), IpAddr::V6(high)) => hash(low.octets(), high.octets(), 6, 2),
        _ => 0,
    }
}

/// Hashes both addresses, only every other bit kept behind the first `plain`
/// bytes, or behind `beyond` bytes from the first one that differs.
fn hash<const N: usize>(mut a: [u8; N], mut b: [u8; N], plain: usize, beyond: usize) -> u32 {
    let differs = a.iter().zip(&b).position(|(a, b)| a != b).unwrap_or(N);
    let plain = plain.max(differs + beyond);
    for byte in a.iter_mut().chain(&mut b).enumerate() {
        if byte.0 % N >= plain {
            *byte.1 &= 0x55;
        }
    }
    crc32c(&[a, b].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(a: &str, b: &str) -> u32 {
        let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(canonical_priority(a, b), canonical_priority(b, a));
        canonical_priority(a, b)
    }

    fn of_hex(digits: &str) -> u32 {
        crc32c(&data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap())
    }

    #[test]
    fn agrees_with_the_vectors_of_the_bep() {
        assert_eq!(priority("123.213.32.10:1", "98.76.54.32:2"), 0xec2d_7224);
        assert_eq!(priority("123.213.32.10:1", "123.213.32.234:2"), 0x9956_8189);
    }

    #[test]
    fn near_addresses_are_told_apart_by_more_bits() {
        let cases = [
            ("230.12.123.3:1234", "230.12.123.3:300", "012c04d2"),
            ("230.12.23.1:1", "230.12.123.3:1", "e60c1701e60c7b01"),
            ("230.120.23.1:1", "230.12.123.3:1", "e60c5101e6781501"),
            ("[::1]:1234", "[::1]:300", "012c04d2"),
            (
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
                "[ffff:ffff:fff:ffff:ffff:ffff:ffff:ffff]:1",
                "ffffffff0fff55555555555555555555ffffffffffff55555555555555555555",
            ),
            (
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
                "[ffff:ffff:ff0f:ffff:ffff:ffff:ffff:ffff]:1",
                "ffffffffff0fff555555555555555555ffffffffffffff555555555555555555",
            ),
            (
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
                "[ffff:ffff:ffff:fff:ffff:ffff:ffff:ffff]:1",
                "ffffffffffff0fff5555555555555555ffffffffffffffff5555555555555555",
            ),
        ];
        for (a, b, bytes) in cases {
            assert_eq!(priority(a, b), of_hex(bytes), "{a} and {b}");
        }
        assert_eq!(priority("1.2.3.4:1", "[::1]:1"), 0);
    }
}
