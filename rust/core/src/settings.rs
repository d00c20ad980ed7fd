//! The one table of settings. Names and defaults are libtorrent's wherever it
//! has them. From the table come the typed struct, reading and patching by
//! name, validation and the documentation.

use std::ops::RangeInclusive;

use crate::value::Value;

/// Why a setting was refused. Every message names the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No such setting.
    #[error("unknown setting '{0}'")]
    Unknown(String),
    /// The value has another type.
    #[error("setting '{name}' takes {expected}")]
    WrongType {
        /// The setting.
        name: String,
        /// What it takes.
        expected: &'static str,
    },
    /// The number is outside the range.
    #[error("setting '{name}' must be between {min} and {max}, not {value}")]
    OutOfRange {
        /// The setting.
        name: String,
        /// The refused value.
        value: i64,
        /// The smallest allowed value.
        min: i64,
        /// The largest allowed value.
        max: i64,
    },
    /// The text does not mean anything here.
    #[error("setting '{name}': {reason}")]
    Invalid {
        /// The setting.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The feature behind it is not part of this build.
    #[error("setting '{0}' turns on a feature that is not supported")]
    Unsupported(String),
}

/// When a changed value starts to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Within a second, for everything.
    Live,
    /// For connections, announces or files opened from then on.
    Next,
    /// With the next start of the session.
    Restart,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct SettingInfo {
    /// Its name.
    pub name: &'static str,
    /// Its default.
    pub default: Value,
    /// The allowed numbers, for a number.
    pub range: Option<RangeInclusive<i64>>,
    /// The unit of a number.
    pub unit: &'static str,
    /// When a change counts.
    pub effect: Effect,
    /// What it does.
    pub doc: &'static str,
}

/// A Rust type that a setting can have.
trait Kind: Clone + Into<Value> {
    const EXPECTED: &'static str;
    fn read(value: &Value) -> Option<Self>;
    fn number(&self) -> Option<i64> {
        None
    }
}

impl Kind for bool {
    const EXPECTED: &'static str = "true or false";
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl Kind for i64 {
    const EXPECTED: &'static str = "a whole number";
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Int(value) => Some(*value),
            // GDScript and JSON readers often turn whole numbers into floats.
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                Some(*value as i64)
            }
            _ => None,
        }
    }
    fn number(&self) -> Option<i64> {
        Some(*self)
    }
}

impl Kind for String {
    const EXPECTED: &'static str = "text";
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Str(value) => Some(value.to_string()),
            _ => None,
        }
    }
}

macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr, $range:expr, $unit:literal, $effect:ident; )*) => {
        /// Every setting, typed.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $( $(#[doc = $doc])+ pub $name: $kind, )*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $( $name: $default.into(), )* }
            }
        }

        impl Settings {
            /// The table, for documentation and editors.
            pub fn table() -> Vec<SettingInfo> {
                let defaults = Self::default();
                vec![ $( SettingInfo {
                    name: stringify!($name),
                    default: defaults.$name.into(),
                    range: $range,
                    unit: $unit,
                    effect: Effect::$effect,
                    doc: concat!($($doc),+).trim_ascii(),
                }, )* ]
            }

            /// The value of `name`.
            pub fn value(&self, name: &str) -> Option<Value> {
                match name {
                    $( stringify!($name) => Some(self.$name.clone().into()), )*
                    _ => unsupported(name),
                }
            }

            fn set(&mut self, name: &str, value: &Value) -> Result<(), SettingsError> {
                match name {
                    $( stringify!($name) => self.$name = check(name, value, $range)?, )*
                    _ => return set_other(self, name, value),
                }
                Ok(())
            }

            /// Every setting by name, in the order of the table.
            pub fn values(&self) -> Vec<(&'static str, Value)> {
                let mut all = vec![ $( (stringify!($name), self.$name.clone().into()), )* ];
                all.extend(UNSUPPORTED.iter().map(|(name, off)| (*name, off.value())));
                all
            }
        }
    };
}

fn check<K: Kind>(
    name: &str,
    value: &Value,
    range: Option<RangeInclusive<i64>>,
) -> Result<K, SettingsError> {
    let read = K::read(value).ok_or(SettingsError::WrongType {
        name: name.to_owned(),
        expected: K::EXPECTED,
    })?;
    if let (Some(number), Some(range)) = (read.number(), range)
        && !range.contains(&number)
    {
        return Err(SettingsError::OutOfRange {
            name: name.to_owned(),
            value: number,
            min: *range.start(),
            max: *range.end(),
        });
    }
    Ok(read)
}

const NONE: Option<RangeInclusive<i64>> = None;
const SECONDS: Option<RangeInclusive<i64>> = Some(1..=86_400);

settings! {
    /// How the client names itself to trackers.
    user_agent: String = concat!("godot-torrent/", env!("CARGO_PKG_VERSION")), NONE, "", Next;
    /// The first eight characters of our peer id (BEP 20).
    peer_fingerprint: String = "-GD0100-", NONE, "", Restart;
    /// Where to listen: comma-separated `ip:port`, IPv6 in brackets, port 0 for any.
    listen_interfaces: String = "0.0.0.0:6881,[::]:6881", NONE, "", Restart;
    /// How many higher ports are tried when one is in use.
    max_retry_port_bind: i64 = 10, Some(0..=65_535), "ports", Restart;
    /// Let the system choose a port when all of these are in use.
    listen_system_port_fallback: bool = true, NONE, "", Restart;
    /// Accept connections over TCP.
    enable_incoming_tcp: bool = true, NONE, "", Live;
    /// Connect to peers over TCP.
    enable_outgoing_tcp: bool = true, NONE, "", Live;
    /// Connections of all torrents together.
    connections_limit: i64 = 200, Some(2..=65_535), "connections", Live;
    /// New outgoing connections per second.
    connection_speed: i64 = 30, Some(1..=10_000), "per second", Live;
    /// Allow more than one connection from one IP address.
    allow_multiple_connections_per_ip: bool = false, NONE, "", Next;
    /// Known peers kept for one torrent.
    max_peerlist_size: i64 = 3000, Some(1..=1_000_000), "peers", Live;
    /// Failed attempts after which a peer is no longer tried.
    max_failcount: i64 = 3, Some(1..=1000), "attempts", Live;
    /// Wait before a peer is tried again, times its failures.
    min_reconnect_time: i64 = 60, SECONDS, "seconds", Live;
    /// Peers that may download from us at once in each torrent; -1 for no limit.
    unchoke_slots_limit: i64 = 8, Some(-1..=65_535), "peers", Live;
    /// Time between choices of whom to unchoke.
    unchoke_interval: i64 = 15, SECONDS, "seconds", Live;
    /// Time between changes of the optimistically unchoked peer.
    optimistic_unchoke_interval: i64 = 30, SECONDS, "seconds", Live;
    /// Pieces that a peer gets from a seed before the next one has its turn.
    seeding_piece_quota: i64 = 20, Some(1..=100_000), "pieces", Live;
    /// Limit for setting up a connection.
    peer_connect_timeout: i64 = 15, SECONDS, "seconds", Next;
    /// Limit for the handshake (BEP 3).
    handshake_timeout: i64 = 10, SECONDS, "seconds", Next;
    /// Silence after which a connection is closed.
    peer_timeout: i64 = 120, SECONDS, "seconds", Next;
    /// Time without a block after which a peer that owes us some counts as snubbing us.
    request_timeout: i64 = 60, SECONDS, "seconds", Next;
    /// Outstanding requests at one peer, at most.
    max_out_request_queue: i64 = 500, Some(2..=5000), "requests", Next;
    /// Requests of one peer that we queue; it is cut off beyond that.
    max_allowed_in_request_queue: i64 = 2000, Some(16..=100_000), "requests", Next;
    /// How much time the outstanding requests should cover at the present rate.
    request_queue_time: i64 = 3, Some(1..=60), "seconds", Next;
    /// Pieces chosen at random before rarest-first begins.
    initial_picker_threshold: i64 = 4, Some(0..=1000), "pieces", Next;
    /// Bytes queued for one peer above which no more is read from disk for it.
    send_buffer_watermark: i64 = 524_288, Some(32_768..=67_108_864), "bytes", Next;
    /// Threads for hashing and file access, at most; one per core is started.
    aio_threads: i64 = 10, Some(1..=64), "threads", Restart;
    /// Files held open at once, over all torrents.
    file_pool_size: i64 = 40, Some(1..=4096), "files", Restart;
    /// Bytes waiting for the disk above which sockets are no longer read.
    max_queued_disk_bytes: i64 = 104_857_600, Some(1_048_576..=4_294_967_296), "bytes", Restart;
    /// Peers asked of a tracker.
    num_want: i64 = 200, Some(0..=10_000), "peers", Live;
    /// Shortest time between two regular announces to one tracker; a tracker can ask for longer.
    min_announce_interval: i64 = 300, SECONDS, "seconds", Live;
    /// Limit for a whole tracker request.
    tracker_completion_timeout: i64 = 30, SECONDS, "seconds", Live;
    /// Limit for a tracker's silence.
    tracker_receive_timeout: i64 = 10, SECONDS, "seconds", Next;
    /// Limit for the last announce when a torrent stops.
    stop_tracker_timeout: i64 = 5, Some(0..=60), "seconds", Live;
    /// Growth of the wait after each failed announce.
    tracker_backoff: i64 = 250, Some(0..=10_000), "percent", Live;
    /// Longest tracker reply that is read.
    tracker_maximum_response_length: i64 = 1_048_576, Some(1024..=67_108_864), "bytes", Next;
    /// Which alerts are made: the sum of their category bits.
    alert_mask: i64 = 1, Some(0..=0xffff_ffff), "", Live;
    /// Alerts kept until somebody reads them.
    alert_queue_size: i64 = 2000, Some(1..=10_000_000), "alerts", Live;
    /// Shortest time between two snapshots of a torrent's status.
    status_update_interval: i64 = 500, Some(10..=60_000), "milliseconds", Live;
}

/// The value that means "off" for a feature that this build does not have.
#[derive(Clone, Copy)]
enum Off {
    False,
    Zero,
}

impl Off {
    fn value(self) -> Value {
        match self {
            Self::False => Value::Bool(false),
            Self::Zero => Value::Int(0),
        }
    }
}

/// Names of libtorrent's that only take their off value here, so that a
/// settings dictionary which turns a feature off keeps working.
const UNSUPPORTED: &[(&str, Off)] = &[
    ("enable_dht", Off::False),
    ("enable_lsd", Off::False),
    ("enable_upnp", Off::False),
    ("enable_natpmp", Off::False),
    ("enable_pex", Off::False),
    ("enable_utp", Off::False),
    ("enable_incoming_utp", Off::False),
    ("enable_outgoing_utp", Off::False),
    ("enable_ip_notifier", Off::False),
    ("anonymous_mode", Off::False),
    ("proxy_type", Off::Zero),
    ("download_rate_limit", Off::Zero),
    ("upload_rate_limit", Off::Zero),
];

fn unsupported(name: &str) -> Option<Value> {
    let (_, off) = UNSUPPORTED.iter().find(|(known, _)| *known == name)?;
    Some(off.value())
}

/// Aliases, and features that can only be off.
fn set_other(settings: &mut Settings, name: &str, value: &Value) -> Result<(), SettingsError> {
    if name == "listen_port" {
        let port: i64 = check(name, value, Some(0..=65_535))?;
        settings.listen_interfaces = format!("0.0.0.0:{port},[::]:{port}");
        return Ok(());
    }
    match unsupported(name) {
        None => Err(SettingsError::Unknown(name.to_owned())),
        Some(Value::Bool(_)) if !check::<bool>(name, value, NONE)? => Ok(()),
        Some(Value::Int(_)) if check::<i64>(name, value, NONE)? == 0 => Ok(()),
        Some(_) => Err(SettingsError::Unsupported(name.to_owned())),
    }
}

/// Settings for a purpose, as changes to the defaults.
const PRESETS: &[(&str, &[(&str, i64)])] = &[
    ("default", &[]),
    (
        "high_throughput",
        &[
            ("connections_limit", 1000),
            ("unchoke_slots_limit", -1),
            ("connection_speed", 100),
            ("max_out_request_queue", 1500),
            ("send_buffer_watermark", 3_145_728),
            ("file_pool_size", 500),
            ("max_queued_disk_bytes", 268_435_456),
        ],
    ),
    (
        "low_memory",
        &[
            ("connections_limit", 50),
            ("max_peerlist_size", 500),
            ("max_out_request_queue", 100),
            ("max_allowed_in_request_queue", 250),
            ("send_buffer_watermark", 65_536),
            ("aio_threads", 1),
            ("file_pool_size", 10),
            ("max_queued_disk_bytes", 4_194_304),
            ("alert_queue_size", 500),
        ],
    ),
    (
        "lan",
        &[
            ("unchoke_slots_limit", -1),
            ("connection_speed", 100),
            ("min_reconnect_time", 5),
            ("allow_multiple_connections_per_ip", 1),
            ("send_buffer_watermark", 1_048_576),
        ],
    ),
];

impl Settings {
    /// The settings for a purpose: "default", "high_throughput" (a fast
    /// server), "low_memory" (a small device) or "lan" (games at home).
    pub fn preset(name: &str) -> Option<Self> {
        let (_, changes) = PRESETS.iter().find(|(known, _)| *known == name)?;
        let changes: Vec<_> = changes
            .iter()
            .map(|&(name, value)| (name, Value::Int(value)))
            .collect();
        let mut settings = Self::default();
        let applied = settings.apply(changes.iter().map(|(name, value)| (*name, value)));
        debug_assert!(applied.is_ok(), "{applied:?}");
        Some(settings)
    }

    /// Applies all of `patch`, or nothing of it when one entry is wrong.
    pub fn apply<'a>(
        &mut self,
        patch: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Result<(), SettingsError> {
        let mut changed = self.clone();
        for (name, value) in patch {
            changed.set(name, value)?;
        }
        changed.listen_endpoints()?;
        if changed.peer_fingerprint.len() > 20 || !changed.peer_fingerprint.is_ascii() {
            return Err(SettingsError::Invalid {
                name: "peer_fingerprint".to_owned(),
                reason: "at most 20 ASCII characters".to_owned(),
            });
        }
        *self = changed;
        Ok(())
    }

    /// The endpoints of `listen_interfaces`.
    pub fn listen_endpoints(&self) -> Result<Vec<std::net::SocketAddr>, SettingsError> {
        self.listen_interfaces
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.parse().map_err(|_| SettingsError::Invalid {
                    name: "listen_interfaces".to_owned(),
                    reason: format!("'{part}' is not an IP address with a port"),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_applies_as_a_whole_or_not_at_all() {
        let mut settings = Settings::default();
        let good = Value::Int(50);
        let bad = Value::Int(-5);
        let error = settings
            .apply([("connections_limit", &good), ("file_pool_size", &bad)])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "setting 'file_pool_size' must be between 1 and 4096, not -5"
        );
        assert_eq!(settings, Settings::default());
        settings.apply([("connections_limit", &good)]).unwrap();
        assert_eq!(settings.connections_limit, 50);
    }

    #[test]
    fn refusals_name_the_setting() {
        let mut settings = Settings::default();
        let mut refuse =
            |name: &str, value: Value| settings.apply([(name, &value)]).unwrap_err().to_string();
        assert_eq!(
            refuse("no_such", Value::Int(1)),
            "unknown setting 'no_such'"
        );
        assert_eq!(
            refuse("user_agent", Value::Int(1)),
            "setting 'user_agent' takes text"
        );
        assert!(refuse("enable_dht", Value::Bool(true)).contains("enable_dht"));
        assert!(refuse("listen_interfaces", "localhost:x".into()).contains("localhost:x"));
        assert!(refuse("peer_fingerprint", "x".repeat(21).into()).contains("peer_fingerprint"));
    }

    #[test]
    fn off_values_and_whole_floats_are_taken() {
        let mut settings = Settings::default();
        settings
            .apply([
                ("enable_dht", &Value::Bool(false)),
                ("listen_port", &Value::Float(7000.0)),
            ])
            .unwrap();
        assert_eq!(settings.listen_interfaces, "0.0.0.0:7000,[::]:7000");
        assert_eq!(settings.listen_endpoints().unwrap().len(), 2);
        assert_eq!(settings.value("enable_dht"), Some(Value::Bool(false)));
    }

    #[test]
    fn presets_are_valid_changes_to_the_defaults() {
        for (name, changes) in PRESETS {
            let preset = Settings::preset(name).unwrap();
            for (setting, value) in *changes {
                let is = preset.value(setting).unwrap();
                assert!(
                    is == Value::Int(*value) || is == Value::Bool(*value != 0),
                    "{setting}"
                );
            }
        }
        assert_eq!(Settings::preset("default"), Some(Settings::default()));
        assert_eq!(Settings::preset("fast"), None);
    }

    #[test]
    fn every_default_lies_in_its_range() {
        let defaults = Settings::default();
        for row in Settings::table() {
            assert!(!row.doc.is_empty(), "{}", row.name);
            assert_eq!(defaults.value(row.name).as_ref(), Some(&row.default));
            if let (Some(range), Value::Int(default)) = (row.range, row.default) {
                assert!(range.contains(&default), "{}", row.name);
            }
        }
        let mut copy = defaults.clone();
        let values = defaults.values();
        copy.apply(values.iter().map(|(name, value)| (*name, value)))
            .unwrap();
        assert_eq!(copy, defaults);
    }
}
