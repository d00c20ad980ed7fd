//! What a torrent may use at most, as its handle offers it: connections, upload
//! slots, bytes a second.

use super::TorrentHandle;
use super::validate::{check_limit, check_rate};
use crate::error::Result;

impl TorrentHandle {
    /// Limits the connections of this torrent; -1 for no limit, else at least 2.
    pub fn set_max_connections(&self, limit: i64) -> Result<()> {
        check_limit(limit)?;
        self.change(|options| options.max_connections = limit)
    }

    /// Most connections; -1 unlimited.
    pub fn max_connections(&self) -> i64 {
        self.plain_options().max_connections
    }

    /// Limits the peers that may download from us at once; -1 for the
    /// session's limit, else at least 2.
    pub fn set_max_uploads(&self, limit: i64) -> Result<()> {
        check_limit(limit)?;
        self.change(|options| options.max_uploads = limit)
    }

    /// Most unchoked peers; -1 the session's limit.
    pub fn max_uploads(&self) -> i64 {
        self.plain_options().max_uploads
    }

    /// Limits what this torrent receives, in bytes a second, within the
    /// session's limit; 0 for no limit of its own.
    pub fn set_download_limit(&self, limit: i64) -> Result<()> {
        check_rate(limit)?;
        self.change(|options| options.download_limit = limit.max(0))
    }

    /// Most bytes received a second; 0 unlimited.
    pub fn download_limit(&self) -> i64 {
        self.plain_options().download_limit
    }

    /// Limits what this torrent sends, in bytes a second, within the session's
    /// limit; 0 for no limit of its own.
    pub fn set_upload_limit(&self, limit: i64) -> Result<()> {
        check_rate(limit)?;
        self.change(|options| options.upload_limit = limit.max(0))
    }

    /// Most bytes sent a second; 0 unlimited.
    pub fn upload_limit(&self) -> i64 {
        self.plain_options().upload_limit
    }
}
