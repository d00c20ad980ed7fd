//! Bencode (BEP 3): reading untrusted bytes, writing canonical ones.
//!
//! [`Document::parse`] turns a byte slice into a flat tape of tokens in one
//! pass, without recursion and without copying a string; [`Value`], [`Dict`]
//! and [`List`] are cursors over it. Reading tolerates what old .torrent files
//! do (unsorted and repeated keys, leading zeros) because the swarm knows such
//! files by the hash of their bytes; [`Value::check_canonical`] is for those
//! who must not tolerate it (BEP 52). [`Item`] writes, always with sorted keys.
//!
//! Callers: `metainfo`, `create`, extension messages, trackers, DHT, resume
//! data. Where bytes follow the value (BEP 9 appends a block of metadata to
//! the dict), [`Document::parse_prefix`] says where they begin.

mod decode;
mod encode;
mod value;

pub use decode::{DecodeError, DecodeErrorKind, DecodeLimits, Document};
pub use encode::{DictItem, Item};
pub use value::{Dict, List, Value, ValueKind};
