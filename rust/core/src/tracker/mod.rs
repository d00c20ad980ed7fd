//! Trackers (BEP 3, 7, 12, 15, 23, 24, 31, 41, 48): what is asked, what is
//! answered, and when.
//!
//! [`Announcer`] is the machine: one a torrent, owned by the task that drives
//! it. It puts out a [`TrackerRequest`] whenever a tracker is due at one of our
//! endpoints; the driver adds the torrent's [`AnnounceStats`], carries it out and
//! brings back the reply or a [`TrackerFailure`]. For HTTP that means to fetch
//! [`announce_url`] or [`scrape_url`] and to read the body with
//! [`Reply::parse`] or [`ScrapeReply::parse`]; for UDP there is a machine of
//! its own, [`udp::UdpTrackers`], one a session.

mod announcer;
mod endpoint;
mod entry;
mod http;
mod reply;
mod request;
mod scrape;
mod settings;
mod status;
pub mod udp;

pub use announcer::{Announcer, Answered};
pub use http::{
    AnnounceStats, TrackerHost, UrlError, announce_url, check_url, scrape_url, tracker_host,
};
pub use reply::{Reply, ReplyError, Retry, TrackerFailure};
pub use request::{AnnounceRequest, RequestId, ScrapeRequest, TrackerRequest};
pub use scrape::ScrapeReply;
pub use settings::AnnouncerSettings;
pub use status::{EndpointRow, TrackerRow, TrackerState};

/// Why we announce (BEP 3; `paused` BEP 21). The numbers are libtorrent's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum AnnounceEvent {
    /// At the interval, or on request.
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

impl AnnounceEvent {
    /// libtorrent's number, as in its `tracker_announce` alert.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The event as trackers receive it; empty for a regular announce.
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
