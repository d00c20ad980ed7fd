//! Any course of events: what trackers believe of us stays consistent.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What a tracker would believe, and what is on its way to it.
#[derive(Default)]
struct Model {
    in_flight: Option<(RequestId, AnnounceEvent)>,
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
            let mut before = (world.announcer.revision(), world.announcer.status(now));
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
                        if current && request.event == AnnounceEvent::Started {
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
                        before.1 = world.announcer.status(world.time());
                        world.announcer.handle_timeout(world.time());
                    }
                }
            }
            if world.announcer.revision() == before.0 {
                prop_assert_eq!(world.announcer.status(world.time()), before.1);
            }
            for request in world.poll() {
                let model = models.entry(request.url.clone()).or_default();
                match request.event {
                    AnnounceEvent::Stopped => {
                        prop_assert!(model.started || matches!(model.in_flight, Some((_, AnnounceEvent::Started))));
                        model.started = false;
                    }
                    AnnounceEvent::Started => prop_assert!(running && !model.started && model.in_flight.is_none()),
                    AnnounceEvent::Completed => {
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
            let now = world.time();
            check_contract(&mut world.announcer, now);
            let rows = world.announcer.status(now);
            prop_assert_eq!(rows.len(), 5);
            if running && waiting.is_empty() && rows.iter().any(|row| row.fails == 0) {
                prop_assert!(world.announcer.poll_timeout().is_some(), "somebody has a turn");
            }
        }
    }
}
