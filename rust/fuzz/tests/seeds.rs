//! What is kept for the fuzz targets, played once: it needs no fuzzer, and keeps
//! what one has found mended.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use torrent_fuzz::TARGETS;

#[test]
fn all_seeds_are_survived() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let folders: BTreeSet<String> = entries(&seeds).map(|path| name(&path)).collect();
    let names: BTreeSet<String> = TARGETS.iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(folders, names, "each target has seeds");
    for target in TARGETS {
        for seed in entries(&seeds.join(target.name)) {
            println!("{} {}", target.name, name(&seed));
            (target.run)(&fs::read(seed).unwrap());
        }
    }
}

#[test]
#[should_panic = "found"]
fn the_canary_is_there_to_be_found() {
    (torrent_fuzz::CANARY.run)(b"bird");
}
