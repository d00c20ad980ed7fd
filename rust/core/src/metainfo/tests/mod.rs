//! Torrents as whole files: good ones, broken ones, hostile ones.

mod hostile;
mod mutation;
mod symlinks;
mod verdicts;

use super::*;
use crate::ids::PieceIndex;

type Pairs = Vec<(&'static str, Item)>;

fn limits() -> MetainfoLimits {
    MetainfoLimits {
        paths: PathPolicy::Posix,
        ..MetainfoLimits::default()
    }
}

fn parse(data: impl AsRef<[u8]>) -> Result<Metainfo, MetainfoError> {
    Metainfo::parse_with(data.as_ref(), &limits())
}

fn dict(pairs: Pairs) -> DictItem {
    let mut dict = DictItem::new();
    for (key, value) in pairs {
        dict.insert(key, value);
    }
    dict
}

fn hashes(pieces: usize) -> Item {
    vec![b'h'; pieces * 20].into()
}

/// The info dict of one file of 40000 bytes in three pieces.
fn single() -> Pairs {
    vec![
        ("length", 40_000u32.into()),
        ("name", "file".into()),
        ("piece length", 16_384u32.into()),
        ("pieces", hashes(3)),
    ]
}

/// Adds a pair, in place of one with the same key.
fn with(mut pairs: Pairs, key: &'static str, value: impl Into<Item>) -> Pairs {
    pairs.retain(|(other, _)| *other != key);
    pairs.push((key, value.into()));
    pairs
}

fn without(mut pairs: Pairs, key: &str) -> Pairs {
    pairs.retain(|(other, _)| *other != key);
    pairs
}

fn raw(bytes: &'static str) -> Item {
    Item::Raw(bytes.into())
}

/// An entry of a file list.
fn file<P: AsRef<[u8]>>(path: impl IntoIterator<Item = P>, length: u32) -> Pairs {
    let path: Item = path
        .into_iter()
        .map(|element| Item::from(element.as_ref()))
        .collect();
    vec![("length", length.into()), ("path", path)]
}

/// The info dict of a torrent named "root", with pieces enough for `total`
/// bytes.
fn multi(files: impl IntoIterator<Item = Pairs>, total: usize) -> Pairs {
    let files = files.into_iter().map(dict).collect::<Item>();
    vec![
        ("files", files),
        ("name", "root".into()),
        ("piece length", 16_384u32.into()),
        ("pieces", hashes(total.div_ceil(16_384))),
    ]
}

fn torrent(info: Pairs) -> Vec<u8> {
    dict(vec![("info", dict(info).into())]).encode()
}

fn paths(metainfo: &Metainfo) -> Vec<String> {
    metainfo.info.files.iter().map(|file| file.path).collect()
}

/// What must hold for everything that is accepted.
fn check_invariants(metainfo: &Metainfo) {
    let info = &metainfo.info;
    let safe = |path: &str| {
        let plain = |element: &str| !matches!(element, "" | "." | "..");
        assert!(path.split('/').all(plain), "{path:?}");
        assert!(!path.contains(['\\', '\0']), "{path:?}");
    };
    let mut seen = std::collections::HashSet::new();
    let mut offset = 0;
    assert_eq!(info.files.len(), info.layout.files().len());
    for (file, place) in info.files.iter().zip(info.layout.files()) {
        safe(&file.path);
        file.symlink.iter().for_each(|target| safe(target));
        let path = file.path.to_ascii_lowercase();
        assert!(seen.insert(path) || file.pad, "{:?}", file.path);
        assert_eq!(
            (file.offset, file.length, file.pad),
            (place.offset, place.length, place.pad)
        );
        assert_eq!(file.offset, offset);
        offset += file.length;
    }
    safe(&info.name);
    let directories = info.files.iter().filter(|file| !file.pad).flat_map(|file| {
        let slashes = file.path.match_indices('/');
        let folders = slashes.map(|(slash, _)| file.path[..slash].to_ascii_lowercase());
        folders.collect::<Vec<_>>()
    });
    for directory in directories {
        assert!(
            !seen.contains(&directory),
            "{directory:?} is a file and a directory"
        );
    }
    assert_eq!(offset, info.layout.total_length());
    let last = info.layout.num_pieces() - 1;
    assert!(info.piece_hash(PieceIndex(last)).is_some());
    assert!(info.piece_hash(PieceIndex(last + 1)).is_none());
    let limits = MetainfoLimits {
        bytes: usize::MAX,
        ..limits()
    };
    assert_eq!(Info::parse(&info.raw, &limits).as_ref(), Ok(info));
    let written = metainfo.to_bytes();
    assert_eq!(
        Metainfo::parse_with(&written, &limits).as_ref(),
        Ok(metainfo)
    );
}
