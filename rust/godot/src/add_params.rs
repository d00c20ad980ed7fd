//! The Dictionary that `TorrentSession.add_torrent` takes.

use godot::builtin::{GString, VarDictionary};
use torrent_core::value::Value;
use torrent_engine::error::{Error, ErrorKind, Result};
use torrent_engine::session::AddTorrent;

use crate::convert::{from_dictionary, invalid, to_save_path};

/// Reads the parameters; an entry that is unknown or has the wrong type is an
/// error that names it.
pub(crate) fn read(params: &VarDictionary) -> Result<AddTorrent> {
    let fields = from_dictionary(params)?;
    let find = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    };
    let data = match find("torrent_data") {
        Some(Value::Bytes(data)) => data,
        Some(_) => return Err(wrong("torrent_data", "a PackedByteArray")),
        None => return Err(invalid("'torrent_data' is missing")),
    };
    let save_path = match find("save_path") {
        Some(Value::Str(path)) => to_save_path(&GString::from(path.as_ref()))?,
        Some(_) => return Err(wrong("save_path", "a String")),
        None => return Err(Error::new(ErrorKind::EmptySavePath)),
    };
    let mut add = AddTorrent::from_data(data, save_path)?;
    for (name, value) in &fields {
        match (name.as_ref(), value) {
            ("torrent_data" | "save_path", _) => {}
            ("file_priorities", value) => add.file_priorities = priorities(value)?,
            ("trackers", value) => add.trackers = texts("trackers", value)?,
            ("flags", value) => {
                for flag in texts("flags", value)? {
                    set_flag(&mut add, &flag, true)?;
                }
            }
            (flag, Value::Bool(on)) => set_flag(&mut add, flag, *on)?,
            (flag, _) => {
                // Says which of the two is wrong.
                set_flag(&mut add, flag, true)?;
                return Err(wrong(flag, "true or false"));
            }
        }
    }
    Ok(add)
}

fn set_flag(add: &mut AddTorrent, name: &str, on: bool) -> Result<()> {
    add.set_flag(name, on)
        .map_err(|_| invalid(format!("there is no parameter '{name}'")))
}

fn texts(name: &str, value: &Value) -> Result<Vec<String>> {
    let Value::List(values) = value else {
        return Err(wrong(name, "an Array of texts"));
    };
    let text = |value: &Value| match value {
        Value::Str(text) => Ok(text.to_string()),
        _ => Err(wrong(name, "an Array of texts")),
    };
    values.iter().map(text).collect()
}

fn priorities(value: &Value) -> Result<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.to_vec()),
        Value::List(values) => values.iter().map(priority).collect(),
        _ => Err(wrong("file_priorities", "a PackedByteArray or an Array")),
    }
}

fn priority(value: &Value) -> Result<u8> {
    let number = match value {
        Value::Int(number) => u8::try_from(*number).ok(),
        // A whole number that came out of JSON.
        Value::Float(number) if (0.0..=7.0).contains(number) && number.fract() == 0.0 => {
            Some(*number as u8)
        }
        _ => None,
    };
    number.ok_or_else(|| Error::new(ErrorKind::InvalidPriority).about("file_priorities"))
}

fn wrong(name: &str, expected: &str) -> Error {
    invalid(format!("'{name}' takes {expected}"))
}
