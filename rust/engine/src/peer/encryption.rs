//! The exchange of keys before a handshake (`torrent_core::mse`).

use std::io;

use torrent_core::ids::InfoHash;
use torrent_core::mse::{Established, Initiator, Methods, ObfuscatedHash, Responder};
use torrent_core::wire::HANDSHAKE_LEN;

use super::handshake::HandshakeError;
use crate::net::stream::Stream;

/// Bytes received at once; more than an exchange ever has room for.
const ROOM: usize = 1024;

/// Begins an exchange for a torrent, in which `ours`, the handshake, is sent along.
/// Returns what has come of the peer's handshake; the rest is read from the stream.
pub(super) async fn initiate(
    stream: &mut Stream,
    info_hash: InfoHash,
    methods: Methods,
    ours: &[u8; HANDSHAKE_LEN],
) -> Result<Vec<u8>, HandshakeError> {
    let mut exchange = Initiator::new(rand::random(), info_hash, methods, ours);
    let mut room = [0; ROOM];
    loop {
        while let Some(output) = exchange.poll_output() {
            stream.write_all(&output).await?;
        }
        if let Some(most) = room_of(exchange.room()) {
            let count = receive(stream, &mut room[..most]).await?;
            exchange.handle_input(&room[..count])?;
        } else {
            break;
        }
    }
    let established = exchange.finish();
    established.map_or_else(unfinished, |it| Ok(begin(stream, it).1))
}

/// Answers an exchange that began with these bytes. `find` knows the torrents by
/// their obfuscated hashes. Returns which torrent it is, and what has come of the
/// peer's handshake.
pub(super) async fn respond(
    stream: &mut Stream,
    received: &[u8],
    methods: Methods,
    prefer_rc4: bool,
    find: &(impl Fn(ObfuscatedHash) -> Option<InfoHash> + Sync),
) -> Result<(InfoHash, Vec<u8>), HandshakeError> {
    let mut exchange = Responder::new(rand::random(), methods, prefer_rc4);
    let mut room = [0; ROOM];
    exchange.handle_input(received, find)?;
    loop {
        while let Some(output) = exchange.poll_output() {
            stream.write_all(&output).await?;
        }
        if let Some(most) = room_of(exchange.room()) {
            let count = receive(stream, &mut room[..most]).await?;
            exchange.handle_input(&room[..count], find)?;
        } else {
            break;
        }
    }
    exchange
        .finish()
        .map_or_else(unfinished, |it| Ok(begin(stream, it)))
}

/// How much is received next; nothing when the exchange is over.
fn room_of(room: usize) -> Option<usize> {
    (room > 0).then_some(room.min(ROOM))
}

fn unfinished<T>() -> Result<T, HandshakeError> {
    Err(io::Error::other("the exchange of keys has not ended").into())
}

async fn receive(stream: &mut Stream, room: &mut [u8]) -> io::Result<usize> {
    match stream.read(room).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

/// The stream goes on as the exchange says.
fn begin(stream: &mut Stream, established: Established) -> (InfoHash, Vec<u8>) {
    stream.encrypt(established.method, established.ciphers);
    (established.info_hash, established.received)
}
