//! What the session reports: alerts, statistics, the log, errors.

use super::*;

#[godot_api(secondary)]
impl TorrentSession {
    /// The alerts that wait in the session's [AlertManager], oldest first. They stay there.
    #[func]
    fn get_alerts(&self) -> Array<VarDictionary> {
        self.manager().bind().alerts()
    }

    /// Drops the waiting alerts.
    #[func]
    fn clear_alerts(&self) {
        main_only!(self, "clear_alerts");
        self.manager().bind().clear();
    }

    /// Asks for a `state_update` alert: `torrent_status` in it is an Array with the status
    /// of each torrent that changed since the last one.
    #[func]
    fn post_torrent_updates(&self) -> bool {
        main_only!(self, "post_torrent_updates");
        let posted = self
            .running()
            .and_then(|session| session.post_torrent_updates());
        self.report("post_torrent_updates", posted).is_some()
    }

    /// Counters of the session by name, for example `net.recv_bytes`. Empty when it does
    /// not run. Read-only, and no older than a millisecond: ask as often as you like.
    #[func]
    fn get_session_stats(&self) -> VarDictionary {
        const SAME: Duration = Duration::from_millis(1);
        let Some(session) = self.slot.session() else {
            return VarDictionary::new();
        };
        let fresh = |known: &Instant, now: &Instant| now.duration_since(*known) < SAME;
        let convert = |_: &Instant| convert::to_dictionary(&session.stats()).into_read_only();
        self.shown_stats.get(Instant::now(), fresh, convert)
    }

    /// The queue of alerts of this session, and their filter.
    #[func]
    fn get_alert_manager(&self) -> Gd<AlertManager> {
        self.manager()
    }

    /// Uses this queue of alerts from now on. Several sessions can share one.
    #[func]
    fn set_alert_manager(&self, manager: Option<Gd<AlertManager>>) -> bool {
        main_only!(self, "set_alert_manager");
        let manager = manager.ok_or_else(|| invalid("the manager is null"));
        let manager = self.report("set_alert_manager", manager);
        manager
            .map(|manager| {
                self.manager().bind().detach(&self.slot);
                manager.bind().attach(&self.slot, self.errors());
                self.gauge.use_alerts(manager.bind().alert_queue());
                self.manager.replace(manager);
            })
            .is_some()
    }

    /// Shows what the library does with this logger from now on.
    #[func]
    fn set_logger(&self, logger: Option<Gd<TorrentLogger>>) -> bool {
        main_only!(self, "set_logger");
        let logger = logger.ok_or_else(|| invalid("the logger is null"));
        let logger = self.report("set_logger", logger);
        logger.map(|logger| self.logger.replace(logger)).is_some()
    }

    /// The logger of this session. It is off at first.
    #[func]
    fn get_logger(&self) -> Gd<TorrentLogger> {
        self.logger.get()
    }

    /// Turns the session's logger on or off.
    #[func]
    fn enable_logging(&self, enabled: bool) {
        main_only!(self, "enable_logging");
        TorrentLogger::enable(&self.get_logger(), enabled);
    }

    /// Shows records up to this level: [constant TorrentLogger.NONE] to
    /// [constant TorrentLogger.TRACE]. False for another number.
    #[func]
    fn set_log_level(&self, level: i64) -> bool {
        main_only!(self, "set_log_level");
        let chosen = self.get_logger().bind().choose_level(level);
        self.report("set_log_level", chosen).is_some()
    }

    /// The last error of this session and its torrents. Never null: without an error its
    /// code is [constant TorrentError.OK].
    #[func]
    fn get_last_error(&self) -> Gd<TorrentError> {
        TorrentError::of(self.errors.get())
    }
}
