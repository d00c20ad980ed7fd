//! What overtakes other notices that come once, where many of those wait.

use std::collections::{HashMap, VecDeque};

use torrent_core::ids::TorrentKey;
use torrent_engine::event::{Event, EventBody};

use super::Notice;

/// Ends, errors and states of torrents of which nothing else waits that comes once.
#[derive(Debug, Default)]
pub(super) struct Urgent {
    /// Each with how many had been put into `fresh` before.
    pub(super) events: VecDeque<(usize, Event)>,
    /// Notices in `fresh` that come once.
    pub(super) others: usize,
    /// How many of them each torrent has that has some: what follows must not overtake
    /// those.
    pub(super) before: HashMap<TorrentKey, usize>,
    /// The start of the session waits: no end of a torrent comes before that.
    before_start: bool,
}

impl Urgent {
    pub(super) fn takes(&self, event: &Event) -> bool {
        let is_urgent = match &event.body {
            EventBody::TorrentFinished | EventBody::StateChanged(_) => true,
            body => body.error().is_some(),
        };
        let torrent = event.torrent.as_ref().map(|torrent| torrent.key);
        is_urgent
            && !self.before_start
            && torrent.is_some_and(|torrent| !self.before.contains_key(&torrent))
    }

    /// A notice goes into `fresh`.
    pub(super) fn put(&mut self, notice: &Notice) {
        self.others += 1;
        match notice {
            Notice::Started => self.before_start = true,
            Notice::Event(Event {
                torrent: Some(torrent),
                ..
            }) => *self.before.entry(torrent.key).or_default() += 1,
            _ => {}
        }
    }

    /// It has left that.
    pub(super) fn taken(&mut self, notice: &Notice) {
        self.others -= 1;
        match notice {
            Notice::Started => self.before_start = false,
            Notice::Event(Event {
                torrent: Some(torrent),
                ..
            }) => {
                let left = self.before.get_mut(&torrent.key);
                if left.is_some_and(|left| {
                    *left -= 1;
                    *left == 0
                }) {
                    self.before.remove(&torrent.key);
                }
            }
            _ => {}
        }
    }
}
