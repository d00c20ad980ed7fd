//! Which names a file of a torrent may be given: one judgement for renames,
//! for the names of a new torrent and for those that resume data maps files
//! to. A name is a plain path below the save path, and leads to no place that
//! another file of the torrent has or needs as a folder. Names that differ in
//! the case of letters alone are one: on some file systems they are, and
//! records travel.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use torrent_core::ids::FileIndex;
use torrent_core::metainfo::PathPolicy;

/// Why a file cannot have a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty, absolute, or has a part that is not a plain name, or none
    /// that the file system can store (on Windows: `CON`, `name.` and such).
    #[error("not a plain path below the save path: {}", .0.display())]
    Unsafe(PathBuf),
    /// Another file is there, or needs it as a folder, or is in the place of a
    /// folder on the way.
    #[error("{} is in the way of another file of the torrent, {}", .name.display(), .other.display())]
    Taken {
        /// The name in question.
        name: PathBuf,
        /// The other file.
        other: PathBuf,
    },
}

/// Judges the names of some files, `given`, where `all` are the names that all
/// files will have then, those included.
pub(crate) fn judge<'a, P: AsRef<Path>>(
    given: impl IntoIterator<Item = (FileIndex, &'a Path)>,
    all: impl IntoIterator<Item = (FileIndex, P)>,
) -> Result<(), NameError> {
    let mut names = HashMap::new();
    let mut folders = HashSet::new();
    for (file, name) in given {
        if !is_plain(name) || is_too_long(name) {
            return Err(NameError::Unsafe(name.to_owned()));
        }
        let folded = fold(name);
        folders.extend(above(&folded).map(str::to_owned));
        if let Some((_, other)) = names.insert(folded, (file, name)) {
            return Err(taken(name, other));
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    for (file, name) in all {
        let name = name.as_ref();
        let folded = fold(name);
        let mut on_the_way = above(&folded).chain([folded.as_str()]);
        let others = on_the_way.find_map(|it| names.get(it).filter(|(other, _)| *other != file));
        if let Some((_, other)) = others {
            return Err(taken(other, name));
        }
        if folders.contains(&folded) {
            let below = names
                .iter()
                .find(|(other, _)| above(other).any(|it| it == folded));
            let below = below.map_or(name, |(_, (_, below))| *below);
            return Err(taken(below, name));
        }
    }
    Ok(())
}

fn taken(name: &Path, other: &Path) -> NameError {
    NameError::Taken {
        name: name.to_owned(),
        other: other.to_owned(),
    }
}

/// The form in which names are compared: `/` between elements, letters folded.
pub(crate) fn fold(name: &Path) -> String {
    let mut plain = String::new();
    for part in name.components() {
        if !plain.is_empty() && !plain.ends_with('/') {
            plain.push('/');
        }
        match part {
            Component::RootDir if plain.ends_with('/') => {}
            Component::RootDir => plain.push('/'),
            _ => plain.push_str(&part.as_os_str().to_string_lossy()),
        }
    }
    let mut folded = String::with_capacity(plain.len());
    PathPolicy::HOST.fold_into(&plain, &mut folded);
    folded
}

/// The folders that a folded name is in.
fn above(folded: &str) -> impl Iterator<Item = &str> {
    folded.match_indices('/').map(|(end, _)| &folded[..end])
}

/// Whether every part of the path is a plain name that the file system can
/// store, and there is one.
pub(crate) fn is_plain(path: &Path) -> bool {
    !path.as_os_str().is_empty()
        && path.components().all(|part| match part {
            Component::Normal(name) => PathPolicy::HOST.can_store(&name.to_string_lossy()),
            _ => false,
        })
}

/// Whether a part of the path is longer than file systems take.
fn is_too_long(path: &Path) -> bool {
    path.iter().any(|part| match part.to_string_lossy() {
        // What stands for bytes that are no Unicode is longer than they are.
        Cow::Owned(_) if cfg!(unix) => part.len() > 255,
        part => PathPolicy::HOST.is_too_long(&part),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(given: &[(u32, &str)]) -> Result<(), NameError> {
        let all = [(0, "t/a"), (1, "t/sub/b"), (2, "t/c"), (3, ".parts")];
        let all = all.map(|(file, name)| {
            let other = given.iter().find(|(given, _)| *given == file);
            (FileIndex(file), other.map_or(name, |(_, name)| name))
        });
        let given = given
            .iter()
            .map(|&(file, name)| (FileIndex(file), Path::new(name)));
        judge(given, all)
    }

    #[test]
    fn a_name_may_be_anything_plain_that_no_other_file_has_or_needs() {
        for good in [
            &[][..],
            &[(0, "t/a")],
            &[(0, "T/A")],
            &[(0, "x")],
            &[(0, "t/sub/a")],
            &[(0, "t/b/c/d")],
            // They change places.
            &[(0, "t/c"), (2, "t/a")],
            &[(1, "t/sub")],
        ] {
            assert_eq!(judged(good), Ok(()), "{good:?}");
        }
        #[cfg(windows)]
        for bad in ["t/CON", "nul.txt", "a.", "a /b", "a:b", "C:a", "a\u{1}"] {
            assert!(judged(&[(0, bad)]).is_err(), "{bad:?}");
        }
        // Of 254 units, as Windows counts, and more bytes.
        let wide = "\u{1f3ae}".repeat(127);
        assert_eq!(judged(&[(0, &wide)]).is_ok(), cfg!(windows));
        let long = "n".repeat(256);
        for bad in [
            "",
            ".",
            "..",
            "a/../b",
            "/etc/passwd",
            "../a",
            "a\0b",
            &long,
        ] {
            let error = judged(&[(0, bad)]).unwrap_err();
            assert_eq!(error, NameError::Unsafe(bad.into()), "{bad:?}");
        }
        for bad in [
            &[(0, "t/c")][..],
            &[(0, "t/C")],
            &[(0, "t/sub/b")],
            &[(0, "t/sub")],
            &[(0, "t")],
            &[(0, "t/c/d/e")],
            &[(0, ".parts")],
            &[(0, ".parts/a")],
            &[(0, "x"), (1, "x")],
            &[(0, "x"), (1, "X/y")],
            &[(0, "x/y/z"), (1, "x/y")],
        ] {
            let error = judged(bad).unwrap_err();
            assert!(matches!(error, NameError::Taken { .. }), "{bad:?}");
        }
    }
}
