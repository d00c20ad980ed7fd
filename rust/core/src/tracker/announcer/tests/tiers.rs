//! Several trackers (BEP 12): whose turn it is, and lists that change.

use std::collections::HashSet;

use super::*;
use crate::tracker::TrackerState;
use crate::tracker::announcer::tiers::MAX_TRACKERS;

#[test]
fn failures_fall_through_the_tiers_and_come_back_with_growing_waits() {
    let mut world = World::started("a | b | c");
    let a = world.one("a:started");
    assert_eq!(world.fail(a), 1);
    let b = world.one("b:started");
    assert_eq!(world.fail(b), 1);
    let c = world.one("c:started");
    world.reply(c);
    world.silent();
    world.sleep(17);
    let (words, ids) = world.sent();
    assert_eq!(words, "a:started b:started");
    assert_eq!(world.fail(ids[0]), 2);
    world.fail(ids[1]);
    let row = world.row(0);
    assert_eq!(
        (row.state, row.last_error.as_str()),
        (TrackerState::Error, "no")
    );
    world.sleep(55);
    let (words, ids) = world.sent();
    assert_eq!(words, "a:started b:started");
    // As soon as the first is back it has all to itself.
    world.reply(ids[0]);
    world.fail(ids[1]);
    world.sleep(1800);
    let a = world.one("a:");
    assert_eq!(world.row(2).next_announce, None, "c is left alone");
    // But c still knows us, and takes over at once when the others fail.
    world.fail(a);
    let (words, _) = world.sent();
    assert_eq!(words, "b:started c:");
    world.announcer.stop();
    assert_eq!(world.sent().0, "a:stopped b:stopped c:stopped");
}

#[test]
fn the_tracker_that_answers_moves_to_the_front_of_its_tier() {
    let mut world = World::started("a b c | d");
    let mut tried = Vec::new();
    let working = loop {
        let (words, ids) = world.sent();
        tried.push(words);
        if tried.len() == 3 {
            break ids[0];
        }
        world.fail(ids[0]);
    };
    world.reply(working);
    world.sleep(1800);
    assert_eq!(
        world.sent().0,
        tried[2].replace("started", ""),
        "and shields the failing ones"
    );
    let mut sorted = tried.clone();
    sorted.sort();
    assert_eq!(sorted, ["a:started", "b:started", "c:started"]);
    let urls: Vec<String> = world
        .announcer
        .status(at(0))
        .into_iter()
        .map(|row| row.url)
        .collect();
    assert_eq!(
        urls,
        ["http://a/", "http://b/", "http://c/", "http://d/"],
        "rows stay put"
    );
}

#[test]
fn the_seed_shuffles_within_tiers_only() {
    let text = "a b c d e f g h | i";
    let first = |seed| {
        let mut announcer = announcer(seed);
        announcer.set_tiers(at(0), &tiers(text));
        announcer.start(at(0));
        let mut world = World { announcer, now: 0 };
        world.poll().remove(0).url
    };
    let firsts: HashSet<String> = (0..64).map(first).collect();
    assert_eq!(firsts.len(), 8);
    assert!(!firsts.contains("http://i/"));
    assert_eq!(first(3), first(3));
}

#[test]
fn unusable_urls_are_shown_and_skipped() {
    let mut announcer = announcer(0);
    let urls = [
        "wss://t:80/announce",
        " ",
        "no url",
        "http://a/",
        " http://a/ ",
    ];
    announcer.set_tiers(at(0), &[urls.map(str::to_owned).to_vec()]);
    announcer.start(at(0));
    announcer.reannounce(at(0), Some(0), false);
    let mut world = World { announcer, now: 0 };
    let id = world.one("a:started");
    world.reply(id);
    let rows = world.announcer.status(at(0));
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0].state, TrackerState::Error);
    assert_eq!(rows[0].last_error, "wss trackers are not supported");
    assert!(rows[1].last_error.starts_with("not a valid URL"));
    assert_eq!((rows[0].fails, rows[0].next_announce), (0, None));
    assert_eq!(rows[2].state, TrackerState::Working);
}

#[test]
fn changed_tiers_keep_what_is_known() {
    let mut world = World::started("a | b");
    let a = world.one("a:started");
    world.fail(a);
    let b = world.one("b:started");
    world.reply(b);
    world.announcer.set_tiers(at(0), &tiers("c | b a"));
    let c = world.one("c:started");
    assert!(world.row(1).verified && world.row(1).tier == 1);
    assert_eq!(world.row(2).fails, 1);
    world.fail(c);
    world.silent();
    // b knows us and goes; an announce to c is under way and does not count
    // any more; a has never answered.
    world.sleep(17);
    let c = world.one("c:started");
    world.announcer.set_tiers(world.time(), &tiers("d"));
    assert_eq!(world.sent().0, "c:stopped b:stopped d:started");
    let late = world.announcer.on_reply(world.time(), c, &Reply::default());
    assert_eq!(late, None);
    world.announcer.set_tiers(world.time(), &[]);
    assert_eq!(world.sent().0, "d:stopped");
    assert!(world.announcer.is_quiet());
}

#[test]
fn the_number_of_trackers_is_bounded() {
    let mut announcer = announcer(0);
    let many = (0..2000)
        .map(|n| vec![format!("http://t/{n}")])
        .collect::<Vec<_>>();
    announcer.set_tiers(at(0), &many);
    assert_eq!(announcer.status(at(0)).len(), MAX_TRACKERS);
}

fn all(trackers: bool, tiers: bool) -> AnnouncerSettings {
    AnnouncerSettings {
        all_trackers: trackers,
        all_tiers: tiers,
        ..AnnouncerSettings::default()
    }
}

#[test]
fn more_trackers_are_asked_when_the_settings_say_so() {
    let asked = |settings| {
        let mut world = World::with(settings, &[V4], "a b | c d | e");
        world.announcer.start(at(0));
        let (words, _) = world.sent();
        let tier = |word: &str| match &word[..1] {
            "a" | "b" => 0,
            "c" | "d" => 1,
            _ => 2,
        };
        let mut tiers: Vec<_> = words.split(' ').map(tier).collect();
        tiers.sort_unstable();
        tiers
    };
    assert_eq!(asked(all(false, false)), [0]);
    assert_eq!(asked(all(true, false)), [0, 0]);
    assert_eq!(asked(all(false, true)), [0, 1, 2]);
    assert_eq!(asked(all(true, true)), [0, 0, 1, 1, 2]);
}

#[test]
fn a_changed_setting_counts_at_once() {
    let mut world = World::started("a | b");
    let id = world.one("a:started");
    world.reply(id);
    world.announcer.set_settings(at(0), all(false, true));
    let id = world.one("b:started");
    world.reply(id);
    world.announcer.set_enabled(at(0), false);
    assert_eq!(world.announcer.poll_timeout(), None);
    let quiet = AnnouncerSettings {
        announce_stopped: false,
        ..AnnouncerSettings::default()
    };
    world.announcer.set_settings(at(0), quiet);
    world.announcer.stop();
    world.silent();
    assert!(world.announcer.is_quiet());
}

#[test]
fn a_tracker_by_udp_comes_before_the_same_by_http() {
    let list = |tiers: &[&[&str]]| -> Vec<Vec<String>> {
        let own = |tier: &&[&str]| tier.iter().map(|&url| url.to_owned()).collect();
        tiers.iter().map(own).collect()
    };
    let first = |settings, tiers: &[Vec<String>]| {
        let mut announcer = Announcer::new(settings, vec![V4.parse().unwrap()], 7);
        announcer.set_tiers(at(0), tiers);
        announcer.start(at(0));
        World { announcer, now: 0 }.poll().remove(0).url
    };
    let apart = list(&[&["http://a/x"], &["http://b/"], &["udp://b:1", "udp://a:1"]]);
    let together = list(&[&["udp://a:1", "http://a/x"]]);
    let settings = AnnouncerSettings::default();
    assert_eq!(first(settings, &apart), "udp://a:1");
    assert_eq!(first(settings, &together), "udp://a:1");
    let settings = AnnouncerSettings {
        prefer_udp: false,
        ..settings
    };
    assert_eq!(first(settings, &apart), "http://a/x");
}
