//! Magnet links (BEP 9; BEP 53 for the selection of files).
//!
//! Reads what libtorrent reads and writes what it writes. The display name is
//! for display: files are named by the info dict that peers send, which passes
//! through `metainfo`.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::{BASE32_NOPAD, HEXLOWER_PERMISSIVE};

use crate::ids::{FileIndex, InfoHash, InfoHashV2, InfoHashes};
use crate::metainfo::{Info, MAX_LISTED, Metainfo, web_seeds};
use crate::{text, uri};

/// A magnet link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MagnetUri {
    /// Hash of a version 1 torrent, `xt=urn:btih:`, that of a version 2 torrent
    /// (SHA-256), `xt=urn:btmh:1220`, or both.
    pub hashes: InfoHashes,
    /// A name to show until the torrent's own is known, `dn`. May be empty.
    pub name: String,
    /// Trackers, `tr`, each a tier of its own.
    pub trackers: Vec<String>,
    /// Web seeds, `ws`.
    pub url_seeds: Vec<String>,
    /// Peers, `x.pe`.
    pub peers: Vec<SocketAddr>,
    /// DHT nodes, host and port, `dht`.
    pub dht_nodes: Vec<(String, u16)>,
    /// The only files to download, `so`; `None` for all.
    pub select_only: Option<BTreeSet<FileIndex>>,
}

/// Why a text is no magnet link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MagnetError {
    /// It does not begin with `magnet:?`.
    #[error("not a magnet link")]
    NotMagnet,
    /// An `xt` is not percent-encoded rightly.
    #[error("malformed percent-encoding in the topic of the magnet link")]
    InvalidEscape,
    /// An `xt` names a hash that is none.
    #[error("invalid info hash in the magnet link")]
    InvalidInfoHash,
    /// There is no hash of a kind that is known.
    #[error("the magnet link has no info hash")]
    MissingInfoHash,
}

/// The highest file number that `so` may name.
const MAX_FILE_INDEX: u32 = 10_000;

impl MagnetUri {
    /// A link that says no more than this.
    pub fn of_hashes(hashes: impl Into<InfoHashes>) -> Self {
        Self {
            hashes: hashes.into(),
            name: String::new(),
            trackers: Vec::new(),
            url_seeds: Vec::new(),
            peers: Vec::new(),
            dht_nodes: Vec::new(),
            select_only: None,
        }
    }

    /// Reads a link, in any case and with blanks and line breaks around it, as
    /// it comes out of mails and clipboards. Parameters that make no sense are
    /// ignored, save for the hashes.
    pub fn parse(text: &str) -> Result<Self, MagnetError> {
        let query = strip_scheme(text).ok_or(MagnetError::NotMagnet)?;
        let mut magnet = Self::of_hashes(topics(query)?);
        let mut selection = None;
        for (key, value) in parameters(query) {
            if key.eq_ignore_ascii_case("so") {
                Selection::take(&mut selection, value);
            } else {
                magnet.take(key, value);
            }
        }
        magnet.select_only = selection.map(Selection::finish);
        Ok(magnet)
    }

    fn take(&mut self, key: &str, value: &str) {
        let plain = || String::from_utf8(uri::unescape(value.as_bytes())?).ok();
        match key.to_ascii_lowercase().as_str() {
            "dn" => {
                // Up to where the encoding makes no sense.
                let (name, _) = uri::unescape_prefix(value.as_bytes());
                self.name = text::repair(&name);
            }
            "tr" => {
                let tracker = plain().filter(|url| uri::is_tracker(url));
                add(&mut self.trackers, tracker);
            }
            "ws" => add(&mut self.url_seeds, plain()),
            "x.pe" => add(&mut self.peers, plain().and_then(|it| parse_peer(&it))),
            "dht" => add(&mut self.dht_nodes, plain().and_then(|it| parse_node(&it))),
            _ => {}
        }
    }
}

/// The hashes that the `xt` of a link name.
fn topics(query: &str) -> Result<InfoHashes, MagnetError> {
    let (mut v1, mut v2) = (None, None);
    for (_, value) in parameters(query).filter(|(key, _)| key.eq_ignore_ascii_case("xt")) {
        let topic = uri::unescape(value.as_bytes()).ok_or(MagnetError::InvalidEscape)?;
        // URNs are the same in any case (RFC 8141).
        let Some((urn, hash)) = topic.trim_ascii().split_at_checked(b"urn:btih:".len()) else {
            continue;
        };
        if urn.eq_ignore_ascii_case(b"urn:btih:") {
            v1 = Some(parse_v1(hash).ok_or(MagnetError::InvalidInfoHash)?);
        } else if urn.eq_ignore_ascii_case(b"urn:btmh:") {
            v2 = Some(parse_v2(hash).ok_or(MagnetError::InvalidInfoHash)?);
        }
    }
    InfoHashes::new(v1, v2).ok_or(MagnetError::MissingInfoHash)
}

/// The parameters of a link, each by its name without a number.
fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = query;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (key, after) = split(rest, '=');
        let (value, after) = split(after, '&');
        rest = after;
        Some((strip_number(key), value))
    })
}

/// What follows the scheme of a link.
fn strip_scheme(text: &str) -> Option<&str> {
    const SCHEME: &str = "magnet:?";
    let (scheme, rest) = text.trim().split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// The files that the `so` of a link select, together.
struct Selection {
    /// How many more ranges begin than end at each number: ranges overlap, and
    /// parameters repeat, at no cost.
    begins: Vec<i64>,
}

impl Selection {
    /// `1,3-5`; what is malformed in it selects nothing.
    fn take(selection: &mut Option<Self>, value: &str) {
        if !value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"-,".contains(&byte))
        {
            return;
        }
        let begins = &mut selection
            .get_or_insert_with(|| Self {
                begins: vec![0; MAX_FILE_INDEX as usize + 2],
            })
            .begins;
        for range in value.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let last = split(last, '-').0;
            if let (Some(first), Some(last)) = (file_number(first), file_number(last))
                && first <= last
            {
                begins[first] += 1;
                begins[last + 1] -= 1;
            }
        }
    }

    fn finish(self) -> BTreeSet<FileIndex> {
        let mut open = 0;
        let numbers = (0..).zip(self.begins);
        let selected = numbers.filter_map(|(index, change)| {
            open += change;
            (open > 0).then_some(FileIndex(index))
        });
        selected.collect()
    }
}

/// Adds what was understood, as long as there is room.
fn add<T>(list: &mut Vec<T>, item: Option<T>) {
    if list.len() < MAX_LISTED {
        list.extend(item);
    }
}

/// Everything before the first `at`, and everything after it.
fn split(text: &str, at: char) -> (&str, &str) {
    text.split_once(at).unwrap_or((text, ""))
}

/// `tr.1` is another `tr`.
fn strip_number(key: &str) -> &str {
    match key.split_once('.') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => key,
    }
}

/// 40 hexadecimal digits, or 32 of base 32.
fn parse_v1(hash: &[u8]) -> Option<InfoHash> {
    let bytes = match hash.len() {
        40 => HEXLOWER_PERMISSIVE.decode(hash).ok()?,
        32 => {
            // Some read an I as a 1.
            let upper = hash.iter().map(|&byte| match byte {
                b'1' => b'I',
                _ => byte.to_ascii_uppercase(),
            });
            BASE32_NOPAD.decode(&upper.collect::<Vec<u8>>()).ok()?
        }
        _ => return None,
    };
    Some(InfoHash(bytes.try_into().ok()?))
}

/// A multihash in hexadecimal: SHA-256 (0x12), 32 bytes (0x20).
fn parse_v2(hash: &[u8]) -> Option<InfoHashV2> {
    let digits = hash.strip_prefix(b"1220")?;
    let bytes = HEXLOWER_PERMISSIVE.decode(digits).ok()?;
    Some(InfoHashV2(bytes.try_into().ok()?))
}

fn parse_peer(text: &str) -> Option<SocketAddr> {
    let peer: SocketAddr = text.trim().parse().ok()?;
    (peer.port() != 0).then_some(peer)
}

fn parse_node(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|&port| port != 0)?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn file_number(digits: &str) -> Option<usize> {
    let number: u32 = digits.parse().ok()?;
    (number <= MAX_FILE_INDEX).then_some(number as usize)
}

impl fmt::Display for MagnetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("magnet:?")?;
        let mut first = true;
        let mut write = |key: &str, value: &str| {
            let separator = if std::mem::take(&mut first) { "" } else { "&" };
            write!(f, "{separator}{key}={value}")
        };
        if let Some(hash) = self.hashes.v1() {
            write("xt", &format!("urn:btih:{hash}"))?;
        }
        if let Some(hash) = self.hashes.v2() {
            write("xt", &format!("urn:btmh:1220{hash}"))?;
        }
        if !self.name.is_empty() {
            write("dn", &uri::escape(self.name.as_bytes()))?;
        }
        for url in &self.trackers {
            write("tr", &uri::escape(url.as_bytes()))?;
        }
        for url in &self.url_seeds {
            write("ws", &uri::escape(url.as_bytes()))?;
        }
        for (host, port) in &self.dht_nodes {
            write("dht", &format!("{}:{port}", uri::escape(host.as_bytes())))?;
        }
        for peer in &self.peers {
            write("x.pe", &peer.to_string())?;
        }
        if let Some(selected) = &self.select_only {
            write("so", &ranges(selected))?;
        }
        Ok(())
    }
}

/// `1,3-5`.
fn ranges(selected: &BTreeSet<FileIndex>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &FileIndex(index) in selected {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(index) => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    let texts = ranges.iter().map(|&(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

impl MagnetUri {
    /// The torrent file that `info`, fetched by means of this link, makes:
    /// with the link's trackers, web seeds and nodes.
    pub fn with_info(&self, info: Arc<Info>) -> Metainfo {
        Metainfo {
            tiers: self.tiers(),
            url_seeds: web_seeds(
                self.url_seeds.iter().map(String::as_bytes),
                info.is_multi_file(),
            ),
            nodes: self.dht_nodes.clone(),
            ..Metainfo::new(info)
        }
    }

    /// The trackers, each a tier of its own.
    pub fn tiers(&self) -> Vec<Vec<String>> {
        self.trackers.iter().map(|url| vec![url.clone()]).collect()
    }

    /// The priorities of `files` files that `so` stands for: 4 for the chosen
    /// ones, or for all where there is no choice, and 0 for the others.
    pub fn file_priorities(&self, files: usize) -> Vec<u8> {
        let Some(chosen) = &self.select_only else {
            return vec![4; files];
        };
        let files = (0..files as u32).map(FileIndex);
        files
            .map(|file| if chosen.contains(&file) { 4 } else { 0 })
            .collect()
    }
}

impl Metainfo {
    /// A magnet link to this torrent, with its trackers, web seeds and nodes.
    pub fn magnet(&self) -> MagnetUri {
        MagnetUri {
            name: self.info.name.clone(),
            trackers: self.tiers.iter().flatten().cloned().collect(),
            url_seeds: self.url_seeds.clone(),
            dht_nodes: self.nodes.clone(),
            ..MagnetUri::of_hashes(self.info.hashes)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "0123456789abcdef0123456789ABCDEF01234567";
    const V2: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn parse(query: &str) -> MagnetUri {
        MagnetUri::parse(&format!("magnet:?xt=urn:btih:{HEX}&{query}")).unwrap()
    }

    #[test]
    fn hashes_are_read_in_every_spelling() {
        let hash = InfoHash::from_hex(HEX).unwrap();
        let v1 = InfoHashes::V1(hash);
        assert_eq!(parse("").hashes, v1);
        let base32 = BASE32_NOPAD.encode(&hash.0);
        for spelling in [
            base32.clone(),
            base32.to_lowercase(),
            base32.replace('I', "1"),
        ] {
            let magnet = MagnetUri::parse(&format!("magnet:?xt=urn:btih:{spelling}"));
            assert_eq!(magnet.unwrap().hashes, v1, "{spelling}");
        }
        let both = format!("magnet:?xt.1=urn:btih:{HEX}&XT.2=urn%3Abtmh%3A1220{V2}");
        let both = MagnetUri::parse(&both).unwrap();
        let v2 = InfoHashV2::from_hex(V2).unwrap();
        assert_eq!(both.hashes, InfoHashes::Hybrid(hash, v2));
    }

    #[test]
    fn links_are_read_in_any_case_and_with_blanks_around_them() {
        let expected = parse("dn=A b");
        for link in [
            format!("MAGNET:?XT=URN:BTIH:{HEX}&DN=A b"),
            format!("Magnet:?xt=urn:BTIH:{}&dn=A b", HEX.to_uppercase()),
            format!("  \r\n\tmagnet:?xt=urn:btih:{HEX}&dn=A b\n\n "),
            format!("\u{a0}magnet:?xt=%20urn%3abtih%3a{HEX}%0a&dn=A b\u{3000}"),
        ] {
            assert_eq!(MagnetUri::parse(&link).as_ref(), Ok(&expected), "{link}");
        }
        let v2 = format!("magnet:?xt=urn:BTMH:1220{}\n", V2.to_uppercase());
        assert!(MagnetUri::parse(&v2).unwrap().hashes.v2().is_some());
    }

    #[test]
    fn broken_links_are_refused() {
        use MagnetError::*;
        let zeros = "0".repeat(39);
        let table = [
            ("", NotMagnet),
            ("http://x/", NotMagnet),
            ("MAGNET:?xt=urn:btih:", InvalidInfoHash),
            ("magnet :?xt=urn:btih:", NotMagnet),
            ("magnét:?xt=urn:btih:", NotMagnet),
            ("magnet:", NotMagnet),
            ("magnet:?", MissingInfoHash),
            ("magnet:?dn=x", MissingInfoHash),
            (
                "magnet:?xt=urn:sha1:YNCKHTQCWBTRNJIV4WNAE52SJUQCZO5C",
                MissingInfoHash,
            ),
            ("magnet:?xt=urn:btih:", InvalidInfoHash),
            ("magnet:?xt=urn:btih:%zz", InvalidEscape),
            (&format!("magnet:?xt=urn:btih:{zeros}"), InvalidInfoHash),
            (&format!("magnet:?xt=urn:btih:{zeros}g"), InvalidInfoHash),
            (
                &format!("magnet:?xt=urn:btih:{}", "8".repeat(32)),
                InvalidInfoHash,
            ),
            (&format!("magnet:?xt=urn:btmh:1220{HEX}"), InvalidInfoHash),
            (&format!("magnet:?xt=urn:btmh:1320{V2}"), InvalidInfoHash),
            (
                &format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:1"),
                InvalidInfoHash,
            ),
        ];
        for (text, expected) in table {
            assert_eq!(MagnetUri::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn parameters_are_read_and_nonsense_is_dropped() {
        let magnet = parse(
            "dn=x&dn=a+b%2f..%ff%4&tr=udp%3a%2f%2ft.example%3a1&TR.2=http://u.example/a&tr=ftp://x&tr=%\
             &ws=http%3a%2f%2fw%2f&x.pe=127.0.0.1:80&x.pe=[::1]:81&x.pe=host:1&x.pe=1.2.3.4:0\
             &dht=router.example:6881&dht=x:0&dht=:1&dht=x&unknown=1&kt=x",
        );
        assert_eq!(magnet.name, "a b/.._");
        assert_eq!(magnet.trackers, ["udp://t.example:1", "http://u.example/a"]);
        assert_eq!(magnet.url_seeds, ["http://w/"]);
        assert_eq!(
            magnet.peers,
            ["127.0.0.1:80".parse().unwrap(), "[::1]:81".parse().unwrap()]
        );
        assert_eq!(magnet.dht_nodes, [("router.example".to_owned(), 6881)]);
        assert_eq!(magnet.select_only, None);
    }

    #[test]
    fn files_are_selected_by_number_and_range() {
        let selected = |so: &str| -> Option<Vec<u32>> {
            let selected = parse(&format!("so={so}")).select_only?;
            Some(selected.into_iter().map(|file| file.0).collect())
        };
        assert_eq!(selected("4,0-2,1,9-9"), Some(vec![0, 1, 2, 4, 9]));
        assert_eq!(selected("3-1,-4,5-,,10001,0-10001"), Some(vec![]));
        assert_eq!(selected("99999999999999"), Some(vec![]));
        assert_eq!(selected("1,x"), None);
        assert_eq!(selected("0-10000").map(|files| files.len()), Some(10_001));
        assert_eq!(selected("1-3-x"), None);
        assert_eq!(selected("2&so=0&SO.7=5-6"), Some(vec![0, 2, 5, 6]));
        // Hostile ones cost no more than their length.
        assert!(selected(&"0-10000,".repeat(50_000)).is_some());
        assert!(selected(&"&so=".repeat(100_000)).is_some());
    }

    #[test]
    fn links_are_written_in_the_usual_form() {
        let text = format!(
            "magnet:?xt=urn:btih:{}&xt=urn:btmh:1220{V2}&dn=a%20b&tr=udp%3a%2f%2ft%3a1&ws=http%3a%2f%2fw%2f\
             &dht=h:6881&x.pe=127.0.0.1:80&x.pe=[::1]:81&so=0,2-4",
            HEX.to_lowercase()
        );
        assert_eq!(MagnetUri::parse(&text).unwrap().to_string(), text);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(magnet:\\?)?([a-z.%&=:0-9,-]|xt=urn:btih:|\\PC){0,60}") {
            let _ = MagnetUri::parse(&text);
        }

        #[test]
        fn what_is_written_reads_back(
            hash: Option<[u8; 20]>,
            v2: Option<[u8; 32]>,
            name in "\\PC*",
            peers in prop::collection::vec(any::<SocketAddr>(), 0..3),
            selected in prop::option::of(prop::collection::btree_set(0..=MAX_FILE_INDEX, 0..20)),
        ) {
            let v2 = v2.map(InfoHashV2);
            let hashes = InfoHashes::new(hash.map(InfoHash).or(v2.is_none().then_some(InfoHash([1; 20]))), v2);
            let hashes = hashes.unwrap();
            let magnet = MagnetUri {
                name,
                peers: peers.into_iter().map(|peer| SocketAddr::new(peer.ip(), peer.port().max(1))).collect(),
                select_only: selected.map(|files| files.into_iter().map(FileIndex).collect()),
                ..MagnetUri::of_hashes(hashes)
            };
            prop_assert_eq!(MagnetUri::parse(&magnet.to_string()), Ok(magnet));
        }
    }
}
