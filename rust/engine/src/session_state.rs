//! What outlives a session: its settings, and with a state directory its
//! torrents.

use std::collections::HashMap;

use torrent_core::ids::InfoHash;
use torrent_core::ipfilter::IpFilter;
use torrent_core::magnet::MagnetUri;
use torrent_core::session_state::SessionState;
use torrent_core::settings::{Settings, SettingsError};

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Detail, kind};
use crate::resume::path_of;
use crate::session::{AddTorrent, Session, SessionCommand, SessionShared, TorrentSource};
use crate::state::Remembered;

impl SessionShared {
    /// The session's state as it is now, in libtorrent's format.
    pub(crate) fn encode_state(&self) -> Vec<u8> {
        let settings = self.settings.borrow().clone();
        let mut state = self.state.lock();
        state.set_settings(&settings);
        state.ip_filter = Some(IpFilter::clone(&self.guard.current()));
        state.queue = self.queue.order();
        state.encode()
    }

    /// Has the session's state saved soon, where there is a state directory.
    pub(crate) fn state_changed(&self) {
        if self.keeper.is_some() {
            // A session that does not take it saves when it stops.
            let _ = self.commands.try_send(SessionCommand::SaveState);
        }
    }
}

impl Session {
    /// The session's state in libtorrent's format: settings that are not
    /// default, the IP filter, and what was loaded and is not used here; also
    /// the order of the queue, which libtorrent passes over.
    pub fn save_state(&self) -> Vec<u8> {
        self.shared.encode_state()
    }

    /// Takes over a session's state: settings change as with
    /// [`Self::apply_settings`], the IP filter is that of the state where it
    /// says something of one, torrents in the queue take the order that they
    /// had, and what this library does not use is kept for the next save. Returns the settings that were not taken over, and
    /// why. Fails for data that is no session state.
    pub fn load_state(&self, data: &[u8]) -> Result<Vec<SettingsError>> {
        let state = SessionState::decode(data)?;
        let mut settings = Settings::clone(&self.settings());
        let refused = state.restore_settings(&mut settings);
        if let Some(filter) = state.ip_filter.clone() {
            self.shared.guard.set_filter(filter);
        }
        self.shared.queue.arrange(&state.queue);
        *self.shared.state.lock() = state;
        let values = settings.values();
        self.apply_settings(values.iter().map(|(name, value)| (*name, value)))?;
        Ok(refused)
    }

    /// Adds the torrents of a state directory in the order that they had in
    /// the queue, and reports what was wrong with it.
    pub(crate) fn bring_back(&self, mut torrents: Vec<Remembered>, complaints: Vec<Error>) {
        let events = &self.shared.events;
        for error in complaints {
            events.post(kind::FILE_ERROR, None, || Detail::Error(error));
        }
        let order = self.shared.state.lock().queue.clone();
        let places: HashMap<InfoHash, usize> = order.into_iter().zip(0..).collect();
        torrents.sort_by_key(|torrent| {
            let place = places.get(&torrent.info_hash).copied();
            (place.unwrap_or(usize::MAX), torrent.resume.added_time)
        });
        for torrent in torrents {
            let complaint = torrent.complaint.clone();
            match self.bring_back_one(torrent) {
                Ok(handle) => {
                    let Some(error) = complaint else { continue };
                    events.post(kind::FASTRESUME_REJECTED, Some(&handle), || {
                        Detail::Error(error)
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a torrent of the state directory is not added");
                    self.post_add_failure(&error);
                }
            }
        }
    }

    fn bring_back_one(&self, torrent: Remembered) -> Result<crate::handle::TorrentHandle> {
        let save_path = path_of(&torrent.resume.save_path);
        let mut add = AddTorrent::from_info_hash(torrent.info_hash, save_path);
        if let Some(metainfo) = torrent.metainfo {
            add.source = TorrentSource::File(metainfo);
        } else if let Some(magnet) = torrent.magnet {
            add.source = TorrentSource::Magnet(magnet);
        } else {
            add.source = TorrentSource::Magnet(MagnetUri {
                name: torrent.resume.name.clone(),
                ..MagnetUri::of_hash(torrent.info_hash)
            });
        }
        if add.save_path.as_os_str().is_empty() {
            return Err(Error::new(ErrorKind::EmptySavePath).about(torrent.info_hash.to_string()));
        }
        self.add(add.with_resume(torrent.resume)?, true)
    }
}
