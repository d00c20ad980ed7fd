//! The alerts of this library against `oracle_tests/libtorrent_alerts.csv`,
//! libtorrent's whole list: each of ours is there with the same number, name,
//! categories and priority, and each of theirs is here or says why it is not.

use std::collections::BTreeMap;

use torrent_engine::event::{AlertPriority, Audience, category, kind};

const LIST: &str = include_str!("../../../oracle_tests/libtorrent_alerts.csv");

/// From here on numbers are of our own.
const OWN: u32 = 10_000;

struct Row {
    number: u32,
    name: &'static str,
    category: u32,
    priority: AlertPriority,
    /// Why we have no such alert; empty when we have.
    missing: &'static str,
}

fn bit(name: &str) -> u32 {
    match name {
        "error" => category::ERROR,
        "peer" => category::PEER,
        "port_mapping" => category::PORT_MAPPING,
        "storage" => category::STORAGE,
        "tracker" => category::TRACKER,
        "connect" => category::CONNECT,
        "status" => category::STATUS,
        "ip_block" => category::IP_BLOCK,
        "performance_warning" => category::PERFORMANCE_WARNING,
        "dht" => category::DHT,
        "stats" => category::STATS,
        "session_log" => category::SESSION_LOG,
        "torrent_log" => category::TORRENT_LOG,
        "peer_log" => category::PEER_LOG,
        "incoming_request" => category::INCOMING_REQUEST,
        "dht_log" => category::DHT_LOG,
        "dht_operation" => category::DHT_OPERATION,
        "port_mapping_log" => category::PORT_MAPPING_LOG,
        "picker_log" => category::PICKER_LOG,
        "file_progress" => category::FILE_PROGRESS,
        "piece_progress" => category::PIECE_PROGRESS,
        "upload" => category::UPLOAD,
        "block_progress" => category::BLOCK_PROGRESS,
        other => panic!("no category is called {other}"),
    }
}

fn list() -> Vec<Row> {
    let row = |line: &'static str| {
        let columns: Vec<&str> = line.splitn(5, ',').collect();
        let &[number, name, categories, priority, missing] = columns.as_slice() else {
            panic!("not five columns: {line}");
        };
        Row {
            number: number.parse().unwrap(),
            name,
            category: categories
                .split('|')
                .filter(|it| !it.is_empty())
                .map(bit)
                .sum(),
            priority: match priority {
                "normal" => AlertPriority::Normal,
                "high" => AlertPriority::High,
                "critical" => AlertPriority::Critical,
                "meta" => AlertPriority::Meta,
                other => panic!("no priority is called {other}"),
            },
            missing,
        }
    };
    LIST.lines().skip(1).map(row).collect()
}

#[test]
fn each_alert_is_libtorrents() {
    let theirs: BTreeMap<u32, Row> = list().into_iter().map(|row| (row.number, row)).collect();
    for kind in kind::ALL.iter().filter(|kind| kind.number < OWN) {
        let row = theirs.get(&kind.number);
        let row = row.unwrap_or_else(|| panic!("libtorrent has no alert {}", kind.number));
        assert_eq!(row.name, kind.name);
        assert_eq!(row.category, kind.category, "{}", kind.name);
        assert_eq!(row.priority, kind.priority, "{}", kind.name);
        assert_eq!(row.missing, "", "{} is there", kind.name);
        assert_ne!(kind.audience, Audience::Signals, "{}", kind.name);
    }
}

#[test]
fn each_of_libtorrents_alerts_is_here_or_says_why_not() {
    for row in list() {
        let here = kind::ALL.iter().any(|kind| kind.number == row.number);
        assert_eq!(
            here,
            row.missing.is_empty(),
            "{}: {}",
            row.name,
            row.missing
        );
    }
}

#[test]
fn names_of_our_own_are_not_libtorrents() {
    let theirs = list();
    for kind in kind::ALL.iter().filter(|kind| kind.number > OWN) {
        assert!(
            theirs.iter().all(|row| row.name != kind.name),
            "{}",
            kind.name
        );
    }
}
