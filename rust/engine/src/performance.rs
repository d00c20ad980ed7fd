//! Warnings about settings that stand in the way: `performance` alerts.

use std::time::{Duration, Instant};

use crate::event::{Detail, kind};
use crate::session::SessionShared;

/// The same warning is not repeated sooner.
const INTERVAL: Duration = Duration::from_secs(10);

/// A setting that stands in the way; libtorrent's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerformanceWarning {
    /// The upload limit is used up by headers and acknowledgements.
    UploadLimitTooLow = 2,
    /// The download limit is used up by them.
    DownloadLimitTooLow = 3,
    /// All upload slots are optimistic ones.
    TooManyOptimisticUnchokeSlots = 5,
}

impl PerformanceWarning {
    /// What is wrong.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UploadLimitTooLow => "upload limit too low",
            Self::DownloadLimitTooLow => "download limit too low",
            Self::TooManyOptimisticUnchokeSlots => "too many optimistic unchoke slots",
        }
    }
}

/// Posts warnings, none of them too often.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    posted: Vec<(PerformanceWarning, Instant)>,
}

impl Warnings {
    pub(crate) fn post(&mut self, session: &SessionShared, warning: PerformanceWarning) {
        let now = Instant::now();
        self.posted
            .retain(|(_, at)| now.saturating_duration_since(*at) < INTERVAL);
        if self.posted.iter().any(|(known, _)| *known == warning) {
            return;
        }
        self.posted.push((warning, now));
        session
            .events
            .post(kind::PERFORMANCE, None, || Detail::Performance(warning));
    }
}
