//! A tracker by UDP (BEP 15) without peers.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};

/// The event of an announce by which a torrent ends.
pub(crate) const STOPPED: u8 = 3;

/// An announce that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UdpAnnounce {
    pub(crate) from: SocketAddr,
    /// The id of its connection: they are given out from 1 on.
    pub(crate) connection: u64,
    /// The number of its event.
    pub(crate) event: u8,
}

/// Starts one; what it answers comes out of the channel. That a torrent stops has
/// to be said on another connection than the first.
pub(crate) fn udp_tracker() -> (SocketAddr, Receiver<UdpAnnounce>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let (announces, heard) = channel();
    std::thread::spawn(move || {
        let mut request = [0; 2048];
        let mut connections = 0u64;
        loop {
            let (_, from) = socket.recv_from(&mut request).unwrap();
            let announce = UdpAnnounce {
                from,
                connection: u64::from_be_bytes(request[..8].try_into().unwrap()),
                event: request[83],
            };
            let mut answer = request[8..16].to_vec();
            match request[11] {
                0 => {
                    connections += 1;
                    answer.extend(connections.to_be_bytes());
                }
                _ if announce.event == STOPPED && announce.connection == 1 => answer[3] = 3,
                _ => answer.extend([0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
            }
            socket.send_to(&answer, from).unwrap();
            if request[11] == 1 && answer[3] == 1 && announces.send(announce).is_err() {
                return;
            }
        }
    });
    (addr, heard)
}
