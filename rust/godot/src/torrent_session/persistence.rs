//! What outlives the session: its state, resume data, the state directory.

use torrent_engine::torrent::handle::resume::SaveFlags;

use super::*;

impl TorrentSession {
    /// Takes over settings from a saved state. Those that cannot be are printed.
    fn restore(&self, data: &[u8]) -> Result<()> {
        let refused = self.slot.load_state(data)?;
        for error in refused {
            self.errors
                .report("TorrentSession.load_state", &error.into());
        }
        self.show_settings();
        Ok(())
    }
}

#[godot_api(secondary)]
impl TorrentSession {
    /// The session's settings that are not the usual ones, the rules of its IP filter
    /// (whether it is on is not part of it), and the order of its queue, to be kept for the
    /// next start. Torrents have records of their own: see
    /// [method TorrentHandle.save_resume_data]. [method set_state_directory] does all of it
    /// by itself.
    #[func]
    fn save_state(&self) -> PackedByteArray {
        main_only!(self, "save_state");
        PackedByteArray::from(self.slot.save_state())
    }

    /// Takes over what [method save_state] returned, before or after the start. Its rules
    /// of the IP filter take the place of those that there are. False for anything else. Single settings that this version does not know are left out.
    #[func]
    fn load_state(&self, data: PackedByteArray) -> bool {
        main_only!(self, "load_state");
        let restored = self.restore(data.as_slice());
        self.report("load_state", restored).is_some()
    }

    /// Saves the resume data of every torrent for which there is something new: each comes
    /// with [signal TorrentHandle.resume_data_ready].
    #[func]
    fn save_all_resume_data(&self) -> bool {
        main_only!(self, "save_all_resume_data");
        let saved = self.running().and_then(|session| {
            let torrents = session.torrents();
            let mut changed = torrents.iter().filter(|it| it.need_save_resume_data());
            changed.try_for_each(|torrent| torrent.save_resume_data(SaveFlags::SAVE_INFO_DICT))
        });
        self.report("save_all_resume_data", saved).is_some()
    }

    /// Lets the session keep its torrents, their progress and its state in this folder by
    /// itself: they come back with the next start, paused ones paused, also after a crash.
    /// Counts with the next start; an empty path turns it off. Two sessions cannot share a
    /// folder. Settings that the game has set by name, before the start or after it, go before
    /// those that are remembered here, also where it set the default.
    ///
    /// ```gdscript
    /// session.set_state_directory("user://torrents")
    /// session.start_session()
    /// var ok: bool = await session.wait_started()
    /// for handle in session.get_torrents():
    ///     print(handle.get_name(), " goes on")
    /// ```
    ///
    /// The torrents are read in the background: [method wait_started] waits until all are
    /// back. A torrent that the game adds before that comes back as it was.
    #[func]
    fn set_state_directory(&self, path: GString) -> bool {
        main_only!(self, "set_state_directory");
        let folder = match path.is_empty() {
            true => Ok(None),
            false => paths::to_save(&path).map(Some),
        };
        let folder = self.report("set_state_directory", folder);
        folder
            .map(|folder| self.slot.set_state_dir(folder))
            .is_some()
    }
}
