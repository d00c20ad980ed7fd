//! Waiting for a session.

use godot::builtin::Signal;

use super::*;
use crate::waits::{self, Failing, WaitReply};

#[godot_api(secondary)]
impl TorrentSession {
    /// Waits until the session runs and the torrents of its state directory are back. The
    /// signal that is returned comes once, with the next frame at the earliest: with true, or
    /// with false when the session is not started, stops, or after [param timeout] seconds
    /// (0.0: no limit). [method get_last_error] says why.
    ///
    /// ```gdscript
    /// session.start_session()
    /// var ok: bool = await session.wait_started()
    /// ```
    #[func]
    fn wait_started(&self, #[opt(default = 0.0)] timeout: f64) -> Signal {
        let run = self.slot.session();
        let look = move || {
            let is_running = run.as_ref().is_some_and(Session::is_running);
            match &run {
                Some(session) if is_running => session.is_restored().then_some(Ok(WaitReply::Done)),
                _ => Some(Err(Error::new(ErrorKind::SessionNotRunning))),
            }
        };
        waits::signal(timeout, Failing::False, &self.errors, look)
    }

    /// Waits until the session has stopped: all files are closed, the port is free. True, at
    /// once for one that is not started; false after [param timeout] seconds. It has to be stopped by
    /// [method stop_session].
    ///
    /// ```gdscript
    /// session.stop_session()
    /// var ok: bool = await session.wait_stopped()
    /// ```
    #[func]
    fn wait_stopped(&self, #[opt(default = 0.0)] timeout: f64) -> Signal {
        // To hold them keeps none alive: the session object stops them when it is freed.
        let runs = self.slot.runs();
        let look = move || {
            let have_ended = runs.iter().all(|run| run.join(Duration::ZERO));
            have_ended.then_some(Ok(WaitReply::Done))
        };
        waits::signal(timeout, Failing::False, &self.errors, look)
    }

    /// Forgets what [method get_last_error] returns.
    #[func]
    fn clear_last_error(&self) {
        self.errors.clear();
    }
}
