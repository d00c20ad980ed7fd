//! What outlives a session beside its torrents: its settings, its IP filter
//! and the order of its queue.

use torrent_core::ipfilter::IpFilter;
use torrent_core::session_state::SessionState;
use torrent_core::settings::{Settings, SettingsError};

use crate::error::Result;
use crate::session::{Session, SessionCommand, SessionShared};

impl SessionShared {
    /// The session's state as it is now, in libtorrent's format.
    pub(crate) fn encode_state(&self) -> Vec<u8> {
        let settings = self.settings.borrow().clone();
        let mut state = self.state.lock();
        state.set_settings(&settings);
        state.ip_filter = Some(IpFilter::clone(&self.guard.current()));
        // Until all torrents are back the order is the one they had.
        if self.restoring.is_done() {
            state.queue = self.queue.order();
        }
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
    /// had, and what this library does not use is kept for the next save.
    /// Returns the settings that were not taken over, and why. Fails for data that is no session state.
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
}
