//! The statuses that changed since they were last posted: for `state_update`,
//! which is asked for, and `torrents_updated`, which comes by itself.

use std::collections::HashMap;
use std::sync::Arc;

use torrent_core::ids::TorrentKey;

use super::SessionShared;
use crate::event::typed;
use crate::status::TorrentStatus;

/// The statuses as of the last events of either kind.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    last_tick: HashMap<TorrentKey, Arc<TorrentStatus>>,
    last_update: HashMap<TorrentKey, Arc<TorrentStatus>>,
}

impl Updates {
    /// Posts what changed since the last `state_update`.
    pub(crate) fn post_updates(&mut self, session: &SessionShared) {
        let changed = changes(session, &mut self.last_update);
        let events = &session.services.events;
        events.post(typed::STATE_UPDATE, None, || changed);
    }

    /// Posts what changed since the last `torrents_updated`, if anything did.
    pub(crate) fn post_tick(&mut self, session: &SessionShared) {
        let changed = changes(session, &mut self.last_tick);
        if !changed.is_empty() {
            let events = &session.services.events;
            events.post(typed::TORRENTS_UPDATED, None, || changed);
        }
    }

    /// A torrent has ended.
    pub(crate) fn forget(&mut self, torrent: TorrentKey) {
        self.last_tick.remove(&torrent);
        self.last_update.remove(&torrent);
    }
}

/// The statuses that differ from those in `last`, which is brought up to date.
fn changes(
    session: &SessionShared,
    last: &mut HashMap<TorrentKey, Arc<TorrentStatus>>,
) -> Vec<Arc<TorrentStatus>> {
    let handles = session.registry.lock().all();
    handles
        .iter()
        .filter_map(|handle| {
            let status = handle.status_of_snapshot();
            let known = last.insert(handle.key(), Arc::clone(&status));
            let is_news = known
                .is_none_or(|known| !Arc::ptr_eq(&known, &status) && status.is_news_after(&known));
            is_news.then(|| handle.status())
        })
        .collect()
}
