//! One request over a connection of its own: connecting, TLS, the request and
//! the response.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::HttpError;
use super::body::{BodyReader, TooLong, unpack};
use super::head::{Head, MAX_HEAD};
use super::{Body, HttpLimits};

/// Addresses of one machine that are tried.
const MAX_ADDRESSES: usize = 8;

/// Time that an address has at least to answer where there are others.
const LEAST_TIME: Duration = Duration::from_secs(2);

/// Bytes received at once.
const BUFFER: usize = 16 * 1024;

/// Heads that announce another one (1xx), at most.
const MAX_INTERIM: usize = 8;

/// A response whose body is still to come.
pub(super) struct Response {
    pub(super) head: Head,
    pub(super) from: SocketAddr,
    stream: Box<dyn HttpStream>,
    /// Bytes of the body that came with the head.
    rest: Vec<u8>,
}

pub(super) trait HttpStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> HttpStream for T {}

fn io_error(error: &io::Error) -> HttpError {
    HttpError::Protocol(error.to_string())
}

/// Waits for the server, but not longer than it may be silent.
async fn hear<T>(
    limits: &HttpLimits,
    answer: impl Future<Output = Result<T, HttpError>>,
) -> Result<T, HttpError> {
    timeout(limits.silence, answer)
        .await
        .map_err(|_| HttpError::Silence(limits.silence))?
}

/// Sends the request for `url` to one of `targets`, from the address `local`,
/// and reads the head of the response.
pub(super) async fn get(
    url: &Url,
    targets: &[SocketAddr],
    local: IpAddr,
    tls: Option<Arc<ClientConfig>>,
    limits: &HttpLimits,
) -> Result<Response, HttpError> {
    let request = request(url, &limits.user_agent)?;
    let (mut stream, from) = hear(limits, connect(url, targets, local, tls, limits)).await?;
    let sent = async {
        stream.write_all(&request).await?;
        stream.flush().await
    };
    hear(limits, async {
        sent.await.map_err(|error| io_error(&error))
    })
    .await?;
    answer(stream, from, limits).await
}

/// Reads the head of the response that comes over `stream`.
pub(super) async fn answer(
    mut stream: Box<dyn HttpStream>,
    from: SocketAddr,
    limits: &HttpLimits,
) -> Result<Response, HttpError> {
    let mut received = Vec::new();
    let (mut interim, mut blank) = (0, 0);
    // A head that comes byte by byte is not parsed anew for each of them.
    let mut parse_at = 0;
    let head = loop {
        if received.len() >= parse_at {
            parse_at = 2 * received.len();
            if let Some((head, length)) = Head::parse(&received)? {
                received.drain(..length);
                parse_at = 0;
                if !(100..200).contains(&head.status) {
                    break head;
                }
                blank += begin_of_head(&mut received);
                interim += 1;
                if interim > MAX_INTERIM {
                    let error = "an answer that never begins";
                    return Err(HttpError::Protocol(error.to_owned()));
                }
                continue;
            }
        }
        let mut buffer = [0; BUFFER];
        let count = hear(limits, receive(&mut stream, &mut buffer)).await?;
        if count == 0 {
            let error = "the connection was closed before the answer";
            return Err(HttpError::Protocol(error.to_owned()));
        }
        let known = received.len();
        received.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if known == 0 {
            blank += begin_of_head(&mut received);
            if blank > MAX_HEAD {
                let error = "an answer that never begins";
                return Err(HttpError::Protocol(error.to_owned()));
            }
        }
        if has_empty_line(&received, known) {
            parse_at = 0;
        }
    };
    Ok(Response {
        head,
        from,
        stream,
        rest: received,
    })
}

/// Drops the empty lines before a head, which mean nothing. How many bytes that
/// were.
fn begin_of_head(received: &mut Vec<u8>) -> usize {
    let begin = received.iter().position(|byte| !b"\r\n".contains(byte));
    received.drain(..begin.unwrap_or(received.len())).len()
}

/// Whether an empty line, which ends a head, came with the bytes after `known`.
fn has_empty_line(received: &[u8], known: usize) -> bool {
    let new = received.get(known.saturating_sub(2)..).unwrap_or_default();
    let mut ends = new.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.any(|(at, _)| {
        let next = new.get(at + 1..).unwrap_or_default();
        next.starts_with(b"\n") || next.starts_with(b"\r\n")
    })
}

/// Receives once; 0 at the end. One end of TLS that closes without saying so
/// has closed.
async fn receive(stream: &mut Box<dyn HttpStream>, buffer: &mut [u8]) -> Result<usize, HttpError> {
    match stream.read(buffer).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        received => received.map_err(|error| io_error(&error)),
    }
}

impl Response {
    /// Reads the body, unpacked, up to the limit. Where it ends too early, the
    /// body is what came, and says why.
    pub(super) async fn read(mut self, limits: &HttpLimits) -> Result<Body, HttpError> {
        let mut reader = BodyReader::new(self.head.framing);
        reader.push(&std::mem::take(&mut self.rest));
        let mut cut = None;
        while !reader.is_done() {
            if reader.len() > limits.body {
                return Err(HttpError::TooLong(limits.body));
            }
            let mut buffer = [0; BUFFER];
            match hear(limits, receive(&mut self.stream, &mut buffer)).await {
                Ok(0) => {
                    let error = "the connection was closed before the end of the answer";
                    cut = Some(HttpError::Protocol(error.to_owned()));
                    break;
                }
                Ok(count) => reader.push(buffer.get(..count).unwrap_or_default()),
                Err(error) => {
                    cut = Some(error);
                    break;
                }
            }
        }
        if self.head.framing == super::body::Framing::UntilClose
            && matches!(cut, Some(HttpError::Protocol(_)))
        {
            // That is how it ends.
            cut = None;
        }
        let body = reader.finish();
        if body.len() > limits.body {
            return Err(HttpError::TooLong(limits.body));
        }
        let bytes = unpack(body, self.head.deflated, limits.body)
            .map_err(|TooLong| HttpError::TooLong(limits.body))?;
        Ok(Body {
            status: self.head.status,
            reason: self.head.reason,
            bytes,
            cut,
            from: self.from.ip(),
        })
    }
}

/// The first of the addresses that answers, in their order.
async fn connect(
    url: &Url,
    targets: &[SocketAddr],
    local: IpAddr,
    tls: Option<Arc<ClientConfig>>,
    limits: &HttpLimits,
) -> Result<(Box<dyn HttpStream>, SocketAddr), HttpError> {
    let targets = targets.get(..MAX_ADDRESSES).unwrap_or(targets);
    let each = limits.silence / u32::try_from(targets.len().max(1)).unwrap_or(1);
    let each = each.max(LEAST_TIME);
    let mut failed = HttpError::Connect("no address".to_owned());
    for &target in targets {
        match timeout(each, connect_to(target, local)).await {
            Ok(Ok(stream)) => return secure(url, stream, tls).await.map(|it| (it, target)),
            Ok(Err(error)) => failed = HttpError::Connect(error.to_string()),
            Err(_) => failed = HttpError::Silence(each),
        }
    }
    Err(failed)
}

async fn connect_to(target: SocketAddr, local: IpAddr) -> io::Result<TcpStream> {
    let (socket, any) = if target.is_ipv4() {
        (TcpSocket::new_v4()?, IpAddr::from(Ipv4Addr::UNSPECIFIED))
    } else {
        (TcpSocket::new_v6()?, Ipv6Addr::UNSPECIFIED.into())
    };
    if local != any {
        socket.bind((local, 0).into())?;
    }
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn secure(
    url: &Url,
    stream: TcpStream,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Box<dyn HttpStream>, HttpError> {
    let Some(config) = tls else {
        return Ok(Box::new(stream));
    };
    let name = match url.host() {
        Some(Host::Ipv4(ip)) => ServerName::from(IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => ServerName::from(IpAddr::from(ip)),
        host => {
            let name = host.map(|host| host.to_string()).unwrap_or_default();
            let name = ServerName::try_from(name);
            name.map_err(|error| HttpError::Connect(error.to_string()))?
        }
    };
    let connected = TlsConnector::from(config).connect(name, stream).await;
    let stream = connected.map_err(|error| HttpError::Connect(error.to_string()))?;
    Ok(Box::new(stream))
}

/// The request: one that old servers understand.
fn request(url: &Url, user_agent: &str) -> Result<Vec<u8>, HttpError> {
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let mut lines = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n");
    if !user_agent.is_empty() {
        if user_agent.chars().any(char::is_control) {
            let error = "the user agent cannot be sent: it has control characters";
            return Err(HttpError::Protocol(error.to_owned()));
        }
        lines += &format!("User-Agent: {user_agent}\r\n");
    }
    if !url.username().is_empty() || url.password().is_some() {
        let mut login: Vec<u8> = percent_decode_str(url.username()).collect();
        login.push(b':');
        login.extend(percent_decode_str(url.password().unwrap_or_default()));
        lines += &format!("Authorization: Basic {}\r\n", BASE64.encode(&login));
    }
    lines += "Accept: */*\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";
    Ok(lines.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_servers_read_them() {
        let written = |url: &str| {
            let request = request(&Url::parse(url).unwrap(), "test/1").unwrap();
            String::from_utf8(request).unwrap()
        };
        assert_eq!(
            written("http://t.example:80/announce?a=%00b#fragment"),
            "GET /announce?a=%00b HTTP/1.1\r\nHost: t.example\r\nUser-Agent: test/1\r\n\
             Accept: */*\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        );
        let login = written("https://us%65r:p%3aw@[::1]:8443/?x");
        assert!(login.starts_with("GET /?x HTTP/1.1\r\nHost: [::1]:8443\r\n"));
        assert!(login.contains("\r\nAuthorization: Basic dXNlcjpwOnc=\r\n"));
        assert!(!written("http://t.example").contains("Authorization"));
    }

    #[test]
    fn the_end_of_a_head_is_found_however_it_is_split() {
        for end in ["\n\n", "\n\r\n"] {
            let head = format!("HTTP/1.1 200 OK\r\nA: b\r{end}");
            let bytes = head.as_bytes();
            for known in 0..bytes.len() {
                assert!(has_empty_line(bytes, known), "{head:?} from {known}");
                let part = &bytes[..bytes.len() - 1];
                assert!(!has_empty_line(part, known.min(part.len())));
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_comes_byte_by_byte_is_read() {
        let (stream, mut server) = tokio::io::duplex(1);
        let limits = HttpLimits {
            silence: Duration::from_secs(60),
            body: 100,
            user_agent: String::new(),
            validate: true,
            policy: crate::net::http::RequestPolicy {
                local_path: None,
                filtered: false,
            },
        };
        let text = b"\r\n\nHTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let (read, sent) = tokio::join!(
            super::super::read_response(stream, &limits),
            server.write_all(text),
        );
        sent.unwrap();
        assert_eq!(read.unwrap().bytes, b"abc");
    }
}
