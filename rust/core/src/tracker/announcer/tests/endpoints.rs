//! Several endpoints of ours: each is announced on its own, and not each
//! reaches every tracker.

use super::*;
use crate::tracker::TrackerState;

#[test]
fn each_endpoint_is_announced_on_its_own() {
    let mut world = two_endpoints(AnnouncerSettings::default(), "a | b");
    let (words, ids) = sent_from(&mut world);
    assert_eq!(words, "4a:started 6a:started");
    world.reply(ids[0]);
    assert_eq!(world.row(0).state, TrackerState::Updating);
    assert_eq!(world.fail(ids[1]), 1);
    let (words, ids) = sent_from(&mut world);
    assert_eq!(words, "6b:started", "a works for the other one");
    world.reply_with(
        ids[0],
        &Reply {
            complete: Some(3),
            ..Reply::default()
        },
    );
    let row = world.row(0);
    assert_eq!((row.state, row.fails), (TrackerState::Working, 0));
    assert_eq!(row.last_error, "", "the one that works speaks");
    assert_eq!(row.next_announce, Some(Duration::from_millis(17_500)));
    let fails: Vec<_> = row.endpoints.iter().map(|row| row.fails).collect();
    assert_eq!(fails, [0, 1]);
    assert_eq!(row.endpoints[1].last_error, "no");
    assert!(row.endpoints[0].start_sent && !row.endpoints[1].start_sent);
    assert_eq!(world.announcer.swarm(), seeds(3));
    world.sleep(17);
    let (words, ids) = sent_from(&mut world);
    assert_eq!(words, "6a:started");
    world.reply(ids[0]);
    // One download is counted once, even by the endpoints of two trackers.
    world.announcer.completed(world.time());
    let (words, ids) = sent_from(&mut world);
    assert_eq!(words, "4a:completed 6b:completed");
    world.fail(ids[0]);
    let (words, _) = sent_from(&mut world);
    assert_eq!(words, "4b:started 6a:completed");
    world.announcer.stop();
    let (words, _) = sent_from(&mut world);
    assert_eq!(words, "4a:stopped 6a:stopped 4b:stopped 6b:stopped");
}

#[test]
fn an_endpoint_that_does_not_reach_a_tracker_is_no_failure_of_its() {
    let mut world = two_endpoints(AnnouncerSettings::default(), "a | b");
    let (_, ids) = sent_from(&mut world);
    world.reply(ids[0]);
    let away = failure(Retry::NotFromHere);
    assert_eq!(world.announcer.on_failure(at(0), ids[1], &away), None);
    let (words, ids) = sent_from(&mut world);
    assert_eq!(words, "6b:started");
    assert_eq!(
        world.announcer.on_failure(at(0), ids[0], &away),
        None,
        "the other endpoint may reach it"
    );
    let row = world.row(0);
    assert_eq!(row.state, TrackerState::Working);
    assert!(!row.endpoints[1].enabled);
    world.sleep(1800);
    assert_eq!(sent_from(&mut world).0, "4a:");
    // Networks change.
    world.sleep(1800);
    assert_eq!(sent_from(&mut world).0, "6a:started 6b:started");
}

#[test]
fn a_tracker_that_no_endpoint_reaches_has_failed() {
    let mut world = World::started("a");
    let id = world.one("a:started");
    let away = failure(Retry::NotFromHere);
    assert_eq!(world.announcer.on_failure(at(0), id, &away), Some(1));
    let row = world.row(0);
    assert_eq!(
        (row.state, row.last_error.as_str()),
        (TrackerState::Error, "no")
    );
    world.announcer.reannounce(at(0), None, false);
    world.one("a:started");
}

#[test]
fn endpoints_come_and_go() {
    let mut world = World::started("a");
    let id = world.one("a:started");
    world.reply(id);
    let both = vec![V6.parse().unwrap(), V4.parse().unwrap()];
    world.announcer.set_endpoints(at(0), both);
    assert_eq!(sent_from(&mut world).0, "6a:started");
    world
        .announcer
        .set_endpoints(at(0), vec![V4.parse().unwrap()]);
    world.silent();
    assert_eq!(world.row(0).endpoints.len(), 1);
    world.announcer.stop();
    assert_eq!(sent_from(&mut world).0, "4a:stopped");
}
