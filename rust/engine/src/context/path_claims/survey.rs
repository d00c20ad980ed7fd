//! What a look at the disk says of places that a torrent wants: the decision
//! who has them is made under a lock, and looks at nothing itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;

use super::area::{ClaimedPaths, IfBlind, Overlap};
use crate::disk::{FileId, is_case_blind};

/// Places that are wanted, and what is known of them.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) areas: Vec<Arc<ClaimedPaths>>,
    /// For each of them the files that have other names too.
    linked: Vec<HashMap<FileId, FileIndex>>,
    blind: HashMap<PathBuf, bool>,
    /// Which files of a wanted place (by its index) and of a taken one (by its
    /// number) are one: theirs and ours.
    links: HashMap<(usize, u64), Vec<(FileIndex, FileIndex)>>,
}

/// Something that has to be looked up before it can be decided.
#[derive(Debug)]
pub(super) enum PendingLook {
    /// Whether names in a folder are compared without regard to case.
    Blind(PathBuf),
    /// Which files of a taken place are files of a wanted one.
    Links {
        wanted: usize,
        number: u64,
        taken: Arc<ClaimedPaths>,
    },
}

impl Survey {
    /// Looks at places that are wanted. Waits for the disk.
    pub(super) fn of(areas: Vec<ClaimedPaths>) -> Self {
        let linked =
            |area: &ClaimedPaths| area.linked_files().map(|(file, id)| (id, file)).collect();
        Self {
            linked: areas.iter().map(linked).collect(),
            areas: areas.into_iter().map(Arc::new).collect(),
            blind: HashMap::new(),
            links: HashMap::new(),
        }
    }

    /// Finds out more. Waits for the disk.
    pub(super) fn answer(&mut self, pending_looks: Vec<PendingLook>) {
        for pending_look in pending_looks {
            match pending_look {
                PendingLook::Blind(folder) => {
                    let blind = is_case_blind(&folder);
                    self.blind.insert(folder, blind);
                }
                PendingLook::Links {
                    wanted,
                    number,
                    taken,
                } => {
                    let theirs = taken.linked_files();
                    let one = theirs.filter_map(|(theirs, id)| {
                        Some((theirs, *self.linked.get(wanted)?.get(&id)?))
                    });
                    let one = one.collect();
                    self.links.insert((wanted, number), one);
                }
            }
        }
    }

    /// What a wanted place and a taken one have in common.
    pub(super) fn overlaps(
        &self,
        wanted: usize,
        number: u64,
        taken: &Arc<ClaimedPaths>,
    ) -> Result<Vec<Overlap>, PendingLook> {
        let Some(ours) = self.areas.get(wanted) else {
            return Ok(Vec::new());
        };
        let is_blind = |folder: &Path| self.blind.get(folder).copied();
        let mut overlaps = taken
            .overlaps(ours, is_blind)
            .map_err(|IfBlind(folder)| PendingLook::Blind(folder))?;
        if self.linked.get(wanted).is_some_and(|it| !it.is_empty()) {
            let links = self.links.get(&(wanted, number));
            let links = links.ok_or_else(|| PendingLook::Links {
                wanted,
                number,
                taken: Arc::clone(taken),
            })?;
            for &(theirs, file) in links {
                // By one path they overlap anyway.
                if overlaps.iter().all(|known| known.ours != file) {
                    overlaps.push(taken.link(theirs, ours, file));
                }
            }
        }
        Ok(overlaps)
    }
}
