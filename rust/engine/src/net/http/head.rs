//! The head of an HTTP response: its status and the headers that matter here.

use super::HttpError;
use super::body::Framing;

/// Most bytes of a head.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// Most headers in it; a busy site's proxies add a hundred.
const MAX_HEADERS: usize = 1000;

/// Most characters of the server's message that are shown.
const MAX_REASON: usize = 100;

/// What a head says.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// The server's message for the status.
    pub(super) reason: String,
    pub(super) location: Option<Vec<u8>>,
    pub(super) framing: Framing,
    /// The body is packed by deflate, with or without a wrapping.
    pub(super) deflated: bool,
}

impl Head {
    /// Reads the head that `bytes` begin with, and its length; `None` while it
    /// is not whole.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HttpError> {
        let mut headers = vec![httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let mut config = httparse::ParserConfig::default();
        config
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_multiple_spaces_in_response_status_delimiters(true)
            .ignore_invalid_headers_in_responses(true);
        let length = match config.parse_response(&mut response, bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) => {
                let limit = "the head of the answer is too long";
                return Err(HttpError::Protocol(limit.to_owned()));
            }
            Err(error) => return Err(HttpError::Protocol(format!("no HTTP: {error}"))),
        };
        let mut head = Self {
            status: response.code.unwrap_or(0),
            reason: printable(response.reason.unwrap_or("")),
            location: None,
            framing: Framing::UntilClose,
            deflated: false,
        };
        let (mut chunked, mut lengths) = (false, Vec::new());
        for header in response.headers.iter() {
            let value = header.value.trim_ascii();
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let lists = |word: &[u8]| {
                let mut words = value.split(|&byte| byte == b',');
                words.any(|it| it.trim_ascii().eq_ignore_ascii_case(word))
            };
            if is("location") && head.location.is_none() {
                head.location = Some(value.to_owned());
            } else if is("transfer-encoding") {
                chunked |= lists(b"chunked");
            } else if is("content-encoding") {
                head.deflated |= lists(b"deflate") || lists(b"x-deflate");
            } else if is("content-length") {
                lengths.push(str::from_utf8(value).ok().and_then(|it| it.parse().ok()));
            }
        }
        lengths.dedup();
        head.framing = match lengths[..] {
            _ if matches!(head.status, 100..=199 | 204 | 304) => Framing::Empty,
            _ if chunked => Framing::Chunked,
            [Some(length)] => Framing::Length(length),
            // None, or some that make no sense.
            _ => Framing::UntilClose,
        };
        Ok(Some((head, length)))
    }

    pub(super) fn is_redirection(&self) -> bool {
        (300..400).contains(&self.status)
    }
}

/// Text to show: short, on one line.
fn printable(words: &str) -> String {
    let words = words.chars().filter(|c| !c.is_control());
    words.take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Head {
        let (head, length) = Head::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.len());
        head
    }

    #[test]
    fn heads_as_they_are_found() {
        let head = parse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!((head.status, head.framing), (200, Framing::Chunked));
        let head = parse("HTTP/1.1 200\ncontent-length : 7\n\n");
        assert_eq!((head.status, head.framing), (200, Framing::Length(7)));
        let head = parse("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n");
        assert_eq!(head.framing, Framing::Length(7));
        for senseless in ["-1", "x", "", "7, 8", "99999999999999999999999"] {
            let head = parse(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {senseless}\r\n\r\n"
            ));
            assert_eq!(head.framing, Framing::UntilClose, "{senseless}");
        }
        let many: String = (0..900).map(|at| format!("X-{at}: y\r\n")).collect();
        let head = parse(&format!(
            "HTTP/1.1 302 Found\r\n{many}bad header\r\nLocation: /x\r\n\r\n"
        ));
        assert_eq!(head.location.as_deref(), Some(&b"/x"[..]));
        assert!(head.is_redirection());
        let head = parse(
            "HTTP/1.1 410 Gone\u{1}away\r\nContent-Encoding: Deflate\r\n\r\n"
                .replace('\u{1}', " ")
                .as_str(),
        );
        assert_eq!((head.status, head.reason.as_str()), (410, "Gone away"));
        assert!(head.deflated);
        assert_eq!(parse("HTTP/1.1 204 No\r\n\r\n").framing, Framing::Empty);
    }

    #[test]
    fn what_is_no_head_is_refused_and_what_is_not_whole_awaited() {
        assert!(Head::parse(b"220 mail.example ESMTP\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nx: y").unwrap().is_none());
        assert!(Head::parse(b"").unwrap().is_none());
        let mut endless = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
        endless.resize(MAX_HEAD + 1, b'a');
        assert!(Head::parse(&endless).is_err());
        let many = "HTTP/1.1 200 OK\r\n".to_owned() + &"a: b\r\n".repeat(1001) + "\r\n";
        assert!(Head::parse(many.as_bytes()).is_err());
    }
}
