//! The only place where values cross between the engine and Godot.

use std::net::IpAddr;
use std::time::Duration;

use godot::builtin::{
    AnyArray, AnyDictionary, Array, GString, PackedArray, PackedByteArray, PackedFloat32Array,
    PackedFloat64Array, PackedInt32Array, PackedInt64Array, PackedStringArray, StringName,
    VarArray, VarDictionary, Variant, VariantType,
};
use godot::meta::{PackedElement, ToGodot};
use torrent_core::ids::{FileIndex, InfoHash, PieceIndex};
use torrent_core::value::{Fields, Value};
use torrent_engine::error::{Error, ErrorKind, Result};

use crate::key_cache;

/// How deep dictionaries and arrays from a script may nest. They can contain
/// themselves.
const MAX_DEPTH: usize = 16;

/// An engine's value as a Variant.
pub(crate) fn to_variant(value: &Value) -> Variant {
    match value {
        Value::Null => Variant::nil(),
        Value::Bool(value) => value.to_variant(),
        Value::Int(value) => value.to_variant(),
        Value::Float(value) => value.to_variant(),
        Value::Str(value) => GString::from(value.as_ref()).to_variant(),
        Value::Bytes(value) => PackedByteArray::from(value.as_ref()).to_variant(),
        Value::List(values) => to_array(values).to_variant(),
        Value::Map(fields) => to_dictionary(fields).to_variant(),
    }
}

/// An engine's list as an Array.
pub(crate) fn to_array(values: &[Value]) -> VarArray {
    values.iter().map(to_variant).collect()
}

/// Many numbers as an Array. Godot turns a packed array into one at once, and that
/// into a typed one, which costs a fraction of adding them one by one.
pub(crate) fn to_int_array(numbers: impl Iterator<Item = i64>) -> Array<i64> {
    let packed: PackedInt64Array = numbers.collect();
    let plain: VarArray = packed.to_variant().try_to_relaxed().unwrap_or_default();
    let typed = Array::<i64>::new();
    typed.to_variant().call("assign", &[plain.to_variant()]);
    typed
}

/// Named values as a Dictionary, in their order.
pub(crate) fn to_dictionary(fields: &[(std::borrow::Cow<'static, str>, Value)]) -> VarDictionary {
    let mut dictionary = VarDictionary::new();
    for (name, value) in fields {
        dictionary.set(&key_cache::key(name), &to_variant(value));
    }
    dictionary
}

/// A script's value as an engine's value.
pub(crate) fn from_variant(variant: &Variant) -> Result<Value> {
    read_variant(variant, MAX_DEPTH)
}

/// A script's Dictionary as named values.
pub(crate) fn from_dictionary(dictionary: &AnyDictionary) -> Result<Fields> {
    read_dictionary(dictionary, MAX_DEPTH)
}

fn read_variant(variant: &Variant, depth: usize) -> Result<Value> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(invalid("arrays and dictionaries nest too deeply"));
    };
    Ok(match variant.get_type() {
        VariantType::NIL => Value::Null,
        VariantType::BOOL => Value::Bool(variant.to()),
        VariantType::INT => Value::Int(variant.to()),
        VariantType::FLOAT => Value::Float(variant.to()),
        VariantType::STRING => variant.to::<GString>().to_string().into(),
        VariantType::STRING_NAME => variant.to::<StringName>().to_string().into(),
        VariantType::PACKED_BYTE_ARRAY => {
            Value::Bytes(variant.to::<PackedByteArray>().to_vec().into())
        }
        VariantType::PACKED_INT32_ARRAY => list(&variant.to::<PackedInt32Array>()),
        VariantType::PACKED_INT64_ARRAY => list(&variant.to::<PackedInt64Array>()),
        VariantType::PACKED_FLOAT32_ARRAY => list(&variant.to::<PackedFloat32Array>()),
        VariantType::PACKED_FLOAT64_ARRAY => list(&variant.to::<PackedFloat64Array>()),
        VariantType::PACKED_STRING_ARRAY => Value::List(
            variant
                .to::<PackedStringArray>()
                .as_slice()
                .iter()
                .map(|text| text.to_string().into())
                .collect(),
        ),
        VariantType::ARRAY => Value::List(
            variant
                .to::<godot::builtin::AnyArray>()
                .iter_shared()
                .map(|item| read_variant(&item, depth))
                .collect::<Result<_>>()?,
        ),
        VariantType::DICTIONARY => {
            Value::Map(read_dictionary(&variant.to::<AnyDictionary>(), depth)?)
        }
        _ => {
            return Err(invalid(format!(
                "{} is not a value that can be used here",
                variant.stringify()
            )));
        }
    })
}

fn list<T: PackedElement + Copy + Into<Value>>(packed: &PackedArray<T>) -> Value {
    Value::List(packed.as_slice().iter().map(|&item| item.into()).collect())
}

fn read_dictionary(dictionary: &AnyDictionary, depth: usize) -> Result<Fields> {
    dictionary
        .iter_shared()
        .map(|(key, value)| {
            let name = match key.get_type() {
                // An index: of a file, say.
                VariantType::INT => key.stringify(),
                // Named by its type alone: it may contain itself.
                other => key.try_to_relaxed::<GString>().map_err(|_| {
                    invalid(format!("a key is a text or a number, not a {other:?}"))
                })?,
            };
            Ok((name.to_string().into(), read_variant(&value, depth)?))
        })
        .collect()
}

/// An error about an argument.
pub(crate) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::because(ErrorKind::InvalidParameter, message)
}

/// A piece's index.
pub(crate) fn to_piece(index: i64) -> Result<PieceIndex> {
    u32::try_from(index).map(PieceIndex).map_err(|_| {
        Error::because(
            ErrorKind::InvalidPieceIndex,
            format!("there is no piece {index}"),
        )
    })
}

/// A file's index.
pub(crate) fn to_file(index: i64) -> Result<FileIndex> {
    u32::try_from(index).map(FileIndex).map_err(|_| {
        Error::because(
            ErrorKind::InvalidFileIndex,
            format!("there is no file {index}"),
        )
    })
}

/// A priority; whether it is in range is the engine's business.
pub(crate) fn to_priority(priority: i64) -> Result<u8> {
    u8::try_from(priority).map_err(|_| {
        let message = format!("{priority} is not a priority from 0 to 7");
        Error::because(ErrorKind::InvalidPriority, message)
    })
}

/// When to announce, and to which tracker: -1 stands for those whose turn it is.
pub(crate) fn to_announce(seconds: i64, tracker: i64) -> Result<(Duration, Option<usize>)> {
    let seconds = u32::try_from(seconds)
        .map_err(|_| invalid(format!("{seconds} is not a number of seconds to wait")))?;
    let tracker = match tracker {
        -1 => None,
        index => Some(
            usize::try_from(index).map_err(|_| invalid(format!("there is no tracker {index}")))?,
        ),
    };
    Ok((Duration::from_secs(seconds.into()), tracker))
}

/// An IP address.
pub(crate) fn to_ip(text: &GString) -> Result<IpAddr> {
    let text = text.to_string();
    text.parse()
        .map_err(|_| invalid("not an IP address").about(text))
}

/// A v1 info-hash in hex.
pub(crate) fn to_info_hash(text: &GString) -> Result<InfoHash> {
    let text = text.to_string();
    InfoHash::from_hex(&text)
        .ok_or_else(|| invalid("an info-hash is 40 hexadecimal digits").about(text))
}

/// A size or count for a script.
pub(crate) fn to_int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Tiers of trackers: URLs, Arrays of URLs, or Dictionaries with url and tier.
pub(crate) fn to_tiers(trackers: &AnyArray) -> Result<Vec<Vec<String>>> {
    let mut tiers: std::collections::BTreeMap<i64, Vec<String>> = Default::default();
    for (at, item) in trackers.iter_shared().enumerate() {
        match from_variant(&item)? {
            Value::List(urls) => {
                let urls: Result<Vec<String>> = urls.iter().map(to_url).collect();
                tiers.entry(at as i64).or_default().extend(urls?);
            }
            Value::Map(fields) => {
                let find = |name: &str| {
                    fields
                        .iter()
                        .find(|(key, _)| key == name)
                        .map(|(_, value)| value)
                };
                let url = to_url(find("url").unwrap_or(&Value::Null))?;
                let tier = match find("tier") {
                    None => at as i64,
                    Some(Value::Int(tier)) if *tier >= 0 => *tier,
                    Some(_) => return Err(invalid("'tier' takes a number from 0")),
                };
                tiers.entry(tier).or_default().push(url);
            }
            url => tiers.entry(at as i64).or_default().push(to_url(&url)?),
        }
    }
    Ok(tiers
        .into_values()
        .filter(|tier| !tier.is_empty())
        .collect())
}

fn to_url(value: &Value) -> Result<String> {
    match value {
        Value::Str(url) => Ok(url.to_string()),
        _ => Err(Error::because(
            ErrorKind::InvalidUrl,
            "a tracker's URL is a text",
        )),
    }
}
