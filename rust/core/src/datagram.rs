//! What a datagram that arrives at a listening endpoint is: the protocols that
//! share its UDP socket tell themselves apart by their first bytes.
//!
//! The task that reads the socket asks [`DatagramKind::of`] before anything
//! else happens to a datagram, whose sender may be anybody: it costs one look
//! at a few bytes.

/// Bytes of a uTP header (BEP 29).
const UTP_HEADER: usize = 20;

/// The shortest message of the DHT (BEP 5) that says anything:
/// `d1:t0:1:y1:qe`.
const DHT_SHORTEST: usize = 13;

/// A protocol over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatagramKind {
    /// The answer of a tracker (BEP 15).
    Tracker,
    /// A message of the DHT (BEP 5).
    Dht,
    /// A packet of uTP (BEP 29).
    Utp,
}

impl DatagramKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tracker, Self::Dht, Self::Utp];

    /// What these bytes look like; `None` for what is of no protocol here.
    pub fn of(datagram: &[u8]) -> Option<Self> {
        match *datagram {
            // Connect, announce, scrape, error; then the transaction.
            [0, 0, 0, 0..=3, _, _, _, _, ..] => Some(Self::Tracker),
            [b'd', .., b'e'] if datagram.len() >= DHT_SHORTEST => Some(Self::Dht),
            // Version 1 of the types data, fin, state, reset, syn.
            [first, ..] if first & 0x0f == 1 && first >> 4 <= 4 && datagram.len() >= UTP_HEADER => {
                Some(Self::Utp)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_datagrams_are() {
        let utp = |first: u8, length: usize| {
            let mut packet = vec![0; length];
            packet[0] = first;
            packet
        };
        let table: [(&[u8], Option<DatagramKind>); 21] = [
            (b"", None),
            (b"\0", None),
            (b"nonsense", None),
            // Trackers.
            (b"\0\0\0\0TRAN12345678", Some(DatagramKind::Tracker)),
            (b"\0\0\0\x01TRAN123456789abc", Some(DatagramKind::Tracker)),
            (b"\0\0\0\x02TRAN123456789abc", Some(DatagramKind::Tracker)),
            (b"\0\0\0\x03TRAN", Some(DatagramKind::Tracker)),
            (b"\0\0\0\x03TRA", None),
            (b"\0\0\0\x04TRAN12345678", None),
            (b"\0\0\x01\x01TRAN12345678", None),
            // A connect request: we are no tracker.
            (b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0TRAN", None),
            // The DHT.
            (b"d1:t2:aa1:y1:qe", Some(DatagramKind::Dht)),
            (b"d1:t0:1:y1:qe", Some(DatagramKind::Dht)),
            (b"d1:t2:aa1:y1:q", None),
            (b"de", None),
            (b"l1:t2:aa1:y1:qe", None),
            // uTP.
            (&utp(0x41, 20), Some(DatagramKind::Utp)),
            (&utp(0x01, 1500), Some(DatagramKind::Utp)),
            (&utp(0x41, 19), None),
            (&utp(0x51, 20), None),
            (&utp(0x42, 20), None),
        ];
        for (datagram, kind) in table {
            assert_eq!(DatagramKind::of(datagram), kind, "{datagram:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_sorted(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(kind) = DatagramKind::of(&bytes) {
                prop_assert!(DatagramKind::ALL.contains(&kind));
                prop_assert!(bytes.len() >= 8);
            }
        }
    }
}
