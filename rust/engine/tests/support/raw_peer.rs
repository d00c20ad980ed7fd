//! Peers that are nothing but a socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};
use torrent_engine::core::ids::{InfoHash, PeerId};
use torrent_engine::core::wire::{Features, Handshake};

use super::LIMIT;

/// A connection from this address.
pub(crate) fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// One whose handshake was sent, from a peer whose id is all `id`.
pub(crate) fn call_from(from: Ipv4Addr, to: SocketAddr, info_hash: InfoHash, id: u8) -> TcpStream {
    let mut stream = connect_from(from, to);
    let ours = Handshake {
        reserved: Features::default().reserved(),
        info_hash,
        peer_id: PeerId([id; 20]),
    };
    // One that is not wanted may find it closed already.
    let _ = stream.write_all(&ours.encode());
    stream
}

/// The same, with the other end's handshake received.
pub(crate) fn shake_from(from: Ipv4Addr, to: SocketAddr, info_hash: InfoHash, id: u8) -> TcpStream {
    let mut stream = call_from(from, to, info_hash, id);
    let mut theirs = [0; 68];
    stream.read_exact(&mut theirs).unwrap();
    assert_eq!(Handshake::decode(&theirs).unwrap().info_hash, info_hash);
    stream
}

/// Whether the other end has closed it; what came is thrown away.
pub(crate) fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut sink = [0; 4096];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}
