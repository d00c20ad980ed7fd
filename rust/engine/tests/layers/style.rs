//! How files look: their length, that of their functions, how many fields structs
//! have, and where modules lie.

use std::path::Path;

use super::layers::{root, rust_files};
use super::source::{code_of, functions, structs, tokens};

/// Lines of a file; at 400 it is time to think of two.
const LONGEST_FILE: usize = 600;

/// Lines of a function that is no table.
const LONGEST_FUNCTION: usize = 100;

/// Functions that are tables: a row for each setting, kind or command.
const TABLES: &[(&str, &str)] = &[(
    "rust/core/src/metainfo/tests/verdicts.rs",
    "broken_torrents_are_refused_by_name",
)];

/// Files that are longer, and are to be divided.
const STILL_TO_SPLIT: &[&str] = &[];

/// Fields of a struct that is no record.
const MOST_FIELDS: usize = 15;

/// Records and tables of settings: each field is by itself, and is read or set
/// from outside.
const RECORDS: &[(&str, &str)] = &[
    ("rust/core/src/dht/settings.rs", "DhtSettings"),
    ("rust/core/src/resume/mod.rs", "ResumeData"),
    ("rust/core/src/utp/settings.rs", "UtpSettings"),
    ("rust/engine/src/session/add/mod.rs", "AddTorrent"),
    ("rust/engine/src/status/mod.rs", "PeerInfo"),
    ("rust/engine/src/status/mod.rs", "TorrentStatus"),
    ("rust/engine/src/status/mod.rs", "TrackerStatus"),
];

/// Structs with more fields than they should have, and how many: no more are
/// added, and one that has fewer takes a lower number here.
const STILL_TO_GROUP: &[(&str, &str, usize)] = &[
    ("rust/core/src/dht/mod.rs", "Dht", 19),
    ("rust/core/src/torrent/mod.rs", "Torrent", 16),
    ("rust/core/src/utp/connection/mod.rs", "Connection", 27),
    ("rust/core/src/utp/multiplexer/mod.rs", "Multiplexer", 19),
    ("rust/engine/src/context/mod.rs", "Services", 16),
];

/// All sources of the workspace, by their paths from its root.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let files = rust_files(&root.join("rust")).into_iter();
    files
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let below = path.strip_prefix(&root).unwrap().to_string_lossy();
            (below.replace('\\', "/"), text)
        })
        .collect()
}

#[test]
fn files_are_short() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        match (lines > LONGEST_FILE, STILL_TO_SPLIT.contains(&&*path)) {
            (true, false) => wrong.push(format!("{path} has {lines} lines")),
            (false, true) => wrong.push(format!("{path} is short: take it off STILL_TO_SPLIT")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn functions_are_short() {
    let mut wrong = Vec::new();
    let mut tables = 0;
    for (path, text) in sources() {
        for function in functions(&tokens(&text)) {
            if function.lines <= LONGEST_FUNCTION {
                continue;
            }
            if TABLES.contains(&(&path, &function.name)) {
                tables += 1;
            } else {
                let (name, line, lines) = (function.name, function.line, function.lines);
                wrong.push(format!("{path}:{line}: `{name}` has {lines} lines"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tables, TABLES.len(), "a table that is short or gone");
}

#[test]
fn structs_have_few_fields() {
    let mut wrong = Vec::new();
    let (mut records, mut known) = (0, 0);
    for (path, text) in sources().iter().filter(|(path, _)| path.contains("/src/")) {
        for it in structs(&code_of(&tokens(text))) {
            let (name, line, fields) = (it.name, it.line, it.fields);
            if fields <= MOST_FIELDS {
                continue;
            }
            if RECORDS.contains(&(path, &name)) {
                records += 1;
            } else if STILL_TO_GROUP.contains(&(path, &name, fields)) {
                known += 1;
            } else {
                wrong.push(format!("{path}:{line}: `{name}` has {fields} fields"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(records, RECORDS.len(), "a record that is short or gone");
    assert_eq!(known, STILL_TO_GROUP.len(), "take it off STILL_TO_GROUP");
}

#[test]
fn a_module_with_children_is_a_mod_rs() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let folder = root().join(path.trim_end_matches(".rs"));
        if path.contains("/src/") && folder.is_dir() {
            wrong.push(format!("{path} stands beside a folder of its name"));
        }
        let marks = tokens(&text);
        for at in 0..marks.len().saturating_sub(2) {
            let text = |ahead: usize| marks[at + ahead].text.as_str();
            if (text(0), text(1), text(2)) == ("#", "[", "path") && !shares_support(&path) {
                wrong.push(format!("{path}:{}: a module by its path", marks[at].line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The tests in the engine's own crate and those beside it have one support,
/// which neither could reach otherwise.
fn shares_support(path: &str) -> bool {
    Path::new(path).ends_with("engine/src/session/tests/mod.rs")
}
