//! One connection, for its owner.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{Interest, Ready};
use torrent_core::utp::UtpId;

use super::mux::{Mux, Slot};

/// A connection to a peer. Dropping it closes it: what was written still arrives.
#[derive(Debug)]
pub(crate) struct UtpStream {
    mux: Arc<Mux>,
    id: UtpId,
    peer: SocketAddr,
    slot: Arc<Slot>,
}

impl Drop for UtpStream {
    fn drop(&mut self) {
        self.mux.release(self.id);
    }
}

impl UtpStream {
    pub(super) fn new(mux: Arc<Mux>, id: UtpId, peer: SocketAddr, slot: Arc<Slot>) -> Self {
        Self {
            mux,
            id,
            peer,
            slot,
        }
    }

    /// The other end.
    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// The endpoint of ours.
    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.mux.name()
    }

    /// Waits until the peer has accepted.
    pub(super) async fn connected(&self) -> io::Result<()> {
        let flags = self.slot.wait_for(Slot::CONNECTED | Slot::CLOSED).await;
        if flags & Slot::CLOSED == 0 {
            return Ok(());
        }
        // One that is over says why.
        self.mux.error(self.id).map_or(Ok(()), Err)
    }

    /// Waits until it is worth trying to read or write, as `interest` says.
    pub(crate) async fn ready(&self, interest: Interest) -> Ready {
        let mut wanted = 0;
        if interest.is_readable() {
            wanted |= Slot::READABLE;
        }
        if interest.is_writable() {
            wanted |= Slot::WRITABLE;
        }
        let flags = self.slot.wait_for(wanted).await & wanted;
        let mut ready = Ready::EMPTY;
        if flags & Slot::READABLE != 0 {
            ready |= Ready::READABLE;
        }
        if flags & Slot::WRITABLE != 0 {
            ready |= Ready::WRITABLE;
        }
        ready
    }

    /// Receives what is there; 0 at the end of the stream,
    /// [`io::ErrorKind::WouldBlock`] when nothing is there.
    pub(crate) fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        self.mux.read(self.id, &self.slot, room)
    }

    /// Sends as much as fits; [`io::ErrorKind::WouldBlock`] when nothing does.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices = slices.iter().map(|slice| &slice[..]);
        self.mux.write(self.id, &self.slot, slices)
    }

    /// Waits for bytes and receives some. 0 at the end of the stream.
    pub(crate) async fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            self.slot.wait_for(Slot::READABLE).await;
            match self.try_read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Receives as much as `room` holds.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the stream ends before.
    pub(crate) async fn read_exact(&self, mut room: &mut [u8]) -> io::Result<()> {
        while !room.is_empty() {
            match self.read(room).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => room = &mut room[count..],
            }
        }
        Ok(())
    }

    /// Sends all of `bytes`.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.slot.wait_for(Slot::WRITABLE).await;
            match self.try_write_vectored(&[IoSlice::new(bytes)]) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
