//! Checks, saved records and errors of storage, as the machines of the core have
//! them: scenarios like libtorrent's test_checking, test_save_resume and
//! test_error_handling.

mod support;

use std::time::Duration;

use support::{millis, seconds};
use torrent_sim::{DiskFault, DiskOp, StorageNode, each_seed};

const PIECES: u32 = 24;

/// A torrent that has everything, and whose record says so.
fn complete(seed: u64) -> StorageNode {
    let mut node = StorageNode::new(seed, PIECES);
    completes(&mut node, seconds(60));
    node
}

fn completes(node: &mut StorageNode, within: Duration) {
    let limit = node.now() + within;
    assert!(
        node.run_until(limit, StorageNode::is_complete),
        "not complete after {within:?}"
    );
}

/// Lets the check come about half way.
fn half_checked(node: &mut StorageNode) {
    let limit = node.now() + seconds(60);
    assert!(node.run_until(limit, |it| it.check_progress() > 0.5));
    assert!(node.is_checking());
}

// ---- as test_checking -------------------------------------------------------

#[test]
fn a_check_finds_what_is_there_and_the_rest_comes_again() {
    each_seed(0..10, |seed| {
        let mut node = complete(seed);
        node.damage(3);
        node.damage(PIECES - 1);
        node.recheck();
        assert!(node.have().none(), "nothing counts before it was seen");
        let limit = node.now() + seconds(60);
        assert!(node.run_until(limit, |it| !it.is_checking()));
        assert_eq!(node.have().count(), PIECES - 2);
        let counters = node.counters();
        assert_eq!((counters.checks, counters.checked), (1, PIECES));
        completes(&mut node, seconds(60));
        assert_eq!(node.counters().errors, 0);
    });
}

#[test]
fn a_check_that_is_cancelled_counts_as_if_it_had_not_been() {
    each_seed(20..30, |seed| {
        let mut node = complete(seed);
        node.recheck();
        half_checked(&mut node);
        node.cancel_check();
        assert!(!node.is_checking());
        node.resume();
        completes(&mut node, seconds(60));
        assert!(node.counters().checked < PIECES);
        // Another one is as good as the first.
        node.recheck();
        completes(&mut node, seconds(60));
        assert_eq!(node.counters().checks, 2);
    });
}

#[test]
fn a_recheck_while_one_waits_or_runs_is_one_check_that_sees_all() {
    each_seed(40..50, |seed| {
        // While it waits for its turn.
        let mut node = complete(seed);
        node.set_may_check(false);
        node.recheck();
        node.run_until(node.now() + seconds(5), |_| false);
        node.recheck();
        node.run_until(node.now() + seconds(5), |_| false);
        assert_eq!((node.counters().checks, node.is_checking()), (0, true));
        node.damage(7);
        node.set_may_check(true);
        completes(&mut node, seconds(60));
        assert_eq!(
            (node.counters().checks, node.counters().checked),
            (1, PIECES)
        );
        // While it runs: it has passed what is damaged now.
        node.recheck();
        half_checked(&mut node);
        node.damage(0);
        node.recheck();
        completes(&mut node, seconds(60));
        assert_eq!(node.counters().checks, 3);
    });
}

#[test]
fn a_check_that_cannot_read_is_an_error_and_done_again_when_that_is_over() {
    each_seed(60..70, |seed| {
        let mut node = complete(seed);
        node.recheck();
        half_checked(&mut node);
        node.fail(DiskOp::Check, DiskFault::Error, Some(1));
        let limit = node.now() + seconds(60);
        assert!(node.run_until(limit, StorageNode::has_failed));
        assert_eq!(node.counters().errors, 1);
        assert!(node.have().none(), "what was not seen does not count");
        let written = node.attempts().get(&DiskOp::Write).copied();
        // Nothing is fetched that may be there.
        node.run_until(node.now() + seconds(500), |_| false);
        assert_eq!(node.attempts().get(&DiskOp::Write).copied(), written);
        completes(&mut node, seconds(300));
        assert_eq!(node.counters().errors, 1);
        assert_eq!(node.attempts().get(&DiskOp::Write).copied(), written);
    });
}

#[test]
fn a_piece_that_cannot_be_read_is_checked_and_not_fetched() {
    each_seed(80..90, |seed| {
        let mut node = complete(seed);
        let written = node.attempts().get(&DiskOp::Write).copied();
        node.fail(DiskOp::Read, DiskFault::Error, Some(1));
        node.read(5);
        let limit = node.now() + seconds(5);
        assert!(node.run_until(limit, StorageNode::has_failed));
        assert_eq!(node.have().count(), PIECES - 1);
        completes(&mut node, seconds(900));
        let counters = node.counters();
        assert_eq!(
            (counters.checks, counters.checked),
            (1, 1),
            "that piece alone"
        );
        assert_eq!(node.attempts().get(&DiskOp::Write).copied(), written);
    });
}

// ---- as test_save_resume ----------------------------------------------------

#[test]
fn whenever_the_power_goes_the_record_claims_only_what_was_synced() {
    // So many that some arrive while others are synced.
    let pieces = 60;
    each_seed(100..102, |seed| {
        let mut whole = StorageNode::new(seed, pieces);
        completes(&mut whole, seconds(60));
        for event in 0..whole.events() {
            let mut node = StorageNode::new(seed, pieces);
            for _ in 0..event {
                node.step(seconds(60));
            }
            let claimed = node.record().cloned();
            let mut node = node.lose_power();
            assert_eq!(node.record().cloned(), claimed);
            // What it claims is there, and the rest comes.
            completes(&mut node, seconds(60));
            let checked = node.counters().checked;
            assert!(
                checked == 0 || claimed.is_none(),
                "a record spares the check"
            );
        }
    });
}

#[test]
fn power_failures_in_a_check_lose_nothing_that_is_there() {
    each_seed(120..124, |seed| {
        for steps in 0..120 {
            let mut node = complete(seed);
            let written = node.attempts().get(&DiskOp::Write).copied();
            node.recheck();
            for _ in 0..steps {
                node.step(node.now() + seconds(1));
            }
            let mut node = node.lose_power();
            completes(&mut node, seconds(60));
            assert_eq!(node.attempts().get(&DiskOp::Write).copied(), written);
        }
    });
}

#[test]
fn active_time_goes_on_over_power_failures_and_stands_while_paused() {
    each_seed(140..144, |seed| {
        let mut node = complete(seed);
        for _ in 0..5 {
            node.run_until(node.now() + seconds(100), |_| false);
            node.recheck();
            completes(&mut node, seconds(60));
            // What a check finds is saved soon.
            node.run_until(node.now() + seconds(3), |_| false);
            node = node.lose_power();
        }
        // Of each run all is in the record but what came after its last one.
        let total = node.record().unwrap().active_time;
        assert!(total <= node.now().as_secs());
        assert!(total + 5 * 2 > 500, "{total} s of {:?}", node.now());
    });
}

#[test]
fn records_are_saved_as_often_as_something_changes_and_no_oftener() {
    let mut node = complete(160);
    let (records, events) = (node.counters().records, node.events());
    // One that says nothing new may be under way.
    node.run_until(node.now() + seconds(3600), |_| false);
    assert!(node.counters().records <= records + 1);
    // Peers knock 25 times a second; beside that a wake a minute.
    let arrivals = 3600 * 25;
    assert!(node.events() - events < arrivals + 100);
}

// ---- as test_error_handling -------------------------------------------------

#[test]
fn each_operation_fails_once_and_all_is_well_in_the_end() {
    for op in DiskOp::ALL {
        for fault in [DiskFault::Error, DiskFault::Shortage] {
            each_seed(200..206, |seed| {
                let mut node = StorageNode::new(seed, PIECES);
                node.run_until(millis(300 + 40 * (seed % 6)), |_| false);
                node.fail(op, fault, Some(1));
                node.read(0);
                node.recheck();
                completes(&mut node, seconds(1500));
                let errors = node.counters().errors;
                assert!(errors <= 1, "{op:?} {fault:?}: {errors} errors");
                assert!(
                    fault == DiskFault::Error || errors == 0,
                    "{op:?}: no error of ours"
                );
            });
        }
    }
}

#[test]
fn each_operation_fails_for_ever_and_is_tried_now_and_then() {
    for op in DiskOp::ALL {
        for fault in [DiskFault::Error, DiskFault::Shortage] {
            each_seed(300..302, |seed| {
                let mut node = StorageNode::new(seed, PIECES);
                node.run_until(millis(300), |_| false);
                node.fail(op, fault, None);
                node.read(0);
                node.recheck();
                let before = node.attempts().get(&op).copied().unwrap_or(0);
                node.run_until(seconds(900), |_| false);
                let tried = node.attempts().get(&op).copied().unwrap_or(0) - before;
                assert!(
                    tried <= 900,
                    "{op:?} {fault:?}: tried {tried} times in a quarter of an hour"
                );
                if !matches!(op, DiskOp::Read) {
                    assert!(!node.is_complete(), "{op:?} {fault:?}");
                }
                // It works again, at once or after the pause that was begun.
                node.repair();
                completes(&mut node, seconds(1500));
            });
        }
    }
}
