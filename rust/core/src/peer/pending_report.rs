//! What a connection has to report to its torrent, and when.
//!
//! Part of [`Connection`](super::Connection), which notes what happens in the
//! report and says that there is something to take; the driver takes the report once per
//! wake.

use super::block_progress::BlockProgress;
use super::{BlockNote, ConnectionReport, Traffic, Watched};
use crate::ids::BLOCK_SIZE;

/// The next report.
#[derive(Debug, Default)]
pub(super) struct PendingReport {
    pub(super) report: ConnectionReport,
    /// The torrent is to have the report.
    pub(super) dirty: bool,
    /// When the block that is under way is reported.
    pub(super) partial: BlockProgress,
    /// Bytes sent, as of the last report.
    sent_reported: u64,
    /// What is noted of single blocks and requests.
    pub(super) watched: Watched,
    /// What is to be counted, but for what goes, which the send queue counts.
    pub(super) traffic: Traffic,
}

impl PendingReport {
    /// Notes something, which is news by itself.
    pub(super) fn note(&mut self, note: BlockNote) {
        self.report.notes.push(note);
        self.dirty = true;
    }

    /// Bytes were sent, `payload` of them of blocks; `all` says that nothing
    /// is left to send.
    pub(super) fn sent(&mut self, bytes: usize, payload: u64, all: bool) {
        let stats = &mut self.report.stats;
        stats.sent += bytes as u64;
        stats.payload_sent += payload;
        // Under a limit much time may pass until something else is reported.
        let much = stats.sent - self.sent_reported >= u64::from(BLOCK_SIZE);
        if much || (payload > 0 && all) {
            self.dirty = true;
        }
    }

    /// The report, whether or not there is news. Its totals and gauges stay
    /// for the next one.
    pub(super) fn take_report(&mut self) -> ConnectionReport {
        self.dirty = false;
        self.partial.reported();
        let report = std::mem::take(&mut self.report);
        self.report.stats = report.stats;
        self.sent_reported = report.stats.sent;
        report
    }
}
