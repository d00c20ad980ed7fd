//! Symbolic links (BEP 47) that lead out of the torrent, or nowhere, are
//! pointed at themselves: such a link opens nothing.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};

use super::files::Files;

/// Paths longer than this cannot be opened anyway, in bytes.
const MAX_PATH: usize = 4096;
/// Links followed to find out where one leads, as in Linux.
const MAX_HOPS: usize = 40;
/// Lookups for all links of a torrent together. What is not settled by then
/// is taken for a link to nowhere.
const MAX_LOOKUPS: usize = 50_000;

/// What exists in the torrent's folder, by the hashes of the paths below it,
/// each list sorted. One that is taken for another only makes a link lead to
/// nothing.
struct Tree {
    files: Vec<u64>,
    links: Vec<u64>,
    directories: Vec<u64>,
}

impl Tree {
    fn new(files: &Files) -> Self {
        let mut tree = Self {
            files: Vec::with_capacity(files.len()),
            links: Vec::new(),
            directories: Vec::new(),
        };
        let mut last_parent = None;
        for index in 0..files.len() {
            let (path, _) = files.below_root(index);
            tree.files.push(hash(path));
            let parent = path.rsplit_once('/').map(|(parent, _)| parent);
            if parent != last_parent {
                last_parent = parent;
                let mut rest = parent;
                while let Some(directory) = rest {
                    tree.directories.push(hash(directory));
                    rest = directory.rsplit_once('/').map(|(parent, _)| parent);
                }
            }
        }
        let links = files.symlinks().iter();
        tree.links = links
            .map(|&(index, _)| hash(files.below_root(index as usize).0))
            .collect();
        tree.files.sort_unstable();
        tree.links.sort_unstable();
        tree.directories.sort_unstable();
        tree.directories.dedup();
        tree
    }

    /// Whether `path` exists; whether it may be (a link to) a directory.
    fn find(&self, path: &str) -> Option<bool> {
        let path = hash(path);
        if self.files.binary_search(&path).is_ok() {
            return Some(self.links.binary_search(&path).is_ok());
        }
        self.directories.binary_search(&path).ok().map(|_| true)
    }

    fn has_directory(&self, path: &str) -> bool {
        self.directories.binary_search(&hash(path)).is_ok()
    }
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path.as_bytes());
    hasher.finish()
}

/// Checks every link's target.
pub(super) fn resolve(files: &mut Files) {
    if files.symlinks().is_empty() {
        return;
    }
    for (at, target) in targets(files) {
        files.point(at, &target);
    }
}

/// The final target of each link that does not have it yet, by its place among
/// the links.
fn targets(files: &Files) -> Vec<(usize, String)> {
    let tree = Tree::new(files);
    let mut targets = Vec::new();
    // Links through which others may lead, with what they point to.
    let mut passages: HashMap<&str, String> = HashMap::new();
    let mut open = Vec::new();
    for (at, (index, target)) in files.symlinks().iter().enumerate() {
        let (path, _) = files.below_root(*index as usize);
        let passable = match tree.find(target) {
            Some(passable) => passable.then(|| target.to_string()),
            None => {
                // Some make links that are relative to where the link is.
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                let local = join(parent, target);
                match tree.find(&local) {
                    Some(passable) => {
                        targets.push((at, local.clone()));
                        passable.then_some(local)
                    }
                    None => {
                        open.push((at, path, target));
                        Some(target.to_string())
                    }
                }
            }
        };
        if let Some(target) = passable {
            passages.entry(path).or_insert(target);
        }
    }
    let mut lookups_left = MAX_LOOKUPS;
    for (at, path, target) in open {
        if !leads_somewhere(target, &tree, &passages, &mut lookups_left) {
            targets.push((at, path.to_owned()));
        }
    }
    targets
}

/// Walks `target`, going through other links, and says whether it ends at
/// something in the torrent.
fn leads_somewhere(
    target: &str,
    tree: &Tree,
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
            if tree.has_directory(branch) {
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

fn join(parent: &str, path: &str) -> String {
    match parent {
        "" => path.to_owned(),
        _ => format!("{parent}/{path}"),
    }
}
