//! What the journals of a torrent have in common
//! ([`move_journal`](crate::move_journal), [`removal_journal`](crate::removal_journal)):
//! their form and version, and the torrent that they are about.

use crate::bencode::{DecodeLimits, DictItem, Document};
use crate::ids::InfoHash;

/// Bytes that a journal may have: names of as many files as a torrent can have.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Bencoded values: three at most for each file.
const MAX_TOKENS: usize = 10_000_000;

/// The version that is read and written.
const VERSION: i64 = 1;

/// Begins a journal that calls itself `format`.
pub(crate) fn begin(format: &str, info_hash: InfoHash) -> DictItem {
    let mut root = DictItem::new();
    root.insert("format", format)
        .insert("version", VERSION)
        .insert("info-hash", info_hash.0);
    root
}

/// Reads untrusted bytes, whose root is a dict then. `None` for what is no journal
/// of this form and version.
pub(crate) fn read<'a>(format: &str, data: &'a [u8]) -> Option<(Document<'a>, InfoHash)> {
    if data.len() > MAX_BYTES {
        return None;
    }
    let limits = DecodeLimits {
        tokens: MAX_TOKENS,
        ..DecodeLimits::default()
    };
    let document = Document::parse_with(data, &limits).ok()?;
    let root = document.root().as_dict()?;
    let is_known =
        root.bytes("format") == Some(format.as_bytes()) && root.int("version") == Some(VERSION);
    let hash = root.bytes("info-hash")?.try_into().ok()?;
    is_known.then_some((document, InfoHash(hash)))
}
