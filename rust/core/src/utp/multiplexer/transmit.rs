//! Datagrams that go out, and those that the system does not take.

use std::net::SocketAddr;
use std::time::Instant;

use super::super::UtpId;
use super::super::connection::SentKind;
use super::Multiplexer;

/// Datagrams that a connection sends before the next one has its turn.
const MAX_SEGMENTS: usize = 64;

/// Datagrams to one peer, one after the other in the buffer that they were
/// written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where they go.
    pub to: SocketAddr,
    /// How many there are.
    pub segments: usize,
    /// Bytes of each; the last one may be shorter.
    pub segment_size: usize,
    /// It is larger than what is known to arrive: the system must not split it.
    pub is_probe: bool,
}

/// What the last datagrams were.
#[derive(Debug, Default)]
pub(super) struct LastTransmit {
    id: Option<UtpId>,
    sent: Vec<SentKind>,
    segment_size: usize,
}

impl Multiplexer {
    /// Appends the next datagrams to `out`: up to `segments` of one size, for a
    /// system that splits them itself. `None` when there is nothing to send, and
    /// while the socket takes nothing.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        segments: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        if self.blocked.is_some() {
            return None;
        }
        let start = out.len();
        self.last.id = None;
        self.last.sent.clear();
        if let Some(to) = self.replies.poll(out) {
            self.stats.packets_out += 1;
            return Some(Transmit {
                to,
                segments: 1,
                segment_size: out.len() - start,
                is_probe: false,
            });
        }
        while let Some(id) = self.ready.front().copied() {
            let transmit = self.poll_connection(now, id, segments.clamp(1, MAX_SEGMENTS), out);
            self.ready.pop_front();
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.queued = false;
            }
            if transmit.is_some() {
                // It may have more.
                self.settle(now, id);
                return transmit;
            }
        }
        None
    }

    fn poll_connection(
        &mut self,
        now: Instant,
        id: UtpId,
        segments: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let allowance = self.allowance(self.connections.get(&id)?.held());
        let connection = self.connections.get_mut(&id)?;
        let start = out.len();
        let mut size = usize::MAX;
        let mut is_probe = false;
        while self.last.sent.len() < segments && !is_probe {
            let before = out.len();
            let (bits, stats) = (&mut self.bits, &mut self.stats);
            let Some(sent) = connection.poll_packet(now, size, allowance, bits, out, stats) else {
                break;
            };
            stats.packets_out += 1;
            self.last.sent.push(sent.kind);
            is_probe = sent.is_probe;
            let length = out.len() - before;
            if size == usize::MAX {
                size = length;
            } else if length < size {
                break;
            }
        }
        if out.len() == start {
            return None;
        }
        self.last.id = Some(id);
        self.last.segment_size = size;
        Some(Transmit {
            to: connection.peer,
            segments: self.last.sent.len(),
            segment_size: size,
            is_probe,
        })
    }

    /// The socket did not take the datagrams that were polled last, from number
    /// `from` of them on, since its buffer is full. They are sent later, and
    /// nothing was lost. Until [`Multiplexer::handle_writable`] there are no
    /// more.
    pub fn handle_refused(&mut self, now: Instant, from: usize) {
        self.blocked.get_or_insert(now);
        let id = self.last.id.take();
        // Answers to SYNs and resets have no connection; who waits asks again.
        if let Some(connection) = id.and_then(|id| self.connections.get_mut(&id)) {
            for kind in self.last.sent.drain(..).skip(from).rev() {
                connection.handle_refused(kind);
            }
        }
        if let Some(id) = id {
            self.settle(now, id);
        }
    }

    /// The socket takes datagrams again.
    pub fn handle_writable(&mut self, now: Instant) {
        let Some(since) = self.blocked.take() else {
            return;
        };
        let by = now.saturating_duration_since(since);
        let mut ids: Vec<UtpId> = self.timers.iter().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            self.with(now, id, |connection, _, _| connection.postpone(by));
        }
    }

    /// The system says that the datagram which was polled last, alone, is too
    /// large for the way (`EMSGSIZE`). It is sent again in another form.
    pub fn handle_too_large(&mut self, now: Instant) {
        let size = self.last.segment_size;
        let kind = self.last.sent.first().copied();
        if let (Some(id), Some(kind)) = (self.last.id.take(), kind) {
            self.with(now, id, |connection, _, _| {
                connection.handle_too_large(now, kind, size);
            });
        }
    }

    /// Whether the socket took no more, and was not writable since.
    pub fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Whether something waits to be sent.
    pub fn wants_to_send(&self) -> bool {
        self.blocked.is_none() && !(self.ready.is_empty() && self.replies.is_empty())
    }
}
