//! Commands of a torrent to a connection, and how the connection carries them out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::{Connection, ConnectionLimits, PeerError, Watched};
use crate::bitfield::Bitfield;
use crate::ids::{Block, PieceIndex};
use crate::layout::Layout;

/// Why a connection is closed from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The torrent is paused, checked or removed.
    #[error("the torrent was stopped")]
    Stopped,
    /// Both ends have everything.
    #[error("neither side needs anything")]
    Redundant,
    /// There are too many connections.
    #[error("too many connections")]
    TooMany,
    /// There are too many connections with its address.
    #[error("too many connections with one address")]
    Crowded,
    /// Others may be of more use.
    #[error("its place is for others")]
    Turnover,
    /// Neither side has wanted anything for long, and others wait.
    #[error("neither side was interested for too long")]
    Inactive,
    /// The machine was asleep for longer than a peer may be silent.
    #[error("the machine was asleep for too long")]
    Asleep,
    /// The same peer is connected already.
    #[error("the peer is connected already")]
    Duplicate,
    /// Its address is banned.
    #[error("the peer is banned")]
    Banned,
    /// The IP filter blocks its address.
    #[error("the peer is blocked by the IP filter")]
    Filtered,
    /// The peer sent, or claims to have, metadata that cannot be right.
    #[error("the peer's metadata is false")]
    BadMetadata,
    /// A piece is gone, and the peer supports no message for that.
    #[error("the peer does not support the message that a piece is gone")]
    DontHaveUnsupported,
    /// We connected to ourselves.
    #[error("connected to ourselves")]
    OurselvesAgain,
}

/// A command to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerCommand {
    /// Open with this bitfield.
    Start(Arc<Bitfield>),
    /// The metadata is known; this is what it makes of the torrent.
    Metadata(Arc<Layout>),
    /// Request these blocks.
    Lease(Vec<Block>),
    /// Request these blocks at once, before all others.
    TimeCritical(Vec<Block>),
    /// Request those of these blocks at once that are leased and wait.
    Promote(Vec<Block>),
    /// Do not request these blocks after all.
    Cancel(Vec<Block>),
    /// Others are asked for these blocks now; they may come all the same.
    Withdraw(Vec<Block>),
    /// Work within these limits.
    Limits(ConnectionLimits),
    /// Note these things.
    Watch(Watched),
    /// Inform the peer that we have these pieces.
    Have(Arc<[PieceIndex]>),
    /// We have these pieces, which the peer has too: it need not be informed.
    HaveToo(Arc<[PieceIndex]>),
    /// Inform the peer that we have these pieces no longer (BEP 54).
    DontHave(Arc<[PieceIndex]>),
    /// Advise the peer to ask for these pieces, most of all for the last (BEP 6).
    Suggest(Vec<PieceIndex>),
    /// Inform the peer whether we download (BEP 21).
    UploadOnly(bool),
    /// Take part in peer exchange, or do not (BEP 11).
    PexEnabled(bool),
    /// Send this message of ut_pex (BEP 11).
    Pex(Bytes),
    /// Ask for this piece of the metadata (BEP 9).
    RequestMetadata(u32),
    /// Choke the peer, or let it download.
    Choke(bool),
    /// Inform the peer whether we want something it has.
    Interested(bool),
    /// Close the connection.
    Close(CloseReason),
}

impl Connection {
    /// Carries out a command. `Some` says that the connection is to be closed,
    /// and why; an error that the peer broke the protocol earlier, which only
    /// shows now.
    pub fn handle_command(
        &mut self,
        now: Instant,
        command: PeerCommand,
    ) -> Result<Option<CloseReason>, PeerError> {
        match command {
            PeerCommand::Start(have) => self.announce_pieces(&have),
            PeerCommand::Metadata(layout) => self.set_metadata(layout)?,
            PeerCommand::RequestMetadata(piece) => self.request_metadata(piece),
            PeerCommand::Suggest(pieces) => self.suggest(&pieces),
            PeerCommand::UploadOnly(only) => self.set_upload_only(only),
            PeerCommand::PexEnabled(enabled) => self.set_pex(enabled),
            PeerCommand::Pex(payload) => self.send_pex(&payload),
            PeerCommand::DontHave(pieces) => return Ok(self.send_dont_have(now, &pieces)),
            PeerCommand::Lease(blocks) => self.lease(now, &blocks),
            PeerCommand::TimeCritical(blocks) => self.lease_time_critical(now, &blocks),
            PeerCommand::Promote(blocks) => self.promote(now, &blocks),
            PeerCommand::Cancel(blocks) => self.cancel(now, &blocks),
            PeerCommand::Withdraw(blocks) => self.withdraw(now, &blocks),
            PeerCommand::Limits(limits) => self.set_limits(now, limits),
            PeerCommand::Watch(watched) => self.watch(watched),
            PeerCommand::Have(pieces) => self.announce_have(&pieces),
            PeerCommand::HaveToo(pieces) => self.note_have(&pieces),
            PeerCommand::Choke(choke) => self.set_choking(choke),
            PeerCommand::Interested(wanted) => self.set_interested(now, wanted),
            PeerCommand::Close(reason) => return Ok(Some(reason)),
        }
        self.check_unsent()?;
        Ok(None)
    }
}
