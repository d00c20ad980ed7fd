//! Why connections ended, counted as libtorrent counts it.

use std::io;

use torrent_core::mse::Method;
use torrent_core::peer::ConnectionKind;

use super::Stats;
use crate::event::{CloseCode, PeerFault};

impl Stats {
    /// Counts a connection, or an attempt to make one, that ended with an error.
    pub(crate) fn failed(
        &self,
        carrier: ConnectionKind,
        encryption: Option<Method>,
        incoming: bool,
    ) {
        match incoming {
            true => self.error_incoming_peers.add(1),
            false => self.error_outgoing_peers.add(1),
        }
        match carrier {
            ConnectionKind::Utp => self.error_utp_peers.add(1),
            _ => self.error_tcp_peers.add(1),
        }
        if encryption.is_some() {
            self.error_encrypted_peers.add(1);
        }
        if encryption == Some(Method::Rc4) {
            self.error_rc4_peers.add(1);
        }
    }

    /// Counts the end of a connection, or of an attempt to make one.
    pub(crate) fn ended(&self, fault: &PeerFault, error: Option<&io::Error>, by_peer: bool) {
        self.disconnected_peers.add(1);
        if by_peer {
            self.eof_peers.add(1);
        }
        use io::ErrorKind as Kind;
        let counter = match error.map(io::Error::kind) {
            Some(Kind::ConnectionReset) => Some(&self.connreset_peers),
            Some(Kind::ConnectionRefused) => Some(&self.connrefused_peers),
            Some(Kind::ConnectionAborted) => Some(&self.connaborted_peers),
            Some(Kind::NotConnected) => Some(&self.notconnected_peers),
            Some(Kind::PermissionDenied) => Some(&self.no_access_peers),
            Some(Kind::HostUnreachable | Kind::NetworkUnreachable) => Some(&self.unreachable_peers),
            Some(Kind::BrokenPipe) => Some(&self.broken_pipe_peers),
            Some(Kind::AddrInUse) => Some(&self.addrinuse_peers),
            Some(Kind::InvalidInput) => Some(&self.invalid_arg_peers),
            Some(Kind::UnexpectedEof) => Some(&self.eof_peers),
            _ => None,
        };
        if let Some(counter) = counter {
            counter.add(1);
        }
        match fault.reason {
            CloseCode::UploadToUpload | CloseCode::TorrentRemoved | CloseCode::SelfConnection => {
                self.uninteresting_peers.add(1);
            }
            CloseCode::TimedOut => self.transport_timeout_peers.add(1),
            CloseCode::TimedOutActivity | CloseCode::TimedOutInterest => {
                self.timeout_peers.add(1);
            }
            CloseCode::NoMemory => self.no_memory_peers.add(1),
            CloseCode::TooManyConnections => self.too_many_peers.add(1),
            // From there on it is the peer's fault.
            reason if reason.code() >= 256 => self.error_peers.add(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_counts_by_error_and_by_reason() {
        let stats = Stats::default();
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        stats.ended(&PeerFault::default(), Some(&refused), false);
        let fault = |reason| PeerFault {
            reason,
            ..PeerFault::default()
        };
        stats.ended(&fault(CloseCode::UploadToUpload), None, false);
        stats.ended(&fault(CloseCode::InvalidHave), None, false);
        stats.ended(&fault(CloseCode::None), None, true);
        let counted = [
            &stats.disconnected_peers,
            &stats.connrefused_peers,
            &stats.uninteresting_peers,
            &stats.error_peers,
            &stats.eof_peers,
        ];
        assert_eq!(counted.map(|counter| counter.get()), [4, 1, 1, 1, 1]);
    }
}
