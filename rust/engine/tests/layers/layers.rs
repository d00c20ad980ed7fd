//! Which module imports which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::source::{paths, tokens};

/// The crates, and their top-level modules in the order in which they build on
/// one another: each imports only from those before it. Without a list only
/// cycles between folders count.
const CRATES: &[(&str, &str)] = &[
    ("core", CORE),
    ("engine", ENGINE),
    ("godot", GODOT),
    ("rpc", RPC),
    ("sim", ""),
    ("bench", ""),
    ("fuzz", ""),
];

const CORE: &str = "
    address bitfield crc32c ids text bencode uri value settings merkle layout
    piece_hash metainfo
    magnet create ip_filter journal move_journal removal_journal resume rate
    bandwidth backoff dht session_state datagram save_schedule suspend block_table external_ip clients
    ban peerlist picker window wire mse ext peer choker queue turnover torrent
    tracker active_time check_state storage_backoff utp";

const ENGINE: &str = "
    operation error threads timer coop command_queue buffers hash
    net status event ip_filter stats disk create log state_dir discovery
    context peer torrent session fuzzing";

const GODOT: &str = "
    threads live_objects signal_queue reference_cycles help cached_value
    country_resolver frame_budget frame_poll key_cache last_error
    live_sessions convert waits snapshot paths alert_manager creation monitors
    torrent_error add_params peer_info torrent_creator torrent_info
    torrent_logger torrent_status torrent_handle torrent_session";

const RPC: &str = "input output params protocol alerts app commands";

/// Imports that still point down the list: a file, and the top-level module
/// that it names. An entry that is not needed any more fails the test.
const STILL_TO_CUT: &[(&str, &str)] = &[];

/// Types of sockets, and the crate that makes them: for `net` alone.
const SOCKETS: &[&str] = &[
    "TcpListener",
    "TcpSocket",
    "TcpStream",
    "UdpSocket",
    "UnixDatagram",
    "UnixListener",
    "UnixStream",
    "socket2",
];

/// A file of a crate.
struct File {
    path: PathBuf,
    module: Vec<String>,
    text: String,
}

/// An import, from module to module of one crate.
#[derive(Clone, Debug)]
struct Import {
    from: Vec<String>,
    to: Vec<String>,
    /// `file:line: text`.
    place: String,
    file: String,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust files below a folder, in order.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                found.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn crate_files(name: &str) -> Vec<File> {
    let source = root().join("rust").join(name).join("src");
    let files = rust_files(&source).into_iter();
    files
        .map(|path| {
            let below = path.strip_prefix(&source).unwrap().with_extension("");
            let mut module: Vec<String> = below
                .iter()
                .map(|part| part.to_str().unwrap().to_owned())
                .collect();
            if matches!(module.last().unwrap().as_str(), "mod" | "lib" | "main") {
                module.pop();
            }
            let text = std::fs::read_to_string(&path).unwrap();
            File { path, module, text }
        })
        .collect()
}

pub(crate) fn is_test(module: &[String]) -> bool {
    let name = |it: &String| it == "tests" || it == "testing" || it.ends_with("_tests");
    module.iter().any(name)
}

fn imports(files: &[File]) -> Vec<Import> {
    let modules: BTreeSet<&[String]> = files.iter().map(|it| &it.module[..]).collect();
    let mut found = Vec::new();
    for file in files.iter().filter(|it| !is_test(&it.module)) {
        let lines: Vec<&str> = file.text.lines().collect();
        let path = file.path.strip_prefix(root()).unwrap_or(&file.path);
        let path = path.to_string_lossy().replace('\\', "/");
        let path = path.trim_start_matches("./").to_owned();
        for named in paths(&tokens(&file.text)) {
            let from = [&file.module[..], &named.within].concat();
            let Some(to) = target(&from, &named.segments, &modules) else {
                continue;
            };
            found.push(Import {
                from: file.module.clone(),
                to,
                place: format!("{path}:{}: {}", named.line, lines[named.line - 1].trim()),
                file: path.clone(),
            });
        }
    }
    found
}

/// The module that a path in `from` leads to, if it is one of this crate.
fn target(
    from: &[String],
    segments: &[String],
    modules: &BTreeSet<&[String]>,
) -> Option<Vec<String>> {
    let mut segments = segments;
    let mut at = match segments[0].as_str() {
        "crate" => {
            segments = &segments[1..];
            Vec::new()
        }
        "self" | "super" => {
            let mut at = from.to_vec();
            while let Some((first, rest)) = segments.split_first() {
                match first.as_str() {
                    "super" => at.pop().map(|_| ())?,
                    "self" => {}
                    _ => break,
                }
                segments = rest;
            }
            at
        }
        // A path that begins with a module below this one.
        first => {
            let below = [from, &[first.to_owned()]].concat();
            modules.get(&below[..])?;
            from.to_vec()
        }
    };
    for segment in segments {
        let next = [&at[..], std::slice::from_ref(segment)].concat();
        if !modules.contains(&next[..]) {
            break;
        }
        at = next;
    }
    Some(at)
}

#[test]
fn imports_point_up_the_list() {
    let mut wrong = Vec::new();
    let mut needed = BTreeSet::new();
    for (name, list) in CRATES.iter().filter(|(_, list)| !list.is_empty()) {
        let order: Vec<&str> = list.split_whitespace().collect();
        let place = |module: &str| order.iter().position(|it| *it == module);
        let files = crate_files(name);
        let there: BTreeSet<&str> = files
            .iter()
            .filter(|file| !is_test(&file.module))
            .filter_map(|file| file.module.first().map(String::as_str))
            .collect();
        for module in &there {
            if place(module).is_none() {
                wrong.push(format!("{name}: the list does not name `{module}`"));
            }
        }
        for listed in order.iter().filter(|it| !there.contains(**it)) {
            wrong.push(format!("{name}: there is no `{listed}` any more"));
        }
        for import in imports(&files) {
            let (Some(from), Some(to)) = (import.from.first(), import.to.first()) else {
                continue;
            };
            let (Some(above), Some(here)) = (place(to), place(from)) else {
                continue;
            };
            if above <= here {
                continue;
            }
            let mut known = STILL_TO_CUT.iter();
            match known.position(|(file, to)| import.file == *file && import.to[0] == **to) {
                Some(at) => _ = needed.insert(at),
                None => wrong.push(format!(
                    "{}\n    `{from}` stands above `{to}`",
                    import.place
                )),
            }
        }
    }
    wrong.dedup();
    for (at, (file, to)) in STILL_TO_CUT.iter().enumerate() {
        if !needed.contains(&at) {
            wrong.push(format!(
                "{file} does not import `{to}` any more: take it off STILL_TO_CUT"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} in all",
        wrong.join("\n"),
        wrong.len()
    );
}

/// The sockets that files outside of `net` name, as `file:line: text`.
fn sockets(files: &[File]) -> Vec<String> {
    let above = |file: &&File| file.module.first().is_none_or(|first| first != "net");
    let mut found = Vec::new();
    for file in files.iter().filter(above).filter(|it| !is_test(&it.module)) {
        let path = file.path.strip_prefix(root()).unwrap_or(&file.path);
        let path = path.to_string_lossy().replace('\\', "/");
        let lines: Vec<&str> = file.text.lines().collect();
        for named in paths(&tokens(&file.text)) {
            if named.segments.iter().any(|it| SOCKETS.contains(&&**it)) {
                let text = lines[named.line - 1].trim();
                found.push(format!("{path}:{}: {text}", named.line));
            }
        }
    }
    found
}

#[test]
fn only_net_names_sockets() {
    let crates = ["core", "engine", "godot", "rpc"].into_iter();
    let wrong: Vec<String> = crates.flat_map(|it| sockets(&crate_files(it))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn folders_form_no_cycles() {
    let mut wrong = Vec::new();
    for (name, _) in CRATES {
        let files = crate_files(name);
        let folders: BTreeSet<Vec<String>> = files
            .iter()
            .filter_map(|file| file.module.split_last().map(|(_, above)| above.to_vec()))
            .filter(|folder| !folder.is_empty())
            .collect();
        // For each folder: which of the folders and files in it imports which. A
        // crate's top-level files have their list where they have an order.
        let mut edges: BTreeMap<(&[String], &str, &str), String> = BTreeMap::new();
        let all = imports(&files);
        for import in &all {
            let shared = import.from.iter().zip(&import.to);
            let depth = shared.take_while(|(from, to)| from == to).count();
            if depth < import.from.len() && depth < import.to.len() {
                let is_folder = |module: &[String]| folders.contains(&module[..=depth]);
                let both = is_folder(&import.from) && is_folder(&import.to);
                if depth == 0 && !both {
                    continue;
                }
                let key = (
                    &import.from[..depth],
                    &*import.from[depth],
                    &*import.to[depth],
                );
                edges.entry(key).or_insert_with(|| import.place.clone());
            }
        }
        // Files may see one another: a cycle counts if a folder is part of it.
        let counts = |(above, from, _): &(&[String], &str, &str)| {
            folders.contains(&[above, &[(*from).to_owned()][..]].concat())
        };
        wrong.extend(cycles(name, &edges, counts));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn cycles(
    name: &str,
    edges: &BTreeMap<(&[String], &str, &str), String>,
    counts: impl Fn(&(&[String], &str, &str)) -> bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, place) in edges.iter().filter(|(key, _)| counts(key)) {
        let (above, from, to) = key;
        // Whether `from` can be reached again.
        let (mut seen, mut open) = (BTreeSet::new(), vec![*to]);
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                let next = edges.keys().filter(|key| key.0 == *above && key.1 == at);
                open.extend(next.map(|key| key.2));
            }
        }
        if seen.contains(from) {
            wrong.push(format!(
                "{name}: `{from}` and `{to}` import one another: {place}"
            ));
        }
    }
    wrong
}

fn file(module: &str, text: &str) -> File {
    File {
        path: PathBuf::from(format!("{module}.rs")),
        module: module.split("::").map(str::to_owned).collect(),
        text: text.to_owned(),
    }
}

#[test]
fn sockets_are_found() {
    let files = [
        file("net::dial", "use tokio::net::TcpStream;"),
        file("peer", "use tokio::net::{self, TcpStream as S};"),
        file("torrent::dial", "fn f(it: tokio::net::TcpListener) {}"),
        file(
            "session",
            "use tokio::net;\nfn f() { net::UdpSocket::bind() }",
        ),
        file("session::tests", "use std::net::TcpStream;"),
        file(
            "disk",
            "#[cfg(test)]\nmod tests { use std::net::TcpStream; }",
        ),
    ];
    let found = sockets(&files);
    let expected = [
        "peer.rs:1: use tokio::net::{self, TcpStream as S};",
        "torrent::dial.rs:1: fn f(it: tokio::net::TcpListener) {}",
        "session.rs:2: fn f() { net::UdpSocket::bind() }",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_wrong_is_found() {
    let files = [
        file(
            "a::mod_of_a",
            "use super::super::b::c::Item;\nuse crate::{a::Other, b};",
        ),
        file(
            "b::c",
            "pub struct Item;\nfn f() { crate::a::mod_of_a::g() }\nmod d { use super::super::X; }",
        ),
        file("b::tests", "use crate::a::mod_of_a;"),
        file("b", "use c::Item; use std::fmt; use c as d;"),
        file("a", ""),
    ];
    let found: Vec<String> = imports(&files)
        .iter()
        .map(|it| format!("{} -> {}", it.from.join("::"), it.to.join("::")))
        .collect();
    let expected = [
        "a::mod_of_a -> b::c",
        "a::mod_of_a -> a",
        "a::mod_of_a -> b",
        "b::c -> a::mod_of_a",
        "b::c -> b",
        "b -> b::c",
        "b -> b::c",
    ];
    assert_eq!(found, expected);
}
