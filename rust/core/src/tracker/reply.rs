//! What an HTTP tracker answers to an announce (BEP 3, 7, 23, 24, 31).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::{is_host, read_endpoint, read_ip};
use crate::bencode::{DecodeError, DecodeLimits, Dict, Document, Value, ValueKind};

/// Announce interval when the tracker names none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Shortest interval that is believed. Less would be an attack on the tracker.
const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// Longest interval that is accepted: an invalid number must not silence a
/// torrent for good.
const MAX_INTERVAL: Duration = Duration::from_secs(6 * 60 * 60);

/// "min interval" when the tracker names none.
const DEFAULT_MIN_INTERVAL: Duration = Duration::from_secs(30);

/// Wait after a refusal that names no time: the tracker works and means it.
const REFUSAL_WAIT: Duration = Duration::from_secs(5 * 60);

/// Most peers taken from one reply; no more are requested.
const MAX_PEERS: usize = 10_000;

/// Most peers of one reply that are named by a host name, and the longest name:
/// each takes a look-up.
const MAX_NAMES: usize = 32;
const MAX_NAME: usize = 255;

/// Most bytes of a message from the tracker that are shown.
pub(super) const MAX_TEXT: usize = 1000;

/// Longest tracker id that is kept: it becomes part of every URL.
const MAX_TRACKER_ID: usize = 512;

/// A flat dict and a list of dicts are all there is.
pub(super) const LIMITS: DecodeLimits = DecodeLimits {
    depth: 8,
    tokens: 500_000,
};

/// When a failed tracker may be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After the usual growing wait.
    Backoff,
    /// After the usual wait, but not before this time has passed.
    After(Duration),
    /// Not at all, unless it is requested.
    Never,
    /// Not from this endpoint: the tracker has no address that it reaches.
    NotFromHere,
}

/// An announce that failed, as it is reported to [`Announcer`](super::Announcer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerFailure {
    /// What went wrong.
    pub message: String,
    /// When to try again.
    pub retry: Retry,
}

/// Why a reply is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// It is not bencode.
    #[error("the tracker's reply is not bencode: {0}")]
    Decode(#[from] DecodeError),
    /// It is bencode but not a dict.
    #[error("the tracker's reply is not a dict")]
    NotADict,
    /// A scrape that does not name the torrent (BEP 48).
    #[error("the tracker's reply says nothing of the torrent")]
    NotInScrape,
    /// The tracker refuses ("failure reason", BEP 3).
    #[error("{reason}")]
    Refused {
        /// Its message.
        reason: String,
        /// When it may be asked again (BEP 31).
        retry: Retry,
    },
}

impl From<ReplyError> for TrackerFailure {
    fn from(error: ReplyError) -> Self {
        Self {
            message: error.to_string(),
            retry: match error {
                ReplyError::Refused { retry, .. } => retry,
                _ => Retry::Backoff,
            },
        }
    }
}

/// A tracker's answer to an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Time until the next regular announce, from a minute to six hours.
    pub interval: Duration,
    /// Time before which no announce is wanted, at most six hours.
    pub min_interval: Duration,
    /// To be sent back with every later announce.
    pub tracker_id: Option<Vec<u8>>,
    /// A message for the user, although the announce worked.
    pub warning: Option<String>,
    /// Seeds in the swarm.
    pub complete: Option<u32>,
    /// Downloaders in the swarm.
    pub incomplete: Option<u32>,
    /// How often the torrent was downloaded completely.
    pub downloaded: Option<u32>,
    /// Peers that could be connected to; at most 10 000.
    pub peers: Vec<SocketAddr>,
    /// Peers whose address has to be looked up: host name and port; at most 32.
    pub named_peers: Vec<(String, u16)>,
    /// Our address as the tracker sees it (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// The tracker's own address, which the driver fills in.
    pub tracker: Option<IpAddr>,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            interval: DEFAULT_INTERVAL,
            min_interval: DEFAULT_MIN_INTERVAL,
            tracker_id: None,
            warning: None,
            complete: None,
            incomplete: None,
            downloaded: None,
            peers: Vec::new(),
            named_peers: Vec::new(),
            external_ip: None,
            tracker: None,
        }
    }
}

impl Reply {
    /// Reads the body of a reply. Bytes after the dict are ignored, since some
    /// trackers end with a line break; so are fields that are not of their kind
    /// and entries for peers that name no usable address: what is good in a
    /// reply is used. A list of peers that is none becomes a warning, unless
    /// the tracker warns of something itself.
    pub fn parse(body: &[u8]) -> Result<Self, ReplyError> {
        let document = Document::parse_prefix(body, &LIMITS)?;
        let dict = document.root().as_dict().ok_or(ReplyError::NotADict)?;
        if let Some(reason) = dict.bytes("failure reason") {
            return Err(ReplyError::Refused {
                reason: text(reason),
                retry: retry(&dict),
            });
        }
        let mut found = ReplyPeers::default();
        if let Some(value) = dict.get("peers") {
            found.read::<6>("peers", value);
        }
        if let Some(value) = dict.get("peers6") {
            found.read::<18>("peers6", value);
        }
        let interval = dict
            .int("interval")
            .map_or(DEFAULT_INTERVAL, seconds)
            .max(MIN_INTERVAL);
        Ok(Self {
            interval,
            min_interval: dict
                .int("min interval")
                .map_or(DEFAULT_MIN_INTERVAL, seconds),
            tracker_id: dict
                .bytes("tracker id")
                .filter(|id| (1..=MAX_TRACKER_ID).contains(&id.len()))
                .map(<[u8]>::to_vec),
            warning: dict.bytes("warning message").map(text).or(found.complaint),
            complete: count(&dict, "complete"),
            incomplete: count(&dict, "incomplete"),
            downloaded: count(&dict, "downloaded"),
            peers: found.peers,
            named_peers: found.named,
            external_ip: dict
                .bytes("external ip")
                .and_then(read_ip)
                .map(|ip| ip.to_canonical()),
            tracker: None,
        })
    }
}

/// A number of seconds from the wire, between nothing and [`MAX_INTERVAL`].
pub(super) fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0)).min(MAX_INTERVAL)
}

pub(super) fn count(dict: &Dict<'_>, key: &str) -> Option<u32> {
    let value = u64::try_from(dict.int(key)?).ok()?;
    Some(u32::try_from(value).unwrap_or(u32::MAX))
}

/// BEP 31: "retry in" is a number of minutes or "never". Without it an
/// "interval" beside the reason counts.
fn retry(dict: &Dict<'_>) -> Retry {
    match dict.get("retry in") {
        Some(value) if value.as_bytes() == Some(b"never") => Retry::Never,
        Some(value) if value.kind() == ValueKind::Integer => {
            let minutes = value.as_int().unwrap_or(0);
            Retry::After(seconds(minutes.saturating_mul(60)).max(MIN_INTERVAL))
        }
        _ => Retry::After(
            dict.int("interval")
                .map_or(REFUSAL_WAIT, |interval| seconds(interval).max(REFUSAL_WAIT)),
        ),
    }
}

/// Text to show: valid, short, on one line.
pub(super) fn text(bytes: &[u8]) -> String {
    let shown = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    String::from_utf8_lossy(shown)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The peers of a reply.
#[derive(Default)]
struct ReplyPeers {
    peers: Vec<SocketAddr>,
    named: Vec<(String, u16)>,
    /// What is wrong with the lists.
    complaint: Option<String>,
}

impl ReplyPeers {
    /// Takes what is usable of a list: a string of entries of `ENTRY` bytes
    /// (BEP 23, 7), or dicts (BEP 3).
    fn read<const ENTRY: usize>(&mut self, key: &str, value: Value<'_>) {
        if let Some(bytes) = value.as_bytes() {
            read_compact::<ENTRY>(&mut self.peers, bytes);
            if bytes.len() % ENTRY != 0 {
                let len = bytes.len();
                self.complain(format!(
                    "'{key}' has {len} bytes, not a multiple of {ENTRY}"
                ));
            }
        } else if let Some(list) = value.as_list() {
            for entry in list.iter() {
                if let Some(dict) = entry.as_dict() {
                    self.read_dict(&dict);
                }
            }
        } else {
            self.complain(format!("'{key}' is not a list of peers"));
        }
    }

    fn complain(&mut self, complaint: String) {
        self.complaint.get_or_insert(complaint);
    }

    fn read_dict(&mut self, dict: &Dict<'_>) {
        let ip = dict.str("ip").map(str::trim);
        let port = dict.int("port").and_then(|port| u16::try_from(port).ok());
        if let (Some(ip), Some(port)) = (ip, port) {
            match ip.parse() {
                Ok(ip) => push(&mut self.peers, ip, port),
                Err(_) if port != 0 && self.named.len() < MAX_NAMES && is_host_name(ip) => {
                    self.named.push((ip.to_owned(), port));
                }
                Err(_) => {}
            }
        }
    }
}

/// Whether this can be a name of the internet's, which has a dot in it: names
/// without one are those of the local network.
fn is_host_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let labels = name.split('.');
    name.len() <= MAX_NAME
        && name.chars().all(allowed)
        && labels.clone().count() > 1
        && labels.clone().all(|label| (1..=63).contains(&label.len()))
        // Numbers in other forms are for the system's resolver addresses too.
        && name.rsplit('.').next().is_some_and(|top| top.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// A list of entries of `ENTRY` bytes: an address and a port. What is less than
/// an entry at its end is ignored.
pub(super) fn read_compact<const ENTRY: usize>(peers: &mut Vec<SocketAddr>, bytes: &[u8]) {
    let (entries, _) = bytes.as_chunks::<ENTRY>();
    for entry in entries {
        if let Some(endpoint) = read_endpoint(entry) {
            push(peers, endpoint.ip(), endpoint.port());
        }
    }
}

/// Takes a peer unless no peer can listen there. The unspecified address would
/// connect us to our own machine.
fn push(peers: &mut Vec<SocketAddr>, ip: IpAddr, port: u16) {
    let ip = ip.to_canonical();
    if port != 0 && is_host(ip) && peers.len() < MAX_PEERS {
        peers.push(SocketAddr::new(ip, port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::{DictItem, Item};
    use proptest::prelude::*;

    fn parse(dict: &DictItem) -> Result<Reply, ReplyError> {
        Reply::parse(&dict.encode())
    }

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_full_reply() {
        let mut dict = DictItem::new();
        dict.insert("interval", 1200i64)
            .insert("min interval", 90i64)
            .insert("tracker id", "x\u{0}y")
            .insert("warning message", "update\nyour client")
            .insert("complete", 5i64)
            .insert("incomplete", 0i64)
            .insert("downloaded", 1i64 << 40)
            .insert("peers", &b"\x0a\x00\x00\x01\x1a\xe1\x0a\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x50"[..])
            .insert("peers6", &b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x03\x00\x50"[..])
            .insert("external ip", &b"\xcb\x00\x71\x07"[..]);
        let mut body = dict.encode();
        body.extend_from_slice(b"\r\n");
        assert_eq!(
            Reply::parse(&body).unwrap(),
            Reply {
                interval: Duration::from_secs(1200),
                min_interval: Duration::from_secs(90),
                tracker_id: Some(b"x\0y".to_vec()),
                warning: Some("update your client".to_owned()),
                complete: Some(5),
                incomplete: Some(0),
                downloaded: Some(u32::MAX),
                peers: addresses(&["10.0.0.1:6881", "[2001:db8::1]:6881", "10.0.0.3:80"]),
                named_peers: Vec::new(),
                external_ip: Some("203.0.113.7".parse().unwrap()),
                tracker: None,
            }
        );
    }

    #[test]
    fn peers_as_dicts() {
        let peer = |ip: &str, port: i64| {
            let mut dict = DictItem::new();
            dict.insert("ip", ip).insert("port", port);
            Item::from(dict)
        };
        let mut dict = DictItem::new();
        dict.insert(
            "peers",
            Item::from_iter([
                peer("10.0.0.1", 6881),
                peer("::1", 1),
                peer("peer.example", 6881),
                peer("peer.example", 0),
                peer("localhost", 6881),
                peer("127.1", 6881),
                peer("0x7f.0.0.1", 6881),
                peer("a..example", 6881),
                peer("a b.example", 6881),
                peer(&"a.".repeat(200), 6881),
                peer("10.0.0.1", 0),
                peer("10.0.0.1", 65_536),
                peer("10.0.0.1", -1),
                peer("0.0.0.0", 80),
                peer("224.0.0.1", 80),
                peer("255.255.255.255", 80),
                Item::from("10.0.0.2"),
            ]),
        );
        let reply = parse(&dict).unwrap();
        assert_eq!(reply.peers, addresses(&["10.0.0.1:6881", "[::1]:1"]));
        assert_eq!(reply.named_peers, [("peer.example".to_owned(), 6881)]);

        let many = Item::from_iter((0..100).map(|_| peer("peer.example", 6881)));
        let mut dict = DictItem::new();
        dict.insert("peers", many);
        assert_eq!(parse(&dict).unwrap().named_peers.len(), MAX_NAMES);
    }

    #[test]
    fn an_empty_dict_is_a_reply_without_peers() {
        assert_eq!(Reply::parse(b"de").unwrap(), Reply::default());
    }

    #[test]
    fn broken_bodies_say_what_is_wrong() {
        let why = |body: &[u8]| Reply::parse(body).unwrap_err().to_string();
        assert_eq!(why(b"le"), "the tracker's reply is not a dict");
        assert!(why(b"<html>").starts_with("the tracker's reply is not bencode"));
        assert!(why(b"").starts_with("the tracker's reply is not bencode"));
        assert!(why(&b"l".repeat(1 << 20)).contains("nested too deep"));
    }

    #[test]
    fn a_bad_field_does_not_cost_the_good_ones() {
        let good = || {
            let mut dict = DictItem::new();
            dict.insert("interval", 1200i64)
                .insert("peers", &b"\x0a\0\0\x01\x1a\xe1"[..]);
            dict
        };
        let nested = || Item::from(DictItem::new());
        let values: [fn() -> Item; 4] = [
            || Item::from(-7i64),
            || Item::from("abcde"),
            || Item::from_iter([Item::from(1i64), Item::from("x")]),
            || Item::from(DictItem::new()),
        ];
        for key in [
            "peers6",
            "min interval",
            "tracker id",
            "warning message",
            "complete",
            "incomplete",
            "downloaded",
            "external ip",
            "retry in",
            "anything else",
        ] {
            for value in values {
                let mut dict = good();
                dict.insert(key, value());
                let reply = parse(&dict).unwrap();
                assert_eq!(reply.peers, addresses(&["10.0.0.1:6881"]), "{key}");
                assert_eq!(reply.interval.as_secs(), 1200, "{key}");
            }
        }
        // Bad peers leave the others and the interval.
        for value in values {
            let mut dict = DictItem::new();
            dict.insert("interval", 1200i64)
                .insert("peers", value())
                .insert(
                    "peers6",
                    &b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1"[..],
                );
            let reply = parse(&dict).unwrap();
            assert_eq!(reply.peers, addresses(&["[2001:db8::1]:6881"]));
            assert_eq!(reply.interval.as_secs(), 1200);
        }
        let mut dict = good();
        dict.insert("interval", nested());
        let reply = parse(&dict).unwrap();
        assert_eq!((reply.peers.len(), reply.interval), (1, DEFAULT_INTERVAL));
        // What is whole in a list counts, and everything else is named.
        let mut dict = DictItem::new();
        dict.insert("peers", &b"\x0a\0\0\x01\x1a\xe1\x0a\0"[..]);
        let reply = parse(&dict).unwrap();
        assert_eq!(reply.peers, addresses(&["10.0.0.1:6881"]));
        let warning = reply.warning.unwrap();
        assert_eq!(warning, "'peers' has 8 bytes, not a multiple of 6");
        let mut dict = good();
        dict.insert("peers6", nested());
        let warning = parse(&dict).unwrap().warning.unwrap();
        assert_eq!(warning, "'peers6' is not a list of peers");
    }

    #[test]
    fn intervals_stay_within_reason() {
        for (interval, expected) in [
            (0, 60),
            (-1, 60),
            (i64::MIN, 60),
            (59, 60),
            (61, 61),
            (1 << 40, 21_600),
            (i64::MAX, 21_600),
        ] {
            let mut dict = DictItem::new();
            dict.insert("interval", interval)
                .insert("min interval", interval);
            let reply = parse(&dict).unwrap();
            assert_eq!(reply.interval.as_secs(), expected, "{interval}");
            assert!(reply.min_interval <= MAX_INTERVAL);
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let refusal = |key: Option<(&'static str, Item)>| {
            let mut dict = DictItem::new();
            dict.insert("failure reason", "no such\ttorrent")
                .insert("peers", "bad");
            if let Some((key, value)) = key {
                dict.insert(key, value);
            }
            match parse(&dict).unwrap_err() {
                ReplyError::Refused { reason, retry } => {
                    assert_eq!(reason, "no such torrent");
                    retry
                }
                other => panic!("{other:?}"),
            }
        };
        let after = |seconds| Retry::After(Duration::from_secs(seconds));
        assert_eq!(refusal(None), after(300));
        assert_eq!(refusal(Some(("interval", 900i64.into()))), after(900));
        assert_eq!(refusal(Some(("interval", 1i64.into()))), after(300));
        assert_eq!(refusal(Some(("retry in", 5i64.into()))), after(300));
        assert_eq!(refusal(Some(("retry in", (-5i64).into()))), after(60));
        assert_eq!(refusal(Some(("retry in", i64::MAX.into()))), after(21_600));
        assert_eq!(refusal(Some(("retry in", "never".into()))), Retry::Never);
        assert_eq!(refusal(Some(("retry in", "soon".into()))), after(300));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut dict = DictItem::new();
        dict.insert("peers", b"\x0a\x00\x00\x01\x1a\xe1".repeat(MAX_PEERS + 1))
            .insert("warning message", "w".repeat(MAX_TEXT + 1))
            .insert("tracker id", "i".repeat(MAX_TRACKER_ID + 1))
            .insert("external ip", "five5")
            .insert("complete", -7i64);
        let reply = parse(&dict).unwrap();
        assert_eq!(reply.peers.len(), MAX_PEERS);
        assert_eq!(reply.warning.unwrap().len(), MAX_TEXT);
        assert_eq!(reply.tracker_id, None);
        assert_eq!(reply.external_ip, None);
        assert_eq!(reply.complete, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reply::parse(&body);
        }

        #[test]
        fn any_values_are_read_without_panic(
            values in prop::collection::vec((0usize..12, prop_oneof![
                any::<i64>().prop_map(Item::from),
                prop::collection::vec(any::<u8>(), 0..40).prop_map(Item::from),
                Just(Item::from_iter([Item::from(1i64), Item::from("x")])),
            ]), 0..12),
        ) {
            const KEYS: [&str; 12] = [
                "interval", "min interval", "tracker id", "warning message", "complete",
                "incomplete", "downloaded", "peers", "peers6", "external ip", "retry in",
                "failure reason",
            ];
            let mut dict = DictItem::new();
            for (key, value) in values {
                dict.insert(KEYS[key], value);
            }
            if let Ok(reply) = parse(&dict) {
                prop_assert!((MIN_INTERVAL..=MAX_INTERVAL).contains(&reply.interval));
                prop_assert!(reply.peers.iter().all(|peer| peer.port() != 0));
            }
        }
    }
}
