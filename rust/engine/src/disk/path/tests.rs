use std::os::unix::fs::symlink;
use std::path::Path;

use super::super::error::Fault;
use super::*;

#[test]
fn folders_are_created_and_nothing_is_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("new/root");
    let name = Path::new("a/b/file");
    assert_eq!(length(&root, name).unwrap(), None);
    // Only folders below the root.
    assert!(open(&root, name, Access::Write).is_err());
    assert!(!root.exists());
    std::fs::create_dir_all(&root).unwrap();
    assert!(open(&root, name, Access::Read).is_err());
    drop(open(&root, name, Access::Write).unwrap());
    std::fs::write(root.join(name), b"abc").unwrap();
    drop(open(&root, name, Access::Write).unwrap());
    assert_eq!(length(&root, name).unwrap(), Some(3));
}

#[test]
fn links_are_refused_wherever_they_lie_below_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), b"victim").unwrap();
    let real = dir.path().join("real");
    std::fs::create_dir(&real).unwrap();
    // The root may be a link.
    let root = dir.path().join("root");
    symlink(&real, &root).unwrap();
    symlink(&outside, root.join("folder")).unwrap();
    symlink(outside.join("victim"), root.join("leaf")).unwrap();
    symlink(outside.join("new"), root.join("dangling")).unwrap();
    for name in ["folder/victim", "folder/new", "leaf", "dangling"] {
        let name = Path::new(name);
        for access in [Access::Read, Access::Write] {
            assert!(matches!(open(&root, name, access), Err(Fault::Symlink)));
        }
        assert!(matches!(length(&root, name), Err(Fault::Symlink)));
        assert!(matches!(remove_file(&root, name), Err(Fault::Symlink)));
        assert!(remove_folder(&root, name).is_err());
    }
    assert!(open(&root, Path::new("own"), Access::Write).is_ok());
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert!(real.join("own").exists());
}

#[test]
fn only_regular_files_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for name in ["folder", "pipe"] {
        let name = Path::new(name);
        assert!(matches!(
            open(dir.path(), name, Access::Read),
            Err(Fault::NotAFile)
        ));
        assert!(open(dir.path(), name, Access::Write).is_err());
        assert!(matches!(length(dir.path(), name), Err(Fault::NotAFile)));
        assert!(remove_file(dir.path(), name).is_err());
    }
}

#[test]
fn a_rename_replaces_nothing_however_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for name in ["a", "b"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    let [a, b, c] = ["a", "b", "c/c"].map(Path::new);
    let reserved = |from: &Path, to: &Path| {
        let (old, old_leaf) = folder_of(root, from, false)?;
        let (new, new_leaf) = folder_of(root, to, true)?;
        unix::rename_reserved(&old, old_leaf, &new, new_leaf)
    };
    assert!(matches!(rename((root, a), (root, b)), Err(Fault::Exists)));
    assert!(matches!(reserved(a, b), Err(Fault::Exists)));
    assert_eq!(std::fs::read(root.join(b)).unwrap(), b"b");
    reserved(a, c).unwrap();
    rename((root, c), (root, a)).unwrap();
    assert_eq!(std::fs::read(root.join(a)).unwrap(), b"a");
    // What could not be renamed leaves no empty file.
    assert!(reserved(Path::new("none"), c).is_err());
    assert!(!root.join(c).exists());
    // Two names of one file are two files all the same.
    std::fs::hard_link(root.join(a), root.join("link")).unwrap();
    let link = Path::new("link");
    assert!(matches!(
        rename((root, a), (root, link)),
        Err(Fault::Exists)
    ));
}

#[test]
fn a_folder_goes_only_when_it_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (name, folder) = (Path::new("t/a/1"), Path::new("t/a"));
    drop(open(dir.path(), name, Access::Write).unwrap());
    assert!(remove_folder(dir.path(), folder).is_err());
    remove_file(dir.path(), name).unwrap();
    remove_file(dir.path(), name).unwrap();
    remove_folder(dir.path(), folder).unwrap();
    assert!(!dir.path().join("t/a").exists() && dir.path().join("t").exists());
}
