//! Which tracker is asked for the numbers of the swarm (BEP 48).

use super::*;

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
