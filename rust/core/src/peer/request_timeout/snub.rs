//! What becomes of the outstanding requests of a silent peer.
//!
//! Part of [`Connection`]. A peer that snubs us loses what it was not asked for
//! yet, then one block after the other, the last ones first, and all of them
//! when `piece_timeout` is over. They are welcome still if they come after all.

use std::time::{Duration, Instant};

use crate::ids::Block;
use crate::peer::{BlockNote, Connection};

/// Time between two blocks that are asked of others.
const STEP: Duration = Duration::from_secs(1);

impl Connection {
    /// Says whether our own limits keep us from receiving: the peer is not to
    /// blame for its silence then.
    pub fn hold(&mut self, now: Instant, held: bool) {
        if let Some(from) = self.requests.request_timer.held_since()
            && !held
        {
            self.last.received += now.saturating_duration_since(from.max(self.last.received));
        }
        self.requests.request_timer.hold(now, held);
    }

    /// When [`Self::snub`] has something to do.
    pub(crate) fn next_snub(&self) -> Option<Instant> {
        if self.requests.outstanding.is_empty() {
            return None;
        }
        let over = self.requests.request_timer.over_at(&self.limits)?;
        if !self.requests.window.is_snubbed() {
            return self.requests.request_timer.snubbed_at(&self.limits);
        }
        // One stays, to see whether the peer is back.
        let next = Some(self.requests.next_give_up).filter(|_| self.requests.outstanding.len() > 1);
        Some(next.map_or(over, |next| next.min(over)))
    }

    /// The peer has been silent for too long.
    pub(crate) fn snub(&mut self, now: Instant) {
        let over = self.requests.request_timer.over_at(&self.limits);
        self.requests.window.set_snubbed(now, true);
        self.requests.next_give_up = now + STEP;
        if over.is_some_and(|over| over <= now) {
            for block in std::mem::take(&mut self.requests.outstanding) {
                self.give_up(block);
            }
        } else if self.requests.outstanding.len() > 1
            && let Some(block) = self.requests.outstanding.pop_back()
        {
            self.give_up(block);
        }
        self.requests
            .leased
            .truncate(0, &mut self.pending_report.report.returned);
        self.pending_report.dirty = true;
        self.fill_window(now);
    }

    fn give_up(&mut self, block: Block) {
        if self.pending_report.watched.request_failures {
            self.pending_report
                .report
                .notes
                .push(BlockNote::TimedOut(block));
        }
        self.pending_report.report.returned.push(block);
        self.expect_late(block);
    }
}
