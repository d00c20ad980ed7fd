//! `TorrentStatus`: one torrent at one moment.

use std::sync::Arc;

use godot::builtin::{GString, VarDictionary};
use godot::classes::{IRefCounted, RefCounted};
use godot::obj::{Base, Gd, NewGd};
use godot::register::{GodotClass, godot_api};
use torrent_engine::status::{self, TorrentState};

use crate::convert;
use crate::live_objects::Alive;
use crate::snapshot::snapshot_methods;

/// What a torrent is doing and how far it is, at the moment it was asked.
///
/// It is a snapshot: it does not change. Ask the torrent again for the next
/// one, with [method TorrentHandle.get_status].
///
/// ```gdscript
/// var status := handle.get_status()
/// print("%s: %.1f %%, %d KiB/s, %d peers" % [
///     status.get_state_string(),
///     status.get_progress() * 100.0,
///     status.get_download_rate() / 1024,
///     status.get_num_peers(),
/// ])
/// ```
///
/// Sizes are bytes, rates bytes per second, times seconds.
#[derive(GodotClass)]
#[class(base=RefCounted)]
pub(crate) struct TorrentStatus {
    record: Arc<status::TorrentStatus>,
    _alive: Alive,
}

impl TorrentStatus {
    pub(crate) fn of(record: Arc<status::TorrentStatus>) -> Gd<Self> {
        let mut status = Self::new_gd();
        status.bind_mut().record = record;
        status
    }
}

#[godot_api]
impl IRefCounted for TorrentStatus {
    fn init(base: Base<RefCounted>) -> Self {
        Self {
            record: Arc::default(),
            _alive: Alive::new(&base),
        }
    }

    fn to_string(&self) -> GString {
        let status::TorrentStatus {
            name,
            state,
            progress,
            ..
        } = &*self.record;
        let percent = progress * 100.0;
        let text = format!("TorrentStatus({name}, {}, {percent:.1} %)", state.name());
        GString::from(&text)
    }
}

snapshot_methods! {
    impl TorrentStatus {
        /// Hashing files that were found on disk.
        #[constant]
        const STATE_CHECKING_FILES: i64 = TorrentState::CheckingFiles as i64;
        /// Fetching the description of the torrent from peers.
        #[constant]
        const STATE_DOWNLOADING_METADATA: i64 = TorrentState::DownloadingMetadata as i64;
        /// Downloading.
        #[constant]
        const STATE_DOWNLOADING: i64 = TorrentState::Downloading as i64;
        /// Everything wanted is there, but not all of the torrent.
        #[constant]
        const STATE_FINISHED: i64 = TorrentState::Finished as i64;
        /// All of the torrent is there.
        #[constant]
        const STATE_SEEDING: i64 = TorrentState::Seeding as i64;
        /// Just added: looking at what is on disk.
        #[constant]
        const STATE_CHECKING_RESUME_DATA: i64 = TorrentState::CheckingResumeData as i64;

        /// The state as text: "downloading", "seeding", "checking_files", …
        #[func]
        fn get_state_string(&self) -> GString {
            GString::from(self.record.state.name())
        }

        /// Everything in this snapshot by name (without `get_`).
        #[func]
        fn get_status_dictionary(&self) -> VarDictionary {
            convert::to_dictionary(&self.record.fields())
        }
    }
    getters {
        /// What the torrent is doing: one of the `STATE_` constants.
        get_state -> i64 = state;
        /// The torrent's info-hash: 40 hexadecimal digits.
        get_info_hash -> GString = info_hash;
        /// The torrent's name.
        get_name -> GString = name;
        /// The folder that its files are in.
        get_save_path -> GString = save_path;
        /// Paused, by the game or by an error, or waiting for its turn in the queue.
        is_paused -> bool = paused;
        /// The session's queue decides when it runs.
        is_auto_managed -> bool = is_auto_managed;
        /// Its place in the queue, from 0; -1 when it is finished.
        get_queue_position -> i64 = queue_position;
        /// Every wanted file is complete.
        is_finished -> bool = is_finished;
        /// The whole torrent is there.
        is_seeding -> bool = is_seeding;
        /// The description of the torrent (its files and pieces) is known.
        has_metadata -> bool = has_metadata;
        /// Share of the wanted bytes that is there, 0.0 to 1.0; while files are checked, of the check.
        get_progress -> f64 = progress;
        /// Verified bytes.
        get_total_done -> i64 = total_done;
        /// Bytes of the whole torrent.
        get_total_size -> i64 = total_size;
        /// Bytes of the wanted files.
        get_total_wanted -> i64 = total_wanted;
        /// Verified bytes of the wanted files.
        get_total_wanted_done -> i64 = total_wanted_done;
        /// Bytes received since the start, protocol included.
        get_total_download -> i64 = total_download;
        /// Bytes sent since the start, protocol included.
        get_total_upload -> i64 = total_upload;
        /// Bytes of file data received since the start.
        get_total_payload_download -> i64 = total_payload_download;
        /// Bytes of file data sent since the start.
        get_total_payload_upload -> i64 = total_payload_upload;
        /// Bytes thrown away because a piece did not match its hash.
        get_total_failed_bytes -> i64 = total_failed_bytes;
        /// Bytes that came twice or without being asked for.
        get_total_redundant_bytes -> i64 = total_redundant_bytes;
        /// Bytes received per second, protocol included.
        get_download_rate -> i64 = download_rate;
        /// Bytes sent per second, protocol included.
        get_upload_rate -> i64 = upload_rate;
        /// Bytes of file data received per second.
        get_download_payload_rate -> i64 = download_payload_rate;
        /// Bytes of file data sent per second.
        get_upload_payload_rate -> i64 = upload_payload_rate;
        /// Connected peers.
        get_num_peers -> i64 = num_peers;
        /// Connected peers that have everything.
        get_num_seeds -> i64 = num_seeds;
        /// Seeds in the swarm as the tracker says; -1 unknown.
        get_num_complete -> i64 = num_complete;
        /// Downloaders in the swarm as the tracker says; -1 unknown.
        get_num_incomplete -> i64 = num_incomplete;
        /// Connections, those still being set up included.
        get_num_connections -> i64 = num_connections;
        /// Most connections allowed; -1 unlimited.
        get_connections_limit -> i64 = connections_limit;
        /// Most peers that may download from us at once; -1 unlimited.
        get_uploads_limit -> i64 = uploads_limit;
        /// Peers that may download from us now.
        get_num_uploads -> i64 = num_uploads;
        /// Known peers, connected or not.
        get_list_peers -> i64 = list_peers;
        /// Known seeds, connected or not.
        get_list_seeds -> i64 = list_seeds;
        /// Known peers that could be connected now.
        get_connect_candidates -> i64 = connect_candidates;
        /// Seconds that the torrent was running.
        get_active_time -> i64 = active_time;
        /// Seconds that it was running with everything wanted.
        get_finished_time -> i64 = finished_time;
        /// Seconds that it was running with everything.
        get_seeding_time -> i64 = seeding_time;
        /// Seconds since file data was received; -1 never.
        get_time_since_download -> i64 = time_since_download;
        /// Seconds since file data was sent; -1 never.
        get_time_since_upload -> i64 = time_since_upload;
        /// Seconds until the next announce to a tracker; -1 none is planned.
        get_next_announce -> i64 = next_announce;
        /// The tracker that last answered; empty if none has.
        get_current_tracker -> GString = current_tracker;
        /// Pieces in the torrent.
        get_num_pieces -> i64 = num_pieces;
        /// Verified pieces.
        get_pieces_downloaded -> i64 = pieces_downloaded;
        /// Bytes in a block, the unit in which data is requested.
        get_block_size -> i64 = block_size;
        /// Copies of the torrent among the connected peers; the fraction is the share of pieces that are more common than the rarest. -1 when seeding.
        get_distributed_copies -> f64 = distributed_copies;
        /// What is wrong with the torrent; empty when nothing is.
        get_error -> GString = error;
        /// The file that the error is about; empty when none is.
        get_error_file -> GString = error_file;
        /// Unix time at which the torrent was added.
        get_added_time -> i64 = added_time;
        /// Unix time at which it was finished; 0 not yet.
        get_completed_time -> i64 = completed_time;
        /// Unix time at which a complete copy was last seen in the swarm; 0 never.
        get_last_seen_complete -> i64 = last_seen_complete;
        /// Seconds until everything wanted is there at the present rate; -1 unknown.
        get_eta -> i64 = eta;
        /// Bytes sent for each byte received; -1 when nothing was received.
        get_ratio -> f64 = ratio;
        /// Pieces are fetched in order.
        is_sequential_download -> bool = is_sequential_download;
        /// Whether the files are being moved to another folder.
        is_moving_storage -> bool = is_moving_storage;
        /// Payload received in all sessions together.
        get_all_time_download -> i64 = all_time_download;
        /// Payload sent in all sessions together.
        get_all_time_upload -> i64 = all_time_upload;
        /// Copies of the torrent in the swarm, our own included: whole ones, and the share of
        /// pieces there are more of.
        get_availability -> f64 = availability;
        /// A piece of which a block is on its way; -1 when none is.
        get_downloading_piece_index -> i64 = downloading_piece_index;
        /// The block of it that is on its way; -1 when none is.
        get_downloading_block_index -> i64 = downloading_block_index;
        /// Bytes of that block that are here.
        get_downloading_progress -> i64 = downloading_progress;
        /// Bytes of that block.
        get_downloading_total -> i64 = downloading_total;
        /// How much the swarm needs this seed, as the queue compares seeds; 0 when it is none.
        get_seed_rank -> i64 = seed_rank;
        /// How files get their room on the disk: "sparse" or "allocate".
        get_storage_mode -> GString = storage_mode;
        /// Whether everything is taken to be there; pieces are hashed before they are sent.
        is_seed_mode -> bool = is_seed_mode;
        /// Most that the torrent receives, bytes per second; 0 unlimited.
        get_download_limit -> i64 = download_limit;
        /// Most that the torrent sends, bytes per second; 0 unlimited.
        get_upload_limit -> i64 = upload_limit;
        /// Connections that a download limit makes wait.
        get_down_bandwidth_queue -> i64 = down_bandwidth_queue;
        /// Connections that an upload limit makes wait.
        get_up_bandwidth_queue -> i64 = up_bandwidth_queue;
        /// Whether nothing is requested: upload mode was set, or the files are in error.
        is_upload_mode -> bool = is_upload_mode;
        /// Whether only single pieces are fetched, to send more than is received.
        is_share_mode -> bool = is_share_mode;
        /// Whether the torrent is going to be paused when its files are checked.
        is_stop_when_ready -> bool = is_stop_when_ready;
        /// Whether the torrent shows peers one piece at a time.
        is_super_seeding -> bool = is_super_seeding;
        /// It announces itself to trackers.
        announces_to_trackers -> bool = announces_to_trackers;
    }
}
