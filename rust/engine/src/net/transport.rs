//! What carries the bytes of a connection to a peer.
//!
//! One more kind of connection is one more variant here; the layers above see
//! no socket, and everything but `net` sees a [`super::stream::Stream`].

use std::io::{self, IoSlice};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, Ready};
use tokio::net::TcpStream;
use torrent_core::peer::ConnectionKind;

use super::set_traffic_class;
use super::utp::UtpStream;

/// An open transport. An enum and no trait object: the calls of the hot path are a
/// comparison away from the socket.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP, from end to end.
    Tcp(TcpStream),
    /// uTP.
    Utp(UtpStream),
}

impl From<UtpStream> for Transport {
    fn from(stream: UtpStream) -> Self {
        Self::Utp(stream)
    }
}

impl From<TcpStream> for Transport {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl Transport {
    /// What carries it.
    pub(crate) fn kind(&self) -> ConnectionKind {
        match self {
            Self::Tcp(_) => ConnectionKind::Tcp,
            Self::Utp(_) => ConnectionKind::Utp,
        }
    }

    /// The other end.
    #[cfg(test)]
    pub(crate) fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.peer_addr(),
            Self::Utp(stream) => Ok(stream.peer_addr()),
        }
    }

    /// Our end.
    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr(),
            Self::Utp(stream) => Ok(stream.local_addr()),
        }
    }

    /// Prepares it for the peer protocol; `dscp` is the class of traffic to mark
    /// its packets with (RFC 2474), 0 for none. Accepted connections need it as
    /// dialled ones do: not every system lets them inherit it from the listener.
    pub(crate) fn configure(&self, dscp: i64) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => {
                // Requests are a few bytes that a whole pipeline waits for; the
                // engine batches its sends itself.
                socket.set_nodelay(true)?;
                mark(socket, dscp);
            }
            // The socket is shared with all other connections.
            Self::Utp(_) => {}
        }
        Ok(())
    }

    /// Waits until it is worth trying to read or write, as `interest` says. An
    /// error of the connection counts as ready: the attempt returns it.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Tcp(socket) => socket.ready(interest).await,
            Self::Utp(stream) => Ok(stream.ready(interest).await),
        }
    }

    /// Receives what is there. 0 at the end of the stream; an error of the kind
    /// [`io::ErrorKind::WouldBlock`] when nothing is there.
    #[inline]
    pub(crate) fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_read(room),
            Self::Utp(stream) => stream.try_read(room),
        }
    }

    /// Sends as much as fits; [`io::ErrorKind::WouldBlock`] when nothing does.
    #[inline]
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_write_vectored(slices),
            Self::Utp(stream) => stream.try_write_vectored(slices),
        }
    }

    /// Waits for bytes and receives some. 0 at the end of the stream.
    pub(crate) async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(room).await,
            Self::Utp(stream) => stream.read(room).await,
        }
    }

    /// Receives as much as `room` holds.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the stream ends before.
    pub(crate) async fn read_exact(&mut self, room: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.read_exact(room).await.map(drop),
            Self::Utp(stream) => stream.read_exact(room).await,
        }
    }

    /// Sends all of `bytes`.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.write_all(bytes).await,
            Self::Utp(stream) => stream.write_all(bytes).await,
        }
    }
}

/// Marks a connection's packets with a class of traffic (RFC 2474): a courtesy
/// to other users of the same line, and nothing depends on it.
fn mark(socket: &TcpStream, dscp: i64) {
    let Ok(class @ 1..=63) = u32::try_from(dscp) else {
        return;
    };
    let is_v4 = socket.local_addr().is_ok_and(|at| at.is_ipv4());
    let socket = socket2::SockRef::from(socket);
    let marked = if is_v4 {
        socket.set_tos_v4(class << 2)
    } else {
        set_traffic_class(&socket, class << 2)
    };
    if let Err(error) = marked {
        tracing::debug!(%error, "a connection could not be marked");
    }
}
