//! Warnings about settings that stand in the way: `performance` alerts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::sink::EventSink;
use crate::event::{TorrentRef, kind, typed};

/// The same warning is not repeated sooner.
const INTERVAL: Duration = Duration::from_secs(10);

/// A setting that stands in the way; libtorrent's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerformanceWarning {
    /// A peer could be asked for more at once than `max_out_request_queue` lets.
    OutstandingRequestLimitReached = 1,
    /// The upload limit is used up by headers and acknowledgements.
    UploadLimitTooLow = 2,
    /// The download limit is used up by them.
    DownloadLimitTooLow = 3,
    /// A peer takes more than `send_buffer_watermark` lets be read ahead for it.
    SendBufferWatermarkTooLow = 4,
    /// All upload slots are optimistic ones.
    TooManyOptimisticUnchokeSlots = 5,
    /// More waits for the disk than `max_queued_disk_bytes` lets; peers wait.
    TooHighDiskQueueLimit = 6,
    /// All of `num_outgoing_ports` are in use.
    TooFewOutgoingPorts = 9,
    /// The process may not open as many files and sockets as it needs.
    TooFewFileDescriptors = 10,
}

impl PerformanceWarning {
    /// What is wrong.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutstandingRequestLimitReached => "outstanding request limit reached",
            Self::SendBufferWatermarkTooLow => "send buffer watermark too low",
            Self::TooHighDiskQueueLimit => "disk queue limit reached",
            Self::TooFewOutgoingPorts => "too few outgoing ports",
            Self::TooFewFileDescriptors => "too few file descriptors",
            Self::UploadLimitTooLow => "upload limit too low",
            Self::DownloadLimitTooLow => "download limit too low",
            Self::TooManyOptimisticUnchokeSlots => "too many optimistic unchoke slots",
        }
    }
}

/// The warnings that were given lately.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    posted: Vec<(PerformanceWarning, Instant)>,
}

impl Warnings {
    /// Whether it was not given lately; it counts as given then.
    pub(crate) fn is_due(&mut self, warning: PerformanceWarning, now: Instant) -> bool {
        self.posted
            .retain(|(_, at)| now.saturating_duration_since(*at) < INTERVAL);
        let due = self.posted.iter().all(|(known, _)| *known != warning);
        if due {
            self.posted.push((warning, now));
        }
        due
    }
}

impl EventSink {
    /// Warns of a setting that stands in the way of a torrent, or of all.
    pub(crate) fn warn(&self, torrent: Option<&Arc<TorrentRef>>, warning: PerformanceWarning) {
        // Asked first: this may be called with every wake of a connection.
        if self.wants(kind::PERFORMANCE) && self.warnings().is_due(warning, Instant::now()) {
            self.post(typed::PERFORMANCE, torrent, || warning);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_repeated_after_a_while() {
        let mut warnings = Warnings::default();
        let begin = Instant::now();
        let mut due = |warning, after| warnings.is_due(warning, begin + after);
        let disk = PerformanceWarning::TooHighDiskQueueLimit;
        assert!(due(disk, Duration::ZERO));
        assert!(!due(disk, INTERVAL / 2));
        assert!(due(PerformanceWarning::TooFewOutgoingPorts, INTERVAL / 2));
        assert!(due(disk, INTERVAL));
    }
}
