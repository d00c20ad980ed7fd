//! Runs `torrent_core`: tokio drivers, disk workers, sessions, handles, events
//! and settings.
//!
//! [`Session::start`](session::Session::start) begins; torrents are added to it
//! and answer through their [`TorrentHandle`](handle::TorrentHandle)s; what
//! happens waits in the [`EventSink`](events::EventSink).
#![warn(missing_docs)]

mod accept;
pub mod add;
mod asked;
pub mod buffers;
mod choke;
mod commands;
mod connections;
mod context;
pub mod create;
pub mod disk;
mod due;
pub mod error;
pub mod event;
pub mod events;
mod fair;
mod farewells;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
pub mod handle;
pub mod hash;
pub mod info;
pub mod ipfilter;
mod lobby;
pub mod log;
pub mod modes;
mod net;
pub mod network;
pub mod operation;
mod pace;
mod peer;
pub mod performance;
pub mod placement;
pub mod question;
pub mod queue;
mod rates;
mod receive;
mod register;
mod restore;
pub mod resume;
mod runtime;
#[cfg(test)]
mod saturation;
pub mod session;
pub mod session_state;
pub mod state;
pub mod stats;
pub mod status;
mod successor;
mod territory;
#[cfg(test)]
mod tests;
pub mod threads;
mod torrent;
mod tracker;
mod turnover;

mod upkeep;
mod whereabouts;
mod zeros;

// So that the support of the tests beside this crate serves those in it too.
#[cfg(test)]
extern crate self as torrent_engine;

pub use session::joiner::join_all;
pub use torrent_core as core;
