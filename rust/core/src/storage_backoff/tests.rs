use proptest::prelude::*;

use super::*;
use crate::testing::{Machine, at, check_contract, count_outputs};

fn outputs(storage: &mut StorageBackoff) -> Vec<StorageOutput> {
    std::iter::from_fn(|| storage.poll_output()).collect()
}

#[test]
fn waits_grow_while_shortages_come_back_at_once() {
    let mut storage = StorageBackoff::new();
    for (second, wait) in [
        (0, 1),
        (1, 2),
        (3, 4),
        (8, 8),
        (17, 16),
        (40, 30),
        (80, 30),
        // The torrent worked for longer than it had waited.
        (200, 1),
    ] {
        let now = at(second * 1000);
        assert!(storage.shortage(now));
        assert!(!storage.shortage(now), "one wait at a time");
        assert!(storage.is_held());
        let over = now + Duration::from_secs(wait);
        assert_eq!(storage.poll_timeout(), Some(over));
        storage.handle_timeout(over - Duration::from_millis(1));
        assert_eq!(outputs(&mut storage), [StorageOutput::Hold]);
        storage.handle_timeout(over);
        assert_eq!(
            outputs(&mut storage),
            [StorageOutput::Hold, StorageOutput::ShortageOver]
        );
        assert!(!storage.is_held());
    }
}

#[test]
fn an_error_is_tried_again_once_and_counts_until_it_is_cleared() {
    let minute = Duration::from_secs(60);
    let mut storage = StorageBackoff::new();
    assert!(storage.failed(at(10), at(0), Some(minute)));
    assert!(!storage.failed(at(20), at(20), Some(minute)), "one cause");
    assert_eq!(outputs(&mut storage), [StorageOutput::Hold]);
    assert_eq!(storage.poll_timeout(), Some(at(60_010)));
    storage.handle_timeout(at(60_010));
    assert_eq!(outputs(&mut storage), [StorageOutput::Retry]);
    assert_eq!(storage.poll_timeout(), None);
    assert!(storage.has_failed(), "until the attempt succeeds");
    assert!(storage.cleared(at(60_020)));
    assert!(!storage.cleared(at(60_021)));
    assert!(!storage.is_held());
    // A write that had failed before is reported after.
    assert!(!storage.failed(at(60_030), at(60_019), Some(minute)));
    assert!(storage.failed(at(60_030), at(60_020), Some(Duration::MAX)));
    assert_eq!(storage.poll_timeout(), None);
}

#[test]
fn an_error_is_news_again_after_an_attempt_that_the_game_wants() {
    let minute = Duration::from_secs(60);
    let mut storage = StorageBackoff::new();
    // Nothing is wrong.
    storage.attempt_wanted(at(0));
    assert!(storage.failed(at(10), at(10), Some(minute)));
    storage.attempt_wanted(at(20));
    assert!(!storage.failed(at(30), at(19), Some(minute)), "from before");
    assert!(storage.failed(at(30), at(20), Some(minute)));
    assert_eq!(storage.poll_timeout(), Some(at(60_030)));
    assert!(!storage.failed(at(40), at(40), Some(minute)), "once");
    storage.attempt_wanted(at(50));
    assert!(storage.cleared(at(60)), "it has succeeded");
    assert!(storage.failed(at(70), at(70), Some(minute)));
    assert!(!storage.failed(at(80), at(80), Some(minute)));
}

#[test]
fn a_shortage_in_error_is_waited_out_beside_it() {
    let mut storage = StorageBackoff::new();
    storage.failed(at(0), at(0), Some(Duration::from_secs(5)));
    storage.shortage(at(0));
    assert_eq!(storage.poll_timeout(), Some(at(1000)));
    storage.handle_timeout(at(1000));
    assert!(storage.has_failed() && !storage.is_short());
    assert_eq!(storage.poll_timeout(), Some(at(5000)));
}

impl Machine for StorageBackoff {
    fn poll_timeout(&self) -> Option<Instant> {
        StorageBackoff::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        StorageBackoff::handle_timeout(self, now);
    }

    fn poll_all(&mut self, _now: Instant) -> usize {
        count_outputs(|| self.poll_output())
    }
}

proptest! {
    #[test]
    fn errors_in_any_order_are_waited_out(
        steps in prop::collection::vec((0..6u8, 0..40_000u64), 0..60),
    ) {
        let mut storage = StorageBackoff::new();
        let mut now = 0;
        let mut held = false;
        for (step, wait) in steps {
            match step {
                0 => drop(storage.shortage(at(now))),
                1 => drop(storage.failed(at(now), at(now), Some(Duration::from_secs(10)))),
                2 => drop(storage.failed(at(now), at(now / 2), None)),
                3 => drop(storage.cleared(at(now))),
                4 => storage.attempt_wanted(at(now)),
                _ => now += wait,
            }
            // Each change is put out.
            if outputs(&mut storage).contains(&StorageOutput::Hold) {
                held = storage.is_held();
            }
            prop_assert_eq!(held, storage.is_held());
            check_contract(&mut storage, at(now));
            held = storage.is_held();
        }
        storage.cleared(at(now));
        check_contract(&mut storage, at(now + 30_000));
        prop_assert!(!storage.is_held());
        prop_assert_eq!(storage.poll_timeout(), None);
    }
}
