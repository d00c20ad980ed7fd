//! What is to be deleted with a torrent that is removed, written down before the
//! first file goes: a process that dies meanwhile leaves it to the next one, and
//! the torrent does not come back without the files that are gone.
//!
//! The names are only compared with those that the torrent's files have by its
//! record, which are judged when that is read: a name that no file of the torrent
//! has means nothing.

use crate::bencode::{DictItem, Item};
use crate::ids::InfoHash;
use crate::journal;
pub use crate::journal::MAX_BYTES;
use crate::metainfo::MAX_FILES;

/// What a record of this form calls itself.
const FORMAT: &str = "godot-torrent removal";

/// Why bytes are no such record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not say which files of a torrent are to be deleted")]
pub struct RemovalJournalError;

/// Files that are to be deleted, and the torrent's record after them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovalJournal {
    /// The torrent's hash of version 1.
    pub info_hash: InfoHash,
    /// Those where the torrent has its files.
    pub files: DoomedFiles,
    /// Those that a change of places which was cut short had already brought to
    /// their new place.
    pub carried: Option<DoomedFiles>,
}

/// Files below one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoomedFiles {
    /// The folder, in the system's own encoding.
    pub folder: Vec<u8>,
    /// Their paths below it.
    pub names: Vec<Vec<u8>>,
}

impl RemovalJournal {
    /// The record.
    pub fn encode(&self) -> Vec<u8> {
        let mut root = journal::begin(FORMAT, self.info_hash);
        root.insert("files", self.files.item())
            .insert_some("carried", self.carried.as_ref().map(DoomedFiles::item));
        root.encode()
    }

    /// Reads a record of untrusted bytes.
    ///
    /// # Errors
    ///
    /// For what is no record of this form and version.
    pub fn decode(data: &[u8]) -> Result<Self, RemovalJournalError> {
        let (document, info_hash) = journal::read(FORMAT, data).ok_or(RemovalJournalError)?;
        let root = document.root().as_dict().ok_or(RemovalJournalError)?;
        let read = |key| {
            let place = root.get(key)?.as_dict()?;
            let names = place.list("names")?.iter().take(MAX_FILES + 1);
            Some(DoomedFiles {
                folder: place.bytes("folder")?.to_vec(),
                names: names
                    .filter_map(|it| Some(it.as_bytes()?.to_vec()))
                    .collect(),
            })
        };
        Ok(Self {
            info_hash,
            files: read("files").ok_or(RemovalJournalError)?,
            carried: read("carried"),
        })
    }
}

impl DoomedFiles {
    fn item(&self) -> Item {
        let mut item = DictItem::new();
        let names = self.names.iter().map(|name| Item::from(&name[..]));
        item.insert("folder", &self.folder[..])
            .insert("names", names.collect::<Item>());
        item.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn doomed(folder: &str, names: &[&str]) -> DoomedFiles {
        DoomedFiles {
            folder: folder.as_bytes().to_vec(),
            names: names.iter().map(|it| it.as_bytes().to_vec()).collect(),
        }
    }

    fn both() -> [RemovalJournal; 2] {
        let one = RemovalJournal {
            info_hash: InfoHash([7; 20]),
            files: doomed("/games", &["a/b", "c"]),
            carried: None,
        };
        let other = RemovalJournal {
            carried: Some(doomed("/new", &[])),
            ..one.clone()
        };
        [one, other]
    }

    #[test]
    fn what_is_written_is_read() {
        for journal in both() {
            assert_eq!(RemovalJournal::decode(&journal.encode()), Ok(journal));
        }
        for nonsense in ["", "de", "le", "d6:format21:godot-torrent removale"] {
            let read = RemovalJournal::decode(nonsense.as_bytes());
            assert_eq!(read, Err(RemovalJournalError));
        }
    }

    proptest! {
        #[test]
        fn any_damage_is_read_as_something_or_an_error(
            at in any::<prop::sample::Index>(), bit in 0..8u32, cut in any::<prop::sample::Index>(),
        ) {
            for journal in both() {
                let mut bytes = journal.encode();
                let _ = RemovalJournal::decode(&bytes[..cut.index(bytes.len())]);
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                if let Ok(read) = RemovalJournal::decode(&bytes) {
                    prop_assert_eq!(RemovalJournal::decode(&read.encode()), Ok(read));
                }
            }
        }
    }
}
