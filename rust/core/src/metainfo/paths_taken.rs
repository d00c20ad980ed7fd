//! One path, one file: gives another name to a file whose path is taken by a
//! directory or by an earlier file, comparing as file systems do that ignore
//! the case of letters. A torrent must come out alike everywhere.
//!
//! Paths are compared by the hash of their folded form. Two paths with one
//! hash only cost the second a needless new name. The hashes lie in sorted
//! lists: a table of them all would take several times the memory.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::error::MetainfoError;
use super::files::Files;
use super::path::{PathPolicy, numbered};

/// Renames `name.ext` to `name.1.ext`, `name.2.ext`, … where needed. Padding
/// of one size may share a path, since it is not stored. Stops after
/// `limit` names that are taken too.
pub(super) fn resolve(
    files: &mut Files,
    limit: usize,
    policy: PathPolicy,
) -> Result<(), MetainfoError> {
    let mut taken = Taken::by(files, policy);
    if taken.is_each_free() {
        return Ok(());
    }
    let mut tries_left = limit;
    for index in 0..files.len() {
        let (path, below) = files.below_root(index);
        let hash = taken.hasher.hash(path, below);
        let pads_share = |other: usize| {
            files.is_pad(index) && files.is_pad(other) && files.length(index) == files.length(other)
        };
        match taken.owner(hash, index) {
            None => {}
            Some(PathOwner::File(other)) if pads_share(other) => {}
            Some(_) => {
                let path = taken.free_name(path, below, index, &mut tries_left)?;
                files.rename(index, &path)?;
            }
        }
    }
    Ok(())
}

/// Who has a path.
enum PathOwner {
    Directory,
    File(usize),
}

/// Which paths are taken.
struct Taken {
    hasher: PathHasher,
    /// No file may take the name of one. Sorted.
    directories: Vec<u64>,
    /// The files under the names that the torrent gives them. Sorted.
    files: Vec<(u64, u32)>,
    /// The files under their new names.
    renamed: HashMap<u64, u32>,
}

impl Taken {
    fn by(files: &Files, policy: PathPolicy) -> Self {
        let mut hasher = PathHasher::new(files.root(), policy);
        let mut directories = Vec::new();
        let mut by_hash = Vec::with_capacity(files.len());
        let mut last_parent = None;
        for index in 0..files.len() {
            let (path, below) = files.below_root(index);
            let parent = (path.rsplit_once('/').map(|(parent, _)| parent), below);
            let known = last_parent == Some(parent);
            last_parent = Some(parent);
            let mut whole = 0;
            hasher.for_each_prefix(path, below, |hash, is_whole| match is_whole {
                true => whole = hash,
                false if known => {}
                false => directories.push(hash),
            });
            by_hash.push((whole, index as u32));
        }
        directories.sort_unstable();
        directories.dedup();
        by_hash.sort_unstable();
        Self {
            hasher,
            directories,
            files: by_hash,
            renamed: HashMap::new(),
        }
    }

    /// Whether all names are different: the common case.
    fn is_each_free(&self) -> bool {
        let twice = self
            .files
            .array_windows()
            .any(|[one, other]| one.0 == other.0);
        let is_directory = |(hash, _): &(u64, u32)| self.directories.binary_search(hash).is_ok();
        !twice && !self.files.iter().any(is_directory)
    }

    /// Who had a path before the file `index` wants it.
    fn owner(&self, hash: u64, index: usize) -> Option<PathOwner> {
        if self.directories.binary_search(&hash).is_ok() {
            return Some(PathOwner::Directory);
        }
        if let Some(&file) = self.renamed.get(&hash) {
            return Some(PathOwner::File(file as usize));
        }
        // Where an earlier file had to take another name, a later file has
        // this one all the more.
        let at = self.files.partition_point(|&(other, _)| other < hash);
        let &(first, file) = self.files.get(at)?;
        (first == hash && (file as usize) < index).then_some(PathOwner::File(file as usize))
    }

    /// Finds and takes a free name like `path`.
    fn free_name(
        &mut self,
        path: &str,
        below: bool,
        index: usize,
        tries_left: &mut usize,
    ) -> Result<String, MetainfoError> {
        let leaf = path.rfind('/').map_or(0, |slash| slash + 1);
        let (folder, name) = path.split_at(leaf);
        for number in 1u32.. {
            let candidate = format!("{folder}{}", numbered(name, number, self.hasher.policy));
            let hash = self.hasher.hash(&candidate, below);
            if self.owner(hash, index).is_none() {
                self.renamed.insert(hash, index as u32);
                return Ok(candidate);
            }
            *tries_left = tries_left
                .checked_sub(1)
                .ok_or(MetainfoError::TooManyDuplicates)?;
        }
        Err(MetainfoError::TooManyDuplicates)
    }
}

/// Hashes paths, complete ones, in their folded form.
struct PathHasher {
    policy: PathPolicy,
    /// After the torrent's folder and the separator behind it.
    below_root: DefaultHasher,
    /// The hash of the folder itself, if there is one.
    root: Option<u64>,
    folded: String,
}

impl PathHasher {
    fn new(root: &str, policy: PathPolicy) -> Self {
        let mut below_root = DefaultHasher::new();
        let mut folded = String::new();
        policy.fold_into(root, &mut folded);
        below_root.write(folded.as_bytes());
        let root = (!root.is_empty()).then(|| below_root.finish());
        below_root.write(b"/");
        Self {
            policy,
            below_root,
            root,
            folded,
        }
    }

    /// Calls `visit` with the hash of every directory on the way to `path`, and
    /// last of `path` itself, for which it says so.
    fn for_each_prefix(&mut self, path: &str, below: bool, mut visit: impl FnMut(u64, bool)) {
        let mut hasher = match below {
            true => {
                self.root.into_iter().for_each(|root| visit(root, false));
                self.below_root.clone()
            }
            false => DefaultHasher::new(),
        };
        self.folded.clear();
        self.policy.fold_into(path, &mut self.folded);
        let mut elements = self.folded.split('/').peekable();
        while let Some(element) = elements.next() {
            hasher.write(element.as_bytes());
            visit(hasher.finish(), elements.peek().is_none());
            hasher.write(b"/");
        }
    }

    fn hash(&mut self, path: &str, below: bool) -> u64 {
        let mut last = 0;
        self.for_each_prefix(path, below, |hash, _| last = hash);
        last
    }
}
