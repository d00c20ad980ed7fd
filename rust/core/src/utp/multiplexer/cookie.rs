//! Answers to SYNs that leave nothing behind.
//!
//! A SYN may come from anybody who forges its sender. Its answer carries a
//! number that only its receiver and we know: a keyed hash of the sender, the id
//! and the number of the SYN, and the time. The connection is made when a packet
//! comes that acks that number and is the first one after the SYN. What comes
//! before it, out of order, is lost, and sent again by the peer.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};

use super::super::SeqNr;

/// How long an answer holds: up to twice this.
pub(super) const SLOT: Duration = Duration::from_secs(32);

/// Packets that may be under way before the first one has arrived.
const EARLY: usize = 16;

/// The key of the hashes.
#[derive(Clone, Debug)]
pub(super) struct Cookies {
    secret: [u8; 20],
    epoch: Instant,
}

/// What a packet that is of no connection says of a SYN that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is the first one after the SYN of this number.
    First { syn: SeqNr },
    /// It may be a later one.
    Early,
    /// There was no such SYN.
    None,
}

impl Cookies {
    pub(super) fn new(secret: [u8; 20], epoch: Instant) -> Self {
        Self { secret, epoch }
    }

    fn slot(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs() / SLOT.as_secs()
    }

    fn hash(&self, slot: u64, peer: SocketAddr, id: u16, syn: SeqNr) -> SeqNr {
        let mut hash = Sha1::new();
        hash.update(self.secret);
        match peer.ip() {
            IpAddr::V4(ip) => hash.update(ip.octets()),
            IpAddr::V6(ip) => hash.update(ip.octets()),
        }
        hash.update(peer.port().to_be_bytes());
        hash.update(id.to_be_bytes());
        hash.update(syn.0.to_be_bytes());
        hash.update(slot.to_be_bytes());
        let hash = hash.finalize();
        SeqNr(u16::from_be_bytes([hash[0], hash[1]]))
    }

    /// The number of the answer to a SYN, and of the first packet with payload
    /// after it.
    pub(super) fn answer(&self, now: Instant, peer: SocketAddr, id: u16, syn: SeqNr) -> SeqNr {
        self.hash(self.slot(now), peer, id, syn)
    }

    /// What a packet of `peer` is that acks `ack_nr` and has the number `seq`,
    /// where the SYN had the id `id`. `early` is whether it matters if it is a
    /// later one, which takes longer to find out.
    pub(super) fn claim(
        &self,
        now: Instant,
        peer: SocketAddr,
        id: u16,
        (seq, ack_nr): (SeqNr, SeqNr),
        early: bool,
    ) -> Claim {
        let slot = self.slot(now);
        let first = ack_nr.plus(1);
        let is_answer = |syn: SeqNr| {
            self.hash(slot, peer, id, syn) == first
                || slot > 0 && self.hash(slot - 1, peer, id, syn) == first
        };
        let syn = seq.minus(1);
        if is_answer(syn) {
            return Claim::First { syn };
        }
        // A ping has the number of the SYN itself.
        let others = (0..EARLY).filter(|at| *at != 1);
        if early && others.map(|at| seq.minus(at)).any(is_answer) {
            return Claim::Early;
        }
        Claim::None
    }
}
