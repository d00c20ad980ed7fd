//! Runs `torrent_core`: tokio drivers, disk workers, sessions, handles, events
//! and settings.
//!
//! [`Session::start`](session::Session::start) begins; torrents are added to it
//! and answer through their [`TorrentHandle`](torrent::handle::TorrentHandle)s; what
//! happens waits in the [`EventSink`](event::sink::EventSink).
#![warn(missing_docs)]

pub mod buffers;
mod command_queue;
mod context;
mod coop;
pub mod create;
mod discovery;
pub mod disk;
pub mod error;
pub mod event;
#[doc(hidden)]
pub mod fuzzing;
pub mod hash;
pub mod ip_filter;
pub mod log;
mod net;
pub mod operation;
mod peer;
pub mod session;
pub mod state_dir;
pub mod stats;
pub mod status;
pub mod threads;
mod timer;
pub mod torrent;

// So that the support of the tests beside this crate serves those in it too.
#[cfg(test)]
extern crate self as torrent_engine;

pub use torrent_core as core;
