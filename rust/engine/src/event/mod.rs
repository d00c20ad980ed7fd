//! What happened, in the past tense. Tasks post events; a consumer (the Godot
//! binding on its frame, the JSON-RPC shim) swaps the whole buffer out.
//!
//! An event is also an alert when its category is in the session's
//! `alert_mask`; numbers, names, categories and field names are libtorrent's.

mod answer;
pub(crate) mod buffer;
pub(crate) mod command_sequence;
mod fields;
mod kinds;
mod metric;
mod payload;
mod peer;
pub mod performance;
pub mod sink;
mod torrent_ref;
mod tracker;

use std::sync::Arc;

use torrent_core::ids::InfoHash;
use torrent_core::value::{Fields, Value};

pub use crate::timer::unix_millis;
pub use answer::Answer;
pub use command_sequence::CommandStamp;
pub use kinds::{AlertPriority, Audience, EventBody, Kind, TypedKind, category, kind, typed};
pub use metric::{Metric, MetricType};
pub use payload::*;
pub(crate) use peer::of_note;
pub use peer::{CloseCode, PeerFault, PeerRef};
pub use torrent_ref::TorrentRef;
pub use tracker::{TrackerFact, TrackerNews};

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub body: EventBody,
    /// Milliseconds of Unix time.
    pub timestamp_ms: i64,
    /// The torrent, where it concerns one.
    pub torrent: Option<Arc<TorrentRef>>,
    /// What its torrent had seen of what it was asked for, where that matters.
    pub stamp: Option<CommandStamp>,
}

impl Event {
    /// An event of now.
    pub fn new(torrent: Option<Arc<TorrentRef>>, body: EventBody) -> Self {
        Self {
            timestamp_ms: unix_millis(),
            stamp: CommandStamp::of(body.kind(), torrent.as_deref()),
            torrent,
            body,
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        self.body.kind()
    }

    /// Whether it seems to answer a command that came after it: then it must
    /// not be delivered any more. To be asked right before.
    pub fn is_late(&self) -> bool {
        self.stamp.as_ref().is_some_and(CommandStamp::is_late)
    }

    /// The torrent's hash, where it concerns one.
    pub fn info_hash(&self) -> Option<InfoHash> {
        self.torrent.as_ref().map(|torrent| torrent.info_hash())
    }
}

/// An event in the form in which it is handed out by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Its kind.
    pub kind: Kind,
    /// Milliseconds of Unix time.
    pub timestamp_ms: i64,
    /// The torrent, where it concerns one.
    pub info_hash: Option<InfoHash>,
    /// One line for people.
    pub message: String,
    /// Its own fields by libtorrent's names.
    pub fields: Fields,
    /// As that of the event.
    pub stamp: Option<CommandStamp>,
}

impl Alert {
    /// As [`Event::is_late`].
    pub fn is_late(&self) -> bool {
        self.stamp.as_ref().is_some_and(CommandStamp::is_late)
    }

    /// The alerts of an event: one, but for several pieces or files one each.
    pub fn from_event(event: &Event) -> Vec<Alert> {
        match &event.body {
            EventBody::PieceFinished(pieces) => {
                let each = pieces.iter();
                let alert = |&piece| Self::build(event, &EventBody::PieceFinished(vec![piece]));
                each.map(alert).collect()
            }
            EventBody::FileCompleted(files) => {
                let each = files.iter();
                let alert = |&file| Self::build(event, &EventBody::FileCompleted(vec![file]));
                each.map(alert).collect()
            }
            body => vec![Self::build(event, body)],
        }
    }

    fn build(event: &Event, body: &EventBody) -> Self {
        let kind = event.kind();
        let fields = fields::of(body);
        let subject = event
            .torrent
            .as_ref()
            .map_or_else(String::new, |torrent| format!("{}: ", torrent.name));
        let note = fields::note(body);
        let what = kind.name.replace('_', " ");
        Self {
            kind,
            timestamp_ms: event.timestamp_ms,
            info_hash: event.info_hash(),
            stamp: event.stamp.clone(),
            message: if note.is_empty() {
                format!("{subject}{what}")
            } else {
                format!("{subject}{what}: {note}")
            },
            fields,
        }
    }

    /// The whole alert by name, as in the Godot API and the shim.
    pub fn to_value(&self) -> Value {
        let mut all: Fields = vec![
            ("type".into(), self.kind.number.into()),
            ("type_name".into(), self.kind.name.into()),
            ("what".into(), self.kind.name.into()),
            ("category".into(), self.kind.category.into()),
            ("timestamp_ms".into(), self.timestamp_ms.into()),
            ("message".into(), self.message.clone().into()),
        ];
        if let Some(hash) = self.info_hash {
            all.push(("info_hash".into(), hash.to_string().into()));
        }
        all.extend(self.fields.iter().cloned());
        Value::Map(all)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use torrent_core::ids::PieceIndex;
    use torrent_core::peer::ConnectionKind;

    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        for (at, one) in kind::ALL.iter().enumerate() {
            for other in &kind::ALL[..at] {
                assert!(
                    one.number > other.number,
                    "{} after {}",
                    one.name,
                    other.name
                );
                assert_ne!(one.name, other.name);
            }
        }
    }

    #[test]
    fn an_alert_carries_its_fields_by_name() {
        let event = Event::new(
            None,
            EventBody::PeerConnect(ConnectedPeer {
                peer: "[::1]:6881".parse::<SocketAddr>().unwrap().into(),
                connection: ConnectionKind::Socks5,
                incoming: false,
            }),
        );
        let alert = &Alert::from_event(&event)[0];
        assert_eq!(alert.message, "peer connect: [::1]:6881");
        let Value::Map(fields) = alert.to_value() else {
            panic!("not a map");
        };
        let get = |name: &str| &fields.iter().find(|(key, _)| key == name).unwrap().1;
        assert_eq!(get("peer_ip"), &Value::from("::1"));
        assert_eq!(get("peer_port"), &Value::Int(6881));
        assert_eq!(get("type"), &Value::Int(23));
        assert_eq!(get("socket_type"), &Value::Int(1));
    }

    #[test]
    fn verified_pieces_become_an_alert_each() {
        let event = Event::new(
            None,
            EventBody::PieceFinished(vec![PieceIndex(3), PieceIndex(5)]),
        );
        let alerts = Alert::from_event(&event);
        assert_eq!(alerts.len(), 2);
        assert_eq!(alerts[1].fields, [("piece_index".into(), Value::Int(5))]);
    }
}
