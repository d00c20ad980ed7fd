//! Every lock is in DESIGN.md's list, with its reason, and every lock in the
//! list is there.

use std::collections::BTreeSet;

use super::layers::{is_test, root, rust_files};
use super::source::{Token, code_of, tokens};

/// The crates whose locks are listed. The core has none, and the others run in
/// no game.
const CRATES: &[&str] = &["core", "engine", "godot", "rpc"];

/// The line that the list follows.
const HEADING: &str = "| lock | why |";

/// The fields, statics and tuple structs that a file has a lock in.
fn locks(code: &[Token]) -> BTreeSet<String> {
    let text = |at: usize| code.get(at).map_or("", |token| token.text.as_str());
    let is_lock = |at: &usize| matches!(text(*at), "Mutex" | "RwLock") && text(at + 1) == "<";
    let named = |mut at: usize| {
        // Out of the types around it: `Arc<Mutex<..>>`.
        while text(at - 1) == "<" {
            at -= 2;
        }
        match text(at - 1) {
            ":" => Some(text(at - 2).to_owned()),
            "(" if text(at - 3) == "struct" => Some(text(at - 2).to_owned()),
            "(" if text(at - 2) == ">" => {
                let start = (0..at).rev().find(|&it| text(it) == "struct")?;
                Some(text(start + 1).to_owned())
            }
            _ => None,
        }
    };
    let found = (3..code.len()).filter(is_lock);
    found.filter_map(named).collect()
}

/// All locks of the sources: `crate::module::name`.
fn in_sources() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in CRATES {
        let source = root().join("rust").join(name).join("src");
        for path in rust_files(&source) {
            let below = path.strip_prefix(&source).unwrap().with_extension("");
            let parts = below.iter().map(|part| part.to_str().unwrap().to_owned());
            let mut module: Vec<String> = parts.collect();
            module.retain(|part| !matches!(part.as_str(), "mod" | "lib" | "main"));
            if is_test(&module) {
                continue;
            }
            module.insert(0, (*name).to_owned());
            let text = std::fs::read_to_string(&path).unwrap();
            for lock in locks(&code_of(&tokens(&text))) {
                found.insert(format!("{}::{lock}", module.join("::")));
            }
        }
    }
    found
}

/// The locks that the list names: after a module, in back ticks, come the names
/// of its locks.
fn listed(text: &str) -> BTreeSet<String> {
    let list = text.lines().skip_while(|line| *line != HEADING).skip(2);
    let mut found = BTreeSet::new();
    for line in list.take_while(|line| line.starts_with('|')) {
        let first = line.split('|').nth(1).unwrap_or_default();
        let mut module = "";
        for name in first.split('`').skip(1).step_by(2) {
            if name.contains("::") {
                module = name;
            } else {
                found.insert(format!("{module}::{name}"));
            }
        }
    }
    found
}

#[test]
fn the_list_of_locks_is_whole() {
    let text = std::fs::read_to_string(root().join("rust/DESIGN.md")).unwrap();
    let (listed, there) = (listed(&text), in_sources());
    let missing: Vec<_> = there.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "rust/DESIGN.md, \"{HEADING}\": not in the list: {missing:#?}; there no more: {gone:#?}"
    );
}

#[test]
fn locks_are_found() {
    let text = "struct A { pub(crate) b: Mutex<u8>, c: Arc<RwLock<u8>>, d: OnceLock<u8> }
        pub struct E(Mutex<F>); struct G<T>(Mutex<T>);
        static H: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        fn i(&self) -> &Mutex<u8> { todo!() }
        #[cfg(test)] mod tests { struct J { k: Mutex<u8> } }
        #[cfg(test)] static L: Mutex<u8> = Mutex::new(0);";
    let found: Vec<String> = locks(&code_of(&tokens(text))).into_iter().collect();
    assert_eq!(found, ["E", "G", "H", "b", "c"]);
}
