//! uTP: a stream over UDP that yields to all other traffic (BEP 29).
//!
//! A [`Multiplexer`] owns all connections of a UDP socket. The rest is its parts:
//! `packet` (what a datagram holds), `connection` (one stream in both
//! directions, of `sender` and `receiver`), `congestion` with `delay` and `rtt`
//! (how much may be under way), `mtu` (how large packets may be).
//!
//! Where BEP 29 leaves a choice, or is otherwise implemented than written, this
//! does as libutp and libtorrent do:
//!
//! - The answer to a SYN carries the number of the first packet with payload.
//! - A FIN takes the number after the last packet and is acked by it, but
//!   packets without payload carry the number of the FIN from then on:
//!   libtorrent ignores what is numbered after one.
//! - The end that accepted a connection sends nothing before the other one has
//!   shown that it received the answer. That end does so at once.
//! - A SYN without an answer is sent again under another id: an answer that was
//!   lost left a connection there, and neither implementation answers for that
//!   a second time.
#![deny(clippy::unwrap_used, clippy::expect_used)]

mod clock;
mod congestion;
mod connection;
mod delay;
mod mtu;
mod multiplexer;
pub mod packet;
mod receiver;
mod rtt;
mod sender;
mod seq_nr;
mod settings;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

pub use multiplexer::{Multiplexer, Transmit};
pub use seq_nr::SeqNr;
pub use settings::UtpSettings;

/// Names a connection of a [`Multiplexer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtpId(u64);

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UtpError {
    /// The peer does not answer.
    #[error("the peer does not answer")]
    TimedOut,
    /// The peer has no such connection any more.
    #[error("reset by the peer")]
    Reset,
    /// The peer does not accept the connection.
    #[error("refused by the peer")]
    Refused,
    /// It was closed at this end.
    #[error("closed")]
    Closed,
    /// There are as many connections as there may be.
    #[error("too many connections")]
    TooMany,
}

/// What has happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UtpOutput {
    /// A peer has made one. Its owner is the driver from now on.
    Incoming(UtpId, SocketAddr),
    /// The peer has accepted.
    Connected(UtpId),
    /// There is something to read, or the end.
    Readable(UtpId),
    /// There is room for writes again.
    Writable(UtpId),
    /// It is over otherwise than by the end of the stream; it has to be released
    /// all the same.
    Closed(UtpId, UtpError),
}

/// What a connection has measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtpStatus {
    /// The usual round trip.
    pub round_trip: Option<Duration>,
    /// Bytes that may be under way.
    pub congestion_window: usize,
    /// Bytes that are.
    pub in_flight: usize,
    /// Bytes of a full datagram.
    pub datagram: usize,
    /// Bytes that wait to be read.
    pub readable: usize,
    /// Bytes that were written and are not acked.
    pub unacked: usize,
    /// Bytes that were written and not sent yet.
    pub unsent: usize,
}

macro_rules! utp_stats {
    ($( $(#[doc = $doc:literal])+ $field:ident => $metric:literal; )*) => {
        /// What has happened in all connections.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct UtpStats {
            $( $(#[doc = $doc])+ pub $field: u64, )*
        }

        impl UtpStats {
            /// All numbers by the names of libtorrent's metrics.
            pub fn metrics(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [ $( ($metric, self.$field) ),* ].into_iter()
            }

            /// What has happened since it was `earlier`.
            #[must_use]
            pub fn since(self, earlier: Self) -> Self {
                Self { $( $field: self.$field.wrapping_sub(earlier.$field) ),* }
            }

            /// Both together.
            #[must_use]
            pub fn plus(self, more: Self) -> Self {
                Self { $( $field: self.$field.wrapping_add(more.$field) ),* }
            }
        }
    };
}

utp_stats! {
    /// Packets that were lost.
    packet_loss => "utp.utp_packet_loss";
    /// Times that an ack did not come in time.
    timeout => "utp.utp_timeout";
    /// Datagrams received.
    packets_in => "utp.utp_packets_in";
    /// Datagrams sent.
    packets_out => "utp.utp_packets_out";
    /// Packets found to be lost by acks of later ones.
    fast_retransmit => "utp.utp_fast_retransmit";
    /// Packets sent again.
    packet_resend => "utp.utp_packet_resend";
    /// Acks whose delay was above the target.
    samples_above_target => "utp.utp_samples_above_target";
    /// Acks whose delay was below the target.
    samples_below_target => "utp.utp_samples_below_target";
    /// Packets with payload received.
    payload_packets_in => "utp.utp_payload_pkts_in";
    /// Packets with payload sent.
    payload_packets_out => "utp.utp_payload_pkts_out";
    /// Datagrams that were no packets.
    invalid_packets_in => "utp.utp_invalid_pkts_in";
    /// Packets that brought nothing.
    redundant_packets_in => "utp.utp_redundant_pkts_in";
}
