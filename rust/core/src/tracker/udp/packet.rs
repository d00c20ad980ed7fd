//! The packets of the UDP tracker protocol (BEP 15) and the URL option that
//! follows an announce (BEP 41).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::super::reply::{MAX_TEXT, read_compact, seconds, text};
use super::super::{AnnounceEvent, AnnounceStats, Reply, ScrapeReply};
use crate::ids::InfoHash;

/// The number that opens every connect request.
const PROTOCOL: u64 = 0x0417_2710_1980;

/// Option type "URL data" (BEP 41), and the most that one option can carry.
const URL_DATA: u8 = 2;
const OPTION_LENGTH: usize = 255;

/// "min interval" does not exist in this protocol.
const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// What a packet asks for or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Action {
    Connect = 0,
    Announce = 1,
    Scrape = 2,
    Error = 3,
}

/// An answer, taken apart as far as all answers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UdpResponse<'a> {
    pub(super) action: Action,
    pub(super) transaction: u32,
    pub(super) body: &'a [u8],
}

impl<'a> UdpResponse<'a> {
    /// Reads a datagram; `None` when it is too short for what it says it is.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (action, bytes) = bytes.split_first_chunk::<4>()?;
        let (transaction, body) = bytes.split_first_chunk::<4>()?;
        let (action, least) = match u32::from_be_bytes(*action) {
            0 => (Action::Connect, 8),
            1 => (Action::Announce, 12),
            2 => (Action::Scrape, 12),
            3 => (Action::Error, 0),
            _ => return None,
        };
        (body.len() >= least).then_some(Self {
            action,
            transaction: u32::from_be_bytes(*transaction),
            body,
        })
    }

    /// The connection id in the answer to a connect request.
    pub(super) fn connection(&self) -> Option<u64> {
        let (id, _) = self.body.split_first_chunk::<8>()?;
        Some(u64::from_be_bytes(*id))
    }

    /// The tracker's message in an error.
    pub(super) fn error(&self) -> String {
        // Some end it as C does.
        let end = self.body.iter().position(|&byte| byte == 0);
        let words = self
            .body
            .get(..end.unwrap_or(MAX_TEXT))
            .unwrap_or(self.body);
        text(words)
    }

    /// The answer to an announce. Peers have the address family of the tracker
    /// that was asked.
    pub(super) fn reply(&self, from: SocketAddr) -> Reply {
        let mut numbers = self.body.chunks_exact(4).map_while(number);
        let [interval, leechers, seeders] = [(); 3].map(|()| numbers.next().unwrap_or(0));
        let peers = self.body.get(12..).unwrap_or_default();
        let mut reply = Reply {
            interval: seconds(i64::from(interval)).max(MIN_INTERVAL),
            min_interval: MIN_INTERVAL,
            incomplete: Some(leechers),
            complete: Some(seeders),
            ..Reply::default()
        };
        if from.is_ipv6() {
            read_compact::<18>(&mut reply.peers, peers);
        } else {
            read_compact::<6>(&mut reply.peers, peers);
        }
        reply
    }

    /// The answer to a scrape of one torrent.
    pub(super) fn scraped(&self) -> ScrapeReply {
        let mut numbers = self.body.chunks_exact(4).map_while(number);
        ScrapeReply {
            complete: numbers.next(),
            downloaded: numbers.next(),
            incomplete: numbers.next(),
        }
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

pub(super) fn connect(transaction: u32) -> Vec<u8> {
    header(PROTOCOL, Action::Connect, transaction)
}

fn header(first: u64, action: Action, transaction: u32) -> Vec<u8> {
    let mut packet = Vec::with_capacity(128);
    packet.extend_from_slice(&first.to_be_bytes());
    packet.extend_from_slice(&(action as u32).to_be_bytes());
    packet.extend_from_slice(&transaction.to_be_bytes());
    packet
}

/// `path` is what follows the host in the tracker's URL, query included.
pub(super) fn announce(
    connection: u64,
    transaction: u32,
    event: AnnounceEvent,
    num_want: u32,
    report: &AnnounceStats,
    path: &str,
) -> Vec<u8> {
    let mut packet = header(connection, Action::Announce, transaction);
    packet.extend_from_slice(&report.info_hash.0);
    packet.extend_from_slice(&report.peer_id.0);
    for amount in [report.downloaded, report.left, report.uploaded] {
        packet.extend_from_slice(&amount.to_be_bytes());
    }
    // The protocol knows no "paused" (BEP 21 is about HTTP).
    let event = match event {
        AnnounceEvent::Paused => AnnounceEvent::None,
        event => event,
    };
    let ip = report.ip.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
    packet.extend_from_slice(&u32::from(event.code()).to_be_bytes());
    packet.extend_from_slice(&ip.octets());
    packet.extend_from_slice(&report.key.to_be_bytes());
    packet.extend_from_slice(&num_want.to_be_bytes());
    packet.extend_from_slice(&report.port.to_be_bytes());
    for part in path.as_bytes().chunks(OPTION_LENGTH) {
        packet.push(URL_DATA);
        // A chunk is never longer than the number allows.
        packet.push(part.len() as u8);
        packet.extend_from_slice(part);
    }
    packet
}

pub(super) fn scrape(connection: u64, transaction: u32, info_hash: InfoHash) -> Vec<u8> {
    let mut packet = header(connection, Action::Scrape, transaction);
    packet.extend_from_slice(&info_hash.0);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PeerId;
    use proptest::prelude::*;

    #[test]
    fn requests_as_the_protocol_lays_them_out() {
        assert_eq!(
            connect(0x0102_0304),
            [
                0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4
            ]
        );
        let report = AnnounceStats {
            info_hash: InfoHash([1; 20]),
            peer_id: PeerId([2; 20]),
            port: 0x1ae1,
            key: 0xaabb_ccdd,
            uploaded: 3,
            downloaded: 4,
            left: 5,
            ip: "10.0.0.9".to_owned(),
            ..AnnounceStats::default()
        };
        let packet = announce(7, 8, AnnounceEvent::Started, 200, &report, "/a?b");
        assert_eq!(packet.len(), 98 + 2 + 4);
        assert_eq!(
            packet[..16],
            [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 8]
        );
        assert_eq!((packet[16], packet[36]), (1, 2));
        assert_eq!((packet[63], packet[71], packet[79]), (4, 5, 3));
        assert_eq!(packet[80..84], [0, 0, 0, 2]);
        assert_eq!(packet[84..88], [10, 0, 0, 9]);
        assert_eq!(packet[88..92], [0xaa, 0xbb, 0xcc, 0xdd]);
        assert_eq!(packet[92..98], [0, 0, 0, 200, 0x1a, 0xe1]);
        assert_eq!(packet[98..], *b"\x02\x04/a?b");
        let scrape = scrape(7, 8, InfoHash([9; 20]));
        assert_eq!((scrape.len(), scrape[11], scrape[16]), (36, 2, 9));
    }

    #[test]
    fn a_long_path_takes_several_options() {
        let path = "/".repeat(600);
        let packet = announce(
            7,
            8,
            AnnounceEvent::None,
            0,
            &AnnounceStats::default(),
            &path,
        );
        assert_eq!(packet.len(), 98 + 600 + 3 * 2);
        assert_eq!((packet[98], packet[99]), (2, 255));
        assert_eq!((packet[98 + 257], packet[99 + 257]), (2, 255));
        assert_eq!((packet[98 + 514], packet[99 + 514]), (2, 90));
    }

    #[test]
    fn a_finished_torrent_is_paused_over_http_only() {
        let packet = announce(
            7,
            8,
            AnnounceEvent::Paused,
            0,
            &AnnounceStats::default(),
            "",
        );
        assert_eq!(packet[80..84], [0; 4]);
    }

    #[test]
    fn an_error_ends_where_c_ends_it() {
        let answer = UdpResponse::parse(b"\0\0\0\x03\0\0\0\x01no\nentry\0garbage").unwrap();
        assert_eq!(answer.error(), "no entry");
        let empty = UdpResponse::parse(b"\0\0\0\x03\0\0\0\x01").unwrap();
        assert_eq!(empty.error(), "");
    }

    proptest! {
        #[test]
        fn any_datagram_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..80), action in 0u8..5) {
            let mut bytes = bytes;
            if let Some(byte) = bytes.get_mut(..4).and_then(|head| { head.fill(0); head.last_mut() }) {
                *byte = action;
            }
            if let Some(answer) = UdpResponse::parse(&bytes) {
                answer.connection();
                answer.error();
                answer.scraped();
                for from in ["10.0.0.1:80", "[::1]:80"] {
                    let reply = answer.reply(from.parse().unwrap());
                    prop_assert!(reply.interval >= MIN_INTERVAL);
                }
            }
        }
    }
}
