//! Symbolic links (BEP 47) that lead out of the torrent, or nowhere, are
//! pointed at themselves: such a link opens nothing.

use std::collections::{HashMap, HashSet};

use super::files::FileEntry;

/// Paths longer than this cannot be opened anyway, in bytes.
const MAX_PATH: usize = 4096;
/// Links followed to find out where one leads, as in Linux.
const MAX_HOPS: usize = 40;
/// Lookups for all links of a torrent together. What is not settled by then
/// is taken for a link to nowhere.
const MAX_LOOKUPS: usize = 50_000;

/// What exists in the torrent. All paths are below its own folder.
struct Tree<'f> {
    /// Files, and whether they are links.
    files: HashMap<&'f str, bool>,
    directories: HashSet<&'f str>,
}

impl<'f> Tree<'f> {
    fn new(files: &'f [FileEntry], root: &str) -> Self {
        let mut tree = Self {
            files: HashMap::new(),
            directories: HashSet::new(),
        };
        for file in files {
            let path = below(&file.path, root);
            tree.files.entry(path).or_insert(file.symlink.is_some());
            let mut rest = path;
            // What holds a known directory is known too.
            while let Some((parent, _)) = rest.rsplit_once('/') {
                if !tree.directories.insert(parent) {
                    break;
                }
                rest = parent;
            }
        }
        tree
    }

    /// Whether `path` exists; whether it may be (a link to) a directory.
    fn find(&self, path: &str) -> Option<bool> {
        match self.files.get(path) {
            Some(&is_link) => Some(is_link),
            None => self.directories.contains(path).then_some(true),
        }
    }
}

/// Checks every link's target and completes it with `root`, the torrent's own
/// folder.
pub(super) fn resolve(files: &mut [FileEntry], root: &str) {
    if files.iter().all(|file| file.symlink.is_none()) {
        return;
    }
    let targets = settle(files, root);
    for (index, target) in targets {
        if let Some(file) = files.get_mut(index) {
            file.symlink = Some(format!("{root}/{target}"));
        }
    }
}

/// The final target of each link, below `root`, by file index.
fn settle(files: &[FileEntry], root: &str) -> Vec<(usize, String)> {
    let tree = Tree::new(files, root);
    let mut settled = Vec::new();
    // Links through which others may lead, with what they point to.
    let mut passages: HashMap<&str, String> = HashMap::new();
    let mut open = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let Some(target) = &file.symlink else {
            continue;
        };
        let path = below(&file.path, root);
        let mut found = tree.find(target).map(|passable| (target.clone(), passable));
        if found.is_none() {
            // Some make links that are relative to where the link is.
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let local = join(parent, target);
            found = tree.find(&local).map(|passable| (local, passable));
        }
        let (target, passable) = found.unwrap_or_else(|| {
            open.push(settled.len());
            (target.clone(), true)
        });
        if passable {
            passages.entry(path).or_insert_with(|| target.clone());
        }
        settled.push((index, target));
    }
    let mut lookups_left = MAX_LOOKUPS;
    for at in open {
        let Some((index, target)) = settled.get_mut(at) else {
            continue;
        };
        if !leads_somewhere(target, &tree, &passages, &mut lookups_left)
            && let Some(file) = files.get(*index)
        {
            *target = below(&file.path, root).to_owned();
        }
    }
    settled
}

/// Walks `target`, going through other links, and tells whether it ends at
/// something in the torrent.
fn leads_somewhere(
    target: &str,
    tree: &Tree<'_>,
    passages: &HashMap<&str, String>,
    lookups_left: &mut usize,
) -> bool {
    let mut target = target.to_owned();
    let mut traversed = HashSet::new();
    'walk: loop {
        if target.len() > MAX_PATH || traversed.len() > MAX_HOPS {
            return false;
        }
        for (slash, _) in target.match_indices('/') {
            let Some(left) = lookups_left.checked_sub(1) else {
                return false;
            };
            *lookups_left = left;
            let (branch, rest) = target.split_at(slash);
            if tree.directories.contains(branch) {
                continue;
            }
            let Some((link, to)) = passages.get_key_value(branch) else {
                return false;
            };
            if !traversed.insert(*link) {
                return false;
            }
            target = format!("{to}{rest}");
            continue 'walk;
        }
        return tree.find(&target).is_some();
    }
}

fn below<'p>(path: &'p str, root: &str) -> &'p str {
    path.strip_prefix(root)
        .and_then(|path| path.strip_prefix('/'))
        .unwrap_or(path)
}

fn join(parent: &str, path: &str) -> String {
    match parent {
        "" => path.to_owned(),
        _ => format!("{parent}/{path}"),
    }
}
