//! What an announcer puts out for its driver to carry out.

use std::net::SocketAddr;

use crate::tracker::AnnounceEvent;

/// Names one request, within its torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something to ask a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerRequest {
    /// Announce the torrent.
    Announce(AnnounceRequest),
    /// Ask for the numbers of its swarm.
    Scrape(ScrapeRequest),
}

/// An announce to carry out; see [`announce_url`](crate::tracker::announce_url).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// To be given back with the outcome.
    pub id: RequestId,
    /// The tracker's URL.
    pub url: String,
    /// Our endpoint that is announced: the request leaves from its address.
    pub local: SocketAddr,
    /// Why.
    pub event: AnnounceEvent,
    /// What the tracker gave us to send back.
    pub tracker_id: Option<Vec<u8>>,
    /// Peers wanted, at most.
    pub num_want: u32,
}

/// A scrape to carry out; see [`scrape_url`](crate::tracker::scrape_url).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeRequest {
    /// To be given back with the outcome.
    pub id: RequestId,
    /// The tracker's announce URL.
    pub url: String,
    /// Our endpoint that asks.
    pub local: SocketAddr,
}
