//! Torrents good and bad, as whole files.

use super::*;
use crate::ids::{FileIndex, PieceIndex};

/// `d`, the pairs as they are, `e`.
fn dict(pairs: &[(&str, &str)]) -> String {
    let pairs: String = pairs
        .iter()
        .map(|(key, value)| format!("{}:{key}{value}", key.len()))
        .collect();
    format!("d{pairs}e")
}

fn string(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// A single-file torrent, its info dict changed by `changes`: a key with an
/// empty value is left out.
fn single(changes: &[(&str, &str)]) -> String {
    let pieces = string(&"h".repeat(60));
    let mut pairs = vec![
        ("length", "i40000e"),
        ("name", "4:file"),
        ("piece length", "i16384e"),
        ("pieces", pieces.as_str()),
    ];
    pairs.retain(|(key, _)| changes.iter().all(|(changed, _)| changed != key));
    pairs.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    pairs.sort();
    dict(&[("info", &dict(&pairs))])
}

fn parse(data: impl AsRef<[u8]>) -> Result<Metainfo, MetainfoError> {
    let limits = Limits {
        paths: PathPolicy::Posix,
        ..Limits::default()
    };
    Metainfo::parse_with(data.as_ref(), &limits)
}

#[test]
fn a_single_file_torrent_is_read() {
    let metainfo = parse(single(&[])).unwrap();
    let info = &metainfo.info;
    assert_eq!((info.name.as_str(), info.is_multi_file()), ("file", false));
    assert_eq!(info.layout.num_pieces(), 3);
    assert_eq!(info.layout.file_pieces(FileIndex(0)), 0..3);
    assert_eq!(info.piece_hash(PieceIndex(2)), Some([b'h'; 20]));
    assert_eq!(info.piece_hash(PieceIndex(3)), None);
    assert_eq!(info.piece_hash(PieceIndex(u32::MAX)), None);
    let alone = Info::parse(&info.raw, &Limits::metadata()).unwrap();
    assert_eq!(alone, *info);
    assert_eq!(metainfo, parse(metainfo.to_bytes()).unwrap());
}
