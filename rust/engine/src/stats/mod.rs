//! Counters of a session, by libtorrent's metric names where it has them.
//! Tasks add to them a report at a time; readers see each value on its own,
//! not a moment of all. `oracle_tests/libtorrent_metrics.csv` is libtorrent's
//! whole list, and says why a metric of its is not here.

mod ends;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use torrent_core::peer::ConnectionKind;
use torrent_core::value::Fields;
pub(crate) use traffic::TrafficStats;

pub use crate::event::{Metric, MetricType};

use crate::net::utp::UtpTotals;
use crate::status::{PeerInfo, TorrentState, TorrentStatus};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($( $(#[doc = $doc:literal])+ $name:literal => $field:ident; )*) => {
        /// What the session counts from its start on.
        #[derive(Debug, Default)]
        pub(crate) struct Stats {
            $( $(#[doc = $doc])+ pub(crate) $field: Counter, )*
            /// Messages and requests.
            pub(crate) traffic: TrafficStats,
            /// uTP.
            pub(crate) utp: Arc<UtpTotals>,
        }

        impl Stats {
            fn counted(&self) -> Fields {
                vec![ $( ($name.into(), self.$field.get().into()), )* ]
            }
        }
    };
}

counters! {
    /// Bytes received from peers, protocol included.
    "net.recv_bytes" => recv_bytes;
    /// Payload bytes received from peers.
    "net.recv_payload_bytes" => recv_payload_bytes;
    /// Bytes sent to peers, protocol included.
    "net.sent_bytes" => sent_bytes;
    /// Payload bytes sent to peers.
    "net.sent_payload_bytes" => sent_payload_bytes;
    /// Payload bytes that came twice or unasked.
    "net.recv_redundant_bytes" => recv_redundant_bytes;
    /// Payload bytes thrown away because their piece failed its hash.
    "net.recv_failed_bytes" => recv_failed_bytes;
    /// Connections that we tried to make.
    "peer.connection_attempts" => connection_attempts;
    /// Connections that peers made to us.
    "peer.incoming_connections" => incoming_connections;
    /// Connections that ended because the peer broke the protocol.
    "peer.error_peers" => error_peers;
    /// Connections that the peer closed.
    "peer.eof_peers" => eof_peers;
    /// Connections that the peer's system reset.
    "peer.connreset_peers" => connreset_peers;
    /// Attempts that were refused.
    "peer.connrefused_peers" => connrefused_peers;
    /// Connections that were aborted.
    "peer.connaborted_peers" => connaborted_peers;
    /// Connections that turned out to be none.
    "peer.notconnected_peers" => notconnected_peers;
    /// Attempts at an address that cannot be reached.
    "peer.unreachable_peers" => unreachable_peers;
    /// Connections that ended while something was sent.
    "peer.broken_pipe_peers" => broken_pipe_peers;
    /// Attempts from a local port that was in use.
    "peer.addrinuse_peers" => addrinuse_peers;
    /// Attempts that the system does not permit.
    "peer.no_access_peers" => no_access_peers;
    /// Attempts at an address that makes no sense.
    "peer.invalid_arg_peers" => invalid_arg_peers;
    /// Connections that were of no use to either side, or of a stopped torrent.
    "peer.uninteresting_peers" => uninteresting_peers;
    /// Connections on which nothing happened for too long.
    "peer.timeout_peers" => timeout_peers;
    /// Connections that the system gave up.
    "peer.transport_timeout_peers" => transport_timeout_peers;
    /// Connections for which there was no memory.
    "peer.no_memory_peers" => no_memory_peers;
    /// Connections beyond the limit.
    "peer.too_many_peers" => too_many_peers;
    /// Attempts that got no answer in time.
    "peer.connect_timeouts" => connect_timeouts;
    /// Attempts that failed otherwise, and outgoing connections that ended with an error.
    "peer.error_outgoing_peers" => error_outgoing_peers;
    /// Incoming connections that ended with an error.
    "peer.error_incoming_peers" => error_incoming_peers;
    /// Connections that ended, for whatever reason.
    "peer.disconnected_peers" => disconnected_peers;
    /// Connections and attempts over TCP that ended with an error.
    "peer.error_tcp_peers" => error_tcp_peers;
    /// Connections and attempts over uTP that ended with an error.
    "peer.error_utp_peers" => error_utp_peers;
    /// Connections with an encrypted handshake that ended with an error.
    "peer.error_encrypted_peers" => error_encrypted_peers;
    /// Those of them that were encrypted by RC4.
    "peer.error_rc4_peers" => error_rc4_peers;
    /// Addresses banned because they sent bad data.
    "peer.banned_for_hash_failure" => banned_for_hash_failure;
    /// Pieces that passed their hash after download.
    "ses.num_piece_passed" => num_piece_passed;
    /// Pieces that failed it.
    "ses.num_piece_failed" => num_piece_failed;
    /// Announces sent (a metric of this library's own).
    "tracker.num_announces" => num_announces;
    /// Announces that failed (a metric of this library's own).
    "tracker.num_failed_announces" => num_failed_announces;
}

/// Every number of a session, counters apart from gauges.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionNumbers {
    pub(crate) counters: Fields,
    pub(crate) gauges: Fields,
}

impl SessionNumbers {
    /// All of them.
    pub(crate) fn all(self) -> Fields {
        let Self {
            mut counters,
            gauges,
        } = self;
        counters.extend(gauges);
        counters
    }

    /// What they are called, and of what type they are.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let named = |fields: &Fields, kind| -> Vec<Metric> {
            let names = fields.iter().map(|(name, _)| name.to_string());
            names.map(|name| Metric { name, kind }).collect()
        };
        let mut metrics = named(&self.counters, MetricType::Counter);
        metrics.extend(named(&self.gauges, MetricType::Gauge));
        metrics
    }
}

/// What a torrent is at, for the gauges of its session.
#[derive(Debug)]
pub(crate) struct TorrentNumbers {
    pub(crate) status: Arc<TorrentStatus>,
    pub(crate) peers: Arc<Vec<PeerInfo>>,
    /// The IP filter holds for it.
    pub(crate) is_filtered: bool,
}

impl Stats {
    /// Everything by name: the counters, then what `torrents` are at now.
    pub(crate) fn numbers(
        &self,
        torrents: impl IntoIterator<Item = TorrentNumbers>,
    ) -> SessionNumbers {
        let mut gauges = Gauges {
            has_incoming_connections: u64::from(self.incoming_connections.get() > 0),
            ..Gauges::default()
        };
        let mut have = 0;
        for torrent in torrents {
            let status = &torrent.status;
            have += u64::from(status.pieces_downloaded);
            gauges.add(status);
            gauges.non_filter_torrents += u64::from(!torrent.is_filtered);
            for peer in torrent.peers.iter() {
                gauges.add_peer(peer);
            }
        }
        let mut counters = self.counted();
        counters.extend(self.traffic.fields());
        let utp = self.utp.get();
        counters.extend(
            utp.metrics()
                .map(|(name, count)| (name.into(), count.into())),
        );
        // libtorrent calls it a counter, although pieces can be lost.
        counters.push(("ses.num_have_pieces".into(), have.into()));
        SessionNumbers {
            counters,
            gauges: gauges.fields(),
        }
    }
}

macro_rules! gauges {
    ($( $name:literal => $field:ident; )*) => {
        /// What goes up and down.
        #[derive(Debug, Default)]
        struct Gauges {
            $( $field: u64, )*
        }

        impl Gauges {
            fn fields(&self) -> Fields {
                vec![ $( ($name.into(), self.$field.into()), )* ]
            }
        }
    };
}

gauges! {
    "net.has_incoming_connections" => has_incoming_connections;
    "peer.num_tcp_peers" => num_tcp_peers;
    "peer.num_utp_peers" => num_utp_peers;
    "peer.num_peers_connected" => num_peers_connected;
    "peer.num_peers_half_open" => num_peers_half_open;
    "peer.num_peers_up_unchoked" => num_peers_up_unchoked;
    "peer.num_peers_up_unchoked_all" => num_peers_up_unchoked_all;
    "peer.num_peers_up_unchoked_optimistic" => num_peers_up_unchoked_optimistic;
    "peer.num_peers_down_unchoked" => num_peers_down_unchoked;
    "peer.num_peers_up_interested" => num_peers_up_interested;
    "peer.num_peers_down_interested" => num_peers_down_interested;
    "peer.num_peers_up_requests" => num_peers_up_requests;
    "peer.num_peers_down_requests" => num_peers_down_requests;
    "ses.num_checking_torrents" => num_checking_torrents;
    "ses.num_stopped_torrents" => num_stopped_torrents;
    "ses.num_upload_only_torrents" => num_upload_only_torrents;
    "ses.num_downloading_torrents" => num_downloading_torrents;
    "ses.num_seeding_torrents" => num_seeding_torrents;
    "ses.num_queued_seeding_torrents" => num_queued_seeding_torrents;
    "ses.num_queued_download_torrents" => num_queued_download_torrents;
    "ses.num_error_torrents" => num_error_torrents;
    "ses.non_filter_torrents" => non_filter_torrents;
}

impl Gauges {
    fn add_peer(&mut self, peer: &PeerInfo) {
        let downloads = peer.download_queue_length > 0;
        let uploads = peer.upload_queue_length > 0;
        for (gauge, is) in [
            (
                &mut self.num_peers_up_unchoked_optimistic,
                peer.is_optimistic_unchoke && !peer.is_choked,
            ),
            (&mut self.num_peers_down_unchoked, !peer.is_remote_choked),
            (&mut self.num_peers_up_interested, peer.is_remote_interested),
            (&mut self.num_peers_down_interested, peer.is_interesting),
            (&mut self.num_peers_up_requests, uploads),
            (&mut self.num_peers_down_requests, downloads),
        ] {
            *gauge += u64::from(is);
        }
        // Counted as one of the others before.
        let is_utp = peer.connection_type == ConnectionKind::Utp.name();
        self.num_utp_peers += u64::from(is_utp);
        self.num_tcp_peers = self.num_tcp_peers.saturating_sub(u64::from(is_utp));
    }

    fn add(&mut self, status: &TorrentStatus) {
        self.num_tcp_peers += u64::from(status.num_connections);
        self.num_peers_connected += u64::from(status.num_peers);
        self.num_peers_half_open +=
            u64::from(status.num_connections.saturating_sub(status.num_peers));
        self.num_peers_up_unchoked += u64::from(status.num_uploads);
        self.num_peers_up_unchoked_all += u64::from(status.num_uploads);
        // In libtorrent's order: each torrent counts once.
        *if !status.error.is_empty() {
            &mut self.num_error_torrents
        } else if status.paused && !status.is_auto_managed {
            &mut self.num_stopped_torrents
        } else if status.paused && status.is_seeding {
            &mut self.num_queued_seeding_torrents
        } else if status.paused {
            &mut self.num_queued_download_torrents
        } else {
            match status.state {
                TorrentState::CheckingFiles | TorrentState::CheckingResumeData => {
                    &mut self.num_checking_torrents
                }
                TorrentState::DownloadingMetadata | TorrentState::Downloading => {
                    &mut self.num_downloading_torrents
                }
                TorrentState::Finished => &mut self.num_upload_only_torrents,
                TorrentState::Seeding => &mut self.num_seeding_torrents,
            }
        } += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use torrent_core::value::Value;

    fn get(fields: &Fields, name: &str) -> i64 {
        match fields.iter().find(|(key, _)| key == name) {
            Some((_, Value::Int(value))) => *value,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn counters_show_under_their_names() {
        let stats = Stats::default();
        stats.recv_bytes.add(70);
        stats.recv_bytes.add(7);
        stats.incoming_connections.add(1);
        let fields = stats.numbers([]).all();
        assert_eq!(get(&fields, "net.recv_bytes"), 77);
        assert_eq!(get(&fields, "net.sent_bytes"), 0);
        assert_eq!(get(&fields, "net.has_incoming_connections"), 1);
    }

    #[test]
    fn names_are_unique() {
        let fields = Stats::default().numbers([]).all();
        for (at, (name, _)) in fields.iter().enumerate() {
            assert!(
                fields[..at].iter().all(|(other, _)| other != name),
                "{name}"
            );
        }
    }

    #[test]
    fn a_torrent_counts_once_and_an_error_first() {
        let state = |state| TorrentStatus {
            state,
            num_connections: 3,
            num_peers: 2,
            ..TorrentStatus::default()
        };
        let mut gauges = Gauges::default();
        gauges.add(&state(TorrentState::Seeding));
        gauges.add(&state(TorrentState::Downloading));
        gauges.add(&TorrentStatus {
            paused: true,
            error: "disk full".to_owned(),
            ..state(TorrentState::Downloading)
        });
        gauges.add(&TorrentStatus {
            paused: true,
            ..state(TorrentState::CheckingFiles)
        });
        gauges.add(&state(TorrentState::CheckingResumeData));
        let fields = gauges.fields();
        let sum: i64 = fields
            .iter()
            .filter(|(name, _)| name.ends_with("_torrents"))
            .map(|(name, _)| get(&fields, name))
            .sum();
        assert_eq!(sum, 5);
        for name in ["seeding", "downloading", "error", "stopped", "checking"] {
            assert_eq!(
                get(&fields, &format!("ses.num_{name}_torrents")),
                1,
                "{name}"
            );
        }
        assert_eq!(get(&fields, "peer.num_tcp_peers"), 15);
        assert_eq!(get(&fields, "peer.num_peers_half_open"), 5);
    }
}
