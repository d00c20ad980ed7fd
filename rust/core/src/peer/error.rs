//! Why a connection must be closed.

use crate::ext::ExtError;
use crate::wire::WireError;

/// Why a connection must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The peer does not use the protocol.
    #[error("protocol error: {0}")]
    Wire(#[from] WireError),
    /// A piece number beyond the torrent's last.
    #[error("the peer named piece {0}, which does not exist")]
    NoSuchPiece(u32),
    /// A bitfield of another torrent's size.
    #[error("the peer's bitfield has the wrong size")]
    WrongBitfield,
    /// Bytes that belong to no block.
    #[error("the peer sent bytes that belong to no block")]
    NoSuchBlock,
    /// More blocks and refusals of what it was not asked for than a working client
    /// sends.
    #[error("the peer answers what it was not asked for")]
    Unsolicited,
    /// Too many requests at once.
    #[error("the peer asked for too many blocks at once")]
    TooManyRequests,
    /// Too many invalid requests.
    #[error("the peer made too many invalid requests")]
    InvalidRequests,
    /// Requests long after we choked it.
    #[error("the peer makes requests although it is choked")]
    ChokedRequests,
    /// An extension's message makes no sense.
    #[error("extension protocol: {0}")]
    Extension(#[from] ExtError),
    /// More messages of peer exchange than one a minute and some to spare.
    #[error("the peer sends too many messages of peer exchange")]
    TooManyPex,
    /// A message of an extension that the peer did not name in its handshake.
    #[error("the peer uses an extension that it did not announce")]
    NotNegotiated,
    /// It takes back more pieces than a working client loses.
    #[error("the peer loses too many pieces")]
    LosesTooMuch,
    /// It leaves unread what it makes us send.
    #[error("the peer talks, and does not read what it is sent")]
    NeverReads,
    /// More bitfields, or messages that stand for one, than a working client sends.
    #[error("the peer says too often all that it has")]
    TooManyBitfields,
    /// Nothing was received for too long.
    #[error("the peer has been silent for too long")]
    TimedOut,
}
