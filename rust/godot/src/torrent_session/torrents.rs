//! Adding, finding and removing torrents.

use super::*;

#[godot_api(secondary)]
impl TorrentSession {
    /// Adds a torrent from the bytes of its torrent file, to be downloaded into a folder.
    /// Files that are already there are checked and used. Null when it cannot be added; a
    /// torrent that is already part of the session is returned as it is.
    #[func]
    fn add_torrent_file(
        &self,
        torrent_data: PackedByteArray,
        save_path: GString,
    ) -> Option<Gd<TorrentHandle>> {
        main_only!(self, "add_torrent_file");
        let path = paths::to_save(&save_path);
        let limits = self.torrent_limits();
        let add = path
            .and_then(|path| AddTorrent::from_data_within(torrent_data.as_slice(), path, &limits));
        self.report("add_torrent_file", self.add(add))
    }

    /// Adds a torrent that goes on where its resume data left it: what is there needs no
    /// complete check. Resume data that does not fit the files is not believed, and the
    /// files are checked instead. An empty `save_path` stands for the folder in the resume
    /// data.
    #[func]
    fn add_torrent_file_with_resume(
        &self,
        torrent_data: PackedByteArray,
        save_path: GString,
        resume_data: PackedByteArray,
    ) -> Option<Gd<TorrentHandle>> {
        main_only!(self, "add_torrent_file_with_resume");
        let resume = resume_data.as_slice();
        let add = paths::to_resume(&save_path, resume)
            .and_then(|path| {
                let limits = self.torrent_limits();
                AddTorrent::from_data_within(torrent_data.as_slice(), path, &limits)
            })
            .and_then(|add| add.with_resume_data(resume));
        self.report("add_torrent_file_with_resume", self.add(add))
    }

    /// As [method add_torrent_file_with_resume], for a torrent that was added by a magnet
    /// link. Resume data that was saved with the metadata makes that known at once.
    #[func]
    fn add_magnet_uri_with_resume(
        &self,
        magnet_uri: GString,
        save_path: GString,
        resume_data: PackedByteArray,
    ) -> Option<Gd<TorrentHandle>> {
        main_only!(self, "add_magnet_uri_with_resume");
        let resume = resume_data.as_slice();
        let add = paths::to_resume(&save_path, resume)
            .and_then(|path| AddTorrent::from_magnet(&magnet_uri.to_string(), path))
            .and_then(|add| add.with_resume_data(resume));
        self.report("add_magnet_uri_with_resume", self.add(add))
    }

    /// Adds the torrent that a magnet link names. Its files become known once peers have
    /// sent its metadata: see [method TorrentHandle.wait_metadata]. Null when the
    /// link cannot be read; a torrent that is already part of the session is returned as it
    /// is.
    ///
    /// ```gdscript
    /// var handle := session.add_magnet_uri("magnet:?xt=urn:btih:...", "user://maps")
    /// var ok: bool = await handle.wait_metadata()
    /// if ok:
    ///     print(handle.get_torrent_info().get_file_count(), " files")
    /// ```
    #[func]
    fn add_magnet_uri(&self, magnet_uri: GString, save_path: GString) -> Option<Gd<TorrentHandle>> {
        main_only!(self, "add_magnet_uri");
        let path = paths::to_save(&save_path);
        let add = path.and_then(|path| AddTorrent::from_magnet(&magnet_uri.to_string(), path));
        self.report("add_magnet_uri", self.add(add))
    }

    /// Adds a torrent with more to say about it.
    ///
    /// Which one: `torrent_data` (PackedByteArray), `magnet_uri` or `info_hash` (String), or
    /// `resume_data` (PackedByteArray), which may also be given along with one of them. Where:
    /// `save_path`, or the folder of the resume data.
    ///
    /// If wanted: `name` (until the metadata is known), `trackers` (URLs, Arrays of URLs as
    /// tiers, or Dictionaries with `url` and `tier`) and `url_seeds`, beside those of the
    /// torrent file; `peers` (`"ip:port"`), `dht_nodes` (`"host:port"`); `file_priorities` and
    /// `piece_priorities` (from the first on, 0 to 7), `renamed_files` (names by index);
    /// `max_connections`, `max_uploads`, `download_limit`, `upload_limit`; `storage_mode`
    /// ("sparse" or "allocate"). Flags, each true or false, or named in an Array `flags`:
    /// `paused`, `auto_managed`, `seed_mode`, `upload_mode`, `share_mode`,
    /// `sequential_download`, `super_seeding`, `stop_when_ready`, `apply_ip_filter`,
    /// `disable_dht`, `disable_pex`, `disable_lsd`, `default_dont_download`,
    /// `no_verify_files`.
    ///
    /// ```gdscript
    /// session.add_torrent({
    ///     "torrent_data": data,
    ///     "save_path": "user://maps",
    ///     "file_priorities": [4, 0, 4],
    ///     "paused": true,
    /// })
    /// ```
    #[func]
    fn add_torrent(&self, params: AnyDictionary) -> Option<Gd<TorrentHandle>> {
        main_only!(self, "add_torrent");
        self.report(
            "add_torrent",
            self.add(add_params::read(&params, &self.torrent_limits())),
        )
    }

    /// Takes a torrent out of the session; with `delete_files` its files are deleted too.
    /// [method TorrentHandle.wait_removed] waits until that is done.
    #[func]
    fn remove_torrent(
        &self,
        handle: Option<Gd<TorrentHandle>>,
        #[opt(default = false)] delete_files: bool,
    ) -> bool {
        main_only!(self, "remove_torrent");
        self.report("remove_torrent", self.remove(handle, delete_files))
            .is_some()
    }

    /// The torrent with this info-hash (40 hexadecimal digits), or null.
    #[func]
    fn find_torrent(&self, info_hash: GString) -> Option<Gd<TorrentHandle>> {
        let hash = self.report("find_torrent", convert::to_info_hash(&info_hash))?;
        let torrent = self.slot.session()?.find_torrent(hash)?;
        let object = self.object(&torrent);
        // The main thread may have removed it meanwhile.
        torrent.is_valid().then_some(object)
    }

    /// All torrents of the session.
    #[func]
    fn get_torrents(&self) -> Array<Gd<TorrentHandle>> {
        let torrents = self
            .slot
            .session()
            .as_ref()
            .map(Session::torrents)
            .unwrap_or_default();
        torrents
            .iter()
            .map(|torrent| self.object(torrent))
            .collect()
    }
}
