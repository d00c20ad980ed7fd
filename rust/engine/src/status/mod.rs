//! Snapshots: what a game reads. They are replaced as a whole by the torrent's
//! task, so a reader never waits and never sees half an update.

pub(crate) mod download_queue;
pub mod info;

use std::net::SocketAddr;
use std::sync::Arc;

use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{InfoHash, PeerId};
use torrent_core::record;
pub use torrent_core::torrent::TorrentState;
use torrent_core::value::Value;

record! {
    /// One torrent at one moment. Sizes are bytes, rates bytes per second,
    /// times seconds; -1 stands for "unknown" or "unlimited" as noted.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct TorrentStatus {
        /// v1 info-hash in hex.
        pub info_hash: String,
        /// Name from the info dictionary.
        pub name: String,
        /// Folder that the files are in.
        pub save_path: String,
        /// How files get their room: `sparse` or `allocate`.
        pub storage_mode: String,
        /// Its files are being moved to another folder.
        pub is_moving_storage: bool,
        /// Everything is taken to be there; pieces are hashed before they are
        /// first sent.
        pub is_seed_mode: bool,
        /// What the torrent is doing.
        pub state: TorrentState,
        /// Paused by the game or by an error, or waiting for its turn.
        pub paused: bool,
        /// The queue decides when it runs.
        pub is_auto_managed: bool,
        /// Its place in the queue, from 0; -1 when it is finished.
        pub queue_position: i64,
        /// How much it is needed as a seed, among others; 0 until it is
        /// finished.
        pub seed_rank: u32,
        /// Every wanted piece is there.
        pub is_finished: bool,
        /// Every piece is there.
        pub is_seeding: bool,
        /// The info dictionary is known.
        pub has_metadata: bool,
        /// Share of the wanted bytes (or, while checking, of the check): 0 to 1.
        pub progress: f64,
        /// Verified bytes, and received blocks of unfinished pieces.
        pub total_done: u64,
        /// All bytes of the torrent, without padding.
        pub total_size: u64,
        /// Bytes of the wanted files.
        pub total_wanted: u64,
        /// The same of the wanted files.
        pub total_wanted_done: u64,
        /// Bytes received since the start, protocol included.
        pub total_download: u64,
        /// Bytes sent since the start, protocol included.
        pub total_upload: u64,
        /// Payload bytes received since the start.
        pub total_payload_download: u64,
        /// Payload bytes sent since the start.
        pub total_payload_upload: u64,
        /// Payload bytes thrown away because a piece failed its hash.
        pub total_failed_bytes: u64,
        /// Payload bytes that came twice or unasked.
        pub total_redundant_bytes: u64,
        /// Received per second, protocol included.
        pub download_rate: u64,
        /// Sent per second, protocol included.
        pub upload_rate: u64,
        /// Payload received per second.
        pub download_payload_rate: u64,
        /// Payload sent per second.
        pub upload_payload_rate: u64,
        /// Connected peers past the handshake.
        pub num_peers: u32,
        /// Connected peers that have everything.
        pub num_seeds: u32,
        /// Seeds in the swarm as the tracker says; -1 unknown.
        pub num_complete: i64,
        /// Downloaders in the swarm as the tracker says; -1 unknown.
        pub num_incomplete: i64,
        /// Connections, those still in the handshake included.
        pub num_connections: u32,
        /// Most connections allowed; -1 unlimited.
        pub connections_limit: i64,
        /// Most unchoked peers allowed; -1 unlimited.
        pub uploads_limit: i64,
        /// Most bytes received a second; 0 unlimited.
        pub download_limit: i64,
        /// Most bytes sent a second; 0 unlimited.
        pub upload_limit: i64,
        /// Connections that a download limit makes wait.
        pub down_bandwidth_queue: u32,
        /// Connections that an upload limit makes wait.
        pub up_bandwidth_queue: u32,
        /// Unchoked peers.
        pub num_uploads: u32,
        /// Known peers.
        pub list_peers: u32,
        /// Known seeds.
        pub list_seeds: u32,
        /// Known peers that could be connected now.
        pub connect_candidates: u32,
        /// Seconds not paused.
        pub active_time: u64,
        /// Seconds not paused with everything wanted.
        pub finished_time: u64,
        /// Seconds not paused with everything.
        pub seeding_time: u64,
        /// Seconds since payload was received; -1 never.
        pub time_since_download: i64,
        /// Seconds since payload was sent; -1 never.
        pub time_since_upload: i64,
        /// Seconds until the next announce; -1 none is planned.
        pub next_announce: i64,
        /// The tracker that last answered; empty if none has.
        pub current_tracker: String,
        /// Pieces in the torrent.
        pub num_pieces: u32,
        /// Verified pieces.
        pub pieces_downloaded: u32,
        /// Bytes in a block.
        pub block_size: u32,
        /// Copies of the torrent in the swarm, as in libtorrent; -1 when seeding.
        pub distributed_copies: f64,
        /// What is wrong with the torrent; empty when nothing is.
        pub error: String,
        /// The file that the error is about; empty when none is.
        pub error_file: String,
        /// Unix time at which it was added.
        pub added_time: i64,
        /// Unix time at which it was finished; 0 not yet.
        pub completed_time: i64,
        /// Unix time at which a complete copy was last seen; 0 never.
        pub last_seen_complete: i64,
        /// Seconds until everything wanted is there at the present rate; -1 unknown.
        pub eta: i64,
        /// Payload bytes received over all sessions.
        pub all_time_download: u64,
        /// Payload bytes sent over all sessions.
        pub all_time_upload: u64,
        /// Payload sent by payload received, over all sessions; -1 nothing received.
        pub ratio: f64,
        /// Pieces are fetched in order.
        pub is_sequential_download: bool,
        /// Nothing is requested: upload mode was set, or storage is in error.
        pub is_upload_mode: bool,
        /// Only what improves the ratio is fetched.
        pub is_share_mode: bool,
        /// Peers are shown one piece at a time once it seeds (BEP 16).
        pub is_super_seeding: bool,
        /// It is going to be paused when its files are checked.
        pub is_stop_when_ready: bool,
        /// Copies of the torrent in the swarm, ourselves included: the whole
        /// ones, and the share of pieces there are more of.
        pub availability: f64,
        /// A piece of which a block is on its way; -1 none.
        pub downloading_piece_index: i64,
        /// The block of it; -1 none.
        pub downloading_block_index: i64,
        /// Bytes of that block that are here.
        pub downloading_progress: u32,
        /// Bytes of that block.
        pub downloading_total: u32,
        /// Announces to trackers.
        pub announces_to_trackers: bool,
    }
}

impl TorrentStatus {
    /// Whether it contains more than that time has passed since `earlier`: all
    /// the while a torrent runs, its clocks do, and its rank follows them.
    pub(crate) fn is_news_after(&self, earlier: &Self) -> bool {
        let of_then = Self {
            active_time: earlier.active_time,
            finished_time: earlier.finished_time,
            seeding_time: earlier.seeding_time,
            time_since_download: earlier.time_since_download,
            time_since_upload: earlier.time_since_upload,
            next_announce: earlier.next_announce,
            last_seen_complete: earlier.last_seen_complete,
            seed_rank: earlier.seed_rank,
            ..self.clone()
        };
        of_then != *earlier
    }
}

record! {
    /// One connection at one moment. Rates are bytes per second.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct PeerInfo {
        /// The peer's address.
        pub ip: String,
        /// The peer's port.
        pub port: u16,
        /// The client's name and version, from its peer id.
        pub client: String,
        /// The 20 bytes of its peer id in hex.
        pub peer_id: String,
        /// What carries the connection: "tcp" or "utp".
        pub connection_type: String,
        /// Where we know it from: "tracker", "pex", "resume", "incoming" or "manual", joined by
        /// commas.
        pub source: String,
        /// It has everything.
        pub is_seed: bool,
        /// Its address is on the local network.
        pub is_local: bool,
        /// It called us.
        pub is_incoming: bool,
        /// Its handshake was encrypted (MSE).
        pub is_encrypted: bool,
        /// What follows an encrypted handshake: "plaintext" or "rc4"; empty without one.
        pub encryption: String,
        /// Received per second, protocol included.
        pub download_rate: u64,
        /// Sent per second, protocol included.
        pub upload_rate: u64,
        /// Payload received per second.
        pub payload_download_rate: u64,
        /// Payload sent per second.
        pub payload_upload_rate: u64,
        /// Payload bytes received.
        pub total_download: u64,
        /// Payload bytes sent.
        pub total_upload: u64,
        /// Share of the pieces it has: 0 to 1.
        pub progress: f64,
        /// Pieces it has.
        pub pieces_downloaded: u32,
        /// Which pieces it has.
        pub pieces: Arc<Bitfield>,
        /// Milliseconds that it took to connect to it; 0 when it called us.
        pub rtt: u32,
        /// Seconds since our last request; -1 never.
        pub last_request: i64,
        /// Seconds since anything was sent or received.
        pub last_active: i64,
        /// Blocks we have asked of it.
        pub download_queue_length: u32,
        /// Blocks it has asked of us.
        pub upload_queue_length: u32,
        /// Blocks we aim to have asked of it.
        pub target_download_queue_length: u32,
        /// It has something we want.
        pub is_interesting: bool,
        /// We choke it.
        pub is_choked: bool,
        /// It wants something of ours.
        pub is_remote_interested: bool,
        /// It chokes us.
        pub is_remote_choked: bool,
        /// It has outstanding requests for too long.
        pub is_snubbed: bool,
        /// It is unchoked to give it a chance.
        pub is_optimistic_unchoke: bool,
        /// It is suspected of bad data, and fetches whole pieces, alone.
        pub is_on_parole: bool,
        /// Pieces it took part in that failed their hash.
        pub num_hashfails: u32,
        /// Attempts to connect to it, in a row, that failed before this one.
        pub failcount: u32,
        /// The piece of which it is sending a block; -1 none.
        pub downloading_piece_index: i64,
        /// The block of it; -1 none.
        pub downloading_block_index: i64,
        /// Bytes of that block that are here.
        pub downloading_progress: u32,
        /// Bytes of that block.
        pub downloading_total: u32,
    }
}

record! {
    /// One tracker of a torrent (BEP 12).
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct TrackerStatus {
        /// Its announce URL.
        pub url: String,
        /// Its tier; lower tiers are tried first.
        pub tier: u32,
        /// Where it comes from: 1 the torrent file, 2 the game, 4 the magnet link.
        pub source: u8,
        /// "not_contacted", "updating", "working" or "error".
        pub status: String,
        /// Its last warning or failure message.
        pub message: String,
        /// Seconds until the next announce; -1 none is planned.
        pub next_announce: i64,
        /// Seconds before which it wants no announce.
        pub min_announce: i64,
        /// Failures in a row.
        pub fails: u32,
        /// Failures in a row after which it is not asked any more; 0 never.
        pub fail_limit: u8,
        /// The last error; empty when none.
        pub last_error: String,
        /// Seeds that it knows; -1 unknown.
        pub scrape_complete: i64,
        /// Downloaders that it knows; -1 unknown.
        pub scrape_incomplete: i64,
        /// Complete downloads that it counted; -1 unknown.
        pub scrape_downloaded: i64,
        /// It has answered at least once.
        pub verified: bool,
        /// What it wants to receive in later announces.
        pub trackerid: String,
        /// How it does for each endpoint that we listen on; the fields above
        /// are those of the one that does best.
        pub endpoints: Vec<TrackerEndpoint>,
    }
}

record! {
    /// One tracker, announced to from one of our endpoints.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct TrackerEndpoint {
        /// The endpoint that we listen on.
        pub local_endpoint: String,
        /// The tracker is in reach from there.
        pub enabled: bool,
        /// Its last warning.
        pub message: String,
        /// The last error; empty when none.
        pub last_error: String,
        /// Seconds until the next announce; -1 none is planned.
        pub next_announce: i64,
        /// Seconds before which it wants no announce.
        pub min_announce: i64,
        /// Failures in a row.
        pub fails: u32,
        /// It is being asked.
        pub updating: bool,
        /// It was informed that we started, and not that we stopped.
        pub start_sent: bool,
        /// It knows that we are complete.
        pub complete_sent: bool,
        /// Seeds that it knows; -1 unknown.
        pub scrape_complete: i64,
        /// Downloaders that it knows; -1 unknown.
        pub scrape_incomplete: i64,
        /// Complete downloads that it counted; -1 unknown.
        pub scrape_downloaded: i64,
    }
}

record! {
    /// A file of a torrent that is open.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OpenFile {
        /// The file.
        pub file_index: u32,
        /// 0 to be read, 2 to be written too.
        pub open_mode: u8,
        /// Seconds since it was last used.
        pub last_use: u64,
    }
}

record! {
    /// A piece that is being fetched.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct PartialPiece {
        /// The piece.
        pub piece_index: u32,
        /// Its blocks.
        pub blocks_in_piece: u32,
        /// Blocks received, of a piece that is not complete.
        pub finished: u32,
        /// Blocks asked for.
        pub requested: u32,
        /// Blocks that wait for the disk: those of a complete piece.
        pub writing: u32,
        /// Every block, in order.
        pub blocks: Vec<BlockInfo>,
    }
}

record! {
    /// A block of a piece that is being fetched.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct BlockInfo {
        /// What became of it.
        pub state: BlockProgress,
        /// The peer that was asked first or that sent it, as `ip:port`; empty
        /// when there is none or it is gone.
        pub peer: PeerAddress,
        /// How many peers were asked.
        pub num_peers: u32,
        /// Bytes of it that are here.
        pub bytes_progress: u32,
        /// Its length in bytes.
        pub block_size: u32,
    }
}

/// What became of a block; the numbers are libtorrent's `block_state_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum BlockProgress {
    /// No peer was asked for it.
    #[default]
    None = 0,
    /// A peer was asked for it.
    Requested = 1,
    /// Its piece is complete and on its way to the disk.
    Writing = 2,
    /// It is here; its piece is not complete.
    Finished = 3,
}

impl From<BlockProgress> for Value {
    fn from(state: BlockProgress) -> Self {
        i64::from(state as i32).into()
    }
}

/// The endpoint of a peer that may be gone; a text `ip:port`, or an empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerAddress(pub Option<SocketAddr>);

impl From<PeerAddress> for Value {
    fn from(address: PeerAddress) -> Self {
        let text = address.0.map(|endpoint| endpoint.to_string());
        text.unwrap_or_default().into()
    }
}

/// The hash and id as users see them: lower-case hex.
pub fn hex_peer_id(id: PeerId) -> String {
    InfoHash(id.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_passes_is_no_news() {
        let earlier = TorrentStatus {
            active_time: 5,
            next_announce: 30,
            ..TorrentStatus::default()
        };
        let mut later = TorrentStatus {
            active_time: 6,
            finished_time: 1,
            seeding_time: 1,
            time_since_download: 1,
            time_since_upload: 1,
            next_announce: 29,
            last_seen_complete: 1,
            seed_rank: 1,
            ..TorrentStatus::default()
        };
        assert!(!later.is_news_after(&earlier));
        later.num_peers = 1;
        assert!(later.is_news_after(&earlier));
    }
}
