//! What happens because time passes.

use std::time::{Duration, Instant};

use super::super::{SeqNr, UtpError, UtpStats};
use super::{Connection, Ids, State};

/// How long a connection that is closed at both ends answers packets that are
/// late.
const LINGER: Duration = Duration::from_secs(5);

/// How long a connection that its owner has let go waits for the peer, while
/// nothing is acked.
const CLOSING: Duration = Duration::from_secs(15);

impl Connection {
    /// When time alone has it do something.
    pub(in super::super) fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.state, State::Closed(_)) {
            return self.timers.close;
        }
        let keep_alive = self.keep_alive();
        [self.timers.retransmit, keep_alive, self.timers.close]
            .into_iter()
            .flatten()
            .min()
    }

    fn keep_alive(&self) -> Option<Instant> {
        let wanted = matches!(self.state, State::Connected)
            && !self.pending.ping
            && !self.receiver.is_finished();
        wanted.then(|| self.timers.last_sent + self.settings.keep_alive)
    }

    /// Does what is due. Whether a new SYN is wanted, see
    /// [`Connection::begin_again`].
    pub(in super::super) fn handle_timeout(&mut self, now: Instant, stats: &mut UtpStats) -> bool {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.keep_alive()) {
            self.pending.ping = true;
        }
        if !is_due(self.timers.retransmit) {
            return false;
        }
        match self.state {
            State::Closed(_) => false,
            State::SynSent { sends, .. } => {
                self.timers.retransmit = None;
                let over = sends > self.settings.syn_resends;
                if over {
                    self.fail(UtpError::TimedOut);
                }
                !over
            }
            State::Connected => {
                self.time_out(now, stats);
                false
            }
        }
    }

    /// Sends a SYN for a connection of other numbers. An answer to the first one
    /// that was lost left a connection at the peer, which neither libtorrent nor
    /// libutp answers for again.
    pub(in super::super) fn begin_again(&mut self, ids: Ids, number: SeqNr) {
        if let State::SynSent { sends, .. } = self.state {
            self.ids = ids;
            self.state = State::SynSent { number, sends };
            self.sender = super::Sender::new(number.plus(1));
            self.round_end = number.plus(1);
            self.timers.closing.0 = number;
            self.pending.syn = true;
        }
    }

    fn time_out(&mut self, now: Instant, stats: &mut UtpStats) {
        stats.timeout += 1;
        self.timers.silent += 1;
        self.timers.timeouts += 1;
        let only_fin = self.sender.only_fin_waits();
        let resends = match only_fin {
            true => self.settings.fin_resends,
            false => self.settings.num_resends,
        };
        // A peer that answers but does not take what it gets is left too.
        let is_stuck = self.sender.is_waiting_for_acks()
            && self.timers.timeouts > 2 * self.settings.num_resends.max(2) + 2;
        if self.timers.silent > resends || is_stuck {
            self.fail(UtpError::TimedOut);
            return;
        }
        if self.sender.is_waiting_for_acks() {
            let lost = self.sender.time_out();
            if lost.probe && lost.packets == 0 {
                self.mtu.probe_lost(now);
                self.timers.timeouts -= 1;
            } else {
                if lost.probe {
                    self.mtu.probe_cancelled();
                }
                stats.packet_loss += lost.packets as u64;
                self.congestion.timed_out(self.timers.timeouts == 1);
                self.recovery = Some(self.sender.last());
                self.pending.ping |= self.mtu.is_above_base();
            }
        } else {
            self.pending.ping = true;
        }
        self.timers.retransmit = Some(now + self.timeout());
    }

    /// Sets the timer while something is waited for.
    pub(in super::super) fn arm(&mut self, now: Instant) {
        let awaits = match self.state {
            State::Closed(_) => false,
            State::SynSent { .. } => true,
            State::Connected => {
                self.sender.is_waiting_for_acks()
                    || self.timers.ping_sent
                    || self.sender.is_blocked_by_peer(self.room(1))
            }
        };
        if !awaits {
            self.timers.retransmit = None;
            return;
        }
        let wait = match self.state {
            State::SynSent { .. } => self.settings.connect_timeout,
            State::Connected | State::Closed(_) => self.timeout(),
        };
        self.timers.retransmit.get_or_insert(now + wait);
    }

    /// Time in which nothing could be sent does not count.
    pub(in super::super) fn postpone(&mut self, by: Duration) {
        if let Some(at) = &mut self.timers.retransmit {
            *at += by;
        }
        self.timers.last_sent += by;
    }

    pub(super) fn note_idle(&mut self, now: Instant) {
        self.mtu.refresh(now);
        let idle = now.saturating_duration_since(self.timers.last_sent);
        let timeout = self.timeout();
        if idle >= timeout && !self.sender.is_waiting_for_acks() && self.sender.unsent() > 0 {
            self.congestion.idled(idle, timeout);
        }
    }

    /// How long a connection that was let go is kept.
    pub(super) fn note_closing(&mut self, now: Instant) {
        if !self.released {
            return;
        }
        let progress = (self.sender.acked(), self.receiver.is_finished());
        let is_over = self.sender.is_finished() && self.receiver.is_finished();
        let wait = if is_over { LINGER } else { CLOSING };
        if self.timers.close.is_none() || self.timers.closing != progress {
            self.timers.closing = progress;
            self.timers.close = Some(now + wait);
        }
    }
}
