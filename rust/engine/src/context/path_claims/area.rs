//! The place of one torrent: where its files are, or will be, below one
//! folder; and what two such places have in common.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;
use torrent_core::metainfo::{Info, Metainfo};

use crate::disk::{FileId, fold_name, linked, part_file_in, real};

/// Where the files of a torrent are.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedPaths {
    /// The save path as it was given.
    given: NamedFolder,
    /// Where that leads to, once it was looked up.
    real: NamedFolder,
    metainfo: Arc<Metainfo>,
    renamed: BTreeMap<FileIndex, String>,
    parts: PathBuf,
    /// One file alone.
    only: Option<FileIndex>,
    /// The first components of its names, folded.
    firsts: Arc<HashSet<String>>,
}

/// A folder, by one of its names.
#[derive(Clone, Debug)]
struct NamedFolder {
    path: PathBuf,
    /// The topmost folders and files of the torrent in it, folded.
    tops: Vec<String>,
}

/// By which name of the folder places are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Given,
    Real,
}

/// One path in two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    pub(super) ours: FileIndex,
    /// Their file, if both torrents say that the same bytes are in it. `None`
    /// where they do not, or one needs a folder where the other has a file.
    pub(super) same: Option<FileIndex>,
    /// They are two names of one file.
    pub(super) by_link: bool,
}

/// Paths may be the same, if names below this folder are compared without
/// regard to case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IfBlind(pub(super) PathBuf);

impl ClaimedPaths {
    /// The place of a torrent with this save path, an absolute one. What is on
    /// disk is not looked at.
    pub(crate) fn new(
        save_path: &Path,
        metainfo: Arc<Metainfo>,
        renamed: BTreeMap<FileIndex, String>,
        part_file_dir: &Path,
    ) -> Self {
        let root = |path: &Path| NamedFolder {
            path: path.to_owned(),
            tops: Vec::new(),
        };
        let area = Self {
            given: root(save_path),
            real: root(save_path),
            parts: part_file_in(part_file_dir, metainfo.info.hash()),
            metainfo,
            renamed,
            only: None,
            firsts: Arc::default(),
        };
        area.with_names_known()
    }

    /// The same in another folder, which is not looked at.
    pub(super) fn at(&self, save_path: &Path) -> Self {
        let mut area = self.clone();
        area.given.path = save_path.to_owned();
        area.real.path = save_path.to_owned();
        area.with_tops()
    }

    /// The same with a look at where its folder leads to.
    pub(super) fn looked_up(mut self) -> Self {
        self.real.path = real(&self.given.path);
        self.with_tops()
    }

    /// The place of one file alone by another name.
    pub(super) fn of_one(&self, file: FileIndex, name: &str) -> Self {
        Self {
            renamed: [(file, name.to_owned())].into(),
            only: Some(file),
            ..self.clone()
        }
        .with_names_known()
    }

    pub(super) fn rename(&mut self, file: FileIndex, name: &str) {
        self.renamed.insert(file, name.to_owned());
        *self = self.clone().with_names_known();
    }

    /// Reads all names once; a torrent may have many.
    fn with_names_known(mut self) -> Self {
        let first = |name: PathBuf| name.iter().next().map(|first| fold_name(first.as_ref()));
        let firsts = self.files().filter_map(|(_, name)| first(name)).collect();
        self.firsts = Arc::new(firsts);
        self.with_tops()
    }

    fn with_tops(mut self) -> Self {
        for root in [&mut self.given, &mut self.real] {
            let folder = fold_folder(&root.path);
            let tops = self.firsts.iter().map(|first| format!("{folder}/{first}"));
            root.tops = tops.collect();
        }
        self
    }

    fn info(&self) -> &Info {
        &self.metainfo.info
    }

    fn root(&self, by: By) -> &NamedFolder {
        match by {
            By::Given => &self.given,
            By::Real => &self.real,
        }
    }

    fn parts_file(&self) -> FileIndex {
        FileIndex(self.info().files.len() as u32)
    }

    fn name(&self, file: FileIndex) -> PathBuf {
        if file == self.parts_file() {
            return self.parts.clone();
        }
        let name = self.renamed.get(&file).cloned();
        name.unwrap_or_else(|| self.info().files.path(file.0 as usize))
            .into()
    }

    /// The full path of a file.
    pub(super) fn path(&self, file: FileIndex) -> PathBuf {
        self.real.path.join(self.name(file))
    }

    /// The files that have a place, and the part file.
    fn files(&self) -> impl Iterator<Item = (FileIndex, PathBuf)> {
        let all = match self.only {
            Some(file) => file.0..file.0 + 1,
            None => 0..self.parts_file().0 + 1,
        };
        let placed = all.filter(|&file| !self.info().files.is_pad(file as usize));
        placed.map(|file| (FileIndex(file), self.name(FileIndex(file))))
    }

    /// Looks which of the files have other names too, in this place or
    /// elsewhere.
    pub(super) fn linked_files(&self) -> impl Iterator<Item = (FileIndex, FileId)> {
        self.files()
            .filter_map(|(file, name)| Some((file, linked(&self.real.path, &name)?)))
    }

    /// The pieces with bytes of a file.
    pub(super) fn pieces(&self, file: FileIndex) -> Range<u32> {
        self.info().layout.file_pieces(file)
    }

    /// What both have, as far as the names say that were given. More may turn
    /// out when their folders are looked up, but not less.
    pub(super) fn overlaps_by_name(&self, ours: &Self) -> Vec<Overlap> {
        // Where this leads to depends on what is on disk.
        let is_open = |area: &Self| {
            let mut parts = area.given.path.components();
            parts.any(|part| part == Component::ParentDir)
        };
        if is_open(self) || is_open(ours) || !self.is_near(ours, By::Given) {
            return Vec::new();
        }
        self.compare(ours, By::Given, false)
    }

    /// What both have, where they are. `is_blind` knows whether a folder
    /// compares names without regard to case, if that was looked up.
    pub(super) fn overlaps(
        &self,
        ours: &Self,
        is_blind: impl Fn(&Path) -> Option<bool>,
    ) -> Result<Vec<Overlap>, IfBlind> {
        if !self.is_near(ours, By::Real) {
            return Ok(Vec::new());
        }
        let folded = self.compare(ours, By::Real, true);
        let exact = match folded.is_empty() {
            true => return Ok(folded),
            false => self.compare(ours, By::Real, false),
        };
        if exact == folded {
            return Ok(exact);
        }
        match is_blind(&self.real.path) {
            Some(true) => Ok(folded),
            Some(false) => Ok(exact),
            None => Err(IfBlind(self.real.path.clone())),
        }
    }

    /// A file that would be in `folder`, or in its place, as far as the names
    /// say that were given. More may turn out when both are looked up.
    pub(super) fn in_folder_by_name(&self, folder: &Path) -> Option<PathBuf> {
        self.find_in(folder, By::Given, false)
    }

    /// A file that would be in `folder`, or in its place, where both are.
    /// `is_blind` knows whether names there are compared without regard to case.
    pub(super) fn in_folder(
        &self,
        folder: &Path,
        is_blind: impl FnOnce() -> bool,
    ) -> Option<PathBuf> {
        let folded = self.find_in(folder, By::Real, true)?;
        self.find_in(folder, By::Real, false)
            .or_else(|| is_blind().then_some(folded))
    }

    fn find_in(&self, folder: &Path, by: By, folded: bool) -> Option<PathBuf> {
        let root = self.root(by);
        let name = fold_folder(folder);
        if !root.tops.iter().any(|top| lie_together(top, &name)) {
            return None;
        }
        let key = |path: &Path| match folded {
            true => PathBuf::from(fold_name(path)),
            false => path.to_owned(),
        };
        let folder = key(folder);
        let mut paths = self.files().map(|(_, name)| root.path.join(name));
        paths.find(|path| {
            let path = key(path);
            path.starts_with(&folder) || folder.starts_with(&path)
        })
    }

    /// Whether a top of one is a top of the other, or is below it.
    fn is_near(&self, ours: &Self, by: By) -> bool {
        let (theirs, ours) = (&self.root(by).tops, &ours.root(by).tops);
        let touch = |one: &String| ours.iter().any(|other| lie_together(one, other));
        theirs.iter().any(touch)
    }

    fn compare(&self, ours: &Self, by: By, folded: bool) -> Vec<Overlap> {
        let key = |path: PathBuf| match folded {
            true => PathBuf::from(fold_name(&path)),
            false => path,
        };
        let mut files = HashMap::new();
        let mut folders = HashSet::new();
        for (file, name) in self.files() {
            let path = key(self.root(by).path.join(name));
            folders.extend(path.ancestors().skip(1).map(Path::to_owned));
            files.insert(path, file);
        }
        let mut overlaps = Vec::new();
        for (file, name) in ours.files() {
            let path = key(ours.root(by).path.join(name));
            let same = if let Some(&theirs) = files.get(&path) {
                self.is_same(theirs, ours, file).then_some(theirs)
            } else if folders.contains(&path)
                || path.ancestors().any(|above| files.contains_key(above))
            {
                None
            } else {
                continue;
            };
            overlaps.push(Overlap {
                ours: file,
                same,
                by_link: false,
            });
        }
        overlaps
    }

    /// Of two files that are one by different names.
    pub(super) fn link(&self, theirs: FileIndex, ours: &Self, our_file: FileIndex) -> Overlap {
        let is_same = self.is_same(theirs, ours, our_file);
        Overlap {
            ours: our_file,
            same: is_same.then_some(theirs),
            by_link: true,
        }
    }

    /// Whether both say the same of a file: its length, and the hashes of the
    /// same pieces at the same offsets.
    fn is_same(&self, file: FileIndex, ours: &Self, our_file: FileIndex) -> bool {
        let describe = |area: &Self, file: FileIndex| {
            let info = area.info();
            let place = info.layout.files().get(file.0 as usize)?;
            let unit = u64::from(info.layout.piece_length());
            let hashes = info.piece_hashes().slice(area.pieces(file))?;
            let mut links = info.files.links();
            let link = links
                .find(|(link, _)| *link == file.0)
                .map(|(_, target)| target);
            Some((place.length, unit, place.offset % unit, hashes, link))
        };
        let theirs = describe(self, file);
        theirs.is_some() && theirs == describe(ours, our_file)
    }
}

/// A folder, folded. That of a root ends with a separator otherwise, unlike others.
fn fold_folder(folder: &Path) -> String {
    let mut name = fold_name(folder);
    name.truncate(name.trim_end_matches('/').len());
    name
}

/// Whether one of two folded paths equals the other, or is below it.
fn lie_together(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let rest = long.strip_prefix(short);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A torrent of one file in `folder`, with pieces that `hash` stands for.
    fn area(folder: &str, name: &str, hash: u8) -> ClaimedPaths {
        let mut torrent = b"d4:infod6:lengthi16384e".to_vec();
        torrent.extend(format!("4:name{}:{name}", name.len()).bytes());
        torrent.extend(b"12:piece lengthi16384e6:pieces20:");
        torrent.extend([hash; 20]);
        torrent.extend(b"ee");
        let metainfo = Arc::new(Metainfo::parse(&torrent).unwrap());
        ClaimedPaths::new(Path::new(folder), metainfo, BTreeMap::new(), Path::new(""))
    }

    const FILE: FileIndex = FileIndex(0);

    const CLASH: Overlap = Overlap {
        ours: FILE,
        same: None,
        by_link: false,
    };

    #[test]
    fn names_that_differ_in_case_are_one_where_the_file_system_says_so() {
        let one = area("/games", "data", 1);
        for (other, hash, same) in [
            (area("/games", "DATA", 1), 1, Some(FILE)),
            (area("/GAMES", "data", 2), 2, None),
        ] {
            let overlap = Overlap { same, ..CLASH };
            let folder = one.real.path.clone();
            assert_eq!(one.overlaps(&other, |_| None), Err(IfBlind(folder)));
            assert_eq!(one.overlaps(&other, |_| Some(true)), Ok(vec![overlap]));
            assert_eq!(one.overlaps(&other, |_| Some(false)), Ok(vec![]), "{hash}");
            // The names that were given say nothing of it.
            assert_eq!(one.overlaps_by_name(&other), []);
        }
        // Where it makes no difference nothing has to be found out.
        let same = area("/games", "data", 2);
        assert_eq!(one.overlaps(&same, |_| None), Ok(vec![CLASH]));
        let none = area("/games", "date", 2);
        assert_eq!(one.overlaps(&none, |_| None), Ok(vec![]));
    }

    #[test]
    fn a_folder_of_its_own_has_no_files_of_a_torrent() {
        for (save_path, name, lies_there) in [
            ("/games/state", "data", true),
            ("/games/state/torrents", "data", true),
            ("/games", "state", true),
            ("/games", "state2", false),
            ("/games/state2", "data", false),
            ("/", "games", true),
            ("/", "data", false),
        ] {
            let area = area(save_path, name, 1);
            let found = area.in_folder_by_name(Path::new("/games/state"));
            assert_eq!(found.is_some(), lies_there, "{save_path} {name}");
            let found = area.in_folder(Path::new("/games/state"), || false);
            assert_eq!(found.is_some(), lies_there, "{save_path} {name}");
            for is_blind in [false, true] {
                let found = area.in_folder(Path::new("/Games/STATE"), || is_blind);
                assert_eq!(found.is_some(), lies_there && is_blind);
            }
        }
    }

    #[test]
    fn what_the_names_alone_say_is_true_wherever_they_lead() {
        let one = area("/games", "data", 1);
        for (folder, name, clashes) in [
            ("/games", "data", true),
            ("/games/./", "data", true),
            // It is below what the other one has as a file.
            ("/games/data", "x", true),
            ("/", "games", true),
            ("/", "data", false),
            // This may be anywhere.
            ("/games/data/..", "data", false),
            ("/games/../games", "data", false),
        ] {
            let other = area(folder, name, 2);
            let clash = (!one.overlaps_by_name(&other).is_empty()).then_some(());
            assert_eq!(clash.is_some(), clashes, "{folder} {name}");
        }
    }
}
