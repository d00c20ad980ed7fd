//! Closes the least useful connections of full torrents for new ones, when
//! `torrent_core::turnover` says so. The session's task calls it at each tick.

use std::time::Instant;

use torrent_core::turnover::{Holding, Turnover, plan};

use crate::session::SessionShared;
use crate::torrent::handle::Command;

/// Closes some connections if it is time.
pub(crate) fn look(session: &SessionShared, turnover: &mut Turnover) {
    let settings = session.services.settings.borrow().clone();
    if !turnover.due(Instant::now(), &settings) {
        return;
    }
    let torrents = session.registry.lock().all();
    let holdings: Vec<Holding> = torrents
        .iter()
        .map(|torrent| {
            let status = torrent.status();
            let own = u64::try_from(status.connections_limit).unwrap_or(u64::MAX);
            Holding {
                connections: status.num_peers as usize,
                limit: own.min(settings.connections_limit.unsigned_abs()) as usize,
                candidates: status.connect_candidates as usize,
            }
        })
        .collect();
    for (at, count) in plan(&settings, &holdings) {
        // A torrent whose queue is full is left out until the next time.
        torrents[at].offer(Command::TurnOver(count));
    }
}
