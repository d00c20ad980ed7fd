//! Resume data of a torrent.

use torrent_engine::torrent::handle::resume::SaveFlags;

use super::*;

#[godot_api(secondary)]
impl TorrentHandle {
    /// Saves what is needed to go on later without a complete check. It comes with
    /// [signal resume_data_ready] once everything verified is safely in the files. To wait for
    /// it, use [method wait_resume_data].
    ///
    /// ```gdscript
    /// handle.resume_data_ready.connect(func(resume: PackedByteArray) -> void: print(resume.size()))
    /// handle.save_resume_data()
    /// ```
    #[func]
    fn save_resume_data(&self) -> bool {
        self.command("save_resume_data", |torrent| {
            torrent.save_resume_data(SaveFlags::SAVE_INFO_DICT)
        })
    }

    /// The resume data that was saved last; empty before the first time.
    #[func]
    fn get_resume_data(&self) -> PackedByteArray {
        let data = self.read("get_resume_data", Torrent::resume_data);
        let data = data.flatten().unwrap_or_default();
        PackedByteArray::from(data.as_ref())
    }

    /// Whether anything has changed since the last time that justifies a save.
    #[func]
    fn need_save_resume_data(&self) -> bool {
        self.read("need_save_resume_data", Torrent::need_save_resume_data)
            .unwrap_or_default()
    }
}
