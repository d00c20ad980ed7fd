//! The BitTorrent protocol without I/O.
//!
//! Nothing here opens a socket or a file, starts a thread, reads a clock or
//! asks for randomness: bytes, time and seeds are arguments. A driver (the
//! engine over tokio, or the simulator over a virtual clock) feeds inputs and
//! carries out what the machines put out.
#![warn(missing_docs)]

pub mod ban;
pub mod bandwidth;
pub mod bencode;
pub mod bitfield;
pub mod choker;
pub mod clients;
pub mod create;
pub mod ext;
pub mod external_ip;
pub mod ids;
pub mod ipfilter;
pub mod layout;
pub mod magnet;
pub mod metainfo;
pub mod peer;
pub mod peerlist;
pub mod picker;
pub mod places;
pub mod queue;
pub mod rate;
pub mod resume;
pub mod retry;
pub mod saving;
pub mod session_state;
pub mod settings;
pub mod sleep;
pub mod slots;
mod text;
pub mod torrent;
pub mod tracker;
pub mod turnover;
mod uri;
pub mod value;
pub mod window;
pub mod wire;

mod crc32c;
#[cfg(test)]
mod testing;
