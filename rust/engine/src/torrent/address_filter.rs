//! Bans and the IP filter, as they concern one torrent.

use std::net::{IpAddr, SocketAddr};

use torrent_core::peerlist::FIRST_UNPRIVILEGED;

use super::Driver;
use crate::event::BlockReason;

impl Driver {
    /// Whether a connection with `peer` is forbidden; posts `peer_blocked` if so.
    pub(super) fn is_blocked(&self, peer: SocketAddr) -> bool {
        let address_filter = &self.context.services.address_filter;
        let blocked = address_filter.blocks(peer.ip(), self.peers.filtered);
        if blocked {
            self.post_blocked(peer, BlockReason::IpFilter);
        }
        blocked
    }

    /// Whether `peer` listens on a port that the settings forbid; posts
    /// `peer_blocked` if so.
    pub(super) fn is_privileged(&self, peer: SocketAddr) -> bool {
        let settings = self.context.services.settings.borrow().clone();
        let privileged = settings.no_connect_privileged_ports && peer.port() < FIRST_UNPRIVILEGED;
        if privileged {
            self.post_blocked(peer, BlockReason::PrivilegedPorts);
        }
        privileged
    }

    pub(super) fn post_blocked(&self, peer: SocketAddr, reason: BlockReason) {
        let session = &self.context.services;
        session.post_blocked(Some(&self.handle.torrent_ref()), peer, reason);
    }

    /// The core has decided to ban an address.
    pub(super) fn ban(&self, ip: IpAddr) {
        self.context.services.stats.banned_for_hash_failure.add(1);
        self.context.services.ban(ip);
    }

    /// Follows the torrent's option about the filter.
    pub(super) fn set_filtered(&mut self, filtered: bool) {
        if std::mem::replace(&mut self.peers.filtered, filtered) != filtered {
            self.context
                .services
                .address_filter
                .count_unfiltered(!filtered);
            self.filter_changed();
        }
    }

    /// Closes the connections that the filter blocks now.
    pub(super) fn filter_changed(&mut self) {
        if !self.peers.filtered {
            return;
        }
        let filter = self.context.services.address_filter.filter();
        let closed = self.brain.filter(|ip| filter.borrow().blocks(ip));
        for peer in closed {
            self.post_blocked(peer, BlockReason::IpFilter);
        }
    }
}
