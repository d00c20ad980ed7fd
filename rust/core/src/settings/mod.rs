//! The one table of settings. Names and defaults are libtorrent's wherever it
//! has them. From the table come the typed struct, reading and patching by
//! name, validation and the documentation.

mod ignored;
mod interfaces;
mod named;
mod plain;
mod presets;
mod special;
mod table;
#[cfg(test)]
mod tests;
mod unsupported;

use std::ops::RangeInclusive;

use crate::value::Value;
pub use interfaces::{Interface, ListenInterface};
pub use named::Named;
pub use special::{IgnoredSetting, UnsupportedSetting};
use special::{known_as, other, set_other};
pub use table::Settings;

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
    #[error(
        "setting '{name}' takes no other value than its present one: {feature} is not supported"
    )]
    Unsupported {
        /// The setting.
        name: String,
        /// The feature.
        feature: &'static str,
    },
}

/// When a changed value starts to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Within a second, for everything.
    Live,
    /// For connections, announces, files or torrents that come from then on.
    Next,
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
trait SettingKind: Clone + Into<Value> {
    const EXPECTED: &'static str;
    fn read(value: &Value) -> Option<Self>;
    fn number(&self) -> Option<i64> {
        None
    }
}

impl SettingKind for bool {
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

impl SettingKind for i64 {
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

impl SettingKind for String {
    const EXPECTED: &'static str = "text";
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Str(value) => Some(value.to_string()),
            _ => None,
        }
    }
}

fn check<K: SettingKind>(
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

impl Settings {
    /// Applies all of `patch`, or nothing of it when one entry is wrong. What it
    /// has set counts as [`Named`].
    pub fn apply<'a>(
        &mut self,
        patch: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Result<(), SettingsError> {
        let mut changed = self.clone();
        for (name, value) in patch {
            changed.set(name, value)?;
        }
        changed.listen()?;
        changed.outgoing()?;
        if changed.peer_fingerprint.len() > 20 || !changed.peer_fingerprint.is_ascii() {
            return Err(SettingsError::Invalid {
                name: "peer_fingerprint".to_owned(),
                reason: "at most 20 ASCII characters".to_owned(),
            });
        }
        *self = changed;
        Ok(())
    }
}
