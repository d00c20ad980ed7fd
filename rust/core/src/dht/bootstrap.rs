//! How an endpoint becomes part of the network, and again when it has lost it.
//!
//! Nodes that are known go before routers: those of the last run, of torrents, of magnet links, of
//! peers. Routers are asked for when these did not lead to enough nodes. What fails
//! is tried again after pauses that grow.

use std::time::{Duration, Instant};

use super::lookup::LookupId;
use crate::backoff::Backoff;

/// The driver has this long to look up the routers' names.
const RESOLVE: Duration = Duration::from_secs(30);

/// Pauses between attempts that led to no node.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Pauses between attempts to find more nodes than a few.
const FIRST_THIN_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_THIN_PAUSE: Duration = Duration::from_secs(20 * 60);

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BootstrapStage {
    /// Nothing is under way.
    Idle,
    /// It looks for itself, beginning with nodes that are known.
    Known(LookupId),
    /// The routers' addresses are being looked up.
    Resolving {
        /// Until when.
        until: Instant,
    },
    /// It looks for itself, beginning with routers.
    Routers(LookupId),
    /// It fills buckets that have room, one after the other.
    Filling {
        /// The look-up.
        lookup: LookupId,
        /// Bits in common with our id.
        bits: u32,
    },
}

/// The course of it.
#[derive(Debug)]
pub(super) struct Bootstrap {
    pub(super) stage: BootstrapStage,
    /// While no node answers.
    pub(super) retry: Backoff,
    /// While there are only a few.
    pub(super) thin: Backoff,
    /// Whether the driver knows that we are part of the network.
    pub(super) reported: bool,
}

impl Bootstrap {
    pub(super) fn new() -> Self {
        Self {
            stage: BootstrapStage::Idle,
            retry: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            thin: Backoff::new(FIRST_THIN_PAUSE, LONGEST_THIN_PAUSE),
            reported: false,
        }
    }

    /// Whether it is too early to look for anything else.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(
            self.stage,
            BootstrapStage::Idle | BootstrapStage::Filling { .. }
        )
    }

    /// The routers' names are to be looked up.
    pub(super) fn resolve(&mut self, now: Instant) {
        self.stage = BootstrapStage::Resolving {
            until: now + RESOLVE,
        };
    }

    /// Begins anew at `now`, without the pauses of what failed before.
    pub(super) fn restart(&mut self) {
        self.stage = BootstrapStage::Idle;
        self.retry.succeeded();
        self.thin.succeeded();
    }

    /// When there is something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            BootstrapStage::Idle => {
                let due = [self.retry.poll_timeout(), self.thin.poll_timeout()];
                due.into_iter().flatten().min()
            }
            BootstrapStage::Resolving { until } => Some(until),
            _ => None,
        }
    }
}
