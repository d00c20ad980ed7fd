//! One path, one file: gives another name to a file whose path is taken by a
//! directory or by an earlier file, comparing as file systems do that ignore
//! the case of letters. A torrent must come out alike everywhere.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hasher};

use super::error::MetainfoError;
use super::files::FileEntry;
use super::path::PathPolicy;

/// Who has a path.
#[derive(Clone, Copy)]
enum Owner {
    Directory,
    File(usize),
}

/// Paths by the hash of their folded form. Two paths with one hash only cost
/// the second a needless new name.
type Taken = HashMap<u64, Owner>;

/// Renames `name.ext` to `name.1.ext`, `name.2.ext`, … where needed. Padding
/// of one size may share a path, since nobody stores it. Gives up after
/// `limit` names that are taken too.
pub(super) fn resolve(
    files: &mut [FileEntry],
    limit: usize,
    policy: PathPolicy,
) -> Result<(), MetainfoError> {
    let mut taken = Taken::with_capacity(files.len());
    // Directories first: no file may take the name of one.
    let mut last_parent = None;
    for file in files.iter() {
        let parent = file.path.rsplit_once('/').map(|(parent, _)| parent);
        if parent.is_some() && parent != last_parent {
            last_parent = parent;
            for_each_prefix(&policy.fold(&file.path), |hash, is_whole| {
                if !is_whole {
                    taken.insert(hash, Owner::Directory);
                }
            });
        }
    }
    let mut tries_left = limit;
    for index in 0..files.len() {
        let Some(file) = files.get(index) else { break };
        let owner = match taken.entry(hash(&policy.fold(&file.path))) {
            Entry::Vacant(free) => {
                free.insert(Owner::File(index));
                continue;
            }
            Entry::Occupied(occupied) => *occupied.get(),
        };
        if let Owner::File(other) = owner
            && let Some(other) = files.get(other)
            && file.pad
            && other.pad
            && file.length == other.length
        {
            continue;
        }
        let path = free_name(&file.path, index, &mut taken, &mut tries_left, policy)?;
        if let Some(file) = files.get_mut(index) {
            file.path = path;
        }
    }
    Ok(())
}

/// Finds and takes a free name like `path`.
fn free_name(
    path: &str,
    index: usize,
    taken: &mut Taken,
    tries_left: &mut usize,
    policy: PathPolicy,
) -> Result<String, MetainfoError> {
    let leaf = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = path
        .rfind('.')
        .filter(|&dot| dot >= leaf)
        .unwrap_or(path.len());
    let (base, extension) = path.split_at(dot);
    for number in 1u32.. {
        let candidate = format!("{base}.{number}{extension}");
        if let Entry::Vacant(free) = taken.entry(hash(&policy.fold(&candidate))) {
            free.insert(Owner::File(index));
            return Ok(candidate);
        }
        *tries_left = tries_left
            .checked_sub(1)
            .ok_or(MetainfoError::TooManyDuplicates)?;
    }
    Err(MetainfoError::TooManyDuplicates)
}

fn hash(folded: &str) -> u64 {
    let mut last = 0;
    for_each_prefix(folded, |hash, _| last = hash);
    last
}

/// Calls `visit` with the hash of every directory on the way to `path`, and
/// last of `path` itself.
fn for_each_prefix(path: &str, mut visit: impl FnMut(u64, bool)) {
    let mut hasher = DefaultHasher::new();
    let mut elements = path.split('/').peekable();
    while let Some(element) = elements.next() {
        hasher.write(element.as_bytes());
        visit(hasher.finish(), elements.peek().is_none());
        hasher.write(b"/");
    }
}
