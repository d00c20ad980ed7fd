//! The BitTorrent protocol without I/O.
//!
//! Nothing here opens a socket or a file, starts a thread, reads a clock or
//! asks for randomness: bytes, time and seeds are arguments. A driver (the
//! engine over tokio, or the simulator over a virtual clock) feeds inputs and
//! carries out what the machines put out.
//!
//! # The contract of the machines
//!
//! A machine is what decides something that depends on time: [`torrent::Torrent`],
//! [`peer::Connection`], [`choker::Choker`], [`queue::Queue`],
//! [`bandwidth::Bandwidth`], [`tracker::Announcer`], [`tracker::udp::UdpTrackers`],
//! [`check_state::CheckState`], [`storage_backoff::StorageBackoff`],
//! [`save_schedule::SaveSchedule`], [`backoff::Backoff`], [`utp::Multiplexer`],
//! [`dht::Dht`]. All of them keep this, and
//! a property test of each holds it (`testing::check_contract`):
//!
//! - *Inputs* are calls that say what happened. They take `now`, which never goes
//!   back from one call to the next; what only chooses how a machine works from now
//!   on (a setting, a mode), and what is true whenever it is said, may do without. An input never
//!   blocks and carries nothing out. What it returns is its answer (a refusal,
//!   an error of the peer), not something that the machine wants done.
//! - *Outputs* are what the driver is to carry out. They are polled
//!   (`poll_output`, or `poll_read`, `poll_verdict` and the like where there are
//!   several kinds) until there are none, after inputs and after
//!   `handle_timeout`. What is gathered over many inputs and wanted as a whole
//!   is taken instead (`take_report`, `take_standing`), once a wake. One whose
//!   answer depends on the time takes `now`.
//! - `poll_timeout` says when time alone will have the machine do something:
//!   `None` for never, as things are. It changes nothing, and holds until the
//!   next input, so that a driver needs one timer for a machine and may set it
//!   late. A moment that is past means at once.
//! - `handle_timeout(now)` does what is due by `now`. It may be called too early
//!   or too late, and often: afterwards, when the outputs are polled,
//!   `poll_timeout` is later than `now`, so that a driver never spins. Where it
//!   fails ([`peer::Connection::handle_timeout`]) the machine is at its end. A
//!   machine that only answers when it is polled with `now`
//!   ([`save_schedule::SaveSchedule::poll`], [`bandwidth::Bandwidth::grant`],
//!   [`turnover::Turnover::due`]) needs none. What only adds up over time ([`active_time::ActiveTime`],
//!   [`suspend::SuspendWatch`], [`storage_backoff::FileLimit`]) takes `now` and has
//!   nothing to be woken for.
//! - A machine whose limit of time is its driver's ([`mse::Initiator`],
//!   [`mse::Responder`]) takes no `now` and has no `poll_timeout`.
//! - Randomness comes from a seed that is given when the machine is made. The
//!   same inputs at the same times give the same outputs.
#![warn(missing_docs)]

pub mod active_time;
pub mod address;
pub mod backoff;
pub mod ban;
pub mod bandwidth;
pub mod bencode;
pub mod bitfield;
pub mod block_table;
pub mod check_state;
pub mod choker;
pub mod clients;
pub mod create;
pub mod datagram;
pub mod dht;
pub mod ext;
pub mod external_ip;
pub mod ids;
pub mod ip_filter;
mod journal;
pub mod layout;
pub mod magnet;
pub mod merkle;
pub mod metainfo;
pub mod move_journal;
pub mod mse;
pub mod peer;
pub mod peerlist;
pub mod picker;
pub mod piece_hash;
pub mod queue;
pub mod rate;
pub mod removal_journal;
pub mod resume;
pub mod save_schedule;
pub mod session_state;
pub mod settings;
pub mod storage_backoff;
pub mod suspend;
mod text;
pub mod torrent;
pub mod tracker;
pub mod turnover;
mod uri;
pub mod utp;
pub mod value;
pub mod window;
pub mod wire;

mod crc32c;
#[cfg(test)]
mod testing;
