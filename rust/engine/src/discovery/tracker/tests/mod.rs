use std::net::{Ipv4Addr, SocketAddr};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use torrent_core::tracker::RequestId;

use super::*;
use crate::net::http::Rules;
use crate::net::http::resolve::is_internal;

mod server;
mod udp;

use server::{CERTIFICATE, Server};

/// Settings under which no tracker is given up, however slow the machine is.
fn settings(change: impl FnOnce(&mut Settings)) -> watch::Sender<Arc<Settings>> {
    let mut settings = Settings {
        tracker_completion_timeout: 3600,
        tracker_receive_timeout: 3600,
        ..Settings::default()
    };
    change(&mut settings);
    watch::Sender::new(Arc::new(settings))
}

fn request(url: String) -> AnnounceRequest {
    AnnounceRequest {
        id: RequestId(1),
        url,
        event: AnnounceEvent::Started,
        tracker_id: None,
        num_want: 50,
        local: "0.0.0.0:6881".parse().unwrap(),
    }
}

fn new_client(settings: &watch::Sender<Arc<Settings>>) -> TrackerClient {
    TrackerClient::new(
        settings.subscribe(),
        no_filter(),
        new_sockets(),
        Arc::default(),
    )
}

fn with_rules(rules: Rules) -> TrackerClient {
    let settings = settings(|_| {});
    let udp = UdpClient::new(settings.subscribe(), new_sockets(), Arc::default());
    TrackerClient::with_rules(settings.subscribe(), no_filter(), udp, rules)
}

fn no_filter() -> FilterWatch {
    watch::Sender::default().subscribe()
}

/// No endpoints are open. The sockets have no errors in these tests.
fn new_sockets() -> Arc<UdpSockets> {
    let errors = |endpoint, operation, error: &std::io::Error| {
        panic!("{endpoint}: {operation}: {error}");
    };
    Arc::new(UdpSockets::new(Arc::new(errors)))
}

async fn announce(client: &TrackerClient, url: String) -> Result<Reply, TrackerError> {
    client
        .announce(&request(url), &AnnounceStats::default(), true)
        .await
}

/// The outcome of announcing to a behaviour.
async fn outcome(behaviour: &str) -> Result<Reply, TrackerError> {
    outcome_with(behaviour, |_| {}).await
}

/// The outcome under other settings.
async fn outcome_with(
    behaviour: &str,
    change: impl FnOnce(&mut Settings),
) -> Result<Reply, TrackerError> {
    let server = Server::start().await;
    let client = new_client(&settings(change));
    announce(
        &client,
        format!("http://{}/announce/{behaviour}", server.addr),
    )
    .await
}

async fn error(behaviour: &str) -> String {
    outcome(behaviour).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_announce_brings_peers() {
    let server = Server::start().await;
    let settings = settings(|settings| settings.user_agent = "test/1".to_owned());
    let client = new_client(&settings);
    let url = format!("http://{}/announce?pk=1", server.addr);
    let reply = announce(&client, url).await.unwrap();
    assert_eq!(reply.interval, Duration::from_secs(900));
    assert_eq!(reply.peers, ["127.0.0.1:6881".parse().unwrap()]);
    let seen = server.requests.lock()[0].clone();
    assert!(
        seen.starts_with("GET /announce?pk=1&info_hash=%00%00"),
        "{seen}"
    );
    assert!(seen.contains("&event=started&numwant=50&"), "{seen}");
    assert!(
        seen.contains("User-Agent: test/1\r\n") && seen.contains("Accept-Encoding: gzip"),
        "{seen}"
    );
}

#[tokio::test]
async fn every_way_to_send_a_body_works() {
    for behaviour in [
        "chunks",
        "until-close",
        "old-chunks",
        "no-last-chunk",
        "no-chunks",
        "cut",
        "continued",
        "gzip",
        "x-gzip",
        "unsaid-gzip",
        "no-gzip",
        "many-headers",
    ] {
        let expected = Reply {
            tracker: Some(Ipv4Addr::LOCALHOST.into()),
            ..Reply::default()
        };
        assert_eq!(outcome(behaviour).await, Ok(expected), "{behaviour}");
    }
}

#[tokio::test]
async fn refusals_count_whatever_the_status() {
    let refused = outcome("refused").await.unwrap_err();
    assert_eq!(refused.to_string(), "no entry");
    assert_eq!(refused.failure().retry, Retry::Never);
    assert_eq!(error("bad-request").await, "HTTP status 400 Bad Request");
    assert_eq!(
        error("error").await,
        "HTTP status 500 Internal Server Error"
    );
    let gone = outcome("gone").await.unwrap_err();
    assert_eq!(gone.failure().retry, Retry::Never);
}

#[tokio::test]
async fn nonsense_is_an_error_that_says_so() {
    for behaviour in ["garbage", "nothing"] {
        let error = error(behaviour).await;
        assert!(
            error.starts_with("the tracker's reply is not bencode"),
            "{error}"
        );
    }
    let short = outcome("short-peers").await.unwrap();
    assert!(
        short.peers.is_empty() && short.warning.is_some(),
        "{short:?}"
    );
    let packed = error("bad-gzip").await;
    assert!(packed.contains("not bencode"), "{packed}");
    for behaviour in ["bad-chunk", "dropped", "no-http", "endless-head"] {
        let error = outcome(behaviour).await.unwrap_err();
        assert!(
            matches!(error, TrackerError::Http(HttpError::Protocol(_))),
            "{behaviour}: {error:?}"
        );
        assert!(!error.to_string().contains("info_hash"), "{error}");
    }
}

#[tokio::test]
async fn long_answers_are_cut_off_also_when_packed() {
    let expected = "the answer is longer than 1048576 bytes";
    assert_eq!(error("long").await, expected);
    assert_eq!(error("bomb").await, expected);
}

#[tokio::test]
async fn a_body_that_can_be_read_is_used_when_the_server_falls_silent() {
    let reply = outcome_with("left-open", |settings| settings.tracker_receive_timeout = 1);
    let reply = timeout(Duration::from_secs(60), reply).await.unwrap();
    assert_eq!(reply.unwrap().peers, []);
}

#[tokio::test]
async fn silence_and_slowness_have_an_end() {
    let silent = outcome_with("silent", |settings| settings.tracker_receive_timeout = 1);
    // A byte comes five times a second: silence would take a machine that
    // suspended.
    let slow = outcome_with("slow", |settings| {
        settings.tracker_receive_timeout = 7;
        settings.tracker_completion_timeout = 8;
    });
    let both = async { tokio::join!(silent, slow) };
    let (silent, slow) = timeout(Duration::from_secs(120), both).await.unwrap();
    assert_eq!(silent.unwrap_err().to_string(), "no data for 1 s");
    let slow = slow.unwrap_err().to_string();
    assert_eq!(slow, "no complete answer within 8 s");
}

#[tokio::test]
async fn stopping_has_a_limit_of_its_own() {
    let server = Server::start().await;
    let settings = settings(|settings| settings.stop_tracker_timeout = 0);
    let client = new_client(&settings);
    let request = AnnounceRequest {
        event: AnnounceEvent::Stopped,
        ..request(format!("http://{}/announce/silent", server.addr))
    };
    let error = client
        .announce(&request, &AnnounceStats::default(), true)
        .await
        .unwrap_err();
    assert_eq!(error, TrackerError::Timeout(Duration::ZERO));
}

#[tokio::test]
async fn redirects_are_followed_within_reason() {
    assert_eq!(outcome("hop").await.unwrap().peers.len(), 1);
    assert_eq!(error("loop").await, "more than 5 redirects");
    assert_eq!(
        error("to-file").await,
        "a redirect to 'file:///etc/passwd', which is not an HTTP address"
    );
    assert_eq!(error("to-nowhere").await, "HTTP status 302 Found");
}

#[tokio::test]
async fn the_local_network_is_only_asked_for_announces() {
    let server = Server::start().await;
    let client = new_client(&settings(|_| {}));
    let port = server.addr.port();
    for url in [
        format!("http://127.0.0.1:{port}/admin"),
        format!("http://127.0.0.1:{port}/x/announce"),
        format!("http://localhost:{port}/admin"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127.0.0.1:{port}/announce/away?to=127.0.0.1:{port}/admin"),
        // Where a cloud keeps the keys of its machines.
        format!("http://127.0.0.1:{port}/announce/away?to=169.254.169.254/latest/meta-data/"),
    ] {
        let error = announce(&client, url.clone()).await.unwrap_err();
        assert!(
            matches!(error, TrackerError::Http(HttpError::Blocked(_))),
            "{url}: {error:?}"
        );
    }
    assert_eq!(server.hits(), 2, "the redirects alone");
    let local = format!("http://localhost:{port}/announce/away?to=127.0.0.1:{port}/announce");
    announce(&client, local).await.unwrap();
}

#[tokio::test]
async fn nobody_outside_redirects_into_the_local_network() {
    let outside = Server::start().await;
    // The server's own address plays the outside.
    let rules = Rules {
        is_internal: |ip| ip != IpAddr::from([127, 0, 0, 1]) && is_internal(ip),
        trust: crate::net::http::tls::no_trust,
    };
    let client = with_rules(rules);
    let port = outside.addr.port();
    for there in [
        format!("127.0.0.2:{port}/announce"),
        format!("[::1]:{port}/announce"),
        "169.254.169.254/announce".to_owned(),
        "192.168.0.1/announce".to_owned(),
    ] {
        let url = format!("http://{}/away?to={there}", outside.addr);
        let error = announce(&client, url).await.unwrap_err();
        assert!(
            matches!(error, TrackerError::Http(HttpError::Blocked(_))),
            "{there}: {error:?}"
        );
    }
    assert_eq!(outside.hits(), 4);
    let url = format!("http://{0}/away?to={0}/any", outside.addr);
    announce(&client, url).await.unwrap();
}

#[tokio::test]
async fn https_asks_for_a_certificate_that_is_trusted() {
    let server = Server::start_secure().await;
    let port = server.addr.port();
    let trusting = Rules {
        is_internal,
        trust: || {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from(CERTIFICATE)).unwrap();
            crate::net::http::tls::trust(roots)
        },
    };
    let client = with_rules(trusting);
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{port}/announce");
        assert_eq!(announce(&client, url).await.unwrap().peers.len(), 1);
    }
    let blocked = announce(&client, format!("https://localhost:{port}/admin")).await;
    assert!(
        matches!(blocked, Err(TrackerError::Http(HttpError::Blocked(_)))),
        "{blocked:?}"
    );
    let hits = server.hits();

    let strict = Rules {
        is_internal,
        trust: crate::net::http::tls::no_trust,
    };
    let client = with_rules(strict);
    let error = announce(&client, format!("https://localhost:{port}/announce")).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(server.hits(), hits);

    let without = Rules {
        is_internal,
        trust: || Err(HttpError::Tls("none".to_owned())),
    };
    let client = with_rules(without);
    let error = announce(&client, format!("https://localhost:{port}/announce")).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "HTTPS is not possible here: none"
    );
    let plain = Server::start().await;
    let url = format!("http://{}/announce", plain.addr);
    announce(&client, url).await.unwrap();
}

#[tokio::test]
async fn unreachable_trackers_say_why() {
    // No socket listens there, and no other program gets the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    let client = new_client(&settings(|_| {}));
    let refused = announce(&client, format!("http://{addr}/announce")).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("refused"), "{refused}");
}

#[tokio::test]
async fn a_user_agent_that_cannot_be_sent_is_an_error() {
    let server = Server::start().await;
    let settings = settings(|settings| settings.user_agent = "a\nb".to_owned());
    let client = new_client(&settings);
    let url = format!("http://{}/announce", server.addr);
    let error = announce(&client, url).await.unwrap_err();
    assert!(
        matches!(error, TrackerError::Http(HttpError::Protocol(_))),
        "{error:?}"
    );
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_dropped_announce_frees_its_place_and_its_connection() {
    let server = Server::start().await;
    let client = new_client(&settings(|settings| {
        settings.max_concurrent_http_announces = 5
    }));
    let url = format!("http://{}/announce/silent", server.addr);
    let many = (0..20).map(|_| announce(&client, url.clone()));
    let many = futures_util::future::join_all(many);
    let asked = async {
        while server.hits() < 5 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // Time for more, if there were places for more.
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    tokio::select! {
        _ = many => panic!("a silent tracker has answered"),
        () = asked => {}
    }
    assert_eq!(server.hits(), 5);
    assert_eq!(client.slots.available(), 5);
    let url = format!("http://{}/announce", server.addr);
    announce(&client, url).await.unwrap();
}

#[tokio::test]
async fn a_scrape_brings_numbers() {
    let server = Server::start().await;
    let client = new_client(&settings(|settings| settings.ssrf_mitigation = false));
    let scrape = |path: &str| {
        let request = ScrapeRequest {
            id: RequestId(1),
            url: format!("http://{}{path}", server.addr),
            local: "0.0.0.0:6881".parse().unwrap(),
        };
        let client = &client;
        async move { client.scrape(&request, InfoHash::default(), true).await }
    };
    let numbers = scrape("/announce").await.unwrap();
    assert_eq!((numbers.complete, numbers.incomplete), (Some(3), Some(4)));
    let seen = server.requests.lock()[0].clone();
    assert!(seen.starts_with("GET /scrape?info_hash=%00%00"), "{seen}");
    let error = scrape("/x").await.unwrap_err();
    assert_eq!(error, UrlError::NoScrape.into());
    assert_eq!(server.hits(), 1);
    // It is no tracker's path, and the machine may be any.
    let careful = new_client(&settings(|_| {}));
    let request = ScrapeRequest {
        id: RequestId(1),
        url: format!("http://{}/announce", server.addr),
        local: "0.0.0.0:6881".parse().unwrap(),
    };
    let blocked = careful.scrape(&request, InfoHash::default(), true).await;
    assert!(
        matches!(blocked, Err(TrackerError::Http(HttpError::Blocked(_)))),
        "{blocked:?}"
    );
}

#[tokio::test]
async fn peers_may_be_named() {
    let peers = outcome("named-peers").await.unwrap().peers;
    assert_eq!(peers, ["127.0.0.1:1".parse().unwrap()]);
}

#[tokio::test]
async fn an_endpoint_of_another_family_does_not_reach_the_tracker() {
    let server = Server::start().await;
    let client = new_client(&settings(|_| {}));
    for host in ["127.0.0.1", "localhost"] {
        let port = server.addr.port();
        let request = AnnounceRequest {
            local: "[::1]:6881".parse().unwrap(),
            ..request(format!("http://{host}:{port}/announce"))
        };
        let error = client
            .announce(&request, &AnnounceStats::default(), true)
            .await;
        let error = error.unwrap_err();
        // Where the name has an address of both families, no socket listens at
        // the other one.
        match error.failure().retry {
            Retry::NotFromHere => assert!(matches!(
                error,
                TrackerError::Http(HttpError::OutOfReach(..))
            )),
            _ => assert!(
                matches!(error, TrackerError::Http(HttpError::Connect(_))),
                "{error:?}"
            ),
        }
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn certificates_can_be_ignored() {
    let server = Server::start_secure().await;
    let url = format!("https://localhost:{}/announce", server.addr.port());
    let client = new_client(&settings(|settings| {
        settings.validate_https_trackers = false
    }));
    assert_eq!(announce(&client, url).await.unwrap().peers.len(), 1);
}

#[tokio::test]
async fn a_filtered_tracker_is_not_asked() {
    let server = Server::start().await;
    let mut blocking = Filter::default();
    for range in ["127.0.0.0/8", "::1"] {
        blocking.add_rule(range, true).unwrap();
    }
    let filter = watch::Sender::new(blocking);
    let settings = settings(|_| {});
    let client = TrackerClient::new(
        settings.subscribe(),
        filter.subscribe(),
        new_sockets(),
        Arc::default(),
    );
    let port = server.addr.port();
    let ask = async |url: String, filtered| {
        let (request, report) = (request(url), AnnounceStats::default());
        client.announce(&request, &report, filtered).await
    };
    for host in ["127.0.0.1", "localhost"] {
        for scheme in ["http", "udp"] {
            let error = ask(format!("{scheme}://{host}:{port}/announce"), true).await;
            assert_eq!(
                error,
                Err(TrackerError::Http(HttpError::Filtered(host.to_owned()))),
                "{scheme}"
            );
        }
    }
    assert_eq!(server.hits(), 0);
    let url = || format!("http://localhost:{port}/announce");
    ask(url(), false).await.unwrap();
    // The client that is kept for the next request knows of changes.
    filter.send_replace(Filter::default());
    ask(url(), true).await.unwrap();
}
