//! `torrent-bench`: raw peers for the loopback benchmark. A feeder and a sink
//! that neither hash nor store, so that what a transfer costs is the cost of
//! the engine at its other end.
//!
//! `torrent-bench feeder` and `torrent-bench sink` support the part of the
//! `torrent-rpc` protocol that `bench.py` drives a transfer with, one JSON
//! object a line. Both do blocking I/O in large batches: `feeder` sends
//! scattered from memory, `sink` reads into one buffer and forgets.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::feeder::Feeder;
use crate::sink::Sink;

mod feeder;
mod link;
mod sink;

/// What goes wrong here ends the benchmark with its text.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// One side of a raw transfer.
trait Peer {
    /// The answer to a request, or why there is none.
    fn handle(&mut self, command: &str, params: &Value) -> Result<Value>;
}

fn main() -> ExitCode {
    let mut peer: Box<dyn Peer> = match std::env::args().nth(1).as_deref() {
        Some("feeder") => Box::new(Feeder::default()),
        Some("sink") => Box::new(Sink::default()),
        _ => {
            eprintln!("usage: torrent-bench feeder|sink");
            return ExitCode::FAILURE;
        }
    };
    match serve(peer.as_mut()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers the requests on stdin until `shutdown` or the end of the input.
fn serve(peer: &mut dyn Peer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let command = request["cmd"].as_str().unwrap_or_default();
        let answer = match command {
            "version" => {
                Ok(json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")}))
            }
            "shutdown" => Ok(json!({})),
            _ => peer.handle(command, &request["params"]),
        };
        let mut answer = match answer {
            Ok(Value::Object(fields)) => fields,
            Ok(other) => serde_json::Map::from_iter([("result".to_owned(), other)]),
            Err(error) => {
                serde_json::Map::from_iter([("error".to_owned(), error.to_string().into())])
            }
        };
        answer.insert("ok".to_owned(), (!answer.contains_key("error")).into());
        answer.insert("id".to_owned(), request["id"].clone());
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
        out.flush()?;
        if command == "shutdown" {
            break;
        }
    }
    Ok(())
}

/// A text parameter.
fn text<'a>(params: &'a Value, name: &str) -> Result<&'a str> {
    params[name]
        .as_str()
        .ok_or_else(|| format!("'{name}' must be a text").into())
}

/// The refusal of a command that this side does not have.
fn unknown(command: &str) -> Result<Value> {
    Err(format!("Unknown command '{command}'").into())
}
