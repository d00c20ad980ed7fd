//! Peers of a torrent, and its limits.

use super::*;

#[godot_api(secondary)]
impl TorrentHandle {
    /// The connected peers.
    #[func]
    fn get_peer_info(&self) -> Array<Gd<PeerInfo>> {
        let peers = self
            .read("get_peer_info", Torrent::peers)
            .unwrap_or_default();
        peers.iter().map(PeerInfo::of).collect()
    }

    /// Connects to a peer at an IP address. True means that it will be tried: at once, and
    /// again after 1, 2, 4 and at last every 60 seconds whenever the connection ends or cannot
    /// be made, for as long as the torrent runs. A peer that is banned or blocked, or that is
    /// this session itself, is given up, and while both are seeds there is nothing to do.
    #[func]
    fn connect_peer(&self, ip: GString, port: i64) -> bool {
        self.command("connect_peer", |torrent| {
            torrent.connect_peer(endpoint(&ip, port)?)
        })
    }

    /// Has nothing to do with an IP address any more, in all torrents of the session, until
    /// it ends.
    #[func]
    fn ban_peer(&self, ip: GString) -> bool {
        self.command("ban_peer", |torrent| torrent.ban_peer(convert::to_ip(&ip)?))
    }

    /// Limits what this torrent receives, bytes per second; 0 for no limit of its own.
    #[func]
    fn set_download_limit(&self, bytes_per_second: i64) -> bool {
        self.command("set_download_limit", |torrent| {
            torrent.set_download_limit(bytes_per_second)
        })
    }

    /// Most that this torrent receives, bytes per second; 0 unlimited.
    #[func]
    fn get_download_limit(&self) -> i64 {
        self.read("get_download_limit", Torrent::download_limit)
            .unwrap_or_default()
    }

    /// Limits what this torrent sends, bytes per second; 0 for no limit of its own.
    #[func]
    fn set_upload_limit(&self, bytes_per_second: i64) -> bool {
        self.command("set_upload_limit", |torrent| {
            torrent.set_upload_limit(bytes_per_second)
        })
    }

    /// Most that this torrent sends, bytes per second; 0 unlimited.
    #[func]
    fn get_upload_limit(&self) -> i64 {
        self.read("get_upload_limit", Torrent::upload_limit)
            .unwrap_or_default()
    }

    /// Limits the connections of this torrent: -1 for no limit, else at least 2.
    #[func]
    fn set_max_connections(&self, limit: i64) -> bool {
        self.command("set_max_connections", |torrent| {
            torrent.set_max_connections(limit)
        })
    }

    /// Most connections of this torrent; -1 unlimited.
    #[func]
    fn get_max_connections(&self) -> i64 {
        self.read("get_max_connections", Torrent::max_connections)
            .unwrap_or_default()
    }

    /// Limits the peers that may download from us at once: -1 for the session's limit,
    /// else at least 2.
    #[func]
    fn set_max_uploads(&self, limit: i64) -> bool {
        self.command("set_max_uploads", |torrent| torrent.set_max_uploads(limit))
    }

    /// Most peers that may download from us at once; -1 the session's limit.
    #[func]
    fn get_max_uploads(&self) -> i64 {
        self.read("get_max_uploads", Torrent::max_uploads)
            .unwrap_or_default()
    }
}
