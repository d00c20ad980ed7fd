use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::Interest;

use super::*;
use crate::coop::testing::assert_gives_way;
use crate::net::udp::BoundUdp;

/// Long, for what takes no time.
const LIMIT: Duration = Duration::from_secs(120);

/// One side: its sockets, and the connections that it accepts.
struct Side {
    udp: Arc<UdpSockets>,
    utp: UtpEndpoints,
    arrivals: mpsc::Receiver<UtpStream>,
    settings: watch::Sender<Arc<Settings>>,
    at: SocketAddr,
}

fn settings() -> Settings {
    Settings {
        enable_incoming_utp: true,
        ..Settings::default()
    }
}

fn side_at(ip: impl Into<IpAddr>, settings: Settings) -> Side {
    let settings = watch::Sender::new(Arc::new(settings));
    // The sockets have no errors in these tests.
    let udp = Arc::new(UdpSockets::new(Arc::new(|at, operation, error| {
        panic!("{at}: {operation}: {error}")
    })));
    let utp = UtpEndpoints::new(Arc::clone(&udp), settings.subscribe(), Arc::default());
    let arrivals = utp.accept();
    let bound = BoundUdp::alone(ip.into()).unwrap();
    let at = bound.endpoint();
    udp.open(vec![bound]);
    utp.open();
    Side {
        udp,
        utp,
        arrivals,
        settings,
        at,
    }
}

fn side() -> Side {
    side_at(Ipv4Addr::LOCALHOST, settings())
}

impl Side {
    async fn connect(&self, to: SocketAddr) -> io::Result<UtpStream> {
        self.utp.connect(&Settings::default(), to, LIMIT).await
    }

    async fn end(self) {
        self.utp.shut_down().await;
        self.udp.shut_down().await;
    }
}

async fn pair() -> (Side, Side, UtpStream, UtpStream) {
    let (ours, mut theirs) = (side(), side());
    let near = ours.connect(theirs.at).await.unwrap();
    let far = theirs.arrivals.recv().await.unwrap();
    (ours, theirs, near, far)
}

#[tokio::test]
async fn bytes_go_both_ways_and_end() {
    let ends: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for ip in ends {
        let (ours, mut theirs) = (side_at(ip, settings()), side_at(ip, settings()));
        let near = ours.connect(theirs.at).await.unwrap();
        let far = theirs.arrivals.recv().await.unwrap();
        assert_eq!((near.peer_addr(), far.peer_addr()), (theirs.at, ours.at));
        assert_eq!(near.local_addr(), ours.at);
        near.write_all(b"question").await.unwrap();
        let mut room = [0; 8];
        far.read_exact(&mut room).await.unwrap();
        assert_eq!(&room, b"question");
        far.write_all(b"answer").await.unwrap();
        drop(far);
        near.read_exact(&mut room[..6]).await.unwrap();
        assert_eq!(&room[..6], b"answer");
        assert_eq!(near.read(&mut room).await.unwrap(), 0);
        let error = near.read_exact(&mut room).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        ours.end().await;
        theirs.end().await;
    }
}

#[tokio::test]
async fn a_reader_that_waits_holds_the_writer_up() {
    let (ours, theirs, near, far) = pair().await;
    let block: Vec<u8> = (0..100_000_u32).map(|it| (it % 251) as u8).collect();
    let mut written = 0;
    // All buffers on the way fill up.
    loop {
        near.ready(Interest::WRITABLE).await;
        let before = written;
        while let Ok(count) =
            near.try_write_vectored(&[io::IoSlice::new(&block[written % block.len()..])])
        {
            written += count;
        }
        let quiet =
            tokio::time::timeout(Duration::from_millis(300), near.ready(Interest::WRITABLE));
        if written == before || quiet.await.is_err() {
            break;
        }
    }
    assert!(written > 1 << 20 && written < 64 << 20, "{written}");
    // And all of it arrives once it is read.
    let mut read = 0;
    let mut room = vec![0; 60_000];
    while read < written {
        let count = far.read(&mut room).await.unwrap();
        for (at, byte) in room[..count].iter().enumerate() {
            assert_eq!(*byte, block[(read + at) % block.len()]);
        }
        read += count;
    }
    near.ready(Interest::WRITABLE).await;
    ours.end().await;
    theirs.end().await;
}

#[tokio::test]
async fn nothing_to_read_is_no_error() {
    let (_ours, _theirs, near, _far) = pair().await;
    let error = near.try_read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn the_last_bytes_arrive_when_a_session_ends() {
    let (ours, theirs, near, far) = pair().await;
    let bytes = vec![7; 100_000];
    near.write_all(&bytes).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut room = vec![0; 100_000];
        far.read_exact(&mut room).await.unwrap();
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
        room
    });
    ours.utp.shut_down().await;
    // The owner hears nothing of it.
    let error = near
        .try_write_vectored(&[io::IoSlice::new(b"x")])
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let error = near.try_read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    ours.udp.shut_down().await;
    assert_eq!(reading.await.unwrap(), bytes);
    theirs.end().await;
}

#[tokio::test]
async fn connections_outlast_sockets_that_are_opened_again() {
    let (ours, theirs, near, far) = pair().await;
    ours.utp.reset_unlisted(&Settings {
        listen_interfaces: format!("127.0.0.1:{}", ours.at.port()),
        ..Settings::default()
    });
    ours.udp.close().await;
    near.write_all(b"across").await.unwrap();
    ours.udp
        .open(vec![BoundUdp::beside(ours.at, false).unwrap()]);
    ours.utp.open();
    let mut room = [0; 6];
    far.read_exact(&mut room).await.unwrap();
    assert_eq!(&room, b"across");
    ours.end().await;
    theirs.end().await;
}

#[tokio::test]
async fn connections_of_endpoints_that_are_gone_are_over() {
    let (ours, theirs, near, far) = pair().await;
    ours.utp.reset_unlisted(&Settings {
        listen_interfaces: "127.0.0.1:1".to_owned(),
        ..Settings::default()
    });
    let error = far.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    ours.udp.close().await;
    ours.utp.open();
    let error = near.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    let error = ours.connect(theirs.at).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    theirs.end().await;
}

#[tokio::test]
async fn who_accepts_nothing_is_not_reached() {
    let hasty = Settings {
        utp_connect_timeout: 20,
        utp_syn_resends: 1,
        ..Settings::default()
    };
    let ours = side_at(Ipv4Addr::LOCALHOST, hasty);
    let mut theirs = side_at(Ipv4Addr::LOCALHOST, Settings::default());
    let error = ours.connect(theirs.at).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    // Until it is allowed.
    theirs.settings.send_replace(Arc::new(settings()));
    let connected = async {
        loop {
            if let Ok(stream) = ours.connect(theirs.at).await {
                return stream;
            }
        }
    };
    let (near, far) = tokio::join!(connected, theirs.arrivals.recv());
    assert_eq!(near.peer_addr(), far.unwrap().local_addr());
    ours.end().await;
    theirs.end().await;
}

#[tokio::test]
async fn connections_that_are_not_accepted_are_reset() {
    let (ours, theirs) = (side(), side());
    let mut open = Vec::new();
    for _ in 0..=BACKLOG {
        open.push(ours.connect(theirs.at).await.unwrap());
    }
    let last = open.pop().unwrap();
    let error = last.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    ours.end().await;
    theirs.end().await;
}

#[test]
fn addresses_that_reach_others() {
    let table = [
        ("0.0.0.0", "127.0.0.1", true),
        ("0.0.0.0", "8.8.8.8", true),
        ("0.0.0.0", "::1", false),
        ("127.0.0.1", "127.0.0.5", true),
        ("127.0.0.1", "8.8.8.8", false),
        ("10.0.0.1", "127.0.0.1", false),
        ("10.0.0.1", "8.8.8.8", true),
        ("::", "::1", true),
        ("fe80::1", "2001:db8::1", true),
    ];
    for (from, to, expected) in table {
        let found = reaches(from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(found, expected, "{from} {to}");
    }
}

#[tokio::test]
async fn what_is_sent_without_end_leaves_others_their_turn() {
    let side = side();
    // It takes every wake for itself.
    let mut others = std::mem::take(&mut *side.utp.drivers.lock());
    others.shutdown().await;
    let endpoint = side.udp.endpoints().remove(0);
    let mux = side.utp.muxes.all().remove(0);
    let driving = driver::drive(
        Arc::clone(&mux),
        endpoint,
        side.settings.subscribe(),
        Arc::default(),
    );
    assert_gives_way(driving, move || mux.batch_ends()).await;
}
