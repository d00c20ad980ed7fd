//! Settings for a purpose.

use super::Settings;
use crate::value::Value;

/// Settings for a purpose, as changes to the defaults.
pub(super) const PRESETS: &[(&str, &[(&str, i64)])] = &[
    ("default", &[]),
    (
        "high_throughput",
        &[
            ("connections_limit", 1000),
            ("unchoke_slots_limit", -1),
            ("connection_speed", 100),
            ("max_out_request_queue", 1500),
            ("send_buffer_watermark", 3_145_728),
            ("file_pool_size", 500),
            ("max_queued_disk_bytes", 268_435_456),
        ],
    ),
    (
        "low_memory",
        &[
            ("connections_limit", 50),
            ("max_peerlist_size", 500),
            ("max_out_request_queue", 100),
            ("max_allowed_in_request_queue", 250),
            ("send_buffer_watermark", 65_536),
            ("aio_threads", 1),
            ("file_pool_size", 10),
            ("max_queued_disk_bytes", 4_194_304),
            ("alert_queue_size", 500),
        ],
    ),
    (
        "lan",
        &[
            ("unchoke_slots_limit", -1),
            ("connection_speed", 100),
            ("min_reconnect_time", 5),
            ("send_buffer_watermark", 1_048_576),
        ],
    ),
];

impl Settings {
    /// The settings for a purpose: "default", "high_throughput" (a fast
    /// server), "low_memory" (a small device) or "lan" (games at home).
    pub fn preset(name: &str) -> Option<Self> {
        let (_, changes) = PRESETS.iter().find(|(known, _)| *known == name)?;
        let changes: Vec<_> = changes
            .iter()
            .map(|&(name, value)| (name, Value::Int(value)))
            .collect();
        let mut settings = Self::default();
        let applied = settings.apply(changes.iter().map(|(name, value)| (*name, value)));
        debug_assert!(applied.is_ok(), "{applied:?}");
        Some(settings)
    }
}
