use std::time::Duration;

use crate::testing::at;
use crate::utp::UtpSettings;
use crate::utp::congestion::{AckInfo, Congestion};
use crate::utp::delay::Delays;
use crate::utp::rtt::Rtt;

use super::Bench;

fn ack(acked: usize, in_flight: usize, delay: u64) -> AckInfo {
    AckInfo {
        acked,
        in_flight,
        delay: Duration::from_millis(delay),
        recovering: false,
        new_round: true,
    }
}

fn settings() -> UtpSettings {
    UtpSettings::default()
}

#[test]
fn slow_start_doubles_the_window_and_ends_at_the_first_delay() {
    let mut congestion = Congestion::new(1000);
    for _ in 0..5 {
        let window = congestion.window();
        congestion.acked(&settings(), ack(window, window, 1));
        assert_eq!(congestion.window(), 2 * window);
    }
    let window = congestion.window();
    congestion.acked(&settings(), ack(window, window, 110));
    assert!(!congestion.is_slow_start());
    assert_eq!(congestion.window(), window / 2);
    // Now in proportion to what is missing to the target.
    for (delay, grown) in [(0, 3000), (50, 1500), (99, 30)] {
        let mut congestion = congestion.clone();
        let before = congestion.window();
        congestion.acked(&settings(), ack(before, before, delay));
        let now = congestion.window() - before;
        assert!(now.abs_diff(grown) <= 1, "{now} at {delay} ms");
    }
}

#[test]
fn slow_start_ends_at_the_first_loss() {
    let mut congestion = Congestion::new(1000);
    let window = congestion.window();
    assert!(congestion.lost(&settings(), at(0)));
    assert!(!congestion.is_slow_start());
    assert_eq!(congestion.window(), window / 2);
    // Losses close together are one.
    assert!(!congestion.lost(&settings(), at(99)));
    assert!(congestion.lost(&settings(), at(100)));
    for time in 2..100 {
        congestion.lost(&settings(), at(time * 100));
        assert!(congestion.window() >= 1000, "one packet at least");
    }
}

#[test]
fn a_loss_without_a_queue_cuts_half_as_much() {
    // What the delay was before, and at the loss; what is left of the window.
    let table = [
        (0, 0, 75),
        (4, 4, 75),
        (80, 20, 75),
        // A short queue that is as long as it gets.
        (10, 10, 50),
        (20, 15, 50),
        (80, 30, 50),
        (99, 99, 50),
    ];
    for (before, now, left) in table {
        let mut congestion = Congestion::new(1000);
        for delay in [before, now] {
            congestion.acked(&settings(), ack(500, 500, delay));
        }
        let window = congestion.window();
        assert!(congestion.lost(&settings(), at(0)));
        let expected = window * left / 100;
        assert_eq!(congestion.window(), expected, "{before} ms, {now} ms");
    }
}

#[test]
fn more_delay_than_the_target_shrinks_the_window_down_to_one_packet() {
    let mut congestion = Congestion::new(1000);
    for _ in 0..1000 {
        let window = congestion.window();
        congestion.acked(&settings(), ack(window, window, 200));
        assert!(congestion.window() <= window);
        assert!(congestion.window() >= 1000);
    }
    assert_eq!(congestion.window(), 1000);
}

#[test]
fn the_window_does_not_grow_while_it_is_not_full() {
    let mut congestion = Congestion::new(1000);
    let window = congestion.window();
    for _ in 0..100 {
        congestion.acked(&settings(), ack(1000, 2000, 0));
    }
    assert_eq!(congestion.window(), window);
    congestion.lost(&settings(), at(0));
    let window = congestion.window();
    for _ in 0..100 {
        congestion.acked(&settings(), ack(500, 500, 0));
    }
    assert_eq!(congestion.window(), window);
}

#[test]
fn a_connection_that_is_idle_begins_again() {
    let mut congestion = Congestion::new(1000);
    for _ in 0..5 {
        let window = congestion.window();
        congestion.acked(&settings(), ack(window, window, 1));
    }
    let window = congestion.window();
    let second = Duration::from_secs(1);
    congestion.idled(second, second);
    assert_eq!(congestion.window(), window / 2);
    congestion.idled(second * 100, second);
    assert_eq!(congestion.window(), 4000);
}

#[test]
fn small_writes_never_open_the_window() {
    let mut bench = Bench::connected();
    let window = bench.window();
    for _ in 0..100 {
        bench.write(100);
        assert_eq!(bench.sent().len(), 1);
        bench.ack = bench.ack.plus(1);
        bench.now += 20;
        bench.give(&bench.state());
    }
    assert_eq!(bench.window(), window);
}

#[test]
fn delays_count_from_the_lowest_of_the_last_minutes() {
    let mut delays = Delays::default();
    let base = u32::MAX - 50_000;
    let mut report = |time: u64, micros: u32| {
        delays
            .reported(at(time), base.wrapping_add(micros))
            .as_micros()
    };
    assert_eq!(report(0, 20_000), 0);
    // The clock wraps in between; of three samples the lowest one counts.
    report(1, 90_000);
    report(2, 90_000);
    assert_eq!(report(3, 90_000), 70_000);
    report(4, 200_000);
    assert_eq!(report(5, 90_000), 70_000);
    assert_eq!(report(6, 10_000), 0);
    // The way has become longer: after twenty minutes that is its length.
    let mut last = 0;
    for minute in 0..21 {
        for sample in 0..130 {
            last = report(10_000 + minute * 61_000 + sample * 450, 110_000);
        }
        assert!(minute >= 19 || last == 100_000, "{minute}: {last}");
    }
    assert_eq!(last, 0);
}

#[test]
fn clocks_that_drift_apart_are_no_delay() {
    let mut delays = Delays::default();
    let mut last = Duration::ZERO;
    for minute in 0..10_u32 {
        for sample in 0..130_u32 {
            let now = at(u64::from(minute) * 60_000 + u64::from(sample) * 450);
            // 100 microseconds in each second, by which their clock goes ahead.
            let drift = minute * 6_000 + sample * 45;
            delays.arrived(now, 1_000_000 - drift);
            last = delays.reported(now, 2_000_000 + drift);
        }
    }
    assert!(last < Duration::from_millis(2), "{last:?}");
}

#[test]
fn the_time_out_follows_round_trips_and_doubles() {
    let millis = Duration::from_millis;
    let mut rtt = Rtt::default();
    assert_eq!(rtt.timeout(millis(500), 0), millis(1000));
    for _ in 0..100 {
        rtt.add(millis(300));
    }
    let smoothed = rtt.smoothed().unwrap();
    assert!(smoothed.abs_diff(millis(300)) < millis(1), "{smoothed:?}");
    assert_eq!(rtt.timeout(millis(500), 0), millis(500));
    assert_eq!(rtt.timeout(millis(500), 2), millis(2000));
    assert_eq!(rtt.timeout(millis(500), 60), millis(60_000));
    rtt.add(millis(2000));
    assert!(rtt.timeout(millis(500), 0) > millis(2000));
}
