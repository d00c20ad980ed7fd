//! The extension protocol (BEP 10): the extended handshake, and the messages
//! of the extensions that we support.
//!
//! `peer` reads and writes them; everything here is bytes in, values out. What
//! a peer sends is bounded before it is believed: nesting, lengths, numbers.

mod ut_metadata;
mod ut_pex;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{read_ip, write_ip};
use crate::bencode::{DecodeLimits, Dict, DictItem, Document, Item};
use crate::text;
pub use ut_metadata::{METADATA_PIECE, MetadataMessage};
pub use ut_pex::{MAX_PEX_MESSAGE, PexFlags, PexMessage, PexPeer};

/// The number of the extended handshake itself.
pub const HANDSHAKE: u8 = 0;

/// Our number for ut_pex (BEP 11).
pub const UT_PEX: u8 = 1;

/// Our number for ut_metadata (BEP 9).
pub const UT_METADATA: u8 = 2;

/// Our number for upload_only (BEP 21).
pub const UPLOAD_ONLY: u8 = 3;

/// Our number for lt_donthave (BEP 54).
pub const DONT_HAVE: u8 = 7;

/// Longest name that a client may give itself, in bytes.
const MAX_CLIENT: usize = 64;

/// No extended handshake needs more.
const MAX_HANDSHAKE: usize = 64 * 1024;

/// Why an extension's message is none. The peer is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtError {
    /// The handshake is longer than any handshake.
    #[error("an extended handshake of {0} bytes is too long")]
    HandshakeTooLong(usize),
    /// It is not a bencoded dict.
    #[error("an extended message is not a bencoded dict")]
    NotADict,
    /// A message of peer exchange is longer than any.
    #[error("a message of peer exchange of {0} bytes is too long")]
    PexTooLong(usize),
    /// A metadata message of no known form.
    #[error("a metadata message makes no sense")]
    BadMetadata,
    /// Another length than the extension's messages have.
    #[error("a message of extension {id} cannot be {length} bytes long")]
    WrongLength {
        /// Our number of the extension.
        id: u8,
        /// The payload's length.
        length: usize,
    },
}

/// The other end's numbers for its extensions; 0 for those it does not support.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// ut_pex (BEP 11).
    pub pex: u8,
    /// ut_metadata (BEP 9).
    pub metadata: u8,
    /// upload_only (BEP 21).
    pub upload_only: u8,
    /// lt_donthave (BEP 54).
    pub dont_have: u8,
}

/// An extended handshake. Whatever is not said is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedHandshake {
    /// Which extensions the sender supports, and by which numbers.
    pub numbers: ExtensionIds,
    /// The sender's program, `v`.
    pub client: String,
    /// The port that the sender listens on, `p`.
    pub port: Option<u16>,
    /// How many requests the sender queues, `reqq`, at least 1.
    pub reqq: Option<u32>,
    /// The receiver's address as the sender sees it, `yourip`.
    pub your_ip: Option<IpAddr>,
    /// The sender's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The sender's IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Bytes in the info dict, when the sender has it (BEP 9).
    pub metadata_size: Option<u32>,
    /// The sender does not download (BEP 21).
    pub upload_only: Option<bool>,
}

/// Handshakes nest two deep; a little more is no crime.
const LIMITS: DecodeLimits = DecodeLimits {
    depth: 8,
    tokens: 2000,
};

impl ExtendedHandshake {
    /// Reads the payload of an extended handshake. Entries that make no sense
    /// are as good as absent.
    pub fn decode(payload: &[u8]) -> Result<Self, ExtError> {
        if payload.len() > MAX_HANDSHAKE {
            return Err(ExtError::HandshakeTooLong(payload.len()));
        }
        let document = Document::parse_prefix(payload, &LIMITS).map_err(|_| ExtError::NotADict)?;
        let dict = document.root().as_dict().ok_or(ExtError::NotADict)?;
        let positive = |key: &str| {
            let number = dict.int(key).and_then(|number| u32::try_from(number).ok());
            number.filter(|&number| number > 0)
        };
        let v4 = |bytes: &[u8]| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?));
        let v6 = |bytes: &[u8]| Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?));
        Ok(Self {
            numbers: dict.dict("m").map(numbers).unwrap_or_default(),
            client: client(dict.bytes("v").unwrap_or_default()),
            port: positive("p").and_then(|port| u16::try_from(port).ok()),
            reqq: dict
                .int("reqq")
                .map(|reqq| reqq.clamp(1, i64::from(u32::MAX)) as u32),
            your_ip: dict.bytes("yourip").and_then(read_ip),
            ipv4: dict.bytes("ipv4").and_then(v4),
            ipv6: dict.bytes("ipv6").and_then(v6),
            metadata_size: positive("metadata_size"),
            upload_only: dict.int("upload_only").map(|number| number != 0),
        })
    }

    /// The payload of an extended handshake with our numbers: of the
    /// extensions in `numbers` only which are there counts.
    pub fn encode(&self) -> Vec<u8> {
        let mut names = DictItem::new();
        let ExtensionIds {
            pex,
            metadata,
            upload_only,
            dont_have,
        } = self.numbers;
        for (name, number) in [
            ("ut_pex", pex),
            ("ut_metadata", metadata),
            ("upload_only", upload_only),
            ("lt_donthave", dont_have),
        ] {
            names.insert_some(name, (number > 0).then(|| u32::from(number)));
        }
        let mut dict = DictItem::new();
        dict.insert("m", Item::Dict(names));
        dict.insert_some("v", (!self.client.is_empty()).then(|| self.client.clone()));
        dict.insert_some("p", self.port.map(u32::from));
        dict.insert_some("reqq", self.reqq);
        dict.insert_some("yourip", self.your_ip.map(compact));
        dict.insert_some("ipv4", self.ipv4.map(|ip| compact(ip.into())));
        dict.insert_some("ipv6", self.ipv6.map(|ip| compact(ip.into())));
        dict.insert_some("metadata_size", self.metadata_size);
        dict.insert_some("upload_only", self.upload_only.map(u32::from));
        dict.encode()
    }
}

fn compact(ip: IpAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_ip(ip, &mut bytes);
    bytes
}

/// The numbers of a peer. Two extensions with one number are a peer's mistake
/// that only it suffers from; a number beyond a byte stands for none.
fn numbers(dict: Dict<'_>) -> ExtensionIds {
    let number = |name: &str| {
        let number = dict.int(name).and_then(|number| u8::try_from(number).ok());
        number.unwrap_or(0)
    };
    ExtensionIds {
        pex: number("ut_pex"),
        metadata: number("ut_metadata"),
        upload_only: number("upload_only"),
        dont_have: number("lt_donthave"),
    }
}

/// A client's name, safe to show: one line, not too long.
fn client(name: &[u8]) -> String {
    let shown = name.get(..MAX_CLIENT).unwrap_or(name);
    let text = text::repair(shown);
    let plain = text.chars().filter(|letter| !letter.is_control());
    plain.collect::<String>().trim().to_owned()
}

/// The payload of an upload_only message.
pub fn decode_upload_only(payload: &[u8]) -> Result<bool, ExtError> {
    match payload {
        [flag] => Ok(*flag != 0),
        other => Err(ExtError::WrongLength {
            id: UPLOAD_ONLY,
            length: other.len(),
        }),
    }
}

/// The payload of an lt_donthave message: the number of a piece.
pub fn decode_dont_have(payload: &[u8]) -> Result<u32, ExtError> {
    let bytes = payload.try_into().map_err(|_| ExtError::WrongLength {
        id: DONT_HAVE,
        length: payload.len(),
    })?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> ExtendedHandshake {
        ExtendedHandshake::decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_handshake_round_trips() {
        let handshake = ExtendedHandshake {
            numbers: ExtensionIds {
                pex: 1,
                metadata: 2,
                upload_only: 3,
                dont_have: 7,
            },
            client: "Godot 1.0".to_owned(),
            port: Some(6881),
            reqq: Some(2000),
            your_ip: Some("10.0.0.1".parse().unwrap()),
            ipv4: Some("10.0.0.2".parse().unwrap()),
            ipv6: Some("::2".parse().unwrap()),
            metadata_size: Some(31_235),
            upload_only: Some(true),
        };
        assert_eq!(
            ExtendedHandshake::decode(&handshake.encode()),
            Ok(handshake)
        );
        let empty = ExtendedHandshake::default();
        assert_eq!(empty.encode(), b"d1:mdee");
        assert_eq!(ExtendedHandshake::decode(b"de"), Ok(empty));
    }

    #[test]
    fn nonsense_is_as_good_as_absent() {
        let text =
            "d4:ipv43:abc13:metadata_sizei-5e1:mi3e1:pi65536e4:reqqi-1e6:yourip5:abcde1:vi1ee";
        let read = decode(text);
        assert_eq!(read.reqq, Some(1), "a peer takes one request at least");
        assert_eq!(
            read,
            ExtendedHandshake {
                reqq: Some(1),
                ..ExtendedHandshake::default()
            }
        );
        let read = decode("d1:md11:lt_donthavei7e11:ut_metadatai7e11:upload_onlyi999eee");
        let numbers = ExtensionIds {
            pex: 0,
            metadata: 7,
            upload_only: 0,
            dont_have: 7,
        };
        assert_eq!(read.numbers, numbers, "clashes hurt only the peer");
        assert_eq!(
            decode("d13:metadata_sizei99999999999ee").metadata_size,
            None
        );
    }

    #[test]
    fn names_of_clients_are_short_lines() {
        let long = format!("d1:v200:{}e", "x".repeat(200));
        assert_eq!(decode(&long).client.len(), MAX_CLIENT);
        let shown = decode("d1:v9: a\n\tb\x07\x1b[1e").client;
        assert!(!shown.contains(char::is_control));
    }

    #[test]
    fn what_is_no_handshake_closes_the_peer() {
        let nested = format!("d1:x{}{}e", "l".repeat(100), "e".repeat(100));
        for text in ["", "le", "i1e", "d", nested.as_str()] {
            assert_eq!(
                ExtendedHandshake::decode(text.as_bytes()),
                Err(ExtError::NotADict),
                "{text}"
            );
        }
        let long = format!("d1:v70000:{}e", "x".repeat(70_000));
        let refused = ExtendedHandshake::decode(long.as_bytes());
        assert!(matches!(refused, Err(ExtError::HandshakeTooLong(_))));
        assert!(decode_dont_have(&[0; 3]).is_err() && decode_upload_only(&[]).is_err());
        assert_eq!(decode_dont_have(&[0, 0, 1, 2]), Ok(258));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ExtendedHandshake::decode(&bytes);
            let _ = MetadataMessage::decode(&bytes);
        }
    }
}
