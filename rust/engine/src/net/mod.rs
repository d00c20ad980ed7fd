//! Sockets: [`listen`] opens those that the session accepts on, [`dial`]
//! connects to peers. Buffer sizes are left to the kernel, whose tuning beats
//! any fixed number.

pub(crate) mod dial;
pub(crate) mod listen;

use std::io;

use tokio::net::TcpStream;

/// Prepares a connection for the peer protocol. Accepted ones need it too:
/// not every system lets them inherit it from the listener.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    // Requests are a few bytes that a whole pipeline waits for; the engine
    // batches its sends itself.
    stream.set_nodelay(true)
}
