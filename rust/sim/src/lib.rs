//! Whole swarms of `torrent-core` on a virtual clock: many engines, links with
//! delay, rate and loss, disks with latency and faults, in one thread and
//! without waiting. For tests; never shipped.
//!
//! A [`Swarm`] is made from a seed. Nodes are added, events are scripted, and
//! [`Swarm::run_until`] lets time pass. Everything that chance decides comes
//! from the seed, so the same seed gives the same [`Swarm::log`], line by
//! line, and a failure is repeated by its seed alone: [`each_seed`] prints it,
//! and `TORRENT_SIM_SEED=17 cargo test -p torrent-sim <name>` runs it again.
//!
//! What runs is the real brain and the real connections. What is modelled is
//! what the engine's drivers do around them: tasks that talk through queues
//! (messages take a moment, and keep their order), sockets with a bounded send
//! buffer, disk workers that answer later, handshakes (a round trip each for
//! the connection and for the greeting).
#![warn(missing_docs)]

mod datagrams;
mod dht;
mod disk;
mod link;
mod node;
mod payload;
mod queue;
mod seeds;
mod storage;
mod swarm;

pub use datagrams::{DatagramLink, DatagramNet, End, Flow, Refusals};
pub use dht::DhtNetwork;
pub use disk::DiskSpec;
pub use link::Link;
pub use node::{Counters, Have, Knows, NodeSpec};
pub use payload::Payload;
pub use seeds::each_seed;
pub use storage::{DiskFault, DiskOp, SavedRecord, StorageCounters, StorageNode};
pub use swarm::{NodeId, Swarm};
