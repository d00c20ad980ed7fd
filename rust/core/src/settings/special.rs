//! Names that are not rows of the table: aliases, features that can only be
//! off, and names without effect.

use super::ignored::IGNORED;
use super::plain::Plain;
use super::unsupported::UNSUPPORTED;
use super::{Settings, SettingsError, check};
use crate::value::Value;

/// A name of libtorrent's that only takes values which ask for nothing here,
/// so that a settings dictionary which turns a feature off keeps working.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UnsupportedSetting {
    /// The name.
    pub name: &'static str,
    /// What it reads as.
    pub value: Value,
    /// Every value that it takes.
    pub accepted: Vec<Value>,
    /// The feature that it belongs to.
    pub feature: &'static str,
}

/// A name of libtorrent's that takes every value of its type, and changes
/// nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IgnoredSetting {
    /// The name.
    pub name: &'static str,
    /// libtorrent's default, which is also what it reads as.
    pub default: Value,
    /// Why it means nothing.
    pub reason: &'static str,
}

/// Other names of settings.
const ALIASES: &[(&str, &str)] = &[("peer_tos", "peer_dscp")];

/// The name that a setting has in the table.
pub(super) fn known_as(name: &str) -> &str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, name)| name)
}

/// The feature of a setting that is not supported, and the values it takes.
fn unsupported(name: &str) -> Option<(&'static str, &'static [Plain])> {
    UNSUPPORTED.iter().find_map(|feature| {
        let (_, accepted) = feature.settings.iter().find(|(known, _)| *known == name)?;
        Some((feature.name, *accepted))
    })
}

fn ignored(name: &str) -> Option<Plain> {
    let known = IGNORED.iter().find(|known| known.name == name)?;
    Some(known.default)
}

/// The value of a name that is not in the table.
pub(super) fn other(name: &str) -> Option<Value> {
    let of_feature = unsupported(name).and_then(|(_, accepted)| accepted.first().copied());
    of_feature.or_else(|| ignored(name)).map(Plain::value)
}

/// Takes a name that is not in the table.
pub(super) fn set_other(
    settings: &mut Settings,
    name: &str,
    value: &Value,
) -> Result<(), SettingsError> {
    if name == "listen_port" {
        let port: i64 = check(name, value, Some(0..=65_535))?;
        settings.listen_interfaces = format!("0.0.0.0:{port},[::]:{port}");
        settings.named.insert("listen_interfaces");
        return Ok(());
    }
    if name == "enable_utp" {
        let enabled: bool = check(name, value, None)?;
        settings.enable_incoming_utp = enabled;
        settings.enable_outgoing_utp = enabled;
        settings.named.insert("enable_incoming_utp");
        settings.named.insert("enable_outgoing_utp");
        return Ok(());
    }
    if let Some(default) = ignored(name) {
        return read_as(name, value, default).map(drop);
    }
    let Some((feature, accepted)) = unsupported(name) else {
        return Err(SettingsError::Unknown(name.to_owned()));
    };
    for &taken in accepted {
        if read_as(name, value, taken)? == taken.value() {
            return Ok(());
        }
    }
    Err(SettingsError::Unsupported {
        name: name.to_owned(),
        feature,
    })
}

/// Reads a value of the same type as `like`.
fn read_as(name: &str, value: &Value, like: Plain) -> Result<Value, SettingsError> {
    Ok(match like {
        Plain::Bool(_) => check::<bool>(name, value, None)?.into(),
        Plain::Int(_) => check::<i64>(name, value, None)?.into(),
        Plain::Text(_) => check::<String>(name, value, None)?.into(),
    })
}

impl Settings {
    /// The names of libtorrent's that belong to features which this build
    /// does not have, feature by feature.
    pub fn unsupported() -> Vec<UnsupportedSetting> {
        let of_feature = UNSUPPORTED.iter().flat_map(|feature| {
            let settings = feature.settings.iter();
            settings.filter_map(|&(name, accepted)| {
                let accepted: Vec<_> = accepted.iter().map(|value| value.value()).collect();
                Some(UnsupportedSetting {
                    name,
                    value: accepted.first()?.clone(),
                    accepted,
                    feature: feature.name,
                })
            })
        });
        of_feature.collect()
    }

    /// The names of libtorrent's that are taken and change nothing.
    pub fn accepted_without_effect() -> Vec<IgnoredSetting> {
        let all = IGNORED.iter().map(|known| IgnoredSetting {
            name: known.name,
            default: known.default.value(),
            reason: known.reason,
        });
        all.collect()
    }

    /// Other names of settings, each with the name in the table.
    pub fn aliases() -> &'static [(&'static str, &'static str)] {
        ALIASES
    }
}
