//! Files on a device that fails where it is scripted to, and forgets what was not
//! synced when the power goes.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use torrent_core::bitfield::Bitfield;

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskOp {
    /// Looking whether the folder is there.
    Look,
    /// Reading a piece for a check.
    Check,
    /// Writing a piece.
    Write,
    /// Reading a piece for a peer.
    Read,
    /// Making durable what was written.
    Sync,
    /// Replacing the torrent's record.
    SaveRecord,
}

impl DiskOp {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Look,
        Self::Check,
        Self::Write,
        Self::Read,
        Self::Sync,
        Self::SaveRecord,
    ];
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// As a broken device does, or a missing folder.
    Error,
    /// For want of file descriptors or memory.
    Shortage,
}

/// What is on the device, piece by piece.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// Pieces that a read finds right.
    pub(super) right: Bitfield,
    /// Those of them that outlast a power failure.
    pub(super) durable: Bitfield,
    /// Those that something else has changed at some time.
    pub(super) damaged: Bitfield,
    /// How each operation fails, and how often still; `None` for ever.
    faults: BTreeMap<DiskOp, (DiskFault, Option<u32>)>,
    /// How often each was tried.
    pub(super) attempts: BTreeMap<DiskOp, u32>,
}

impl Files {
    pub(super) fn new(num_pieces: u32) -> Self {
        Self {
            right: Bitfield::new(num_pieces),
            durable: Bitfield::new(num_pieces),
            damaged: Bitfield::new(num_pieces),
            faults: BTreeMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    pub(super) fn script(&mut self, op: DiskOp, fault: DiskFault, times: Option<u32>) {
        self.faults.insert(op, (fault, times));
    }

    pub(super) fn repair(&mut self) {
        self.faults.clear();
    }

    /// Tries an operation.
    pub(super) fn attempt(&mut self, op: DiskOp) -> Result<(), DiskFault> {
        *self.attempts.entry(op).or_default() += 1;
        match self.faults.get_mut(&op) {
            None | Some((_, Some(0))) => Ok(()),
            Some((fault, times)) => {
                *times = times.map(|left| left - 1);
                Err(*fault)
            }
        }
    }

    pub(super) fn damage(&mut self, piece: u32) {
        self.right.clear(piece);
        self.durable.clear(piece);
        self.damaged.set(piece);
    }

    /// The power goes: of what was not synced, some is there and some is not.
    pub(super) fn lose_power(&mut self, rng: &mut StdRng) {
        for piece in 0..self.right.len() {
            if self.right.get(piece) && !self.durable.get(piece) && rng.random() {
                self.right.clear(piece);
            }
        }
        self.durable = self.right.clone();
        self.faults.clear();
    }
}
