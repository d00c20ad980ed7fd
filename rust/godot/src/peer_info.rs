//! `PeerInfo`: one connection of a torrent at one moment.

use godot::builtin::{Callable, GString, PackedByteArray, VarDictionary};
use godot::classes::{IRefCounted, RefCounted};
use godot::meta::ToGodot;
use godot::obj::{Base, Gd, NewGd};
use godot::register::{GodotClass, godot_api};
use torrent_engine::status;

use crate::live_objects::Alive;
use crate::snapshot::snapshot_methods;
use crate::{convert, country_resolver};

/// One connected peer of a torrent, at the moment it was asked for.
///
/// [method TorrentHandle.get_peer_info] returns one for each connection. It is
/// a snapshot and does not change. Rates are bytes per second.
///
/// ```gdscript
/// for peer in handle.get_peer_info():
///     print("%s (%s): %d KiB/s" % [peer.get_ip(), peer.get_client(), peer.get_download_rate() / 1024])
/// ```
#[derive(GodotClass)]
#[class(base=RefCounted)]
pub(crate) struct PeerInfo {
    record: status::PeerInfo,
    _alive: Alive,
}

impl PeerInfo {
    pub(crate) fn of(record: &status::PeerInfo) -> Gd<Self> {
        let mut peer = Self::new_gd();
        peer.bind_mut().record = record.clone();
        peer
    }
}

#[godot_api]
impl IRefCounted for PeerInfo {
    fn init(base: Base<RefCounted>) -> Self {
        Self {
            record: status::PeerInfo::default(),
            _alive: Alive::new(&base),
        }
    }

    fn to_string(&self) -> GString {
        let status::PeerInfo {
            ip, port, client, ..
        } = &self.record;
        GString::from(&format!("PeerInfo({ip} port {port}, {client})"))
    }
}

snapshot_methods! {
    impl PeerInfo {
        /// Where in the world the peer is, as the game's resolver says; empty without one. See
        /// [method set_country_resolver].
        #[func]
        fn get_country(&self) -> GString {
            let resolver = country_resolver::get().filter(Callable::is_valid);
            let ip = GString::from(&self.record.ip).to_variant();
            let country = resolver.map(|resolver| resolver.call(&[ip]));
            country
                .and_then(|country| country.try_to_relaxed().ok())
                .unwrap_or_default()
        }

        /// Sets what [method get_country] asks: a callable that takes an IP address and
        /// returns a text, from a database of the game's own. An empty Callable ends it.
        #[func]
        fn set_country_resolver(resolver: Callable) {
            country_resolver::set(Some(resolver).filter(Callable::is_valid));
        }

        /// Everything about the peer by name (without `get_`).
        #[func]
        fn get_peer_dictionary(&self) -> VarDictionary {
            convert::to_dictionary(&self.record.fields())
        }
    }
    getters {
        /// The peer's IP address.
        get_ip -> GString = ip;
        /// The peer's port.
        get_port -> i64 = port;
        /// The client's name and version: "libtorrent 2.1.1", "Transmission 3.00", …
        get_client -> GString = client;
        /// The 20 bytes with which the client names itself, in hexadecimal digits.
        get_peer_id -> GString = peer_id;
        /// How it is connected: "tcp" or "utp".
        get_connection_type -> GString = connection_type;
        /// Where we know it from: "tracker", "resume" (resume data), "incoming" or "manual";
        /// several are joined by commas.
        get_source -> GString = source;
        /// It has the whole torrent.
        is_seed -> bool = is_seed;
        /// Its address belongs to a local network.
        is_local -> bool = is_local;
        /// It called us.
        is_incoming -> bool = is_incoming;
        /// Its handshake was encrypted. Whether everything behind it is, too, says
        /// [method get_encryption].
        is_encrypted -> bool = is_encrypted;
        /// What follows an encrypted handshake: "rc4" where everything is encrypted,
        /// "plaintext" where only the handshake is; empty for a plain handshake.
        get_encryption -> GString = encryption;
        /// Bytes received per second, protocol included.
        get_download_rate -> i64 = download_rate;
        /// Bytes sent per second, protocol included.
        get_upload_rate -> i64 = upload_rate;
        /// Bytes of file data received per second.
        get_payload_download_rate -> i64 = payload_download_rate;
        /// Bytes of file data sent per second.
        get_payload_upload_rate -> i64 = payload_upload_rate;
        /// Bytes of file data received from it.
        get_total_download -> i64 = total_download;
        /// Bytes of file data sent to it.
        get_total_upload -> i64 = total_upload;
        /// Share of the pieces that it has, 0.0 to 1.0.
        get_progress -> f64 = progress;
        /// Pieces that it has.
        get_pieces_downloaded -> i64 = pieces_downloaded;
        /// Which pieces it has: a byte for each piece of the torrent, 1 or 0.
        get_pieces -> PackedByteArray = pieces;
        /// Milliseconds that it took to connect to it; 0 when it called us.
        get_rtt -> i64 = rtt;
        /// Seconds since we last asked it for something; -1 never.
        get_last_request -> i64 = last_request;
        /// Seconds since anything was sent or received.
        get_last_active -> i64 = last_active;
        /// Blocks that we have asked it for.
        get_download_queue_length -> i64 = download_queue_length;
        /// Blocks that it has asked us for.
        get_upload_queue_length -> i64 = upload_queue_length;
        /// Blocks that we aim to have asked it for, from its speed and delay.
        get_target_download_queue_length -> i64 = target_download_queue_length;
        /// It has something that we want.
        is_interesting -> bool = is_interesting;
        /// We send it nothing at the moment.
        is_choked -> bool = is_choked;
        /// It wants something of ours.
        is_remote_interested -> bool = is_remote_interested;
        /// It sends us nothing at the moment.
        is_remote_choked -> bool = is_remote_choked;
        /// It has outstanding requests for too long.
        is_snubbed -> bool = is_snubbed;
        /// It may download to give it a chance, whatever it gives us.
        is_optimistic_unchoke -> bool = is_optimistic_unchoke;
        /// Pieces that it took part in and that did not match their hash.
        get_num_hashfails -> i64 = num_hashfails;
        /// Attempts to connect to it, in a row, that failed before this one.
        get_failcount -> i64 = failcount;
        /// Whether the peer is suspected of bad data, and fetches whole pieces alone.
        is_on_parole -> bool = is_on_parole;
        /// The piece of which it is sending a block; -1 when there is none.
        get_downloading_piece_index -> i64 = downloading_piece_index;
        /// The block of it; -1 when there is none.
        get_downloading_block_index -> i64 = downloading_block_index;
        /// Bytes of that block that are here.
        get_downloading_progress -> i64 = downloading_progress;
        /// Bytes of that block.
        get_downloading_total -> i64 = downloading_total;
    }
}
