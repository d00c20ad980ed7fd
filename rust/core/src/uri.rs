//! The little that metainfo and magnet links need of URLs: which tracker URLs
//! to keep, and libtorrent's spelling of percent-encoding.

use crate::text::repair;

/// The parts of an absolute URL, as bytes of it.
struct UriParts<'a> {
    scheme: &'a [u8],
    /// User and password, without the `@`.
    auth: Option<&'a [u8]>,
    /// Without brackets.
    host: &'a [u8],
    /// Whether the host stood in brackets.
    literal: bool,
    port: Option<&'a [u8]>,
    /// Path, query and fragment.
    path: &'a [u8],
}

fn split(url: &[u8]) -> Option<UriParts<'_>> {
    let blank = |byte: &u8| b" \t\r\n\x0b\x0c".contains(byte);
    let begin = url.iter().position(|byte| !blank(byte))?;
    let url = url.get(begin..)?;
    let colon = url.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = url.split_at_checked(colon)?;
    let rest = rest.strip_prefix(b"://")?;
    let end = rest
        .iter()
        .position(|byte| b"/?#".contains(byte))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    // Without a colon before it, an `@` belongs to no credentials; the host
    // check then refuses it.
    let (auth, authority) = match authority.iter().position(|&byte| byte == b'@') {
        Some(at) if authority.iter().take(at).any(|&byte| byte == b':') => {
            (authority.get(..at), authority.get(at + 1..)?)
        }
        _ => (None, authority),
    };
    let (host, literal, after) = match authority.strip_prefix(b"[") {
        Some(inside) => {
            let close = inside.iter().position(|&byte| byte == b']')?;
            (inside.get(..close)?, true, inside.get(close + 1..)?)
        }
        None => {
            let end = authority
                .iter()
                .position(|&byte| byte == b':')
                .unwrap_or(authority.len());
            let (host, after) = authority.split_at_checked(end)?;
            (host, false, after)
        }
    };
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || b"-.".contains(byte) || (literal && b":%_~".contains(byte))
    };
    if host.is_empty() || !host.iter().all(plain) {
        return None;
    }
    let port = match after.iter().position(|&byte| byte == b':') {
        Some(colon) => {
            let port = after.get(colon + 1..)?;
            if !port.iter().all(u8::is_ascii_digit) {
                return None;
            }
            std::str::from_utf8(port).ok()?.parse::<i32>().ok()?;
            Some(port)
        }
        None => None,
    };
    Some(UriParts {
        scheme,
        auth,
        host,
        literal,
        port,
        path,
    })
}

/// Whether `url` may be a tracker: a known scheme, a host, a port that is a
/// number, nothing that would break out of a request line.
pub(crate) fn is_tracker(url: &str) -> bool {
    const SCHEMES: [&[u8]; 5] = [b"http", b"https", b"udp", b"ws", b"wss"];
    let url = url.as_bytes();
    if url.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return false;
    }
    split(url).is_some_and(|parts| {
        SCHEMES
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case(parts.scheme))
    })
}

/// Whether `url` may be a web seed (BEP 17, 19): HTTP or HTTPS, a host, a port
/// that is a number. Its path need not be percent-encoded.
pub(crate) fn is_web_seed(url: &str) -> bool {
    let schemes = ["http", "https"].map(str::as_bytes);
    split(url.as_bytes()).is_some_and(|parts| {
        schemes
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case(parts.scheme))
    })
}

/// Bytes that stand for themselves in any part of a URL.
const UNRESERVED: &[u8] = b"-_!.~*()";
/// Bytes that a URL may contain without being wrong.
const RESERVED: &[u8] = b"%+;?:@=&,$/";

/// A web seed's URL with its path percent-encoded, if that was forgotten. What
/// is not a URL at all comes back as it is.
pub(crate) fn encode_web_seed(url: &[u8]) -> String {
    let text = || repair(url);
    let Some(parts) = split(url) else {
        return text();
    };
    let fine = |byte: &u8| {
        byte.is_ascii_alphanumeric() || UNRESERVED.contains(byte) || RESERVED.contains(byte)
    };
    if parts.path.iter().all(fine) {
        return text();
    }
    let mut out = Vec::with_capacity(url.len() * 2);
    out.extend_from_slice(parts.scheme);
    out.extend_from_slice(b"://");
    if let Some(auth) = parts.auth {
        out.extend_from_slice(auth);
        out.push(b'@');
    }
    if parts.literal {
        out.push(b'[');
    }
    out.extend_from_slice(parts.host);
    if parts.literal {
        out.push(b']');
    }
    if let Some(port) = parts.port {
        out.push(b':');
        out.extend_from_slice(port);
    }
    if !parts.path.starts_with(b"/") {
        out.push(b'/');
    }
    out.extend_from_slice(escape_with(parts.path, b"/").as_bytes());
    repair(&out)
}

/// Percent-encodes all but letters, digits and `-_!.~*()`, in lower case.
pub(crate) fn escape(bytes: &[u8]) -> String {
    escape_with(bytes, b"")
}

fn escape_with(bytes: &[u8], also_plain: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || UNRESERVED.contains(&byte) || also_plain.contains(&byte)
        {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }
    out
}

/// Undoes percent-encoding, `+` meaning a space. `None` where a `%` is not
/// followed by two hexadecimal digits.
pub(crate) fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    match unescape_prefix(text) {
        (bytes, true) => Some(bytes),
        (_, false) => None,
    }
}

/// As [`unescape`], but a `%` that makes no sense ends the text; whether there
/// was none.
pub(crate) fn unescape_prefix(text: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        let plain = match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*bytes.next()?).to_digit(16);
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return (out, false),
                }
            }
            other => other,
        };
        out.push(plain);
    }
    (out, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plausible_trackers_are_kept() {
        for good in [
            "http://t.example/announce",
            "HTTPS://t.example:443/a?passkey=1",
            "udp://10.0.0.1:6969",
            "udp://[2001:db8::1]:80/announce",
            "wss://t.example",
            "http://user:pass@t.example/",
            "http://t.example?x",
        ] {
            assert!(is_tracker(good), "{good}");
        }
        for bad in [
            "",
            "t.example",
            "ftp://t.example/",
            "file:///etc/passwd",
            "http://",
            "http:///announce",
            "http:/t.example",
            "http://t.example:x/",
            "http://t.example:/",
            "http://t.example:+1/",
            "http://t.example:99999999999/",
            "http://t ex/",
            "http://t.example/\r\nHost: x",
            "http://[::1/",
            "http://t_example/",
            "http://user@t.example/",
        ] {
            assert!(!is_tracker(bad), "{bad}");
        }
    }

    #[test]
    fn web_seeds_are_encoded_when_that_was_forgotten() {
        let table: &[(&str, &str)] = &[
            ("http://h/a b", "http://h/a%20b"),
            ("http://h/a%20b", "http://h/a%20b"),
            ("http://u:p@h:80/ü", "http://u:p@h:80/%c3%bc"),
            ("http://[::1]:8/a b", "http://[::1]:8/a%20b"),
            ("no url", "no url"),
        ];
        for (url, expected) in table {
            assert_eq!(encode_web_seed(url.as_bytes()), *expected);
        }
        assert_eq!(encode_web_seed(b"http://h/\xff"), "http://h/%ff");
    }

    #[test]
    fn escapes_are_lower_case_and_undone() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(escape(&all).as_bytes()), Some(all));
        assert_eq!(escape(b"a b:/-_"), "a%20b%3a%2f-_");
        assert_eq!(unescape(b"a+b%2B"), Some(b"a b+".to_vec()));
        for bad in [&b"%"[..], b"%1", b"%g0", b"%-1"] {
            assert_eq!(unescape(bad), None);
        }
    }
}
