//! What the tests of several modules share.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

/// Blocks of pieces that were looked at one by one: what work costs, without a clock.
pub(crate) mod blocks_visited {
    use std::cell::Cell;

    thread_local! {
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }

    /// One more was.
    pub(crate) fn add() {
        COUNT.set(COUNT.get() + 1);
    }

    /// How many `work` visits.
    pub(crate) fn during(work: impl FnOnce()) -> u64 {
        let before = COUNT.get();
        work();
        COUNT.get() - before
    }
}

/// A moment `millis` milliseconds after some fixed one: the tests have a clock
/// of their own.
pub(crate) fn at(millis: u64) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    *EPOCH + Duration::from_millis(millis)
}
