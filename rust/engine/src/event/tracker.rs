//! Events of trackers, with the field names of libtorrent's alerts.

use std::net::SocketAddr;

use torrent_core::tracker::AnnounceEvent;
use torrent_core::value::{Fields, Value};

use super::{Kind, kind};
use crate::operation::Operation;

/// News of a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerNews {
    /// Its announce URL.
    pub url: String,
    /// Our endpoint that it was asked from.
    pub local: SocketAddr,
    /// What is new.
    pub what: TrackerFact,
}

/// What happened at a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerFact {
    /// It is announced to.
    Announce(AnnounceEvent),
    /// It answered.
    Reply {
        /// Peers in the answer.
        num_peers: u32,
    },
    /// The announce failed.
    Error {
        /// Why.
        error: String,
        /// The tracker's own message, if it refused.
        failure_reason: String,
        /// libtorrent's name of the operation that failed.
        operation: &'static str,
        /// Failures in a row.
        times_in_row: u32,
    },
    /// It answered with a warning.
    Warning(String),
    /// It sent the numbers of the swarm; -1 unknown.
    Scraped {
        /// Seeds.
        complete: i64,
        /// Downloaders.
        incomplete: i64,
    },
    /// It did not send them, and why.
    ScrapeFailed(String),
    /// It gave us an id, which is sent back with later announces.
    TrackerId(String),
}

impl TrackerFact {
    /// The kind of the event that says so.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Announce(_) => kind::TRACKER_ANNOUNCE,
            Self::Reply { .. } => kind::TRACKER_REPLY,
            Self::Error { .. } => kind::TRACKER_ERROR,
            Self::Warning(_) => kind::TRACKER_WARNING,
            Self::Scraped { .. } => kind::SCRAPE_REPLY,
            Self::ScrapeFailed(_) => kind::SCRAPE_FAILED,
            Self::TrackerId(_) => kind::TRACKERID,
        }
    }
}

impl TrackerNews {
    pub(super) fn fields(&self) -> Fields {
        let mut fields: Fields = vec![
            ("tracker_url".into(), self.url.clone().into()),
            ("local_endpoint".into(), self.local.to_string().into()),
            // The version of the protocol whose info-hash is announced.
            ("version".into(), 0.into()),
        ];
        let own: Vec<(&'static str, Value)> = match &self.what {
            TrackerFact::Announce(event) => vec![("event", event.code().into())],
            TrackerFact::Reply { num_peers } => vec![("num_peers", (*num_peers).into())],
            TrackerFact::Error {
                error,
                failure_reason,
                operation,
                times_in_row,
            } => vec![
                ("error", error.clone().into()),
                ("failure_reason", failure_reason.clone().into()),
                ("op", Operation::named(operation).code().into()),
                ("operation", (*operation).into()),
                ("times_in_row", (*times_in_row).into()),
            ],
            TrackerFact::Warning(message) => vec![("warning_message", message.clone().into())],
            TrackerFact::Scraped {
                complete,
                incomplete,
            } => vec![
                ("complete", (*complete).into()),
                ("incomplete", (*incomplete).into()),
            ],
            TrackerFact::ScrapeFailed(error) => vec![
                ("error", error.clone().into()),
                ("error_message", error.clone().into()),
            ],
            TrackerFact::TrackerId(id) => vec![("tracker_id", id.clone().into())],
        };
        fields.extend(own.into_iter().map(|(name, value)| (name.into(), value)));
        fields
    }

    pub(super) fn note(&self) -> String {
        let Self { url, what, .. } = self;
        match what {
            TrackerFact::Announce(AnnounceEvent::None) => url.clone(),
            TrackerFact::Announce(event) => format!("{url}: {}", event.name()),
            TrackerFact::Reply { num_peers } => format!("{url}: {num_peers} peers"),
            TrackerFact::Error {
                error,
                times_in_row,
                ..
            } => format!("{url}: {error} ({times_in_row} in a row)"),
            TrackerFact::Scraped {
                complete,
                incomplete,
            } => format!("{url}: {complete} seeds, {incomplete} downloaders"),
            TrackerFact::Warning(text)
            | TrackerFact::ScrapeFailed(text)
            | TrackerFact::TrackerId(text) => format!("{url}: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_has_its_own_fields() {
        let names = |what| {
            let news = TrackerNews {
                url: "http://t/".to_owned(),
                local: "0.0.0.0:1".parse().unwrap(),
                what,
            };
            assert!(news.note().starts_with("http://t/"));
            let fields = news.fields().into_iter().skip(3);
            fields.map(|(name, _)| name).collect::<Vec<_>>()
        };
        let error = TrackerFact::Error {
            error: "no".to_owned(),
            failure_reason: String::new(),
            operation: "connect",
            times_in_row: 2,
        };
        assert_eq!(
            names(error),
            ["error", "failure_reason", "op", "operation", "times_in_row"]
        );
        assert_eq!(
            names(TrackerFact::Announce(AnnounceEvent::Started)),
            ["event"]
        );
        assert_eq!(names(TrackerFact::Reply { num_peers: 1 }), ["num_peers"]);
        assert_eq!(names(TrackerFact::Warning("x".into())), ["warning_message"]);
    }
}
