//! Where a session listens, while it runs.

use std::net::TcpStream;
use std::time::Duration;

use torrent_core::settings::Settings;
use torrent_core::value::Value;
use torrent_engine::session::Session;

/// Nothing here takes this long unless it is stuck.
const LIMIT: Duration = Duration::from_secs(120);

fn start(interfaces: &str) -> Session {
    let mut settings = Settings::default();
    let value = Value::from(interfaces.to_owned());
    settings.apply([("listen_interfaces", &value)]).unwrap();
    Session::start(settings).unwrap()
}

async fn until(condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, poll)
        .await
        .expect("the condition comes true");
}

#[tokio::test]
async fn listening_follows_the_settings() {
    let session = start("127.0.0.1:0");
    let first = session.listening()[0];
    let elsewhere = Value::from("127.0.0.2:0".to_owned());
    session
        .apply_settings([("listen_interfaces", &elsewhere)])
        .unwrap();
    until(|| session.listening().first().is_some_and(|&now| now != first)).await;
    let second = session.listening()[0];
    assert_eq!(second.ip().to_string(), "127.0.0.2");
    TcpStream::connect(second).unwrap();
    assert!(TcpStream::connect(first).is_err(), "the old port is closed");
    session.stop();
    assert!(session.join(LIMIT));
}

#[tokio::test]
async fn udp_listens_beside_tcp_and_goes_with_it() {
    let session = start("127.0.0.1:0");
    let is_free = |at| std::net::UdpSocket::bind(at).is_ok();
    let first = session.listening()[0];
    assert!(!is_free(first));
    session.reopen_network_sockets().unwrap();
    until(|| session.listening().first().is_some_and(|&now| now != first)).await;
    let second = session.listening()[0];
    assert!(is_free(first) && !is_free(second));
    session.stop();
    assert!(session.join(LIMIT));
    assert!(is_free(second));
}

#[tokio::test]
async fn sockets_are_opened_anew_when_asked() {
    let session = start("127.0.0.1:0");
    let first = session.listening()[0];
    session.reopen_network_sockets().unwrap();
    until(|| session.listening().first().is_some_and(|&now| now != first)).await;
    let status = session.network_status();
    assert!(status.is_listening && status.ipv4 && !status.ipv6);
    assert!(session.diagnose_network().iter().any(|it| it.ok));
    session.stop();
    assert!(session.join(LIMIT));
}
