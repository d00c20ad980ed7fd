//! What waits for the game, and what of it comes next.
//!
//! Notices come in the order in which things happened as long as there is time
//! for them. When time is short, what comes once (an end, an error, a change of
//! state) and `pieces_finished`, which takes in all pieces of a torrent, overtake
//! what comes many times: signals of single pieces and files, and alerts. Those
//! wait, each sort in its order, and follow as there is time. A progress is
//! replaced by a newer one; neither it nor a file waits for pieces.
//!
//! Where many of those wait that come once, as after the start of a session with
//! thousands of torrents, the end, the errors and the states of a torrent that the
//! game knows overtake them: all but what waits of that torrent itself.
//!
//! Bounded by what there is: each torrent has so many pieces and files, and
//! alerts are taken from the engine, whose queue is bounded, only when none wait
//! here.

#[cfg(test)]
mod tests;
mod urgent;

use std::collections::VecDeque;
use std::sync::Arc;

use torrent_core::ids::PieceIndex;
use torrent_engine::event::{Audience, Event, EventBody, TorrentRef};
use torrent_engine::status::TorrentStatus;

use urgent::Urgent;

/// How many progresses, and how many files, a poll emits whatever time there
/// is. Few torrents complete more files at once.
const SPARE: usize = 64;

/// How many of those that come once a poll emits in any case: a machine that is
/// busy with something else may leave no time at all.
const SPARE_ONCE: usize = 8;

/// As many of those that come once are emitted in the order in which things happened.
const IN_ORDER: usize = 64;

/// What is emitted to the game at once.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The session runs.
    Started,
    /// The session has stopped, its threads have ended.
    Stopped,
    /// Something happened in the engine; to one piece or file at most.
    Event(Event),
    /// These pieces of a torrent have been verified since the last time.
    Pieces(Option<Arc<TorrentRef>>, Vec<PieceIndex>),
    /// The progress of a torrent may be another one.
    Progress(Arc<TorrentStatus>),
}

/// What there is still time for in a poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    /// For what comes once.
    pub(crate) once: bool,
    /// For the others.
    pub(crate) rest: bool,
}

/// Verified pieces of one torrent, each with the time of its alert.
#[derive(Debug)]
struct SignalRun {
    event: Event,
    pieces: VecDeque<(i64, PieceIndex)>,
}

impl SignalRun {
    fn new(event: Event, pieces: &[PieceIndex]) -> Self {
        let mut run = Self {
            event,
            pieces: VecDeque::new(),
        };
        let at = run.event.timestamp_ms;
        run.add(at, pieces);
        run
    }

    fn add(&mut self, at: i64, pieces: &[PieceIndex]) {
        self.pieces.extend(pieces.iter().map(|&piece| (at, piece)));
    }

    fn next(&mut self) -> Option<Notice> {
        let (timestamp_ms, piece) = self.pieces.pop_front()?;
        Some(Notice::Event(Event {
            timestamp_ms,
            body: EventBody::PieceFinished(vec![piece]),
            ..self.event.clone()
        }))
    }
}

/// What was put in and not looked at yet.
#[derive(Debug)]
enum Item {
    Once(Notice),
    /// Pieces, to be emitted together first.
    Batch(SignalRun),
    /// Pieces, to be emitted one by one.
    Run(SignalRun),
    File(Event),
    Alert(Event),
    Progress(Arc<TorrentStatus>),
}

/// What there was no time for, each sort in its order.
#[derive(Debug, Default)]
struct LateSignals {
    progress: VecDeque<Arc<TorrentStatus>>,
    files: VecDeque<Event>,
    pieces: VecDeque<SignalRun>,
    alerts: VecDeque<Event>,
    /// Which of the last two is next.
    alert_is_next: bool,
}

impl LateSignals {
    fn put_progress(&mut self, status: Arc<TorrentStatus>) {
        let mut known = self.progress.iter_mut();
        match known.find(|known| known.info_hash == status.info_hash) {
            Some(known) => *known = status,
            None => self.progress.push_back(status),
        }
    }

    fn put_run(&mut self, run: SignalRun) {
        let of_same = |known: &&mut SignalRun| known.event.torrent == run.event.torrent;
        match self.pieces.iter_mut().find(of_same) {
            Some(known) => known.pieces.extend(run.pieces),
            None => self.pieces.push_back(run),
        }
    }

    fn next_piece(&mut self) -> Option<Notice> {
        let run = self.pieces.front_mut()?;
        let notice = run.next();
        if run.pieces.is_empty() {
            self.pieces.pop_front();
        }
        notice
    }

    fn next(&mut self) -> Option<Notice> {
        self.alert_is_next = !self.alert_is_next;
        if self.alert_is_next || self.pieces.is_empty() {
            let alert = self.alerts.pop_front().map(Notice::Event);
            return alert.or_else(|| self.next_piece());
        }
        self.next_piece()
    }

    fn len(&self) -> usize {
        let pieces: usize = self.pieces.iter().map(|run| run.pieces.len()).sum();
        pieces + self.files.len() + self.alerts.len() + self.progress.len()
    }
}

/// What waits for the game.
#[derive(Debug, Default)]
pub(crate) struct SignalQueue {
    fresh: VecDeque<Item>,
    urgent: Urgent,
    /// How many have been taken from `fresh` since it was empty.
    taken: usize,
    /// Where in `fresh` the batch of a torrent is, counted with those taken.
    batches: Vec<(Option<Arc<TorrentRef>>, usize)>,
    late: LateSignals,
    /// What this poll emits in any case.
    spare_once: usize,
    spare_progresses: usize,
    spare_files: usize,
    one_of_the_rest: bool,
}

impl SignalQueue {
    /// Begins a poll.
    pub(crate) fn begin(&mut self) {
        self.spare_once = SPARE_ONCE;
        self.spare_progresses = SPARE;
        self.spare_files = SPARE;
        self.one_of_the_rest = true;
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.urgent.events.is_empty() && self.late.len() == 0
    }

    /// Whether there are alerts that wait.
    pub(crate) fn has_alerts(&self) -> bool {
        let mut fresh = self.fresh.iter();
        !self.late.alerts.is_empty() || fresh.any(|item| matches!(item, Item::Alert(_)))
    }

    /// How much waits: of what comes once, and of the others.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let rest = |item: &Item| match item {
            Item::Once(_) => 0,
            Item::Batch(run) | Item::Run(run) => run.pieces.len(),
            _ => 1,
        };
        let rest = self.fresh.iter().map(rest).sum::<usize>() + self.late.len();
        (self.fresh.len() + self.urgent.events.len(), rest)
    }

    /// Puts in what is no event.
    pub(crate) fn put_notice(&mut self, notice: Notice) {
        self.urgent.put(&notice);
        self.fresh.push_back(Item::Once(notice));
    }

    /// Puts in an event.
    pub(crate) fn put(&mut self, event: Event) {
        match &event.body {
            EventBody::PieceFinished(pieces) => {
                let at = event.timestamp_ms;
                match self.batch_of(&event.torrent) {
                    Some(run) => run.add(at, pieces),
                    None => {
                        let place = self.taken + self.fresh.len();
                        self.batches.push((event.torrent.clone(), place));
                        let run = SignalRun::new(event.clone(), pieces);
                        self.fresh.push_back(Item::Batch(run));
                    }
                }
            }
            EventBody::FileCompleted(files) => {
                for &file in files {
                    self.fresh.push_back(Item::File(Event {
                        body: EventBody::FileCompleted(vec![file]),
                        ..event.clone()
                    }));
                }
            }
            EventBody::TorrentsUpdated(statuses) => {
                let progress = statuses.iter().cloned().map(Item::Progress);
                self.fresh.extend(progress);
                self.put_notice(Notice::Event(event));
            }
            body if body.kind().audience == Audience::Alerts => {
                self.fresh.push_back(Item::Alert(event));
            }
            _ if self.urgent.takes(&event) => {
                let place = self.taken + self.fresh.len();
                self.urgent.events.push_back((place, event));
            }
            _ => self.put_notice(Notice::Event(event)),
        }
    }

    /// Whether the first of the urgent is next: its turn has come, or too many others
    /// wait.
    fn is_urgent_next(&self) -> bool {
        let first = self.urgent.events.front();
        first.is_some_and(|&(place, _)| place <= self.taken || self.urgent.others > IN_ORDER)
    }

    fn batch_of(&mut self, torrent: &Option<Arc<TorrentRef>>) -> Option<&mut SignalRun> {
        let (_, place) = self.batches.iter().find(|(known, _)| known == torrent)?;
        match self.fresh.get_mut(place - self.taken)? {
            Item::Batch(run) => Some(run),
            _ => None,
        }
    }

    /// What is emitted next, if there is time for it.
    pub(crate) fn next(&mut self, time: Time) -> Option<Notice> {
        loop {
            if self.is_urgent_next() {
                if !time.once && self.spare_once == 0 {
                    return None;
                }
                self.spare_once = self.spare_once.saturating_sub(1);
                let first = self.urgent.events.pop_front();
                return first.map(|(_, event)| Notice::Event(event));
            }
            let Some(item) = self.fresh.pop_front() else {
                break;
            };
            self.taken += 1;
            match item {
                Item::Once(_) | Item::Batch(_) if !time.once && self.spare_once == 0 => {
                    self.put_back(item);
                    return None;
                }
                Item::Once(notice) => {
                    self.urgent.taken(&notice);
                    self.spare_once = self.spare_once.saturating_sub(1);
                    return Some(notice);
                }
                Item::Batch(run) => {
                    self.spare_once = self.spare_once.saturating_sub(1);
                    return Some(self.together(run));
                }
                Item::Run(mut run) => {
                    if self.late.pieces.is_empty() && self.may(time) {
                        let notice = run.next();
                        if !run.pieces.is_empty() {
                            self.put_back(Item::Run(run));
                        }
                        return notice;
                    }
                    self.late.put_run(run);
                }
                Item::File(event) => {
                    if self.late.files.is_empty() && spend(&mut self.spare_files, time) {
                        return Some(Notice::Event(event));
                    }
                    self.late.files.push_back(event);
                }
                Item::Alert(event) => {
                    if self.late.alerts.is_empty() && self.may(time) {
                        return Some(Notice::Event(event));
                    }
                    self.late.alerts.push_back(event);
                }
                Item::Progress(status) => {
                    if self.late.progress.is_empty() && spend(&mut self.spare_progresses, time) {
                        return Some(Notice::Progress(status));
                    }
                    self.late.put_progress(status);
                }
            }
        }
        self.taken = 0;
        if !self.late.progress.is_empty() && spend(&mut self.spare_progresses, time) {
            return self.late.progress.pop_front().map(Notice::Progress);
        }
        if !self.late.files.is_empty() && spend(&mut self.spare_files, time) {
            return self.late.files.pop_front().map(Notice::Event);
        }
        let waits = !self.late.pieces.is_empty() || !self.late.alerts.is_empty();
        let may = waits && self.may(time);
        may.then(|| self.late.next()).flatten()
    }

    /// The news of all pieces of a run; that of each comes after it.
    fn together(&mut self, run: SignalRun) -> Notice {
        let torrent = run.event.torrent.clone();
        self.batches.retain(|(known, _)| *known != torrent);
        let pieces = run.pieces.iter().map(|&(_, piece)| piece).collect();
        self.put_back(Item::Run(run));
        Notice::Pieces(torrent, pieces)
    }

    fn put_back(&mut self, item: Item) {
        self.fresh.push_front(item);
        self.taken -= 1;
    }

    fn may(&mut self, time: Time) -> bool {
        let first = std::mem::take(&mut self.one_of_the_rest);
        time.rest || first
    }
}

/// Whether there is time, or something to spare for what has none.
fn spend(spare: &mut usize, time: Time) -> bool {
    let has_spare = *spare > 0;
    *spare = spare.saturating_sub(1);
    time.rest || has_spare
}
