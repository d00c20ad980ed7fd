//! Runs torrent-core: tokio drivers, disk workers, sessions, handles, events
//! and settings.
#![warn(missing_docs)]

pub mod buffers;
pub mod disk;
pub mod hash;
