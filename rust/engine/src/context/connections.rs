//! How many connections a session has, altogether and with each address, and
//! whether there may be one more. Torrents count theirs here.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;
use torrent_core::ban::ban_unit;
use torrent_core::settings::Settings;
use torrent_core::torrent::Room;

/// The open connections of all torrents.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounter(Mutex<ConnectionCounts>);

#[derive(Debug, Default)]
struct ConnectionCounts {
    all: i64,
    /// An IPv6 address stands for its /64.
    with: HashMap<IpAddr, i64>,
}

impl ConnectionCounter {
    /// How many there are.
    pub(crate) fn len(&self) -> i64 {
        self.0.lock().all
    }

    /// There is one more with this address.
    pub(crate) fn opened(&self, ip: IpAddr) {
        let mut counts = self.0.lock();
        counts.all += 1;
        *counts.with.entry(ban_unit(ip)).or_default() += 1;
    }

    /// There is one less with this address.
    pub(crate) fn closed(&self, ip: IpAddr) {
        let mut counts = self.0.lock();
        counts.all -= 1;
        let unit = ban_unit(ip);
        if let Some(with) = counts.with.get_mut(&unit) {
            *with -= 1;
            if *with <= 0 {
                counts.with.remove(&unit);
            }
        }
    }

    /// Whether there may be one more with this address.
    pub(crate) fn room(&self, settings: &Settings, ip: IpAddr) -> Room {
        let counts = self.0.lock();
        let with = counts.with.get(&ban_unit(ip)).copied().unwrap_or(0);
        match counts.all - settings.connections_limit {
            _ if with >= share_of_address(settings) => Room::Crowded,
            beyond if beyond < 0 => Room::Free,
            beyond if beyond < settings.connections_slack => Room::Slack,
            _ => Room::None,
        }
    }
}

/// What one address may have of a session's connections: enough for two
/// players who share many torrents, and never all of them.
fn share_of_address(settings: &Settings) -> i64 {
    match settings.max_connections_per_ip {
        0 => i64::MAX,
        most => most.max(settings.connections_limit / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_fill_a_session() {
        let settings = Settings {
            connections_limit: 20,
            connections_slack: 2,
            ..Settings::default()
        };
        let connections = ConnectionCounter::default();
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        let fill = |ip| {
            let mut opened = 0;
            while connections.room(&settings, ip) == Room::Free {
                connections.opened(ip);
                opened += 1;
            }
            (opened, connections.room(&settings, ip))
        };
        assert_eq!(fill(one), (10, Room::Crowded));
        assert_eq!(connections.room(&settings, other), Room::Free);
        assert_eq!(fill(other), (10, Room::Crowded));
        let third = "10.0.0.3".parse().unwrap();
        assert_eq!(connections.room(&settings, third), Room::Slack);
        connections.closed(one);
        assert_eq!((connections.len(), fill(one)), (19, (1, Room::Crowded)));
        // One host of IPv6 has a whole /64.
        let [near, far] = ["2001:db8::1", "2001:db8::2"].map(|ip| ip.parse().unwrap());
        let connections = ConnectionCounter::default();
        (0..10).for_each(|_| connections.opened(near));
        assert_eq!(connections.room(&settings, far), Room::Crowded);
        let unlimited = Settings {
            max_connections_per_ip: 0,
            ..settings
        };
        assert_eq!(connections.room(&unlimited, far), Room::Free);
    }
}
