//! Start and stop of a session: its runs.

use super::*;

impl TorrentSession {
    fn start(&self, patch: &Fields) -> Result<()> {
        let started = self.slot.start(entries(patch));
        // The settings are applied also where the session cannot be started.
        self.show_settings();
        if started.is_ok() {
            self.hold.take();
        }
        started
    }

    /// Starts and follows the frames from then on.
    fn start_object(this: &Gd<Self>, method: &str, patch: Result<Fields>) -> bool {
        let session = this.bind();
        let started = patch.and_then(|patch| session.start(&patch));
        let started = session.report(method, started).is_some();
        if started {
            frame_poll::follow(this);
        }
        started
    }

    /// A run was stopped, and ends in the background.
    pub(super) fn run_ends(&self) {
        monitors::show(&self.gauge, false);
        self.objects.bury_all();
        self.hold.replace(Some(ReferenceHold::default()));
    }
}

#[godot_api(secondary)]
impl TorrentSession {
    /// Starts the session with the settings applied so far. False when it runs already or
    /// cannot be started. A port that is in use does not keep it from starting: see
    /// [signal listen_failed].
    ///
    /// Right after [method stop_session], or when a session object was just freed, the earlier
    /// run may still hold the port and the state directory. The new one waits for them in the
    /// background: it counts as running, listens nowhere, and torrents that are added are there
    /// at once but do nothing yet. [signal session_started] comes when it has both. After 30
    /// seconds, which only a disk that hangs can take, it gives up: the error is printed, and
    /// [signal session_stopped] comes.
    #[func(gd_self)]
    fn start_session(this: Gd<Self>) -> bool {
        main_only!(this.bind(), "start_session");
        Self::start_object(&this, "start_session", Ok(Fields::new()))
    }

    /// Applies settings, then starts the session. False when one of them is wrong, the
    /// session runs already or cannot be started.
    ///
    /// ```gdscript
    /// session.start_session_with_settings({"listen_port": 7000, "connections_limit": 50})
    /// ```
    #[func(gd_self)]
    fn start_session_with_settings(this: Gd<Self>, settings: AnyDictionary) -> bool {
        main_only!(this.bind(), "start_session_with_settings");
        let patch = convert::from_dictionary(&settings);
        Self::start_object(&this, "start_session_with_settings", patch)
    }

    /// Stops the session: its torrents announce their stop to their trackers, files are closed,
    /// threads end. That happens in the background; [signal session_stopped] says when it
    /// is done, within a second where only trackers do not answer: those are still informed in the
    /// background. All handles become invalid at once. A game that quits waits for a second at
    /// most for trackers, and for five for the disk. When it is done, lambdas and bound
    /// callables are disconnected from them, which could keep them from being freed; and from the
    /// session too, when the game lets go of it after that.
    #[func]
    fn stop_session(&self) {
        main_only!(self, "stop_session");
        if self.slot.stop() {
            self.run_ends();
        }
    }

    /// Whether the session was started and not stopped.
    #[func]
    fn is_running(&self) -> bool {
        self.slot
            .session()
            .as_ref()
            .is_some_and(Session::is_running)
    }

    /// Stops the traffic of all torrents until [method resume_session].
    #[func]
    fn pause_session(&self) -> bool {
        main_only!(self, "pause_session");
        let paused = self.running().map(|session| session.pause());
        self.report("pause_session", paused).is_some()
    }

    /// Goes on after [method pause_session].
    #[func]
    fn resume_session(&self) -> bool {
        main_only!(self, "resume_session");
        let resumed = self.running().map(|session| session.resume());
        self.report("resume_session", resumed).is_some()
    }

    /// Whether the session as a whole is paused.
    #[func]
    fn is_session_paused(&self) -> bool {
        self.slot.session().as_ref().is_some_and(Session::is_paused)
    }
}
