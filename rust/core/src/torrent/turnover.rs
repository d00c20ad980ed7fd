//! Which connections go when there is no room for new ones: those least useful
//! to us, for peers that may be more so, and those on which nothing has been
//! wanted for long. The settings are libtorrent's.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::{CloseReason, Peer, Torrent};

/// How long neither side of a connection must have wanted anything before a
/// new one may take its place. Less, and a flood of new ones would drive out
/// those who have not had time to say what they want.
const IDLE: Duration = Duration::from_secs(20);

impl Torrent {
    /// Sets how many more connections the session has room for. It is not
    /// full until it is set so.
    pub fn set_session_room(&mut self, connections: usize) {
        self.dialing.set_session_room(connections);
    }

    /// Closes up to `count` of the least useful connections, but no
    /// more than there are known peers to take their place. Returns how many.
    pub fn turn_over(&mut self, now: Instant, count: usize) -> usize {
        let count = count.min(self.dialing.list.num_candidates());
        self.close_least(now, count, CloseReason::Turnover)
    }

    /// Closes the least useful connections beyond the limit.
    pub(super) fn drop_surplus(&mut self, now: Instant) {
        let open = self.peers.values().filter(|peer| peer.closing.is_none());
        let surplus = open.count().saturating_sub(self.dialing.max_connections);
        self.close_least(now, surplus, CloseReason::TooMany);
    }

    /// Closes up to `count` of the least useful connections, of equals
    /// the newest. Returns how many.
    fn close_least(&mut self, now: Instant, count: usize, reason: CloseReason) -> usize {
        let mut by_worth: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.closing.is_none())
            .map(|(&key, peer)| (worth(peer, now), Reverse(key)))
            .collect();
        by_worth.sort_unstable();
        by_worth.truncate(count);
        for &(_, Reverse(key)) in &by_worth {
            self.close(key, reason);
        }
        by_worth.len()
    }

    /// Notes who is of use, and closes what has been of none for longer than
    /// `inactivity_timeout` where there is no room for others.
    pub(super) fn drop_inactive(&mut self, now: Instant) {
        let limit = Duration::from_secs(self.settings.inactivity_timeout.unsigned_abs());
        let full = self.dialing.is_full(self.peers.len());
        let mut inactive = Vec::new();
        for (&key, peer) in &mut self.peers {
            if peer.is_useful() {
                peer.last_useful = now;
            } else if full
                && peer.closing.is_none()
                && now.saturating_duration_since(peer.last_useful) > limit
            {
                inactive.push(key);
            }
        }
        for key in inactive {
            self.close(key, CloseReason::Inactive);
        }
    }

    /// Makes room for a connection that came in beyond a limit: of those that
    /// count against it, closes the one on which nothing has been wanted for
    /// longest, if there is one.
    pub(super) fn make_room(&mut self, now: Instant, counts: impl Fn(&Peer) -> bool) -> bool {
        let idle = |peer: &Peer| {
            !peer.is_useful() && now.saturating_duration_since(peer.last_useful) > IDLE
        };
        let longest = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.closing.is_none() && counts(peer) && idle(peer))
            .min_by_key(|(_, peer)| peer.last_useful)
            .map(|(&key, _)| key);
        if let Some(key) = longest {
            self.close(key, CloseReason::Turnover);
        }
        longest.is_some()
    }
}

/// How useful a connection is to us; libtorrent's order.
fn worth(peer: &Peer, now: Instant) -> impl Ord + use<> {
    let connected = now.saturating_duration_since(peer.connected_at).as_secs();
    (
        peer.download.interested,
        peer.is_seed(),
        Reverse(peer.download.on_parole),
        peer.traffic.stats.payload_received / (connected + 1),
        Reverse(peer.download.choking_us),
        peer.traffic.last_active,
    )
}
