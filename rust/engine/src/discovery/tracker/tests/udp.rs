//! UDP trackers over real sockets.

use std::collections::VecDeque;

use tokio::net::UdpSocket;
use torrent_core::ids::PeerId;

use super::*;

const ID: [u8; 8] = *b"connect!";

/// A tracker whose answers are the keywords that it is given: "connect",
/// "announce", "scrape", "error", "wrong-id", "stranger", "short", "flood",
/// "silence".
struct UdpServer {
    addr: SocketAddr,
    seen: Arc<parking_lot::Mutex<Vec<Vec<u8>>>>,
    senders: Arc<parking_lot::Mutex<Vec<SocketAddr>>>,
    task: tokio::task::JoinHandle<()>,
}

impl UdpServer {
    async fn start(addr: &str, words: &[&'static str]) -> Self {
        let socket = UdpSocket::bind(addr).await.unwrap();
        let stranger = UdpSocket::bind(addr).await.unwrap();
        let addr = socket.local_addr().unwrap();
        let seen = Arc::<parking_lot::Mutex<Vec<Vec<u8>>>>::default();
        let requests = Arc::clone(&seen);
        let senders = Arc::<parking_lot::Mutex<Vec<SocketAddr>>>::default();
        let sent_by = Arc::clone(&senders);
        let mut words: VecDeque<_> = words.iter().copied().collect();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let request = buffer[..length].to_vec();
                let mut transaction = request[12..16].to_vec();
                requests.lock().push(request);
                sent_by.lock().push(from);
                // Several answers to one request are joined by a plus.
                for word in words.pop_front().unwrap_or("silence").split('+') {
                    let (action, body) = match word {
                        "connect" => (0u8, ID.to_vec()),
                        "announce" if addr.is_ipv4() => (
                            1,
                            b"\0\0\x0e\x10\0\0\0\x01\0\0\0\x02\x0a\0\0\x01\x1a\xe1".to_vec(),
                        ),
                        "announce" => {
                            let mut body = b"\0\0\x0e\x10\0\0\0\x01\0\0\0\x02".to_vec();
                            body.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
                            body.extend([0x1a, 0xe1]);
                            (1, body)
                        }
                        "scrape" => (2, b"\0\0\0\x05\0\0\0\x06\0\0\0\x07".to_vec()),
                        "error" => (3, b"go away".to_vec()),
                        "short" => (1, b"\0".to_vec()),
                        "wrong-id" => {
                            transaction[0] ^= 1;
                            (3, b"wrong id".to_vec())
                        }
                        "stranger" => (3, b"stranger".to_vec()),
                        "flood" => {
                            flood(&socket, from).await;
                            continue;
                        }
                        _ => continue,
                    };
                    let mut packet = vec![0, 0, 0, action];
                    packet.extend(&transaction);
                    packet.extend(body);
                    if word == "wrong-id" {
                        transaction[0] ^= 1;
                    }
                    let sender = if word == "stranger" {
                        &stranger
                    } else {
                        &socket
                    };
                    sender.send_to(&packet, from).await.unwrap();
                }
            }
        });
        Self {
            addr,
            seen,
            senders,
            task,
        }
    }

    fn url(&self) -> String {
        format!("udp://{}/announce?key=1", self.addr)
    }

    fn actions(&self) -> Vec<u8> {
        self.seen.lock().iter().map(|request| request[11]).collect()
    }
}

/// Sends what no query has asked for: nonsense, answers to others, packets of
/// other protocols.
async fn flood(socket: &UdpSocket, to: SocketAddr) {
    let mut packet = [0; 32];
    for round in 0..100u32 {
        packet[4..8].copy_from_slice(&round.to_be_bytes());
        for first in [
            [0, 0, 0, 0],
            [0, 0, 0, 1],
            [0, 0, 0, 3],
            *b"d1:t",
            [0x41; 4],
            [0xff; 4],
        ] {
            packet[..4].copy_from_slice(&first);
            socket.send_to(&packet, to).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
}

impl Drop for UdpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn announces_share_a_connection_id() {
    let words = ["connect", "announce", "announce", "scrape"];
    let server = UdpServer::start("127.0.0.1:0", &words).await;
    let client = new_client(&settings(|_| {}));
    let report = AnnounceStats {
        peer_id: PeerId(*b"-GD0100-abcdefghijkl"),
        port: 0x1234,
        ..AnnounceStats::default()
    };
    let reply = client.announce(&request(server.url()), &report, true).await;
    let reply = reply.unwrap();
    assert_eq!(reply.interval, Duration::from_secs(3600));
    assert_eq!((reply.incomplete, reply.complete), (Some(1), Some(2)));
    assert_eq!(reply.peers, ["10.0.0.1:6881".parse().unwrap()]);
    announce(&client, server.url()).await.unwrap();
    let scrape = ScrapeRequest {
        id: RequestId(1),
        url: server.url(),
        local: "0.0.0.0:6881".parse().unwrap(),
    };
    let numbers = client
        .scrape(&scrape, InfoHash::default(), true)
        .await
        .unwrap();
    assert_eq!((numbers.complete, numbers.incomplete), (Some(5), Some(7)));
    assert_eq!(server.actions(), [0, 1, 1, 2]);
    let first = server.seen.lock()[1].clone();
    assert_eq!(first[..8], ID);
    assert_eq!(first[36..56], *b"-GD0100-abcdefghijkl");
    assert_eq!(first[80..84], [0, 0, 0, 2], "started");
    assert_eq!(first[96..98], [0x12, 0x34]);
    assert_eq!(first[98..], *b"\x02\x0f/announce?key=1");
}

#[tokio::test]
async fn ipv6_trackers_name_ipv6_peers() {
    let server = UdpServer::start("[::1]:0", &["connect", "announce"]).await;
    let client = new_client(&settings(|_| {}));
    let request = AnnounceRequest {
        local: "[::]:6881".parse().unwrap(),
        ..request(server.url())
    };
    let reply = client
        .announce(&request, &AnnounceStats::default(), true)
        .await
        .unwrap();
    assert_eq!(reply.peers, ["[2001:db8::1]:6881".parse().unwrap()]);
}

#[tokio::test]
async fn what_is_not_the_trackers_answer_is_ignored() {
    let words = [
        "wrong-id+stranger+short+connect",
        "wrong-id+stranger+short+announce",
    ];
    let server = UdpServer::start("127.0.0.1:0", &words).await;
    let client = new_client(&settings(|_| {}));
    announce(&client, server.url()).await.unwrap();
    assert_eq!(server.actions(), [0, 1]);
}

#[tokio::test]
async fn refusals_and_silence_say_so() {
    let server = UdpServer::start("127.0.0.1:0", &["connect", "error", "silence"]).await;
    let settings = settings(|_| {});
    let client = new_client(&settings);
    let refused = announce(&client, server.url()).await.unwrap_err();
    assert_eq!(
        (refused.to_string().as_str(), refused.failure_reason()),
        ("go away", "go away")
    );
    settings.send_modify(|settings| {
        Arc::make_mut(settings).tracker_completion_timeout = 1;
    });
    let silent = announce(&client, server.url()).await.unwrap_err();
    assert!(silent.to_string().ends_with("within 1 s"), "{silent}");
    assert_eq!(silent.operation(), "sock_read");
    let request = AnnounceRequest {
        event: AnnounceEvent::Stopped,
        ..request("udp://no-such-host.invalid:1/".to_owned())
    };
    let unknown = client
        .announce(&request, &AnnounceStats::default(), true)
        .await;
    assert!(matches!(
        unknown,
        Err(TrackerError::Http(HttpError::LookUp(..)) | TrackerError::Timeout(_))
    ));
}

#[tokio::test]
async fn an_announce_that_is_dropped_is_given_up() {
    let server = UdpServer::start("127.0.0.1:0", &["silence", "connect", "announce"]).await;
    let client = new_client(&settings(|_| {}));
    let asked = async {
        while server.actions().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        answer = announce(&client, server.url()) => panic!("{answer:?}"),
        () = asked => {}
    }
    // The first connect request is not waited for any more.
    let other = UdpServer::start("127.0.0.1:0", &["connect", "announce"]).await;
    announce(&client, other.url()).await.unwrap();
    assert_eq!(other.actions(), [0, 1]);
    assert_eq!(server.actions(), [0]);
}

/// Opens an endpoint of ours; for the settings, its address.
fn endpoint(sockets: &UdpSockets, ip: &str) -> SocketAddr {
    let settings = Settings {
        listen_interfaces: format!("{ip}:0"),
        ..Settings::default()
    };
    let listening = crate::net::listen::bind(&settings).unwrap();
    let at = listening.sockets[0].local_addr().unwrap();
    sockets.open(listening.udp);
    at
}

/// A client, and the sockets that it asks from.
fn client_and_sockets() -> (TrackerClient, Arc<UdpSockets>) {
    let sockets = new_sockets();
    let settings = settings(|_| {});
    let client = TrackerClient::new(
        settings.subscribe(),
        no_filter(),
        Arc::clone(&sockets),
        Arc::default(),
    );
    (client, sockets)
}

async fn announce_from(
    client: &TrackerClient,
    local: SocketAddr,
    url: String,
) -> Result<Reply, TrackerError> {
    let request = AnnounceRequest {
        local,
        ..request(url)
    };
    client
        .announce(&request, &AnnounceStats::default(), true)
        .await
}

#[tokio::test]
async fn an_announce_leaves_from_the_endpoint_that_it_is_for() {
    let (client, sockets) = client_and_sockets();
    let ips = ["127.0.0.1", "[::1]"];
    // All of them first: what is under way when one is opened is sent again.
    let ends = ips.map(|ip| [endpoint(&sockets, ip), endpoint(&sockets, ip)]);
    for (ip, ours) in ips.into_iter().zip(ends) {
        let words = ["connect", "announce", "connect", "announce"];
        let server = UdpServer::start(&format!("{ip}:0"), &words).await;
        for local in ours {
            announce_from(&client, local, server.url()).await.unwrap();
        }
        let senders = server.senders.lock().clone();
        assert_eq!(senders, [ours[0], ours[0], ours[1], ours[1]]);
    }
}

#[tokio::test]
async fn an_announce_under_way_goes_on_when_sockets_are_replaced() {
    let (client, sockets) = client_and_sockets();
    let words = ["silence", "connect", "announce"];
    let server = UdpServer::start("127.0.0.1:0", &words).await;
    let local = endpoint(&sockets, "127.0.0.1");
    let asking = announce_from(&client, local, server.url());
    let replaced = async {
        while server.actions().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        sockets.shut_down().await;
        std::future::pending::<()>().await
    };
    tokio::select! {
        answer = asking => answer.unwrap(),
        () = replaced => unreachable!(),
    };
    let senders = server.senders.lock().clone();
    assert_eq!(server.actions(), [0, 0, 1]);
    assert_eq!(senders[0], local);
    assert_ne!(senders[1], local, "its port is given up");
    assert_eq!(senders[1], senders[2]);
    std::net::UdpSocket::bind(local).unwrap();
}

#[tokio::test]
async fn a_flood_holds_no_announce_up() {
    let (client, sockets) = client_and_sockets();
    let words = ["flood+connect+flood", "flood+announce+flood"];
    let server = UdpServer::start("127.0.0.1:0", &words).await;
    let local = endpoint(&sockets, "127.0.0.1");
    announce_from(&client, local, server.url()).await.unwrap();
}
