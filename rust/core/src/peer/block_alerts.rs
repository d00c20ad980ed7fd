//! Which blocks and requests a connection reports for alerts. Only what an alert
//! mask selects is recorded, so that it costs nothing otherwise.

use crate::ids::Block;
use crate::wire::Request;

/// Something about one block or request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockNote {
    /// We asked for the block.
    Requested(Block),
    /// A block that we asked for came.
    Finished(Block),
    /// The peer choked us or refused before it sent the block.
    Dropped(Block),
    /// The peer is too slow with the block; others are asked.
    TimedOut(Block),
    /// A block came that was not asked for.
    Unwanted(Block),
    /// The peer got the block from us.
    Uploaded(Block),
    /// The peer asked for what it can have.
    Asked(Request),
    /// The peer asked for what it cannot have.
    Invalid {
        /// What it asked for.
        request: Request,
        /// Whether the peer was sent a HAVE for the piece.
        we_have: bool,
        /// Whether it said that it is interested.
        interested: bool,
        /// Whether we have the piece, but keep it from the peer (BEP 16).
        withheld: bool,
    },
}

/// Which notes are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// [`BlockNote::Requested`], [`BlockNote::Finished`].
    pub progress: bool,
    /// [`BlockNote::Dropped`], [`BlockNote::TimedOut`].
    pub request_failures: bool,
    /// [`BlockNote::Unwanted`], [`BlockNote::Invalid`].
    pub peer: bool,
    /// [`BlockNote::Uploaded`].
    pub upload: bool,
    /// [`BlockNote::Asked`].
    pub asked: bool,
}
