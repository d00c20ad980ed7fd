//! The announce URL (BEP 3, 23).

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use url::{Host, Url};

use super::AnnounceRequest;
use crate::ids::{InfoHash, PeerId};

/// What stays as it is in a query value (RFC 3986, "unreserved").
const BINARY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Longest announce URL that is used, in bytes; many servers refuse more.
const MAX_URL: usize = 4096;

/// Parameters that only we may set. A URL that brings its own is made to pass
/// for the announce of another torrent or client.
const OURS: [&str; 9] = [
    "info_hash",
    "peer_id",
    "port",
    "uploaded",
    "downloaded",
    "left",
    "corrupt",
    "key",
    "event",
];

/// Why a tracker's URL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It cannot be read.
    #[error("not a valid URL: {0}")]
    Invalid(url::ParseError),
    /// It is unreasonably long.
    #[error("a URL of {0} bytes, more than {MAX_URL}")]
    TooLong(usize),
    /// A protocol that this build does not speak.
    #[error("{0} trackers are not supported")]
    Scheme(String),
    /// A host name outside ASCII or an encoded one, which may pass for another.
    #[error("international host names are not used for trackers")]
    International,
    /// It contains a parameter that only we may set.
    #[error("the URL must not contain the parameter '{0}'")]
    Reserved(&'static str),
}

/// What a torrent reports of itself with every announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The torrent's hash.
    pub info_hash: InfoHash,
    /// Our peer id in this torrent.
    pub peer_id: PeerId,
    /// The port we listen on.
    pub port: u16,
    /// Random, the same for all announces of a session: by it a tracker knows
    /// us again when our address changes (BEP 7).
    pub key: u32,
    /// Payload bytes sent since the `started` announce.
    pub uploaded: u64,
    /// Payload bytes received since the `started` announce.
    pub downloaded: u64,
    /// Bytes that are missing for a complete copy.
    pub left: u64,
    /// Payload bytes received that failed their hash.
    pub corrupt: u64,
    /// Payload bytes received twice or unasked.
    pub redundant: u64,
}

/// Whether announces can be sent to this URL.
pub fn check_url(url: &str) -> Result<(), UrlError> {
    if url.len() > MAX_URL {
        return Err(UrlError::TooLong(url.len()));
    }
    let parsed = Url::parse(url).map_err(UrlError::Invalid)?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(UrlError::Scheme(parsed.scheme().to_owned()));
    }
    if let Some(Host::Domain(name)) = parsed.host() {
        // The parser has turned names outside ASCII into this form.
        if name.split('.').any(|label| label.starts_with("xn--")) {
            return Err(UrlError::International);
        }
    }
    for (name, _) in parsed.query_pairs() {
        if let Some(reserved) = OURS.iter().find(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(UrlError::Reserved(reserved));
        }
    }
    Ok(())
}

/// The URL to fetch for `request`: the tracker's own with our parameters after
/// those that it has (passkeys are often among them).
pub fn announce_url(request: &AnnounceRequest, report: &Report) -> Result<String, UrlError> {
    check_url(&request.url)?;
    let base = match request.url.split_once('#') {
        Some((base, _)) => base,
        None => &request.url,
    };
    let mut url = String::with_capacity(base.len() + 400);
    url.push_str(base);
    match base.split_once('?') {
        None => url.push('?'),
        Some((_, "")) => {}
        Some((_, query)) if query.ends_with('&') => {}
        Some(_) => url.push('&'),
    }
    let Report {
        port,
        key,
        uploaded,
        downloaded,
        left,
        corrupt,
        redundant,
        ..
    } = report;
    let info_hash = percent_encode(&report.info_hash.0, BINARY);
    let peer_id = percent_encode(&report.peer_id.0, BINARY);
    let num_want = request.num_want;
    // Writing to a String cannot fail.
    let _ = write!(
        url,
        "info_hash={info_hash}&peer_id={peer_id}&port={port}&uploaded={uploaded}\
         &downloaded={downloaded}&left={left}&corrupt={corrupt}&key={key:08X}"
    );
    if !request.event.name().is_empty() {
        let _ = write!(url, "&event={}", request.event.name());
    }
    let _ = write!(
        url,
        "&numwant={num_want}&compact=1&no_peer_id=1&redundant={redundant}"
    );
    if let Some(id) = &request.tracker_id {
        let _ = write!(url, "&trackerid={}", percent_encode(id, BINARY));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::super::{Event, RequestId};
    use super::*;
    use proptest::prelude::*;

    fn request(url: &str) -> AnnounceRequest {
        AnnounceRequest {
            id: RequestId(1),
            url: url.to_owned(),
            event: Event::None,
            tracker_id: None,
            num_want: 200,
        }
    }

    #[test]
    fn all_parameters_in_the_usual_order() {
        let report = Report {
            info_hash: InfoHash(*b"\x00\x12 aZ9-._~!&=?#%\xff\xc3\xa4/"),
            peer_id: PeerId(*b"-GD0100-abcdefghijkl"),
            port: 6881,
            key: 0xbeef,
            uploaded: 1,
            downloaded: 2,
            left: 3,
            corrupt: 4,
            redundant: 5,
        };
        let request = AnnounceRequest {
            event: Event::Started,
            tracker_id: Some(b"a b".to_vec()),
            ..request("http://t.example/announce")
        };
        assert_eq!(
            announce_url(&request, &report).unwrap(),
            "http://t.example/announce?info_hash=%00%12%20aZ9-._~%21%26%3D%3F%23%25%FF%C3%A4%2F\
             &peer_id=-GD0100-abcdefghijkl&port=6881&uploaded=1&downloaded=2&left=3&corrupt=4\
             &key=0000BEEF&event=started&numwant=200&compact=1&no_peer_id=1&redundant=5\
             &trackerid=a%20b"
        );
    }

    #[test]
    fn the_trackers_own_query_is_kept() {
        for (base, start) in [
            ("http://t/a", "http://t/a?info_hash="),
            ("http://t/a?", "http://t/a?info_hash="),
            ("http://t/a?pk=%20x", "http://t/a?pk=%20x&info_hash="),
            ("http://t/a?pk=1&", "http://t/a?pk=1&info_hash="),
            ("http://t/a#top", "http://t/a?info_hash="),
            ("http://t", "http://t?info_hash="),
        ] {
            let url = announce_url(&request(base), &Report::default()).unwrap();
            assert!(url.starts_with(start), "{url}");
            assert!(!url.contains("event") && !url.contains("trackerid"));
            assert!(Url::parse(&url).is_ok());
        }
    }

    #[test]
    fn unusable_urls_say_why() {
        let why = |url: &str| check_url(url).unwrap_err().to_string();
        assert_eq!(why("udp://t.example:80"), "udp trackers are not supported");
        assert_eq!(why("file:///etc/passwd"), "file trackers are not supported");
        assert!(why("announce").starts_with("not a valid URL"));
        assert!(why("http://").starts_with("not a valid URL"));
        assert!(why("http://t:99999/").starts_with("not a valid URL"));
        assert_eq!(
            why("http://t/announce?a=1&Info%5Fhash=x"),
            "the URL must not contain the parameter 'info_hash'"
        );
        assert_eq!(
            why("http://trаcker.example/"),
            "international host names are not used for trackers"
        );
        assert_eq!(
            why("http://a.xn--trcker-3nf.example/"),
            "international host names are not used for trackers"
        );
        let long = format!("http://t/{}", "a".repeat(MAX_URL));
        assert_eq!(why(&long), "a URL of 4105 bytes, more than 4096");
        assert_eq!(check_url("https://[::1]:6969/announce.php?k=1"), Ok(()));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_makes_a_url(url in "(http://|HTTPS://)?\\PC{0,40}", id in any::<[u8; 20]>()) {
            let report = Report { info_hash: InfoHash(id), ..Report::default() };
            if let Ok(made) = announce_url(&request(&url), &report) {
                let parsed = Url::parse(&made).unwrap();
                let (_, query) = made.split_once("info_hash=").unwrap();
                let hash = percent_encoding::percent_decode_str(query.split_once('&').unwrap().0);
                prop_assert_eq!(hash.collect::<Vec<u8>>(), id);
                prop_assert_eq!(parsed.fragment(), None);
            }
        }
    }
}
