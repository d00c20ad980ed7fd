//! The payload, as a torrent's handle offers it: single pieces, and what is not
//! in the files yet. The torrent's task answers when the disk has.

use bytes::Bytes;
use tokio::sync::oneshot;
use torrent_core::ids::PieceIndex;

use super::{Command, TorrentHandle};
use crate::error::{Error, ErrorKind, Result};

impl TorrentHandle {
    /// Whether `piece` is verified.
    pub fn have_piece(&self, piece: PieceIndex) -> Result<bool> {
        self.check_piece(piece)?;
        Ok(self.pieces().get(piece.0))
    }

    /// Reads a verified piece; it comes as a `read_piece` event.
    pub fn read_piece(&self, piece: PieceIndex) -> Result<()> {
        self.check_piece(piece)?;
        self.post(Command::ReadPiece(piece, None))
    }

    /// Reads a verified piece and waits for it.
    pub async fn read_piece_now(&self, piece: PieceIndex) -> Result<Bytes> {
        self.check_piece(piece)?;
        let (answer, read) = oneshot::channel();
        self.post(Command::ReadPiece(piece, Some(answer)))?;
        read.await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::InvalidTorrentHandle)))
    }

    /// Writes every complete piece to the files soon.
    pub fn flush_cache(&self) -> Result<()> {
        self.post(Command::Flush(None))
    }

    /// Waits until every complete piece received so far is in the files.
    pub async fn flush(&self) -> Result<()> {
        let (answer, done) = oneshot::channel();
        self.post(Command::Flush(Some(answer)))?;
        done.await
            .map_err(|_| Error::new(ErrorKind::InvalidTorrentHandle))
    }
}
