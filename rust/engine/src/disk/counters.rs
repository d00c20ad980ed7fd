//! What the disk did, under libtorrent's metric names.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use torrent_core::ids::BLOCK_SIZE;
use torrent_core::value::Fields;

use super::Common;

macro_rules! counters {
    ($( $(#[$doc:meta])+ $name:literal => $field:ident; )*) => {
        /// What the disk did since it was started.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $( $(#[$doc])+ pub(super) $field: AtomicU64, )*
        }

        impl Counters {
            fn fields(&self) -> Fields {
                vec![ $( ($name.into(), self.$field.load(Ordering::Relaxed).into()), )* ]
            }
        }
    };
}

counters! {
    /// Blocks written to files.
    "disk.num_blocks_written" => blocks_written;
    /// Blocks read from files, for peers, for checks and for hashes.
    "disk.num_blocks_read" => blocks_read;
    /// Blocks whose hash was computed.
    "disk.num_blocks_hashed" => blocks_hashed;
    /// Writes to a file.
    "disk.num_write_ops" => write_ops;
    /// Reads from a file.
    "disk.num_read_ops" => read_ops;
    /// Blocks read again to be hashed.
    "disk.num_read_back" => read_back;
    /// Files that were open when they were needed.
    "disk.file_pool_hits" => pool_hits;
    /// Files that had to be opened.
    "disk.file_pool_misses" => pool_misses;
    /// Microseconds spent reading.
    "disk.disk_read_time" => read_time;
    /// Microseconds spent writing.
    "disk.disk_write_time" => write_time;
}

/// Names of the gauges.
const GAUGES: [&str; 3] = [
    "disk.queued_write_bytes",
    "disk.disk_blocks_in_use",
    "disk.file_pool_size",
];

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts `bytes` that were written since `begun`.
    pub(super) fn wrote(&self, bytes: u64, begun: Instant) {
        Self::add(&self.blocks_written, blocks(bytes));
        Self::add(&self.write_time, micros(begun.elapsed()));
    }

    /// Counts `bytes` that were read since `begun`.
    pub(super) fn read(&self, bytes: u64, begun: Instant) {
        Self::add(&self.blocks_read, blocks(bytes));
        Self::add(&self.read_time, micros(begun.elapsed()));
    }
}

fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(u64::from(BLOCK_SIZE))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A look at what the disk did and does, which keeps no worker alive.
#[derive(Clone)]
pub struct DiskWatch {
    counters: Arc<Counters>,
    common: Weak<Common>,
}

impl DiskWatch {
    pub(super) fn new(common: &Arc<Common>) -> Self {
        Self {
            counters: Arc::clone(&common.counters),
            common: Arc::downgrade(common),
        }
    }

    /// Where tests have the system fail.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> Arc<super::DiskFaults> {
        Arc::clone(&self.common.upgrade().expect("the disk runs").faults)
    }

    /// The counters by libtorrent's metric names.
    pub fn counters(&self) -> Fields {
        self.counters.fields()
    }

    /// The gauges by libtorrent's metric names; 0 once the disk has stopped.
    pub fn gauges(&self) -> Fields {
        let now = self.common.upgrade().map_or([0; 3], |common| {
            let queued = common.budget.queued() as u64;
            [queued, blocks(queued), common.files.len() as u64]
        });
        let named = GAUGES.into_iter().zip(now);
        named
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }
}

impl std::fmt::Debug for DiskWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskWatch").finish_non_exhaustive()
    }
}
