//! Sockets: [`listen`] opens those that the session accepts on, [`dial`]
//! connects to peers, a [`stream`] is a connection made by either over some
//! [`transport`], [`udp`] owns the sockets that all protocols over UDP share,
//! [`utp`] makes streams of them; [`interfaces`] knows which addresses there are.
//! No other folder names a type of socket. Buffer sizes are left to the kernel,
//! whose tuning beats any fixed number.

pub(crate) mod allowance;
pub(crate) mod bandwidth;
pub(crate) mod connect_limiter;
pub(crate) mod dial;
pub(crate) mod external_address;
pub(crate) mod handshake_slots;
pub(crate) mod http;
pub(crate) mod interfaces;
pub(crate) mod listen;
pub(crate) mod stream;
pub(crate) mod transport;
pub(crate) mod udp;
pub(crate) mod utp;

use std::io;

#[cfg(unix)]
fn set_traffic_class(socket: &socket2::SockRef<'_>, class: u32) -> io::Result<()> {
    socket.set_tclass_v6(class)
}

/// Windows leaves it to its policies.
#[cfg(not(unix))]
fn set_traffic_class(_: &socket2::SockRef<'_>, _: u32) -> io::Result<()> {
    Ok(())
}
