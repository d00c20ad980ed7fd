//! What each torrent has, and who may have what. Nothing here looks at the
//! disk: it is used under a lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::sync::watch;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{FileIndex, InfoHash};

use super::area::{ClaimedPaths, Overlap};
use super::survey::{PendingLook, Survey};
use super::{Claimant, Moves, Reserved, Sharing};
use crate::disk::{SharedFile, SharedFiles};
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug, Default)]
pub(super) struct ClaimTable {
    last: u64,
    all: BTreeMap<u64, PathClaim>,
    shared: Vec<Pair>,
}

/// One file of a torrent, in one of its areas.
#[derive(Clone, Copy, Debug)]
struct ClaimedFile {
    claim: u64,
    area: u64,
    file: FileIndex,
}

/// A file that two torrents have.
#[derive(Debug)]
struct Pair {
    spots: [ClaimedFile; 2],
    /// By two names.
    by_link: bool,
}

/// What one torrent has.
#[derive(Debug)]
struct PathClaim {
    info_hash: InfoHash,
    owner: Weak<dyn Claimant>,
    /// The pieces that a record says are there; they count until it is known.
    believed: Option<Bitfield>,
    files: SharedFiles,
    /// The place that it is going to take.
    wanted: Option<ClaimedPaths>,
    /// Its places: where it is, and where it is being moved.
    areas: Vec<(u64, Arc<ClaimedPaths>)>,
    /// They stay its own when it has ended.
    stays: bool,
    released: watch::Sender<bool>,
}

/// What becomes of places that a torrent wants.
pub(super) enum Decision {
    Taken(Reserved),
    /// That depends on answers to these.
    Open(Vec<PendingLook>),
}

impl PathClaim {
    fn name(&self) -> String {
        let owner = self.owner.upgrade();
        let name = owner.map(|owner| owner.torrent_ref().name.clone());
        format!(
            "the torrent \"{}\" ({})",
            name.unwrap_or_default(),
            self.info_hash
        )
    }

    /// Whether it is being removed.
    fn is_ending(&self) -> bool {
        let owner = self.owner.upgrade();
        owner.is_none_or(|owner| owner.is_ending())
    }

    /// When it was removed, as a number in the order of removals.
    fn removal(&self) -> Option<u64> {
        let owner = self.owner.upgrade();
        owner.map_or(Some(0), |owner| owner.removal())
    }

    /// Whether it has all of a file, and leaves it where it is.
    fn keeps_file(&self, area: &ClaimedPaths, file: FileIndex) -> bool {
        let Some(owner) = self.owner.upgrade().filter(|_| self.areas.len() < 2) else {
            return false;
        };
        let known = owner.pieces();
        let pieces = match &self.believed {
            Some(believed) => believed,
            None => &*known,
        };
        area.pieces(file).all(|piece| pieces.get(piece))
    }

    /// That another torrent cannot have a file.
    fn refusal(&self, area: &ClaimedPaths, file: FileIndex) -> Error {
        let words = format!("{} has that file already", self.name());
        Error::because(ErrorKind::InvalidPath, words).about(area.path(file).display().to_string())
    }
}

impl ClaimTable {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn enter(&mut self, owner: &Arc<dyn Claimant>, believed: Bitfield) -> u64 {
        let id = self.number();
        let claim = PathClaim {
            info_hash: owner.torrent_ref().info_hash(),
            owner: Arc::downgrade(owner),
            believed: Some(believed),
            files: owner.shared_files(),
            wanted: None,
            areas: Vec::new(),
            stays: false,
            released: watch::Sender::new(false),
        };
        self.all.insert(id, claim);
        id
    }

    pub(super) fn stay(&mut self, id: u64) {
        if let Some(claim) = self.all.get_mut(&id) {
            claim.stays = true;
        }
    }

    pub(super) fn leave(&mut self, id: u64) {
        if let Some(claim) = self.all.get(&id).filter(|claim| claim.stays) {
            claim.released.send_replace(true);
            return;
        }
        let claim = self.all.remove(&id);
        self.part(|spot| spot.claim == id);
        if let Some(claim) = claim {
            claim.released.send_replace(true);
        }
    }

    /// The torrents that may stand in the way of another one: all but those of
    /// the same hash, which wait for one another anyway.
    fn others(&self, id: u64) -> impl Iterator<Item = (u64, &PathClaim)> {
        let info_hash = self.all.get(&id).map(|claim| claim.info_hash);
        let all = self.all.iter().map(|(&number, claim)| (number, claim));
        all.filter(move |(_, claim)| Some(claim.info_hash) != info_hash)
    }

    pub(super) fn want(&mut self, id: u64, area: ClaimedPaths, anyway: bool) -> Result<()> {
        for (_, other) in self.others(id) {
            if anyway || other.is_ending() {
                continue;
            }
            let taken = other.areas.iter().map(|(_, taken)| &**taken);
            for taken in taken.chain(&other.wanted) {
                let mut overlaps = taken.overlaps_by_name(&area).into_iter();
                let is_free = |it: &Overlap| {
                    it.same
                        .is_some_and(|theirs| other.keeps_file(taken, theirs))
                };
                if let Some(overlap) = overlaps.find(|it| !is_free(it)) {
                    return Err(other.refusal(&area, overlap.ours));
                }
            }
        }
        if let Some(claim) = self.all.get_mut(&id) {
            claim.wanted = Some(area);
        }
        Ok(())
    }

    pub(super) fn areas(&self, id: u64) -> Vec<Arc<ClaimedPaths>> {
        let areas = self.all.get(&id).into_iter().flat_map(|it| &it.areas);
        areas.map(|(_, area)| Arc::clone(area)).collect()
    }

    /// Fails where files that are to be moved are another torrent's too: they
    /// stay where they are then.
    pub(super) fn check_alone(&self, id: u64, moves: Moves) -> Result<()> {
        let Some(claim) = self.all.get(&id) else {
            return Ok(());
        };
        let is_moved = |file: FileIndex| match moves {
            Moves::Nothing => false,
            Moves::One(one) => file == one,
            Moves::All => true,
        };
        let shared = claim.files.load();
        match shared.iter().find(|(file, _)| is_moved(**file)) {
            None => Ok(()),
            Some((file, other)) => {
                let words = format!("file {file} is in use by {} too", other.owner);
                Err(Error::because(ErrorKind::InvalidPath, words))
            }
        }
    }

    pub(super) fn reserve(
        &mut self,
        id: u64,
        survey: &Survey,
        sharing: Sharing,
    ) -> Result<Decision> {
        let mut open = Vec::new();
        let mut after = Vec::new();
        let mut shared = Vec::new();
        let numbers: Vec<_> = survey.areas.iter().map(|_| self.number()).collect();
        for (wanted, (area, &our_number)) in survey.areas.iter().zip(&numbers).enumerate() {
            for (number, other) in self.others(id) {
                for (taken_number, taken) in &other.areas {
                    let overlaps = match survey.overlaps(wanted, *taken_number, taken) {
                        Ok(overlaps) => overlaps,
                        Err(pending_look) => {
                            open.push(pending_look);
                            continue;
                        }
                    };
                    if !overlaps.is_empty() && other.is_ending() {
                        after.push(other.released.subscribe());
                        break;
                    }
                    for Overlap {
                        ours,
                        same,
                        by_link,
                    } in overlaps
                    {
                        let same = same.filter(|_| sharing == Sharing::Same);
                        let Some(theirs) = same.filter(|it| other.keeps_file(taken, *it)) else {
                            return Err(other.refusal(area, ours));
                        };
                        let spot = |claim, area, file| ClaimedFile { claim, area, file };
                        shared.push(Pair {
                            spots: [
                                spot(number, *taken_number, theirs),
                                spot(id, our_number, ours),
                            ],
                            by_link,
                        });
                    }
                }
            }
        }
        if !open.is_empty() {
            return Ok(Decision::Open(open));
        }
        if let Some(claim) = self.all.get_mut(&id) {
            let areas = survey.areas.iter().cloned();
            claim.areas.extend(numbers.iter().copied().zip(areas));
            claim.wanted = None;
        }
        if !shared.is_empty() {
            self.shared.extend(shared);
            self.show_shared();
        }
        Ok(Decision::Taken(Reserved {
            areas: numbers,
            after,
        }))
    }

    pub(super) fn give_up(&mut self, id: u64, areas: &[u64]) {
        if let Some(claim) = self.all.get_mut(&id) {
            claim.areas.retain(|(area, _)| !areas.contains(area));
        }
        self.part(|spot| areas.contains(&spot.area));
    }

    pub(super) fn keep_only(&mut self, id: u64, areas: &[u64]) {
        let all = self.all.get(&id).into_iter().flat_map(|it| &it.areas);
        let left = all.map(|(area, _)| *area);
        let left: Vec<_> = left.filter(|area| !areas.contains(area)).collect();
        self.give_up(id, &left);
    }

    pub(super) fn rename(&mut self, id: u64, file: FileIndex, name: &str) {
        if let Some(claim) = self.all.get_mut(&id) {
            for (_, area) in &mut claim.areas {
                Arc::make_mut(area).rename(file, name);
            }
        }
    }

    pub(super) fn checked(&mut self, id: u64) {
        if let Some(claim) = self.all.get_mut(&id) {
            claim.believed = None;
        }
    }

    pub(super) fn removed_before(&self, id: u64) -> Vec<watch::Receiver<bool>> {
        let removal = self.all.get(&id).and_then(PathClaim::removal);
        let shared = self.shared.iter().map(|pair| pair.spots.map(|it| it.claim));
        let others = shared.filter_map(|[one, other]| match id {
            _ if one == id => self.all.get(&other),
            _ if other == id => self.all.get(&one),
            _ => None,
        });
        let before = others.filter(|other| other.removal().is_some_and(|it| Some(it) < removal));
        before.map(|other| other.released.subscribe()).collect()
    }

    /// Ends what is shared with those that are gone.
    fn part(&mut self, is_gone: impl Fn(&ClaimedFile) -> bool) {
        let before = self.shared.len();
        self.shared.retain(|pair| !pair.spots.iter().any(&is_gone));
        if self.shared.len() < before {
            self.show_shared();
        }
    }

    /// Informs each torrent which of its files others have too.
    fn show_shared(&self) {
        let mut all: BTreeMap<u64, BTreeMap<FileIndex, SharedFile>> = BTreeMap::new();
        let names: BTreeMap<_, _> = self
            .shared
            .iter()
            .flat_map(|pair| pair.spots)
            .filter_map(|spot| Some((spot.claim, self.all.get(&spot.claim)?.name())))
            .collect();
        for Pair { spots, by_link } in &self.shared {
            let [one, other] = spots;
            for (own, theirs) in [(one, other), (other, one)] {
                let Some(owner) = names.get(&theirs.claim) else {
                    continue;
                };
                let files = all.entry(own.claim).or_default();
                let file = files.entry(own.file).or_insert_with(|| SharedFile {
                    owner: owner.clone(),
                    by_link: true,
                });
                file.by_link &= by_link;
            }
        }
        for (id, claim) in &self.all {
            let files = all.remove(id).unwrap_or_default();
            if **claim.files.load() != files {
                claim.files.store(Arc::new(files));
            }
        }
    }
}
