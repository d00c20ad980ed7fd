//! Sequence numbers, which wrap at 2^16.

use std::fmt;

/// The number of a packet (BEP 29, `seq_nr` and `ack_nr`).
///
/// Numbers have no order of their own: which of two comes first depends on the
/// shorter way from one to the other, so they are compared by distance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNr(pub u16);

impl SeqNr {
    /// The number `count` packets later.
    pub fn plus(self, count: usize) -> Self {
        Self(self.0.wrapping_add(count as u16))
    }

    /// The number `count` packets earlier.
    pub fn minus(self, count: usize) -> Self {
        Self(self.0.wrapping_sub(count as u16))
    }

    /// How many packets later than `earlier` this one is, negative where it is
    /// the earlier one: -32,768 to 32,767.
    pub fn since(self, earlier: Self) -> i32 {
        i32::from(self.0.wrapping_sub(earlier.0).cast_signed())
    }
}

impl fmt::Debug for SeqNr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}", self.0)
    }
}
