//! Events of connections, with the field names and numbers of
//! libtorrent's alerts.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;

use torrent_core::ext::ExtError;
use torrent_core::ids::PeerId;
use torrent_core::peer::{BlockNote, CloseReason, ConnectionKind, PeerError};
use torrent_core::value::{Fields, Value};
use torrent_core::wire::WireError;

use super::{EventBody, PeerBlock, PeerRequest, RefusedRequest};
use crate::operation::Operation;
use crate::status::hex_peer_id;

/// The peer that an event about a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRef {
    /// Its endpoint.
    pub endpoint: SocketAddr,
    /// Its id; all zero as long as it has not said.
    pub id: PeerId,
}

impl From<SocketAddr> for PeerRef {
    fn from(endpoint: SocketAddr) -> Self {
        let id = PeerId::default();
        Self { endpoint, id }
    }
}

impl PeerRef {
    pub(super) fn fields(&self) -> Fields {
        let mut fields = super::fields::endpoint("peer_ip", "peer_port", &self.endpoint);
        fields.push(("pid".into(), hex_peer_id(self.id).into()));
        fields
    }
}

/// How a connection ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerFault {
    /// What was being done.
    pub operation: Operation,
    /// What it was, as text.
    pub error: String,
    /// libtorrent's number of the reason.
    pub reason: CloseCode,
}

macro_rules! close_codes {
    ($( $( #[$attribute:meta] )* $variant:ident = $code:literal, $name:literal; )*) => {
        /// Why a connection was closed: libtorrent's `close_reason_t`, as far
        /// as connections are closed for that here. From 256 on it is the
        /// peer's fault.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum CloseCode {
            $(
                $( #[$attribute] )*
                #[doc = concat!("`", $name, "`")]
                $variant = $code,
            )*
        }

        impl CloseCode {
            /// Every code, in the order of the numbers.
            pub const ALL: &[Self] = &[ $( Self::$variant, )* ];

            /// libtorrent's name.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }
        }
    };
}

close_codes! {
    #[default]
    None = 0, "none";
    DuplicatePeerId = 1, "duplicate_peer_id";
    TorrentRemoved = 2, "torrent_removed";
    NoMemory = 3, "no_memory";
    Blocked = 5, "blocked";
    UploadToUpload = 6, "upload_to_upload";
    TimedOut = 8, "timeout";
    TimedOutInterest = 9, "timed_out_interest";
    TimedOutActivity = 10, "timed_out_activity";
    TimedOutHandshake = 11, "timed_out_handshake";
    PeerChurn = 14, "peer_churn";
    TooManyConnections = 15, "too_many_connections";
    TooManyFiles = 16, "too_many_files";
    EncryptionError = 256, "encryption_error";
    InvalidInfoHash = 257, "invalid_info_hash";
    SelfConnection = 258, "self_connection";
    MessageTooBig = 261, "message_too_big";
    InvalidMessage = 263, "invalid_message";
    InvalidPiece = 264, "invalid_piece_message";
    InvalidHave = 265, "invalid_have_message";
    InvalidBitfield = 266, "invalid_bitfield_message";
    InvalidChoke = 267, "invalid_choke_message";
    InvalidUnchoke = 268, "invalid_unchoke_message";
    InvalidInterested = 269, "invalid_interested_message";
    InvalidNotInterested = 270, "invalid_not_interested_message";
    InvalidRequest = 271, "invalid_request_message";
    InvalidReject = 272, "invalid_reject_message";
    InvalidAllowedFast = 273, "invalid_allow_fast_message";
    InvalidExtended = 274, "invalid_extended_message";
    InvalidCancel = 275, "invalid_cancel_message";
    InvalidDhtPort = 276, "invalid_dht_port_message";
    InvalidSuggest = 277, "invalid_suggest_message";
    InvalidHaveAll = 278, "invalid_have_all_message";
    InvalidDontHave = 279, "invalid_dont_have_message";
    InvalidHaveNone = 280, "invalid_have_none_message";
    InvalidMetadata = 283, "invalid_metadata_message";
    RequestWhenChoked = 285, "request_when_choked";
}

impl CloseCode {
    /// libtorrent's number.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The code for a message of this type that cannot be right.
    const fn of_message(id: u8) -> Self {
        match id {
            0 => Self::InvalidChoke,
            1 => Self::InvalidUnchoke,
            2 => Self::InvalidInterested,
            3 => Self::InvalidNotInterested,
            4 => Self::InvalidHave,
            5 => Self::InvalidBitfield,
            6 => Self::InvalidRequest,
            7 => Self::InvalidPiece,
            8 => Self::InvalidCancel,
            9 => Self::InvalidDhtPort,
            13 => Self::InvalidSuggest,
            14 => Self::InvalidHaveAll,
            15 => Self::InvalidHaveNone,
            16 => Self::InvalidReject,
            17 => Self::InvalidAllowedFast,
            20 => Self::InvalidExtended,
            _ => Self::InvalidMessage,
        }
    }
}

impl From<CloseReason> for CloseCode {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Stopped => Self::TorrentRemoved,
            CloseReason::Redundant => Self::UploadToUpload,
            CloseReason::TooMany | CloseReason::Crowded => Self::TooManyConnections,
            CloseReason::Turnover => Self::PeerChurn,
            CloseReason::Inactive => Self::TimedOutInterest,
            CloseReason::Asleep => Self::TimedOutActivity,
            CloseReason::Duplicate => Self::DuplicatePeerId,
            CloseReason::Banned | CloseReason::Filtered => Self::Blocked,
            CloseReason::BadMetadata => Self::InvalidMetadata,
            CloseReason::OurselvesAgain => Self::SelfConnection,
            _ => Self::None,
        }
    }
}

impl From<&WireError> for CloseCode {
    fn from(error: &WireError) -> Self {
        match *error {
            WireError::TooLong(_) => Self::MessageTooBig,
            WireError::WrongLength { id, .. } => Self::of_message(id),
            _ => Self::None,
        }
    }
}

impl From<&PeerError> for CloseCode {
    fn from(error: &PeerError) -> Self {
        match error {
            PeerError::Wire(error) => error.into(),
            PeerError::NoSuchPiece(_) => Self::InvalidHave,
            PeerError::WrongBitfield | PeerError::TooManyBitfields => Self::InvalidBitfield,
            PeerError::NoSuchBlock | PeerError::Unsolicited => Self::InvalidPiece,
            PeerError::TooManyRequests | PeerError::InvalidRequests => Self::InvalidRequest,
            PeerError::ChokedRequests => Self::RequestWhenChoked,
            PeerError::Extension(ExtError::BadMetadata) => Self::InvalidMetadata,
            PeerError::Extension(_) | PeerError::NotNegotiated => Self::InvalidExtended,
            PeerError::LosesTooMuch => Self::InvalidDontHave,
            PeerError::TimedOut | PeerError::NeverReads => Self::TimedOutActivity,
            _ => Self::InvalidMessage,
        }
    }
}

impl From<&io::Error> for CloseCode {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::OutOfMemory => Self::NoMemory,
            _ => Self::None,
        }
    }
}

impl From<CloseReason> for PeerFault {
    fn from(reason: CloseReason) -> Self {
        Self {
            operation: Operation::BitTorrent,
            error: reason.to_string(),
            reason: reason.into(),
        }
    }
}

/// The field that says by which kind of connection.
pub(super) fn socket_type(kind: ConnectionKind) -> (Cow<'static, str>, Value) {
    ("socket_type".into(), i32::from(kind.number()).into())
}

/// The event of what a connection noted.
pub(crate) fn of_note(peer: PeerRef, note: BlockNote) -> EventBody {
    let at = |block| PeerBlock { peer, block };
    match note {
        BlockNote::Requested(block) => EventBody::BlockDownloading(at(block)),
        BlockNote::Finished(block) => EventBody::BlockFinished(at(block)),
        BlockNote::Dropped(block) => EventBody::RequestDropped(at(block)),
        BlockNote::TimedOut(block) => EventBody::BlockTimeout(at(block)),
        BlockNote::Unwanted(block) => EventBody::UnwantedBlock(at(block)),
        BlockNote::Uploaded(block) => EventBody::BlockUploaded(at(block)),
        BlockNote::Asked(request) => EventBody::IncomingRequest(PeerRequest { peer, request }),
        BlockNote::Invalid {
            request,
            we_have,
            interested,
            withheld,
        } => EventBody::InvalidRequest(RefusedRequest {
            peer,
            request,
            we_have,
            peer_interested: interested,
            withheld,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DisconnectedPeer;

    #[test]
    fn a_message_names_its_code() {
        let wrong =
            |id| CloseCode::from(&PeerError::from(WireError::WrongLength { id, length: 9 }));
        assert_eq!(wrong(4), CloseCode::InvalidHave);
        assert_eq!(wrong(20).code(), 274);
        assert_eq!(wrong(99), CloseCode::InvalidMessage);
        let long = PeerError::from(WireError::TooLong(1 << 30));
        assert_eq!(CloseCode::from(&long).name(), "message_too_big");
    }

    #[test]
    fn an_end_says_who_what_and_why() {
        let fault = PeerFault::from(CloseReason::Redundant);
        let connection = ConnectionKind::Utp;
        let peer = PeerRef::from(SocketAddr::from(([127, 0, 0, 1], 1)));
        let ended = DisconnectedPeer {
            peer,
            connection,
            fault,
        };
        let fields = crate::event::fields::of(&EventBody::PeerDisconnected(ended));
        let fields = &fields[peer.fields().len()..];
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["socket_type", "op", "operation", "error", "reason"]);
        assert_eq!(fields[0].1, Value::Int(3));
        assert_eq!(fields[1].1, Value::Int(1));
        assert_eq!(fields[4].1, Value::Int(6));
    }
}
