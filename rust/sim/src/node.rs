//! One engine with one torrent, as the simulator sees it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use torrent_core::bitfield::Bitfield;
use torrent_core::choker::Choker;
use torrent_core::ids::{PeerId, PeerKey};
use torrent_core::peer::Connection;
use torrent_core::settings::Settings;
use torrent_core::torrent::Torrent;
use torrent_core::turnover::Turnover;

use crate::disk::{Disk, DiskSpec};
use crate::payload::Payload;

/// What a node has at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Have {
    /// Everything.
    All,
    /// Nothing.
    Nothing,
    /// These pieces.
    Pieces(Vec<u32>),
}

impl Have {
    fn bits(&self, num_pieces: u32) -> Bitfield {
        match self {
            Self::All => Bitfield::full(num_pieces),
            Self::Nothing => Bitfield::new(num_pieces),
            Self::Pieces(pieces) => {
                let mut bits = Bitfield::new(num_pieces);
                for &piece in pieces {
                    bits.set(piece);
                }
                bits
            }
        }
    }
}

/// What a node knows of the torrent at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// Everything.
    Metadata,
    /// The hash; it fetches the metadata (BEP 9).
    Hash,
    /// It gives out metadata of this length that is wrong.
    Lie(usize),
}

/// What a node is like.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// What it has at first.
    pub have: Have,
    /// Its settings.
    pub settings: Settings,
    /// Its disk.
    pub disk: DiskSpec,
    /// What it knows at first.
    pub knows: Knows,
}

impl NodeSpec {
    /// A node that has everything.
    pub fn seed() -> Self {
        Self {
            have: Have::All,
            ..Self::leecher()
        }
    }

    /// A node that has nothing.
    pub fn leecher() -> Self {
        Self {
            have: Have::Nothing,
            settings: Settings::default(),
            disk: DiskSpec::default(),
            knows: Knows::Metadata,
        }
    }

    /// A node that has some pieces.
    pub fn with_pieces(pieces: impl IntoIterator<Item = u32>) -> Self {
        Self {
            have: Have::Pieces(pieces.into_iter().collect()),
            ..Self::leecher()
        }
    }

    /// The same with other knowledge.
    #[must_use]
    pub fn knows(mut self, knows: Knows) -> Self {
        self.knows = knows;
        self
    }

    /// The same with other settings.
    #[must_use]
    pub fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The same with another disk.
    #[must_use]
    pub fn disk(mut self, disk: DiskSpec) -> Self {
        self.disk = disk;
        self
    }
}

/// What happened at a node, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Pieces that did not have the right hash.
    pub hash_failures: u32,
    /// Pieces that could not be written.
    pub write_failures: u32,
    /// Times that everything wanted was there.
    pub finished: u32,
    /// Connections that came about.
    pub connections: u32,
    /// Connections that ended by an error of the network or the other end.
    pub failed_connections: u32,
    /// Blocks that each piece was read for, to be sent to a peer.
    pub served: BTreeMap<u32, u32>,
    /// Addresses that were banned, in order.
    pub bans: Vec<IpAddr>,
    /// Connections that were closed to try others.
    pub turned_over: u32,
    /// Times that metadata had the wrong hash.
    pub metadata_failures: u32,
    /// Payload bytes that the disk had already.
    pub redundant: u64,
}

/// One engine.
pub(crate) struct Node {
    pub(crate) endpoint: SocketAddr,
    pub(crate) id: PeerId,
    pub(crate) settings: Arc<Settings>,
    pub(crate) brain: Torrent,
    pub(crate) choker: Choker,
    pub(crate) turnover: Turnover,
    /// What it gives out as the info dict.
    pub(crate) metadata: Option<Bytes>,
    pub(crate) disk: Disk,
    pub(crate) conns: BTreeMap<PeerKey, Conn>,
    pub(crate) next_key: u64,
    /// When the brain will be woken.
    pub(crate) timer: Option<Duration>,
    /// When the last message to the torrent's task will be there.
    pub(crate) inbox_at: Duration,
    pub(crate) upload_mode: bool,
    pub(crate) counters: Counters,
}

impl Node {
    pub(crate) fn new(
        index: usize,
        spec: NodeSpec,
        payload: &Payload,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut id = *b"-GD0100-sim000000000";
        id[11..].copy_from_slice(format!("{:09}", seed % 1_000_000_000).as_bytes());
        let id = PeerId(id);
        let settings = Arc::new(spec.settings);
        let choker = Choker::new(now, (&*settings).into());
        let layout = Arc::clone(&payload.layout);
        let have = spec.have.bits(payload.num_pieces());
        Self {
            endpoint: SocketAddr::from(([10, 0, index as u8, 1], 6881)),
            id,
            brain: match spec.knows {
                Knows::Hash => {
                    Torrent::without_metadata(payload.info_hash(), id, Arc::clone(&settings), now)
                }
                _ => Torrent::new(layout, id, Arc::clone(&settings), seed, now),
            },
            metadata: match spec.knows {
                Knows::Metadata => Some(payload.metadata.clone()),
                Knows::Hash => None,
                Knows::Lie(length) => Some(vec![b'x'; length].into()),
            },
            choker,
            turnover: Turnover::new(now),
            settings,
            disk: Disk::new(spec.disk, payload.clone(), have),
            conns: BTreeMap::new(),
            next_key: 0,
            timer: None,
            inbox_at: Duration::ZERO,
            upload_mode: false,
            counters: Counters::default(),
        }
    }
}

/// One end of a connection.
pub(crate) struct Conn {
    pub(crate) connection: Connection,
    pub(crate) wire: usize,
    /// Which end of the wire it is.
    pub(crate) side: usize,
    /// Received and not yet taken.
    pub(crate) input: Vec<u8>,
    /// When the connection will be woken.
    pub(crate) timer: Option<Duration>,
    /// When the last command from the torrent's task will be there.
    pub(crate) mailbox_at: Duration,
}
