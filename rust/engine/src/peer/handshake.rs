//! The exchange of handshakes that begins every connection (BEP 3).

use std::io;
use std::time::Duration;

use tokio::time::timeout;
use torrent_core::ids::{InfoHash, PeerId};
use torrent_core::wire::{Features, HANDSHAKE_LEN, Handshake, WireError};

use crate::net::stream::Stream;

/// Bytes up to and including the info-hash.
const UP_TO_HASH: usize = 48;

/// Why a connection did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// No peer could be reached there.
    #[error("{0}")]
    Connect(io::Error),
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other end does not use BitTorrent.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// The other end is in another swarm.
    #[error("the peer answered for another torrent")]
    WrongTorrent,
    /// This session does not have that torrent.
    #[error("the peer asked for a torrent that is not here")]
    UnknownTorrent,
    /// It took longer than that of others who came later.
    #[error("the handshake took too long while others waited")]
    Crowded,
    /// It took too long.
    #[error("the handshake took too long")]
    TimedOut,
}

/// Sends first and waits for the answer.
pub(crate) async fn outgoing(
    stream: &mut Stream,
    info_hash: InfoHash,
    peer_id: PeerId,
    limit: Duration,
) -> Result<Handshake, HandshakeError> {
    let ours = Handshake {
        reserved: Features::OURS.reserved(),
        info_hash,
        peer_id,
    };
    let exchange = async {
        stream.write_all(&ours.encode()).await?;
        let mut bytes = [0; HANDSHAKE_LEN];
        stream.read_exact(&mut bytes).await?;
        let received = Handshake::decode(&bytes)?;
        if received.info_hash == info_hash {
            Ok(received)
        } else {
            Err(HandshakeError::WrongTorrent)
        }
    };
    timeout(limit, exchange)
        .await
        .unwrap_or(Err(HandshakeError::TimedOut))
}

/// Listens first, and answers if `known` says who we are in that torrent.
pub(crate) async fn incoming(
    stream: &mut Stream,
    limit: Duration,
    known: impl Fn(InfoHash) -> Option<PeerId> + Send,
) -> Result<Handshake, HandshakeError> {
    let exchange = async {
        let mut bytes = [0; HANDSHAKE_LEN];
        // Another protocol shows in the first bytes, however few come.
        let mut got = 0;
        while got < UP_TO_HASH {
            let count = stream.read(&mut bytes[got..UP_TO_HASH]).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            got += count;
            Handshake::check_prefix(&bytes[..got])?;
        }
        let mut info_hash = InfoHash::default();
        info_hash.0.copy_from_slice(&bytes[28..UP_TO_HASH]);
        let peer_id = known(info_hash).ok_or(HandshakeError::UnknownTorrent)?;
        let ours = Handshake {
            reserved: Features::OURS.reserved(),
            info_hash,
            peer_id,
        };
        stream.write_all(&ours.encode()).await?;
        stream.read_exact(&mut bytes[UP_TO_HASH..]).await?;
        Ok(Handshake::decode(&bytes)?)
    };
    timeout(limit, exchange)
        .await
        .unwrap_or(Err(HandshakeError::TimedOut))
}
