//! The exchange of handshakes that begins every connection (BEP 3).

use std::io;
use std::time::Duration;

use tokio::time::timeout;
use torrent_core::ids::{InfoHash, PeerId};
use torrent_core::mse::{Methods, MseError, ObfuscatedHash};
use torrent_core::peer::EncryptionPolicy;
use torrent_core::peerlist::HandshakeKind;
use torrent_core::settings::Settings;
use torrent_core::wire::{Features, HANDSHAKE_LEN, Handshake, WireError};

use super::encryption;
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
    /// The exchange of keys has failed.
    #[error("{0}")]
    Encryption(#[from] MseError),
    /// Only encrypted connections are taken.
    #[error("the peer did not encrypt its handshake")]
    NotEncrypted,
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
    kind: HandshakeKind,
    methods: Methods,
    ours: &Handshake,
    limit: Duration,
) -> Result<Handshake, HandshakeError> {
    let exchange = async {
        let encoded = ours.encode();
        let received = match kind {
            HandshakeKind::Plain => {
                stream.write_all(&encoded).await?;
                Vec::new()
            }
            HandshakeKind::Encrypted => {
                encryption::initiate(stream, ours.info_hash, methods, &encoded).await?
            }
        };
        let mut bytes = [0; HANDSHAKE_LEN];
        let got = begin_with(&mut bytes, &received)?;
        stream.read_exact(&mut bytes[got..]).await?;
        let received = Handshake::decode(&bytes)?;
        if received.info_hash == ours.info_hash {
            Ok(received)
        } else {
            Err(HandshakeError::WrongTorrent)
        }
    };
    timeout(limit, exchange)
        .await
        .unwrap_or(Err(HandshakeError::TimedOut))
}

/// What is said of the torrents that are here to peers that call.
pub(crate) trait Torrents: Sync {
    /// Who we are in a torrent, if it is here.
    fn peer_id(&self, info_hash: InfoHash) -> Option<PeerId>;

    /// The torrent that an encrypted handshake names.
    fn find(&self, hash: ObfuscatedHash) -> Option<InfoHash>;
}

/// Which handshakes peers may begin with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    policy: EncryptionPolicy,
    methods: Methods,
    prefer_rc4: bool,
}

impl Accepted {
    /// Those that the settings allow.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            policy: EncryptionPolicy::incoming(settings),
            methods: Methods::allowed(settings),
            prefer_rc4: settings.prefer_rc4,
        }
    }
}

/// Listens first, and answers if the torrent that the peer names is here.
pub(crate) async fn incoming(
    stream: &mut Stream,
    limit: Duration,
    accepted: Accepted,
    torrents: &impl Torrents,
) -> Result<Handshake, HandshakeError> {
    let exchange = async {
        let mut bytes = [0; HANDSHAKE_LEN];
        // Another protocol shows in the first bytes, however few come.
        let mut got = 0;
        let mut named = None;
        while got < UP_TO_HASH {
            let count = stream.read(&mut bytes[got..UP_TO_HASH]).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            got += count;
            let Err(error) = Handshake::check_prefix(&bytes[..got]) else {
                continue;
            };
            if named.is_some() || accepted.policy == EncryptionPolicy::Disabled {
                return Err(error.into());
            }
            let Accepted {
                methods,
                prefer_rc4,
                ..
            } = accepted;
            let find = |hash| torrents.find(hash);
            let (info_hash, received) =
                encryption::respond(stream, &bytes[..got], methods, prefer_rc4, &find).await?;
            named = Some(info_hash);
            got = begin_with(&mut bytes, &received)?;
            Handshake::check_prefix(&bytes[..got])?;
        }
        if named.is_none() && accepted.policy == EncryptionPolicy::Forced {
            return Err(HandshakeError::NotEncrypted);
        }
        let mut info_hash = InfoHash::default();
        info_hash.0.copy_from_slice(&bytes[28..UP_TO_HASH]);
        if named.is_some_and(|named| named != info_hash) {
            return Err(HandshakeError::WrongTorrent);
        }
        let peer_id = torrents
            .peer_id(info_hash)
            .ok_or(HandshakeError::UnknownTorrent)?;
        let ours = Handshake {
            reserved: Features::OURS.reserved(),
            info_hash,
            peer_id,
        };
        stream.write_all(&ours.encode()).await?;
        stream.read_exact(&mut bytes[got..]).await?;
        Ok(Handshake::decode(&bytes)?)
    };
    timeout(limit, exchange)
        .await
        .unwrap_or(Err(HandshakeError::TimedOut))
}

/// Puts what an exchange of keys has brought along in front. How many bytes that
/// are: no exchange has room for more than a handshake.
fn begin_with(bytes: &mut [u8; HANDSHAKE_LEN], received: &[u8]) -> Result<usize, HandshakeError> {
    let front = bytes.get_mut(..received.len());
    let front = front.ok_or_else(|| io::Error::other("more than a handshake has come"))?;
    front.copy_from_slice(received);
    Ok(received.len())
}
