//! Waiting for a torrent, and what went wrong with it.

use godot::builtin::{PackedByteArray, Signal};
use torrent_engine::torrent::handle::resume::SaveFlags;

use super::*;
use crate::torrent_error::TorrentError;
use crate::waits::{self, Failing, WaitReply};

impl TorrentHandle {
    /// A signal for what `look` says of the torrent.
    fn wait(
        &self,
        method: &str,
        timeout: f64,
        look: impl Fn(&Torrent) -> Option<Result<()>> + Send + 'static,
    ) -> Signal {
        let torrent = self.report(method, self.torrent().cloned());
        let look = move || match &torrent {
            Some(torrent) => Some(look(torrent)?.map(|()| WaitReply::Done)),
            None => Some(Err(Error::new(ErrorKind::InvalidTorrentHandle))),
        };
        waits::signal(timeout, Failing::False, &self.errors, look)
    }
}

#[godot_api(secondary)]
impl TorrentHandle {
    /// Waits until everything wanted is complete and can be opened. The signal that is
    /// returned comes once, with the next frame at the earliest: with true, or with false
    /// when the torrent is in error, is removed, its session stops, or after [param timeout]
    /// seconds (0.0: no limit). [method get_last_error] says why. A torrent that is paused or
    /// queued is waited for.
    ///
    /// ```gdscript
    /// var ok: bool = await handle.wait_finished()
    /// if not ok:
    ///     print(handle.get_last_error().get_message())
    /// ```
    ///
    /// Unlike [signal finished], which comes once in the life of a download, this can be
    /// awaited at any time. That signal may come a few frames later than this.
    #[func]
    fn wait_finished(&self, #[opt(default = 0.0)] timeout: f64) -> Signal {
        self.wait("wait_finished", timeout, Torrent::awaited_finish)
    }

    /// Waits until the metadata is known, as that of a torrent file is from the start: files,
    /// pieces, [method get_torrent_info]. True or false as with [method wait_finished].
    #[func]
    fn wait_metadata(&self, #[opt(default = 0.0)] timeout: f64) -> Signal {
        self.wait("wait_metadata", timeout, Torrent::awaited_metadata)
    }

    /// Waits until the files that were found on disk are checked. True or false as with
    /// [method wait_finished].
    #[func]
    fn wait_checked(&self, #[opt(default = 0.0)] timeout: f64) -> Signal {
        self.wait("wait_checked", timeout, Torrent::awaited_check)
    }

    /// Waits until the torrent is out of its session and its files are closed, for which
    /// [method TorrentSession.remove_torrent] has to be called. False when its session
    /// stops instead, or after [param timeout] seconds.
    #[func]
    fn wait_removed(&self, #[opt(default = 0.0)] timeout: f64) -> Signal {
        self.wait("wait_removed", timeout, Torrent::awaited_removal)
    }

    /// Saves the resume data like [method save_resume_data], and waits for it: a
    /// PackedByteArray, empty when it could not be saved, the torrent is removed, its session
    /// stops, or after [param timeout] seconds.
    ///
    /// ```gdscript
    /// var resume_data: PackedByteArray = await handle.wait_resume_data()
    /// ```
    #[func]
    fn wait_resume_data(&self, #[opt(default = 0.0)] timeout: f64) -> Signal {
        let ask = |torrent: &Torrent| torrent.request_resume_data(SaveFlags::SAVE_INFO_DICT);
        let mut asked = self.torrent().and_then(ask);
        if self.torrent.is_none() {
            self.call("wait_resume_data", |_| Ok(()));
        }
        let mut answer = None;
        let look = move || {
            if answer.is_none() {
                answer = match &mut asked {
                    Ok(record) => record.try_take(),
                    Err(error) => Some(Err(error.clone())),
                };
            }
            let data = answer.clone()?;
            Some(data.map(|data| WaitReply::Data(PackedByteArray::from(data.as_ref()))))
        };
        waits::signal(timeout, Failing::NoData, &self.errors, look)
    }

    /// The last error of this torrent: of a call, of something it did in the background, or
    /// why a wait failed. Never null: without an error its code is
    /// [constant TorrentError.OK].
    #[func]
    fn get_last_error(&self) -> Gd<TorrentError> {
        TorrentError::of(self.errors.get())
    }

    /// Forgets what [method get_last_error] returns. The torrent's state stays as it is:
    /// [method clear_error] is for that.
    #[func]
    fn clear_last_error(&self) {
        self.errors.clear();
    }
}
