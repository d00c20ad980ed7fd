//! A log file. Lines are written by a thread of its own, so that a slow disk
//! never makes the game wait; a bounded queue stands between the two.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;

use super::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::threads;

/// Lines that wait for the disk; more are dropped and counted.
const LINE_QUEUE: usize = 4096;

/// A thread that writes, and what is disconnected when it has nothing left.
struct FileWriter {
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

/// The writers that may still run. A library may only be unloaded when they
/// have ended.
static WRITERS: Mutex<Vec<FileWriter>> = Mutex::new(Vec::new());

/// An open log file. Closed when dropped, once every line is written.
#[derive(Debug)]
pub(super) struct LogFile {
    lines: Sender<String>,
}

impl LogFile {
    /// Opens `path` to write at its end; the file and its folder are made if
    /// they are missing.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::InvalidPath,
            };
            Error::because(kind, error.to_string()).about(path.display().to_string())
        };
        if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        let (lines, queue) = crossbeam_channel::bounded(LINE_QUEUE);
        let (running, ended) = crossbeam_channel::bounded(0);
        let thread = std::thread::Builder::new()
            .name("torrent-log".to_owned())
            .spawn(move || {
                let _running = running;
                write(file, &queue);
            })
            .map_err(failed)?;
        let mut writers = WRITERS.lock();
        writers.retain(|writer| !writer.thread.is_finished());
        writers.push(FileWriter { thread, ended });
        Ok(Self { lines })
    }

    /// Hands a line over. Whether there was room for it.
    pub(super) fn write(&self, record: &Record) -> bool {
        let line = format!("{} {record}\n", record.timestamp_ms);
        self.lines.try_send(line).is_ok()
    }
}

fn write(file: File, lines: &Receiver<String>) {
    threads::begin();
    let mut file = BufWriter::new(file);
    while let Ok(first) = lines.recv() {
        for line in std::iter::once(first).chain(lines.try_iter()) {
            if file.write_all(line.as_bytes()).is_err() {
                // A full disk: what was logged is lost, the game goes on.
                return;
            }
        }
        if file.flush().is_err() {
            return;
        }
    }
}

/// Waits until the files of loggers that have none any more are written, at
/// most `limit`. Whether they are.
pub(super) fn join_all(limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let writers = std::mem::take(&mut *WRITERS.lock());
    writers.into_iter().all(|writer| {
        let left = deadline.saturating_duration_since(Instant::now());
        let in_time = writer.ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected);
        in_time && writer.thread.join().is_ok()
    })
}
