//! The trackers of a torrent and when they are asked, as its handle offers it.
//!
//! The tiers (BEP 12) are in the torrent's options; the task looks at them when
//! it comes to the message. What became of the trackers is a snapshot.

use std::sync::Arc;
use std::time::Duration;

use super::validate::check_tracker;
use super::{Command, PendingState, TorrentHandle, merge};
use crate::error::{Error, ErrorKind, Result};
use crate::event::command_sequence::CommandTopic;
use crate::torrent::handle::resume::SaveFlags;

/// When and to which trackers to announce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reannounce {
    pub(crate) after: Duration,
    /// By index; `None` for those whose turn it is.
    pub(crate) tracker: Option<usize>,
    pub(crate) ignore_min_interval: bool,
}

impl TorrentHandle {
    /// Announces after this time, to the tracker with this index or to the one
    /// whose turn it is, as soon as its minimal interval allows.
    pub fn force_reannounce(&self, after: Duration, tracker: Option<usize>) -> Result<()> {
        self.reannounce(after, tracker, false)
    }

    /// The same, even if the tracker asked not to be asked so soon.
    pub fn force_reannounce_now(&self, after: Duration, tracker: Option<usize>) -> Result<()> {
        self.reannounce(after, tracker, true)
    }

    fn reannounce(
        &self,
        after: Duration,
        tracker: Option<usize>,
        ignore_min_interval: bool,
    ) -> Result<()> {
        self.check_tracker_index(tracker)?;
        self.post(Command::Reannounce(Reannounce {
            after,
            tracker,
            ignore_min_interval,
        }))
    }

    /// Asks the tracker with this index, or the one that answered last, for
    /// the numbers of the swarm (BEP 48); a `scrape_reply` or `scrape_failed`
    /// event brings them.
    pub fn scrape_tracker(&self, tracker: Option<usize>) -> Result<()> {
        self.check_tracker_index(tracker)?;
        self.post(Command::Scrape(tracker))
    }

    /// Its trackers in their tiers (BEP 12), as they were set last.
    pub(crate) fn tracker_tiers(&self) -> Arc<Vec<Vec<String>>> {
        Arc::clone(&self.shared.options.lock().trackers)
    }

    fn check_tracker_index(&self, tracker: Option<usize>) -> Result<()> {
        self.check_valid()?;
        let count = self.tracker_tiers().iter().flatten().count();
        if let Some(index) = tracker
            && index >= count
        {
            return Err(Error::because(
                ErrorKind::InvalidParameter,
                format!("tracker {index} of {count}"),
            ));
        }
        Ok(())
    }

    /// Adds a tracker to a tier (BEP 12); a known one is left where it is.
    pub fn add_tracker(&self, url: &str, tier: usize) -> Result<()> {
        check_tracker(url)?;
        self.change_trackers(|tiers| {
            merge::add_tracker(tiers, url, tier);
            Ok(())
        })
    }

    /// Removes a tracker; one that there is not is an error.
    pub fn remove_tracker(&self, url: &str) -> Result<()> {
        self.change_trackers(|tiers| {
            check_known(tiers, url)?;
            for tier in tiers.iter_mut() {
                tier.retain(|known| known != url);
            }
            tiers.retain(|tier| !tier.is_empty());
            Ok(())
        })
    }

    /// Uses these tiers of trackers instead.
    pub fn replace_trackers(&self, tiers: Vec<Vec<String>>) -> Result<()> {
        tiers
            .iter()
            .flatten()
            .try_for_each(|url| check_tracker(url))?;
        self.change_trackers(|current| {
            *current = tiers;
            Ok(())
        })
    }

    /// After so many failures in a row a tracker is not asked any more; 0 lifts
    /// the limit.
    pub fn set_tracker_fail_limit(&self, url: &str, limit: u8) -> Result<()> {
        self.check_valid()?;
        {
            let mut options = self.shared.options.lock();
            check_known(&options.trackers, url)?;
            match limit {
                0 => Arc::make_mut(&mut options.fail_limits).remove(url),
                limit => Arc::make_mut(&mut options.fail_limits).insert(url.to_owned(), limit),
            };
            self.shared.asked.ask(CommandTopic::Trackers);
        }
        self.look(PendingState::Trackers);
        Ok(())
    }

    /// libtorrent's number of where a tracker comes from: 1 the torrent file,
    /// 2 the game, 4 the magnet link.
    pub(crate) fn tracker_source(&self, url: &str) -> u8 {
        let (in_file, in_link) = match (&self.shared.identity.magnet, self.metainfo()) {
            (Some(magnet), _) => (false, magnet.trackers.iter().any(|known| known == url)),
            (None, Some(metainfo)) => {
                let mut urls = metainfo.tiers.iter().flatten();
                (urls.any(|known| known == url), false)
            }
            (None, None) => (false, false),
        };
        match (in_file, in_link) {
            (true, _) => 1,
            (_, true) => 4,
            _ => 2,
        }
    }

    /// `change` changes nothing when it fails.
    fn change_trackers(
        &self,
        change: impl FnOnce(&mut Vec<Vec<String>>) -> Result<()>,
    ) -> Result<()> {
        self.check_valid()?;
        {
            let mut options = self.shared.options.lock();
            change(Arc::make_mut(&mut options.trackers))?;
            self.shared.asked.ask(CommandTopic::Trackers);
        }
        self.note_unsaved(SaveFlags::IF_METADATA_CHANGED);
        self.look(PendingState::Trackers);
        Ok(())
    }
}

/// Whether `url` is one of these trackers.
fn check_known(tiers: &[Vec<String>], url: &str) -> Result<()> {
    if tiers.iter().flatten().any(|known| known == url) {
        return Ok(());
    }
    Err(Error::because(ErrorKind::InvalidUrl, "no such tracker").about(url))
}
