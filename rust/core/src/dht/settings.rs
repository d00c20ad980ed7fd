//! The settings that the DHT takes, by libtorrent's names.

use std::time::Duration;

use super::rate_limit::AnswerPolicy;
use super::routing::TablePolicy;

/// How the DHT works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhtSettings {
    /// `dht_announce_interval`: between two announces of a torrent.
    pub announce_interval: Duration,
    /// `dht_max_peers_reply`: IPv4 peers in an answer; a quarter of it for IPv6.
    pub max_peers_reply: usize,
    /// `dht_search_branching`: nodes that a look-up asks at a time, at least 1.
    pub search_branching: usize,
    /// `dht_max_fail_count`: queries in a row that a node may leave unanswered.
    pub max_fail_count: u8,
    /// `dht_max_torrents`: torrents of which peers are stored.
    pub max_torrents: usize,
    /// `dht_max_dht_items`: items that are stored.
    pub max_items: usize,
    /// `dht_max_peers`: peers of a torrent that are stored, of each family.
    pub max_peers: usize,
    /// `dht_item_lifetime`: how long an item is stored; `None` for as long as there is
    /// room.
    pub item_lifetime: Option<Duration>,
    /// `dht_block_timeout`: how long an address that asks too much is ignored.
    pub block_timeout: Duration,
    /// `dht_block_ratelimit`: queries a second that an address may send.
    pub block_rate_limit: u32,
    /// `dht_upload_rate_limit`: bytes a second that answers may take.
    pub upload_rate_limit: u64,
    /// `dht_restrict_routing_ips`: one node of each network in a bucket. Private
    /// networks are exempt.
    pub restrict_routing_ips: bool,
    /// `dht_restrict_search_ips`: one node of each network in a look-up. Private networks
    /// are exempt.
    pub restrict_search_ips: bool,
    /// `dht_prefer_verified_node_ids`: nodes whose ids fit their addresses (BEP 42) go
    /// before others.
    pub prefer_verified_node_ids: bool,
    /// `dht_enforce_node_id`: others than these do not count at all.
    pub enforce_node_id: bool,
    /// `dht_extended_routing_table`: larger buckets far away.
    pub extended_routing_table: bool,
    /// `dht_read_only`: queries are not answered (BEP 43).
    pub read_only: bool,
    /// `dht_sample_infohashes_interval`: how long a sample of torrents stays the same
    /// (BEP 51); at most six hours.
    pub sample_interval: Duration,
    /// `dht_max_infohashes_sample_count`: torrents in a sample.
    pub max_sample_count: usize,
    /// Whether queries of others are reported as [`super::DhtOutput`].
    pub report_incoming: bool,
}

impl Default for DhtSettings {
    fn default() -> Self {
        Self {
            announce_interval: Duration::from_secs(900),
            max_peers_reply: 100,
            search_branching: 5,
            max_fail_count: 20,
            max_torrents: 2000,
            max_items: 700,
            max_peers: 500,
            item_lifetime: None,
            block_timeout: Duration::from_secs(300),
            block_rate_limit: 5,
            upload_rate_limit: 8000,
            restrict_routing_ips: true,
            restrict_search_ips: true,
            prefer_verified_node_ids: true,
            enforce_node_id: false,
            extended_routing_table: true,
            read_only: false,
            sample_interval: Duration::from_secs(21600),
            max_sample_count: 20,
            report_incoming: false,
        }
    }
}

impl DhtSettings {
    pub(super) fn table(&self) -> TablePolicy {
        TablePolicy {
            extended: self.extended_routing_table,
            restrict_ips: self.restrict_routing_ips,
            prefer_verified: self.prefer_verified_node_ids,
            max_fails: self.max_fail_count.max(1),
        }
    }

    pub(super) fn answers(&self) -> AnswerPolicy {
        AnswerPolicy {
            bytes: self.upload_rate_limit,
            queries: self.block_rate_limit,
            block: self.block_timeout,
        }
    }
}
