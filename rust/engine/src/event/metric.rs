//! The names of a session's numbers, as the `session_stats_header` event
//! lists them.

use torrent_core::value::Fields;

/// How a metric goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl MetricType {
    /// libtorrent's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// One of the numbers that [`Session::stats`](crate::session::Session::stats)
/// reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// How it goes.
    pub kind: MetricType,
}

impl Metric {
    pub(crate) fn fields(&self) -> Fields {
        vec![
            ("name".into(), self.name.clone().into()),
            ("type".into(), self.kind.name().into()),
        ]
    }
}
