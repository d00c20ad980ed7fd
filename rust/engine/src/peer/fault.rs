//! What events say of a connection's end, or of one that did not come about.

use super::ConnectionEnd;
use super::handshake::HandshakeError;
use crate::event::{CloseCode, PeerFault};
use crate::operation::Operation;
use torrent_core::mse::MseError;

impl From<&ConnectionEnd> for PeerFault {
    fn from(ended: &ConnectionEnd) -> Self {
        let (operation, reason) = match ended {
            ConnectionEnd::ByPeer => (Operation::SocketRead, CloseCode::None),
            ConnectionEnd::ByUs(reason) => (Operation::BitTorrent, (*reason).into()),
            ConnectionEnd::Protocol(error) => (Operation::BitTorrent, error.into()),
            ConnectionEnd::Io(error) => (Operation::SocketRead, error.into()),
            ConnectionEnd::Orphaned => (Operation::BitTorrent, CloseCode::TorrentRemoved),
        };
        Self {
            operation,
            error: ended.to_string(),
            reason,
        }
    }
}

impl From<&HandshakeError> for PeerFault {
    fn from(error: &HandshakeError) -> Self {
        let (operation, reason) = match error {
            HandshakeError::Connect(error) => (Operation::Connect, error.into()),
            HandshakeError::Io(error) => (Operation::SocketRead, error.into()),
            HandshakeError::Wire(error) => (Operation::BitTorrent, error.into()),
            HandshakeError::Encryption(MseError::UnknownTorrent) => {
                (Operation::Encryption, CloseCode::InvalidInfoHash)
            }
            HandshakeError::Encryption(_) | HandshakeError::NotEncrypted => {
                (Operation::Encryption, CloseCode::EncryptionError)
            }
            HandshakeError::WrongTorrent | HandshakeError::UnknownTorrent => {
                (Operation::BitTorrent, CloseCode::InvalidInfoHash)
            }
            HandshakeError::Crowded | HandshakeError::TimedOut => {
                (Operation::BitTorrent, CloseCode::TimedOutHandshake)
            }
        };
        Self {
            operation,
            error: error.to_string(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use torrent_core::peer::CloseReason;

    use super::*;

    #[test]
    fn an_end_of_ours_says_why() {
        let reason = CloseReason::Redundant;
        assert_eq!(
            PeerFault::from(&ConnectionEnd::ByUs(reason)),
            PeerFault::from(reason)
        );
    }

    #[test]
    fn refused_connections_are_no_protocol_errors() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let fault = PeerFault::from(&HandshakeError::Connect(refused));
        assert_eq!(
            (fault.operation, fault.reason),
            (Operation::Connect, CloseCode::None)
        );
    }
}
