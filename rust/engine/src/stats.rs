//! Counters of a session, by libtorrent's metric names where it has them.
//! Tasks add to them a report at a time; readers see each value on its own,
//! not a moment of all.

use std::sync::atomic::{AtomicU64, Ordering};

use torrent_core::value::Fields;

use crate::handle::TorrentHandle;
use crate::status::{TorrentState, TorrentStatus};

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
    /// Attempts that got no answer in time.
    "peer.connect_timeouts" => connect_timeouts;
    /// Attempts that failed otherwise, and outgoing connections that ended with an error.
    "peer.error_outgoing_peers" => error_outgoing_peers;
    /// Incoming connections that ended with an error.
    "peer.error_incoming_peers" => error_incoming_peers;
    /// Connections that ended, for whatever reason.
    "peer.disconnected_peers" => disconnected_peers;
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

impl Stats {
    /// Everything by name: the counters, then what `torrents` are at now.
    pub(crate) fn fields(&self, torrents: &[TorrentHandle]) -> Fields {
        let mut gauges = Gauges {
            has_incoming_connections: u64::from(self.incoming_connections.get() > 0),
            ..Gauges::default()
        };
        for torrent in torrents {
            gauges.add(&torrent.status());
        }
        let mut fields = self.counted();
        fields.extend(gauges.fields());
        fields
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
    "peer.num_peers_connected" => num_peers_connected;
    "peer.num_peers_half_open" => num_peers_half_open;
    "peer.num_peers_up_unchoked" => num_peers_up_unchoked;
    "ses.num_checking_torrents" => num_checking_torrents;
    "ses.num_stopped_torrents" => num_stopped_torrents;
    "ses.num_upload_only_torrents" => num_upload_only_torrents;
    "ses.num_downloading_torrents" => num_downloading_torrents;
    "ses.num_seeding_torrents" => num_seeding_torrents;
    "ses.num_error_torrents" => num_error_torrents;
    "ses.num_have_pieces" => num_have_pieces;
}

impl Gauges {
    fn add(&mut self, status: &TorrentStatus) {
        self.num_tcp_peers += u64::from(status.num_connections);
        self.num_peers_connected += u64::from(status.num_peers);
        self.num_peers_half_open +=
            u64::from(status.num_connections.saturating_sub(status.num_peers));
        self.num_peers_up_unchoked += u64::from(status.num_uploads);
        self.num_have_pieces += u64::from(status.pieces_downloaded);
        // In libtorrent's order: each torrent counts once.
        *if !status.error.is_empty() {
            &mut self.num_error_torrents
        } else if status.paused {
            &mut self.num_stopped_torrents
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
        let fields = stats.fields(&[]);
        assert_eq!(get(&fields, "net.recv_bytes"), 77);
        assert_eq!(get(&fields, "net.sent_bytes"), 0);
        assert_eq!(get(&fields, "net.has_incoming_connections"), 1);
    }

    #[test]
    fn names_are_unique() {
        let fields = Stats::default().fields(&[]);
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
