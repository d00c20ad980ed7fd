//! The peers of a torrent, as its handle offers them: peers to connect to,
//! bans, the IP filter.

use std::net::{IpAddr, SocketAddr};

use super::validate::check_peer;
use super::{Command, TorrentHandle};
use crate::error::{Error, ErrorKind, Result};

impl TorrentHandle {
    /// Connects to a peer, and again, after 1, 2, 4, ... and at last every 60
    /// seconds, whenever the connection ends or cannot be made. That ends when
    /// the peer is banned or blocked, or turns out to be ourselves; it pauses
    /// while the torrent is stopped, and while both are seeds.
    pub fn connect_peer(&self, peer: SocketAddr) -> Result<()> {
        check_peer(peer)?;
        self.post(Command::Connect(peer))
    }

    /// Bans an address in all torrents of the session, as
    /// [`Session::ban_peer`](crate::session::Session::ban_peer) does.
    pub fn ban_peer(&self, ip: IpAddr) -> Result<()> {
        self.check_valid()?;
        let session = self.shared.services.upgrade();
        session
            .ok_or_else(|| Error::new(ErrorKind::InvalidTorrentHandle))?
            .ban(ip);
        Ok(())
    }

    /// Lets the session's IP filter hold for this torrent, or not.
    pub fn set_apply_ip_filter(&self, apply: bool) -> Result<()> {
        self.change(|options| options.apply_ip_filter = apply)
    }

    /// Whether the session's IP filter holds for this torrent.
    pub fn applies_ip_filter(&self) -> bool {
        self.plain_options().apply_ip_filter
    }
}
