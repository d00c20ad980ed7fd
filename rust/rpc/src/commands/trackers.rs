//! The trackers of a torrent.

use std::time::Duration;

use super::{done, torrent};
use crate::app::App;
use crate::params::Params;
use crate::protocol::Outcome;

/// Announces: to the tracker with this index, or those whose turn it is.
pub(super) fn force_reannounce(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let after = params.opt_int("seconds", 0..=86_400)?.unwrap_or(0);
    let after = Duration::from_secs(after.unsigned_abs());
    let tracker = index(&mut params)?;
    let ignore_min_interval = params.flag("ignore_min_interval")?;
    params.finish()?;
    if ignore_min_interval {
        torrent.force_reannounce_now(after, tracker)?;
    } else {
        torrent.force_reannounce(after, tracker)?;
    }
    Ok(done())
}

/// Asks the tracker with this index, or the one that works, for its numbers; an
/// alert brings them.
pub(super) fn scrape(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let tracker = index(&mut params)?;
    params.finish()?;
    torrent.scrape_tracker(tracker)?;
    Ok(done())
}

fn index(params: &mut Params) -> torrent_engine::error::Result<Option<usize>> {
    let index = params.opt_int("tracker_index", -1..=1_000_000)?;
    Ok(index.and_then(|index| usize::try_from(index).ok()))
}

/// Adds a tracker, to the first tier where none is given.
pub(super) fn add(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let url = params.text("url")?;
    let tier = params.opt_int("tier", 0..=255)?.unwrap_or(0);
    let fail_limit = params.opt_int("fail_limit", 0..=255)?;
    params.finish()?;
    torrent.add_tracker(&url, tier as usize)?;
    if let Some(limit) = fail_limit {
        torrent.set_tracker_fail_limit(&url, limit as u8)?;
    }
    Ok(done())
}

/// Uses these trackers instead of all others: URLs, a tier each, or arrays of
/// URLs that share a tier.
pub(super) fn replace(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let tiers = params.tiers("trackers")?;
    params.finish()?;
    torrent.replace_trackers(tiers)?;
    Ok(done())
}

/// Removes a tracker.
pub(super) fn remove(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let url = params.text("url")?;
    params.finish()?;
    torrent.remove_tracker(&url)?;
    Ok(done())
}
