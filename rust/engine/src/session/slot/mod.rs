//! A session that is started, stopped and started again: [`SessionSlot`] holds
//! the run that goes on, those that are ending, and what goes from one to the
//! next (settings, IP filter, order of the queue, state directory).
//!
//! While a session runs, settings and state are its own; at its stop the slot
//! takes them, changes them for the embedder meanwhile, and hands them to the next
//! one. The embedder calls [`SessionSlot::poll`] for the events of all runs, or takes
//! those of a run from [`SessionSlot::session`] by itself.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use torrent_core::settings::{Settings, SettingsError};
use torrent_core::value::Value;

use super::saved_state::SavedSession;
use super::{SUCCESSION_LIMIT, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ip_filter::Filter;
use crate::state_dir::Folder;

/// A place for one session at a time. Any thread may call; no call but
/// [`Self::start`] and [`Self::join`] waits for anything.
#[derive(Debug, Default)]
pub struct SessionSlot {
    /// The settings at the beginning: what a state directory remembers goes before
    /// these, unless they were changed or set by name.
    usual: Settings,
    state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    run: Run,
    /// Earlier runs, oldest first.
    ending: Vec<EndingRun>,
    /// Those of the next run; while one goes on, its own count.
    settings: Arc<Settings>,
    /// The state for the next run; while one goes on, its own counts.
    saved_session: SavedSession,
    /// Where the next run keeps its state.
    state_dir: Option<PathBuf>,
}

/// What goes on.
#[derive(Debug, Default)]
enum Run {
    #[default]
    None,
    /// A call of [`SessionSlot::start`] is under way.
    Starting,
    Running {
        session: Session,
        /// [`RunNews::Started`] was handed out.
        is_reported: bool,
    },
}

/// A run that was stopped.
#[derive(Debug)]
struct EndingRun {
    session: Session,
    /// Its [`RunNews::Started`] is still to be handed out.
    is_start_due: bool,
}

/// What happens to the runs of a slot.
// Handed out one at a time, and never kept.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum RunNews {
    /// A run has its folder and its ports, and the torrents of its folder are back.
    /// No event of the run comes before this.
    Started,
    /// Something happened in a run.
    Event(Event),
    /// A run has ended: its files are closed, its ports and its folder are free.
    /// Nothing of it comes after this.
    Stopped,
}

/// What a change applies to.
enum Holder<'a> {
    Session(Session),
    Slot(MutexGuard<'a, SlotState>),
}

/// Ends the state of starting, also where the start fails or panics.
struct StartAttempt<'a>(&'a SessionSlot);

impl Drop for StartAttempt<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if matches!(state.run, Run::Starting) {
            state.run = Run::None;
        }
    }
}

impl Drop for SessionSlot {
    fn drop(&mut self) {
        // Clones that wait for its end keep it no longer.
        self.stop();
    }
}

impl SlotState {
    fn session(&self) -> Option<&Session> {
        match &self.run {
            Run::Running { session, .. } => Some(session),
            Run::None | Run::Starting => None,
        }
    }
}

impl SessionSlot {
    /// A slot whose first run has these settings, unless others are set.
    pub fn new(usual: Settings) -> Self {
        let settings = Arc::new(usual.clone());
        let state = SlotState {
            settings,
            ..SlotState::default()
        };
        Self {
            usual,
            state: Mutex::new(state),
        }
    }

    /// The session that was started and not stopped. It may have ended by itself
    /// ([`Session::failure`]): see [`Self::end_failed`].
    pub fn session(&self) -> Option<Session> {
        self.state.lock().session().cloned()
    }

    /// The same.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn running(&self) -> Result<Session> {
        let session = self.session();
        session.ok_or_else(|| Error::new(ErrorKind::SessionNotRunning))
    }

    /// Whether a session was started and not stopped.
    pub fn has_run(&self) -> bool {
        self.state.lock().session().is_some()
    }

    /// Whether an earlier run is still ending, or its last news were not taken.
    pub fn is_ending(&self) -> bool {
        !self.state.lock().ending.is_empty()
    }

    /// The runs that are ending and the one that goes on. They are stopped with the
    /// slot, whatever holds these.
    pub fn runs(&self) -> Vec<Session> {
        let state = self.state.lock();
        let ending = state.ending.iter().map(|run| &run.session);
        ending.chain(state.session()).cloned().collect()
    }

    /// Keeps torrents and state in this folder from the next start on; `None`: in
    /// none.
    pub fn set_state_dir(&self, folder: Option<PathBuf>) {
        self.state.lock().state_dir = folder;
    }

    /// The settings of the session, or of the next one.
    pub fn settings(&self) -> Arc<Settings> {
        let state = self.state.lock();
        match state.session() {
            Some(session) => session.settings(),
            None => Arc::clone(&state.settings),
        }
    }

    /// Changes settings: all of `patch`, or nothing when one entry is wrong.
    ///
    /// # Errors
    ///
    /// One of the entries is wrong, or another thread is starting the session.
    pub fn apply_settings<'a>(
        &self,
        patch: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Result<()> {
        self.change_settings(|settings| Ok(settings.apply(patch)?))
    }

    /// Changes settings in one step. `change` is quick and calls nothing of the slot.
    ///
    /// # Errors
    ///
    /// Those of `change`, which changes nothing then; or another thread is starting
    /// the session.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings) -> Result<()>) -> Result<()> {
        match self.holder()? {
            Holder::Session(session) => session.shared.change_settings(change),
            Holder::Slot(mut state) => {
                let mut settings = Settings::clone(&state.settings);
                change(&mut settings)?;
                state.settings = Arc::new(settings);
                Ok(())
            }
        }
    }

    /// Changes the IP filter. `change` is quick and calls nothing of the slot.
    ///
    /// # Errors
    ///
    /// Those of `change`, which changes nothing then; or another thread is starting
    /// the session.
    pub fn change_ip_filter(&self, change: impl FnOnce(&mut Filter) -> Result<()>) -> Result<()> {
        match self.holder()? {
            Holder::Session(session) => session.change_ip_filter(change),
            Holder::Slot(mut state) => change(&mut state.saved_session.filter),
        }
    }

    /// The state of the session, or of the next one: see [`Session::save_state`].
    pub fn save_state(&self) -> Vec<u8> {
        let state = self.state.lock();
        match state.session() {
            Some(session) => session.save_state(),
            None => state.saved_session.save(&state.settings),
        }
    }

    /// Takes over a session's state: see [`Session::load_state`]. Returns the
    /// settings that were not taken over, and why.
    ///
    /// # Errors
    ///
    /// The data is no session state, or another thread is starting the session.
    pub fn load_state(&self, data: &[u8]) -> Result<Vec<SettingsError>> {
        match self.holder()? {
            Holder::Session(session) => session.load_state(data),
            Holder::Slot(mut state) => {
                let mut settings = Settings::clone(&state.settings);
                let refused = state.saved_session.load(data, &mut settings)?;
                state.settings = Arc::new(settings);
                Ok(refused)
            }
        }
    }

    fn holder(&self) -> Result<Holder<'_>> {
        let state = self.state.lock();
        match &state.run {
            Run::Running { session, .. } => Ok(Holder::Session(session.clone())),
            Run::None => Ok(Holder::Slot(state)),
            Run::Starting => Err(Error::because(
                ErrorKind::SessionAlreadyRunning,
                "the session is being started",
            )),
        }
    }

    /// Applies settings, then starts a session with what the last one has left.
    /// Reads the state directory's session file and opens listen sockets, so it takes
    /// a moment. See [`Session::start_again`] for what becomes of it while an earlier
    /// run still has the folder or the ports.
    ///
    /// # Errors
    ///
    /// A session runs or is being started, a setting is wrong (nothing has changed
    /// then), the folder cannot be used, or the session cannot be started. The settings
    /// stay applied in the last two cases.
    pub fn start<'a>(&self, patch: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Result<()> {
        let (settings, saved_session, folder) = {
            let mut state = self.state.lock();
            if !matches!(state.run, Run::None) {
                return Err(Error::new(ErrorKind::SessionAlreadyRunning));
            }
            let mut settings = Settings::clone(&state.settings);
            settings.apply(patch)?;
            state.settings = Arc::new(settings.clone());
            state.run = Run::Starting;
            (
                settings,
                state.saved_session.clone(),
                state.state_dir.clone(),
            )
        };
        let _attempt = StartAttempt(self);
        let session = self.begin(settings, saved_session, folder)?;
        let mut state = self.state.lock();
        // The session owns it now, and need not copy it to change it.
        state.saved_session = SavedSession::default();
        state.run = Run::Running {
            session,
            is_reported: false,
        };
        Ok(())
    }

    fn begin(
        &self,
        mut settings: Settings,
        saved_session: SavedSession,
        folder: Option<PathBuf>,
    ) -> Result<Session> {
        let folder = folder.map(Folder::open).transpose()?;
        // Those of a folder that is waited for come when the session has it.
        if let Some(Folder::Open(state)) = &folder {
            settings = state.settings_under(&settings, &self.usual);
        }
        let (limit, usual) = (SUCCESSION_LIMIT, &self.usual);
        Session::start_within(limit, usual, settings, saved_session, folder)
    }

    /// Has the session end in the background: see [`Session::stop`]. False when there
    /// is none.
    pub fn stop(&self) -> bool {
        self.end(Session::stop)
    }

    /// As [`Self::stop`] with another limit: see [`Session::stop_within`].
    pub fn stop_within(&self, limit: Duration) -> bool {
        self.end(|session| session.stop_within(limit))
    }

    /// Stops a session that could not run after all, such as one whose predecessor did
    /// not give up the folder. False when there is none; to be called before each
    /// [`Self::poll`].
    pub fn end_failed(&self) -> bool {
        let has_failed = self.session().is_some_and(|it| it.failure().is_some());
        has_failed && self.stop()
    }

    fn end(&self, stop: impl FnOnce(&Session)) -> bool {
        let mut state = self.state.lock();
        let (session, is_reported) = match std::mem::take(&mut state.run) {
            Run::Running {
                session,
                is_reported,
            } => (session, is_reported),
            other => {
                state.run = other;
                return false;
            }
        };
        stop(&session);
        state.settings = session.settings();
        state.saved_session = session.saved_session();
        let is_start_due = !is_reported && session.is_up();
        state.ending.push(EndingRun {
            session,
            is_start_due,
        });
        true
    }

    /// Waits until the runs that were stopped have ended, at most `limit`. Whether
    /// they have. See [`Session::join`].
    pub fn join(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        let ending: Vec<Session> = {
            let state = self.state.lock();
            state.ending.iter().map(|run| run.session.clone()).collect()
        };
        ending.iter().all(|session| session.join(left()))
    }

    /// Hands out what has happened since, of ending runs first, each in order. With
    /// `signals_only`, what only readers of alerts want stays in the runs, whose
    /// queues are bounded, until their ends. Never waits for another thread that is
    /// at the events of a run that goes on. `take` may call the slot.
    pub fn poll(&self, signals_only: bool, mut take: impl FnMut(RunNews)) {
        let mut events = Vec::new();
        for (session, is_start_due) in self.take_ending() {
            if is_start_due {
                take(RunNews::Started);
            }
            // Asked first, so that nothing can come after the events taken.
            let has_ended = session.join(Duration::ZERO);
            if has_ended {
                session.events().take(&mut events);
            } else {
                take_events(&session, signals_only, &mut events);
            }
            events
                .drain(..)
                .for_each(|event| take(RunNews::Event(event)));
            if has_ended && self.forget(&session) {
                take(RunNews::Stopped);
            }
        }
        if let Some((session, has_just_started)) = self.started() {
            if has_just_started {
                take(RunNews::Started);
            }
            take_events(&session, signals_only, &mut events);
            events
                .drain(..)
                .for_each(|event| take(RunNews::Event(event)));
        }
    }

    /// The runs that are ending, and whether their start is to be reported.
    fn take_ending(&self) -> Vec<(Session, bool)> {
        let mut state = self.state.lock();
        let ending = state.ending.iter_mut();
        let each = ending.map(|run| {
            let is_start_due = std::mem::take(&mut run.is_start_due);
            (run.session.clone(), is_start_due)
        });
        each.collect()
    }

    /// Forgets a run that has ended. False when another thread has done so.
    fn forget(&self, session: &Session) -> bool {
        let mut state = self.state.lock();
        let is_it = |run: &EndingRun| Arc::ptr_eq(&run.session.shared, &session.shared);
        let place = state.ending.iter().position(is_it);
        place.map(|place| state.ending.remove(place)).is_some()
    }

    /// The session, once it has started; and whether that is news.
    fn started(&self) -> Option<(Session, bool)> {
        let mut state = self.state.lock();
        let Run::Running {
            session,
            is_reported,
        } = &mut state.run
        else {
            return None;
        };
        let has_started = session.is_up() && (session.is_restored() || !session.is_running());
        let was_reported = *is_reported;
        *is_reported |= has_started;
        is_reported.then(|| (session.clone(), !was_reported))
    }
}

/// Takes what has happened in a run that goes on.
fn take_events(session: &Session, signals_only: bool, events: &mut Vec<Event>) {
    if signals_only {
        session.events().try_take_signals(events);
    } else {
        session.events().try_take(events);
    }
}
