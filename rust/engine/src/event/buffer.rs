//! What happened and was not taken yet, in order and in bounded memory. The
//! sink puts events in under its lock; the consumer swaps all out.
//!
//! What only readers of alerts want is dropped beyond the alert limit, and
//! counted. Events that signals depend on have a much higher bound of their own. Beyond it
//! nothing is dropped either: an event takes in the one of its kind, torrent
//! and subject that waits already. So a caller that awaits something learns of it, and
//! what waits is bounded by the torrents, their pieces and files, and what the
//! game itself has asked for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use torrent_core::ids::TorrentKey;
use torrent_core::peer::ConnectionKind;

use crate::event::{Audience, DroppedAlerts, Event, EventBody, Kind};
use crate::status::TorrentStatus;

/// How many events that signals depend on wait one by one: some 20 MB. Torrents
/// report verified pieces in batches, so that a game which is busy for ten
/// seconds stays below it.
const SIGNALS: usize = 65_536;

/// What did not fit, since that was last reported.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    count: u64,
    types: BTreeSet<u32>,
}

impl Dropped {
    /// One alert more.
    pub(crate) fn note(&mut self, kind: Kind) {
        self.add(1, &[kind.number]);
    }

    /// So many more, of these numbers.
    pub(crate) fn add(&mut self, count: u64, types: &[u32]) {
        self.count += count;
        self.types.extend(types);
    }

    /// The event that says so, if there is anything to say.
    pub(crate) fn report(&self) -> Option<Event> {
        let Self { count, types } = self;
        (*count > 0).then(|| {
            let (count, types) = (*count, types.iter().copied().collect());
            let dropped = DroppedAlerts { count, types };
            Event::new(None, EventBody::AlertsDropped(dropped))
        })
    }

    /// The same, and begins anew.
    pub(crate) fn take(&mut self) -> Option<Event> {
        std::mem::take(self).report()
    }
}

/// The waiting events.
#[derive(Debug)]
pub(crate) struct EventBuffer {
    events: Vec<Event>,
    /// How many of them only readers of alerts want.
    alerts: usize,
    /// What the others count for together.
    signals: usize,
    bound: usize,
    /// The torrents whose status changed, each once with its newest one.
    updated: Option<Event>,
    late: Late,
    dropped: Dropped,
}

impl Default for EventBuffer {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            alerts: 0,
            signals: 0,
            bound: SIGNALS,
            updated: None,
            late: Late::default(),
            dropped: Dropped::default(),
        }
    }
}

impl EventBuffer {
    /// Takes an event in. `alerts` is how many that only readers of alerts want
    /// may wait, at normal priority; `mask` selects what those readers receive.
    /// Whether it is the first.
    pub(crate) fn push(&mut self, event: Event, alerts: usize, mask: u32) -> bool {
        let first = self.is_empty();
        let kind = event.kind();
        let limit = alerts.saturating_mul(1 + kind.priority as usize);
        if kind.audience == Audience::Alerts {
            if self.alerts < limit {
                self.alerts += 1;
                self.events.push(event);
            } else {
                self.dropped.note(kind);
            }
        } else if matches!(event.body, EventBody::TorrentsUpdated(_)) {
            match &mut self.updated {
                Some(known) => {
                    merge(known, event);
                }
                none => *none = Some(event),
            }
        } else if self.signals < self.bound {
            self.signals += weight(&event);
            self.events.push(event);
        } else {
            let fewer = self.late.put(event);
            if fewer > 0 && kind.passes(mask) {
                self.dropped.add(fewer as u64, &[kind.number]);
            }
        }
        first
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.events.len() + self.late.events.len() + usize::from(self.updated.is_some())
    }

    /// Whether no event waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.updated.is_none()
    }

    /// Swaps the waiting events into `into`, which is empty, and returns those
    /// that come behind them, for which the lock is not needed.
    pub(crate) fn swap(&mut self, into: &mut Vec<Event>) -> impl Iterator<Item = Event> + use<> {
        std::mem::swap(&mut self.events, into);
        (self.alerts, self.signals) = (0, 0);
        let late = self.late.take().into_iter();
        // After all else that happened: by then a torrent has its object.
        let updated = self.updated.take();
        late.chain(updated).chain(self.dropped.take())
    }

    /// The same without what only readers of alerts want.
    pub(crate) fn swap_signals(&mut self, into: &mut Vec<Event>) {
        let for_readers = |event: &Event| event.kind().audience == Audience::Alerts;
        let waiting = std::mem::take(&mut self.events);
        let (alerts, signals) = waiting.into_iter().partition(for_readers);
        (self.events, *into) = (alerts, signals);
        self.signals = 0;
        into.extend(self.late.take());
        into.extend(self.updated.take());
    }
}

/// What an event counts for: a status takes as much memory as an event does.
fn weight(event: &Event) -> usize {
    match &event.body {
        EventBody::StateUpdate(statuses) | EventBody::TorrentsUpdated(statuses) => {
            1 + statuses.len()
        }
        _ => 1,
    }
}

/// Events beyond the bound, one of each kind, torrent and subject, in the order
/// in which the first of each came.
#[derive(Debug, Default)]
struct Late {
    events: Vec<Event>,
    places: HashMap<MergeKey, usize>,
}

impl Late {
    /// Takes an event in. How many alerts less that makes.
    fn put(&mut self, event: Event) -> usize {
        let next = self.events.len();
        let place = *self.places.entry(MergeKey::of(&event)).or_insert(next);
        match self.events.get_mut(place) {
            Some(known) => merge(known, event),
            None => {
                self.events.push(event);
                0
            }
        }
    }

    fn take(&mut self) -> Vec<Event> {
        // An idle game takes sixty times a second.
        if self.events.is_empty() {
            return Vec::new();
        }
        std::mem::take(self).events
    }
}

/// What makes two events the same news.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MergeKey {
    kind: u32,
    torrent: Option<TorrentKey>,
    subject: Subject,
}

/// What an event is about, beyond a torrent.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Subject {
    All,
    Index(u32),
    Endpoint(SocketAddr, ConnectionKind),
    Code(i32),
}

impl MergeKey {
    fn of(event: &Event) -> Self {
        Self {
            kind: event.kind().number,
            torrent: event.torrent.as_ref().map(|torrent| torrent.key),
            subject: match &event.body {
                EventBody::ReadPiece(read) => Subject::Index(read.piece.0),
                EventBody::FileRenamed(renamed) => Subject::Index(renamed.file.0),
                EventBody::FileRenameFailed(failed) => Subject::Index(failed.file.0),
                EventBody::ListenSucceeded(at) => Subject::Endpoint(at.endpoint, at.connection),
                EventBody::ListenFailed(failed) => {
                    Subject::Endpoint(failed.at.endpoint, failed.at.connection)
                }
                EventBody::StorageMovedFailed(error) => Subject::Code(error.code()),
                body => body
                    .error()
                    .map_or(Subject::All, |error| Subject::Code(error.code())),
            },
        }
    }
}

/// Makes one event of two, of which `new` came later. How many alerts less
/// that makes.
fn merge(known: &mut Event, new: Event) -> usize {
    known.timestamp_ms = new.timestamp_ms;
    known.stamp = new.stamp;
    known.torrent = new.torrent;
    match (&mut known.body, new.body) {
        (EventBody::PieceFinished(pieces), EventBody::PieceFinished(more)) => {
            gather(pieces, more, |piece| piece.0 as usize)
        }
        (EventBody::FileCompleted(files), EventBody::FileCompleted(more)) => {
            gather(files, more, |&file| file as usize)
        }
        (EventBody::StateUpdate(known), EventBody::StateUpdate(newer))
        | (EventBody::TorrentsUpdated(known), EventBody::TorrentsUpdated(newer)) => {
            update(known, newer);
            1
        }
        (EventBody::StateChanged(known), EventBody::StateChanged(new)) => {
            known.state = new.state;
            1
        }
        (known, new) => {
            *known = new;
            1
        }
    }
}

/// Adds to `list`, whose entries have these indices. Only where the same ones
/// come over and over, lost to faults and fetched again, is each kept once. That
/// is looked at whenever the list has doubled, so that it costs little. How many
/// entries less that makes.
fn gather<T: Ord>(list: &mut Vec<T>, more: Vec<T>, index: impl Fn(&T) -> usize) -> usize {
    let doubled = list.len().next_power_of_two();
    list.extend(more);
    let before = list.len();
    if before <= doubled {
        return 0;
    }
    let values = list.iter().map(index).max().map_or(0, |most| most + 1);
    if before > values.saturating_mul(2) {
        list.sort_unstable();
        list.dedup();
    }
    before - list.len()
}

/// Brings `known` up to date: each torrent once, with its newest status.
fn update(known: &mut Vec<Arc<TorrentStatus>>, newer: Vec<Arc<TorrentStatus>>) {
    let renewed: HashSet<&str> = newer.iter().map(|it| it.info_hash.as_str()).collect();
    known.retain(|status| !renewed.contains(status.info_hash.as_str()));
    known.extend(newer);
}

#[cfg(test)]
mod tests {
    use torrent_core::ids::{InfoHash, PieceIndex, TorrentKey};

    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::event::command_sequence::CommandTopic;
    use crate::event::{
        AddedTorrent, PeerRef, StateChange, TorrentRef, TypedKind, category, typed,
    };
    use crate::status::TorrentState;

    /// A buffer that keeps so many events of signals one by one.
    fn buffer(bound: usize) -> EventBuffer {
        EventBuffer {
            bound,
            ..EventBuffer::default()
        }
    }

    fn event<T>(kind: TypedKind<T>, says: T) -> Event {
        Event::new(None, kind.body(says))
    }

    fn post<T>(buffer: &mut EventBuffer, kind: TypedKind<T>, says: T) {
        buffer.push(event(kind, says), 1, category::ALL);
    }

    fn peer() -> PeerRef {
        SocketAddr::from(([127, 0, 0, 1], 1)).into()
    }

    fn pieces(of: impl IntoIterator<Item = u32>) -> Vec<PieceIndex> {
        of.into_iter().map(PieceIndex).collect()
    }

    fn statuses(of: &[(&str, u64)]) -> Vec<Arc<TorrentStatus>> {
        let status = |&(hash, done): &(&str, u64)| {
            Arc::new(TorrentStatus {
                info_hash: hash.to_owned(),
                total_done: done,
                ..TorrentStatus::default()
            })
        };
        of.iter().map(status).collect()
    }

    fn told(body: &EventBody) -> Vec<(&str, u64)> {
        let EventBody::TorrentsUpdated(statuses) = body else {
            panic!("{body:?}");
        };
        let each = statuses.iter();
        each.map(|it| (it.info_hash.as_str(), it.total_done))
            .collect()
    }

    fn taken(buffer: &mut EventBuffer) -> Vec<Event> {
        let mut events = Vec::new();
        let tail = buffer.swap(&mut events);
        events.extend(tail);
        assert!(buffer.is_empty());
        assert_eq!(buffer.len(), 0);
        events
    }

    fn names(events: &[Event]) -> Vec<&'static str> {
        events.iter().map(|event| event.kind().name).collect()
    }

    #[test]
    fn the_alert_limit_is_not_for_what_signals_live_by() {
        let mut buffer = buffer(SIGNALS);
        for piece in 0..1000 {
            post(&mut buffer, typed::PEER_BAN, peer());
            post(&mut buffer, typed::PIECE_FINISHED, pieces([piece]));
        }
        post(&mut buffer, typed::FILE_COMPLETED, vec![0]);
        post(&mut buffer, typed::TORRENT_FINISHED, ());
        post(&mut buffer, typed::METADATA_RECEIVED, ());
        let events = taken(&mut buffer);
        let heard: Vec<u32> = events
            .iter()
            .filter_map(|event| match &event.body {
                EventBody::PieceFinished(pieces) => Some(pieces[0].0),
                _ => None,
            })
            .collect();
        assert_eq!(heard, (0..1000).collect::<Vec<_>>(), "each once, in order");
        assert_eq!(
            names(&events[1001..]),
            [
                "file_completed",
                "torrent_finished",
                "metadata_received",
                "alerts_dropped"
            ]
        );
        let EventBody::AlertsDropped(DroppedAlerts { count, types }) = &events[1004].body else {
            panic!("{:?}", events[1004]);
        };
        assert_eq!((*count, types.as_slice()), (999, &[19][..]));
    }

    #[test]
    fn alerts_find_room_whatever_signals_wait() {
        let mut buffer = buffer(SIGNALS);
        for _ in 0..9 {
            post(&mut buffer, typed::TORRENT_CHECKED, ());
        }
        post(&mut buffer, typed::PEER_BAN, peer());
        post(&mut buffer, typed::TORRENT_PAUSED, ());
        post(&mut buffer, typed::SESSION_STATS, Vec::new());
        assert_eq!(taken(&mut buffer).len(), 12, "up to three times the limit");
    }

    #[test]
    fn changed_statuses_wait_once_each_torrent_with_its_newest() {
        let mut buffer = buffer(SIGNALS);
        post(
            &mut buffer,
            typed::TORRENTS_UPDATED,
            statuses(&[("a", 1), ("b", 1)]),
        );
        post(&mut buffer, typed::TORRENTS_UPDATED, statuses(&[("b", 2)]));
        post(&mut buffer, typed::ADD_TORRENT, AddedTorrent::default());
        post(
            &mut buffer,
            typed::TORRENTS_UPDATED,
            statuses(&[("c", 1), ("a", 3)]),
        );
        assert_eq!(buffer.len(), 2);
        let events = taken(&mut buffer);
        assert_eq!(names(&events), ["add_torrent", "torrents_updated"]);
        assert_eq!(told(&events[1].body), [("b", 2), ("c", 1), ("a", 3)]);
    }

    #[test]
    fn a_first_event_is_told_from_the_next_ones() {
        let mut buffer = buffer(SIGNALS);
        let updated = || event(typed::TORRENTS_UPDATED, statuses(&[("a", 1)]));
        assert!(buffer.push(updated(), 1, 0));
        assert!(!buffer.push(event(typed::ADD_TORRENT, AddedTorrent::default()), 1, 0));
        taken(&mut buffer);
        assert!(buffer.push(event(typed::ADD_TORRENT, AddedTorrent::default()), 1, 0));
        assert!(!buffer.push(updated(), 1, 0));
    }

    #[test]
    fn beyond_the_bound_nothing_that_somebody_awaits_is_lost() {
        let mut buffer = buffer(2);
        let failed = |kind| Error::new(kind);
        let state = |previous, state| StateChange { state, previous };
        for round in 0..100 {
            post(&mut buffer, typed::PIECE_FINISHED, pieces([round]));
            post(&mut buffer, typed::FILE_COMPLETED, vec![round]);
            let (one, other) = (TorrentState::Downloading, TorrentState::Finished);
            post(&mut buffer, typed::STATE_CHANGED, state(one, other));
            post(&mut buffer, typed::STATE_CHANGED, state(other, one));
            post(&mut buffer, typed::TORRENT_FINISHED, ());
            post(&mut buffer, typed::METADATA_RECEIVED, ());
            post(&mut buffer, typed::FILE_ERROR, failed(ErrorKind::Timeout));
            post(
                &mut buffer,
                typed::FILE_ERROR,
                failed(ErrorKind::InternalException),
            );
            let data = round.to_string().into_bytes().into();
            post(&mut buffer, typed::SAVE_RESUME_DATA, data);
            post(&mut buffer, typed::TORRENT_REMOVED, ());
        }
        assert_eq!(buffer.len(), 11, "memory is bounded");
        let events = taken(&mut buffer);
        let expected = [
            "piece_finished",
            "file_completed",
            "state_changed",
            "torrent_finished",
            "metadata_received",
            "file_error",
            "file_error",
            "save_resume_data",
            "torrent_removed",
            "piece_finished",
            "file_completed",
            "alerts_dropped",
        ];
        assert_eq!(names(&events), expected);
        let EventBody::StateChanged(StateChange { state, previous }) = &events[2].body else {
            panic!("{:?}", events[2]);
        };
        assert_eq!((*state, *previous), (TorrentState::Downloading, *state));
        let EventBody::SaveResumeData(data) = &events[7].body else {
            panic!("{:?}", events[7]);
        };
        assert_eq!(data.as_ref(), b"99", "the newest");
        let EventBody::PieceFinished(late) = &events[9].body else {
            panic!("{:?}", events[9]);
        };
        assert_eq!(late.len(), 99, "every piece but the first");
        let EventBody::FileCompleted(late) = &events[10].body else {
            panic!("{:?}", events[10]);
        };
        assert_eq!(late, &(1..100).collect::<Vec<_>>());
        let EventBody::AlertsDropped(DroppedAlerts { count, .. }) = &events[11].body else {
            panic!("{:?}", events[11]);
        };
        // Of 800 alerts of seven kinds, one of each is left.
        assert_eq!(*count, 199 + 6 * 99);
        post(&mut buffer, typed::TORRENT_FINISHED, ());
        assert_eq!(names(&taken(&mut buffer)), ["torrent_finished"]);
    }

    #[test]
    fn what_the_mask_hides_is_no_alert_that_was_dropped() {
        let mut buffer = buffer(0);
        for _ in 0..5 {
            let finished = event(typed::TORRENT_FINISHED, ());
            buffer.push(finished, 1, category::ERROR);
        }
        assert_eq!(names(&taken(&mut buffer)), ["torrent_finished"]);
    }

    #[test]
    fn what_comes_over_and_over_does_not_grow() {
        let mut list = vec![0, 1, 2];
        let mut gone = 0;
        for round in 0..100 {
            gone += gather(&mut list, vec![round % 3], |&it| it);
            assert!(list.len() <= 12, "four of each");
        }
        assert_eq!(gone + list.len(), 103);
    }

    #[test]
    fn a_merged_event_answers_what_its_newest_does() {
        let torrent = TorrentRef::new(TorrentKey(1), InfoHash([1; 20]).into(), "a");
        let torrent = Arc::new(torrent);
        let checked = || Event::new(Some(Arc::clone(&torrent)), EventBody::TorrentChecked);
        let mut known = checked();
        torrent.asked.ask(CommandTopic::Check);
        assert!(known.is_late());
        torrent.asked.saw_one(CommandTopic::Check);
        merge(&mut known, checked());
        assert!(!known.is_late());
    }
}
