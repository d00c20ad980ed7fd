//! Session state in libtorrent's format: the settings that are not default,
//! the IP filter, and whatever else stands in the record (the DHT's node ids
//! and nodes, extensions), kept so that saving again loses nothing.
//!
//! The driver decodes a record when a session is to take it over, applies what
//! it knows, and keeps the decoded value; to save it fills in the present
//! settings with [`SessionState::set_settings`] and encodes. Torrents are not
//! part of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use crate::bencode::{DecodeError, DictItem, Document, Item, Kind};
use crate::settings::{Settings, SettingsError};
use crate::value::Value;

/// Bytes that a record may have.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why bytes are not session state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionStateError {
    /// There are more bytes than any record has.
    #[error("{0} bytes are too many for session state")]
    TooLarge(usize),
    /// It is not bencode.
    #[error("session state is not bencode: {0}")]
    Bencode(#[from] DecodeError),
    /// It is bencode, but not a dict.
    #[error("session state is not a dict")]
    NotADict,
}

/// One rule of the IP filter. Both ends belong to the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterRule {
    /// The first address.
    pub first: IpAddr,
    /// The last address, not before the first.
    pub last: IpAddr,
    /// libtorrent's flags: 1 blocks the range, 0 allows it.
    pub flags: u32,
}

/// What is remembered of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// Settings by libtorrent's names: integers (truth values too) and texts,
    /// bencoded. Names that this library does not know stay here.
    settings: BTreeMap<Bytes, Item>,
    /// The rules of the IP filter, those of IPv4 first.
    pub ip_filter: Vec<FilterRule>,
    /// Everything else, bencoded, by its key.
    rest: BTreeMap<Bytes, Bytes>,
}

impl SessionState {
    /// Reads session state. Members of the wrong type count as missing.
    pub fn decode(data: &[u8]) -> Result<Self, SessionStateError> {
        if data.len() > MAX_BYTES {
            return Err(SessionStateError::TooLarge(data.len()));
        }
        let document = Document::parse(data)?;
        let root = document
            .root()
            .as_dict()
            .ok_or(SessionStateError::NotADict)?;
        let mut state = Self::default();
        for (key, value) in root.iter() {
            match key {
                b"settings" => {
                    let settings = value.as_dict().into_iter();
                    for (name, value) in settings.flat_map(|settings| settings.iter()) {
                        let value = match value.kind() {
                            Kind::Integer => value.as_int().map(Item::Int),
                            Kind::Bytes => value.as_bytes().map(Item::from),
                            Kind::List | Kind::Dict => None,
                        };
                        let Some(value) = value else { continue };
                        state
                            .settings
                            .entry(Bytes::copy_from_slice(name))
                            .or_insert(value);
                    }
                }
                b"ip_filter4" | b"ip_filter6" => {
                    let rules = value.as_list().into_iter().flat_map(|list| list.iter());
                    let rules = rules.filter_map(|rule| FilterRule::read(rule.as_bytes()?));
                    let v4 = key == b"ip_filter4";
                    state
                        .ip_filter
                        .extend(rules.filter(|rule| rule.first.is_ipv4() == v4));
                }
                _ => {
                    let raw = Bytes::copy_from_slice(value.raw());
                    state.rest.entry(Bytes::copy_from_slice(key)).or_insert(raw);
                }
            }
        }
        state.ip_filter.sort_by_key(|rule| rule.first.is_ipv6());
        Ok(state)
    }

    /// The record.
    pub fn encode(&self) -> Vec<u8> {
        let mut root = DictItem::new();
        for (key, value) in &self.rest {
            root.insert(key.clone(), Item::Raw(value.clone()));
        }
        let mut settings = DictItem::new();
        for (name, value) in &self.settings {
            settings.insert(name.clone(), value.clone());
        }
        root.insert("settings", settings);
        for (key, v4) in [("ip_filter4", true), ("ip_filter6", false)] {
            let mut rules = self
                .ip_filter
                .iter()
                .filter(|rule| rule.first.is_ipv4() == v4)
                .peekable();
            if rules.peek().is_some() {
                root.insert(key, rules.map(FilterRule::packed).collect::<Item>());
            }
        }
        root.encode()
    }

    /// Takes the place of all settings that this library knows: those in
    /// `settings` that are not default. What it does not know or have stays.
    pub fn set_settings(&mut self, settings: &Settings) {
        let defaults = Settings::default();
        for row in Settings::table() {
            self.settings.remove(row.name.as_bytes());
        }
        for (name, value) in settings.values() {
            if defaults.value(name).as_ref() == Some(&value) {
                continue;
            }
            let value = match value {
                Value::Bool(value) => Item::from(value),
                Value::Int(value) => Item::Int(value),
                Value::Str(text) => Item::from(&*text),
                // The table has no other types.
                _ => continue,
            };
            self.settings.insert(name.into(), value);
        }
    }

    /// Puts the record's settings into `settings`. Returns what was not taken:
    /// names that this library does not know, features that it does not have,
    /// and values out of range.
    pub fn restore_settings(&self, settings: &mut Settings) -> Vec<SettingsError> {
        let mut refused = Vec::new();
        for (name, value) in &self.settings {
            let name = String::from_utf8_lossy(name);
            let value = match value {
                Item::Int(value) => Value::Int(*value),
                Item::Bytes(text) => Value::from(String::from_utf8_lossy(text).into_owned()),
                _ => continue,
            };
            if let Err(error) = settings.apply([(&*name, &value)]) {
                refused.push(error);
            }
        }
        refused
    }
}

impl FilterRule {
    /// Reads first, last and flags of either family: 12 or 36 bytes.
    fn read(packed: &[u8]) -> Option<Self> {
        let (first, last, flags): (IpAddr, IpAddr, _) = match packed.len() {
            12 => (
                Ipv4Addr::from(part::<4>(packed, 0)?).into(),
                Ipv4Addr::from(part::<4>(packed, 4)?).into(),
                part(packed, 8)?,
            ),
            36 => (
                Ipv6Addr::from(part::<16>(packed, 0)?).into(),
                Ipv6Addr::from(part::<16>(packed, 16)?).into(),
                part(packed, 32)?,
            ),
            _ => return None,
        };
        (first <= last).then_some(Self {
            first,
            last,
            flags: u32::from_be_bytes(flags),
        })
    }

    fn packed(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(36);
        for end in [self.first, self.last] {
            match end {
                IpAddr::V4(ip) => packed.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => packed.extend_from_slice(&ip.octets()),
            }
        }
        packed.extend_from_slice(&self.flags.to_be_bytes());
        packed
    }
}

fn part<const N: usize>(packed: &[u8], at: usize) -> Option<[u8; N]> {
    packed.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_settings_that_are_not_default_are_written_and_they_come_back() {
        let mut settings = Settings {
            connections_limit: 77,
            enable_outgoing_tcp: false,
            user_agent: "mine".to_owned(),
            ..Settings::default()
        };
        let mut state = SessionState::default();
        state.set_settings(&settings);
        let bytes = state.encode();
        assert_eq!(
            bytes,
            b"d8:settingsd17:connections_limiti77e19:enable_outgoing_tcpi0e\
              10:user_agent4:mineee"
        );
        let read = SessionState::decode(&bytes).unwrap();
        let mut restored = Settings::default();
        assert_eq!(read.restore_settings(&mut restored), []);
        assert_eq!(restored, settings);
        settings.connections_limit = Settings::default().connections_limit;
        state.set_settings(&settings);
        assert!(!state.settings.contains_key(&b"connections_limit"[..]));
    }

    #[test]
    fn what_is_not_known_is_kept_and_named() {
        let foreign = b"d9:dht stated7:node-idl3:abcee10:extensionsd1:x1:ye\
            8:settingsd11:aio_threadsi0e9:no_such_ti1e8:no_such_3:abcee";
        let state = SessionState::decode(foreign).unwrap();
        let mut settings = Settings::default();
        let refused = state.restore_settings(&mut settings);
        assert_eq!(refused.len(), 3, "{refused:?}");
        assert_eq!(settings, Settings::default());
        let mut again = state.clone();
        again.set_settings(&settings);
        let bytes = again.encode();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("9:dht stated7:node-idl3:abcee"), "{text}");
        assert!(text.contains("10:extensionsd1:x1:ye"), "{text}");
        assert!(text.contains("8:no_such_3:abc9:no_such_ti1e"), "{text}");
        assert!(!text.contains("aio_threads"), "{text}");
    }

    #[test]
    fn filter_rules_of_both_families() {
        let rule = |first: &str, last: &str, flags| FilterRule {
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            flags,
        };
        let state = SessionState {
            ip_filter: vec![
                rule("1.2.3.4", "1.2.3.255", 1),
                rule("9.0.0.0", "9.0.0.0", 0),
                rule("::1", "2000::", 1),
            ],
            ..SessionState::default()
        };
        assert_eq!(SessionState::decode(&state.encode()), Ok(state));
        let backwards = b"d10:ip_filter4l12:\x02\0\0\0\x01\0\0\0\0\0\0\x013:abcee";
        assert_eq!(SessionState::decode(backwards).unwrap().ip_filter, []);
    }

    #[test]
    fn what_is_no_session_state_says_so() {
        assert!(matches!(
            SessionState::decode(b"d3:abc"),
            Err(SessionStateError::Bencode(_))
        ));
        assert_eq!(
            SessionState::decode(b"le"),
            Err(SessionStateError::NotADict)
        );
        assert_eq!(
            SessionState::decode(b"d8:settingsi1ee"),
            Ok(SessionState::default())
        );
    }

    proptest! {
        #[test]
        fn any_damage_decodes_to_something_that_encodes_or_is_an_error(
            at in any::<prop::sample::Index>(), bit in 0..8u32, cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = b"d9:dht stated7:node-idl3:abcee10:ip_filter4l12:\x01\0\0\0\x02\0\0\0\0\0\0\x01e\
                8:settingsd11:aio_threadsi5e10:user_agent4:mineee".to_vec();
            let _ = SessionState::decode(&bytes[..cut.index(bytes.len())]);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(state) = SessionState::decode(&bytes) {
                let _ = state.restore_settings(&mut Settings::default());
                prop_assert_eq!(SessionState::decode(&state.encode()), Ok(state));
            }
        }
    }
}
