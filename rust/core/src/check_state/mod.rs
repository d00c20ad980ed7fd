//! What a torrent has to find out about its files, and when: the check that
//! runs or waits, the check that is pending, and the folder that has to be
//! seen first.
//!
//! Owned by the torrent's driver, which reports what happens ([`CheckState::start`],
//! [`CheckState::recheck`], [`CheckState::cancel`], the ends of what it was asked
//! for), sets the [`Conditions`] and carries out each [`CheckOutput`].
//!
//! - One check runs at a time, and what is asked for meanwhile follows it.
//! - A read that fails says nothing of the bytes: a check of the pieces in
//!   question is *pending* ([`CheckState::add_pending`]). They do not count and are
//!   not fetched until storage works again and a check has seen them.
//! - Files whose folder is out of sight are neither missing nor wrong: nothing
//!   is found out until it is back.
//! - A check that is cancelled while more may be on disk than is known pauses
//!   the torrent, so that nothing is fetched that may be there.

mod folder;
mod messages;

use std::collections::VecDeque;
use std::time::Instant;

use crate::bitfield::Bitfield;
use folder::FolderWatch;
pub use messages::{CheckMode, CheckOutput, Conditions, Look, LookPurpose, Started};

/// How far the start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartStep {
    /// The driver has been asked, and looks into nothing yet.
    Asked,
    /// It looks into a record, or into a move that was interrupted.
    Busy,
    /// The folder has to be seen.
    Folder,
    /// It begins again when the system has what it takes.
    Short,
}

/// What follows the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follow {
    /// What it finds counts; where nothing is known, a check.
    AsFound,
    /// A check of everything.
    Recheck,
    /// No check.
    Cancel,
}

/// What becomes of the check that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// What it finds counts.
    Finish,
    /// It is to end; what it finds counts if it was over before.
    Cancel,
    /// It is to end; whatever it finds, everything is checked again.
    Recheck,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// There are no files to look at yet.
    Unopened,
    Starting(StartStep, Follow),
    /// It is known what there is, as far as can be.
    Idle,
    /// A check waits until it may begin.
    Waiting(CheckMode),
    /// The folder is looked at before this check.
    Looking(CheckMode),
    Running(CheckMode, Then),
    /// A check found less than there was: that counts once the folder is seen.
    Accepting(Bitfield),
    /// The folder is gone: everything is checked when it is back.
    Returning,
}

/// The state of checking of one torrent.
#[derive(Debug)]
pub struct CheckState {
    phase: Phase,
    /// How much of the check is done, 0 to 1.
    progress: f64,
    /// More may be on disk than is known, until a check is over.
    content_unknown: bool,
    /// What has to be checked before anything is fetched.
    pending: Option<CheckMode>,
    folder: FolderWatch,
    conditions: Conditions,
    outputs: VecDeque<CheckOutput>,
}

impl Default for CheckState {
    fn default() -> Self {
        Self::new()
    }
}

impl CheckState {
    /// Of a torrent that has no files yet.
    pub fn new() -> Self {
        Self {
            phase: Phase::Unopened,
            progress: 0.0,
            content_unknown: false,
            pending: None,
            folder: FolderWatch::new(),
            conditions: Conditions::default(),
            outputs: VecDeque::new(),
        }
    }

    // ---- answers ------------------------------------------------------------

    /// How much of the check is done, 0 to 1.
    pub fn progress(&self) -> f64 {
        self.progress
    }

    /// More may be on disk than is known.
    pub fn is_content_unknown(&self) -> bool {
        self.content_unknown
    }

    /// Whether pieces have to be checked before anything is fetched.
    pub fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether a check runs.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(..))
    }

    /// Whether nothing is known because the folder has to be seen first, by a
    /// start or a check.
    pub fn awaits_folder(&self) -> bool {
        self.look_purpose().is_some()
    }

    /// The folder is out of sight of a torrent that has begun: what it had is
    /// what it was.
    pub fn is_hidden(&self) -> bool {
        matches!(
            self.look_purpose(),
            Some(LookPurpose::Check | LookPurpose::Return)
        )
    }

    /// Whether the folder has been seen since the torrent began.
    pub fn has_seen_folder(&self) -> bool {
        self.folder.seen
    }

    /// Whether the start is to lead to a check of everything, whatever it finds.
    pub fn is_recheck_wanted(&self) -> bool {
        matches!(self.phase, Phase::Starting(_, Follow::Recheck))
    }

    fn look_purpose(&self) -> Option<LookPurpose> {
        match self.phase {
            Phase::Starting(StartStep::Folder, _) => Some(LookPurpose::Start),
            Phase::Looking(_) | Phase::Accepting(_) => Some(LookPurpose::Check),
            Phase::Returning => Some(LookPurpose::Return),
            _ => None,
        }
    }

    // ---- what is wanted -----------------------------------------------------

    /// The torrent has files from now on.
    pub fn start(&mut self) {
        if self.phase == Phase::Unopened {
            self.begin_start(Follow::AsFound);
        }
    }

    /// Everything is to be checked; a check that runs has looked too early.
    /// Without files there is nothing to check.
    pub fn recheck(&mut self) {
        match &mut self.phase {
            Phase::Unopened => {}
            Phase::Starting(step, follow) => {
                *follow = Follow::Recheck;
                if *step == StartStep::Folder {
                    self.folder.may_be_empty = true;
                    self.retry();
                }
            }
            Phase::Idle => {
                self.outputs.push_back(CheckOutput::Enter);
                self.outputs.push_back(CheckOutput::ClearError);
                self.want(CheckMode::All);
            }
            Phase::Waiting(_) => {
                self.outputs.push_back(CheckOutput::ClearError);
                self.want(CheckMode::All);
            }
            Phase::Looking(_) | Phase::Accepting(_) | Phase::Returning => {
                if self.phase != Phase::Returning {
                    self.phase = Phase::Looking(CheckMode::All);
                }
                self.folder.may_be_empty = true;
                self.retry();
            }
            Phase::Running(_, then) => {
                *then = Then::Recheck;
                self.progress = 0.0;
                self.outputs.push_back(CheckOutput::Cancel);
                self.outputs.push_back(CheckOutput::ClearError);
            }
        }
    }

    /// These pieces are to be checked again; the others stay what they are.
    pub fn recheck_some(&mut self, pieces: Bitfield) {
        match &mut self.phase {
            Phase::Unopened => return,
            Phase::Starting(..) => self.queue_pending(CheckMode::Only(pieces)),
            Phase::Idle => {
                self.outputs.push_back(CheckOutput::Enter);
                self.want(CheckMode::Only(pieces));
            }
            Phase::Waiting(mode) | Phase::Looking(mode) => {
                let before = std::mem::replace(mode, CheckMode::All);
                *mode = before.merge(CheckMode::Only(pieces));
            }
            // It may have passed them already.
            Phase::Running(..) | Phase::Accepting(_) => self.queue_pending(CheckMode::Only(pieces)),
            // Everything is checked.
            Phase::Returning => {}
        }
        self.content_unknown = true;
    }

    /// The bytes of these pieces could not be read: they are checked once
    /// storage works.
    pub fn add_pending(&mut self, pieces: Bitfield) {
        self.content_unknown = true;
        self.queue_pending(CheckMode::Only(pieces));
    }

    /// More may be on disk than is known, until a check is over.
    pub fn mark_unknown(&mut self) {
        self.content_unknown = true;
    }

    /// The game wants no check. One that waits for a folder that is out of sight
    /// goes on waiting: what cannot be seen is not taken for missing.
    pub fn cancel(&mut self) {
        match &mut self.phase {
            Phase::Unopened | Phase::Idle | Phase::Accepting(_) | Phase::Returning => {}
            Phase::Starting(_, follow) => *follow = Follow::Cancel,
            Phase::Waiting(_) => self.give_up(),
            Phase::Looking(_) if self.folder.is_missing() => {}
            Phase::Looking(_) => self.give_up(),
            Phase::Running(_, then) => {
                *then = Then::Cancel;
                self.outputs.push_back(CheckOutput::Cancel);
            }
        }
    }

    /// The game resumes the torrent: what is known is taken for all there is,
    /// unless a check is pending.
    pub fn resumed(&mut self) {
        if matches!(self.phase, Phase::Unopened | Phase::Idle) && !self.has_pending() {
            self.content_unknown = false;
        }
    }

    /// Conditions as they are from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    // ---- the start ----------------------------------------------------------

    /// The driver looks into something before it can say what there is.
    pub fn start_is_busy(&mut self) {
        if let Phase::Starting(step @ StartStep::Asked, _) = &mut self.phase {
            *step = StartStep::Busy;
        }
    }

    /// The folder has to be seen before the start can go on.
    pub fn look_to_start(&mut self) {
        if let Phase::Starting(step, _) = &mut self.phase {
            *step = StartStep::Folder;
            self.look();
        }
    }

    /// What kept the driver busy is over: it goes on from the beginning. With
    /// `works`, storage does.
    pub fn start_goes_on(&mut self, works: bool) {
        if let Phase::Starting(_, follow) = self.phase {
            if works {
                self.storage_works();
            }
            self.begin_start(follow);
        }
    }

    /// The system is short of what it takes to find out what there is.
    pub fn start_is_short(&mut self) {
        if let Phase::Starting(step, _) = &mut self.phase {
            *step = StartStep::Short;
        }
    }

    /// The files could not be looked at: they are again, after a pause. Whether
    /// that is an error of the torrent.
    pub fn start_failed(&mut self, now: Instant) -> bool {
        let Phase::Starting(step, _) = &mut self.phase else {
            return false;
        };
        *step = StartStep::Folder;
        self.folder.failed(now);
        true
    }

    /// The start is over.
    pub fn started(&mut self, outcome: Started) {
        let Phase::Starting(_, follow) = self.phase else {
            return;
        };
        self.storage_works();
        match (outcome, follow) {
            (_, Follow::Recheck) => self.want(CheckMode::All),
            (Started::Found(found), _) => self.accept(found),
            (Started::Check(mode), Follow::AsFound) => self.want(mode),
            (Started::Check(_), Follow::Cancel) => self.give_up(),
        }
    }

    // ---- the folder ---------------------------------------------------------

    /// The folder is gone while it is in use: everything is checked when it is
    /// back. A check that is under way finds it out too.
    pub fn folder_gone(&mut self) {
        match &mut self.phase {
            Phase::Starting(_, follow) => *follow = Follow::Recheck,
            Phase::Idle => {
                self.outputs.push_back(CheckOutput::Enter);
                self.phase = Phase::Returning;
                self.look();
            }
            _ => {}
        }
    }

    /// The folder is there.
    pub fn folder_found(&mut self) {
        self.folder.looked();
        if self.look_purpose().is_none() {
            return;
        }
        self.storage_works();
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Starting(_, follow) => {
                self.folder.seen = true;
                self.begin_start(follow);
            }
            Phase::Looking(mode) => {
                self.outputs.push_back(CheckOutput::Begin(mode.clone()));
                self.phase = Phase::Running(mode, Then::Finish);
            }
            Phase::Accepting(have) => self.accept(Some(have)),
            Phase::Returning => {
                self.outputs.push_back(CheckOutput::SortFiles);
                self.want(CheckMode::All);
            }
            phase => self.phase = phase,
        }
    }

    /// The folder is missing, out of reach, or empty where it should not be.
    /// Whether that is an error of the torrent: it looks again after a pause.
    pub fn folder_missing(&mut self, now: Instant) -> bool {
        self.folder.looked();
        if self.phase == Phase::Idle {
            // The check that wanted to know was cancelled.
            self.outputs.push_back(CheckOutput::Enter);
            self.phase = Phase::Returning;
        }
        let awaits = self.awaits_folder();
        if awaits {
            self.folder.failed(now);
        }
        awaits
    }

    /// The folder could not be looked at for a shortage: it is when that is over.
    pub fn look_is_short(&mut self) {
        self.folder.looked();
        self.folder.is_short = self.awaits_folder();
    }

    /// Looks at the folder again, now, if it is awaited: there is a sign that it
    /// is back.
    pub fn retry(&mut self) {
        let Some(purpose) = self.look_purpose() else {
            return;
        };
        if self.folder.is_looking() {
            return;
        }
        // Not once more while it lasts.
        self.folder.attempt();
        match self.phase {
            // From the beginning: a move may have to be finished first.
            Phase::Starting(_, follow) if purpose == LookPurpose::Start => {
                self.begin_start(follow);
            }
            _ => self.look(),
        }
    }

    // ---- the check that runs ------------------------------------------------

    /// So many of the pieces are done.
    pub fn checked_some(&mut self, done: u32, total: u32) {
        if self.is_running() {
            self.progress = f64::from(done) / f64::from(total.max(1));
        }
    }

    /// The check is over. What it found counts; where that `is_less` than there
    /// was, once the folder is seen.
    pub fn checked(&mut self, have: Bitfield, is_less: bool) {
        match self.phase {
            Phase::Running(_, Then::Recheck) => self.want(CheckMode::All),
            Phase::Running(..) if is_less => {
                self.phase = Phase::Accepting(have);
                self.look();
            }
            Phase::Running(..) => self.accept(Some(have)),
            _ => {}
        }
    }

    /// The check failed: what it was to look at is as unknown as before it.
    pub fn check_failed(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Running(_, Then::Recheck) => self.want(CheckMode::All),
            Phase::Running(mode, _) => {
                self.content_unknown = true;
                self.queue_pending(mode);
                self.outputs.push_back(CheckOutput::Accept(None));
            }
            phase => self.phase = phase,
        }
    }

    /// The check ended for a shortage: it begins again when that is over.
    pub fn check_is_short(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Running(_, Then::Recheck) => self.want(CheckMode::All),
            Phase::Running(_, Then::Cancel) => self.give_up(),
            Phase::Running(mode, Then::Finish) => self.phase = Phase::Waiting(mode),
            phase => self.phase = phase,
        }
    }

    /// The check was to end. Unless it was `in_time`, its end was on its way.
    pub fn cancelled(&mut self, in_time: bool) {
        match self.phase {
            Phase::Running(_, Then::Cancel) if in_time => self.give_up(),
            Phase::Running(_, Then::Recheck) if in_time => self.want(CheckMode::All),
            _ => {}
        }
    }

    // ---- outputs and time ---------------------------------------------------

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<CheckOutput> {
        if self.outputs.is_empty() {
            self.advance();
        }
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] looks at the folder again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.folder.poll_timeout().filter(|_| self.awaits_folder())
    }

    /// Looks at the folder again where that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.retry();
        }
    }

    /// Does what the conditions permit.
    fn advance(&mut self) {
        let Conditions {
            may_check,
            is_short,
            has_failed,
        } = self.conditions;
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle if !has_failed => {
                if let Some(mode) = self.pending.take() {
                    self.outputs.push_back(CheckOutput::Enter);
                    self.want(mode);
                }
            }
            Phase::Waiting(mode) if may_check && !is_short => {
                self.phase = Phase::Looking(mode);
                self.look();
            }
            Phase::Starting(StartStep::Short, follow) if !is_short => self.begin_start(follow),
            phase => {
                self.phase = phase;
                if self.folder.is_short && !is_short && self.awaits_folder() {
                    self.look();
                }
            }
        }
    }

    fn begin_start(&mut self, follow: Follow) {
        self.phase = Phase::Starting(StartStep::Asked, follow);
        self.outputs.push_back(CheckOutput::Start);
    }

    /// A check waits from now on, of what is pending too.
    fn want(&mut self, mode: CheckMode) {
        self.progress = 0.0;
        self.phase = Phase::Waiting(match self.pending.take() {
            Some(pending) => pending.merge(mode),
            None => mode,
        });
        self.outputs.push_back(CheckOutput::Hold);
    }

    fn queue_pending(&mut self, mode: CheckMode) {
        self.pending = Some(match self.pending.take() {
            Some(pending) => pending.merge(mode),
            None => mode,
        });
        self.outputs.push_back(CheckOutput::Hold);
    }

    /// The check does not take place, and none follows: what was known before
    /// counts.
    fn give_up(&mut self) {
        self.phase = Phase::Idle;
        if self.pending.take().is_some() {
            self.outputs.push_back(CheckOutput::Hold);
        }
        if self.content_unknown {
            self.outputs.push_back(CheckOutput::Pause);
        }
        self.outputs.push_back(CheckOutput::Accept(None));
    }

    fn accept(&mut self, found: Option<Bitfield>) {
        self.phase = Phase::Idle;
        self.content_unknown = self.has_pending();
        self.outputs.push_back(CheckOutput::Accept(found));
    }

    fn look(&mut self) {
        if let Some(purpose) = self.look_purpose()
            && self.folder.begin_look()
        {
            self.outputs.push_back(CheckOutput::Look(Look {
                purpose,
                may_be_empty: self.folder.may_be_empty,
            }));
        }
    }

    fn storage_works(&mut self) {
        if self.folder.succeeded() {
            self.outputs.push_back(CheckOutput::ClearError);
        }
    }
}

#[cfg(test)]
mod tests;
