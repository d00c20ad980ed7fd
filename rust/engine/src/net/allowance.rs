//! What a connection may move under rate limits.
//!
//! While there is no limit anywhere in the session a [`Valve`] costs one relaxed
//! load. Under a limit it holds an allowance; when that is used up the
//! connection reads nothing from its socket, or no blocks for the peer from the
//! disk, until it has another. What a connection sends to ask for blocks is
//! free.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use torrent_core::address::is_local;
use torrent_core::bandwidth::ip_overhead;
use torrent_core::ids::TorrentKey;

use crate::net::bandwidth::{
    BandwidthLimiter, BandwidthNote, BandwidthTicket, Direction, Share, Slot,
};

/// What a connection asks for at first; a fast one soon asks for more.
const FIRST_REQUEST: u64 = 16 * 1024;

/// What a connection asks for at most.
const MAX_REQUEST: u64 = 4 * 1024 * 1024;

/// Bytes of headers that a connection counts before it reports them.
const HEADERS_BATCH: u64 = 4096;

/// What one direction of one connection may move.
#[derive(Debug)]
pub(crate) struct Valve {
    rates: Arc<BandwidthLimiter>,
    direction: Direction,
    torrent: TorrentKey,
    local: bool,
    v6: bool,
    slot: Arc<Slot>,
    /// Bytes that may go.
    quota: u64,
    epoch: u64,
    /// In line for more.
    waiting: bool,
    /// What to ask for next.
    request: u64,
    /// Headers and other overhead not yet reported: in this direction, and in
    /// the other.
    headers: (u64, u64),
}

impl Valve {
    /// The valve of a connection with `peer`.
    pub(crate) fn new(
        rates: Arc<BandwidthLimiter>,
        direction: Direction,
        torrent: TorrentKey,
        peer: SocketAddr,
    ) -> Self {
        let ip = peer.ip().to_canonical();
        Self {
            rates,
            direction,
            torrent,
            local: is_local(ip),
            v6: matches!(ip, IpAddr::V6(_)),
            slot: Arc::default(),
            quota: 0,
            epoch: 0,
            waiting: false,
            request: FIRST_REQUEST,
            headers: (0, 0),
        }
    }

    /// Bytes that may go now. When these are fewer than `least`, more are asked
    /// for: [`Self::granted`].
    pub(crate) fn open(&mut self, least: usize) -> usize {
        let least = least as u64;
        let rates = &self.rates;
        if !rates.is_active() {
            return usize::MAX;
        }
        let lane = rates.lane(self.direction);
        let granted = self.slot.granted.swap(0, Ordering::Acquire);
        if granted > 0 {
            self.waiting = false;
            if granted >= self.request {
                self.request = (self.request * 2).min(MAX_REQUEST);
            }
            self.quota += granted;
        }
        let epoch = lane.epoch.load(Ordering::Acquire);
        if self.epoch != epoch {
            (self.epoch, self.quota) = (epoch, 0);
        }
        if self.quota < least {
            let share = self.share();
            if !lane.is_limited(&share) {
                return usize::MAX;
            }
            if !self.waiting {
                let ticket = BandwidthTicket(Arc::clone(&self.slot));
                let want = self.request.max(least - self.quota);
                rates.note(BandwidthNote::Wants(share, ticket, want));
                self.waiting = true;
            }
        }
        usize::try_from(self.quota).unwrap_or(usize::MAX)
    }

    fn share(&self) -> Share {
        Share {
            direction: self.direction,
            torrent: self.torrent,
            exempt: self.local && self.rates.spares_local(),
        }
    }

    /// Takes bytes off the allowance.
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.quota = self.quota.saturating_sub(bytes as u64);
    }

    /// Puts bytes back that did not go after all.
    pub(crate) fn refund(&mut self, bytes: usize) {
        if self.rates.is_active() {
            self.quota += bytes as u64;
        }
    }

    /// Counts what bytes that went cost besides: the headers of TCP/IP, and
    /// those among them that are `overhead`.
    pub(crate) fn passed(&mut self, bytes: usize, overhead: u64) {
        let rates = &self.rates;
        if !rates.is_active() {
            return;
        }
        self.headers.0 += overhead;
        if rates.counts_headers() {
            let (with, against) = ip_overhead(bytes as u64, self.v6);
            self.headers.0 += with;
            self.headers.1 += against;
        }
        if self.headers.0 >= HEADERS_BATCH {
            self.report_headers();
        }
    }

    fn report_headers(&mut self) {
        let (with, against) = std::mem::take(&mut self.headers);
        let share = self.share();
        let other = Share {
            direction: self.direction.other(),
            ..share
        };
        self.rates.note(BandwidthNote::Overhead(share, with));
        self.rates.note(BandwidthNote::Overhead(other, against));
    }

    /// Waits until [`Self::open`] has something else to say.
    pub(crate) async fn granted(&self) {
        self.slot.arrived.notified().await;
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        let unused = self.quota + self.slot.granted.swap(0, Ordering::Acquire);
        if unused == 0 && !self.waiting {
            return;
        }
        self.rates.note(BandwidthNote::Ended {
            share: self.share(),
            ticket: BandwidthTicket(Arc::clone(&self.slot)),
            unused,
            epoch: self.epoch,
        });
    }
}
