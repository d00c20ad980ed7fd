//! Valid torrents, damaged at random: whatever is still accepted must be as
//! safe as any other. `TORRENT_SEED` repeats a run, `TORRENT_MUTATIONS` makes
//! it longer.

use std::hash::{BuildHasher, RandomState};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn samples() -> Vec<Vec<u8>> {
    let mut link = file(["link"], 0);
    link.extend([("attr", "l".into()), ("symlink path", raw("l3:dire"))]);
    let mut pad = file(["_____padding_file_0"], 100);
    pad.push(("attr", "px".into()));
    let files = [
        file(["dir", "a.txt"], 20_000),
        pad,
        link,
        file(["dir", "b"], 0),
    ];
    let rich = dict(vec![
        (
            "announce-list",
            raw("ll17:http://a.example/el16:udp://b.example:ee"),
        ),
        ("comment", "text".into()),
        ("creation date", 1u32.into()),
        (
            "info",
            dict(with(multi(files, 20_100), "name.utf-8", "nämé")).into(),
        ),
        ("nodes", raw("ll1:hi1eee")),
        ("url-list", raw("l9:http://w/e")),
    ]);
    let tree = raw("d4:filed0:d6:lengthi40000eeee");
    let hybrid = with(with(single(), "meta version", 2u32), "file tree", tree);
    vec![torrent(single()), rich.encode(), torrent(hybrid)]
}

fn damage(data: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    const SYNTAX: &[u8] = b"dlie:-0123456789";
    let at = random.random_range(0..=data.len());
    let end = (at + random.random_range(0..16)).min(data.len());
    match random.random_range(0..6) {
        0 => data.truncate(at),
        1 => drop(data.drain(at..end)),
        2 => {
            let from = random.random_range(0..other.len());
            let to = (from + random.random_range(0..60)).min(other.len());
            drop(data.splice(at..end, other[from..to].iter().copied()));
        }
        3 => data.insert(at, random.random()),
        4 => data.insert(at, SYNTAX[random.random_range(0..SYNTAX.len())]),
        _ => {
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn damaged_torrents_are_refused_or_safe() {
    let seed = from_environment("TORRENT_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let rounds = from_environment("TORRENT_MUTATIONS").unwrap_or(50_000);
    println!("TORRENT_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let samples = samples();
    let mut accepted = 0;
    for _ in 0..rounds {
        let mut data = samples[random.random_range(0..samples.len())].clone();
        let other = &samples[random.random_range(0..samples.len())];
        for _ in 0..random.random_range(1..5) {
            damage(&mut data, other, &mut random);
        }
        if let Ok(metainfo) = parse(&data) {
            check_invariants(&metainfo);
            accepted += 1;
        }
    }
    assert!(accepted > 0, "the damage should leave something to accept");
}
