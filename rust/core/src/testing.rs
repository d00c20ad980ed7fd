//! What the tests of several modules share.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

/// A moment `millis` milliseconds after some fixed one: the tests have a clock
/// of their own.
pub(crate) fn at(millis: u64) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    *EPOCH + Duration::from_millis(millis)
}
