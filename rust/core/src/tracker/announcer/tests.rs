use std::collections::HashMap;

use proptest::prelude::*;

use super::super::{Retry, TrackerState};
use super::*;
use crate::testing::at;

const V4: &str = "0.0.0.0:6881";
const V6: &str = "[::]:6881";

fn announcer(seed: u64) -> Announcer {
    Announcer::new(
        AnnouncerSettings::default(),
        vec![V4.parse().unwrap()],
        seed,
    )
}

fn seeds(complete: u32) -> ScrapeReply {
    ScrapeReply {
        complete: Some(complete),
        ..ScrapeReply::default()
    }
}

/// An announcer with a clock in seconds; tracker `a` is `http://a/`.
struct World {
    announcer: Announcer,
    now: u64,
}

fn tiers(text: &str) -> Vec<Vec<String>> {
    text.split('|')
        .map(|tier| {
            tier.split_whitespace()
                .map(|name| format!("http://{name}/"))
                .collect()
        })
        .collect()
}

fn failure(retry: Retry) -> Failure {
    Failure {
        message: "no".to_owned(),
        retry,
    }
}

impl World {
    /// Tiers are separated by bars: "a b | c".
    fn new(text: &str) -> Self {
        Self::with(AnnouncerSettings::default(), &[V4], text)
    }

    fn with(settings: AnnouncerSettings, locals: &[&str], text: &str) -> Self {
        let locals = locals.iter().map(|local| local.parse().unwrap());
        let mut announcer = Announcer::new(settings, locals.collect(), 7);
        announcer.set_tiers(at(0), &tiers(text));
        Self { announcer, now: 0 }
    }

    fn started(text: &str) -> Self {
        let mut world = Self::new(text);
        world.announcer.start(at(0));
        world
    }

    fn time(&self) -> Instant {
        at(self.now * 1000)
    }

    fn poll(&mut self) -> Vec<AnnounceRequest> {
        let requests = std::iter::from_fn(|| self.announcer.poll_output());
        let announce = |request| match request {
            TrackerRequest::Announce(announce) => announce,
            TrackerRequest::Scrape(scrape) => panic!("{scrape:?}"),
        };
        requests.map(announce).collect()
    }

    /// What goes out now, as "a:started b:".
    fn sent(&mut self) -> (String, Vec<RequestId>) {
        let requests = self.poll();
        let words: Vec<String> = requests
            .iter()
            .map(|request| {
                let name = request
                    .url
                    .trim_start_matches("http://")
                    .trim_end_matches('/');
                format!("{name}:{}", request.event.name())
            })
            .collect();
        (
            words.join(" "),
            requests.iter().map(|request| request.id).collect(),
        )
    }

    /// The one request that goes out now.
    fn one(&mut self, expected: &str) -> RequestId {
        let (words, ids) = self.sent();
        assert_eq!(words, expected, "at {} s", self.now);
        ids[0]
    }

    fn silent(&mut self) {
        assert_eq!(self.sent().0, "", "at {} s", self.now);
    }

    fn reply(&mut self, id: RequestId) {
        self.reply_with(id, &Reply::default());
    }

    fn reply_with(&mut self, id: RequestId, reply: &Reply) {
        assert!(self.announcer.on_reply(self.time(), id, reply).is_some());
    }

    fn fail(&mut self, id: RequestId) -> u32 {
        let failed = self
            .announcer
            .on_failure(self.time(), id, &failure(Retry::Backoff));
        failed.unwrap()
    }

    /// Lets time pass up to the next timeout, which is in `seconds`.
    fn sleep(&mut self, seconds: u64) {
        let due = self.announcer.poll_timeout().expect("a timeout");
        assert_eq!(
            (due - self.time()).as_secs(),
            seconds,
            "from {} s",
            self.now
        );
        self.now += (due - self.time()).as_secs_f64().ceil() as u64;
        self.announcer.handle_timeout(self.time());
    }

    fn row(&self, index: usize) -> TrackerRow {
        self.announcer.status(self.time()).swap_remove(index)
    }
}

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
    assert_eq!((request.event, request.num_want), (Event::None, 200));
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
    assert_eq!((request.event, request.num_want), (Event::Stopped, 0));
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
    world.announcer.completed(world.time());
    world.silent();
    world.sleep(1800);
    world.one("a:");
}

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
    // It is told once, heard or not.
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

/// What goes out now with the endpoint it goes from: "4a:started 6a:started".
fn sent_from(world: &mut World) -> (String, Vec<RequestId>) {
    let requests = world.poll();
    let word = |request: &AnnounceRequest| {
        let family = if request.local.is_ipv6() { 6 } else { 4 };
        let name = request.url.trim_start_matches("http://");
        let name = name.trim_end_matches('/');
        format!("{family}{name}:{}", request.event.name())
    };
    let words: Vec<_> = requests.iter().map(word).collect();
    let ids = requests.iter().map(|request| request.id).collect();
    (words.join(" "), ids)
}

fn two_endpoints(settings: AnnouncerSettings, text: &str) -> World {
    let mut world = World::with(settings, &[V4, V6], text);
    world.announcer.start(at(0));
    world
}

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
    // One download is counted once, even by two trackers' worth of endpoints.
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
        tell_stopped: false,
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
fn a_scrape_asks_the_tracker_that_works() {
    let mut world = two_endpoints(AnnouncerSettings::default(), "a | b");
    let (_, ids) = sent_from(&mut world);
    world.fail(ids[0]);
    let (words, ids) = sent_from(&mut world);
    assert_eq!(words, "4b:started");
    let scrapes = |world: &mut World| {
        let requests = std::iter::from_fn(|| world.announcer.poll_output());
        let scrape = |request| match request {
            TrackerRequest::Scrape(scrape) => Some(scrape),
            TrackerRequest::Announce(_) => None,
        };
        requests.filter_map(scrape).collect::<Vec<_>>()
    };
    assert!(world.announcer.scrape(None));
    let asked = scrapes(&mut world);
    assert_eq!((asked.len(), asked[0].url.as_str()), (2, "http://a/"));
    world.reply(ids[0]);
    assert!(world.announcer.scrape(None));
    let asked = scrapes(&mut world);
    assert_eq!(asked[0].url, "http://b/");
    assert!(world.announcer.on_scrape(asked[0].id, Some(&seeds(9))));
    assert!(!world.announcer.on_scrape(asked[0].id, Some(&seeds(8))));
    assert!(world.announcer.on_scrape(asked[1].id, None));
    assert_eq!(world.announcer.swarm(), seeds(9));
    assert_eq!(world.row(1).swarm, seeds(9));
    assert!(!world.announcer.scrape(Some(2)), "no such tracker");
    assert!(world.announcer.scrape(Some(1)));
    world.announcer.set_tiers(at(0), &[]);
    let asked = scrapes(&mut world);
    assert!(
        !world.announcer.on_scrape(asked[0].id, Some(&seeds(1))),
        "it is gone"
    );
    assert!(!world.announcer.scrape(None));
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

/// What a tracker would believe, and what is on its way to it.
#[derive(Default)]
struct Model {
    in_flight: Option<(RequestId, Event)>,
    started: bool,
    completed: u32,
}

proptest! {
    #[test]
    fn any_course_of_events_keeps_the_rules(
        steps in prop::collection::vec((0u8..12, any::<u8>()), 1..120),
        seed in any::<u64>(),
    ) {
        let mut world = World::new("a b | c d | e");
        world.announcer = announcer(seed);
        world.announcer.set_tiers(at(0), &tiers("a b | c d | e"));
        let mut models: HashMap<String, Model> = HashMap::new();
        let mut waiting: Vec<AnnounceRequest> = Vec::new();
        let mut running = false;
        for (step, choice) in steps {
            let now = world.time();
            match step {
                0 => { running = true; world.announcer.start(now) }
                1 => { running = false; world.announcer.stop() }
                2 => world.announcer.completed(now),
                3 => world.announcer.reannounce(now, None, false),
                4 => world.announcer.reannounce(now, Some(usize::from(choice % 6)), choice % 2 == 0),
                5..=8 if !waiting.is_empty() => {
                    let request = waiting.remove(usize::from(choice) % waiting.len());
                    let model = models.get_mut(&request.url).unwrap();
                    if model.in_flight.is_some_and(|(id, _)| id == request.id) {
                        model.in_flight = None;
                    }
                    if step < 7 {
                        let current = world.announcer.on_reply(now, request.id, &Reply::default()).is_some();
                        if current && request.event == Event::Started {
                            model.started = true;
                        }
                    } else {
                        let retry = if choice % 7 == 0 { Retry::Never } else { Retry::Backoff };
                        world.announcer.on_failure(now, request.id, &failure(retry));
                    }
                }
                _ => {
                    if let Some(due) = world.announcer.poll_timeout() {
                        prop_assert!(due > now, "a timer that does not move");
                        world.now += (due - now).as_secs_f64().ceil() as u64;
                        world.announcer.handle_timeout(world.time());
                    }
                }
            }
            for request in world.poll() {
                let model = models.entry(request.url.clone()).or_default();
                match request.event {
                    Event::Stopped => {
                        prop_assert!(model.started || matches!(model.in_flight, Some((_, Event::Started))));
                        model.started = false;
                    }
                    Event::Started => prop_assert!(running && !model.started && model.in_flight.is_none()),
                    Event::Completed => {
                        prop_assert!(running && model.started && model.in_flight.is_none());
                        model.completed += 1;
                    }
                    _ => prop_assert!(running && model.started && model.in_flight.is_none()),
                }
                model.in_flight = Some((request.id, request.event));
                waiting.push(request);
            }
            if let Some(due) = world.announcer.poll_timeout() {
                prop_assert!(due > world.time());
                prop_assert!(due <= world.time() + Duration::from_secs(6 * 60 * 60));
            }
            let rows = world.announcer.status(world.time());
            prop_assert_eq!(rows.len(), 5);
            if running && waiting.is_empty() && rows.iter().any(|row| row.fails == 0) {
                prop_assert!(world.announcer.poll_timeout().is_some(), "somebody has a turn");
            }
        }
    }
}
