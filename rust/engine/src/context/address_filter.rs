//! Addresses that the session does not connect with: those that are banned, and
//! those that the IP filter blocks.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;
use torrent_core::ban::BanList;

use crate::error::Result;
use crate::ip_filter::Filter;

/// The session's bans and filter.
#[derive(Debug)]
pub(crate) struct AddressFilter {
    bans: Mutex<BanList>,
    filter: watch::Sender<Filter>,
    /// Torrents that the filter does not hold for.
    unfiltered: AtomicUsize,
}

impl AddressFilter {
    pub(crate) fn new(filter: Filter) -> Self {
        Self {
            bans: Mutex::default(),
            filter: watch::Sender::new(filter),
            unfiltered: AtomicUsize::new(0),
        }
    }

    /// The filter, and notice of its changes. A caller that keeps a copy of it makes the
    /// next change copy all rules: look at it where it is.
    pub(crate) fn filter(&self) -> watch::Receiver<Filter> {
        self.filter.subscribe()
    }

    /// Changes the filter in place; a change that fails is not announced.
    pub(crate) fn change_filter(
        &self,
        change: impl FnOnce(&mut Filter) -> Result<()>,
    ) -> Result<()> {
        let mut changed = Ok(());
        self.filter.send_if_modified(|filter| {
            changed = change(filter);
            changed.is_ok()
        });
        changed
    }

    /// One more, or one less, torrent that the filter does not hold for.
    pub(crate) fn count_unfiltered(&self, more: bool) {
        if more {
            self.unfiltered.fetch_add(1, Ordering::Relaxed);
        } else {
            self.unfiltered.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether `ip` is banned, or, where the filter holds, blocked by it.
    pub(crate) fn blocks(&self, ip: IpAddr, filtered: bool) -> bool {
        self.bans.lock().contains(ip) || (filtered && self.filter.borrow().blocks(ip))
    }

    /// Whether no torrent would take a connection from `ip`.
    pub(crate) fn blocks_all(&self, ip: IpAddr) -> bool {
        self.blocks(ip, self.unfiltered.load(Ordering::Relaxed) == 0)
    }

    /// Bans an address. Whether it was not banned before.
    pub(crate) fn ban(&self, ip: IpAddr) -> bool {
        self.bans.lock().ban(ip)
    }

    /// The banned addresses, the oldest first; an IPv6 one stands for its /64.
    pub(crate) fn banned(&self) -> Vec<IpAddr> {
        self.bans.lock().iter().collect()
    }
}
