//! What a connection does when its torrent tells it something.

use std::time::Instant;

use super::{Connection, PeerError};
use crate::torrent::{CloseReason, PeerCommand};

impl Connection {
    /// Carries out a command. `Some` says that the connection is to be closed,
    /// and why; an error that the peer broke the protocol earlier, which only
    /// shows now.
    pub fn obey(
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
            PeerCommand::Lost(pieces) => return Ok(self.announce_lost(now, &pieces)),
            PeerCommand::Lease(blocks) => self.lease(now, &blocks),
            PeerCommand::Urgent(blocks) => self.lease_urgent(now, &blocks),
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
