//! Seed mode: everything is believed to be there. A look at the length of each
//! file finds what is missing at once; everything else is hashed piece by piece,
//! before the first byte of each is read for a caller (see `resume`).

use torrent_core::bitfield::Bitfield;

use super::error::{DiskError, DiskOp};
use super::storage::Storage;

impl Storage {
    /// Takes every piece to be there, on trust. An error names the first file
    /// that is missing or too short; nothing is changed then.
    pub async fn trust_all(&self) -> Result<(), DiskError> {
        self.apart(DiskOp::Stat, |shared, common| {
            shared.io.look(common)?;
            shared.check_lengths(common)?;
            let all = Bitfield::full(shared.spec.layout.num_pieces());
            shared.pieces.have.replace(&all);
            shared.pieces.set_known(true);
            shared.pieces.trusted.replace(&all);
            Ok(())
        })
        .await
    }

    /// Another number whenever [`Self::hashed`] may be another set.
    pub fn hashed_revision(&self) -> u64 {
        let (shared, _) = self.parts();
        // Neither goes back.
        shared.pieces.have.changes() + shared.pieces.trusted.changes()
    }

    /// The verified pieces that are not taken on trust.
    pub fn hashed(&self) -> Bitfield {
        let (shared, _) = self.parts();
        let mut hashed = shared.pieces.have.to_bitfield();
        for piece in shared.pieces.trusted.to_bitfield().iter() {
            hashed.clear(piece);
        }
        hashed
    }
}
