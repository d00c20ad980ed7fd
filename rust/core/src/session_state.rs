//! Session state in libtorrent's format: the settings that are not default,
//! the IP filter, and whatever else stands in the record (the DHT's node ids
//! and nodes, extensions), kept so that saving again loses nothing. Beyond
//! libtorrent, which passes over it, there is the order of the queue.
//!
//! The driver decodes a record when a session is to take it over, applies what
//! it knows, and keeps the decoded value; to save it fills in the present
//! settings with [`SessionState::set_settings`] and encodes. Torrents are not
//! part of it, but for their hashes in the queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::bencode::{DecodeError, DictItem, Document, Item, ValueKind};
use crate::dht::DhtState;
use crate::ids::InfoHash;
use crate::ip_filter::IpFilter;
use crate::metainfo::MAX_LISTED;
use crate::settings::{Settings, SettingsError};
use crate::value::Value;

/// Bytes that a record may have.
pub const MAX_BYTES: usize = 128 * 1024 * 1024;

/// Where the DHT's ids and nodes stand.
const DHT_STATE: &[u8] = b"dht state";

/// Where the queue's order stands: a list of hashes.
const QUEUE: &[u8] = b"queue";

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

/// What is remembered of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// Settings by libtorrent's names: integers (truth values too) and texts,
    /// bencoded. Names that this library does not know stay here.
    settings: BTreeMap<Bytes, Item>,
    /// The IP filter; `None` where the record says nothing of one.
    pub ip_filter: Option<Arc<IpFilter>>,
    /// The torrents that wait to be downloaded, the first one first.
    pub queue: Vec<InfoHash>,
    /// Everything else, bencoded, by its key.
    rest: BTreeMap<Bytes, Bytes>,
}

impl SessionState {
    /// Reads session state. Members of the wrong type count as missing, and so
    /// do settings and members after the ten-thousandth of each.
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
                            ValueKind::Integer => value.as_int().map(Item::Int),
                            ValueKind::Bytes => value.as_bytes().map(Item::from),
                            ValueKind::List | ValueKind::Dict => None,
                        };
                        let Some(value) = value else { continue };
                        if state.settings.len() >= MAX_LISTED {
                            break;
                        }
                        state
                            .settings
                            .entry(Bytes::copy_from_slice(name))
                            .or_insert(value);
                    }
                }
                b"ip_filter4" | b"ip_filter6" => {
                    let filter = Arc::make_mut(state.ip_filter.get_or_insert_default());
                    let rules = value.as_list().into_iter().flat_map(|list| list.iter());
                    for rule in rules.filter_map(|rule| rule.as_bytes()) {
                        // What is broken, or more than fits, filters nothing.
                        let _ = filter.add_entry(rule);
                    }
                }
                QUEUE if value.as_list().is_some() => {
                    let hashes = value.as_list().into_iter().flat_map(|list| list.iter());
                    let hashes = hashes.filter_map(|hash| hash.as_bytes()?.try_into().ok());
                    state.queue.extend(hashes.map(InfoHash));
                }
                _ if state.rest.len() >= MAX_LISTED => {}
                _ => {
                    let raw = Bytes::copy_from_slice(value.raw());
                    state.rest.entry(Bytes::copy_from_slice(key)).or_insert(raw);
                }
            }
        }
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
        if !self.queue.is_empty() {
            // In place of anything else of that name.
            let hashes = self.queue.iter().map(|hash| Item::from(hash.0));
            root.insert(QUEUE, hashes.collect::<Item>());
        }
        if let Some(filter) = &self.ip_filter {
            // As libtorrent says that nothing is blocked: one range, allowed.
            let or_all = |mut entries: Vec<Vec<u8>>, address: usize| {
                if entries.is_empty() {
                    entries.push([vec![0; address], vec![0xff; address], vec![0; 4]].concat());
                }
                entries.into_iter().collect::<Item>()
            };
            let v4 = filter.entries4().map(|it| it.to_vec()).collect();
            let v6 = filter.entries6().map(|it| it.to_vec()).collect();
            root.insert("ip_filter4", or_all(v4, 4));
            root.insert("ip_filter6", or_all(v6, 16));
        }
        root.encode()
    }

    /// Puts this state on top of what was remembered before it: what only the
    /// other one knows of is added.
    pub fn put_on(&mut self, before: Self) {
        for (name, value) in before.settings {
            self.settings.entry(name).or_insert(value);
        }
        for (key, value) in before.rest {
            self.rest.entry(key).or_insert(value);
        }
        self.ip_filter = self.ip_filter.take().or(before.ip_filter);
        let known: BTreeSet<InfoHash> = self.queue.iter().copied().collect();
        let others = before.queue.into_iter();
        self.queue.extend(others.filter(|it| !known.contains(it)));
    }

    /// The DHT's ids and nodes; `None` where the record says nothing of them.
    pub fn dht_state(&self) -> Option<DhtState> {
        let record = Document::parse(self.rest.get(DHT_STATE)?).ok()?;
        let record = record.root().as_dict()?;
        Some(DhtState::decode(&record))
    }

    /// Takes the place of the DHT's ids and nodes.
    pub fn set_dht_state(&mut self, state: &DhtState) {
        let record = Bytes::from(state.encode().encode());
        self.rest.insert(Bytes::from_static(DHT_STATE), record);
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
    /// and values out of range. None of them counts as named.
    pub fn restore_settings(&self, settings: &mut Settings) -> Vec<SettingsError> {
        let named = settings.named.clone();
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
        settings.named = named;
        refused
    }
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
    fn a_damaged_text_is_refused_and_named() {
        let damaged = b"d8:settingsd17:listen_interfaces12:0.0.0.0:688\xffee";
        let state = SessionState::decode(damaged).unwrap();
        let mut settings = Settings::default();
        let refused = state.restore_settings(&mut settings);
        assert!(matches!(&refused[..], [SettingsError::Invalid { name, .. }]
            if name == "listen_interfaces"));
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn no_more_is_kept_than_anybody_writes() {
        let mut settings = DictItem::new();
        let mut root = DictItem::new();
        for at in 0..2 * MAX_LISTED as u32 {
            settings.insert(format!("{at:06}"), at);
            root.insert(format!("{at:06}"), at);
        }
        root.insert("settings", settings);
        let state = SessionState::decode(&root.encode()).unwrap();
        assert_eq!(state.settings.len(), MAX_LISTED);
        assert_eq!(state.rest.len(), MAX_LISTED);
        assert_eq!(SessionState::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn filter_rules_of_both_families() {
        let mut filter = IpFilter::new();
        for range in ["1.2.3.4-1.2.3.255", "9.0.0.0", "::1-2000::"] {
            filter.set(range.parse().unwrap(), true).unwrap();
        }
        for filter in [IpFilter::new(), filter] {
            let state = SessionState {
                ip_filter: Some(Arc::new(filter)),
                ..SessionState::default()
            };
            assert_eq!(SessionState::decode(&state.encode()), Ok(state));
        }
        let backwards = b"d10:ip_filter4l12:\x02\0\0\0\x01\0\0\0\0\0\0\x013:abcee";
        let state = SessionState::decode(backwards).unwrap();
        assert_eq!(state.ip_filter, Some(Arc::default()));
    }

    #[test]
    fn the_order_of_the_queue_comes_back() {
        let state = SessionState {
            queue: vec![InfoHash([b'b'; 20]), InfoHash([b'a'; 20])],
            ..SessionState::default()
        };
        let bytes = state.encode();
        let hashes = "20:bbbbbbbbbbbbbbbbbbbb20:aaaaaaaaaaaaaaaaaaaa";
        let expected = format!("d5:queuel{hashes}e8:settingsdee");
        assert_eq!(bytes, expected.as_bytes());
        assert_eq!(SessionState::decode(&bytes), Ok(state));
        let broken = b"d5:queuel3:abci1e20:bbbbbbbbbbbbbbbbbbbbee";
        let state = SessionState::decode(broken).unwrap();
        assert_eq!(state.queue, [InfoHash([b'b'; 20])]);
        // Not ours: it is kept as it is.
        let foreign = b"d5:queuei1e8:settingsdee";
        let state = SessionState::decode(foreign).unwrap();
        assert_eq!(state.encode(), foreign);
    }

    #[test]
    fn the_state_of_the_dht_is_read_and_written_among_the_rest() {
        let record = b"d9:dht stated7:node-idl24:aaaaaaaaaaaaaaaaaaaa\x7f\0\0\x01e\
            5:nodesl6:\x7f\0\0\x01\x1a\xe1ee10:extensionsi1e8:settingsdee";
        let mut state = SessionState::decode(record).unwrap();
        let dht = state.dht_state().unwrap();
        assert_eq!((dht.ids.len(), dht.nodes.len()), (1, 1));
        state.set_dht_state(&DhtState::default());
        assert_eq!(state.dht_state(), Some(DhtState::default()));
        state.set_dht_state(&dht);
        assert_eq!(state.encode(), record);
        let broken = SessionState::decode(b"d9:dht statei7ee").unwrap();
        assert_eq!(broken.dht_state(), None);
        assert_eq!(SessionState::default().dht_state(), None);
    }

    #[test]
    fn what_is_new_goes_on_top_of_what_was_remembered() {
        let mut state = SessionState::decode(
            b"d10:extensionsi1e5:queuel20:aaaaaaaaaaaaaaaaaaaae8:settingsd1:xi1eee",
        )
        .unwrap();
        let before =
            b"d9:dht statei7e10:extensionsi2e10:ip_filter4l12:\x01\0\0\0\x02\0\0\0\0\0\0\x01e\
            10:ip_filter6l36:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\
            \xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0e\
            5:queuel20:bbbbbbbbbbbbbbbbbbbb20:aaaaaaaaaaaaaaaaaaaae8:settingsd1:xi2e1:yi2eee";
        let before = SessionState::decode(before).unwrap();
        let filter = before.ip_filter.clone();
        assert_eq!(filter.as_ref().map(|filter| filter.len()), Some(1));
        state.put_on(before);
        assert_eq!(state.ip_filter.take(), filter);
        let expected: &[u8] = b"d9:dht statei7e10:extensionsi1e\
            5:queuel20:aaaaaaaaaaaaaaaaaaaa20:bbbbbbbbbbbbbbbbbbbbe8:settingsd1:xi1e1:yi2eee";
        assert_eq!(state.encode(), expected);
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
