//! What a datagram of uTP holds (BEP 29, header format, version 1).

use super::SeqNr;

/// Bytes of a header without extensions.
pub const HEADER_SIZE: usize = 20;

/// Bytes that one extension carries at most, in steps of four as BEP 29 wants
/// selective acks.
pub const MAX_SELECTIVE_ACK: usize = 252;

const VERSION: u8 = 1;
const SELECTIVE_ACK: u8 = 1;
/// libtorrent's: why the sender closes the connection.
const CLOSE_REASON: u8 = 3;
/// Without meaning: it makes a packet longer. Receivers skip extensions that
/// they do not know.
const PADDING: u8 = 0x7f;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// Payload.
    Data,
    /// The end of the payload.
    Fin,
    /// Nothing but the fields of the header.
    State,
    /// The sender has no such connection.
    Reset,
    /// The beginning of a connection.
    Syn,
}

/// Fields that every packet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the packet is for.
    pub kind: PacketType,
    /// The connection, as its receiver numbers it.
    pub connection_id: u16,
    /// When it was sent, in microseconds of the sender's clock, which wraps.
    pub timestamp: u32,
    /// Microseconds that the last packet in the other direction was under way, up
    /// to the unknown difference of the clocks; 0 when there was none.
    pub timestamp_difference: u32,
    /// Bytes that the sender still has room for.
    pub window: u32,
    /// The number of the packet; of the next one with payload where this one
    /// has none.
    pub seq_nr: SeqNr,
    /// Everything up to this number has arrived.
    pub ack_nr: SeqNr,
}

/// A packet whose payload and selective ack lie in the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its fields.
    pub header: Header,
    /// What has arrived beyond `ack_nr`.
    pub selective_ack: Option<SelectiveAck<'a>>,
    /// Why the sender closes the connection, by libtorrent's numbers.
    pub close_reason: Option<u16>,
    /// Bytes of the stream.
    pub payload: &'a [u8],
}

/// Which packets have arrived out of order: bit `n` stands for `ack_nr + 2 + n`,
/// the lowest bit of the first byte is bit 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectiveAck<'a>(pub &'a [u8]);

/// Why a datagram is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than a header.
    #[error("shorter than a header")]
    Short,
    /// Another version than 1.
    #[error("another version")]
    Version,
    /// A type that BEP 29 does not know.
    #[error("unknown type")]
    Type,
    /// An extension reaches beyond the end.
    #[error("an extension reaches beyond the end")]
    Extension,
}

impl PacketType {
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Data,
            1 => Self::Fin,
            2 => Self::State,
            3 => Self::Reset,
            4 => Self::Syn,
            _ => return None,
        })
    }

    fn number(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Fin => 1,
            Self::State => 2,
            Self::Reset => 3,
            Self::Syn => 4,
        }
    }
}

impl SelectiveAck<'_> {
    /// How many packets after `ack_nr` each is that has arrived, in order.
    pub fn offsets(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, byte)| {
            let bits = (0..8).filter(move |bit| byte >> bit & 1 == 1);
            bits.map(move |bit| at * 8 + bit + 2)
        })
    }
}

impl<'a> Packet<'a> {
    /// Reads a datagram. Extensions that are not known are skipped; of a kind
    /// that is there twice the first one counts.
    ///
    /// # Errors
    ///
    /// When it is no packet of version 1.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let (header, mut rest) = datagram
            .split_first_chunk::<HEADER_SIZE>()
            .ok_or(PacketError::Short)?;
        if header[0] & 0x0f != VERSION {
            return Err(PacketError::Version);
        }
        let kind = PacketType::from_number(header[0] >> 4).ok_or(PacketError::Type)?;
        let short = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let long = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let mut selective_ack = None;
        let mut close_reason = None;
        let mut extension = header[1];
        while extension != 0 {
            let (&[next, length], after) = rest
                .split_first_chunk::<2>()
                .ok_or(PacketError::Extension)?;
            let (body, after) = after
                .split_at_checked(length.into())
                .ok_or(PacketError::Extension)?;
            match (extension, body) {
                (SELECTIVE_ACK, _) => {
                    selective_ack.get_or_insert(SelectiveAck(body));
                }
                (CLOSE_REASON, &[_, _, high, low]) => {
                    close_reason.get_or_insert(u16::from_be_bytes([high, low]));
                }
                _ => {}
            }
            extension = next;
            rest = after;
        }
        Ok(Self {
            header: Header {
                kind,
                connection_id: short(2),
                timestamp: long(4),
                timestamp_difference: long(8),
                window: long(12),
                seq_nr: SeqNr(short(16)),
                ack_nr: SeqNr(short(18)),
            },
            selective_ack,
            close_reason,
            payload: rest,
        })
    }

    /// Appends the datagram to `out`, padded to `size` bytes where it would be
    /// shorter; up to one byte more or less than that where no padding fits
    /// exactly, never less than the packet itself.
    ///
    /// A selective ack is cut to [`MAX_SELECTIVE_ACK`].
    pub fn encode(&self, size: usize, out: &mut Vec<u8>) {
        let header = &self.header;
        let start = out.len();
        out.push(header.kind.number() << 4 | VERSION);
        out.push(0);
        out.extend(header.connection_id.to_be_bytes());
        out.extend(header.timestamp.to_be_bytes());
        out.extend(header.timestamp_difference.to_be_bytes());
        out.extend(header.window.to_be_bytes());
        out.extend(header.seq_nr.0.to_be_bytes());
        out.extend(header.ack_nr.0.to_be_bytes());
        // Where the kind of the extension that comes next is written.
        let mut link = start + 1;
        let mut append = |out: &mut Vec<u8>, kind: u8, parts: [&[u8]; 2]| {
            out[link] = kind;
            link = out.len();
            let length = parts[0].len() + parts[1].len();
            out.extend([0, u8::try_from(length).unwrap_or(u8::MAX)]);
            out.extend(parts[0]);
            out.extend(parts[1]);
        };
        if let Some(SelectiveAck(bits)) = self.selective_ack {
            let bits = &bits[..bits.len().min(MAX_SELECTIVE_ACK)];
            append(out, SELECTIVE_ACK, [bits, &[]]);
        }
        if let Some(reason) = self.close_reason {
            append(out, CLOSE_REASON, [&[0, 0], &reason.to_be_bytes()]);
        }
        const ZEROS: [u8; 255] = [0; 255];
        loop {
            let missing = (start + size).saturating_sub(out.len() + self.payload.len());
            if missing < 2 {
                break;
            }
            let body = (missing - 2).min(ZEROS.len());
            append(out, PADDING, [&ZEROS[..body], &[]]);
        }
        out.extend(self.payload);
    }

    /// Bytes before the payload.
    pub fn overhead(selective_ack: usize, close_reason: bool) -> usize {
        let bits = match selective_ack {
            0 => 0,
            bits => 2 + bits,
        };
        HEADER_SIZE + bits + if close_reason { 6 } else { 0 }
    }
}
