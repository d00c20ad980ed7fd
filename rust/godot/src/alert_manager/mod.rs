//! `AlertManager`: the queue and filter between a session and the game.

mod subscribers;

use std::sync::{Arc, Weak};

use godot::builtin::{Array, Callable, GString, VarDictionary};
use godot::classes::IRefCounted;
use godot::obj::Base;
use godot::register::{GodotClass, godot_api};
use torrent_core::settings::{Named, Settings};
use torrent_core::value::Value;
use torrent_engine::error::{Error, Result};
use torrent_engine::event::sink::AlertQueue;
use torrent_engine::event::{Alert, Audience, Event, category, kind};
use torrent_engine::session::SessionSlot;

use crate::convert::{invalid, to_int, to_variant};
use crate::last_error::{self, LastError};
use crate::live_objects::Alive;
use crate::threads::{self, SharedField, main_only};

/// The queue of alerts between a session and the game, and the filter before
/// it.
///
/// An alert is a Dictionary that says that something happened: `type_name`
/// ("torrent_finished", "tracker_error", …), `message`, `category`,
/// `timestamp_ms`, `info_hash` where it concerns a torrent, and fields of its
/// own. Signals of [TorrentSession] and [TorrentHandle] cover what most games
/// need; alerts say more, and can be kept and searched.
///
/// Only alerts of the categories in the mask are made; at first that is
/// [constant CATEGORY_ERROR] alone.
///
/// ```gdscript
/// var alerts := session.get_alert_manager()
/// alerts.enable_tracker_alerts(true)
/// alerts.subscribe("tracker_error", func(alert): print(alert.message))
/// ```
///
/// Each session has a manager of its own. One that the game has set up can be
/// handed to one or more sessions with [method TorrentSession.set_alert_manager].
#[derive(GodotClass)]
#[class(base=RefCounted)]
pub(crate) struct AlertManager {
    queue: Arc<AlertQueue>,
    subscribers: SharedField<Vec<(&'static str, Callable)>>,
    sessions: SharedField<Vec<AlertSource>>,
    /// Which of the two settings the game has set here.
    named: SharedField<Named>,
    _alive: Alive,
    base: Base<godot::classes::RefCounted>,
}

/// A session that fills the queue: it stops making what is masked, and what
/// fails here is its last error.
#[derive(Clone)]
struct AlertSource {
    slot: Weak<SessionSlot>,
    errors: LastError,
}

#[godot_api]
impl IRefCounted for AlertManager {
    fn init(base: Base<godot::classes::RefCounted>) -> Self {
        let defaults = Settings::default();
        Self {
            queue: Arc::new(AlertQueue::new(
                defaults.alert_mask as u32,
                defaults.alert_queue_size as usize,
            )),
            subscribers: SharedField::default(),
            sessions: SharedField::default(),
            named: SharedField::default(),
            _alive: Alive::new(&base),
            base,
        }
    }

    fn to_string(&self) -> GString {
        let (waiting, mask) = (self.queue.len(), self.queue.mask());
        GString::from(&format!("AlertManager({waiting} alerts, mask {mask:#x})"))
    }
}

impl Drop for AlertManager {
    fn drop(&mut self) {
        let subscribers = self.subscribers.take();
        if !subscribers.is_empty() {
            threads::on_main(move || drop(subscribers));
        }
    }
}

impl AlertManager {
    /// Lets a session fill this queue; `errors` are the session's.
    pub(crate) fn attach(&self, session: &Arc<SessionSlot>, errors: LastError) {
        let mut sessions = self.sessions.lock();
        sessions.retain(|known| known.slot.strong_count() > 0);
        sessions.push(AlertSource {
            slot: Arc::downgrade(session),
            errors,
        });
        drop(sessions);
        self.configure_sessions(None);
    }

    /// Lets a session fill another queue from now on.
    pub(crate) fn detach(&self, session: &Arc<SessionSlot>) {
        let gone = Arc::downgrade(session);
        self.sessions
            .lock()
            .retain(|known| !known.slot.ptr_eq(&gone));
    }

    /// The result of a call; a failure is printed, kept by every session that
    /// fills the queue, and `None`.
    fn report<T>(&self, method: &str, result: Result<T>) -> Option<T> {
        let keep = |error: &Error| {
            let sessions = self.sessions.lock();
            sessions.iter().for_each(|it| it.errors.keep(error));
        };
        last_error::ok(&format!("AlertManager.{method}"), result.inspect_err(keep))
    }

    /// Where the alerts wait.
    pub(crate) fn alert_queue(&self) -> Arc<AlertQueue> {
        Arc::clone(&self.queue)
    }

    /// Takes the mask and the queue's size from a session's settings.
    pub(crate) fn read_from(&self, settings: &Settings) {
        self.queue.set_mask(settings.alert_mask as u32);
        self.queue.set_limit(settings.alert_queue_size as usize);
        self.configure_sessions(None);
    }

    /// The game has set one of the two settings here, to whatever value.
    fn has_set(&self, name: &'static str) {
        self.named.lock().insert(name);
        self.configure_sessions(Some(name));
    }

    /// Has the sessions take what is new to them, and what was `set` in any case.
    /// For a state directory only what the game has set here counts as set by name.
    fn configure_sessions(&self, set: Option<&str>) {
        let mask = Value::Int(i64::from(self.queue.mask()));
        let limit = Value::Int(to_int(self.queue.limit() as u64));
        let both = [("alert_mask", &mask), ("alert_queue_size", &limit)];
        for session in self.sessions.get() {
            let Some(slot) = session.slot.upgrade() else {
                continue;
            };
            let held = slot.settings();
            let is_news = |(name, value): &(&str, &Value)| {
                set == Some(*name) || held.value(name).as_ref() != Some(*value)
            };
            let patch: Vec<_> = both.into_iter().filter(is_news).collect();
            if patch.is_empty() {
                continue;
            }
            let named = self.named.get();
            let changed = slot.change_settings(|settings| {
                let before = settings.named.clone();
                settings.apply(patch)?;
                settings.named = before;
                settings.named.extend(&named);
                Ok(())
            });
            if let Err(error) = changed {
                session.errors.report("AlertManager", &error);
            }
        }
    }

    /// Queues the alerts of an event; returns those that passed the mask.
    pub(crate) fn queue(&self, event: &Event) -> Vec<Arc<Alert>> {
        self.queue.push(event)
    }

    /// The waiting alerts.
    pub(crate) fn alerts(&self) -> Array<VarDictionary> {
        self.filtered(|_| true)
    }

    /// Drops the waiting alerts.
    pub(crate) fn clear(&self) {
        self.queue.clear();
    }

    fn filtered(&self, keep: impl Fn(&Alert) -> bool) -> Array<VarDictionary> {
        let alerts = self.queue.peek();
        alerts
            .iter()
            .filter(|alert| keep(alert))
            .map(|alert| to_script(alert))
            .collect()
    }

    fn of_category(&self, bits: u32) -> Array<VarDictionary> {
        self.filtered(|alert| alert.kind.category & bits != 0)
    }

    fn enable(&self, bits: u32, enabled: bool) {
        let mask = self.queue.mask();
        self.queue
            .set_mask(if enabled { mask | bits } else { mask & !bits });
        self.has_set("alert_mask");
    }
}

/// An alert as a script sees it.
pub(crate) fn to_script(alert: &Alert) -> VarDictionary {
    to_variant(&alert.to_value()).to()
}

#[godot_api]
impl AlertManager {
    /// An alert got into the queue.
    #[signal]
    pub(crate) fn alert_posted(alert: VarDictionary);

    /// Errors of any kind.
    #[constant]
    const CATEGORY_ERROR: i64 = category::ERROR as i64;
    /// What peers send and do.
    #[constant]
    const CATEGORY_PEER: i64 = category::PEER as i64;
    /// Port mapping in routers.
    #[constant]
    const CATEGORY_PORT_MAPPING: i64 = category::PORT_MAPPING as i64;
    /// Files on disk.
    #[constant]
    const CATEGORY_STORAGE: i64 = category::STORAGE as i64;
    /// Announces to trackers and their answers.
    #[constant]
    const CATEGORY_TRACKER: i64 = category::TRACKER as i64;
    /// Connections made and closed.
    #[constant]
    const CATEGORY_CONNECT: i64 = category::CONNECT as i64;
    /// Changes of a torrent's or the session's state.
    #[constant]
    const CATEGORY_STATUS: i64 = category::STATUS as i64;
    /// Addresses that were blocked or banned.
    #[constant]
    const CATEGORY_IP_BLOCK: i64 = category::IP_BLOCK as i64;
    /// What keeps transfers slow.
    #[constant]
    const CATEGORY_PERFORMANCE_WARNING: i64 = category::PERFORMANCE_WARNING as i64;
    /// The distributed hash table.
    #[constant]
    const CATEGORY_DHT: i64 = category::DHT as i64;
    /// Statistics.
    #[constant]
    const CATEGORY_STATS: i64 = category::STATS as i64;
    /// The log of the session.
    #[constant]
    const CATEGORY_SESSION_LOG: i64 = category::SESSION_LOG as i64;
    /// The log of torrents.
    #[constant]
    const CATEGORY_TORRENT_LOG: i64 = category::TORRENT_LOG as i64;
    /// The log of connections.
    #[constant]
    const CATEGORY_PEER_LOG: i64 = category::PEER_LOG as i64;
    /// What peers ask us for.
    #[constant]
    const CATEGORY_INCOMING_REQUEST: i64 = category::INCOMING_REQUEST as i64;
    /// The log of the distributed hash table.
    #[constant]
    const CATEGORY_DHT_LOG: i64 = category::DHT_LOG as i64;
    /// Answers from the distributed hash table.
    #[constant]
    const CATEGORY_DHT_OPERATION: i64 = category::DHT_OPERATION as i64;
    /// The log of port mapping.
    #[constant]
    const CATEGORY_PORT_MAPPING_LOG: i64 = category::PORT_MAPPING_LOG as i64;
    /// The log of choosing pieces.
    #[constant]
    const CATEGORY_PICKER_LOG: i64 = category::PICKER_LOG as i64;
    /// Finished files.
    #[constant]
    const CATEGORY_FILE_PROGRESS: i64 = category::FILE_PROGRESS as i64;
    /// Finished pieces.
    #[constant]
    const CATEGORY_PIECE_PROGRESS: i64 = category::PIECE_PROGRESS as i64;
    /// Blocks sent.
    #[constant]
    const CATEGORY_UPLOAD: i64 = category::UPLOAD as i64;
    /// Blocks asked for and received.
    #[constant]
    const CATEGORY_BLOCK_PROGRESS: i64 = category::BLOCK_PROGRESS as i64;
    /// Everything.
    #[constant]
    const CATEGORY_ALL: i64 = category::ALL as i64;

    /// The waiting alerts, oldest first. They stay in the queue.
    #[func]
    fn get_alerts(&self) -> Array<VarDictionary> {
        self.alerts()
    }

    /// The waiting alerts with this number.
    #[func]
    fn get_alerts_by_type(&self, alert_type: i64) -> Array<VarDictionary> {
        self.filtered(|alert| i64::from(alert.kind.number) == alert_type)
    }

    /// The waiting alerts with this name, for example "torrent_finished".
    #[func]
    fn get_alerts_by_name(&self, type_name: GString) -> Array<VarDictionary> {
        let name = type_name.to_string();
        self.filtered(|alert| alert.kind.name == name)
    }

    /// The waiting alerts that concern a torrent.
    #[func]
    fn get_torrent_alerts(&self) -> Array<VarDictionary> {
        self.filtered(|alert| alert.info_hash.is_some())
    }

    /// The waiting alerts about peers and connections.
    #[func]
    fn get_peer_alerts(&self) -> Array<VarDictionary> {
        self.of_category(category::PEER | category::CONNECT)
    }

    /// The waiting alerts about trackers.
    #[func]
    fn get_tracker_alerts(&self) -> Array<VarDictionary> {
        self.of_category(category::TRACKER)
    }

    /// The waiting alerts about errors.
    #[func]
    fn get_error_alerts(&self) -> Array<VarDictionary> {
        self.of_category(category::ERROR)
    }

    /// The waiting alerts, oldest first; the queue is empty afterwards.
    #[func]
    fn pop_alerts(&self) -> Array<VarDictionary> {
        main_only!(self, "pop_alerts");
        let alerts = self.queue.pop(usize::MAX);
        alerts.iter().map(|alert| to_script(alert)).collect()
    }

    /// Empties the queue.
    #[func]
    fn clear_alerts(&self) {
        main_only!(self, "clear_alerts");
        self.clear();
    }

    /// Chooses which alerts are made: the sum of `CATEGORY_` constants. False for a
    /// number that is no such sum.
    #[func]
    fn set_alert_mask(&self, mask: i64) -> bool {
        main_only!(self, "set_alert_mask");
        let bits =
            u32::try_from(mask).map_err(|_| invalid(format!("{mask} is not a sum of categories")));
        let bits = self.report("set_alert_mask", bits);
        bits.inspect(|&bits| {
            self.queue.set_mask(bits);
            self.has_set("alert_mask");
        })
        .is_some()
    }

    /// Which alerts are made: the sum of `CATEGORY_` constants.
    #[func]
    fn get_alert_mask(&self) -> i64 {
        i64::from(self.queue.mask())
    }

    /// Turns alerts about errors on or off.
    #[func]
    fn enable_error_alerts(&self, enabled: bool) {
        main_only!(self, "enable_error_alerts");
        self.enable(category::ERROR, enabled);
    }

    /// Turns alerts about changes of state on or off.
    #[func]
    fn enable_status_alerts(&self, enabled: bool) {
        main_only!(self, "enable_status_alerts");
        self.enable(category::STATUS, enabled);
    }

    /// Turns alerts about finished pieces and files on or off.
    #[func]
    fn enable_progress_alerts(&self, enabled: bool) {
        main_only!(self, "enable_progress_alerts");
        self.enable(category::PIECE_PROGRESS | category::FILE_PROGRESS, enabled);
    }

    /// Turns alerts about finished pieces on or off.
    #[func]
    fn enable_piece_progress_alerts(&self, enabled: bool) {
        main_only!(self, "enable_piece_progress_alerts");
        self.enable(category::PIECE_PROGRESS, enabled);
    }

    /// Turns alerts about finished files on or off.
    #[func]
    fn enable_file_progress_alerts(&self, enabled: bool) {
        main_only!(self, "enable_file_progress_alerts");
        self.enable(category::FILE_PROGRESS, enabled);
    }

    /// Turns alerts about what peers do on or off.
    #[func]
    fn enable_peer_alerts(&self, enabled: bool) {
        main_only!(self, "enable_peer_alerts");
        self.enable(category::PEER, enabled);
    }

    /// Turns alerts about files on disk on or off.
    #[func]
    fn enable_storage_alerts(&self, enabled: bool) {
        main_only!(self, "enable_storage_alerts");
        self.enable(category::STORAGE, enabled);
    }

    /// Turns alerts about trackers on or off.
    #[func]
    fn enable_tracker_alerts(&self, enabled: bool) {
        main_only!(self, "enable_tracker_alerts");
        self.enable(category::TRACKER, enabled);
    }

    /// Turns alerts about connections on or off.
    #[func]
    fn enable_connect_alerts(&self, enabled: bool) {
        main_only!(self, "enable_connect_alerts");
        self.enable(category::CONNECT, enabled);
    }

    /// Turns alerts about what keeps transfers slow on or off.
    #[func]
    fn enable_performance_alerts(&self, enabled: bool) {
        main_only!(self, "enable_performance_alerts");
        self.enable(category::PERFORMANCE_WARNING, enabled);
    }

    /// Turns alerts about blocked and banned addresses on or off.
    #[func]
    fn enable_ip_block_alerts(&self, enabled: bool) {
        main_only!(self, "enable_ip_block_alerts");
        self.enable(category::IP_BLOCK, enabled);
    }

    /// Turns alerts about each block of a download (many) on or off.
    #[func]
    fn enable_block_progress_alerts(&self, enabled: bool) {
        main_only!(self, "enable_block_progress_alerts");
        self.enable(category::BLOCK_PROGRESS, enabled);
    }

    /// Turns alerts about statistics on or off.
    #[func]
    fn enable_stats_alerts(&self, enabled: bool) {
        main_only!(self, "enable_stats_alerts");
        self.enable(category::STATS, enabled);
    }

    /// Turns alerts about each block sent (many) on or off.
    #[func]
    fn enable_upload_alerts(&self, enabled: bool) {
        main_only!(self, "enable_upload_alerts");
        self.enable(category::UPLOAD, enabled);
    }

    /// Limits how many alerts wait; those beyond it are dropped and counted. The more
    /// important ones may exceed it up to threefold. At least 1, at most 10 000 000.
    #[func]
    fn set_queue_limit(&self, limit: i64) -> bool {
        main_only!(self, "set_queue_limit");
        let limit = self.report("set_queue_limit", queue_limit(limit));
        let set = limit.map(|limit| {
            self.queue.set_limit(limit);
            self.has_set("alert_queue_size");
        });
        set.is_some()
    }

    /// How many alerts may wait.
    #[func]
    fn get_queue_limit(&self) -> i64 {
        to_int(self.queue.limit() as u64)
    }

    /// How many alerts were dropped because the queue was full.
    #[func]
    fn get_dropped_count(&self) -> i64 {
        to_int(self.queue.dropped())
    }

    /// Calls `callable` with each new alert of this name. The mask counts here too.
    /// False for a name that no alert has, and for a callable that is subscribed to it already.
    /// Ends with [method unsubscribe] or with the callable's object.
    #[func]
    fn subscribe(&self, type_name: GString, callable: Callable) -> bool {
        main_only!(self, "subscribe");
        let known = kind_name(&type_name).and_then(|name| match callable.is_valid() {
            true if self.is_subscribed(name, &callable) => {
                Err(invalid(format!("the callable hears of '{name}' already")))
            }
            true => Ok(name),
            false => Err(invalid("the callable is not valid")),
        });
        let name = self.report("subscribe", known);
        name.map(|name| self.subscribers.lock().push((name, callable)))
            .is_some()
    }

    /// Ends what [method subscribe] began. False when there is nothing to end.
    #[func]
    fn unsubscribe(&self, type_name: GString, callable: Callable) -> bool {
        main_only!(self, "unsubscribe");
        let ended = kind_name(&type_name).and_then(|name| {
            // Freed with nothing borrowed, as in `announce`.
            let ended: Vec<_> = self
                .subscribers
                .lock()
                .extract_if(.., |(known, called)| *known == name && *called == callable)
                .collect();
            match ended.is_empty() {
                false => Ok(()),
                true => Err(invalid(format!("the callable does not hear of '{name}'"))),
            }
        });
        self.report("unsubscribe", ended).is_some()
    }

    fn is_subscribed(&self, name: &str, callable: &Callable) -> bool {
        let subscribers = self.subscribers.lock();
        subscribers
            .iter()
            .any(|(known, called)| *known == name && called == callable)
    }
}

fn queue_limit(limit: i64) -> Result<usize> {
    match limit {
        1..=10_000_000 => Ok(limit as usize),
        _ => Err(invalid(format!(
            "the limit is a number from 1 to 10000000, not {limit}"
        ))),
    }
}

/// The name of a kind of alert that can come.
fn kind_name(name: &GString) -> Result<&'static str> {
    let name = name.to_string();
    let mut alerts = kind::ALL
        .iter()
        .filter(|kind| kind.audience != Audience::Signals);
    let known = alerts.find(|kind| kind.name == name);
    known
        .map(|kind| kind.name)
        .ok_or_else(|| invalid(format!("there is no alert '{name}'")))
}
