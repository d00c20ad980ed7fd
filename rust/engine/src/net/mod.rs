//! Sockets: [`listen`] opens those that the session accepts on, [`dial`]
//! connects to peers; [`interfaces`] knows which addresses there are. Buffer
//! sizes are left to the kernel, whose tuning beats any fixed number.

pub(crate) mod address;
pub(crate) mod allowance;
pub(crate) mod bandwidth;
pub(crate) mod connect_limiter;
pub(crate) mod dial;
pub(crate) mod external_address;
pub(crate) mod handshake_slots;
pub(crate) mod http;
pub(crate) mod interfaces;
pub(crate) mod listen;

use std::io;

use tokio::net::TcpStream;

/// Prepares a connection for the peer protocol. Accepted ones need it too:
/// not every system lets them inherit it from the listener.
pub(crate) fn tune(stream: &TcpStream, dscp: i64) -> io::Result<()> {
    // Requests are a few bytes that a whole pipeline waits for; the engine
    // batches its sends itself.
    stream.set_nodelay(true)?;
    mark(stream, dscp);
    Ok(())
}

/// Marks a connection's packets with a class of traffic (RFC 2474): a courtesy
/// to other users of the same line, and nothing depends on it.
fn mark(stream: &TcpStream, dscp: i64) {
    let Ok(class @ 1..=63) = u32::try_from(dscp) else {
        return;
    };
    let socket = socket2::SockRef::from(stream);
    let is_v4 = stream.local_addr().is_ok_and(|at| at.is_ipv4());
    let marked = if is_v4 {
        socket.set_tos_v4(class << 2)
    } else {
        set_traffic_class(&socket, class << 2)
    };
    if let Err(error) = marked {
        tracing::debug!(%error, "a connection could not be marked");
    }
}

#[cfg(unix)]
fn set_traffic_class(socket: &socket2::SockRef<'_>, class: u32) -> io::Result<()> {
    socket.set_tclass_v6(class)
}

/// Windows leaves it to its policies.
#[cfg(not(unix))]
fn set_traffic_class(_: &socket2::SockRef<'_>, _: u32) -> io::Result<()> {
    Ok(())
}
