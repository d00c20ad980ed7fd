//! Trackers (BEP 3, 7, 12, 23, 24, 31): what is asked, what is answered, and
//! when.
//!
//! [`Announcer`] is the machine: one a torrent, owned by the task that drives
//! it. It puts out an [`AnnounceRequest`] whenever a tracker is due; the
//! driver adds the torrent's [`Report`], fetches [`announce_url`], reads the
//! body with [`Reply::parse`] and brings back the reply or a [`Failure`].

mod announcer;
mod http;
mod reply;
mod tracker_state;

pub use announcer::{AnnounceRequest, Announcer, AnnouncerSettings, RequestId, TrackerRow};
pub use http::{Report, UrlError, announce_url, check_url};
pub use reply::{Failure, Reply, ReplyError, Retry};
pub use tracker_state::TrackerState;

/// Why we announce (BEP 3; `paused` BEP 21). The numbers are libtorrent's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// At the interval, or because somebody asked.
    #[default]
    None = 0,
    /// The download has just become complete.
    Completed = 1,
    /// First announce of this run.
    Started = 2,
    /// Last announce of this run.
    Stopped = 3,
    /// Everything wanted is there but not everything: we only upload.
    Paused = 4,
}

impl Event {
    /// libtorrent's number, as in its `tracker_announce` alert.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The word that trackers are told; empty for a regular announce.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Completed => "completed",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }
}
