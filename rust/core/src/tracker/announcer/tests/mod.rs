//! One announcer at a time, with a clock in seconds; tracker `a` is
//! `http://a/`. What it sends is compared as text.

mod completion;
mod course;
mod endpoints;
mod model;
mod scrapes;
mod tiers;

use std::time::Duration;

use super::*;
use crate::testing::{Machine, at, check_contract, count_outputs};
use crate::tracker::Retry;

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

fn failure(retry: Retry) -> TrackerFailure {
    TrackerFailure {
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

impl Machine for Announcer {
    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn poll_all(&mut self, _: Instant) -> usize {
        count_outputs(|| self.poll_output())
    }
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
