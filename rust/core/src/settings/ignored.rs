//! Names that are accepted and change nothing.

use super::plain::Plain::{self, Bool, Int, Text};

/// A name without effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ignored {
    /// The name.
    pub(super) name: &'static str,
    /// libtorrent's default, which also says what type of value it takes.
    pub(super) default: Plain,
    /// Why it means nothing.
    pub(super) reason: &'static str,
}

const fn ignored(name: &'static str, default: Plain, reason: &'static str) -> Ignored {
    Ignored {
        name,
        default,
        reason,
    }
}

const fn old(name: &'static str, default: Plain) -> Ignored {
    ignored(name, default, "it has no effect in libtorrent either")
}

/// All of them.
pub(super) const IGNORED: &[Ignored] = &[
    ignored(
        "hashing_threads",
        Int(1),
        "hashing goes along with writing, on the same threads",
    ),
    ignored(
        "checking_mem_usage",
        Int(256),
        "a check reads 256 KiB at a time on each thread",
    ),
    ignored(
        "disk_write_mode",
        Int(1),
        "files are not mapped into memory",
    ),
    ignored(
        "mmap_file_size_cutoff",
        Int(40),
        "files are not mapped into memory",
    ),
    ignored(
        "tick_interval",
        Int(500),
        "everything happens when it is due, not with a tick",
    ),
    ignored(
        "send_buffer_low_watermark",
        Int(10_240),
        "`send_buffer_watermark` holds at every rate",
    ),
    ignored(
        "send_buffer_watermark_factor",
        Int(50),
        "`send_buffer_watermark` holds at every rate",
    ),
    ignored(
        "send_not_sent_low_watermark",
        Int(16_384),
        "what is queued for a peer is bounded before it reaches the system",
    ),
    ignored(
        "max_peer_recv_buffer_size",
        Int(2_097_152),
        "no message is longer than the longest one that makes sense",
    ),
    ignored(
        "max_http_recv_buffer_size",
        Int(835_584),
        "`tracker_maximum_response_length` bounds what is read",
    ),
    ignored(
        "listen_queue_size",
        Int(5),
        "as many connections may wait as the system allows, up to 256",
    ),
    ignored(
        "resolver_cache_timeout",
        Int(1200),
        "names are looked up by the system, which has a cache of its own",
    ),
    ignored(
        "rate_choker_initial_threshold",
        Int(1024),
        "the rate-based choker always begins at 1 KiB a second",
    ),
    ignored(
        "smooth_connects",
        Bool(true),
        "connections are always spread over the second",
    ),
    ignored(
        "support_share_mode",
        Bool(true),
        "share mode is set for each torrent",
    ),
    ignored(
        "max_rejects",
        Int(50),
        "a peer that makes us refuse requests is closed when the refusals pile up unread",
    ),
    ignored(
        "connect_seed_every_n_download",
        Int(10),
        "seeds are tried in the same order as other peers",
    ),
    old("mmap_cache", Text("")),
    old("lazy_bitfields", Bool(false)),
    old("use_read_cache", Bool(true)),
    old("use_write_cache", Bool(true)),
    old("dont_flush_write_cache", Bool(false)),
    old("coalesce_reads", Bool(false)),
    old("coalesce_writes", Bool(false)),
    old("strict_super_seeding", Bool(false)),
    old("lock_disk_cache", Bool(false)),
    old("low_prio_disk", Bool(true)),
    old("volatile_read_cache", Bool(false)),
    old("guided_read_cache", Bool(false)),
    old("broadcast_lsd", Bool(true)),
    old("ignore_resume_timestamps", Bool(false)),
    old("rate_limit_utp", Bool(true)),
    old("announce_double_nat", Bool(false)),
    old("use_disk_read_ahead", Bool(true)),
    old("lock_files", Bool(false)),
    old("contiguous_recv_buffer", Bool(true)),
    old("allow_partial_disk_writes", Bool(true)),
    old("force_proxy", Bool(false)),
    old("support_merkle_torrents", Bool(false)),
    old("use_disk_cache_pool", Bool(false)),
    old("cache_size", Int(2048)),
    old("cache_buffer_chunk_size", Int(0)),
    old("cache_expiry", Int(300)),
    old("active_loaded_limit", Int(0)),
    old("file_checks_delay_per_block", Int(0)),
    old("read_cache_line_size", Int(32)),
    old("write_cache_line_size", Int(16)),
    old("default_cache_min_age", Int(1)),
    old("default_est_reciprocation_rate", Int(16_000)),
    old("increase_est_reciprocation_rate", Int(20)),
    old("decrease_est_reciprocation_rate", Int(3)),
    old("local_upload_rate_limit", Int(0)),
    old("local_download_rate_limit", Int(0)),
    old("utp_delayed_ack", Int(0)),
    old("aio_max", Int(300)),
    old("network_threads", Int(0)),
    old("ssl_listen", Int(0)),
    old("cache_size_volatile", Int(256)),
];
