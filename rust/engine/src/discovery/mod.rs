//! Where peers are found: trackers; later the DHT and the local network.

pub(crate) mod tracker;
