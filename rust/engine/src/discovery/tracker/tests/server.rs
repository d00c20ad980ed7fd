//! A tracker on loopback that answers as its path says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const PEERS: &[u8] = b"d8:intervali900e5:peers6:\x7f\0\0\x01\x1a\xe1e";

/// 4 MiB of zeros, packed into 4 KiB.
const BOMB: &[u8] = include_bytes!("zeros.gz");

/// "de", packed.
const PACKED: &[u8] = include_bytes!("de.gz");

/// For "localhost" and 127.0.0.1, from 2020 to 2119, signed by itself.
pub(super) const CERTIFICATE: &[u8] = include_bytes!("certificate.der");
const KEY: &[u8] = include_bytes!("key.der");

fn response(head: &str, body: &[u8]) -> Vec<u8> {
    let mut all = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    all.extend_from_slice(body);
    all
}

/// A tracker on loopback whose behaviour is the path's first segment.
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    task: tokio::task::JoinHandle<()>,
    pub(super) requests: Arc<parking_lot::Mutex<Vec<String>>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let requests = Arc::<parking_lot::Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&seen)));
            }
        });
        Self {
            addr,
            task,
            requests,
        }
    }

    pub(super) async fn start_secure() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(CERTIFICATE)],
                PrivatePkcs8KeyDer::from(KEY).into(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let requests = Arc::<parking_lot::Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, Arc::clone(&seen)).await;
                }
            }
        });
        Self {
            addr,
            task,
            requests,
        }
    }

    pub(super) fn hits(&self) -> usize {
        self.requests.lock().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: Arc<parking_lot::Mutex<Vec<String>>>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let target = request.split(' ').nth(1).unwrap().to_owned();
    seen.lock().push(request);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let behaviour = path.trim_start_matches("/announce").trim_matches('/');
    let answer = match behaviour {
        "refused" => response(
            "403 Forbidden",
            b"d14:failure reason8:no entry8:retry in5:nevere",
        ),
        "bad-request" => response("400 Bad Request", b"d14:failure reason"),
        "gone" => response("410 Gone", b"gone"),
        "error" => response("500 Internal Server Error", b"<html>"),
        "garbage" => response("200 OK", b"\0\xffgarbage"),
        "nothing" => response("200 OK", b""),
        "short-peers" => response("200 OK", b"d5:peers5:abcdee"),
        "long" => response("200 OK", &vec![b'x'; 3 << 20]),
        "bomb" => response("200 OK\r\ncontent-encoding: gzip", BOMB),
        "bad-gzip" => response("200 OK\r\ncontent-encoding: gzip", b"not gzip at all"),
        "chunks" => {
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n".to_vec()
        }
        "bad-chunk" => {
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\nde\r\n"
                .to_vec()
        }
        "until-close" => b"HTTP/1.0 200 OK\r\n\r\nde".to_vec(),
        "old-chunks" => b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n".to_vec(),
        "no-last-chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n".to_vec(),
        "no-chunks" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nde".to_vec(),
        "continued" => b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nde".to_vec(),
        "x-gzip" => response("200 OK\r\nContent-Encoding: x-gzip", PACKED),
        "gzip" => response("200 OK\r\nContent-Encoding: gzip", PACKED),
        "unsaid-gzip" => response("200 OK", PACKED),
        "no-gzip" => response("200 OK\r\nContent-Encoding: gzip", b"de"),
        "many-headers" => {
            let headers: String = (0..130).map(|at| format!("\r\nX-Header-{at}: y")).collect();
            response(&format!("200 OK{headers}"), b"de")
        }
        "left-open" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nde").await;
            std::future::pending().await
        }
        "dropped" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nd8:interval".to_vec(),
        "cut" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nde".to_vec(),
        "no-http" => b"220 mail.example ESMTP\r\n".to_vec(),
        "endless-head" => {
            let mut head = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
            head.resize(2 << 20, b'a');
            head
        }
        "loop" => response("302 Found\r\nlocation: /announce/loop", b""),
        "hop" => response(&format!("301 Moved\r\nlocation: /announce?{query}"), b""),
        "to-file" => response("302 Found\r\nlocation: file:///etc/passwd", b""),
        "to-nowhere" => response("302 Found", b""),
        "away" => {
            let there = query.split('&').next().unwrap().trim_start_matches("to=");
            response(
                &format!("307 Temporary Redirect\r\nlocation: http://{there}"),
                b"",
            )
        }
        "named-peers" => response(
            "200 OK",
            b"d5:peersld2:ip9:127.0.0.14:porti1eed2:ip20:no-such-host.invalid4:porti2eeee",
        ),
        "silent" => std::future::pending().await,
        "slow" => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
            let _ = stream.write_all(head).await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            return;
        }
        "scrape" => response(
            "200 OK",
            b"d5:filesd20:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0d8:completei3e10:incompletei4eeee",
        ),
        _ => response("200 OK", PEERS),
    };
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}
