//! The lines themselves: a request is read from one, an answer or an event is
//! written as one. Nothing here knows what the commands do.

use std::collections::HashMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use torrent_core::value::{Fields, Value};
use torrent_engine::error::Error;
use torrent_engine::event::Alert;

use crate::params::{Params, invalid};

/// The `id` of a request, kept as the text that it came as; `null` where a
/// request has none or is too broken to have one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Id(Option<Box<RawValue>>);

/// What one line asks for.
#[derive(Debug)]
pub(crate) struct RpcRequest {
    /// Echoed in the answer.
    pub(crate) id: Id,
    /// The command's name.
    pub(crate) command: String,
    /// What it is given.
    pub(crate) params: Params,
}

/// What a command answers: its fields beside `id` and `ok`, or why not.
pub(crate) type Outcome = Result<Fields, Error>;

/// Reads a request from `line`. A line that is none says why, and with which
/// `id` to say so.
pub(crate) fn parse(line: &[u8]) -> Result<RpcRequest, (Id, Error)> {
    let nobody = |what: String| (Id::default(), invalid(what));
    // Two steps, so that a line that is JSON but no request is answered so.
    let whole: &RawValue =
        serde_json::from_slice(line).map_err(|error| nobody(format!("not JSON: {error}")))?;
    let fields: HashMap<String, &RawValue> = serde_json::from_str(whole.get())
        .map_err(|_| nobody("a request is an object with 'id', 'cmd' and 'params'".to_owned()))?;
    let id = Id(fields.get("id").map(|&id| id.to_owned()));
    match command(&fields) {
        Ok((command, params)) => Ok(RpcRequest {
            id,
            command,
            params,
        }),
        Err(error) => Err((id, error)),
    }
}

fn command(fields: &HashMap<String, &RawValue>) -> Result<(String, Params), Error> {
    let raw = fields
        .get("cmd")
        .ok_or_else(|| invalid("the request has no 'cmd'"))?;
    let command = serde_json::from_str(raw.get()).map_err(|_| invalid("'cmd' must be a string"))?;
    let params = match fields
        .get("params")
        .map(|raw| serde_json::from_str(raw.get()))
    {
        None | Some(Ok(Json::Null)) => Params::default(),
        Some(Ok(Json::Object(params))) => Params::new(params),
        Some(Ok(_)) => return Err(invalid("'params' must be an object")),
        Some(Err(error)) => return Err(invalid(format!("'params' cannot be read: {error}"))),
    };
    Ok((command, params))
}

/// The line that answers the request `id`.
pub(crate) fn answer_line(id: &Id, outcome: &Outcome) -> Vec<u8> {
    to_line(&ResponseLine { id, outcome })
}

/// The line that reports `alert` to a subscriber.
pub(crate) fn event_line(alert: &Alert) -> Vec<u8> {
    let mut fields: Fields = vec![("event".into(), alert.kind.name.into())];
    if let Value::Map(own) = alert.to_value() {
        fields.extend(own);
    }
    to_line(&Value::Map(fields))
}

fn to_line(value: &impl Serialize) -> Vec<u8> {
    // Cannot fail: every key is a string, and no value has a serialiser that
    // refuses. An empty line would still be better than the end of the process.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

struct ResponseLine<'a> {
    id: &'a Id,
    outcome: &'a Outcome,
}

impl Serialize for ResponseLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id.0)?;
        map.serialize_entry("ok", &self.outcome.is_ok())?;
        match self.outcome {
            Ok(fields) => {
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
            }
            Err(error) => {
                map.serialize_entry("error", &error.to_string())?;
                map.serialize_entry("code", &error.code())?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a line that is no request.
    fn refusal(line: &str) -> String {
        let (id, error) = parse(line.as_bytes()).unwrap_err();
        String::from_utf8(answer_line(&id, &Err(error))).unwrap()
    }

    #[test]
    fn ids_come_back_as_they_came() {
        for id in [
            "1",
            "-0.0",
            "12345678901234567890123",
            r#""a\u0041""#,
            "[1, {\"x\": null}]",
            "null",
            "true",
        ] {
            let request = parse(format!(r#"{{"cmd":"version","id":{id}}}"#).as_bytes()).unwrap();
            let line = answer_line(&request.id, &Ok(Vec::new()));
            assert_eq!(
                String::from_utf8(line).unwrap(),
                format!("{{\"id\":{id},\"ok\":true}}\n")
            );
        }
    }

    #[test]
    fn a_request_needs_only_a_command() {
        let request = parse(br#" {"cmd":"version"} "#).unwrap();
        assert_eq!(request.command, "version");
        assert!(request.params.finish().is_ok());
        assert!(answer_line(&request.id, &Ok(Vec::new())).starts_with(br#"{"id":null,"#));
        assert!(parse(br#"{"cmd":"version","params":null}"#).is_ok());
    }

    #[test]
    fn what_is_not_json_is_answered_without_an_id() {
        for line in ["", "hello", "{", r#"{"id":1"#, "1 2", "\u{feff}{}"] {
            let answer = refusal(line);
            assert!(
                answer.starts_with(r#"{"id":null,"ok":false,"error":"not JSON"#),
                "{answer}"
            );
            assert!(answer.ends_with("\"code\":600}\n"), "{answer}");
        }
        let (_, error) = parse(b"\"\xff\"").unwrap_err();
        assert!(error.to_string().starts_with("not JSON"), "{error}");
    }

    #[test]
    fn what_is_json_but_no_request_says_what_is_missing() {
        for (line, id, what) in [
            ("[]", "null", "object"),
            ("5", "null", "object"),
            (r#"{"id":7}"#, "7", "no 'cmd'"),
            (r#"{"id":7,"cmd":1}"#, "7", "'cmd'"),
            (r#"{"id":7,"cmd":"x","params":[]}"#, "7", "'params'"),
        ] {
            let answer = refusal(line);
            assert!(
                answer.starts_with(&format!(r#"{{"id":{id},"ok":false"#)),
                "{answer}"
            );
            assert!(answer.contains(what), "{answer}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_recursed_into() {
        let bomb = "[".repeat(200_000);
        assert!(parse(bomb.as_bytes()).is_err());
        let closed = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let line = format!(r#"{{"id":1,"cmd":"x","params":{{"a":{closed}}}}}"#);
        assert!(parse(line.as_bytes()).is_err());
        let line = format!(r#"{{"cmd":"x","id":{closed}}}"#);
        assert!(parse(line.as_bytes()).is_ok());
    }
}
