//! Where a path leads: symbolic links followed and `..` taken back, as far as
//! there is something; what is not there yet is added as it stands.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Links that are followed where they lead to nothing.
const MAX_LINKS: u32 = 40;

/// The absolute path by which the same place is always known.
pub(crate) fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut rest: Vec<OsString> = Vec::new();
    let mut known = path.clone();
    let mut links = 0;
    let mut real = loop {
        match std::fs::canonicalize(&known) {
            Ok(real) => break usual_form(real),
            Err(error) if is_absence(&error) => {
                // A link to something that is not there, as to a disk that is
                // not mounted: the place that it leads to counts.
                if links < MAX_LINKS
                    && let Ok(target) = std::fs::read_link(&known)
                {
                    links += 1;
                    known.pop();
                    known.push(target);
                    continue;
                }
            }
            // Not for us to look at: it counts as it stands.
            Err(_) => return plain(&path),
        }
        let mut parts = known.components();
        match parts.next_back() {
            Some(Component::Normal(name)) => rest.push(name.to_owned()),
            Some(Component::ParentDir) => rest.push(OsString::from("..")),
            Some(Component::CurDir) => {}
            Some(Component::RootDir | Component::Prefix(_)) | None => return plain(&path),
        }
        known = parts.as_path().to_owned();
    };
    for part in rest.into_iter().rev() {
        if part == ".." {
            real.pop();
        } else {
            real.push(part);
        }
    }
    real
}

/// Windows names what it has looked up in a form (`\\?\C:\games`) in which `/` is
/// no separator, and which compares with no other.
fn usual_form(real: PathBuf) -> PathBuf {
    let Some(path) = real.to_str().filter(|_| cfg!(windows)) else {
        return real;
    };
    match path.strip_prefix(r"\\?\UNC\") {
        Some(share) => format!(r"\\{share}").into(),
        None => match path.strip_prefix(r"\\?\") {
            Some(local) if local.get(1..3) == Some(r":\") => local.into(),
            _ => real,
        },
    }
}

pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Without a look at what is there.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// Whether names that differ in the case of letters alone are one below
/// `folder`. Where that cannot be found out, it is as usual on the system.
pub(crate) fn is_case_blind(folder: &Path) -> bool {
    let usual = cfg!(any(windows, target_vendor = "apple", target_os = "android"));
    let Some(folder) = folder.ancestors().find(|folder| folder.is_dir()) else {
        return usual;
    };
    let name = format!(".godot-torrent-{:08x}-CASE", rand::random::<u32>());
    let (probe, other) = (folder.join(&name), folder.join(name.to_lowercase()));
    if std::fs::File::create_new(&probe).is_err() {
        return usual;
    }
    let blind = std::fs::symlink_metadata(other).is_ok();
    if let Err(error) = std::fs::remove_file(&probe) {
        tracing::warn!(file = %probe.display(), %error, "a probe stays");
    }
    blind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_has_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = real(dir.path());
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        for (path, expected) in [
            ("a/b", "a/b"),
            ("a/../a/./b", "a/b"),
            ("a/b/../new/x", "a/new/x"),
            ("new/../a/b", "a/b"),
            ("new/x/..", "new"),
        ] {
            assert_eq!(real(&dir.path().join(path)), root.join(expected), "{path}");
        }
        #[cfg(windows)]
        {
            let upper = root.to_string_lossy().to_uppercase();
            assert_eq!(real(Path::new(&upper)), root);
            assert!(!root.to_string_lossy().starts_with(r"\\?\"));
            for (verbatim, usual) in [
                (r"\\?\C:\a", r"C:\a"),
                (r"\\?\UNC\server\share\a", r"\\server\share\a"),
                (r"\\?\Volume{1}\a", r"\\?\Volume{1}\a"),
                (r"C:\a", r"C:\a"),
            ] {
                assert_eq!(usual_form(verbatim.into()), Path::new(usual));
            }
        }
        #[cfg(unix)]
        {
            assert_eq!(root, dir.path().canonicalize().unwrap());
            std::os::unix::fs::symlink(root.join("a/b"), root.join("link")).unwrap();
            assert_eq!(real(&root.join("link/x")), root.join("a/b/x"));
            assert_eq!(real(&root.join("link/../x")), root.join("a/x"));
            // To nothing, and to itself.
            std::os::unix::fs::symlink("none/dir", root.join("a/dangling")).unwrap();
            assert_eq!(real(&root.join("a/dangling/x")), root.join("a/none/dir/x"));
            std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
            assert_eq!(real(&root.join("loop/x")), root.join("loop/x"));
        }
    }
}
