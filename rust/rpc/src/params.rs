//! The parameters of one request: taken out by name and type, so that what is
//! left over at the end is what the command does not know.

use std::ops::RangeInclusive;

use data_encoding::BASE64;
use serde_json::{Map, Value as Json};
use torrent_core::ids::PieceIndex;
use torrent_core::value::{Fields, Value};
use torrent_engine::error::{Error, ErrorKind, Result};

/// The error of a request that is itself at fault.
pub(crate) fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::because(ErrorKind::InvalidParameter, what)
}

/// The parameters that have not been taken yet.
#[derive(Debug, Default)]
pub(crate) struct Params(Map<String, Json>);

impl Params {
    /// The parameters of a request; null stands for absent.
    pub(crate) fn new(mut params: Map<String, Json>) -> Self {
        params.retain(|_, value| !value.is_null());
        Self(params)
    }

    /// Ends the reading: what was not taken is an error that names it.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(invalid(format!("unknown parameter '{name}'"))),
        }
    }

    /// Everything that has not been taken, by name; those called `bytes` are
    /// base64. What is unknown is for the taker to say.
    pub(crate) fn rest(mut self, bytes: &[&str]) -> Result<Fields> {
        let mut fields = Fields::new();
        for &name in bytes {
            if let Some(data) = self.opt_bytes(name)? {
                fields.push((name.to_owned().into(), Value::Bytes(data.into())));
            }
        }
        let others = self.0.into_iter();
        fields.extend(others.map(|(name, value)| (name.into(), to_value(value))));
        Ok(fields)
    }

    /// Takes `name` if it is there and `read` understands it.
    fn take<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(Json) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.0.remove(name) else {
            return Ok(None);
        };
        match read(value) {
            Some(value) => Ok(Some(value)),
            None => Err(invalid(format!("parameter '{name}' must be {expected}"))),
        }
    }

    /// A string.
    pub(crate) fn opt_text(&mut self, name: &str) -> Result<Option<String>> {
        self.take(name, "a string", |value| match value {
            Json::String(text) => Some(text),
            _ => None,
        })
    }

    /// A string that must be there.
    pub(crate) fn text(&mut self, name: &str) -> Result<String> {
        required(name, self.opt_text(name)?)
    }

    /// True or false.
    pub(crate) fn opt_flag(&mut self, name: &str) -> Result<Option<bool>> {
        self.take(name, "true or false", |value| value.as_bool())
    }

    /// True or false; false where it is absent.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool> {
        Ok(self.opt_flag(name)?.unwrap_or(false))
    }

    /// A whole number within `range`.
    pub(crate) fn opt_int(
        &mut self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.take(name, &expected, |value| {
            whole(&value).filter(|number| range.contains(number))
        })
    }

    /// A whole number within `range` that must be there.
    pub(crate) fn int(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<i64> {
        required(name, self.opt_int(name, range)?)
    }

    /// The index of a piece; whether the torrent has it is the engine's to say.
    pub(crate) fn piece(&mut self, name: &str) -> Result<PieceIndex> {
        let index = self.int(name, 0..=i64::from(u32::MAX))?;
        Ok(PieceIndex(index as u32))
    }

    /// The indices of a first and a last piece; whether the torrent has them is
    /// the engine's to say.
    pub(crate) fn opt_range(&mut self, name: &str) -> Result<Option<(PieceIndex, PieceIndex)>> {
        self.take(name, "an array of two piece indices", |value| {
            let index = |item| u32::try_from(whole(item)?).ok().map(PieceIndex);
            match value.as_array()?.as_slice() {
                [first, last] => Some((index(first)?, index(last)?)),
                _ => None,
            }
        })
    }

    /// Priorities from 0 to 7.
    pub(crate) fn opt_priorities(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        self.take(name, "an array of numbers from 0 to 7", |value| {
            let items = value.as_array()?.iter();
            items
                .map(|item| whole(item).filter(|priority| (0..=7).contains(priority)))
                .map(|priority| priority.map(|priority| priority as u8))
                .collect()
        })
    }

    /// Strings.
    pub(crate) fn opt_texts(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        self.take(name, "an array of strings", texts)
    }

    /// Strings, or `"*"` for all there are, which gives `None`.
    pub(crate) fn texts_or_all(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        let read = self.take(name, "an array of strings or \"*\"", |value| match value {
            Json::String(text) if text == "*" => Some(None),
            value => texts(value).map(Some),
        })?;
        required(name, read)
    }

    /// Bytes in base64.
    pub(crate) fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        let bytes = self.opt_bytes(name)?;
        required(name, bytes)
    }

    /// Bytes in base64, if they are there.
    pub(crate) fn opt_bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        self.take(name, "bytes in base64", |value| {
            BASE64.decode(value.as_str()?.as_bytes()).ok()
        })
    }

    /// Rules of an IP filter: `[{"range": …, "blocked": …}]`.
    pub(crate) fn rules(&mut self, name: &str) -> Result<Vec<(String, bool)>> {
        let expected = "an array of objects with 'range' and 'blocked'";
        let read = self.take(name, expected, |value| {
            let rule = |item: &Json| {
                let range = item.get("range")?.as_str()?.to_owned();
                let blocked = item.get("blocked").map_or(Some(true), Json::as_bool)?;
                Some((range, blocked))
            };
            value.as_array()?.iter().map(rule).collect()
        })?;
        required(name, read)
    }

    /// Named values; none where it is absent.
    pub(crate) fn named_values(&mut self, name: &str) -> Result<Vec<(String, Value)>> {
        let read = self.take(name, "an object", |value| match value {
            Json::Object(fields) => Some(
                fields
                    .into_iter()
                    .map(|(name, value)| (name, to_value(value)))
                    .collect(),
            ),
            _ => None,
        })?;
        Ok(read.unwrap_or_default())
    }

    /// Tiers of trackers: an array of URLs, one tier each, or of arrays of
    /// URLs, a tier each (BEP 12).
    pub(crate) fn tiers(&mut self, name: &str) -> Result<Vec<Vec<String>>> {
        let tiers = self.opt_tiers(name)?;
        required(name, tiers)
    }

    /// Tiers of trackers, if they are there.
    pub(crate) fn opt_tiers(&mut self, name: &str) -> Result<Option<Vec<Vec<String>>>> {
        self.take(
            name,
            "an array of URLs or of arrays of URLs",
            |value| match value {
                Json::Array(items) => items
                    .into_iter()
                    .map(|item| match item {
                        Json::String(url) => Some(vec![url]),
                        tier => texts(tier),
                    })
                    .collect(),
                _ => None,
            },
        )
    }
}

fn required<T>(name: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| invalid(format!("missing parameter '{name}'")))
}

fn texts(value: Json) -> Option<Vec<String>> {
    match value {
        Json::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Json::String(text) => Some(text),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// A whole number; writers without integers send them as fractions.
fn whole(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| {
        let float = value.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}

fn to_value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Str(text.into()),
        Json::Array(items) => Value::List(items.into_iter().map(to_value).collect()),
        Json::Object(fields) => Value::Map(
            fields
                .into_iter()
                .map(|(name, value)| (name.into(), to_value(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params(value: Json) -> Params {
        match value {
            Json::Object(fields) => Params::new(fields),
            _ => panic!("not an object"),
        }
    }

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_taken_is_named() {
        let mut given = params(json!({"path": "a", "pth": "b", "gone": null}));
        assert_eq!(given.text("path").unwrap(), "a");
        assert_eq!(given.opt_text("gone").unwrap(), None);
        assert_eq!(message(given.finish()), "unknown parameter 'pth'");
    }

    #[test]
    fn a_wrong_type_names_parameter_and_type() {
        let mut given = params(json!({
            "path": 5, "port": 70000, "half": 0.5, "paused": 1, "list": ["a", 1],
            "priorities": [8], "data": "?", "settings": [], "types": "all", "tiers": ["a", ["b", 2]],
        }));
        assert_eq!(
            message(given.text("path")),
            "parameter 'path' must be a string"
        );
        assert_eq!(message(given.text("path")), "missing parameter 'path'");
        assert_eq!(
            message(given.int("port", 1..=65_535)),
            "parameter 'port' must be a whole number from 1 to 65535"
        );
        assert!(message(given.int("half", 0..=9)).contains("'half'"));
        assert!(message(given.flag("paused")).contains("'paused' must be true or false"));
        assert!(message(given.opt_texts("list")).contains("'list'"));
        assert!(message(given.opt_priorities("priorities")).contains("0 to 7"));
        assert!(message(given.opt_bytes("data")).contains("base64"));
        assert!(message(given.named_values("settings")).contains("an object"));
        assert!(message(given.texts_or_all("types")).contains("\"*\""));
        assert!(message(given.opt_tiers("tiers")).contains("'tiers'"));
    }

    #[test]
    fn values_are_read_as_they_are_meant() {
        let mut given = params(json!({
            "port": 7000.0, "priorities": [0, 7.0], "all": "*", "some": ["x"],
            "data": "AAE=", "settings": {"a": 1, "b": true, "c": [1.5, null, {"d": "e"}]},
            "tiers": ["a", ["b", "c"]],
        }));
        assert_eq!(given.int("port", 0..=65_535).unwrap(), 7000);
        assert_eq!(
            given.opt_priorities("priorities").unwrap(),
            Some(vec![0, 7])
        );
        assert_eq!(given.texts_or_all("all").unwrap(), None);
        assert_eq!(
            given.texts_or_all("some").unwrap(),
            Some(vec!["x".to_owned()])
        );
        assert_eq!(given.opt_bytes("data").unwrap(), Some(vec![0, 1]));
        let settings = given.named_values("settings").unwrap();
        assert_eq!(settings[0], ("a".to_owned(), Value::Int(1)));
        assert!(matches!(&settings[2].1, Value::List(items) if items.len() == 3));
        let tiers = given.opt_tiers("tiers").unwrap().unwrap();
        assert_eq!(tiers, [vec!["a"], vec!["b", "c"]]);
        given.finish().unwrap();
    }
}
