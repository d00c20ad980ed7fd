//! How many messages of each sort went each way on a connection, for the
//! session's statistics. [`Connection`](super::Connection) counts; its driver
//! takes the counts away with
//! [`Connection::take_counts`](super::Connection::take_counts).

use crate::wire::Message;

macro_rules! sorts {
    ($( $( #[$doc:meta] )* $sort:ident = $name:literal; )*) => {
        /// A sort of message, as libtorrent's metrics distinguish them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Sort {
            $( $( #[$doc] )* $sort, )*
        }

        impl Sort {
            /// Every sort, in order.
            pub const ALL: &[Self] = &[ $( Self::$sort, )* ];

            /// The last part of the metrics' names.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$sort => $name, )* }
            }
        }
    };
}

sorts! {
    /// The sender will not answer requests.
    Choke = "choke";
    /// The sender will answer requests.
    Unchoke = "unchoke";
    /// The sender wants something.
    Interested = "interested";
    /// The sender wants nothing.
    NotInterested = "not_interested";
    /// The sender has a piece.
    Have = "have";
    /// The pieces that the sender has.
    Bitfield = "bitfield";
    /// Asks for a block.
    Request = "request";
    /// A block.
    Piece = "piece";
    /// Takes a request back.
    Cancel = "cancel";
    /// The sender's DHT port (BEP 5).
    DhtPort = "dht_port";
    /// A piece that should be asked for (BEP 6).
    Suggest = "suggest";
    /// The sender has everything (BEP 6).
    HaveAll = "have_all";
    /// The sender has nothing (BEP 6).
    HaveNone = "have_none";
    /// A request that will not be answered (BEP 6).
    Reject = "reject";
    /// A piece that may be asked for in spite of the choke (BEP 6).
    AllowedFast = "allowed_fast";
    /// The handshake of the extension protocol (BEP 10).
    ExtHandshake = "ext_handshake";
    /// A message about metadata (BEP 9).
    Metadata = "metadata";
    /// A message of peer exchange (BEP 11).
    Pex = "pex";
    /// A message of the extension protocol: of those that come each one, of
    /// those that go all but the handshake, as libtorrent counts them.
    Extended = "extended";
}

/// How many sorts there are.
pub const SORTS: usize = Sort::ALL.len();

impl Sort {
    /// The sort of a message, if it is counted.
    fn of(message: &Message<'_>) -> Option<Self> {
        Some(match message {
            Message::KeepAlive | Message::Unknown(_) => return None,
            Message::Choke => Self::Choke,
            Message::Unchoke => Self::Unchoke,
            Message::Interested => Self::Interested,
            Message::NotInterested => Self::NotInterested,
            Message::Have(_) => Self::Have,
            Message::Bitfield(_) => Self::Bitfield,
            Message::Request(_) => Self::Request,
            Message::Piece { .. } => Self::Piece,
            Message::Cancel(_) => Self::Cancel,
            Message::Port(_) => Self::DhtPort,
            Message::Suggest(_) => Self::Suggest,
            Message::HaveAll => Self::HaveAll,
            Message::HaveNone => Self::HaveNone,
            Message::Reject(_) => Self::Reject,
            Message::AllowedFast(_) => Self::AllowedFast,
            Message::Extended { id: 0, .. } => Self::ExtHandshake,
            Message::Extended { .. } => Self::Extended,
        })
    }
}

/// Messages of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    counts: [u32; SORTS],
}

impl MessageCounts {
    /// Each sort of which there were any, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (Sort, u32)> + '_ {
        let all = Sort::ALL.iter().copied().zip(self.counts);
        all.filter(|(_, count)| *count > 0)
    }

    pub(super) fn add(&mut self, sort: Sort, count: u32) {
        if let Some(slot) = self.counts.get_mut(sort as usize) {
            *slot = slot.saturating_add(count);
        }
    }

    pub(super) fn sent(&mut self, message: &Message<'_>) {
        if let Some(sort) = Sort::of(message) {
            self.add(sort, 1);
        }
    }

    pub(super) fn received(&mut self, message: &Message<'_>) {
        self.sent(message);
        if let Message::Extended { id, .. } = *message {
            match id {
                crate::ext::HANDSHAKE => self.add(Sort::Extended, 1),
                crate::ext::UT_METADATA => self.add(Sort::Metadata, 1),
                crate::ext::UT_PEX => self.add(Sort::Pex, 1),
                _ => {}
            }
        }
    }
}

/// What one connection did since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages that came.
    pub received: MessageCounts,
    /// Messages that were queued to go.
    pub sent: MessageCounts,
    /// Requests of the peer that made no sense.
    pub invalid_requests: u32,
    /// Requests of the peer while it was choked.
    pub choked_requests: u32,
    /// Requests that the peer took back in time.
    pub cancelled_requests: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_message_counts_as_libtorrent_counts_it() {
        let message = |id| Message::Extended { id, payload: &[] };
        let (mut came, mut went) = (MessageCounts::default(), MessageCounts::default());
        for id in [crate::ext::HANDSHAKE, crate::ext::UT_METADATA] {
            came.received(&message(id));
            went.sent(&message(id));
        }
        came.received(&Message::KeepAlive);
        let came: Vec<_> = came.iter().collect();
        let all = [
            (Sort::ExtHandshake, 1),
            (Sort::Metadata, 1),
            (Sort::Extended, 2),
        ];
        assert_eq!(came, all);
        let went: Vec<_> = went.iter().collect();
        assert_eq!(went, [(Sort::ExtHandshake, 1), (Sort::Extended, 1)]);
    }
}
