//! The engine's log records, for a game's own log.
//!
//! The engine logs through `tracing`. A [`Logger`] takes what its level and
//! categories let through: into a bounded queue that the game empties once a
//! frame, and into a file if it has one. [`install`] puts the subscriber in
//! place; a program that has one of its own (the shim) simply never calls it.

mod ending;
mod file;
mod subscriber;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use torrent_core::value::Fields;

use crate::error::{Error, ErrorKind, Result};
use crate::event::unix_millis;
pub(crate) use ending::LoggedSession;
use file::LogFile;
pub use subscriber::install;

/// Records that wait for the game; more are dropped and counted.
const QUEUE_LIMIT: usize = 1000;

/// How important a record is. A logger takes those up to its own level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Nothing at all.
    None = 0,
    /// Something failed.
    Error = 1,
    /// Something is wrong, but goes on.
    Warning = 2,
    /// The course of things.
    Info = 3,
    /// Decisions.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl Level {
    /// All levels, in order.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Error,
        Self::Warning,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// The level with this number.
    pub fn from_code(code: i64) -> Result<Self> {
        let level = usize::try_from(code)
            .ok()
            .and_then(|code| Self::ALL.get(code));
        level.copied().ok_or_else(|| {
            let message = format!("a log level is a number from 0 to 5, not {code}");
            Error::because(ErrorKind::InvalidParameter, message)
        })
    }

    /// Its name, in capitals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// What a record is about. A record of [`Category::All`] passes every filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Category {
    /// Nothing in particular.
    All = 0,
    /// The session as a whole.
    Session = 1,
    /// One torrent.
    Torrent = 2,
    /// Connections.
    Peer = 3,
    /// Trackers.
    Tracker = 4,
    /// The distributed hash table.
    Dht = 5,
    /// Port mapping.
    PortMapping = 6,
    /// Files.
    Storage = 7,
    /// Speed.
    Performance = 8,
    /// Alerts, as they are posted.
    Alert = 9,
}

impl Category {
    /// All categories, in order.
    pub const ALL: [Self; 10] = [
        Self::All,
        Self::Session,
        Self::Torrent,
        Self::Peer,
        Self::Tracker,
        Self::Dht,
        Self::PortMapping,
        Self::Storage,
        Self::Performance,
        Self::Alert,
    ];

    /// The category with this number.
    pub fn from_code(code: i64) -> Result<Self> {
        let category = usize::try_from(code)
            .ok()
            .and_then(|code| Self::ALL.get(code));
        category.copied().ok_or_else(|| {
            let message = format!("a log category is a number from 0 to 9, not {code}");
            Error::because(ErrorKind::InvalidParameter, message)
        })
    }

    /// The category with this name, in any case; an empty one is [`Self::All`].
    pub fn from_name(name: &str) -> Option<Self> {
        if name.is_empty() {
            return Some(Self::All);
        }
        let is = |category: &Self| category.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is)
    }

    /// Its name, in capitals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Session => "SESSION",
            Self::Torrent => "TORRENT",
            Self::Peer => "PEER",
            Self::Tracker => "TRACKER",
            Self::Dht => "DHT",
            Self::PortMapping => "PORT_MAPPING",
            Self::Storage => "STORAGE",
            Self::Performance => "PERFORMANCE",
            Self::Alert => "ALERT",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Unix time in milliseconds.
    pub timestamp_ms: i64,
    /// How important it is.
    pub level: Level,
    /// What it is about: the name of a category, or of the game's own choice.
    pub category: String,
    /// What it says.
    pub message: String,
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (level, category) = (self.level.name(), &self.category);
        write!(f, "[{level}] [{category}] {}", self.message)
    }
}

/// A game's log: cheap to clone, all clones are one.
#[derive(Clone, Debug)]
pub struct Logger(Arc<LoggerState>);

#[derive(Debug)]
struct LoggerState {
    enabled: AtomicBool,
    level: AtomicU8,
    categories: AtomicU32,
    queue: Mutex<VecDeque<Record>>,
    file: Mutex<Option<LogFile>>,
    counts: [AtomicU64; Level::ALL.len()],
    dropped: AtomicU64,
    since: AtomicI64,
}

/// Every logger that is alive.
static LOGGERS: Mutex<Vec<Weak<LoggerState>>> = Mutex::new(Vec::new());

/// Hands a record of the engine's to every logger that wants it.
fn publish(level: Level, category: Category, message: &dyn Fn() -> String) {
    let loggers = LOGGERS.lock().clone();
    let mut text = None;
    for logger in loggers.iter().filter_map(Weak::upgrade) {
        if logger.wants(level, category) {
            let message = text.get_or_insert_with(message).clone();
            logger.take_in(level, category.name().to_owned(), message);
        }
    }
}

/// Closes every logger's file and waits until it is written, at most `limit`,
/// so that the library may be unloaded. Whether all are.
pub fn end_all(limit: Duration) -> bool {
    let loggers = LOGGERS.lock().clone();
    for logger in loggers.iter().filter_map(Weak::upgrade) {
        logger.file.lock().take();
    }
    file::join_all(limit)
}

/// The most talkative level that any logger listens to.
fn loudest() -> Level {
    // Not under the lock: this may be what frees a logger.
    let loggers = LOGGERS.lock().clone();
    let levels = loggers
        .iter()
        .filter_map(Weak::upgrade)
        .filter(|logger| logger.enabled.load(Ordering::Relaxed))
        .map(|logger| logger.level());
    levels.max().unwrap_or(Level::None)
}

impl LoggerState {
    fn level(&self) -> Level {
        Level::ALL[usize::from(self.level.load(Ordering::Relaxed))]
    }

    fn wants(&self, level: Level, category: Category) -> bool {
        let categories = self.categories.load(Ordering::Relaxed);
        self.enabled.load(Ordering::Relaxed)
            && level != Level::None
            && level <= self.level()
            && (category == Category::All || categories & category.bit() != 0)
    }

    fn take_in(&self, level: Level, category: String, message: String) {
        self.counts[level as usize].fetch_add(1, Ordering::Relaxed);
        let record = Record {
            timestamp_ms: unix_millis(),
            level,
            category,
            message,
        };
        if let Some(file) = &*self.file.lock()
            && !file.write(&record)
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        let mut queue = self.queue.lock();
        if queue.len() < QUEUE_LIMIT {
            queue.push_back(record);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LoggerState {
    /// The file stays open for the last lines of sessions that are ending.
    fn drop(&mut self) {
        let Some(file) = self.file.get_mut().take() else {
            return;
        };
        if !*self.enabled.get_mut() || !ending::is_any_ending() {
            return;
        }
        let mut rest = Self::default();
        rest.enabled = AtomicBool::new(true);
        rest.level = AtomicU8::new(*self.level.get_mut());
        rest.categories = AtomicU32::new(*self.categories.get_mut());
        rest.file = Mutex::new(Some(file));
        ending::keep(register(rest));
    }
}

impl Default for LoggerState {
    fn default() -> Self {
        Self {
            enabled: AtomicBool::new(false),
            level: AtomicU8::new(Level::Info as u8),
            categories: AtomicU32::new(u32::MAX),
            queue: Mutex::default(),
            file: Mutex::default(),
            counts: Default::default(),
            dropped: AtomicU64::default(),
            since: AtomicI64::new(unix_millis()),
        }
    }
}

/// Makes records reach a logger.
fn register(logger: LoggerState) -> Arc<LoggerState> {
    let logger = Arc::new(logger);
    let mut loggers = LOGGERS.lock();
    loggers.retain(|logger| logger.strong_count() > 0);
    loggers.push(Arc::downgrade(&logger));
    logger
}

impl Default for Logger {
    /// A logger that is off, at [`Level::Info`], with all categories.
    fn default() -> Self {
        Self(register(LoggerState::default()))
    }
}

impl Logger {
    /// Turns the logger on or off.
    pub fn enable(&self, enabled: bool) {
        self.0.enabled.store(enabled, Ordering::Relaxed);
        subscriber::levels_changed();
    }

    /// Whether it is on.
    pub fn is_enabled(&self) -> bool {
        self.0.enabled.load(Ordering::Relaxed)
    }

    /// Takes records up to this level.
    pub fn set_level(&self, level: Level) {
        self.0.level.store(level as u8, Ordering::Relaxed);
        subscriber::levels_changed();
    }

    /// Its level.
    pub fn level(&self) -> Level {
        self.0.level()
    }

    /// Takes records of a category, or not; [`Category::All`] stands for every
    /// one of them.
    pub fn enable_category(&self, category: Category, enabled: bool) {
        let bits = match category {
            Category::All => u32::MAX,
            one => one.bit(),
        };
        if enabled {
            self.0.categories.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.0.categories.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// Whether it takes records of a category; of all of them for
    /// [`Category::All`].
    pub fn is_category_enabled(&self, category: Category) -> bool {
        let categories = self.0.categories.load(Ordering::Relaxed);
        match category {
            Category::All => categories == u32::MAX,
            one => categories & one.bit() != 0,
        }
    }

    /// Writes records into this file too, at its end, in a thread of its own.
    pub fn set_file(&self, path: &Path) -> Result<()> {
        let file = LogFile::open(path)?;
        *self.0.file.lock() = Some(file);
        Ok(())
    }

    /// Writes records into no file any more.
    pub fn close_file(&self) {
        self.0.file.lock().take();
    }

    /// Whether there is a file.
    pub fn has_file(&self) -> bool {
        self.0.file.lock().is_some()
    }

    /// Adds a record of the game's own. `category` is a category's name, which
    /// the filter knows, or any other name, which passes it.
    pub fn log(&self, level: Level, category: &str, message: &str) {
        let known = Category::from_name(category);
        if self.0.wants(level, known.unwrap_or(Category::All)) {
            let name = match known {
                Some(known) => known.name(),
                None => category,
            };
            self.0.take_in(level, name.to_owned(), message.to_owned());
        }
    }

    /// Moves the records that wait to the end of `records`.
    pub fn take(&self, records: &mut Vec<Record>) {
        records.extend(self.0.queue.lock().drain(..));
    }

    /// Counts since the start or the last reset: total, errors, warnings,
    /// infos, debugs, traces, dropped, and since_ms, a Unix time.
    pub fn stats(&self) -> Fields {
        let count = |level: Level| self.0.counts[level as usize].load(Ordering::Relaxed);
        let total: u64 = Level::ALL.into_iter().map(count).sum();
        let dropped = self.0.dropped.load(Ordering::Relaxed);
        vec![
            ("total".into(), total.into()),
            ("errors".into(), count(Level::Error).into()),
            ("warnings".into(), count(Level::Warning).into()),
            ("infos".into(), count(Level::Info).into()),
            ("debugs".into(), count(Level::Debug).into()),
            ("traces".into(), count(Level::Trace).into()),
            ("dropped".into(), dropped.into()),
            (
                "since_ms".into(),
                self.0.since.load(Ordering::Relaxed).into(),
            ),
        ]
    }

    /// Begins to count anew.
    pub fn reset_stats(&self) {
        for count in self.0.counts.iter().chain([&self.0.dropped]) {
            count.store(0, Ordering::Relaxed);
        }
        self.0.since.store(unix_millis(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
