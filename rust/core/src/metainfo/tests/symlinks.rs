//! Where symbolic links may lead.

use super::*;

fn link(path: &[&str], target: &[&str]) -> Pairs {
    let target = target.iter().copied().collect::<Item>();
    with(
        with(file(path.iter(), 0), "attr", "l"),
        "symlink path",
        target,
    )
}

/// The targets of `links`, below the torrent's folder, in a torrent that also
/// has `a`, `d/b` and `d/e/c`.
fn targets(links: Vec<Pairs>) -> Vec<String> {
    let plain = [
        file(["a"], 1),
        file(["d", "b"], 1),
        file(["d", "e", "c"], 1),
    ];
    let metainfo = parse(torrent(multi(plain.into_iter().chain(links), 3))).unwrap();
    check_invariants(&metainfo);
    let targets = metainfo.info.files.iter().filter_map(|file| file.symlink);
    targets
        .map(|target| target.strip_prefix("root/").unwrap().to_owned())
        .collect()
}

#[test]
fn links_lead_to_files_and_folders_of_the_torrent() {
    let links = vec![
        link(&["l1"], &["a"]),
        link(&["l2"], &["d"]),
        link(&["l3"], &["d", "e"]),
        // Relative to where the link is.
        link(&["d", "l4"], &["b"]),
        link(&["d", "l5"], &["e", "c"]),
        // Through other links.
        link(&["l6"], &["l2", "b"]),
        link(&["l7"], &["l2", "e", "c"]),
        link(&["l8"], &["l1"]),
    ];
    assert_eq!(
        targets(links),
        ["a", "d", "d/e", "d/b", "d/e/c", "l2/b", "l2/e/c", "l1"]
    );
}

#[test]
fn links_to_elsewhere_point_at_themselves() {
    let links = vec![
        link(&["l1"], &["nowhere"]),
        link(&["l2"], &["..", "..", "etc", "passwd"]),
        link(&["d", "l3"], &["/etc/passwd"]),
        link(&["l4"], &["l5", "x"]),
        link(&["l5"], &["l4", "x"]),
        link(&["l6"], &["a", "b"]),
    ];
    assert_eq!(targets(links), ["l1", "l2", "d/l3", "l4", "l5", "l6"]);
}

#[test]
fn dots_in_targets_are_dropped_and_empty_targets_make_no_link() {
    let links = vec![
        link(&["l1"], &["..", ".", "a"]),
        link(&["l2"], &[".."]),
        link(&["l3"], &[]),
        without(link(&["l4"], &["a"]), "symlink path"),
    ];
    assert_eq!(targets(links), ["a"]);
}

#[test]
fn tangles_of_links_cost_little() {
    // Each link leads through the next one, and each step grows the path.
    let count = 20_000;
    let links = (0..count).map(|at| {
        let next = format!("l{}", at + 1);
        link(&[&format!("l{at}")], &[&next, "x", "x", "x", "x"])
    });
    let found = targets(links.collect());
    assert_eq!(found.len(), count);
    assert!(
        found
            .iter()
            .zip(0..)
            .all(|(target, at)| *target == format!("l{at}"))
    );
}
