//! One tracker from start to stop: intervals, failures, what the tracker asks
//! for, and calls out of turn.

use std::collections::HashMap;

use super::*;
use crate::tracker::TrackerState;

#[test]
fn one_tracker_from_start_to_stop() {
    let mut world = World::new("a");
    assert_eq!(world.row(0).state, TrackerState::NotContacted);
    assert_eq!(world.row(0).next_announce, None);
    world.announcer.start(at(0));
    assert_eq!(world.row(0).state, TrackerState::Updating);
    let id = world.one("a:started");
    assert_eq!(
        world.announcer.poll_timeout(),
        None,
        "nothing until it answers"
    );
    world.reply_with(
        id,
        &Reply {
            interval: Duration::from_secs(600),
            tracker_id: Some(b"tid".to_vec()),
            warning: Some("hm".to_owned()),
            complete: Some(3),
            ..Reply::default()
        },
    );
    let row = world.row(0);
    assert_eq!(
        (row.state, row.verified, row.fails),
        (TrackerState::Working, true, 0)
    );
    assert_eq!((row.message.as_str(), row.last_error.as_str()), ("hm", ""));
    assert_eq!(row.next_announce, Some(Duration::from_secs(600)));
    assert_eq!(row.min_announce, Duration::from_secs(30));
    assert_eq!(world.announcer.last_working(), Some("http://a/"));
    assert_eq!(world.announcer.swarm(), seeds(3));
    world.silent();
    world.sleep(600);
    let request = world.poll().remove(0);
    assert_eq!(
        (request.event, request.num_want),
        (AnnounceEvent::None, 200)
    );
    assert_eq!(request.tracker_id.as_deref(), Some(&b"tid"[..]));
    world.reply(request.id);
    assert_eq!(
        world.row(0).message,
        "",
        "the warning is gone with the next answer"
    );
    assert_eq!(world.announcer.swarm(), seeds(3), "the numbers are not");
    world.announcer.stop();
    assert!(!world.announcer.is_quiet());
    let request = world.poll().remove(0);
    assert_eq!(
        (request.event, request.num_want),
        (AnnounceEvent::Stopped, 0)
    );
    world.reply(request.id);
    assert!(world.announcer.is_quiet());
    assert_eq!(world.announcer.poll_timeout(), None);
    world.announcer.start(world.time());
    world.one("a:started");
}

#[test]
fn the_shorter_interval_is_ours_to_refuse() {
    let mut world = World::started("a");
    let id = world.one("a:started");
    let interval = Duration::from_secs(60);
    world.reply_with(
        id,
        &Reply {
            interval,
            ..Reply::default()
        },
    );
    world.sleep(300);
    let id = world.one("a:");
    let min_interval = Duration::from_secs(4000);
    world.reply_with(
        id,
        &Reply {
            min_interval,
            ..Reply::default()
        },
    );
    world.sleep(4000);
}

#[test]
fn trackers_say_when_they_want_us_back() {
    let mut world = World::started("a");
    let a = world.one("a:started");
    let after = failure(Retry::After(Duration::from_secs(900)));
    world.announcer.on_failure(at(0), a, &after);
    world.sleep(900);
    let a = world.one("a:started");
    world
        .announcer
        .on_failure(world.time(), a, &failure(Retry::Never));
    assert_eq!(world.announcer.poll_timeout(), None);
    world.announcer.reannounce(world.time(), None, false);
    world.silent();
    assert_eq!(world.row(0).state, TrackerState::Error);
    world.announcer.reannounce(world.time(), Some(0), false);
    world.one("a:started");
}

#[test]
fn reannouncing_respects_the_trackers_minimum() {
    let mut world = World::started("a | b");
    let a = world.one("a:started");
    world.announcer.reannounce(at(0), None, false);
    world.silent();
    world.reply(a);
    world.announcer.reannounce(at(0), None, false);
    world.silent();
    world.sleep(30);
    let a = world.one("a:");
    world.reply(a);
    // A tracker out of its turn, by its row.
    world.announcer.reannounce(world.time(), Some(1), false);
    let b = world.one("b:started");
    world.reply(b);
    world.announcer.reannounce(world.time(), Some(2), false);
    world.silent();
    // A failing one need not wait.
    world.sleep(1800);
    let a = world.one("a:");
    world.fail(a);
    let b = world.one("b:");
    world.reply(b);
    world.announcer.reannounce(world.time(), None, false);
    world.one("a:");
}

#[test]
fn the_minimum_can_be_ignored() {
    let mut world = World::started("a");
    let id = world.one("a:started");
    world.reply(id);
    world.announcer.reannounce(at(0), None, false);
    world.silent();
    world.announcer.reannounce(at(0), None, true);
    world.one("a:");
}

#[test]
fn a_tracker_beyond_its_fail_limit_is_left_alone() {
    let mut world = World::new("a");
    let limits = HashMap::from([("http://a/".to_owned(), 2)]);
    world.announcer.set_fail_limits(at(0), limits);
    world.announcer.start(at(0));
    let id = world.one("a:started");
    world.fail(id);
    world.sleep(17);
    let id = world.one("a:started");
    assert_eq!(world.fail(id), 2);
    assert_eq!(world.announcer.poll_timeout(), None);
    assert_eq!(
        (world.row(0).fail_limit, world.row(0).state),
        (2, TrackerState::Error)
    );
}

#[test]
fn a_new_tracker_id_is_news_once() {
    let mut world = World::started("a");
    let id = world.one("a:started");
    let reply = Reply {
        tracker_id: Some(b"x".to_vec()),
        ..Reply::default()
    };
    let answered = world.announcer.on_reply(at(0), id, &reply).unwrap();
    assert_eq!(answered.new_tracker_id.as_deref(), Some(&b"x"[..]));
    world.sleep(1800);
    let id = world.one("a:");
    let answered = world.announcer.on_reply(world.time(), id, &reply).unwrap();
    assert_eq!(answered.new_tracker_id, None);
}

#[test]
fn stopping_takes_back_what_was_not_sent_and_forgets_what_was() {
    let mut world = World::started("a");
    world.announcer.stop();
    world.silent();
    world.announcer.start(at(0));
    let started = world.one("a:started");
    world.announcer.stop();
    let stopped = world.one("a:stopped");
    let late = world.announcer.on_reply(at(0), started, &Reply::default());
    assert_eq!(late, None);
    assert_eq!(
        world
            .announcer
            .on_failure(at(0), started, &failure(Retry::Never)),
        None
    );
    assert!(!world.announcer.is_quiet());
    // It is announced once, received or not.
    world.fail(stopped);
    assert!(world.announcer.is_quiet());
    world.announcer.stop();
    world.silent();
    assert_eq!(world.announcer.poll_timeout(), None);
}

#[test]
fn a_restart_waits_for_the_stop_to_be_told() {
    let mut world = World::started("a");
    let id = world.one("a:started");
    world.reply(id);
    world.announcer.stop();
    world.announcer.start(at(0));
    let id = world.one("a:stopped");
    world.reply(id);
    world.one("a:started");
}

#[test]
fn trackers_count_the_time_of_a_sleep_that_our_clock_does_not() {
    let seconds = Duration::from_secs;
    let mut world = World::started("a b");
    let first = world.poll().remove(0);
    let reply = Reply {
        interval: seconds(1800),
        min_interval: seconds(600),
        ..Reply::default()
    };
    world.reply_with(first.id, &reply);
    // As if it had not slept.
    world.announcer.woke_up(world.time(), seconds(1000));
    world.silent();
    assert_eq!(world.announcer.poll_timeout(), Some(at(800_000)));
    world.announcer.woke_up(world.time(), seconds(0));
    assert_eq!(world.announcer.poll_timeout(), Some(at(800_000)));
    // The interval is over, and is not made up for.
    world.announcer.woke_up(world.time(), seconds(20_000));
    let again = world.poll();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].event, AnnounceEvent::None);
    // One that is on its way has its answer to come.
    world.announcer.woke_up(world.time(), seconds(20_000));
    world.silent();
    // The wait after a failure passes too, and ends no failure.
    world.fail(again[0].id);
    let fails = |world: &World| world.row(0).fails.max(world.row(1).fails);
    assert_eq!(fails(&world), 1);
    let other = world.poll().remove(0);
    assert_ne!(other.url, again[0].url);
    world.announcer.woke_up(world.time(), seconds(10));
    world.silent();
    world.announcer.woke_up(world.time(), seconds(8));
    assert_eq!(world.poll().remove(0).url, again[0].url);
    assert_eq!(fails(&world), 1);
    // No clock goes back for ever.
    world.announcer.woke_up(world.time(), Duration::MAX);
}

#[test]
fn a_sleep_is_one_announce() {
    let mut world = World::started("a");
    let first = world.poll().remove(0);
    world.reply(first.id);
    for _ in 0..3 {
        world.now += 24 * 3600;
        let now = world.time();
        world.announcer.handle_timeout(now);
        let again = world.poll().remove(0);
        check_contract(&mut world.announcer, now);
        world.reply(again.id);
    }
}
