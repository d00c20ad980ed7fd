//! Where a torrent's files are, written down whenever that changes: before the
//! change begins and when it is over. It goes before what the resume data
//! says, until resume data of the new place has been written.
//!
//! A process that dies in the middle of a change leaves each file at its old
//! place or at its new one. [`JournalChange::judge`] says from a look at both what is
//! to be done about that.

use std::collections::BTreeMap;

use crate::bencode::{DictItem, Item, List};
use crate::ids::{FileIndex, InfoHash};
use crate::journal;
pub use crate::journal::MAX_BYTES;
use crate::metainfo::MAX_FILES;

/// What a record of this form calls itself.
const FORMAT: &str = "godot-torrent places";

/// Why bytes are no such record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not say where the files of a torrent are")]
pub struct MoveJournalError;

/// Where everything is, and what is being changed in that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoveJournal {
    /// The torrent's hash of version 1.
    pub info_hash: InfoHash,
    /// The folder of the files, in the system's own encoding.
    pub save_path: Vec<u8>,
    /// The paths of files that have another name than in the torrent.
    pub renamed: BTreeMap<FileIndex, Vec<u8>>,
    /// What resume data of an earlier place claims is not true here: the files
    /// have to be checked.
    pub needs_check: bool,
    /// The change that had begun and was not over.
    pub change: Option<JournalChange>,
}

/// A change of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalChange {
    /// What becomes different.
    pub step: JournalStep,
    /// The files that existed when it began, which are at one of the two
    /// places ever since.
    pub carried: Vec<FileIndex>,
}

/// What a change makes different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalStep {
    /// The folder.
    Move {
        /// The new one, in the system's own encoding.
        to: Vec<u8>,
        /// libtorrent's number for what becomes of files that are there.
        mode: u8,
    },
    /// The name of one file.
    Rename {
        /// The file.
        file: FileIndex,
        /// Its new path below the save path.
        to: Vec<u8>,
    },
}

/// What is to be done about a change that was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing: everything is at its old place.
    Drop,
    /// Some of it is at the new place: the remainder follows.
    Finish,
    /// This file is at neither place: nothing can be done until it is seen
    /// again.
    Missing(FileIndex),
}

impl JournalChange {
    /// What is to be done. `old` and `new` say whether a file is there.
    pub fn judge(
        &self,
        old: impl Fn(FileIndex) -> bool,
        new: impl Fn(FileIndex) -> bool,
    ) -> Recovery {
        let mut moved = self.carried.iter().filter(|&&file| !old(file)).peekable();
        if moved.peek().is_none() {
            return Recovery::Drop;
        }
        match moved.find(|&&file| !new(file)) {
            Some(&file) => Recovery::Missing(file),
            None => Recovery::Finish,
        }
    }
}

impl MoveJournal {
    /// The record.
    pub fn encode(&self) -> Vec<u8> {
        let mut root = journal::begin(FORMAT, self.info_hash);
        let names = self.renamed.iter().map(|(file, name)| named(*file, name));
        root.insert("save_path", &self.save_path[..])
            .insert("mapped_files", names.collect::<Item>())
            .insert("needs_check", self.needs_check)
            .insert_some("change", self.change.as_ref().map(JournalChange::item));
        root.encode()
    }

    /// Reads a record of untrusted bytes.
    ///
    /// # Errors
    ///
    /// For what is no record of this form and version.
    pub fn decode(data: &[u8]) -> Result<Self, MoveJournalError> {
        let (document, info_hash) = journal::read(FORMAT, data).ok_or(MoveJournalError)?;
        let root = document.root().as_dict().ok_or(MoveJournalError)?;
        let save_path = root.bytes("save_path").filter(|path| !path.is_empty());
        let save_path = save_path.ok_or(MoveJournalError)?;
        let change = match root.get("change") {
            None => None,
            Some(change) => {
                let change = change.as_dict().ok_or(MoveJournalError)?;
                let to = change.bytes("to").ok_or(MoveJournalError)?.to_vec();
                let carried = files(change.list("carried"));
                let step = match (change.int("mode"), change.int("file")) {
                    (Some(mode), None) => JournalStep::Move {
                        to,
                        mode: u8::try_from(mode).map_err(|_| MoveJournalError)?,
                    },
                    (None, Some(file)) => JournalStep::Rename {
                        file: index(file).ok_or(MoveJournalError)?,
                        to,
                    },
                    _ => return Err(MoveJournalError),
                };
                Some(JournalChange { step, carried })
            }
        };
        let names = root.list("mapped_files");
        let names = names.into_iter().flat_map(|list| list.iter());
        let names = names.take(MAX_FILES).filter_map(|entry| {
            let mut pair = entry.as_list()?.iter();
            let file = index(pair.next()?.as_int()?)?;
            Some((file, pair.next()?.as_bytes()?.to_vec()))
        });
        Ok(Self {
            info_hash,
            save_path: save_path.to_vec(),
            renamed: names.collect(),
            needs_check: root.int("needs_check").unwrap_or(0) != 0,
            change,
        })
    }
}

impl JournalChange {
    fn item(&self) -> Item {
        let mut item = DictItem::new();
        match &self.step {
            JournalStep::Move { to, mode } => {
                item.insert("to", &to[..]).insert("mode", u32::from(*mode))
            }
            JournalStep::Rename { file, to } => item.insert("to", &to[..]).insert("file", file.0),
        };
        let carried = self.carried.iter().map(|file| file.0);
        item.insert("carried", carried.collect::<Item>());
        item.into()
    }
}

fn named(file: FileIndex, name: &[u8]) -> Item {
    [Item::from(file.0), Item::from(name)].into_iter().collect()
}

/// An index of a file, or the one after the last, which stands for the part
/// file.
fn index(number: i64) -> Option<FileIndex> {
    let number = u32::try_from(number).ok()?;
    (number <= MAX_FILES as u32).then_some(FileIndex(number))
}

fn files(list: Option<List<'_>>) -> Vec<FileIndex> {
    let list = list.into_iter().flat_map(|list| list.iter());
    let list = list.take(MAX_FILES + 1);
    list.filter_map(|file| index(file.as_int()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(step: JournalStep) -> MoveJournal {
        MoveJournal {
            info_hash: InfoHash([7; 20]),
            save_path: b"/games/\xff".to_vec(),
            renamed: BTreeMap::from([(FileIndex(3), b"a/b".to_vec())]),
            needs_check: true,
            change: Some(JournalChange {
                step,
                carried: vec![FileIndex(0), FileIndex(3), FileIndex(4)],
            }),
        }
    }

    fn both() -> [MoveJournal; 2] {
        let to = b"/new".to_vec();
        [
            places(JournalStep::Move { to, mode: 2 }),
            places(JournalStep::Rename {
                file: FileIndex(3),
                to: b"c".to_vec(),
            }),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for mut places in both() {
            assert_eq!(MoveJournal::decode(&places.encode()), Ok(places.clone()));
            places.change = None;
            places.needs_check = false;
            assert_eq!(MoveJournal::decode(&places.encode()), Ok(places));
        }
        for nonsense in [
            "",
            "de",
            "le",
            "d6:format20:godot-torrent places7:versioni1ee",
        ] {
            assert_eq!(
                MoveJournal::decode(nonsense.as_bytes()),
                Err(MoveJournalError)
            );
        }
    }

    #[test]
    fn a_look_at_both_places_says_how_far_it_came() {
        let [places, _] = both();
        let change = places.change.unwrap();
        let judge = |old: &[u32], new: &[u32]| {
            let is_in = |list: &[u32], file: FileIndex| list.contains(&file.0);
            change.judge(|file| is_in(old, file), |file| is_in(new, file))
        };
        assert_eq!(judge(&[0, 3, 4], &[]), Recovery::Drop);
        // Copies that were under way, or files of the user's.
        assert_eq!(judge(&[0, 3, 4], &[0, 3]), Recovery::Drop);
        assert_eq!(judge(&[3, 4], &[0]), Recovery::Finish);
        assert_eq!(judge(&[], &[0, 3, 4]), Recovery::Finish);
        assert_eq!(judge(&[4], &[3]), Recovery::Missing(FileIndex(0)));
        assert_eq!(judge(&[], &[]), Recovery::Missing(FileIndex(0)));
    }

    proptest! {
        #[test]
        fn any_damage_is_read_as_something_or_an_error(
            at in any::<prop::sample::Index>(), bit in 0..8u32, cut in any::<prop::sample::Index>(),
        ) {
            for places in both() {
                let mut bytes = places.encode();
                let _ = MoveJournal::decode(&bytes[..cut.index(bytes.len())]);
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                if let Ok(read) = MoveJournal::decode(&bytes) {
                    prop_assert_eq!(MoveJournal::decode(&read.encode()), Ok(read));
                }
            }
        }
    }
}
