//! What the settings allow a connection.

use std::time::Duration;

use crate::settings::Settings;
use crate::window::WindowLimits;

/// Limits of a connection, taken from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    pub(super) window: WindowLimits,
    pub(super) max_in: usize,
    pub(super) peer_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) piece_timeout: Duration,
    pub(super) send_watermark: usize,
    /// The torrent wants to know which pieces are read.
    pub(super) report_served: bool,
    /// Pieces that a torrent may have, as long as its own number is unknown.
    pub(super) max_pieces: u32,
}

impl From<&Settings> for ConnectionLimits {
    fn from(settings: &Settings) -> Self {
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        Self {
            window: WindowLimits {
                queue_time: seconds(settings.request_queue_time),
                max: settings.max_out_request_queue as u32,
            },
            max_in: settings.max_allowed_in_request_queue as usize,
            peer_timeout: seconds(settings.peer_timeout),
            request_timeout: seconds(settings.request_timeout),
            piece_timeout: seconds(settings.piece_timeout),
            send_watermark: settings.send_buffer_watermark as usize,
            report_served: settings.suggest_mode == 1,
            max_pieces: settings.max_piece_count as u32,
        }
    }
}
