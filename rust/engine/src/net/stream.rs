//! A connection to a peer: what carries it, and what encrypts it.
//!
//! The session accepts one ([`super::listen::Listener`]) or a torrent dials one
//! ([`super::dial`]), the handshake is exchanged by the waiting calls, and then
//! the connection's task waits for readiness and moves bytes without waiting.

use std::io::{self, IoSlice};

use tokio::io::{Interest, Ready};
use torrent_core::mse::{Ciphers, Method};
use torrent_core::peer::ConnectionKind;

use super::transport::Transport;

/// Bytes that are encrypted ahead of what the transport takes, at most: a few
/// blocks, so that a send is not split into many.
const MAX_SEALED: usize = 64 * 1024;

/// A connection, encrypted or not.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Transport,
    /// How its handshake was encrypted (MSE), if it was.
    encryption: Option<Method>,
    sealer: Option<Box<Sealer>>,
}

/// Encrypts a stream.
#[derive(Debug)]
struct Sealer {
    ciphers: Ciphers,
    /// Encrypted bytes that the transport has not taken: a cipher cannot go back,
    /// so they leave before anything else does.
    sealed: Vec<u8>,
    /// How many of them it has taken.
    taken: usize,
}

impl<T: Into<Transport>> From<T> for Stream {
    fn from(transport: T) -> Self {
        Self {
            transport: transport.into(),
            encryption: None,
            sealer: None,
        }
    }
}

impl Stream {
    /// What carries it.
    pub(crate) fn kind(&self) -> ConnectionKind {
        self.transport.kind()
    }

    /// What carries it.
    #[cfg(test)]
    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// How its handshake was encrypted, if it was.
    pub(crate) fn encryption(&self) -> Option<Method> {
        self.encryption
    }

    /// From here on the stream is what an exchange of keys has led to: encrypted
    /// where there are ciphers.
    pub(crate) fn encrypt(&mut self, method: Method, ciphers: Option<Ciphers>) {
        self.encryption = Some(method);
        self.sealer = ciphers.map(|ciphers| {
            Box::new(Sealer {
                ciphers,
                sealed: Vec::new(),
                taken: 0,
            })
        });
    }

    /// Prepares it for the peer protocol; see [`Transport::configure`].
    pub(crate) fn configure(&self, dscp: i64) -> io::Result<()> {
        self.transport.configure(dscp)
    }

    /// Waits until it is worth trying to read or write, as `interest` says. An
    /// error of the connection counts as ready: the attempt returns it.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.transport.ready(interest).await
    }

    /// Receives what is there. 0 at the end of the stream; an error of the kind
    /// [`io::ErrorKind::WouldBlock`] when nothing is there.
    #[inline]
    pub(crate) fn try_read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.transport.try_read(room)?;
        self.open(&mut room[..count]);
        Ok(count)
    }

    /// Sends as much as fits; [`io::ErrorKind::WouldBlock`] when nothing does.
    /// What an encrypted stream has taken may still wait here: see
    /// [`Self::try_flush`].
    #[inline]
    pub(crate) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(sealer) = &mut self.sealer else {
            return self.transport.try_write_vectored(slices);
        };
        if !sealer.flush(&self.transport)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = sealer.seal(slices);
        sealer.flush(&self.transport)?;
        Ok(count)
    }

    /// Sends on what an encrypted stream has taken and not sent. Whether all of it
    /// has left; if not, the stream will be ready to write.
    #[inline]
    pub(crate) fn try_flush(&mut self) -> io::Result<bool> {
        match &mut self.sealer {
            Some(sealer) => sealer.flush(&self.transport),
            None => Ok(true),
        }
    }

    /// Waits for bytes and receives some. 0 at the end of the stream.
    pub(crate) async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.transport.read(room).await?;
        self.open(&mut room[..count]);
        Ok(count)
    }

    /// Receives as much as `room` holds. Not to be given up halfway.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the stream ends before.
    pub(crate) async fn read_exact(&mut self, room: &mut [u8]) -> io::Result<()> {
        self.transport.read_exact(room).await?;
        self.open(room);
        Ok(())
    }

    /// Sends all of `bytes`. Not to be given up halfway.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(sealer) = &mut self.sealer else {
            return self.transport.write_all(bytes).await;
        };
        let mut sealed = std::mem::take(&mut sealer.sealed).split_off(sealer.taken);
        sealer.taken = 0;
        let waiting = sealed.len();
        sealed.extend_from_slice(bytes);
        sealer.ciphers.send.apply(&mut sealed[waiting..]);
        self.transport.write_all(&sealed).await
    }

    /// Decrypts what was received, in place.
    #[inline]
    fn open(&mut self, bytes: &mut [u8]) {
        if let Some(sealer) = &mut self.sealer {
            sealer.ciphers.receive.apply(bytes);
        }
    }
}

impl Sealer {
    /// Encrypts the beginning of `slices`, in one pass. How many bytes that are.
    fn seal(&mut self, slices: &[IoSlice<'_>]) -> usize {
        debug_assert!(self.sealed.is_empty());
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let total = total.min(MAX_SEALED);
        self.sealed.resize(total, 0);
        let mut done = 0;
        for slice in slices {
            done += self
                .ciphers
                .send
                .apply_into(slice, &mut self.sealed[done..]);
        }
        total
    }

    /// Sends what is encrypted. Whether all of it has left.
    fn flush(&mut self, transport: &Transport) -> io::Result<bool> {
        while self.taken < self.sealed.len() {
            match transport.try_write_vectored(&[IoSlice::new(&self.sealed[self.taken..])]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.taken += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // A connection that sends nothing keeps no buffer.
        self.sealed = Vec::new();
        self.taken = 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use torrent_core::ids::InfoHash;
    use torrent_core::mse::{Established, Initiator, Methods, Responder};
    use torrent_core::wire::HANDSHAKE_LEN;

    use super::*;

    /// What both sides of an exchange have come to.
    fn exchange() -> (Established, Established) {
        let swarm = InfoHash([7; 20]);
        let mut caller = Initiator::new([1; 32], swarm, Methods::Rc4, &[0; HANDSHAKE_LEN]);
        let mut called = Responder::new([2; 32], Methods::Rc4, true);
        let find = |_| Some(swarm);
        while !caller.is_established() {
            while let Some(bytes) = caller.poll_output() {
                called.handle_input(&bytes, &find).unwrap();
            }
            while let Some(bytes) = called.poll_output() {
                caller.handle_input(&bytes).unwrap();
            }
        }
        (caller.finish().unwrap(), called.finish().unwrap())
    }

    async fn pair() -> (Stream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let caller = TcpStream::connect(listener.local_addr().unwrap()).await;
        let mut caller = Stream::from(caller.unwrap());
        let mut called = Stream::from(listener.accept().await.unwrap().0);
        let (ours, theirs) = exchange();
        caller.encrypt(ours.method, ours.ciphers);
        called.encrypt(theirs.method, theirs.ciphers);
        (caller, called)
    }

    /// Sends more than the system takes at once, in slices of all lengths, while
    /// the other end does not read; then both go on.
    #[tokio::test]
    async fn what_does_not_fit_leaves_later_in_order() {
        let (mut caller, mut called) = pair().await;
        assert_eq!(caller.encryption(), Some(Method::Rc4));
        let data: Vec<u8> = (0..8 << 20).map(|at: u32| (at % 251) as u8).collect();
        let blocked = Notify::new();
        let send = async {
            let mut rest = &data[..];
            while !rest.is_empty() {
                let (first, second) = rest.split_at(rest.len().min(13));
                match caller.try_write_vectored(&[first, second].map(IoSlice::new)) {
                    Ok(count) => {
                        assert!(count > 0);
                        rest = &rest[count..];
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        blocked.notify_one();
                        caller.ready(Interest::WRITABLE).await.unwrap();
                    }
                }
            }
            while !caller.try_flush().unwrap() {
                caller.ready(Interest::WRITABLE).await.unwrap();
            }
        };
        let receive = async {
            blocked.notified().await;
            let mut received = vec![0; data.len()];
            called.read_exact(&mut received).await.unwrap();
            received
        };
        let ((), received) = tokio::join!(send, receive);
        assert!(received == data);
    }

    #[tokio::test]
    async fn what_is_on_the_wire_is_not_what_was_written() {
        let (mut caller, called) = pair().await;
        caller.write_all(b"hello, world").await.unwrap();
        let mut called = called.transport;
        let mut room = [0; 12];
        called.read_exact(&mut room).await.unwrap();
        assert_ne!(&room, b"hello, world");
    }
}
