//! Making what was written durable.
//!
//! The system accepts a write long before it is on the device; only a sync
//! that succeeds says that it is. [`Storage::sync`] does one for every file
//! written since the last, on a thread of its own, so that workers go on.

use std::fs::File;
use std::sync::Arc;

use torrent_core::ids::FileIndex;

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::file_storage::FileStorage;
use super::path::Access;
use super::storage::{Storage, StorageShared};

impl Storage {
    /// Puts on the device what was verified before the call: every file
    /// written since the last sync. After an error the bytes of the file that
    /// it names are in doubt, and what the system remembers of them is dropped
    /// as far as it can be: pieces verified since the last good sync have to
    /// be checked before they are saved as had. All files are tried; the first
    /// error is returned, and the files that failed count as unsynced still.
    pub async fn sync(&self) -> Result<(), DiskError> {
        self.apart(DiskOp::Sync, |shared, common| shared.io.sync(common))
            .await
    }

    /// Does slow work on a thread of its own, after other such work on this
    /// storage.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        op: DiskOp,
        work: impl FnOnce(&Arc<StorageShared>, &Common) -> Result<T, DiskError> + Send + 'static,
    ) -> Result<T, DiskError> {
        let (shared, common) = self.parts();
        let permit = shared.exclusive_work.permit().await;
        let (of, done) = (Arc::clone(&shared), Arc::clone(&common));
        let outcome = tokio::task::spawn_blocking(move || {
            // Held until the work ends, even when its caller is gone.
            let _permit = permit;
            work(&of, &done)
        });
        match outcome.await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%error, "work on files was cut short");
                Err(shared.error(op, None, Fault::CutShort))
            }
        }
    }
}

impl FileStorage {
    pub(super) fn sync_files(&self, common: &Common) -> Result<(), DiskError> {
        let mut outcome = Ok(());
        for file in self.unsynced.take() {
            if let Err(error) = self.sync_file(common, FileIndex(file)) {
                self.unsynced.set(file);
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }

    fn sync_file(&self, common: &Common, index: FileIndex) -> Result<(), DiskError> {
        let file = common.files.file(self, index, Access::Sync)?;
        if is_deleted(&file) {
            // The file is deleted, and what was written to it is gone.
            common.files.close(self, index);
            let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(self.error(DiskOp::Sync, Some(index), gone.into()));
        }
        common
            .faults
            .strike(DiskOp::Sync, index)
            .and_then(|()| Ok(file.sync_data()?))
            .map_err(|fault| {
                forget_cached(&file);
                self.error(DiskOp::Sync, Some(index), fault)
            })
    }
}

/// Whether a file that is open has no name any more.
fn is_deleted(file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }
    #[cfg(not(unix))]
    {
        // An open file cannot be deleted here.
        let _ = file;
        false
    }
}

/// After a failed sync the system may still show bytes that are not on the
/// device. This lets it forget them, so that a check reads what is there.
pub(super) fn forget_cached(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        use rustix::fs::{Advice, fadvise};
        // Advice: where it is not taken there is nothing else to try.
        let _ = fadvise(file, 0, None, Advice::DontNeed);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = file;
}
