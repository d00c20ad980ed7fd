//! When connections are full, now and then the least useful ones are closed for
//! peers that were not tried yet: how many, and in which torrents.
//!
//! The session asks [`Turnover::due`] now and then, and when it is, [`plan`]
//! with what its torrents hold. Each torrent chooses what it closes
//! ([`crate::torrent::Torrent::turn_over`]). The rules are libtorrent's.

use std::time::{Duration, Instant};

use crate::settings::Settings;

/// Limits below this are left alone: closing one of so few disturbs more than it
/// helps.
const LEAST: usize = 6;

/// Says when it is time.
#[derive(Debug)]
pub struct Turnover {
    last: Instant,
}

impl Turnover {
    /// The first time is an interval from now.
    pub fn new(now: Instant) -> Self {
        Self { last: now }
    }

    /// Whether it is time for a turnover (`peer_turnover_interval`); if so, the
    /// next one is an interval from now.
    pub fn due(&mut self, now: Instant, settings: &Settings) -> bool {
        let interval = Duration::from_secs(settings.peer_turnover_interval.unsigned_abs());
        let due = now.saturating_duration_since(self.last) >= interval;
        if due {
            self.last = now;
        }
        due
    }
}

/// What one torrent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Its connections.
    pub connections: usize,
    /// Most that it may have; the session's limit where it has none of its own.
    pub limit: usize,
    /// Known peers that it could try instead.
    pub candidates: usize,
}

/// How many connections are to be closed in which of the torrents, each by its
/// place in `torrents`. While the session is full that is the one with the most
/// connections; otherwise each that is full by itself.
pub fn plan(settings: &Settings, torrents: &[Holding]) -> Vec<(usize, usize)> {
    let percent = |of: usize, share: i64| of.saturating_mul(share.unsigned_abs() as usize) / 100;
    let full = |connections: usize, limit: usize| {
        limit >= LEAST && connections >= percent(limit, settings.peer_turnover_cutoff)
    };
    let share = |holding: &Holding| {
        percent(holding.connections, settings.peer_turnover)
            .max(1)
            .min(holding.candidates)
    };
    if settings.peer_turnover == 0 {
        return Vec::new();
    }
    let all: usize = torrents.iter().map(|it| it.connections).sum();
    let numbered = torrents.iter().enumerate();
    let crowded: Vec<(usize, &Holding)> = if full(all, settings.connections_limit as usize) {
        let most = numbered.max_by_key(|(_, it)| it.connections);
        most.into_iter().collect()
    } else {
        numbered
            .filter(|(_, it)| full(it.connections, it.limit))
            .collect()
    };
    crowded
        .into_iter()
        .map(|(at, holding)| (at, share(holding)))
        .filter(|&(_, count)| count > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn holding(connections: usize, limit: usize, candidates: usize) -> Holding {
        Holding {
            connections,
            limit,
            candidates,
        }
    }

    #[test]
    fn a_full_session_takes_from_the_torrent_with_the_most() {
        let settings = Settings::default();
        let mut torrents = [
            holding(80, 200, 50),
            holding(100, 200, 50),
            holding(0, 200, 50),
        ];
        assert_eq!(plan(&settings, &torrents), [(1, 4)]);
        torrents[1].candidates = 3;
        assert_eq!(
            plan(&settings, &torrents),
            [(1, 3)],
            "no more than can come"
        );
        torrents[1].candidates = 0;
        assert_eq!(plan(&settings, &torrents), []);
        torrents[1] = holding(99, 200, 50);
        assert_eq!(plan(&settings, &torrents), [], "just below the cutoff");
    }

    #[test]
    fn a_full_torrent_gives_up_one_at_least() {
        let settings = Settings::default();
        let torrents = [holding(6, 6, 9), holding(5, 6, 9), holding(5, 5, 9)];
        assert_eq!(plan(&settings, &torrents), [(0, 1), (1, 1)]);
        let settings = Settings {
            peer_turnover: 50,
            peer_turnover_cutoff: 100,
            ..settings
        };
        assert_eq!(plan(&settings, &torrents), [(0, 3)]);
        let settings = Settings {
            peer_turnover: 0,
            ..settings
        };
        assert_eq!(plan(&settings, &torrents), []);
    }

    #[test]
    fn it_is_due_once_an_interval() {
        let settings = Settings::default();
        let mut turnover = Turnover::new(at(0));
        assert!(!turnover.due(at(299_999), &settings));
        assert!(turnover.due(at(300_000), &settings));
        assert!(!turnover.due(at(300_001), &settings));
    }
}
