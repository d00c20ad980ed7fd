//! Outgoing TCP connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

/// Connects to `addr` within `timeout`; an attempt that takes longer fails
/// with [`io::ErrorKind::TimedOut`]. Dropping the future gives the attempt up
/// and closes its socket.
pub(crate) async fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(timeout, TcpStream::connect(addr))
        .await
        .map_err(|_| {
            let reason = format!("no answer from {addr} within {timeout:?}");
            io::Error::new(io::ErrorKind::TimedOut, reason)
        })??;
    super::tune(&stream)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn connects_without_delay_for_small_messages() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address).await else {
                continue;
            };
            let there = listener.local_addr().unwrap();
            let stream = connect(there, Duration::from_secs(5)).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), there);
            assert!(stream.nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        drop(listener);
        let error = connect(there, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    /// A full backlog of a listener that never accepts leaves later attempts
    /// half open, as an address that swallows packets does.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn silence_times_out() {
        use socket2::{Domain, Socket, Type};

        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let there = listener.local_addr().unwrap().as_socket().unwrap();
        let mut open = Vec::new();
        for _ in 0..16 {
            match connect(there, Duration::from_millis(100)).await {
                Ok(stream) => open.push(stream),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    assert!(error.to_string().contains(&there.to_string()));
                    return;
                }
            }
        }
        panic!("{} connections fit into an empty backlog", open.len());
    }
}
