//! What outlives a session beside its torrents: its settings, its IP filter
//! and the order of its queue.
//!
//! While a session runs it owns all of that; who wants to start another one in
//! its place takes a [`SavedSession`] from it when it stops
//! ([`Session::saved_session`]), saves and loads that meanwhile, and hands it to
//! [`Session::start_again`].

use std::sync::Arc;

use torrent_core::session_state::SessionState;
use torrent_core::settings::{Settings, SettingsError};

use crate::error::Result;
use crate::ip_filter::{Filter, IpFilter};
use crate::session::{Session, SessionShared};

/// What goes from one run of a session to the next, beside its settings.
#[derive(Clone, Debug, Default)]
pub struct SavedSession {
    /// The queue's order, and what only others use. Its filter is in `filter`.
    pub(crate) state: SessionState,
    /// The IP filter.
    pub filter: Filter,
}

impl SavedSession {
    /// All of it and the settings as a session's state: see
    /// [`Session::save_state`].
    pub fn save(&self, settings: &Settings) -> Vec<u8> {
        let mut state = self.state.clone();
        state.set_settings(settings);
        state.ip_filter = Some(Arc::clone(self.filter.blocked()));
        state.encode()
    }

    /// Takes over a session's state: see [`Session::load_state`]. Returns the
    /// settings that were not taken over, and why. Fails for data that is no
    /// session state; nothing changes then.
    pub fn load(&mut self, data: &[u8], settings: &mut Settings) -> Result<Vec<SettingsError>> {
        let (state, filter) = decode(data)?;
        let refused = state.restore_settings(settings);
        self.state = state;
        if let Some(filter) = filter {
            self.filter.replace(filter);
        }
        Ok(refused)
    }

    /// Puts it on top of what a state directory remembers. Fails when there
    /// are too many rules in the filter; then it has its own alone.
    pub(crate) fn put_on(&mut self, mut remembered: SessionState) -> Result<()> {
        let filter = remembered.ip_filter.take();
        self.state.put_on(remembered);
        filter.map_or(Ok(()), |filter| self.filter.put_on(filter))
    }
}

/// A session's state and, apart from it, its filter.
fn decode(data: &[u8]) -> Result<(SessionState, Option<Arc<IpFilter>>)> {
    let mut state = SessionState::decode(data)?;
    let filter = state.ip_filter.take();
    Ok((state, filter))
}

impl SessionShared {
    fn saved_session(&self) -> SavedSession {
        let mut state = self.state.lock().clone();
        // Until all torrents are back the order is the one they had.
        if self.restoring.is_complete() {
            state.queue = self.services.queue.order();
        }
        let filter = self.services.address_filter.filter().borrow().clone();
        SavedSession { state, filter }
    }

    /// The session's state as it is now, in libtorrent's format.
    pub(crate) fn encode_state(&self) -> Vec<u8> {
        let settings = self.services.settings.borrow().clone();
        self.saved_session().save(&settings)
    }

    /// Has the session's state saved soon, where there is a state directory.
    pub(crate) fn state_changed(&self) {
        if self.services.state_store.get().is_some() {
            self.state_unsaved.notify_one();
        }
    }
}

impl Session {
    /// What the next run is to have of this one, while it runs or when it has
    /// stopped.
    pub fn saved_session(&self) -> SavedSession {
        self.shared.saved_session()
    }

    /// The session's state in libtorrent's format: settings that are not
    /// default, the rules of the IP filter whether they hold or not, and what
    /// was loaded and is not used here; also the order of the queue, which
    /// libtorrent passes over.
    pub fn save_state(&self) -> Vec<u8> {
        self.shared.encode_state()
    }

    /// Takes over a session's state: settings change as with
    /// [`Self::apply_settings`], the rules of the IP filter are those of the
    /// state where it says something of one, torrents in the queue take the
    /// order that they had, and what this library does not use is kept for the
    /// next save. Returns the settings that were not taken over, and why. Fails
    /// for data that is no session state.
    pub fn load_state(&self, data: &[u8]) -> Result<Vec<SettingsError>> {
        let (mut state, filter) = decode(data)?;
        if let Some(filter) = filter {
            self.shared.services.address_filter.change_filter(|held| {
                held.replace(filter);
                Ok(())
            })?;
        }
        self.shared.services.queue.arrange(&state.queue);
        let mut refused = Vec::new();
        self.shared.change_settings(|settings| {
            refused = state.restore_settings(settings);
            Ok(())
        })?;
        {
            let mut held = self.shared.state.lock();
            if state.queue.is_empty() {
                // Torrents that come back later have their order from it.
                state.queue = std::mem::take(&mut held.queue);
            }
            *held = state;
        }
        Ok(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(filter: &Filter) -> usize {
        filter.blocked().len()
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let mut first = SavedSession::default();
        first.filter.add_rule("10.0.0.0/8", true).unwrap();
        first.filter.set_enabled(false);
        let foreign = b"d9:dht statei7e8:settingsd17:connections_limiti77eee";
        let mut settings = Settings::default();
        assert_eq!(first.load(foreign, &mut settings).unwrap(), []);
        assert_eq!(settings.connections_limit, 77);
        assert_eq!(rules(&first.filter), 1, "nothing is said of a filter");

        let saved = first.save(&settings);
        let mut second = SavedSession::default();
        second.filter.add_rule("9.0.0.0", true).unwrap();
        let mut settings = Settings::default();
        assert_eq!(second.load(&saved, &mut settings).unwrap(), []);
        assert_eq!(settings.connections_limit, 77);
        assert_eq!(second.filter.blocked(), first.filter.blocked());
        assert!(second.filter.is_enabled());
        assert_eq!(second.save(&settings), saved);
        assert!(second.load(b"nonsense", &mut settings).is_err());
        assert_eq!(second.save(&settings), saved);
    }

    #[test]
    fn it_goes_on_top_of_what_a_folder_remembers() {
        let mut folder = SavedSession::default();
        folder.filter.add_rule("10.0.0.0/8", true).unwrap();
        let remembered = SessionState::decode(&folder.save(&Settings::default())).unwrap();
        let mut own = SavedSession::default();
        own.filter.add_rule("10.1.0.0/16", false).unwrap();
        own.filter.add_rule("12.0.0.0/8", true).unwrap();
        own.put_on(remembered.clone()).unwrap();
        assert_eq!(rules(&own.filter), 3);
        let mut cleared = SavedSession::default();
        cleared.filter.replace(IpFilter::new());
        cleared.put_on(remembered).unwrap();
        assert_eq!(rules(&cleared.filter), 0);
    }
}
