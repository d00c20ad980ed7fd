//! The peer wire protocol as bytes: the handshake and the messages of BEP 3,
//! those of the Fast extension (BEP 6), and the envelope of BEP 10, whose
//! contents are read by `ext`.
//!
//! Decoding works on a slice and copies nothing; a message that is not all
//! there yet decodes to `None`. The length prefix is judged before the body
//! is awaited, so that a peer cannot make us collect a huge message.

use crate::ids::{BLOCK_SIZE, InfoHash, PeerId, PieceIndex};

/// Length of a handshake (BEP 3).
pub const HANDSHAKE_LEN: usize = 68;

/// Bytes of a `piece` message before its payload, the length prefix included.
pub const PIECE_HEADER_LEN: usize = 13;

/// No message needs to be longer than this, a bitfield of millions of pieces
/// apart.
const MESSAGE_LIMIT: usize = 1 << 20;

pub(crate) const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// Why bytes are not the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The first bytes are those of some other protocol.
    #[error("not a BitTorrent handshake")]
    NotBitTorrent,
    /// The length prefix is beyond any message.
    #[error("a message of {0} bytes is too long")]
    TooLong(u32),
    /// The length does not fit the message's type.
    #[error("message {id} cannot be {length} bytes long")]
    WrongLength {
        /// The message's type.
        id: u8,
        /// Its length prefix.
        length: u32,
    },
}

/// The first 68 bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Eight bytes of capability bits.
    pub reserved: [u8; 8],
    /// The swarm that the connection is for.
    pub info_hash: InfoHash,
    /// Who is speaking.
    pub peer_id: PeerId,
}

/// What an end of a connection understands beyond BEP 3, as the reserved bits
/// of its handshake say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// The Fast extension (BEP 6).
    pub fast: bool,
    /// The extension protocol (BEP 10).
    pub extensions: bool,
}

impl Features {
    /// Everything that we understand.
    pub const OURS: Self = Self {
        fast: true,
        extensions: true,
    };

    /// The reserved bytes of a handshake.
    pub fn reserved(self) -> [u8; 8] {
        let mut reserved = [0; 8];
        reserved[5] = if self.extensions { 0x10 } else { 0 };
        reserved[7] = if self.fast { 0x04 } else { 0 };
        reserved
    }

    /// What the reserved bytes of a handshake say.
    pub fn of(reserved: [u8; 8]) -> Self {
        Self {
            fast: reserved[7] & 0x04 != 0,
            extensions: reserved[5] & 0x10 != 0,
        }
    }
}

impl Handshake {
    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; HANDSHAKE_LEN] {
        let mut bytes = [0; HANDSHAKE_LEN];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved);
        bytes[28..48].copy_from_slice(&self.info_hash.0);
        bytes[48..].copy_from_slice(&self.peer_id.0);
        bytes
    }

    /// Reads a handshake.
    pub fn decode(bytes: &[u8; HANDSHAKE_LEN]) -> Result<Self, WireError> {
        Self::check_prefix(bytes)?;
        let mut handshake = Self {
            reserved: [0; 8],
            info_hash: InfoHash::default(),
            peer_id: PeerId::default(),
        };
        handshake.reserved.copy_from_slice(&bytes[20..28]);
        handshake.info_hash.0.copy_from_slice(&bytes[28..48]);
        handshake.peer_id.0.copy_from_slice(&bytes[48..]);
        Ok(handshake)
    }

    /// Whether `bytes`, the beginning of a connection, can become a handshake.
    pub fn check_prefix(bytes: &[u8]) -> Result<(), WireError> {
        let known = bytes.len().min(PROTOCOL.len());
        if bytes[..known] == PROTOCOL[..known] {
            Ok(())
        } else {
            Err(WireError::NotBitTorrent)
        }
    }
}

/// A span of bytes within a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// The piece.
    pub piece: PieceIndex,
    /// Offset of the first byte within the piece.
    pub begin: u32,
    /// Length in bytes.
    pub length: u32,
}

/// A message, borrowing its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Nothing: the sender is still there.
    KeepAlive,
    /// The sender will not answer requests.
    Choke,
    /// The sender will answer requests.
    Unchoke,
    /// The sender wants something we have.
    Interested,
    /// The sender wants nothing we have.
    NotInterested,
    /// The sender has this piece.
    Have(PieceIndex),
    /// The pieces that the sender has, in wire order.
    Bitfield(&'a [u8]),
    /// Asks for a block.
    Request(Request),
    /// Bytes of a piece.
    Piece {
        /// The piece.
        piece: PieceIndex,
        /// Offset of the first byte within the piece.
        begin: u32,
        /// The bytes.
        data: &'a [u8],
    },
    /// Takes a request back.
    Cancel(Request),
    /// The sender's DHT port (BEP 5).
    Port(u16),
    /// The sender thinks that this piece should be asked for (BEP 6).
    Suggest(PieceIndex),
    /// The sender has everything (BEP 6).
    HaveAll,
    /// The sender has nothing (BEP 6).
    HaveNone,
    /// The sender will not answer this request (BEP 6).
    Reject(Request),
    /// The sender answers requests for this piece although it chokes (BEP 6).
    AllowedFast(PieceIndex),
    /// A message of the extension protocol (BEP 10).
    Extended {
        /// Which extension, by the receiver's numbers; 0 is the handshake.
        id: u8,
        /// What it says.
        payload: &'a [u8],
    },
    /// A message of an extension that we did not offer.
    Unknown(u8),
}

/// The longest message that a peer of a torrent with this many pieces may send.
pub fn message_limit(num_pieces: u32) -> usize {
    MESSAGE_LIMIT.max(num_pieces.div_ceil(8) as usize + 64)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |word| {
        u32::from_be_bytes([word[0], word[1], word[2], word[3]])
    })
}

impl<'a> Message<'a> {
    /// Reads the first message of `input`. Returns it with the bytes it took,
    /// or `None` while it is incomplete.
    pub fn decode(
        input: &'a [u8],
        limit: usize,
    ) -> Result<Option<(Message<'a>, usize)>, WireError> {
        if input.len() < 4 {
            return Ok(None);
        }
        let length = word(input, 0);
        if length as usize > limit {
            return Err(WireError::TooLong(length));
        }
        if length == 0 {
            return Ok(Some((Message::KeepAlive, 4)));
        }
        let Some(&id) = input.get(4) else {
            return Ok(None);
        };
        if !length_fits(id, length) {
            return Err(WireError::WrongLength { id, length });
        }
        let used = 4 + length as usize;
        let Some(body) = input.get(5..used) else {
            return Ok(None);
        };
        let request = || Request {
            piece: PieceIndex(word(body, 0)),
            begin: word(body, 4),
            length: word(body, 8),
        };
        let message = match id {
            0 => Message::Choke,
            1 => Message::Unchoke,
            2 => Message::Interested,
            3 => Message::NotInterested,
            4 => Message::Have(PieceIndex(word(body, 0))),
            5 => Message::Bitfield(body),
            6 => Message::Request(request()),
            7 => Message::Piece {
                piece: PieceIndex(word(body, 0)),
                begin: word(body, 4),
                data: &body[8..],
            },
            8 => Message::Cancel(request()),
            9 => Message::Port(u16::from_be_bytes([body[0], body[1]])),
            13 => Message::Suggest(PieceIndex(word(body, 0))),
            14 => Message::HaveAll,
            15 => Message::HaveNone,
            16 => Message::Reject(request()),
            17 => Message::AllowedFast(PieceIndex(word(body, 0))),
            20 => Message::Extended {
                id: body[0],
                payload: &body[1..],
            },
            other => Message::Unknown(other),
        };
        Ok(Some((message, used)))
    }

    /// The piece, the offset and the bytes that are here of a `piece` message
    /// that is not whole yet.
    pub fn piece_under_way(input: &[u8]) -> Option<(PieceIndex, u32, u32)> {
        let here = input.len().checked_sub(PIECE_HEADER_LEN)?;
        (input[4] == 7).then(|| {
            let (piece, begin) = (PieceIndex(word(input, 5)), word(input, 9));
            (piece, begin, here as u32)
        })
    }

    /// Appends the message as it goes over the wire.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut head = |length: u32, id: u8| {
            out.extend_from_slice(&length.to_be_bytes());
            out.push(id);
        };
        match self {
            Message::KeepAlive => out.extend_from_slice(&[0; 4]),
            Message::Choke => head(1, 0),
            Message::Unchoke => head(1, 1),
            Message::Interested => head(1, 2),
            Message::NotInterested => head(1, 3),
            Message::HaveAll => head(1, 14),
            Message::HaveNone => head(1, 15),
            Message::Extended { id, payload } => {
                head(2 + payload.len() as u32, 20);
                out.push(*id);
                out.extend_from_slice(payload);
            }
            Message::Have(piece) | Message::Suggest(piece) | Message::AllowedFast(piece) => {
                let id = match self {
                    Message::Have(_) => 4,
                    Message::Suggest(_) => 13,
                    _ => 17,
                };
                head(5, id);
                out.extend_from_slice(&piece.0.to_be_bytes());
            }
            Message::Bitfield(bits) => {
                head(1 + bits.len() as u32, 5);
                out.extend_from_slice(bits);
            }
            Message::Request(request) | Message::Cancel(request) | Message::Reject(request) => {
                let id = match self {
                    Message::Request(_) => 6,
                    Message::Cancel(_) => 8,
                    _ => 16,
                };
                head(13, id);
                out.extend_from_slice(&request.piece.0.to_be_bytes());
                out.extend_from_slice(&request.begin.to_be_bytes());
                out.extend_from_slice(&request.length.to_be_bytes());
            }
            Message::Piece { piece, begin, data } => {
                out.extend_from_slice(&piece_header(*piece, *begin, data.len() as u32));
                out.extend_from_slice(data);
            }
            Message::Port(port) => {
                head(3, 9);
                out.extend_from_slice(&port.to_be_bytes());
            }
            Message::Unknown(id) => head(1, *id),
        }
    }
}

/// What stands before the payload of a `piece` message, so that the payload
/// itself never has to be copied into place.
pub fn piece_header(piece: PieceIndex, begin: u32, length: u32) -> [u8; PIECE_HEADER_LEN] {
    let mut header = [0; PIECE_HEADER_LEN];
    header[..4].copy_from_slice(&(9 + length).to_be_bytes());
    header[4] = 7;
    header[5..9].copy_from_slice(&piece.0.to_be_bytes());
    header[9..].copy_from_slice(&begin.to_be_bytes());
    header
}

fn length_fits(id: u8, length: u32) -> bool {
    match id {
        0..=3 | 14 | 15 => length == 1,
        4 | 13 | 17 => length == 5,
        6 | 8 | 16 => length == 13,
        20 => length >= 2,
        // Blocks are never longer than what we ask for.
        7 => length > 9 && length <= 9 + BLOCK_SIZE,
        9 => length == 3,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(message: &Message<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }

    fn any_message() -> impl Strategy<Value = (u8, u32, u32, Vec<u8>)> {
        (
            0u8..17,
            any::<u32>(),
            any::<u32>(),
            prop::collection::vec(any::<u8>(), 1..300),
        )
    }

    fn build(parts: &(u8, u32, u32, Vec<u8>)) -> Message<'_> {
        let (which, one, two, data) = parts;
        let piece = PieceIndex(*one);
        let request = Request {
            piece,
            begin: *two,
            length: data.len() as u32,
        };
        match which {
            0 => Message::Choke,
            1 => Message::Unchoke,
            2 => Message::Interested,
            3 => Message::NotInterested,
            4 => Message::Have(piece),
            5 => Message::Bitfield(data),
            6 => Message::Request(request),
            7 => Message::Piece {
                piece,
                begin: *two,
                data,
            },
            8 => Message::Cancel(request),
            9 => Message::Port(*two as u16),
            10 => Message::Suggest(piece),
            11 => Message::HaveAll,
            12 => Message::HaveNone,
            13 => Message::Reject(request),
            14 => Message::AllowedFast(piece),
            15 => Message::Extended {
                id: *two as u8,
                payload: data,
            },
            _ => Message::KeepAlive,
        }
    }

    proptest! {
        #[test]
        fn messages_round_trip_and_wait_until_they_are_whole(parts in any_message()) {
            let message = build(&parts);
            let bytes = bytes_of(&message);
            prop_assert_eq!(Message::decode(&bytes, 1000), Ok(Some((message, bytes.len()))));
            for end in 0..bytes.len() {
                prop_assert_eq!(Message::decode(&bytes[..end], 1000), Ok(None));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Message::decode(&bytes, 64);
        }
    }

    #[test]
    fn a_bad_length_is_refused_before_the_body_arrives() {
        assert_eq!(
            Message::decode(&[0xff, 0xff, 0xff, 0xff], 1000),
            Err(WireError::TooLong(u32::MAX))
        );
        let wrong = |id, length: u32| {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.push(id);
            Message::decode(&bytes, 1 << 20) == Err(WireError::WrongLength { id, length })
        };
        assert!(wrong(0, 2) && wrong(4, 4) && wrong(6, 12) && wrong(8, 14) && wrong(9, 2));
        assert!(wrong(7, 9) && wrong(7, 9 + BLOCK_SIZE + 1));
    }

    #[test]
    fn a_large_torrent_may_send_a_large_bitfield() {
        assert_eq!(message_limit(1000), 1 << 20);
        assert!(message_limit(u32::MAX) > 1 << 29);
    }

    #[test]
    fn handshakes_round_trip_and_strangers_are_told_early() {
        let handshake = Handshake {
            reserved: [0, 0, 0, 0, 0, 0x10, 0, 5],
            info_hash: InfoHash([7; 20]),
            peer_id: PeerId([9; 20]),
        };
        assert_eq!(Handshake::decode(&handshake.encode()), Ok(handshake));
        assert_eq!(Handshake::check_prefix(b"\x13Bit"), Ok(()));
        assert_eq!(
            Handshake::check_prefix(b"GET / HTTP"),
            Err(WireError::NotBitTorrent)
        );
    }
}
