//! Settings of features that this build does not have, and which of their
//! values ask for nothing.

use super::plain::Plain::{self, Bool, Int, Text};

/// Names that belong to a feature which is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feature {
    /// What is not there.
    pub(super) name: &'static str,
    /// The settings, each with the values that ask for nothing: off, or the
    /// default of a number that only matters when it is on. The first of them
    /// is what the setting reads as.
    pub(super) settings: &'static [(&'static str, &'static [Plain])],
}

const OFF: &[Plain] = &[Bool(false)];
const ON: &[Plain] = &[Bool(true)];
const EMPTY: &[Plain] = &[Text("")];
const ZERO: &[Plain] = &[Int(0)];

/// All of them. A name that becomes a row of the table leaves this list.
pub(super) const UNSUPPORTED: &[Feature] = &[
    Feature {
        name: "the DHT (BEP 5)",
        settings: &[
            ("enable_dht", OFF),
            ("use_dht_as_fallback", OFF),
            ("active_dht_limit", &[Int(88)]),
            ("apply_filter_to_dht", ON),
            (
                "dht_bootstrap_nodes",
                &[Text("dht.libtorrent.org:25401"), Text("")],
            ),
            ("dht_announce_interval", &[Int(900)]),
            ("dht_upload_rate_limit", &[Int(8000)]),
            ("dht_max_peers_reply", &[Int(100)]),
            ("dht_search_branching", &[Int(5)]),
            ("dht_max_fail_count", &[Int(20)]),
            ("dht_max_torrents", &[Int(2000)]),
            ("dht_max_dht_items", &[Int(700)]),
            ("dht_max_peers", &[Int(500)]),
            ("dht_max_torrent_search_reply", &[Int(20)]),
            ("dht_item_lifetime", ZERO),
            ("dht_block_timeout", &[Int(300)]),
            ("dht_block_ratelimit", &[Int(5)]),
            ("dht_restrict_routing_ips", ON),
            ("dht_restrict_search_ips", ON),
            ("dht_prefer_verified_node_ids", ON),
            ("dht_enforce_node_id", OFF),
            ("dht_ignore_dark_internet", ON),
            ("dht_extended_routing_table", ON),
            ("dht_aggressive_lookups", ON),
            ("dht_privacy_lookups", OFF),
            ("dht_read_only", OFF),
            ("dht_sample_infohashes_interval", &[Int(21_600)]),
            ("dht_max_infohashes_sample_count", &[Int(20)]),
        ],
    },
    Feature {
        name: "local service discovery (BEP 14)",
        settings: &[
            ("enable_lsd", OFF),
            ("local_service_announce_interval", &[Int(300)]),
            ("active_lsd_limit", &[Int(60)]),
        ],
    },
    Feature {
        name: "port mapping",
        settings: &[
            ("enable_upnp", OFF),
            ("enable_natpmp", OFF),
            ("natpmp_gateway", EMPTY),
            ("upnp_ignore_nonrouters", OFF),
            ("upnp_lease_duration", &[Int(3600)]),
            ("natpmp_lease_duration", &[Int(3600)]),
        ],
    },
    Feature {
        name: "slowing TCP down for uTP",
        // Peers share what there is in proportion, or TCP is preferred: no
        // difference where TCP is left alone.
        settings: &[("mixed_mode_algorithm", &[Int(1), Int(0)])],
    },
    Feature {
        name: "a proxy",
        settings: &[
            ("proxy_type", ZERO),
            ("proxy_hostname", EMPTY),
            ("proxy_username", EMPTY),
            ("proxy_password", EMPTY),
            ("proxy_port", ZERO),
            ("proxy_hostnames", ON),
            ("proxy_peer_connections", ON),
            ("proxy_tracker_connections", ON),
            ("proxy_send_host_in_connect", OFF),
            ("socks5_udp_send_local_ep", OFF),
        ],
    },
    Feature {
        name: "I2P",
        settings: &[
            ("allow_i2p_mixed", OFF),
            ("i2p_hostname", EMPTY),
            ("i2p_port", ZERO),
            ("i2p_inbound_quantity", &[Int(3)]),
            ("i2p_outbound_quantity", &[Int(3)]),
            ("i2p_inbound_length", &[Int(3)]),
            ("i2p_outbound_length", &[Int(3)]),
            ("i2p_inbound_length_variance", ZERO),
            ("i2p_outbound_length_variance", ZERO),
        ],
    },
    Feature {
        name: "WebTorrent",
        settings: &[
            (
                "webtorrent_stun_server",
                &[Text("stun.l.google.com:19302"), Text("")],
            ),
            ("min_websocket_announce_interval", &[Int(60)]),
            ("webtorrent_connection_timeout", &[Int(120)]),
            ("max_webtorrent_offers", &[Int(10)]),
        ],
    },
    Feature {
        name: "downloading from web seeds (BEP 19)",
        settings: &[
            ("urlseed_timeout", &[Int(20)]),
            ("urlseed_wait_retry", &[Int(30)]),
            ("urlseed_pipeline_size", &[Int(5)]),
            ("urlseed_max_request_bytes", &[Int(16_777_216)]),
            ("web_seed_name_lookup_retry", &[Int(1800)]),
            ("max_web_seed_connections", &[Int(3)]),
            ("report_web_seed_downloads", ON),
            ("ban_web_seeds", ON),
        ],
    },
    Feature {
        name: "anonymous mode",
        settings: &[("anonymous_mode", OFF), ("always_send_user_agent", OFF)],
    },
    Feature {
        name: "word of changes of the network",
        settings: &[("enable_ip_notifier", OFF)],
    },
    Feature {
        name: "announcing pieces before they are complete",
        settings: &[("predictive_piece_announce", ZERO)],
    },
    Feature {
        name: "counting only what a torrent kept as downloaded",
        settings: &[("report_true_downloaded", OFF)],
    },
    Feature {
        name: "fixed buffer sizes of sockets",
        settings: &[
            ("recv_socket_buffer_size", ZERO),
            ("send_socket_buffer_size", ZERO),
        ],
    },
    Feature {
        name: "a special way to give files their room",
        settings: &[
            ("enable_set_file_valid_data", OFF),
            ("disk_disable_copy_on_write", OFF),
        ],
    },
];
