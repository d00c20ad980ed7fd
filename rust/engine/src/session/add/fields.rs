//! [`AddTorrent`] from named values, as the shim and Godot take them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use bytes::Bytes;
use torrent_core::ids::{FileIndex, InfoHash};
use torrent_core::metainfo::MetainfoLimits;
use torrent_core::value::{Fields, Value};

use super::AddTorrent;
use crate::error::{Error, ErrorKind, Result};
use crate::torrent::handle::MAX_RATE;
use crate::torrent::handle::resume::save_path_in;
use crate::torrent::handle::storage::StorageMode;

/// The parameters that say which torrent and where; they are read first.
const FIRST: [&str; 5] = [
    "torrent_data",
    "magnet_uri",
    "info_hash",
    "save_path",
    "resume_data",
];

impl AddTorrent {
    /// Reads the parameters by their names:
    ///
    /// * `torrent_data` (bytes), `magnet_uri` or `info_hash` (40 hexadecimal
    ///   digits): which torrent. `resume_data` alone says it too.
    /// * `save_path`; without it, that of the resume data counts.
    /// * `resume_data` (bytes); every other parameter goes before what it says.
    /// * `name`, `trackers` (URLs, lists of URLs, or maps with `url` and
    ///   `tier`), `url_seeds`, `peers` (`ip:port`, or maps with `ip` and
    ///   `port`), `dht_nodes` (`host:port`, or maps with `host` and `port`).
    /// * `file_priorities`, `piece_priorities`, `renamed_files` (names by
    ///   index; or a list in which an empty name keeps the file's own).
    /// * `max_connections`, `max_uploads`, `download_limit`, `upload_limit`,
    ///   `storage_mode` (`sparse` or `allocate`), `part_file_dir` (a folder
    ///   below the save path).
    /// * `flags`: names of flags that are on. Each flag is a parameter of its
    ///   own too, true or false: see [`AddTorrent::set_flag`].
    ///
    /// A null counts as absent.
    ///
    /// # Errors
    ///
    /// A parameter that is unknown, missing or of the wrong type is named, and
    /// so is what cannot be read in it.
    pub fn from_fields(fields: &Fields) -> Result<Self> {
        Self::from_fields_within(fields, &MetainfoLimits::default())
    }

    /// The same with a torrent file within other limits: those of a session are
    /// [`MetainfoLimits::of_files`].
    pub fn from_fields_within(fields: &Fields, limits: &MetainfoLimits) -> Result<Self> {
        let mut add = Self::begin(fields, limits)?;
        for (name, value) in fields {
            if *value != Value::Null && !FIRST.contains(&name.as_ref()) {
                add.take(name, value)?;
            }
        }
        Ok(add)
    }

    /// Whether [`Self::from_fields`] would understand these, for callers that
    /// still have to read the torrent file. Which torrent they name, and
    /// whether they go with it, is not looked at.
    ///
    /// # Errors
    ///
    /// A parameter that is unknown or of the wrong type is named.
    pub fn check_fields(fields: &Fields) -> Result<()> {
        let mut blank = Self::from_info_hash(InfoHash::default(), "");
        for (name, value) in fields.iter().filter(|(_, it)| *it != Value::Null) {
            match name.as_ref() {
                "torrent_data" | "resume_data" => bytes(name, value).map(drop)?,
                "magnet_uri" | "info_hash" | "save_path" => text(name, value).map(drop)?,
                _ => blank.take(name, value)?,
            }
        }
        Ok(())
    }

    /// Which torrent, where, and where it goes on.
    fn begin(fields: &Fields, limits: &MetainfoLimits) -> Result<Self> {
        let find = |name: &str| {
            let mut named = fields.iter().filter(|(key, _)| key == name);
            named.next_back().map(|(_, value)| value)
        };
        let find = |name: &str| find(name).filter(|value| **value != Value::Null);
        let resume = find("resume_data").map(|value| bytes("resume_data", value));
        let resume = resume.transpose()?;
        let save_path = match (find("save_path"), resume) {
            (Some(path), _) => PathBuf::from(text("save_path", path)?),
            (None, Some(record)) => save_path_in(record)?.unwrap_or_default(),
            (None, None) => PathBuf::new(),
        };
        if save_path.as_os_str().is_empty() {
            return Err(Error::new(ErrorKind::EmptySavePath));
        }
        let sources = ["torrent_data", "magnet_uri", "info_hash"];
        let mut given = sources.iter().filter_map(|&name| Some((name, find(name)?)));
        let (source, more) = (given.next(), given.next());
        if let (Some((one, _)), Some((other, _))) = (source, more) {
            return Err(invalid(format!(
                "'{one}' and '{other}' both say which torrent to add"
            )));
        }
        let add = match source {
            Some((name @ "torrent_data", data)) => {
                Self::from_data_within(bytes(name, data)?, save_path, limits)?
            }
            Some((name @ "magnet_uri", uri)) => Self::from_magnet(&text(name, uri)?, save_path)?,
            Some((name, hash)) => {
                let hash = InfoHash::from_hex(&text(name, hash)?)
                    .ok_or_else(|| wrong(name, "40 hexadecimal digits"))?;
                Self::from_info_hash(hash, save_path)
            }
            None => {
                let record = resume.ok_or_else(|| {
                    invalid("missing parameter 'torrent_data', 'magnet_uri' or 'info_hash'")
                })?;
                let mut add = Self::from_resume_data(record)?;
                add.save_path = save_path;
                return Ok(add);
            }
        };
        match resume {
            Some(record) => add.with_resume_data(record),
            None => Ok(add),
        }
    }

    fn take(&mut self, name: &str, value: &Value) -> Result<()> {
        let connections = -1..=65_535;
        let rate = -1..=MAX_RATE;
        match name {
            "name" => self.name = text(name, value)?,
            "trackers" => self.trackers = tiers(name, value)?,
            "url_seeds" => self.url_seeds = texts(name, value)?,
            "peers" => self.peers = list(name, value, PEERS, peer)?,
            "dht_nodes" => self.dht_nodes = list(name, value, NODES, node)?,
            "file_priorities" => {
                self.file_priorities = priorities(name, value)?;
                // Those of the record followed from other files.
                if let Some(resume) = &mut self.resume {
                    resume.piece_priorities.clear();
                }
            }
            "piece_priorities" => self.piece_priorities = priorities(name, value)?,
            "renamed_files" => self.renamed_files = names(name, value)?,
            "max_connections" => self.max_connections = Some(number(name, value, connections)?),
            "max_uploads" => self.max_uploads = Some(number(name, value, connections)?),
            "download_limit" => self.download_limit = Some(number(name, value, rate)?),
            "upload_limit" => self.upload_limit = Some(number(name, value, rate)?),
            "storage_mode" => {
                self.storage_mode = StorageMode::from_name(&text(name, value)?)
                    .ok_or_else(|| wrong(name, "'sparse' or 'allocate'"))?;
            }
            "part_file_dir" => self.part_file_dir = text(name, value)?.into(),
            "flags" => {
                for flag in texts(name, value)? {
                    self.set_flag(&flag, true)?;
                }
            }
            flag => {
                let on = truth(value);
                if !self.put_flag(flag, on.unwrap_or(false)) {
                    return Err(invalid(format!("unknown parameter '{flag}'")));
                }
                on.ok_or_else(|| wrong(flag, "true or false"))?;
            }
        }
        Ok(())
    }
}

const TEXTS: &str = "an array of strings";
const PEERS: &str = "an array of 'ip:port' or of objects with 'ip' and 'port'";
const NODES: &str = "an array of 'host:port' or of objects with 'host' and 'port'";
const TIERS: &str = "an array of URLs, of arrays of URLs, or of objects with 'url' and 'tier'";
const NAMES: &str = "an object of names by file index, or an array of names";
const PRIORITIES: &str = "an array of numbers from 0 to 7";

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::because(ErrorKind::InvalidParameter, message)
}

fn wrong(name: &str, expected: &str) -> Error {
    invalid(format!("parameter '{name}' must be {expected}"))
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        _ => None,
    }
}

/// A whole number; what came by way of JSON may be a float.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Some(*number as i64)
        }
        _ => None,
    }
}

fn number(name: &str, value: &Value, range: RangeInclusive<i64>) -> Result<i64> {
    whole(value)
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let (first, last) = (range.start(), range.end());
            wrong(name, &format!("a whole number from {first} to {last}"))
        })
}

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Str(text) => Some(text),
        _ => None,
    }
}

fn text(name: &str, value: &Value) -> Result<String> {
    let text = as_text(value).ok_or_else(|| wrong(name, "a string"))?;
    Ok(text.to_owned())
}

fn bytes<'a>(name: &str, value: &'a Value) -> Result<&'a Bytes> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(wrong(name, "bytes")),
    }
}

fn list<T>(
    name: &str,
    value: &Value,
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>> {
    let read_all = || match value {
        Value::List(values) => values.iter().map(&read).collect(),
        _ => None,
    };
    read_all().ok_or_else(|| wrong(name, expected))
}

fn texts(name: &str, value: &Value) -> Result<Vec<String>> {
    list(name, value, TEXTS, |item| as_text(item).map(str::to_owned))
}

fn priorities(name: &str, value: &Value) -> Result<Vec<u8>> {
    if let Value::Bytes(bytes) = value {
        return Ok(bytes.to_vec());
    }
    for number in list(name, value, PRIORITIES, whole)? {
        if !(0..=7).contains(&number) {
            let message = format!("{number} is not a priority from 0 to 7");
            return Err(Error::because(ErrorKind::InvalidPriority, message).about(name));
        }
    }
    list(name, value, PRIORITIES, |item| {
        whole(item).and_then(|number| u8::try_from(number).ok())
    })
}

fn member<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    let (_, value) = fields.iter().find(|(key, _)| key == name)?;
    Some(value)
}

fn port(value: &Value) -> Option<u16> {
    let port = u16::try_from(whole(value)?).ok()?;
    (port != 0).then_some(port)
}

fn peer(value: &Value) -> Option<SocketAddr> {
    let peer = match value {
        Value::Str(text) => text.parse().ok()?,
        Value::Map(fields) => {
            let ip: IpAddr = as_text(member(fields, "ip")?)?.parse().ok()?;
            SocketAddr::new(ip, port(member(fields, "port")?)?)
        }
        _ => return None,
    };
    (peer.port() != 0).then_some(peer)
}

fn node(value: &Value) -> Option<(String, u16)> {
    let (host, port) = match value {
        Value::Str(text) => {
            let (host, digits) = text.rsplit_once(':')?;
            (host, port(&Value::Int(digits.parse().ok()?))?)
        }
        Value::Map(fields) => (
            as_text(member(fields, "host")?)?,
            port(member(fields, "port")?)?,
        ),
        _ => return None,
    };
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// URLs, each a tier; lists of URLs, each a tier; or URLs with the numbers of
/// their tiers.
fn tiers(name: &str, value: &Value) -> Result<Vec<Vec<String>>> {
    let Value::List(items) = value else {
        return Err(wrong(name, TIERS));
    };
    let mut tiers: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (at, item) in (0..).zip(items) {
        let read = match item {
            Value::List(urls) => urls
                .iter()
                .map(|url| as_text(url).map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .map(|urls| (at, urls)),
            Value::Map(fields) => member(fields, "url").and_then(as_text).and_then(|url| {
                let tier = member(fields, "tier").map_or(Some(at), whole)?;
                (tier >= 0).then(|| (tier, vec![url.to_owned()]))
            }),
            item => as_text(item).map(|url| (at, vec![url.to_owned()])),
        };
        let (tier, urls) = read.ok_or_else(|| wrong(name, TIERS))?;
        tiers.entry(tier).or_default().extend(urls);
    }
    Ok(tiers.into_values().filter(|it| !it.is_empty()).collect())
}

fn names(name: &str, value: &Value) -> Result<BTreeMap<FileIndex, String>> {
    let named = match value {
        Value::Map(fields) => fields
            .iter()
            .map(|(index, name)| {
                let index = FileIndex(index.parse().ok()?);
                Some((index, as_text(name)?.to_owned()))
            })
            .collect::<Option<BTreeMap<_, _>>>(),
        Value::List(names) => (0..)
            .map(FileIndex)
            .zip(names)
            .map(|(index, name)| Some((index, as_text(name)?.to_owned())))
            .collect(),
        _ => None,
    };
    let mut named = named.ok_or_else(|| wrong(name, NAMES))?;
    named.retain(|_, name| !name.is_empty());
    Ok(named)
}
