//! The place of one torrent: where its files are, or will be, below one
//! folder; and what two such places have in common.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;
use torrent_core::metainfo::{Info, Metainfo};

use crate::disk::{fold_name, is_case_blind, part_file_in, real};

/// Where the files of a torrent are.
#[derive(Clone, Debug)]
pub(crate) struct Area {
    /// Where the save path leads to.
    root: PathBuf,
    metainfo: Arc<Metainfo>,
    renamed: BTreeMap<FileIndex, String>,
    parts: PathBuf,
    /// One file alone.
    only: Option<FileIndex>,
    /// The topmost folders and files of it, folded.
    tops: Vec<String>,
}

/// One path in two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// Both torrents say that the same bytes are there.
    Same { theirs: FileIndex, ours: FileIndex },
    /// They do not, or one needs a folder where the other has a file.
    Clash { ours: FileIndex },
}

impl Area {
    /// The place of a torrent with this save path.
    pub(crate) fn new(
        save_path: &Path,
        metainfo: Arc<Metainfo>,
        renamed: BTreeMap<FileIndex, String>,
        part_file_dir: &Path,
    ) -> Self {
        Self {
            root: real(save_path),
            parts: part_file_in(part_file_dir, metainfo.info.hash),
            metainfo,
            renamed,
            only: None,
            tops: Vec::new(),
        }
        .topped()
    }

    /// The same in another folder.
    pub(super) fn at(&self, save_path: &Path) -> Self {
        Self {
            root: real(save_path),
            ..self.clone()
        }
        .topped()
    }

    /// The place of one file alone by another name.
    pub(super) fn of_one(&self, file: FileIndex, name: &str) -> Self {
        Self {
            renamed: [(file, name.to_owned())].into(),
            only: Some(file),
            ..self.clone()
        }
        .topped()
    }

    pub(super) fn rename(&mut self, file: FileIndex, name: &str) {
        self.renamed.insert(file, name.to_owned());
        *self = self.clone().topped();
    }

    fn topped(mut self) -> Self {
        let root = fold_name(&self.root);
        let first = |name: PathBuf| name.iter().next().map(|first| fold_name(first.as_ref()));
        let firsts: HashSet<_> = self.files().filter_map(|(_, name)| first(name)).collect();
        self.tops = firsts
            .into_iter()
            .map(|first| format!("{root}/{first}"))
            .collect();
        self
    }

    fn info(&self) -> &Info {
        &self.metainfo.info
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
        self.root.join(self.name(file))
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

    /// The pieces with bytes of a file.
    pub(super) fn pieces(&self, file: FileIndex) -> Range<u32> {
        self.info().layout.file_pieces(file)
    }

    /// What both have, if anything.
    pub(super) fn overlaps(&self, ours: &Self) -> Option<Vec<Overlap>> {
        let touch = |one: &String| ours.tops.iter().any(|other| lie_together(one, other));
        if !self.tops.iter().any(touch) {
            return None;
        }
        let overlaps = self.compare(ours, true);
        // Names that differ in the case of letters only may be two.
        let overlaps = if overlaps.is_empty() || is_case_blind(&self.root) {
            overlaps
        } else {
            self.compare(ours, false)
        };
        (!overlaps.is_empty()).then_some(overlaps)
    }

    fn compare(&self, ours: &Self, folded: bool) -> Vec<Overlap> {
        let key = |path: PathBuf| match folded {
            true => PathBuf::from(fold_name(&path)),
            false => path,
        };
        let mut files = HashMap::new();
        let mut folders = HashSet::new();
        for (file, name) in self.files() {
            let path = key(self.root.join(name));
            folders.extend(path.ancestors().skip(1).map(Path::to_owned));
            files.insert(path, file);
        }
        let mut overlaps = Vec::new();
        for (file, name) in ours.files() {
            let path = key(ours.root.join(name));
            if let Some(&theirs) = files.get(&path) {
                overlaps.push(match self.is_same(theirs, ours, file) {
                    true => Overlap::Same { theirs, ours: file },
                    false => Overlap::Clash { ours: file },
                });
            } else if folders.contains(&path)
                || path.ancestors().any(|above| files.contains_key(above))
            {
                overlaps.push(Overlap::Clash { ours: file });
            }
        }
        overlaps
    }

    /// Whether both say the same of a file: its length, and the hashes of the
    /// same pieces at the same offsets.
    fn is_same(&self, file: FileIndex, ours: &Self, our_file: FileIndex) -> bool {
        let describe = |area: &Self, file: FileIndex| {
            let info = area.info();
            let place = info.layout.files().get(file.0 as usize)?;
            let unit = u64::from(info.layout.piece_length());
            let pieces = area.pieces(file);
            let hashes = pieces.start as usize * HASH..pieces.end as usize * HASH;
            let hashes = info.piece_hashes().get(hashes)?.to_vec();
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

/// Bytes in a SHA-1.
const HASH: usize = 20;

/// Whether one of two folded paths is the other, or lies below it.
fn lie_together(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let rest = long.strip_prefix(short);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
