//! How files look: their length, that of their functions, and where modules lie.

use std::path::Path;

use super::layers::{root, rust_files};
use super::source::{functions, tokens};

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
