//! What other nodes store here: peers of torrents, and items.
//!
//! One store serves all endpoints of a session (BEP 45). It is bounded in every
//! direction, and what is in it expires.

mod items;
mod peers;
#[cfg(test)]
mod tests;

pub(super) use items::{ItemStore, PutError, StoredItem};
pub(super) use peers::{PeerStore, PeersQuery};
