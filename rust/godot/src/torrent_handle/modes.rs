//! Modes of a torrent: what it does for the swarm and for itself.

use super::*;

#[godot_api(secondary)]
impl TorrentHandle {
    /// As the only seed of a swarm, shows each peer one piece at a time, so that every
    /// piece is sent about once until the peers have it among themselves (BEP 16). Slow for
    /// anything else.
    #[func]
    fn set_super_seeding(&self, super_seeding: bool) -> bool {
        self.command("set_super_seeding", |torrent| {
            torrent.set_super_seeding(super_seeding)
        })
    }

    /// Whether super-seeding was set.
    #[func]
    fn is_super_seeding(&self) -> bool {
        self.read("is_super_seeding", Torrent::is_super_seeding)
            .unwrap_or_default()
    }

    /// Asks for nothing any more, or does again. What is there is still sent.
    #[func]
    fn set_upload_mode(&self, upload_mode: bool) -> bool {
        self.command("set_upload_mode", |torrent| {
            torrent.set_upload_mode(upload_mode)
        })
    }

    /// Whether upload mode was set.
    #[func]
    fn is_upload_mode(&self) -> bool {
        self.read("is_upload_mode", Torrent::is_upload_mode)
            .unwrap_or_default()
    }

    /// Fetches single pieces only, those that many peers lack, to send more than is
    /// received. No file is wanted any more.
    #[func]
    fn set_share_mode(&self, share_mode: bool) -> bool {
        self.command("set_share_mode", |torrent| {
            torrent.set_share_mode(share_mode)
        })
    }

    /// Whether the torrent is in share mode.
    #[func]
    fn is_share_mode(&self) -> bool {
        self.read("is_share_mode", Torrent::is_share_mode)
            .unwrap_or_default()
    }
}
