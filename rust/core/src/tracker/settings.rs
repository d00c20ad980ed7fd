//! What the session's settings say of announces.

use std::time::Duration;

/// The settings of an [`Announcer`](super::Announcer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncerSettings {
    /// Peers to ask for (`num_want`).
    pub num_want: u32,
    /// Shortest time between regular announces to one tracker
    /// (`min_announce_interval`); the tracker can only lengthen it.
    pub min_interval: Duration,
    /// Growth of the wait after each failure (`tracker_backoff`), in percent.
    pub backoff_percent: u32,
    /// Ask all trackers of the tier whose turn it is, not only the first that
    /// works (`announce_to_all_trackers`).
    pub all_trackers: bool,
    /// Ask one tracker of each tier (`announce_to_all_tiers`); with
    /// `all_trackers`, every tracker.
    pub all_tiers: bool,
    /// Of two trackers on one machine, the one that is asked by UDP takes the
    /// other's place if that comes first (`prefer_udp_trackers`). Counts for
    /// tiers that are set from then on.
    pub prefer_udp: bool,
    /// Use host names outside ASCII (`allow_idna`); counts for tiers that are
    /// set from then on.
    pub international: bool,
    /// Announce to trackers that we stop (`stop_tracker_timeout` is not 0).
    pub announce_stopped: bool,
}

impl Default for AnnouncerSettings {
    fn default() -> Self {
        Self {
            num_want: 200,
            min_interval: Duration::from_secs(300),
            backoff_percent: 250,
            all_trackers: false,
            all_tiers: false,
            prefer_udp: true,
            international: false,
            announce_stopped: true,
        }
    }
}
