//! Which torrent of a session has which place on disk.
//!
//! A torrent has the paths of its files and of its part file, from when it is
//! added (or its metadata comes) until its files are closed for good. Another
//! torrent that wants one of them is refused, and the error names the first;
//! but where both say the same of a file (length, and hashes of the same
//! pieces), and the first has all of it, both may have it and neither writes
//! it: see [`SharedFiles`]. A torrent that is being removed is waited for.
//!
//! Paths are compared where they lead to (`disk::real`), without regard to the
//! case of letters unless the file system turns out to tell names by it. Names
//! below the save path are never links (`disk::path`). Two sessions know
//! nothing of one another.

mod area;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{FileIndex, InfoHash};

pub(crate) use area::Area;
use area::Overlap;

use crate::disk::SharedFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::event::TorrentRef;

/// A torrent that has a place.
pub(crate) trait Claimant: fmt::Debug + Send + Sync {
    /// What names it.
    fn torrent_ref(&self) -> Arc<TorrentRef>;

    /// Whether it is being removed.
    fn is_ending(&self) -> bool;

    /// The pieces that it has.
    fn pieces(&self) -> Arc<Bitfield>;

    /// The files that other torrents have too.
    fn shared_files(&self) -> SharedFiles;
}

/// The places of all torrents of a session.
#[derive(Debug, Default)]
pub(crate) struct Territory {
    claims: Mutex<Claims>,
}

#[derive(Debug, Default)]
struct Claims {
    next: u64,
    all: BTreeMap<u64, Claim>,
    /// Files that two torrents have.
    shared: Vec<[Spot; 2]>,
}

/// One file of a torrent, in one of its areas.
#[derive(Clone, Copy, Debug)]
struct Spot {
    claim: u64,
    area: u64,
    file: FileIndex,
}

/// What one torrent has.
#[derive(Debug)]
struct Claim {
    info_hash: InfoHash,
    owner: Weak<dyn Claimant>,
    /// The pieces that a record says are there; they count until it is known.
    believed: Option<Bitfield>,
    files: SharedFiles,
    /// Its places: where it is, and where it is being moved.
    areas: Vec<(u64, Area)>,
    released: watch::Sender<bool>,
}

impl Claim {
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

    /// Whether it has all of a file.
    fn has_file(&self, area: &Area, file: FileIndex) -> bool {
        let Some(owner) = self.owner.upgrade() else {
            return false;
        };
        let known = owner.pieces();
        let pieces = match &self.believed {
            Some(believed) => believed,
            None => &*known,
        };
        area.pieces(file).all(|piece| pieces.get(piece))
    }
}

/// A torrent's right to its places, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    territory: Arc<Territory>,
    id: u64,
}

/// What becomes of files that another torrent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// They are shared where they are the same.
    Same,
    /// They are an error.
    Never,
}

/// Places that a torrent will have if all goes well.
#[derive(Debug)]
pub(crate) struct Reserved {
    areas: Vec<u64>,
    /// The torrents whose end is to be waited for.
    pub(crate) after: Vec<watch::Receiver<bool>>,
}

impl Territory {
    /// A right to places for `owner`, none at first. Its record says that
    /// `believed` is there.
    pub(crate) fn lease(self: &Arc<Self>, owner: &Arc<dyn Claimant>, believed: Bitfield) -> Lease {
        let mut claims = self.claims.lock();
        let id = claims.number();
        let claim = Claim {
            info_hash: owner.torrent_ref().info_hash(),
            owner: Arc::downgrade(owner),
            believed: Some(believed),
            files: owner.shared_files(),
            areas: Vec::new(),
            released: watch::Sender::new(false),
        };
        claims.all.insert(id, claim);
        Lease {
            territory: Arc::clone(self),
            id,
        }
    }
}

impl Lease {
    /// Takes a place, if no other torrent has it, or shares it.
    pub(crate) fn take(&self, area: Area, sharing: Sharing) -> Result<Reserved> {
        self.territory
            .claims
            .lock()
            .reserve(self.id, vec![area], sharing)
    }

    /// Takes the place that a file would have by another name.
    pub(crate) fn take_name(&self, file: FileIndex, name: &str) -> Result<Reserved> {
        let mut claims = self.territory.claims.lock();
        claims.check_alone(self.id, Some(file))?;
        let areas = claims
            .all
            .get(&self.id)
            .map_or(&[][..], |claim| &claim.areas);
        let areas = areas
            .iter()
            .map(|(_, area)| area.of_one(file, name))
            .collect();
        let reserved = claims.reserve(self.id, areas, Sharing::Never)?;
        if reserved.after.is_empty() {
            return Ok(reserved);
        }
        claims.give_up(self.id, &reserved.areas);
        let words = "a torrent that is being removed has a file of that name";
        Err(Error::because(ErrorKind::InvalidPath, words).about(name))
    }

    /// Takes the places that the files would have in another folder, where
    /// they are to be moved or, with `sharing`, are already.
    pub(crate) fn take_folder(
        &self,
        root: std::path::PathBuf,
        sharing: Sharing,
    ) -> Result<Reserved> {
        let mut claims = self.territory.claims.lock();
        if sharing == Sharing::Never {
            claims.check_alone(self.id, None)?;
        }
        let areas = claims
            .all
            .get(&self.id)
            .map_or(&[][..], |claim| &claim.areas);
        let areas = areas
            .iter()
            .take(1)
            .map(|(_, area)| area.at(&root))
            .collect();
        let reserved = claims.reserve(self.id, areas, sharing)?;
        if reserved.after.is_empty() {
            return Ok(reserved);
        }
        claims.give_up(self.id, &reserved.areas);
        let words = "a torrent that is being removed has files there";
        Err(Error::because(ErrorKind::InvalidPath, words).about(root.display().to_string()))
    }

    /// The file has the name that was reserved.
    pub(crate) fn renamed(&self, reserved: &Reserved, file: FileIndex, name: &str) {
        let mut claims = self.territory.claims.lock();
        claims.give_up(self.id, &reserved.areas);
        if let Some(claim) = claims.all.get_mut(&self.id) {
            for (_, area) in &mut claim.areas {
                area.rename(file, name);
            }
        }
    }

    /// The files are where it was reserved, and nowhere else.
    pub(crate) fn moved(&self, reserved: &Reserved) {
        let mut claims = self.territory.claims.lock();
        let before = claims
            .all
            .get(&self.id)
            .map_or(&[][..], |claim| &claim.areas);
        let before = before.iter().map(|(area, _)| *area);
        let left: Vec<_> = before
            .filter(|area| !reserved.areas.contains(area))
            .collect();
        claims.give_up(self.id, &left);
    }

    /// What was reserved is not needed after all.
    pub(crate) fn give_up(&self, reserved: &Reserved) {
        self.territory
            .claims
            .lock()
            .give_up(self.id, &reserved.areas);
    }

    /// It is known which pieces there are, whatever a record said.
    pub(crate) fn checked(&self) {
        let mut claims = self.territory.claims.lock();
        if let Some(claim) = claims.all.get_mut(&self.id) {
            claim.believed = None;
        }
    }

    /// Whether it has any place.
    pub(crate) fn has_place(&self) -> bool {
        let claims = self.territory.claims.lock();
        claims
            .all
            .get(&self.id)
            .is_some_and(|claim| !claim.areas.is_empty())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut claims = self.territory.claims.lock();
        let claim = claims.all.remove(&self.id);
        claims.part(|spot| spot.claim == self.id);
        if let Some(claim) = claim {
            claim.released.send_replace(true);
        }
    }
}

impl Claims {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Fails where a file, or any, is another torrent's too: it stays where
    /// it is then.
    fn check_alone(&self, id: u64, file: Option<FileIndex>) -> Result<()> {
        let Some(claim) = self.all.get(&id) else {
            return Ok(());
        };
        let shared = claim.files.load();
        let mut shared = shared.iter();
        match shared.find(|(shared, _)| file.is_none_or(|file| file == **shared)) {
            None => Ok(()),
            Some((file, other)) => {
                let words = format!("file {file} is in use by {other} too");
                Err(Error::because(ErrorKind::InvalidPath, words))
            }
        }
    }

    fn reserve(&mut self, id: u64, areas: Vec<Area>, sharing: Sharing) -> Result<Reserved> {
        let mut after = Vec::new();
        let mut shared = Vec::new();
        let info_hash = self.all.get(&id).map(|claim| claim.info_hash);
        let mut numbers = Vec::new();
        for area in &areas {
            self.next += 1;
            numbers.push(self.next);
            for (&number, other) in &self.all {
                // One of the same hash that is being removed is waited for
                // anyway.
                if Some(other.info_hash) == info_hash {
                    continue;
                }
                for (taken_number, taken) in &other.areas {
                    let Some(overlaps) = taken.overlaps(area) else {
                        continue;
                    };
                    if other.is_ending() {
                        after.push(other.released.subscribe());
                        break;
                    }
                    for overlap in overlaps {
                        let ours = match overlap {
                            Overlap::Same { theirs, ours }
                                if sharing == Sharing::Same && other.has_file(taken, theirs) =>
                            {
                                let theirs = Spot {
                                    claim: number,
                                    area: *taken_number,
                                    file: theirs,
                                };
                                let ours = Spot {
                                    claim: id,
                                    area: self.next,
                                    file: ours,
                                };
                                shared.push([theirs, ours]);
                                continue;
                            }
                            Overlap::Same { ours, .. } | Overlap::Clash { ours } => ours,
                        };
                        let words = format!("{} has that file already", other.name());
                        return Err(Error::because(ErrorKind::InvalidPath, words)
                            .about(area.path(ours).display().to_string()));
                    }
                }
            }
        }
        if let Some(claim) = self.all.get_mut(&id) {
            let areas = numbers.iter().copied().zip(areas);
            claim.areas.extend(areas);
        }
        if !shared.is_empty() {
            self.shared.extend(shared);
            self.show_shared();
        }
        Ok(Reserved {
            areas: numbers,
            after,
        })
    }

    fn give_up(&mut self, id: u64, areas: &[u64]) {
        if let Some(claim) = self.all.get_mut(&id) {
            claim.areas.retain(|(area, _)| !areas.contains(area));
        }
        self.part(|spot| areas.contains(&spot.area));
    }

    /// Ends what is shared with those that are gone.
    fn part(&mut self, is_gone: impl Fn(&Spot) -> bool) {
        let before = self.shared.len();
        self.shared.retain(|pair| !pair.iter().any(&is_gone));
        if self.shared.len() < before {
            self.show_shared();
        }
    }

    /// Tells each torrent which of its files others have too.
    fn show_shared(&self) {
        for (id, claim) in &self.all {
            let mut files = BTreeMap::new();
            for [one, other] in &self.shared {
                for (own, theirs) in [(one, other), (other, one)] {
                    if own.claim == *id
                        && let Some(other) = self.all.get(&theirs.claim)
                    {
                        files.entry(own.file).or_insert_with(|| other.name());
                    }
                }
            }
            if **claim.files.load() != files {
                claim.files.store(Arc::new(files));
            }
        }
    }
}
