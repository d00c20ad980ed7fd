//! `torrent-rpc`: the engine without a game. One JSON object a line on
//! standard input is a request, one JSON object a line on standard output is
//! an answer (or an event that was subscribed to); logs go to standard error.
//!
//! Requests are carried out one after the other, so answers come in their
//! order. The end of the input shuts down in order once the requests before it
//! are answered; SIGTERM and Ctrl-C do so at once.
//!
//! The crate converts and forwards: what a command does is the engine's
//! business. `protocol` reads and writes lines, `params` their parameters,
//! `commands` has the table and one file for each topic.

mod alerts;
mod app;
mod commands;
mod input;
mod output;
mod params;
mod protocol;

use std::io;
use std::process::ExitCode;

use tokio::sync::mpsc;
use torrent_engine::error::{Error, Result};
use tracing_subscriber::EnvFilter;

use crate::app::App;
use crate::input::Line;
use crate::params::invalid;
use crate::protocol::{RpcRequest, answer_line};

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
        )
        .init();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run()) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    tracing::error!("{error}");
    ExitCode::FAILURE
}

/// Serves until it is asked to stop. What is left is whether the session could
/// be stopped in order.
async fn run() -> io::Result<Result<()>> {
    let (output, writer) = output::start(io::BufWriter::new(io::stdout()))?;
    let lines = input::start()?;
    let stop_signal = stop_signal()?;
    let mut app = App::new(output);
    tokio::select! {
        () = serve(&mut app, lines) => {}
        () = stop_signal => tracing::info!("told to stop"),
    }
    let stopped = app.shut_down().await;
    drop(app);
    writer.finish().await;
    Ok(stopped)
}

/// Answers requests until the end of the input, a `shutdown`, or until the reader
/// of the answers is gone.
async fn serve(app: &mut App, mut lines: mpsc::Receiver<Line>) {
    let output = app.output.clone();
    while let Some(line) = lines.recv().await {
        let (id, outcome, last) = match read(line) {
            Err((id, error)) => (id, Err(error), false),
            Ok(request) => {
                let last = request.command == "shutdown";
                let outcome = tokio::select! {
                    outcome = commands::run(app, &request.command, request.params) => outcome,
                    () = output.closed() => return,
                };
                (request.id, outcome, last)
            }
        };
        if output.send(answer_line(&id, &outcome)).await.is_err() || last {
            return;
        }
    }
}

fn read(line: Line) -> std::result::Result<RpcRequest, (protocol::Id, Error)> {
    match line {
        Line::Whole(line) => protocol::parse(&line),
        Line::TooLong => Err((protocol::Id::default(), invalid("the line is too long"))),
    }
}

/// Ends with the first signal that asks the process to end.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ends with the first Ctrl-C or closing of the console.
#[cfg(windows)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::windows::{ctrl_c, ctrl_close};
    let mut interrupt = ctrl_c()?;
    let mut close = ctrl_close()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = close.recv() => {}
        }
    })
}
