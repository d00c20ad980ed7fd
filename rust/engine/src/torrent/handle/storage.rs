//! Where a torrent's files are, as its handle offers it: names, folder, room
//! on the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::oneshot;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::FileIndex;
use torrent_core::metainfo::Info;

pub use crate::disk::{MoveMode, StorageKind};
use crate::disk::{NameError, judge_names, part_file_in};
use crate::error::{Error, ErrorKind, Result};
use crate::event::command_sequence::CommandTopic;
use crate::torrent::handle::{Command, TorrentHandle};

/// How files get their room on the disk (libtorrent's `storage_mode_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageMode {
    /// Wanted files get all of it when the download starts.
    Allocate = 0,
    /// They grow with what is written, and may have holes.
    #[default]
    Sparse = 1,
}

impl StorageMode {
    /// As in resume data: `allocate` or `sparse`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allocate => "allocate",
            Self::Sparse => "sparse",
        }
    }

    /// The mode of this name; `full` is an old one for `allocate`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "allocate" | "full" => Some(Self::Allocate),
            "sparse" => Some(Self::Sparse),
            _ => None,
        }
    }
}

/// What is to be done to the files, and who waits for it.
#[derive(Debug)]
pub(crate) enum StorageCommand {
    Move {
        to: PathBuf,
        mode: MoveMode,
        answer: Option<oneshot::Sender<Result<()>>>,
    },
    Rename {
        file: FileIndex,
        name: String,
        answer: Option<oneshot::Sender<Result<()>>>,
    },
}

impl TorrentHandle {
    /// The folder that its files are in.
    pub fn save_path(&self) -> Arc<PathBuf> {
        self.shared.save_path.load_full()
    }

    /// Moves its files to another folder; a `storage_moved` or
    /// `storage_moved_failed` event says how that went.
    pub fn move_storage(&self, to: impl Into<PathBuf>, mode: MoveMode) -> Result<()> {
        self.place_move(to.into(), mode, None)
    }

    /// Moves its files to another folder and waits for it. After an error they
    /// are where they were.
    pub async fn move_storage_now(&self, to: impl Into<PathBuf>, mode: MoveMode) -> Result<()> {
        let (answer, done) = oneshot::channel();
        self.place_move(to.into(), mode, Some(answer))?;
        done.await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::InvalidTorrentHandle)))
    }

    fn place_move(
        &self,
        to: PathBuf,
        mode: MoveMode,
        answer: Option<oneshot::Sender<Result<()>>>,
    ) -> Result<()> {
        if to.as_os_str().is_empty() {
            return Err(Error::new(ErrorKind::EmptySavePath));
        }
        let command = StorageCommand::Move { to, mode, answer };
        let command = Command::Storage(Box::new(command));
        let place = self.place_for(&command)?;
        self.shared.asked.ask(CommandTopic::Move);
        place.send(command);
        Ok(())
    }

    /// Gives a file another name, relative to the save path, with `/` between
    /// folders; a `file_renamed` or `file_rename_failed` event says how that
    /// went.
    pub fn rename_file(&self, file: FileIndex, name: &str) -> Result<()> {
        self.place_rename(file, name, None)
    }

    /// Gives a file another name and waits for it.
    pub async fn rename_file_now(&self, file: FileIndex, name: &str) -> Result<()> {
        let (answer, done) = oneshot::channel();
        self.place_rename(file, name, Some(answer))?;
        done.await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::InvalidTorrentHandle)))
    }

    fn place_rename(
        &self,
        file: FileIndex,
        name: &str,
        answer: Option<oneshot::Sender<Result<()>>>,
    ) -> Result<()> {
        self.check_file(file)?;
        let name = name.to_owned();
        let command = StorageCommand::Rename { file, name, answer };
        self.post(Command::Storage(Box::new(command)))
    }

    /// The files that have another name than the torrent gives them.
    pub fn renamed_files(&self) -> BTreeMap<FileIndex, String> {
        BTreeMap::clone(&self.file_names())
    }

    /// The same, shared with the options.
    pub(crate) fn file_names(&self) -> Arc<BTreeMap<FileIndex, String>> {
        Arc::clone(&self.shared.options.lock().renamed_files)
    }

    /// The path of a file, relative to the save path.
    pub fn file_path(&self, file: FileIndex) -> Result<String> {
        self.check_file(file)?;
        if let Some(name) = self.shared.options.lock().renamed_files.get(&file) {
            return Ok(name.clone());
        }
        let info = &self.known_metainfo()?.info;
        Ok(info.files.path(file.0 as usize))
    }

    /// What holds its bytes.
    pub fn storage(&self) -> StorageKind {
        self.plain_options().storage
    }

    pub(crate) fn is_on_disk(&self) -> bool {
        self.storage() == StorageKind::Files
    }

    /// How its files get their room on the disk.
    pub fn storage_mode(&self) -> StorageMode {
        self.plain_options().storage_mode
    }

    /// In seed mode, the pieces that have been hashed since it was added.
    pub fn verified_pieces(&self) -> Arc<Bitfield> {
        self.shared.view.verified.load_full()
    }
}

/// What goes with a torrent that is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deletion {
    /// Nothing: all files stay.
    #[default]
    Nothing,
    /// The part file, which only the torrent has a use for (libtorrent's
    /// `delete_partfile`).
    PartFile,
    /// All its files, and the folders that are empty then (`delete_files`).
    Files,
}

impl From<bool> for Deletion {
    fn from(files: bool) -> Self {
        if files { Self::Files } else { Self::Nothing }
    }
}

/// Judges the names that files of `info` are given, and that of its part file,
/// by the rule for renames.
pub(crate) fn check_names(
    info: &Info,
    renamed: &BTreeMap<FileIndex, String>,
    part_file: &Path,
) -> Result<()> {
    let is_placed = |file: &FileIndex| {
        let file = file.0 as usize;
        file < info.files.len() && !info.files.is_pad(file)
    };
    let parts = FileIndex(info.files.len() as u32);
    let given = renamed.iter().filter(|(file, _)| is_placed(file));
    let given = given.map(|(&file, name)| (file, Path::new(name)));
    let all = (0..parts.0).map(FileIndex).filter(is_placed).map(|file| {
        let name = renamed.get(&file).cloned();
        (
            file,
            name.unwrap_or_else(|| info.files.path(file.0 as usize))
                .into(),
        )
    });
    judge_names(
        given.chain([(parts, part_file)]),
        all.chain([(parts, part_file.to_owned())]),
    )
    .map_err(bad_name)
}

/// As [`check_names`], where it is not known which files there are.
pub(crate) fn check_plain_names(renamed: &BTreeMap<FileIndex, String>) -> Result<()> {
    let given = renamed.iter().map(|(&file, name)| (file, Path::new(name)));
    judge_names(given, std::iter::empty::<(FileIndex, &Path)>()).map_err(bad_name)
}

fn bad_name(error: NameError) -> Error {
    let name = match &error {
        NameError::Unsafe(name) | NameError::Taken { name, .. } => name.display().to_string(),
    };
    Error::because(ErrorKind::InvalidPath, error.to_string()).about(name)
}

/// Whether a path names a folder below the save path, or that itself by being
/// empty.
pub(crate) fn is_folder_below(path: &Path) -> bool {
    path.as_os_str().is_empty() || crate::disk::is_plain(path)
}

/// The path of a torrent's part file below its save path, named as libtorrent
/// does it.
pub(crate) fn part_file(handle: &TorrentHandle) -> PathBuf {
    part_file_in(
        &handle.shared.options.lock().part_file_dir,
        handle.info_hash(),
    )
}
