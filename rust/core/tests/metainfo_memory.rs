//! What the worst torrents cost while they are read: never more than 64 MiB,
//! the torrent file itself included. A binary of its own, because it counts
//! what is allocated; one test, because nothing else may allocate meanwhile.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use torrent_core::metainfo::Metainfo;

/// The system's allocator, counting.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(live, Relaxed);
}

// SAFETY: everything is the system allocator's own answer to the same request.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Pages of large allocations are moved, not copied.
        add(size.saturating_sub(layout.size()));
        LIVE.fetch_sub(layout.size().saturating_sub(size), Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CAP: usize = 64 << 20;
const LARGEST: usize = 10_000_000;

/// As many of `unit` (made of their number) as fit between `head` and `tail`.
fn fill(head: &str, unit: impl Fn(usize) -> String, tail: &str, most: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(LARGEST);
    data.extend_from_slice(head.as_bytes());
    for number in 0..most {
        let unit = unit(number);
        if data.len() + unit.len() + tail.len() > LARGEST {
            break;
        }
        data.extend_from_slice(unit.as_bytes());
    }
    data.extend_from_slice(tail.as_bytes());
    data
}

fn text(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// A short name that no other number has, whatever the case of letters.
fn name(number: usize) -> String {
    format!("{number:x}")
}

/// A torrent of as many files as fit, described by `file`.
fn of_files(root: &str, most: usize, file: impl Fn(usize) -> String) -> Vec<u8> {
    let head = "d4:infod5:filesld6:lengthi1e4:pathl1:$ee";
    let tail = format!(
        "e4:name{}12:piece lengthi16384e6:pieces20:hhhhhhhhhhhhhhhhhhhhee",
        text(root)
    );
    fill(head, file, &tail, most)
}

/// A small torrent with something beside the info dict.
fn beside(key: &str, unit: impl Fn(usize) -> String, most: usize) -> Vec<u8> {
    let head = format!("d{}l", text(key));
    let tail =
        "e4:infod6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:hhhhhhhhhhhhhhhhhhhhee";
    fill(&head, unit, tail, most)
}

/// What a torrent is called, its bytes, and whether it is to be accepted.
type Case = (&'static str, Vec<u8>, bool);

/// As many files as fit, each of them as costly as it can be.
fn of_many_files() -> Vec<Case> {
    let long = "r".repeat(240);
    let plain = |number| format!("d6:lengthi0e4:pathl{}ee", text(&name(number)));
    let deep = "1:d".repeat(98);
    vec![
        // Eight values a file: as many as the limit of values allows.
        ("files", of_files("r", 374_900, plain), true),
        (
            "files in a folder with a long name",
            of_files(&long, 374_900, plain),
            true,
        ),
        (
            "padding without names",
            of_files("r", 450_000, |_| "d4:attr1:p6:lengthi0ee".to_owned()),
            true,
        ),
        (
            "files in folders of their own",
            of_files("r", 330_000, |number| {
                format!("d6:lengthi0e4:pathl{}1:xee", text(&name(number)))
            }),
            true,
        ),
        (
            "deep paths of nothing",
            of_files("r", 28_000, |number| {
                format!(
                    "d6:lengthi0e4:pathl{}{}ee",
                    text(&name(number)),
                    "0:".repeat(99)
                )
            }),
            true,
        ),
        (
            "deep folders of their own",
            of_files("r", 28_000, |number| {
                format!("d6:lengthi0e4:pathl{}{deep}ee", text(&name(number)))
            }),
            true,
        ),
        (
            "names that are taken, each once",
            of_files("r", 374_900, |number| plain(number / 2)),
            true,
        ),
        (
            "links to each other",
            of_files("r", 100_000, |number| {
                let (path, target) = (text(&name(number)), text(&name(number + 1)));
                format!("d4:attr1:l4:pathl{path}e12:symlink pathl{target}1:xee")
            }),
            true,
        ),
        (
            "one link and many files",
            of_files("r", 330_000, |number| match number {
                0 => "d4:attr1:l4:pathl1:&e12:symlink pathl1:$ee".to_owned(),
                _ => format!("d6:lengthi0e4:pathl{}1:xee", text(&name(number))),
            }),
            true,
        ),
        (
            "times and hashes",
            of_files("r", 200_000, |number| {
                let path = text(&name(number));
                format!("d6:lengthi0e5:mtimei1e4:pathl{path}e4:sha120:hhhhhhhhhhhhhhhhhhhhe")
            }),
            true,
        ),
    ]
}

/// As much as fits beside the info dict.
fn of_much_beside() -> Vec<Case> {
    vec![
        (
            "empty values",
            beside("collections", |_| "0:".to_owned(), 2_999_900),
            true,
        ),
        (
            "more values than allowed",
            beside("collections", |_| "0:".to_owned(), 3_000_000),
            false,
        ),
        (
            "empty lists",
            beside("announce-list", |_| "le".to_owned(), 1_499_000),
            true,
        ),
        (
            "trackers",
            beside("announce-list", |_| "l7:udp://ae".to_owned(), usize::MAX),
            true,
        ),
        (
            "nodes",
            beside("nodes", |_| "l1:hi1ee".to_owned(), 749_000),
            true,
        ),
        (
            "web seeds",
            beside("url-list", |number| text(&name(number)), 2_999_000),
            true,
        ),
        (
            "web seeds to be encoded",
            beside(
                "url-list",
                |number| text(&format!("http://h/{number}{}", " ".repeat(16_000))),
                usize::MAX,
            ),
            true,
        ),
        (
            "a web seed of ten million bytes",
            beside(
                "url-list",
                |_| text(&format!("http://h/{}", " ".repeat(9_990_000))),
                1,
            ),
            true,
        ),
        (
            "a text of ten million bytes",
            beside("x", |_| text(&"\u{fc}".repeat(4_990_000)), 1),
            true,
        ),
        (
            "a bomb",
            fill("", |_| "l".to_owned(), "", usize::MAX),
            false,
        ),
    ]
}

#[test]
fn the_worst_torrents_stay_below_the_cap() {
    let mut too_much = Vec::new();
    for (what, data, accepted) in of_many_files().into_iter().chain(of_much_beside()) {
        assert!(data.len() <= LARGEST, "{what}: {} bytes", data.len());
        // The torrent file counts as it is, without room to spare.
        let before = LIVE.load(Relaxed) - data.capacity();
        PEAK.store(before + data.len(), Relaxed);
        LIVE.store(before + data.len(), Relaxed);
        let result = Metainfo::parse(&data);
        let (peak, live) = (PEAK.load(Relaxed) - before, LIVE.load(Relaxed) - before);
        println!(
            "{what}: {} bytes, peak {} KiB, then {} KiB",
            data.len(),
            peak >> 10,
            live >> 10
        );
        assert_eq!(result.is_ok(), accepted, "{what}: {:?}", result.err());
        drop(result);
        LIVE.store(before + data.capacity(), Relaxed);
        if peak > CAP {
            too_much.push(format!("{what}: {peak}"));
        }
    }
    assert!(too_much.is_empty(), "{too_much:#?}");
}
