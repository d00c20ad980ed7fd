//! Messages of ut_metadata (BEP 9): pieces of the info dict, asked for, sent
//! and refused.

use super::{ExtError, LIMITS};
use crate::bencode::{DictItem, Document};

/// Bytes in a piece of the info dict, except perhaps the last.
pub const METADATA_PIECE: u32 = 16 * 1024;

/// Bytes around a piece that are still a message: libtorrent's slack.
const MAX_MESSAGE: usize = METADATA_PIECE as usize + 1024;

/// A message of ut_metadata, borrowing its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataMessage<'a> {
    /// Asks for a piece.
    Request(u32),
    /// A piece.
    Data {
        /// Its number.
        piece: u32,
        /// Bytes in the whole info dict; 0 when not said.
        total_size: u32,
        /// Its bytes.
        data: &'a [u8],
    },
    /// The sender will not send this piece.
    Reject(u32),
    /// A message of a later version of the protocol: to be ignored.
    Unknown,
}

impl<'a> MetadataMessage<'a> {
    /// Reads the payload of a ut_metadata message.
    pub fn decode(payload: &'a [u8]) -> Result<Self, ExtError> {
        if payload.len() > MAX_MESSAGE {
            return Err(ExtError::BadMetadata);
        }
        let document = Document::parse_prefix(payload, &LIMITS).map_err(|_| ExtError::NotADict)?;
        let dict = document.root().as_dict().ok_or(ExtError::NotADict)?;
        let number = |key: &str| dict.int(key).and_then(|number| u32::try_from(number).ok());
        let piece = || number("piece").ok_or(ExtError::BadMetadata);
        match dict.int("msg_type").ok_or(ExtError::BadMetadata)? {
            0 => Ok(Self::Request(piece()?)),
            1 => Ok(Self::Data {
                piece: piece()?,
                total_size: number("total_size").unwrap_or(0),
                data: payload
                    .get(document.consumed()..)
                    .filter(|data| data.len() <= METADATA_PIECE as usize)
                    .ok_or(ExtError::BadMetadata)?,
            }),
            2 => Ok(Self::Reject(piece()?)),
            _ => Ok(Self::Unknown),
        }
    }

    /// The payload; of a piece without its bytes, which follow.
    pub fn encode_head(&self) -> Vec<u8> {
        let (kind, piece, total) = match *self {
            Self::Request(piece) => (0u32, piece, None),
            Self::Data {
                piece, total_size, ..
            } => (1, piece, Some(total_size)),
            Self::Reject(piece) => (2, piece, None),
            Self::Unknown => return Vec::new(),
        };
        let mut dict = DictItem::new();
        dict.insert("msg_type", kind);
        dict.insert("piece", piece);
        dict.insert_some("total_size", total);
        dict.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip() {
        for message in [
            MetadataMessage::Request(3),
            MetadataMessage::Reject(u32::MAX),
        ] {
            assert_eq!(MetadataMessage::decode(&message.encode_head()), Ok(message));
        }
        let data = MetadataMessage::Data {
            piece: 1,
            total_size: 16_390,
            data: b"foobar",
        };
        let mut bytes = data.encode_head();
        assert_eq!(bytes, b"d8:msg_typei1e5:piecei1e10:total_sizei16390ee");
        bytes.extend_from_slice(b"foobar");
        assert_eq!(MetadataMessage::decode(&bytes), Ok(data));
    }

    #[test]
    fn senseless_messages_are_refused_and_later_ones_ignored() {
        for text in ["", "de", "d8:msg_typei0ee", "d8:msg_typei0e5:piecei-1ee"] {
            assert!(MetadataMessage::decode(text.as_bytes()).is_err(), "{text}");
        }
        let later = b"d8:msg_typei7ee";
        assert_eq!(MetadataMessage::decode(later), Ok(MetadataMessage::Unknown));
        let mut long = b"d8:msg_typei1e5:piecei0ee".to_vec();
        long.resize(long.len() + 16 * 1024 + 1, 0);
        assert_eq!(MetadataMessage::decode(&long), Err(ExtError::BadMetadata));
    }
}
