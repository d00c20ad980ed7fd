//! Numbers for people: how large the tables are, what is under way, what it costs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Dht;
use super::lookup::LookupCounts;
use super::node_id::NodeId;
use super::requests::Goal;

/// What has gone over the network since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DhtTraffic {
    /// Bytes of datagrams received, without headers.
    pub bytes_in: u64,
    /// Bytes of datagrams sent, without headers.
    pub bytes_out: u64,
    /// Queries of others that were looked at.
    pub queries_in: u64,
    /// Queries of ours.
    pub queries_out: u64,
    /// Answers to queries of ours.
    pub replies_in: u64,
    /// Queries of ours that remained without an answer.
    pub timeouts: u64,
    /// Queries of others that were ignored because there were too many.
    pub dropped: u64,
    /// Datagrams that are no messages.
    pub malformed: u64,
    /// Answers to nothing that we asked.
    pub unexpected: u64,
}

/// A socket of ours as a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhtEndpointStats {
    /// The socket.
    pub local: SocketAddr,
    /// Its id.
    pub id: NodeId,
    /// Nodes in its table.
    pub nodes: usize,
    /// Those of them that answered when they were asked last.
    pub good_nodes: usize,
    /// Nodes in reserve.
    pub replacements: usize,
    /// Nodes of each bucket, and in reserve for it, the farthest first.
    pub buckets: Vec<(usize, usize)>,
    /// About how many nodes the network has.
    pub global_nodes: u64,
}

/// A look-up that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhtLookupStats {
    /// What it looks for.
    pub target: NodeId,
    /// Whether it is for the table, not for a request.
    pub bootstrap: bool,
    /// Its numbers.
    pub counts: LookupCounts,
    /// How long it has taken.
    pub age: Duration,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DhtStats {
    /// Our sockets.
    pub endpoints: Vec<DhtEndpointStats>,
    /// Look-ups that are under way.
    pub lookups: Vec<DhtLookupStats>,
    /// Torrents that we announce.
    pub announced_torrents: usize,
    /// Torrents of which peers are stored here.
    pub stored_torrents: usize,
    /// Their peers.
    pub stored_peers: usize,
    /// Items that are stored here.
    pub stored_items: usize,
    /// What it has cost.
    pub traffic: DhtTraffic,
}

impl DhtStats {
    /// Nodes in all tables.
    pub fn nodes(&self) -> usize {
        self.endpoints.iter().map(|it| it.nodes).sum()
    }
}

impl Dht {
    /// The present numbers.
    pub fn stats(&self, now: Instant) -> DhtStats {
        let endpoints = self.endpoints.values().map(|endpoint| {
            let buckets = endpoint.table.sizes();
            DhtEndpointStats {
                local: endpoint.local,
                id: endpoint.table.own_id(),
                nodes: endpoint.table.len(),
                good_nodes: endpoint.table.good(),
                replacements: buckets.iter().map(|it| it.1).sum(),
                buckets,
                global_nodes: endpoint.table.estimate(),
            }
        });
        let lookups = self.lookups.values().map(|active| DhtLookupStats {
            target: active.lookup.target(),
            bootstrap: active.goal == Goal::Bootstrap,
            counts: active.lookup.counts(),
            age: now.saturating_duration_since(active.lookup.started()),
        });
        let (stored_torrents, stored_peers) = self.peers.sizes();
        DhtStats {
            endpoints: endpoints.collect(),
            lookups: lookups.collect(),
            announced_torrents: self.torrents.len(),
            stored_torrents,
            stored_peers,
            stored_items: self.items.len(),
            traffic: self.traffic,
        }
    }

    /// The addresses of the nodes in the tables, for tests and games that look.
    pub fn live_nodes(&self) -> Vec<super::NodeContact> {
        let endpoints = self.endpoints.values();
        let nodes = endpoints.flat_map(|it| it.table.live().map(|node| node.contact));
        nodes.collect()
    }
}
