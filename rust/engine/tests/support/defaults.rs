//! Why the defaults of settings are good for games, by topic. The page of
//! settings has them with their values; a name that is no setting fails its
//! test.

/// A topic, what holds for it as a whole, and settings with reasons.
type Topic = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// Every topic.
pub(crate) const DEFAULTS: &[Topic] = &[
    (
        "Connections",
        "A game's swarm is small, often a handful of players, and several of them may sit behind one router.",
        &[
            (
                "connections_limit",
                "more than a swarm of players has, and few enough for the table of a home router that carries the game's own traffic, and for the 256 files and sockets that macOS gives a program",
            ),
            (
                "connection_speed",
                "some routers drop traffic when connections are made faster",
            ),
            (
                "torrent_connect_boost",
                "a player waits for the first bytes, not for the last connection",
            ),
            (
                "allow_multiple_connections_per_ip",
                "players in a dorm, on a LAN party or on one machine share an address; libtorrent's default, one connection an address, leaves all but one of them without peers",
            ),
            (
                "max_connections_per_ip",
                "enough for a shared flat or a small dorm, and one address still cannot fill a session",
            ),
            (
                "close_redundant_connections",
                "two seeds have nothing to say to each other, and the places are for players who download",
            ),
            (
                "min_reconnect_time",
                "for peers that trackers name. Those that the game names by `connect_peer()` are called again after 1, 2, 4 and at last every 60 seconds, and at once after the machine slept: there may be no others",
            ),
            (
                "max_failcount",
                "a peer that a tracker names and that is gone costs three attempts; one that the game names is never given up",
            ),
        ],
    ),
    (
        "Upload slots",
        "",
        &[
            (
                "unchoke_slots_limit",
                "eight players at once, so that each of them gets enough of a home line to finish soon and send it on; -1 is for a dedicated seed",
            ),
            (
                "seed_choking_algorithm",
                "all peers in turn: in a multiplayer lobby all wait for the last player",
            ),
            (
                "allowed_fast_set_size",
                "who has just joined gets some pieces at once, and has something to give",
            ),
        ],
    ),
    (
        "Rates",
        "The library cannot know the line that it shares with the game: set `upload_rate_limit` while a match runs, to about half of what the line sends, or call `pause_session()`.",
        &[
            (
                "download_rate_limit",
                "a loading screen is over as soon as the line allows",
            ),
            (
                "upload_rate_limit",
                "players send on what they have as fast as they can, which is what makes a small swarm quick",
            ),
            (
                "rate_limit_ip_overhead",
                "a limit means what the line carries, headers included",
            ),
            (
                "ignore_limits_on_local_network",
                "a limit holds for all peers, since the local network may be a radio that the game uses too; a LAN party turns it on",
            ),
        ],
    ),
    (
        "Time-outs",
        "Short enough that a player who pulled the plug is not waited for, long enough for a phone that changes from one network to another.",
        &[
            (
                "peer_connect_timeout",
                "an address that swallows packets holds one of the attempts that long",
            ),
            (
                "handshake_timeout",
                "a peer that means well has answered by then",
            ),
            (
                "peer_timeout",
                "BEP 3 has peers say something every two minutes",
            ),
            (
                "piece_timeout",
                "after that, outstanding requests of a peer go to others, so that no piece waits for a player who left",
            ),
            (
                "request_timeout",
                "after that, a peer that still sends nothing gives up its place to others",
            ),
            (
                "inactivity_timeout",
                "holds only where there is no room for others",
            ),
        ],
    ),
    (
        "Listening port",
        "",
        &[
            (
                "listen_interfaces",
                "one port, TCP, IPv4 and IPv6, so that a port that was forwarded by hand stays right; \"\" listens nowhere, and spares players the question of their firewall: they can still download from whoever can be reached",
            ),
            (
                "max_retry_port_bind",
                "a second game, or a second instance while developing, finds a port of its own next to the first",
            ),
            (
                "listen_system_port_fallback",
                "and any port is better than none",
            ),
        ],
    ),
    (
        "Announces",
        "",
        &[
            ("num_want", "all players of a game's swarm in one reply"),
            (
                "min_announce_interval",
                "a small tracker of the game's own is not asked more often than that by each player",
            ),
            (
                "announce_to_all_trackers",
                "one tracker that answers is enough; the next is asked when it does not",
            ),
            (
                "tracker_completion_timeout",
                "slow ones are waited for, in the background",
            ),
            (
                "stop_tracker_timeout",
                "a game that quits is not held up longer by a tracker that does not answer",
            ),
        ],
    ),
    (
        "What is shared after a download",
        "A torrent that is complete goes on seeding for as long as the session runs and the game neither pauses nor removes it: in a small swarm those who are done are those who have it. `pause()` ends that, and a game that never wants to share sets `unchoke_slots_limit` and `allowed_fast_set_size` to 0. The limits below end nothing by themselves: they decide in which order seeds have their turn that were added as `auto_managed`.",
        &[
            (
                "seeding_outgoing_connections",
                "a seed behind a router calls players who cannot reach it",
            ),
            (
                "active_downloads",
                "of auto-managed torrents: a mod list comes one after the other, and the first can be played sooner",
            ),
            (
                "active_seeds",
                "of auto-managed torrents: the line is not split among dozens of them",
            ),
            (
                "share_ratio_limit",
                "who has sent twice what came makes way for seeds that have not",
            ),
            ("seed_time_limit", "and so does who has seeded for a day"),
        ],
    ),
    (
        "Memory, disk and frames",
        "",
        &[
            (
                "max_queued_disk_bytes",
                "what a download may keep in memory while the disk is slower than the line; the preset \"low_memory\" has less",
            ),
            (
                "file_pool_size",
                "beside the game's own files and the sockets",
            ),
            (
                "status_update_interval",
                "a progress bar looks alive, and an idle torrent costs nothing in between",
            ),
            (
                "alert_mask",
                "errors only: signals do not depend on it, and every other alert costs a little",
            ),
        ],
    ),
];
