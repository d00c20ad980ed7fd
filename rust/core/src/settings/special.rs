//! Names that are not rows of the table: aliases, features that can only be
//! off, and names without effect.

use super::{Settings, SettingsError, check};
use crate::value::Value;

/// The value that means "off" for a feature that this build does not have.
#[derive(Clone, Copy)]
pub(super) enum Off {
    False,
    Zero,
}

impl Off {
    pub(super) fn value(self) -> Value {
        match self {
            Self::False => Value::Bool(false),
            Self::Zero => Value::Int(0),
        }
    }
}

/// Names of libtorrent's that only take their off value here, so that a
/// settings dictionary which turns a feature off keeps working.
pub(super) const UNSUPPORTED: &[(&str, Off)] = &[
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
    ("announce_crypto_support", Off::False),
    ("predictive_piece_announce", Off::Zero),
    ("suggest_mode", Off::Zero),
    ("proxy_type", Off::Zero),
];

/// Names of libtorrent's that mean nothing to how this library works: numbers
/// are taken and change nothing. With libtorrent's defaults.
const DEAD: &[(&str, i64)] = &[
    // Hashing goes along with writing, on the same threads.
    ("hashing_threads", 1),
    // A check reads 256 KiB at a time on each thread.
    ("checking_mem_usage", 256),
    // Files are not mapped into memory.
    ("disk_write_mode", 1),
    ("mmap_file_size_cutoff", 40),
];

pub(super) fn dead(name: &str) -> Option<Value> {
    let (_, default) = DEAD.iter().find(|(known, _)| *known == name)?;
    Some(Value::Int(*default))
}

pub(super) fn unsupported(name: &str) -> Option<Value> {
    let (_, off) = UNSUPPORTED.iter().find(|(known, _)| *known == name)?;
    Some(off.value())
}

impl Settings {
    /// Names of libtorrent's that are taken and change nothing here.
    pub fn without_effect() -> impl Iterator<Item = &'static str> {
        DEAD.iter().map(|(name, _)| *name)
    }
}

/// Aliases, and features that can only be off.
pub(super) fn set_other(
    settings: &mut Settings,
    name: &str,
    value: &Value,
) -> Result<(), SettingsError> {
    if name == "listen_port" {
        let port: i64 = check(name, value, Some(0..=65_535))?;
        settings.listen_interfaces = format!("0.0.0.0:{port},[::]:{port}");
        return Ok(());
    }
    if dead(name).is_some() {
        return check::<i64>(name, value, None).map(drop);
    }
    match unsupported(name) {
        None => Err(SettingsError::Unknown(name.to_owned())),
        Some(Value::Bool(_)) if !check::<bool>(name, value, None)? => Ok(()),
        Some(Value::Int(_)) if check::<i64>(name, value, None)? == 0 => Ok(()),
        Some(_) => Err(SettingsError::Unsupported(name.to_owned())),
    }
}
