//! What the tests of several modules share.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;

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

/// The bytes of a test vector.
pub(crate) fn hex<const N: usize>(text: &str) -> [u8; N] {
    let bytes = HEXLOWER.decode(text.as_bytes()).unwrap();
    bytes.try_into().unwrap()
}

/// A moment `millis` milliseconds after some fixed one: the tests have a clock
/// of their own.
pub(crate) fn at(millis: u64) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    *EPOCH + Duration::from_millis(millis)
}

/// A machine as the contract in the documentation of the crate has it.
pub(crate) trait Machine {
    /// When time alone will have it do something.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant);

    /// Polls all outputs; how many there were.
    fn poll_all(&mut self, now: Instant) -> usize;
}

/// More outputs than any machine of the tests has at once.
const TOO_MANY: usize = 100_000;

/// Polls outputs of one kind until there are none; how many there were.
pub(crate) fn count_outputs<T>(poll: impl FnMut() -> Option<T>) -> usize {
    let count = std::iter::from_fn(poll).take(TOO_MANY).count();
    assert!(count < TOO_MANY, "polling does not end");
    count
}

/// Lets `machine` do what is due by `now` and panics where it breaks the
/// contract: a driver of it would spin, or see another answer for polling
/// twice.
pub(crate) fn check_contract(machine: &mut impl Machine, now: Instant) {
    machine.handle_timeout(now);
    machine.poll_all(now);
    let next = machine.poll_timeout();
    assert!(
        next.is_none_or(|next| next > now),
        "due at once after everything due was done"
    );
    assert_eq!(machine.poll_all(now), 0, "outputs out of nothing");
    assert_eq!(machine.poll_timeout(), next, "polling changes nothing");
    machine.handle_timeout(now);
    assert_eq!(machine.poll_all(now), 0, "done twice");
    let again = machine.poll_timeout();
    assert!(again.is_none_or(|again| again > now), "due at once again");
}
