//! `TorrentLogger`: what the library says about itself, in the game's log.

use godot::builtin::{GString, VarDictionary, vslice};
use godot::classes::{IRefCounted, RefCounted};
use godot::global;
use godot::obj::{Base, Gd};
use godot::register::{GodotClass, godot_api};
use torrent_engine::error::Result;
use torrent_engine::log::{self, Category, Level, Logger};

use crate::frame_poll::Polled;
use crate::live_objects::Alive;
use crate::threads::main_only;
use crate::{convert, frame_poll, last_error, paths};

/// Shows what the library does: in Godot's output, in a file, or both.
///
/// Off until it is turned on. Records have a level, from errors to every
/// detail, and a category; both can be chosen.
///
/// ```gdscript
/// var logger := session.get_logger()
/// logger.set_log_level(TorrentLogger.DEBUG)
/// logger.disable_all_categories()
/// logger.enable_category(TorrentLogger.TRACKER, true)
/// logger.set_log_file("user://torrents.log")
/// logger.enable_logging(true)
/// ```
///
/// Each session has a logger of its own. Every logger receives the records of all sessions of
/// the game.
#[derive(GodotClass)]
#[class(base=RefCounted)]
pub(crate) struct TorrentLogger {
    logger: Logger,
    alive: Alive,
    base: Base<RefCounted>,
}

#[godot_api]
impl IRefCounted for TorrentLogger {
    fn init(base: Base<RefCounted>) -> Self {
        log::install();
        Self {
            logger: Logger::default(),
            alive: Alive::new(&base),
            base,
        }
    }

    fn to_string(&self) -> GString {
        let state = if self.logger.is_enabled() {
            "on"
        } else {
            "off"
        };
        let text = format!("TorrentLogger({state}, {})", self.logger.level().name());
        GString::from(&text)
    }
}

impl Polled for TorrentLogger {
    fn alive(&self) -> &Alive {
        &self.alive
    }

    fn on_frame(this: Gd<Self>) {
        this.bind().show();
    }
}

impl TorrentLogger {
    /// The value of a success; a failure is printed and `None`.
    fn report<T>(&self, method: &str, result: Result<T>) -> Option<T> {
        last_error::ok(&format!("TorrentLogger.{method}"), result)
    }

    /// Turns the logger on or off; what it has to show comes with the frames.
    pub(crate) fn enable(this: &Gd<Self>, enabled: bool) {
        this.bind().logger.enable(enabled);
        if enabled {
            frame_poll::follow(this);
        }
    }

    /// Sets the level.
    pub(crate) fn choose_level(&self, level: i64) -> Result<()> {
        Level::from_code(level).map(|level| self.logger.set_level(level))
    }

    fn add(&self, level: Level, message: &GString, category: &GString) {
        let (message, category) = (message.to_string(), category.to_string());
        self.logger.log(level, &category, &message);
    }
}

#[godot_api]
impl TorrentLogger {
    /// Level: nothing.
    #[constant]
    const NONE: i64 = Level::None as i64;
    /// Level: what failed.
    #[constant]
    const ERROR: i64 = Level::Error as i64;
    /// Level: also what is wrong but goes on.
    #[constant]
    const WARNING: i64 = Level::Warning as i64;
    /// Level: also the course of things. The one at first.
    #[constant]
    const INFO: i64 = Level::Info as i64;
    /// Level: also decisions.
    #[constant]
    const DEBUG: i64 = Level::Debug as i64;
    /// Level: everything.
    #[constant]
    const TRACE: i64 = Level::Trace as i64;

    /// Category: every one of them.
    #[constant]
    const ALL: i64 = Category::All as i64;
    /// Category: the session as a whole.
    #[constant]
    const SESSION: i64 = Category::Session as i64;
    /// Category: torrents.
    #[constant]
    const TORRENT: i64 = Category::Torrent as i64;
    /// Category: connections.
    #[constant]
    const PEER: i64 = Category::Peer as i64;
    /// Category: trackers.
    #[constant]
    const TRACKER: i64 = Category::Tracker as i64;
    /// Category: the distributed hash table.
    #[constant]
    const DHT: i64 = Category::Dht as i64;
    /// Category: port mapping.
    #[constant]
    const PORT_MAPPING: i64 = Category::PortMapping as i64;
    /// Category: files.
    #[constant]
    const STORAGE: i64 = Category::Storage as i64;
    /// Category: speed.
    #[constant]
    const PERFORMANCE: i64 = Category::Performance as i64;
    /// Category: alerts, as they are posted.
    #[constant]
    const ALERT: i64 = Category::Alert as i64;

    /// Turns the logger on or off.
    #[func(gd_self)]
    fn enable_logging(this: Gd<Self>, enabled: bool) {
        main_only!(this.bind(), "enable_logging");
        Self::enable(&this, enabled);
    }

    /// Whether the logger is on.
    #[func]
    fn is_logging_enabled(&self) -> bool {
        self.logger.is_enabled()
    }

    /// Shows records up to this level, from [constant NONE] to [constant TRACE]. False for
    /// another number.
    #[func]
    fn set_log_level(&self, level: i64) -> bool {
        main_only!(self, "set_log_level");
        self.report("set_log_level", self.choose_level(level))
            .is_some()
    }

    /// The level up to which records are shown.
    #[func]
    fn get_log_level(&self) -> i64 {
        self.logger.level() as i64
    }

    /// Shows records of a category or not, [constant SESSION] to [constant ALERT];
    /// [constant ALL] stands for every one. False for another number.
    #[func]
    fn enable_category(&self, category: i64, enabled: bool) -> bool {
        main_only!(self, "enable_category");
        let category = Category::from_code(category);
        let category = self.report("enable_category", category);
        category
            .map(|category| self.logger.enable_category(category, enabled))
            .is_some()
    }

    /// Whether records of a category are shown; for [constant ALL], whether those of every
    /// category are.
    #[func]
    fn is_category_enabled(&self, category: i64) -> bool {
        let category = Category::from_code(category);
        let category = self.report("is_category_enabled", category);
        category.is_some_and(|category| self.logger.is_category_enabled(category))
    }

    /// Shows records of all categories.
    #[func]
    fn enable_all_categories(&self) {
        main_only!(self, "enable_all_categories");
        self.logger.enable_category(Category::All, true);
    }

    /// Shows no records but those of one's own that name no category.
    #[func]
    fn disable_all_categories(&self) {
        main_only!(self, "disable_all_categories");
        self.logger.enable_category(Category::All, false);
    }

    /// Writes what is shown into a file too, at its end. The game never waits for it. False
    /// when the file cannot be opened.
    #[func]
    fn set_log_file(&self, path: GString) -> bool {
        main_only!(self, "set_log_file");
        let opened = paths::to_write(&path).and_then(|path| self.logger.set_file(&path));
        self.report("set_log_file", opened).is_some()
    }

    /// Closes the file.
    #[func]
    fn close_log_file(&self) {
        main_only!(self, "close_log_file");
        self.logger.close_file();
    }

    /// Whether records go into a file.
    #[func]
    fn is_log_file_enabled(&self) -> bool {
        self.logger.has_file()
    }

    /// Adds an error of the game's own. `category` is the name of a category, which can be
    /// turned off, or any other name.
    #[func]
    fn log_error(&self, message: GString, #[opt(default = "")] category: GString) {
        main_only!(self, "log_error");
        self.add(Level::Error, &message, &category);
    }

    /// Adds a warning; see [method log_error].
    #[func]
    fn log_warning(&self, message: GString, #[opt(default = "")] category: GString) {
        main_only!(self, "log_warning");
        self.add(Level::Warning, &message, &category);
    }

    /// Adds an information; see [method log_error].
    #[func]
    fn log_info(&self, message: GString, #[opt(default = "")] category: GString) {
        main_only!(self, "log_info");
        self.add(Level::Info, &message, &category);
    }

    /// Adds a detail; see [method log_error].
    #[func]
    fn log_debug(&self, message: GString, #[opt(default = "")] category: GString) {
        main_only!(self, "log_debug");
        self.add(Level::Debug, &message, &category);
    }

    /// Adds the smallest of details; see [method log_error].
    #[func]
    fn log_trace(&self, message: GString, #[opt(default = "")] category: GString) {
        main_only!(self, "log_trace");
        self.add(Level::Trace, &message, &category);
    }

    /// Adds a record of any level; see [method log_error].
    #[func]
    fn log(&self, level: i64, message: GString, #[opt(default = "")] category: GString) {
        main_only!(self, "log");
        if let Some(level) = self.report("log", Level::from_code(level)) {
            self.add(level, &message, &category);
        }
    }

    /// Counts of records since the start or the last reset: total, errors, warnings, infos,
    /// debugs, traces, dropped (there were too many at once), and since_ms, a Unix time in
    /// milliseconds.
    #[func]
    fn get_log_stats(&self) -> VarDictionary {
        convert::to_dictionary(&self.logger.stats())
    }

    /// Begins to count anew.
    #[func]
    fn reset_log_stats(&self) {
        main_only!(self, "reset_log_stats");
        self.logger.reset_stats();
    }

    /// Shows what has come since the last time. In a SceneTree that happens by itself each
    /// frame; under a main loop of one's own, call it regularly.
    #[func]
    fn poll(&self) {
        main_only!(self, "poll");
        self.show();
    }
}

impl TorrentLogger {
    /// Shows what has come since the last time.
    fn show(&self) {
        let mut records = Vec::new();
        self.logger.take(&mut records);
        for record in records {
            let line = GString::from(&record.to_string());
            match record.level {
                Level::Error => global::printerr(vslice![line]),
                _ => global::print(vslice![line]),
            }
        }
    }
}
