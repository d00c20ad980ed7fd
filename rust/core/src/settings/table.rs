//! The table itself: name, type, default, range, unit, effect and doc line of
//! every setting.

use std::ops::RangeInclusive;

use super::{Effect, Named, SettingInfo, SettingsError, check, known_as, other, set_other};
use crate::value::Value;

macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr, $range:expr, $unit:literal, $effect:ident; )*) => {
        /// Every setting, typed.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $( $(#[doc = $doc])+ pub $name: $kind, )*
            /// Which of them were set by name.
            pub named: Named,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $( $name: $default.into(), )* named: Named::default() }
            }
        }

        impl Settings {
            /// The table, for documentation and editors.
            pub fn table() -> Vec<SettingInfo> {
                let defaults = Self::default();
                vec![ $( SettingInfo {
                    name: stringify!($name),
                    default: defaults.$name.into(),
                    range: $range,
                    unit: $unit,
                    effect: Effect::$effect,
                    doc: concat!($($doc),+).trim_ascii(),
                }, )* ]
            }

            /// The value of `name`.
            pub fn value(&self, name: &str) -> Option<Value> {
                match known_as(name) {
                    $( stringify!($name) => Some(self.$name.clone().into()), )*
                    name => other(name),
                }
            }

            pub(super) fn set(&mut self, name: &str, value: &Value) -> Result<(), SettingsError> {
                match known_as(name) {
                    $( stringify!($name) => {
                        self.$name = check(name, value, $range)?;
                        self.named.insert(stringify!($name));
                    } )*
                    name => return set_other(self, name, value),
                }
                Ok(())
            }

            /// Every setting by name, in the order of the table, and those that are not
            /// supported; without aliases and names without effect.
            pub fn values(&self) -> Vec<(&'static str, Value)> {
                let mut all = vec![ $( (stringify!($name), self.$name.clone().into()), )* ];
                all.extend(Self::unsupported().into_iter().map(|it| (it.name, it.value)));
                all
            }
        }
    };
}

const NONE: Option<RangeInclusive<i64>> = None;
const SECONDS: Option<RangeInclusive<i64>> = Some(1..=86_400);

settings! {
    /// How the client names itself to trackers.
    user_agent: String = concat!("godot-torrent/", env!("CARGO_PKG_VERSION")), NONE, "", Next;
    /// How the client names itself to peers (BEP 10); empty for the same as to trackers.
    handshake_client_version: String = "", NONE, "", Next;
    /// The first eight characters of our peer id (BEP 20).
    peer_fingerprint: String = "-GD0100-", NONE, "", Next;
    /// Where to listen: comma-separated `ip:port` or `device:port`, IPv6 in brackets, port
    /// 0 for any. A port followed by `l` takes in peers of the local network only.
    listen_interfaces: String = "0.0.0.0:6881,[::]:6881", NONE, "", Live;
    /// Addresses or devices that connections to peers are made from, comma-separated, in
    /// turn; empty to let the system choose.
    outgoing_interfaces: String = "", NONE, "", Next;
    /// The first local port of connections to peers; 0 to let the system choose.
    outgoing_port: i64 = 0, Some(0..=65_535), "", Next;
    /// How many local ports from `outgoing_port` on are used in turn.
    num_outgoing_ports: i64 = 0, Some(0..=65_535), "ports", Next;
    /// The class of traffic (DSCP) that connections to peers are marked with; 0 for none.
    peer_dscp: i64 = 1, Some(0..=63), "", Next;
    /// How many higher ports are tried when one is in use.
    max_retry_port_bind: i64 = 10, Some(0..=65_535), "ports", Live;
    /// Let the system choose a port when all of these are in use.
    listen_system_port_fallback: bool = true, NONE, "", Live;
    /// Accept connections over TCP.
    enable_incoming_tcp: bool = true, NONE, "", Live;
    /// Connect to peers over TCP.
    enable_outgoing_tcp: bool = true, NONE, "", Live;
    /// Accept connections over uTP (BEP 29), on the UDP port of each listening endpoint.
    enable_incoming_utp: bool = false, NONE, "", Live;
    /// Connect to peers over uTP, which yields to all other traffic on the line. Where TCP is enabled too, uTP comes first, and TCP when a peer does not answer; what worked is remembered.
    enable_outgoing_utp: bool = false, NONE, "", Live;
    /// Whether connections to peers begin with an encrypted handshake (MSE): 0 always, 1 when a peer does not answer a plain one, or is known to want it, 2 never.
    out_enc_policy: i64 = 1, Some(0..=2), "", Next;
    /// Which handshakes peers may begin with: 0 encrypted ones (MSE), 1 either, 2 plain ones.
    in_enc_policy: i64 = 1, Some(0..=2), "", Next;
    /// What may follow an encrypted handshake: 1 plain bytes, 2 bytes encrypted by RC4, 3 either.
    allowed_enc_level: i64 = 3, Some(1..=3), "", Next;
    /// Of both, choose RC4 for connections of peers.
    prefer_rc4: bool = false, NONE, "", Next;
    /// Say in announces that we take encrypted connections, unless `in_enc_policy` refuses them.
    announce_crypto_support: bool = true, NONE, "", Live;
    /// How long packets of uTP may wait in the queues on their way because of us.
    utp_target_delay: i64 = 100, Some(1..=10_000), "ms", Next;
    /// Bytes that the congestion window of uTP grows by in a round trip, at most, once slow start is over.
    utp_gain_factor: i64 = 3000, Some(0..=1_000_000), "bytes", Next;
    /// The shortest time after which a packet of uTP without an ack is sent again.
    utp_min_timeout: i64 = 500, Some(10..=60_000), "ms", Next;
    /// How long the first packet of a connection over uTP waits for an answer.
    utp_connect_timeout: i64 = 3000, Some(10..=600_000), "ms", Next;
    /// How often the first packet of a connection over uTP is sent again.
    utp_syn_resends: i64 = 2, Some(0..=100), "", Next;
    /// How often the last packet of a connection over uTP is sent again while nothing comes back.
    utp_fin_resends: i64 = 2, Some(0..=100), "", Next;
    /// Time-outs in a row, with nothing from the peer in between, that a connection over uTP survives.
    utp_num_resends: i64 = 3, Some(0..=100), "", Next;
    /// What is left of the congestion window of uTP after a loss.
    utp_loss_multiplier: i64 = 50, Some(0..=100), "percent", Next;
    /// Losses closer together than this cut the congestion window of uTP once.
    utp_cwnd_reduce_timer: i64 = 100, Some(0..=60_000), "ms", Next;
    /// Bytes received a second, over all torrents; 0 for no limit.
    download_rate_limit: i64 = 0, Some(0..=2_147_483_647), "bytes per second", Live;
    /// Bytes sent a second, over all torrents; 0 for no limit.
    upload_rate_limit: i64 = 0, Some(0..=2_147_483_647), "bytes per second", Live;
    /// Count what the headers of TCP and IP add as part of the limited bytes.
    rate_limit_ip_overhead: bool = true, NONE, "", Live;
    /// The session's rate limits do not hold for peers on the local network. An old name of libtorrent's, which leaves it without effect.
    ignore_limits_on_local_network: bool = false, NONE, "", Live;
    /// Connections of all torrents together.
    connections_limit: i64 = 200, Some(2..=65_535), "connections", Live;
    /// Connections beyond `connections_limit` that are taken in, to replace others.
    connections_slack: i64 = 10, Some(0..=65_535), "connections", Live;
    /// New outgoing connections per second.
    connection_speed: i64 = 30, Some(1..=10_000), "per second", Live;
    /// Connections that a torrent makes as it starts, beyond that pace.
    torrent_connect_boost: i64 = 30, Some(0..=255), "connections", Next;
    /// Outgoing connections that wait for an answer at once, over all torrents; 0 for no limit. An old name of libtorrent's, which leaves it without effect.
    half_open_limit: i64 = 100, Some(0..=65_535), "connections", Live;
    /// Share of the connections that is closed, of those of least use, when they are full and there are other peers to try.
    peer_turnover: i64 = 4, Some(0..=100), "percent", Live;
    /// Share of the limit from which on connections count as full for that.
    peer_turnover_cutoff: i64 = 90, Some(0..=100), "percent", Live;
    /// Time between such turnovers.
    peer_turnover_interval: i64 = 300, SECONDS, "seconds", Live;
    /// Connect to peers when all that is wanted is there; otherwise wait for them to connect.
    seeding_outgoing_connections: bool = true, NONE, "", Live;
    /// Do not connect to ports below 1024.
    no_connect_privileged_ports: bool = false, NONE, "", Live;
    /// Allow several connections with one IP address: players behind one router, or several
    /// programs on one machine. Turned off, a torrent has one connection with each address.
    allow_multiple_connections_per_ip: bool = true, NONE, "", Live;
    /// Connections of one torrent with one IP address (an IPv6 /64), where several are allowed,
    /// and handshakes of that address under way; 0 for no limit. In all torrents together an
    /// address has at most half of `connections_limit`, or this number if that is more.
    max_connections_per_ip: i64 = 8, Some(0..=65_535), "connections", Live;
    /// Allow more than one connection with peers that name themselves alike.
    allow_multiple_connections_per_pid: bool = false, NONE, "", Live;
    /// Learn of peers from peers, and tell them of others (BEP 11); never for private torrents.
    enable_pex: bool = true, NONE, "", Live;
    /// Peers that are taken from one peer by peer exchange.
    max_pex_peers: i64 = 50, Some(0..=10_000), "peers", Live;
    /// Known peers kept for one torrent.
    max_peerlist_size: i64 = 3000, Some(1..=1_000_000), "peers", Live;
    /// Known peers kept for one torrent while it is paused.
    max_paused_peerlist_size: i64 = 1000, Some(1..=1_000_000), "peers", Live;
    /// Failed attempts after which a peer is no longer tried.
    max_failcount: i64 = 3, Some(1..=1000), "attempts", Live;
    /// Close connections on which neither side needs anything.
    close_redundant_connections: bool = true, NONE, "", Live;
    /// Pieces that a new peer may fetch before it is unchoked (BEP 6).
    allowed_fast_set_size: i64 = 5, Some(0..=100), "pieces", Next;
    /// Wait before a peer is tried again, times its failures.
    min_reconnect_time: i64 = 60, SECONDS, "seconds", Live;
    /// Peers that may download from us at once in the whole session; -1 for no limit.
    unchoke_slots_limit: i64 = 8, Some(-1..=65_535), "peers", Live;
    /// Time between choices of which peers to unchoke.
    unchoke_interval: i64 = 15, SECONDS, "seconds", Live;
    /// Time between changes of the optimistically unchoked peer.
    optimistic_unchoke_interval: i64 = 30, SECONDS, "seconds", Live;
    /// How many peers may download from us: 0 as many as `unchoke_slots_limit` says, 2 as many as fill the line.
    choking_algorithm: i64 = 0, Some(0..=2), "", Live;
    /// Which peers a seed serves: 0 all in turn, 1 the fastest, 2 those that have just begun or are nearly done.
    seed_choking_algorithm: i64 = 0, Some(0..=2), "", Live;
    /// How many of the slots go round among untried peers; 0 for a fifth of them.
    num_optimistic_unchoke_slots: i64 = 0, Some(0..=65_535), "peers", Live;
    /// Pieces that a peer gets from a seed before the next one has its turn.
    seeding_piece_quota: i64 = 20, Some(1..=100_000), "pieces", Live;
    /// Limit for setting up a connection.
    peer_connect_timeout: i64 = 15, SECONDS, "seconds", Next;
    /// Limit for the handshake (BEP 3).
    handshake_timeout: i64 = 10, SECONDS, "seconds", Next;
    /// Let peers that took part in a bad piece fetch whole pieces, alone, until they are cleared.
    use_parole_mode: bool = true, NONE, "", Live;
    /// Silence after which a connection is closed.
    peer_timeout: i64 = 120, SECONDS, "seconds", Live;
    /// Time without interest of either side after which a connection is closed if there is no room for others.
    inactivity_timeout: i64 = 600, SECONDS, "seconds", Live;
    /// Longest time without a block after which a peer with outstanding requests counts as snubbing us; less for one that was quicker before.
    request_timeout: i64 = 60, SECONDS, "seconds", Live;
    /// Time without a block after which all outstanding requests of a peer are given to others; no longer than `request_timeout` counts.
    piece_timeout: i64 = 20, SECONDS, "seconds", Live;
    /// Outstanding requests at one peer, at most.
    max_out_request_queue: i64 = 500, Some(2..=5000), "requests", Live;
    /// Requests of one peer that we queue; it is cut off beyond that.
    max_allowed_in_request_queue: i64 = 2000, Some(16..=100_000), "requests", Live;
    /// How much time the outstanding requests should cover at the present rate.
    request_queue_time: i64 = 3, Some(1..=60), "seconds", Live;
    /// Pieces chosen at random before rarest-first begins.
    initial_picker_threshold: i64 = 4, Some(0..=1000), "pieces", Live;
    /// A peer that sends a whole piece within this time gets pieces to itself.
    whole_pieces_threshold: i64 = 20, Some(0..=3600), "seconds", Live;
    /// Fetch begun pieces before all others, whatever the priorities.
    prioritize_partial_pieces: bool = false, NONE, "", Live;
    /// Ask for blocks twice only when no block is open, not when a peer has none of the open ones.
    strict_end_game_mode: bool = true, NONE, "", Live;
    /// Take new pieces next to those begun last, in extents of 4 MiB.
    piece_extent_affinity: bool = false, NONE, "", Live;
    /// Announce new pieces to peers even when they have them, so that they see how far we are.
    send_redundant_have: bool = true, NONE, "", Live;
    /// Fetch pieces in order while nearly all peers are seeds, which is easier for disks.
    auto_sequential: bool = true, NONE, "", Live;
    /// Bytes sent for each byte received that share mode aims for.
    share_mode_target: i64 = 3, Some(0..=10_000), "", Live;
    /// Advise peers to ask for pieces that are in memory: 0 no, 1 for rare ones that were read or received just now.
    suggest_mode: i64 = 0, Some(0..=1), "", Live;
    /// Advised pieces that are remembered of one peer, and that peers are advised to ask for.
    max_suggest_pieces: i64 = 16, Some(0..=1000), "pieces", Live;
    /// Bytes queued for one peer above which no more is read from disk for it.
    send_buffer_watermark: i64 = 512_000, Some(32_768..=67_108_864), "bytes", Live;
    /// Longest info dictionary that is taken from peers (BEP 9), and longest torrent file that is added.
    max_metadata_size: i64 = 31_457_280, Some(1024..=1_073_741_824), "bytes", Next;
    /// Pieces that a torrent whose info dictionary comes from peers may have.
    max_piece_count: i64 = 2_097_152, Some(1..=16_777_216), "pieces", Next;
    /// Bencoded values in an info dictionary that comes from peers.
    metadata_token_limit: i64 = 2_500_000, Some(100..=100_000_000), "values", Next;
    /// Threads for hashing and file access that work at once; no more than one per core.
    aio_threads: i64 = 10, Some(1..=64), "threads", Live;
    /// Files held open at once, over all torrents.
    file_pool_size: i64 = 40, Some(1..=4096), "files", Live;
    /// Begin with nothing when resume data does not say which pieces are there, although files are.
    no_recheck_incomplete_resume: bool = false, NONE, "", Next;
    /// Time between closings of the file that has been open longest; 0 for never.
    close_file_interval: i64 = 0, Some(0..=86_400), "seconds", Live;
    /// Bytes waiting for the disk above which sockets are no longer read.
    max_queued_disk_bytes: i64 = 104_857_600, Some(1_048_576..=4_294_967_296), "bytes", Live;
    /// Time after which a torrent whose files could not be written tries again.
    optimistic_disk_retry: i64 = 600, SECONDS, "seconds", Live;
    /// What the system may remember of what is read: 0 as it likes, 2 nothing.
    disk_io_read_mode: i64 = 0, Some(0..=2), "", Live;
    /// What becomes of what is written: 0 the system writes it when it likes, 2 and forgets it then, 3 it is on the device before its piece counts as had.
    disk_io_write_mode: i64 = 0, Some(0..=3), "", Live;
    /// Leave the time of the last access of our files as it is, where the system can.
    no_atime_storage: bool = true, NONE, "", Next;
    /// Believe that every piece is right. For measurements only: wrong bytes are kept and passed on.
    disable_hash_checks: bool = false, NONE, "", Live;
    /// How long buffers that are not used are kept for the next use.
    idle_buffer_time: i64 = 5, SECONDS, "seconds", Live;
    /// Peers asked of a tracker.
    num_want: i64 = 200, Some(0..=10_000), "peers", Live;
    /// Shortest time between two regular announces to one tracker; a tracker can ask for longer.
    min_announce_interval: i64 = 300, SECONDS, "seconds", Live;
    /// Limit for a whole tracker request.
    tracker_completion_timeout: i64 = 30, SECONDS, "seconds", Live;
    /// Limit for a tracker's silence.
    tracker_receive_timeout: i64 = 10, SECONDS, "seconds", Next;
    /// Limit for the last announce when a torrent stops.
    stop_tracker_timeout: i64 = 5, Some(0..=60), "seconds", Live;
    /// Growth of the wait after each failed announce.
    tracker_backoff: i64 = 250, Some(0..=10_000), "percent", Live;
    /// Longest tracker reply that is read.
    tracker_maximum_response_length: i64 = 1_048_576, Some(1024..=67_108_864), "bytes", Next;
    /// Announces by HTTP under way at once; the others wait.
    max_concurrent_http_announces: i64 = 50, Some(1..=1000), "announces", Next;
    /// Announce to every tracker of the tier whose turn it is.
    announce_to_all_trackers: bool = false, NONE, "", Live;
    /// Announce to one tracker of each tier.
    announce_to_all_tiers: bool = false, NONE, "", Live;
    /// Of two trackers on one machine, try the one by UDP first.
    prefer_udp_trackers: bool = true, NONE, "", Next;
    /// How long a UDP tracker's connection id is used (BEP 15).
    udp_tracker_token_expiry: i64 = 60, SECONDS, "seconds", Live;
    /// Refuse HTTPS trackers whose certificate the system does not trust.
    validate_https_trackers: bool = true, NONE, "", Next;
    /// Ask machines of the local network only at paths that begin with /announce.
    ssrf_mitigation: bool = true, NONE, "", Next;
    /// Use tracker host names outside ASCII, which may pass for others.
    allow_idna: bool = false, NONE, "", Next;
    /// The address at which trackers are asked to find us; empty for the one they see.
    announce_ip: String = "", NONE, "", Next;
    /// The port that is announced to trackers; 0 for the one we listen on.
    announce_port: i64 = 0, Some(0..=65_535), "", Next;
    /// Do not ask trackers that the IP filter blocks.
    apply_ip_filter_to_trackers: bool = true, NONE, "", Live;
    /// Announce to trackers how many bytes came twice or unrequested.
    report_redundant_bytes: bool = true, NONE, "", Next;
    /// Torrents managed by the queue that download at once; -1 for no limit.
    active_downloads: i64 = 3, Some(-1..=1_000_000), "torrents", Live;
    /// Torrents managed by the queue that seed at once; -1 for no limit.
    active_seeds: i64 = 5, Some(-1..=1_000_000), "torrents", Live;
    /// Torrents managed by the queue whose files are checked at once; -1 for no limit.
    active_checking: i64 = 1, Some(-1..=1_000_000), "torrents", Live;
    /// Torrents managed by the queue that run at once, idle ones included; -1 for no limit.
    active_limit: i64 = 500, Some(-1..=1_000_000), "torrents", Live;
    /// Torrents managed by the queue that announce to trackers; -1 for no limit.
    active_tracker_limit: i64 = 1600, Some(-1..=1_000_000), "torrents", Live;
    /// Time between two looks at the queue.
    auto_manage_interval: i64 = 30, SECONDS, "seconds", Live;
    /// Time that a started torrent has before it can count as idle.
    auto_manage_startup: i64 = 60, Some(0..=86_400), "seconds", Live;
    /// The queue starts seeds before downloads.
    auto_manage_prefer_seeds: bool = false, NONE, "", Live;
    /// Idle torrents take no place among active downloads and seeds.
    dont_count_slow_torrents: bool = true, NONE, "", Live;
    /// A download that receives less counts as idle.
    inactive_down_rate: i64 = 2048, Some(0..=1_000_000_000), "bytes per second", Live;
    /// A seed that sends less counts as idle.
    inactive_up_rate: i64 = 2048, Some(0..=1_000_000_000), "bytes per second", Live;
    /// A peer that connects to a torrent that waits in the queue starts it.
    incoming_starts_queued_torrents: bool = false, NONE, "", Live;
    /// Sent by received, above which a seed has done its part.
    share_ratio_limit: i64 = 200, Some(0..=1_000_000), "percent", Live;
    /// Time seeding by time downloading, above which a seed has done its part.
    seed_time_ratio_limit: i64 = 700, Some(0..=1_000_000), "percent", Live;
    /// Time seeding, above which a seed has done its part.
    seed_time_limit: i64 = 86_400, Some(0..=1_000_000_000), "seconds", Live;
    /// Time after which the trackers of a torrent that waits in the queue are asked again for the numbers of its swarm.
    auto_scrape_interval: i64 = 1800, SECONDS, "seconds", Live;
    /// Shortest time between two such scrapes, over all torrents.
    auto_scrape_min_interval: i64 = 300, SECONDS, "seconds", Live;
    /// Which alerts are made: the sum of their category bits.
    alert_mask: i64 = 1, Some(0..=0xffff_ffff), "", Live;
    /// Alerts kept until they are read.
    alert_queue_size: i64 = 2000, Some(1..=10_000_000), "alerts", Live;
    /// Show the numbers of the session among the monitors of Godot's debugger:
    /// `torrent/download_rate`, `torrent/upload_rate`, `torrent/peers`, `torrent/torrents`,
    /// `torrent/queued_alerts`, `torrent/poll_usec`.
    performance_monitors: bool = false, NONE, "", Live;
    /// Shortest time between two snapshots of a torrent's status.
    status_update_interval: i64 = 500, Some(10..=60_000), "milliseconds", Live;
}
