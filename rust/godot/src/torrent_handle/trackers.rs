//! Trackers of a torrent.

use super::*;

#[godot_api(secondary)]
impl TorrentHandle {
    /// Asks trackers for peers, in so many seconds: the tracker with this index in
    /// [method get_trackers], or with -1 those whose turn it is.
    #[func]
    fn force_reannounce(
        &self,
        #[opt(default = 0)] seconds: i64,
        #[opt(default = -1)] tracker_index: i64,
    ) -> bool {
        self.command("force_reannounce", |torrent| {
            let (after, tracker) = convert::to_announce(seconds, tracker_index)?;
            torrent.force_reannounce(after, tracker)
        })
    }

    /// Asks the trackers for the numbers of the swarm, without announcing. They come with
    /// [method get_trackers] and [method TorrentStatus.get_num_complete].
    #[func]
    fn scrape_tracker(&self) -> bool {
        self.command("scrape_tracker", |torrent| torrent.scrape_tracker(None))
    }

    /// Adds a tracker. Those of a lower tier are tried first; a known one stays where it is.
    #[func]
    fn add_tracker(&self, url: GString, #[opt(default = 0)] tier: i64) -> bool {
        self.command("add_tracker", |torrent| {
            let tier =
                usize::try_from(tier).map_err(|_| invalid(format!("there is no tier {tier}")))?;
            torrent.add_tracker(&url.to_string(), tier)
        })
    }

    /// Removes a tracker.
    #[func]
    fn remove_tracker(&self, url: GString) -> bool {
        self.command("remove_tracker", |torrent| {
            torrent.remove_tracker(&url.to_string())
        })
    }

    /// Uses these trackers instead: URLs (one tier each), or Arrays of URLs (a tier each),
    /// or Dictionaries with url and tier, as [method get_trackers] returns them.
    #[func]
    fn replace_trackers(&self, trackers: AnyArray) -> bool {
        self.command("replace_trackers", |torrent| {
            torrent.replace_trackers(convert::to_tiers(&trackers)?)
        })
    }

    /// The trackers and how they are doing: url, tier, source, status, message, next_announce,
    /// min_announce, fails, fail_limit, last_error, scrape_complete, scrape_incomplete,
    /// scrape_downloaded, verified, trackerid, and endpoints: the same for each address that
    /// we announce from.
    #[func]
    fn get_trackers(&self) -> Array<VarDictionary> {
        let trackers = self
            .read("get_trackers", Torrent::trackers)
            .unwrap_or_default();
        trackers
            .iter()
            .map(|tracker| convert::to_dictionary(&tracker.fields()))
            .collect()
    }
}
