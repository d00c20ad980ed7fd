//! Which trackers learn that the torrent is complete, and how often (BEP 3, 21).

use super::*;

#[test]
fn completion_is_told_at_once_and_once() {
    let mut world = World::started("a");
    let id = world.one("a:started");
    world.announcer.completed(at(0));
    world.silent();
    world.reply(id);
    let id = world.one("a:completed");
    world.reply(id);
    world.announcer.completed(world.time());
    world.silent();
    world.sleep(1800);
    world.one("a:");
}

#[test]
fn completion_reaches_every_tracker_that_knows_us() {
    let mut world = World::started("a | b | c");
    let a = world.one("a:started");
    world.fail(a);
    let b = world.one("b:started");
    world.reply(b);
    world.sleep(17);
    let a = world.one("a:started");
    world.reply(a);
    world.announcer.completed(world.time());
    let (words, ids) = world.sent();
    assert_eq!(words, "a:completed b:completed", "c has never heard of us");
    world.reply(ids[0]);
    // The other one is tried again until it knows.
    world.fail(ids[1]);
    world.sleep(17);
    let b = world.one("b:completed");
    world.reply(b);
    world.announcer.stop();
    assert_eq!(world.sent().0, "a:stopped b:stopped");
}

#[test]
fn a_seed_never_completes() {
    let mut world = World::new("a");
    world.announcer.completed(at(0));
    world.announcer.start(at(0));
    let id = world.one("a:started");
    world.reply(id);
    world.silent();
    world.sleep(1800);
    world.one("a:");
}

#[test]
fn who_only_uploads_says_so() {
    let mut world = World::started("a");
    let id = world.one("a:started");
    world.reply(id);
    world.announcer.set_upload_only(true);
    world.sleep(1800);
    world.one("a:paused");
}

#[test]
fn what_is_not_complete_any_more_is_not_said_to_be() {
    let mut world = World::started("a");
    let id = world.one("a:started");
    world.reply(id);
    world.announcer.completed(world.time());
    let id = world.one("a:completed");
    world.reply(id);
    world.announcer.incomplete();
    world.announcer.set_upload_only(true);
    world.sleep(1800);
    let id = world.one("a:paused");
    world.reply(id);
    // The repair is announced at once, and is no download.
    world.announcer.completed(world.time());
    let id = world.one("a:");
    world.reply(id);
    world.silent();
    world.sleep(1800);
    world.one("a:");
}

#[test]
fn a_seed_that_is_damaged_and_repaired_says_so() {
    let mut world = World::new("a");
    world.announcer.completed(at(0));
    world.announcer.start(at(0));
    let id = world.one("a:started");
    world.reply(id);
    // It is checked, and something is missing.
    world.announcer.stop();
    let id = world.one("a:stopped");
    world.announcer.incomplete();
    world.reply(id);
    world.announcer.start(world.time());
    let started = world.one("a:started");
    // Repaired before the tracker has answered.
    world.announcer.completed(world.time());
    world.silent();
    world.reply(started);
    let id = world.one("a:");
    world.fail(id);
    // It is announced when the tracker's minimal interval is over.
    world.sleep(30);
    let id = world.one("a:");
    world.reply(id);
    world.silent();
}

#[test]
fn a_seed_that_stops_before_an_answer_is_known_as_one() {
    let mut world = World::new("a");
    world.announcer.completed(at(0));
    world.announcer.start(at(0));
    world.one("a:started");
    // The tracker has read the announce, its answer comes too late.
    world.announcer.stop();
    let id = world.one("a:stopped");
    world.announcer.incomplete();
    world.reply(id);
    world.announcer.start(world.time());
    let id = world.one("a:started");
    world.reply(id);
    // The repair is no download.
    world.announcer.completed(world.time());
    world.one("a:");
}

#[test]
fn damage_that_no_tracker_heard_of_is_no_news() {
    let mut world = two_endpoints(AnnouncerSettings::default(), "a");
    let (_, ids) = sent_from(&mut world);
    ids.into_iter().for_each(|id| world.reply(id));
    world.announcer.completed(world.time());
    let (words, ids) = sent_from(&mut world);
    assert_eq!(words, "4a:completed");
    world.reply(ids[0]);
    world.announcer.incomplete();
    world.announcer.completed(world.time());
    world.silent();
}
