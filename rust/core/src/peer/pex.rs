//! Peer exchange (BEP 11) on one connection: messages that come are bounded and
//! reported, those that the torrent gives out are sent.
//!
//! Part of [`Connection`]. What is believed and what is sent is decided in
//! `crate::torrent`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::message_stats::Sort;
use super::{Connection, PeerError};
use crate::ext::PexMessage;
use crate::wire::Message;

/// A peer sends a message a minute; libtorrent closes at the seventh.
const MAX_MESSAGES: usize = 6;

/// The time in which that many messages may come.
const MINUTE: Duration = Duration::from_secs(60);

/// The state of peer exchange on a connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionPex {
    /// We take part: the torrent is not private, and it is not turned off.
    pub(super) enabled: bool,
    /// When messages came, the latest last; [`MAX_MESSAGES`] at most.
    came: VecDeque<Instant>,
}

impl Connection {
    /// Takes part in peer exchange from now on, or no longer: the peer is
    /// informed by another extended handshake.
    pub fn set_pex(&mut self, enabled: bool) {
        if std::mem::replace(&mut self.extensions.pex.enabled, enabled) != enabled {
            self.greet_again();
        }
    }

    /// Sends a message of ut_pex, if the peer supports it and we take part.
    pub fn send_pex(&mut self, payload: &[u8]) {
        let id = self.extensions.peer_ids.pex;
        if id == 0 || !self.extensions.pex.enabled {
            return;
        }
        self.send.counts.add(Sort::Pex, 1);
        self.send.message(&Message::Extended { id, payload });
    }

    pub(super) fn take_pex(&mut self, now: Instant, payload: &[u8]) -> Result<(), PeerError> {
        let it = &mut self.extensions;
        if !it.pex.enabled || it.peer_ids.pex == 0 {
            return Ok(());
        }
        let came = &mut it.pex.came;
        came.retain(|&then| now < then + MINUTE);
        if came.len() >= MAX_MESSAGES {
            return Err(PeerError::TooManyPex);
        }
        came.push_back(now);
        let message = PexMessage::decode(payload)?;
        self.pending_report.report.extended.pex.push(message);
        self.pending_report.dirty = true;
        Ok(())
    }
}
