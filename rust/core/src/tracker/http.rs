//! The URLs of trackers: which can be used, and what is asked of them by HTTP
//! (BEP 3, 7, 23, 48).

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

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
    /// A protocol that this build does not support.
    #[error("{0} trackers are not supported")]
    Scheme(String),
    /// It names no machine, or no port where one is needed.
    #[error("the URL names no host")]
    NoHost,
    /// The tracker's URL has no counterpart to scrape (BEP 48).
    #[error("the tracker does not support scrape: its URL does not end with 'announce'")]
    NoScrape,
    /// A host name outside ASCII or an encoded one, which may pass for another.
    #[error("international host names are not used for trackers")]
    International,
    /// It contains a parameter that only we may set.
    #[error("the URL must not contain the parameter '{0}'")]
    Reserved(&'static str),
}

/// What a torrent reports of itself with every announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnounceStats {
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
    /// Encrypted connections (MSE) are taken.
    pub supports_encryption: bool,
    /// Payload bytes received twice or unasked; `None` keeps it to ourselves.
    pub redundant: Option<u64>,
    /// The address at which we want to be found; empty for the one that the
    /// tracker sees.
    pub ip: String,
    /// Other addresses at which we are found (BEP 7).
    pub ipv4: Vec<Ipv4Addr>,
    /// The same for IPv6.
    pub ipv6: Vec<Ipv6Addr>,
}

/// Where a tracker is, as its URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerHost {
    /// A name to look up, or an address.
    pub host: Host<String>,
    /// The port; 80 or 443 where the URL names none.
    pub port: u16,
    /// What follows the host, query included (BEP 41).
    pub path: String,
    /// It is asked by UDP (BEP 15), else by HTTP.
    pub udp: bool,
}

/// Whether announces can be sent to this URL. With `international`, host names
/// outside ASCII are used (`allow_idna`).
pub fn check_url(url: &str, international: bool) -> Result<(), UrlError> {
    tracker_host(url, international).map(drop)
}

/// The machine that a tracker's URL names.
pub fn tracker_host(url: &str, international: bool) -> Result<TrackerHost, UrlError> {
    if url.len() > MAX_URL {
        return Err(UrlError::TooLong(url.len()));
    }
    let parsed = Url::parse(url).map_err(UrlError::Invalid)?;
    let udp = match parsed.scheme() {
        "http" | "https" => false,
        "udp" => true,
        other => return Err(UrlError::Scheme(other.to_owned())),
    };
    let host = parsed.host_str().filter(|host| !host.is_empty());
    // The parser leaves the hosts of schemes that it does not know as they are.
    let host = Host::parse(host.ok_or(UrlError::NoHost)?).map_err(UrlError::Invalid)?;
    if let Host::Domain(name) = &host {
        // The parser has turned names outside ASCII into this form.
        if !international && name.split('.').any(|label| label.starts_with("xn--")) {
            return Err(UrlError::International);
        }
    }
    // By UDP they are no parameters of ours.
    for (name, _) in parsed.query_pairs().filter(|_| !udp) {
        if let Some(reserved) = OURS.iter().find(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(UrlError::Reserved(reserved));
        }
    }
    let port = parsed.port_or_known_default().unwrap_or(80);
    if port == 0 {
        return Err(UrlError::NoHost);
    }
    let mut path = parsed.path().to_owned();
    if let Some(query) = parsed.query() {
        path.push('?');
        path.push_str(query);
    }
    Ok(TrackerHost {
        host,
        port,
        path,
        udp,
    })
}

/// The URL at which the HTTP tracker `url` gives its numbers of a torrent
/// (BEP 48): the last `announce` of its path becomes `scrape`.
pub fn scrape_url(url: &str, info_hash: InfoHash) -> Result<String, UrlError> {
    let base = without_fragment(url);
    let (path, query) = base.split_once('?').unwrap_or((base, ""));
    let (folder, file) = path.rsplit_once('/').ok_or(UrlError::NoScrape)?;
    if !folder.contains("://") {
        return Err(UrlError::NoScrape);
    }
    let rest = file.strip_prefix("announce").ok_or(UrlError::NoScrape)?;
    let mut scrape = format!("{folder}/scrape{rest}?{query}");
    if !query.is_empty() && !query.ends_with('&') {
        scrape.push('&');
    }
    // Writing to a String cannot fail.
    let _ = write!(scrape, "info_hash={}", percent_encode(&info_hash.0, BINARY));
    Ok(scrape)
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(base, _)| base)
}

/// The URL to fetch for `request`: the tracker's own with our parameters after
/// those that it has (passkeys are often among them). The tracker's URL must
/// have passed [`check_url`].
pub fn announce_url(request: &AnnounceRequest, report: &AnnounceStats) -> String {
    let base = without_fragment(&request.url);
    let mut url = String::with_capacity(base.len() + 400);
    url.push_str(base);
    match base.split_once('?') {
        None => url.push('?'),
        Some((_, "")) => {}
        Some((_, query)) if query.ends_with('&') => {}
        Some(_) => url.push('&'),
    }
    let AnnounceStats {
        port,
        key,
        uploaded,
        downloaded,
        left,
        corrupt,
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
    let _ = write!(url, "&numwant={num_want}&compact=1&no_peer_id=1");
    if report.supports_encryption {
        url.push_str("&supportcrypto=1");
    }
    if let Some(redundant) = report.redundant {
        let _ = write!(url, "&redundant={redundant}");
    }
    if let Some(id) = &request.tracker_id {
        let _ = write!(url, "&trackerid={}", percent_encode(id, BINARY));
    }
    if !report.ip.is_empty() {
        let _ = write!(url, "&ip={}", percent_encode(report.ip.as_bytes(), BINARY));
    }
    for ip in &report.ipv4 {
        let _ = write!(url, "&ipv4={ip}");
    }
    for ip in &report.ipv6 {
        let ip = ip.to_string();
        let _ = write!(url, "&ipv6={}", percent_encode(ip.as_bytes(), BINARY));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::super::{AnnounceEvent, RequestId};
    use super::*;
    use proptest::prelude::*;

    fn request(url: &str) -> AnnounceRequest {
        AnnounceRequest {
            id: RequestId(1),
            url: url.to_owned(),
            event: AnnounceEvent::None,
            tracker_id: None,
            num_want: 200,
            local: "0.0.0.0:6881".parse().unwrap(),
        }
    }

    #[test]
    fn all_parameters_in_the_usual_order() {
        let report = AnnounceStats {
            info_hash: InfoHash(*b"\x00\x12 aZ9-._~!&=?#%\xff\xc3\xa4/"),
            peer_id: PeerId(*b"-GD0100-abcdefghijkl"),
            port: 6881,
            key: 0xbeef,
            uploaded: 1,
            downloaded: 2,
            left: 3,
            corrupt: 4,
            supports_encryption: true,
            redundant: Some(5),
            ip: "me.example".to_owned(),
            ipv4: vec!["203.0.113.7".parse().unwrap()],
            ipv6: vec!["2001:db8::1".parse().unwrap()],
        };
        let request = AnnounceRequest {
            event: AnnounceEvent::Started,
            tracker_id: Some(b"a b".to_vec()),
            ..request("http://t.example/announce")
        };
        assert_eq!(
            announce_url(&request, &report),
            "http://t.example/announce?info_hash=%00%12%20aZ9-._~%21%26%3D%3F%23%25%FF%C3%A4%2F\
             &peer_id=-GD0100-abcdefghijkl&port=6881&uploaded=1&downloaded=2&left=3&corrupt=4\
             &key=0000BEEF&event=started&numwant=200&compact=1&no_peer_id=1&supportcrypto=1\
             &redundant=5\
             &trackerid=a%20b&ip=me.example&ipv4=203.0.113.7&ipv6=2001%3Adb8%3A%3A1"
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
            let url = announce_url(&request(base), &AnnounceStats::default());
            assert!(url.starts_with(start), "{url}");
            for absent in ["event", "trackerid", "redundant", "ip="] {
                assert!(!url.contains(absent), "{url}");
            }
            assert!(Url::parse(&url).is_ok());
        }
    }

    #[test]
    fn unusable_urls_say_why() {
        let why = |url: &str| check_url(url, false).unwrap_err().to_string();
        assert_eq!(why("wss://t.example"), "wss trackers are not supported");
        assert_eq!(why("udp:///announce"), "the URL names no host");
        assert_eq!(why("udp://t.example:0/"), "the URL names no host");
        assert_eq!(why("http://t.example:0/"), "the URL names no host");
        assert_eq!(
            why("udp://tr\u{e4}cker.example:80"),
            "international host names are not used for trackers"
        );
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
        let v6 = "https://[::1]:6969/announce.php?k=1";
        assert_eq!(check_url(v6, false), Ok(()));
        assert_eq!(check_url("http://tr\u{e4}cker.example/", true), Ok(()));
    }

    #[test]
    fn where_a_tracker_is() {
        for (url, host, port, path, udp) in [
            (
                "udp://t.example:1337/announce?k=1",
                "t.example",
                1337,
                "/announce?k=1",
                true,
            ),
            ("udp://T.example", "t.example", 80, "", true),
            ("udp://10.0.0.1:1", "10.0.0.1", 1, "", true),
            ("udp://[::1]:1", "[::1]", 1, "", true),
            ("https://t.example/a", "t.example", 443, "/a", false),
            ("http://0x7f.1/a", "127.0.0.1", 80, "/a", false),
        ] {
            let found = tracker_host(url, false).unwrap();
            assert_eq!(found.host.to_string(), host, "{url}");
            assert_eq!((found.port, found.udp), (port, udp), "{url}");
            assert_eq!(found.path, path, "{url}");
        }
    }

    #[test]
    fn where_a_tracker_tells_its_numbers() {
        let hash = InfoHash(*b"aaaaaaaaaaaaaaaaaaa ");
        let query = "info_hash=aaaaaaaaaaaaaaaaaaa%20";
        for (announce, scrape) in [
            ("http://t/announce", "http://t/scrape?"),
            (
                "http://t/x/announce.php?k=1#f",
                "http://t/x/scrape.php?k=1&",
            ),
            ("http://t/announce?x=2/3&", "http://t/scrape?x=2/3&"),
            ("http://t/announce/announce", "http://t/announce/scrape?"),
        ] {
            let expected = format!("{scrape}{query}");
            assert_eq!(scrape_url(announce, hash), Ok(expected), "{announce}");
        }
        for other in [
            "http://announce",
            "http://t/a",
            "http://t/announce/x",
            "http://t/x?announce",
        ] {
            assert_eq!(scrape_url(other, hash), Err(UrlError::NoScrape), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_makes_a_url(url in "(http://|HTTPS://)?\\PC{0,40}", id in any::<[u8; 20]>()) {
            let report = AnnounceStats { info_hash: InfoHash(id), ..AnnounceStats::default() };
            if check_url(&url, false).is_ok() {
                let made = announce_url(&request(&url), &report);
                let parsed = Url::parse(&made).unwrap();
                let (_, query) = made.split_once("info_hash=").unwrap();
                let hash = percent_encoding::percent_decode_str(query.split_once('&').unwrap().0);
                prop_assert_eq!(hash.collect::<Vec<u8>>(), id);
                prop_assert_eq!(parsed.fragment(), None);
            }
        }
    }
}
