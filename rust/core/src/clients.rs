//! Peer ids to names of clients (BEP 20 and the habits older than it).
//!
//! For people to read. Nothing may depend on it: a peer id says whatever its
//! sender likes.

use crate::ids::PeerId;

/// How a client writes its version in the four characters of BEP 20.
#[derive(Clone, Copy, Debug)]
enum Version {
    /// Up to four numbers, the last one left out when it is zero.
    Numbers,
    /// Three numbers; the fourth character is the kind of release.
    Three,
    /// Two digits before the point, two after it.
    Pairs,
    /// As [`Version::Pairs`], with no zero in front of the second number.
    ShortPairs,
    /// Up to 3 a number and two digits (3.00), from 4 on three numbers.
    Transmission,
}

use Version::{Numbers, Pairs, ShortPairs, Three, Transmission};

/// The two characters of a client in BEP 20's convention, `-XXvvvv-`.
const CLIENTS: &[(&[u8; 2], &str, Version)] = &[
    (b"7T", "aTorrent", Numbers),
    (b"AB", "AnyEvent BitTorrent", Numbers),
    (b"AG", "Ares", Numbers),
    (b"AR", "Arctic Torrent", Numbers),
    (b"AT", "Artemis", Numbers),
    (b"AV", "Avicora", Numbers),
    (b"AX", "BitPump", Pairs),
    (b"AZ", "Azureus", Numbers),
    (b"A~", "Ares", Numbers),
    (b"BB", "BitBuddy", Numbers),
    (b"BC", "BitComet", Pairs),
    (b"BE", "baretorrent", Numbers),
    (b"BF", "Bitflu", Numbers),
    (b"BG", "BTG", Numbers),
    (b"BI", "BiglyBT", Numbers),
    (b"BL", "BitBlinder", Numbers),
    (b"BP", "BitTorrent Pro", Numbers),
    (b"BR", "BitRocket", Numbers),
    (b"BS", "BTSlave", Numbers),
    (b"BT", "BitTorrent", Three),
    (b"BW", "BitWombat", Numbers),
    (b"BX", "BittorrentX", Numbers),
    (b"CD", "Enhanced CTorrent", Pairs),
    (b"CT", "CTorrent", Pairs),
    (b"DE", "Deluge", Three),
    (b"DP", "Propagate Data Client", Numbers),
    (b"EB", "EBit", Numbers),
    (b"ES", "electric sheep", Numbers),
    (b"FC", "FileCroc", Numbers),
    (b"FD", "Free Download Manager", Three),
    (b"FG", "FlashGet", Pairs),
    (b"FL", "Folx", Numbers),
    (b"FT", "FoxTorrent", Numbers),
    (b"FW", "FrostWire", Numbers),
    (b"FX", "Freebox BitTorrent", Numbers),
    (b"GD", "godot-torrent", Numbers),
    (b"GS", "GSTorrent", Numbers),
    (b"HK", "Hekate", Numbers),
    (b"HL", "Halite", Three),
    (b"HN", "Hydranode", Numbers),
    (b"IL", "iLivid", Numbers),
    (b"KC", "Koinonein", Numbers),
    (b"KG", "KGet", Numbers),
    (b"KT", "KTorrent", Three),
    (b"LC", "LeechCraft", Numbers),
    (b"LH", "LH-ABC", Numbers),
    (b"LK", "Linkage", Numbers),
    (b"LP", "Lphant", Pairs),
    (b"LR", "LibreTorrent", Numbers),
    (b"LT", "libtorrent", Numbers),
    (b"LW", "LimeWire", Numbers),
    (b"MG", "MediaGet", Numbers),
    (b"MO", "MonoTorrent", Numbers),
    (b"MP", "MooPolice", Numbers),
    (b"MR", "Miro", Numbers),
    (b"MT", "MoonlightTorrent", Numbers),
    (b"NX", "Net Transport", Numbers),
    (b"OS", "OneSwarm", Numbers),
    (b"OT", "OmegaTorrent", Numbers),
    (b"PC", "CacheLogic", Numbers),
    (b"PD", "Pando", Numbers),
    (b"PI", "PicoTorrent", Numbers),
    (b"QD", "QQDownload", Numbers),
    (b"QT", "Qt 4 Torrent example", Numbers),
    (b"RT", "Retriever", Numbers),
    (b"RZ", "RezTorrent", Numbers),
    (b"SB", "Swiftbit", Numbers),
    (b"SD", "Xunlei", Numbers),
    (b"SM", "SoMud", Numbers),
    (b"SN", "ShareNET", Numbers),
    (b"SP", "BitSpirit", Numbers),
    (b"SS", "SwarmScope", Numbers),
    (b"ST", "SymTorrent", Numbers),
    (b"SZ", "Shareaza", Numbers),
    (b"S~", "Shareaza (beta)", Numbers),
    (b"TB", "Torch", Numbers),
    (b"TL", "Tribler", Numbers),
    (b"TN", "Torrent.NET", Numbers),
    (b"TR", "Transmission", Transmission),
    (b"TS", "TorrentStorm", Numbers),
    (b"TT", "TuoTu", Three),
    (b"UE", "µTorrent Embedded", Three),
    (b"UL", "uLeecher!", Numbers),
    (b"UM", "µTorrent Mac", Three),
    (b"UT", "µTorrent", Three),
    (b"UW", "µTorrent Web", Three),
    (b"VG", "Vagaa", Numbers),
    (b"WD", "WebTorrent Desktop", ShortPairs),
    (b"WT", "BitLet", Numbers),
    (b"WW", "WebTorrent", ShortPairs),
    (b"WY", "FireTorrent", Numbers),
    (b"XF", "Xfplay", Numbers),
    (b"XL", "Xunlei", Numbers),
    (b"XS", "XSwifter", Numbers),
    (b"XT", "XanTorrent", Numbers),
    (b"XX", "Xtorrent", Numbers),
    (b"ZO", "Zona", Numbers),
    (b"ZT", "ZipTorrent", Numbers),
    (b"lt", "rTorrent", Numbers),
    (b"pX", "pHoeniX", Numbers),
    (b"qB", "qBittorrent", Numbers),
    (b"st", "SharkTorrent", Numbers),
];

/// Letters of clients in Shadow's convention, `Xvvv--` with a character a number.
const SHADOW: &[(u8, &str)] = &[
    (b'A', "ABC"),
    (b'O', "Osprey Permaseed"),
    (b'Q', "BTQueue"),
    (b'R', "Tribler"),
    (b'S', "Shadow"),
    (b'T', "BitTornado"),
    (b'U', "UPnP NAT"),
];

/// Names before numbers with dashes between them, as in `M7-9-2--`.
const DASHED: &[(&[u8], &str)] = &[
    (b"A2-", "aria2"),
    (b"M", "Mainline"),
    (b"Mbrst", "Burst!"),
    (b"Q", "BTQueue"),
];

/// Where an id of no convention has which text.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (0, b"346-", "TorrentTopia"),
    (0, b"AZ2500BT", "BitTyrant"),
    (0, b"BTDWV-", "Deadman Walking"),
    (0, b"DNA", "BitTorrent DNA"),
    (0, b"DansClient", "XanTorrent"),
    (0, b"Deadman Walking-", "Deadman Walking"),
    (0, b"FUTB", "BitComet (modified)"),
    (0, b"LIME", "LimeWire"),
    (0, b"OP", "Opera"),
    (0, b"PEERAPP", "PeerApp"),
    (0, b"Pando-", "Pando"),
    (0, b"Plus", "Plus!"),
    (0, b"QVOD", "QVOD"),
    (0, b"TIX", "Tixati"),
    (0, b"XBT", "XBT Client"),
    (0, b"a00---0", "Swarmy"),
    (0, b"a02---0", "Swarmy"),
    (0, b"btpd/", "BitTorrent Protocol Daemon"),
    (0, b"btuga", "BTugaXP"),
    (0, b"eX", "eXeem"),
    (0, b"exbc", "BitComet"),
    (0, b"martini", "Martini Man"),
    (0, b"oernu", "BTugaXP"),
    (0, b"turbobt", "TurboBT"),
    (0, b"-BOW", "Bits on Wheels"),
    (0, b"-G3", "G3 Torrent"),
    (0, b"-ML", "MLDonkey"),
    (0, b"-Qt-", "Qt"),
    (4, b"btfans", "SimpleBT"),
    (5, b"Azureus", "Azureus 2.0.3.2"),
];

/// The client's name and version as far as its peer id shows them, such as
/// "libtorrent 2.1.1"; otherwise "Unknown" and what is readable of the id.
/// Never control characters, at most 40 characters.
pub fn name(id: PeerId) -> String {
    by_convention(&id.0)
        .or_else(|| by_dashes(&id.0))
        .or_else(|| by_text(&id.0))
        .or_else(|| by_shadow(&id.0))
        .or_else(|| by_code(&id.0))
        .unwrap_or_else(|| unknown(&id.0))
}

/// `-XXvvvv-`: the code and the numbers.
fn convention(id: &[u8; 20]) -> Option<([u8; 2], [u8; 4])> {
    let [b'-', code0, code1, a, b, c, d, b'-', ..] = *id else {
        return None;
    };
    let version = [number(a)?, number(b)?, number(c)?, number(d)?];
    Some(([code0, code1], version))
}

fn by_convention(id: &[u8; 20]) -> Option<String> {
    let (code, version) = convention(id)?;
    let (_, name, style) = CLIENTS.iter().find(|(known, ..)| **known == code)?;
    Some(format!("{name} {}", version_text(*style, version)))
}

/// A client that is new to us but keeps to the convention.
fn by_code(id: &[u8; 20]) -> Option<String> {
    let (code, version) = convention(id)?;
    let [code0, code1] = code.map(char::from);
    let readable = code.iter().all(u8::is_ascii_alphanumeric);
    readable.then(|| format!("{code0}{code1} {}", version_text(Numbers, version)))
}

fn version_text(style: Version, [a, b, c, d]: [u8; 4]) -> String {
    match style {
        Three => format!("{a}.{b}.{c}"),
        Pairs => format!("{}.{c}{d}", u32::from(a) * 10 + u32::from(b)),
        ShortPairs => {
            let pair = |tens, ones| u32::from(tens) * 10 + u32::from(ones);
            format!("{}.{}", pair(a, b), pair(c, d))
        }
        Transmission if a <= 3 => format!("{a}.{b}{c}"),
        Transmission => format!("{a}.{b}.{c}"),
        Numbers if d == 0 => format!("{a}.{b}.{c}"),
        Numbers => format!("{a}.{b}.{c}.{d}"),
    }
}

/// Digits, then capital letters from 10 and small ones from 36 on.
fn number(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        _ => None,
    }
}

/// `M7-9-2--`: three numbers of up to three digits, each followed by a dash.
fn by_dashes(id: &[u8; 20]) -> Option<String> {
    DASHED.iter().find_map(|(prefix, name)| {
        let mut numbers = id.strip_prefix(*prefix)?.split(|&byte| byte == b'-');
        let mut version = Vec::new();
        for _ in 0..3 {
            let digits = numbers.next()?;
            if !(1..=3).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            version.push(std::str::from_utf8(digits).ok()?);
        }
        // The last number ends with a dash too.
        numbers.next()?;
        Some(format!("{name} {}", version.join(".")))
    })
}

fn by_text(id: &[u8; 20]) -> Option<String> {
    let (.., name) = OTHERS
        .iter()
        .find(|(at, text, _)| id.get(*at..).is_some_and(|rest| rest.starts_with(text)))?;
    let version = match *id {
        [b'-', b'M', b'L', a, b'.', b, b'.', c, ..] | [b'X', b'B', b'T', a, b, c, ..] => {
            decimal([a, b, c, b'0']).map(|digits| version_text(Numbers, digits))
        }
        [b'T', b'I', b'X', a, b, c, d, b'-', ..] => {
            decimal([a, b, c, d]).map(|digits| version_text(Pairs, digits))
        }
        [b'e', b'x', b'b', b'c', major, minor, ..] => Some(format!("{major}.{minor:02}")),
        _ => None,
    };
    Some(version.map_or_else(|| (*name).to_owned(), |version| format!("{name} {version}")))
}

fn decimal(digits: [u8; 4]) -> Option<[u8; 4]> {
    let all = digits.iter().all(u8::is_ascii_digit);
    all.then(|| digits.map(|digit| digit.wrapping_sub(b'0')))
}

/// `S58B-----`, or three bytes that are numbers and a zero at the ninth place.
fn by_shadow(id: &[u8; 20]) -> Option<String> {
    let [letter, a, b, c, d, e, _, _, i, ..] = *id;
    let (_, name) = SHADOW.iter().find(|(known, _)| *known == letter)?;
    if [d, e] == *b"--" {
        return Some(format!(
            "{name} {}.{}.{}",
            number(a)?,
            number(b)?,
            number(c)?
        ));
    }
    (i == 0 && a < 128 && b < 128 && c < 128).then(|| format!("{name} {a}.{b}.{c}"))
}

fn unknown(id: &[u8; 20]) -> String {
    if id.iter().all(|&byte| byte == 0) {
        return "Unknown".to_owned();
    }
    let readable: String = id
        .iter()
        .map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        })
        .collect();
    format!("Unknown [{readable}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn starting(start: &[u8]) -> String {
        let mut id = [b'k'; 20];
        id[..start.len()].copy_from_slice(start);
        name(PeerId(id))
    }

    #[test]
    fn clients_of_today() {
        for (id, expected) in [
            ("-LT2110-", "libtorrent 2.1.1"),
            ("-LT12A1-", "libtorrent 1.2.10.1"),
            ("-TR3000-", "Transmission 3.00"),
            ("-TR2940-", "Transmission 2.94"),
            ("-TR4050-", "Transmission 4.0.5"),
            ("-TR410Z-", "Transmission 4.1.0"),
            ("-qB4520-", "qBittorrent 4.5.2"),
            ("-UT355W-", "µTorrent 3.5.5"),
            ("-UM1870-", "µTorrent Mac 1.8.7"),
            ("-BT7B5S-", "BitTorrent 7.11.5"),
            ("-DE13F0-", "Deluge 1.3.15"),
            ("-DE211s-", "Deluge 2.1.1"),
            ("-lt0D80-", "rTorrent 0.13.8"),
            ("-AZ5760-", "Azureus 5.7.6"),
            ("-AZ5761-", "Azureus 5.7.6.1"),
            ("-BI3500-", "BiglyBT 3.5.0"),
            ("-BC0170-", "BitComet 1.70"),
            ("-WW0207-", "WebTorrent 2.7"),
            ("-WD0024-", "WebTorrent Desktop 0.24"),
            ("-KT5120-", "KTorrent 5.1.2"),
            ("-GD0100-", "godot-torrent 0.1.0"),
            ("A2-1-36-0-", "aria2 1.36.0"),
            ("M7-9-2--", "Mainline 7.9.2"),
            ("M4-20-8-", "Mainline 4.20.8"),
            ("TIX0192-", "Tixati 1.92"),
        ] {
            assert_eq!(starting(id.as_bytes()), expected, "{id}");
        }
    }

    #[test]
    fn clients_of_old() {
        for (id, expected) in [
            (&b"S58B-----"[..], "Shadow 5.8.11"),
            (b"T03I--00", "BitTornado 0.3.18"),
            (b"A\x03\x01\x02kkkk\0", "ABC 3.1.2"),
            (b"exbc\x00\x38", "BitComet 0.56"),
            (b"-ML2.7.2-", "MLDonkey 2.7.2"),
            (b"XBT054d-", "XBT Client 0.5.4"),
            (b"XBTvery-", "XBT Client"),
            (b"OP7685", "Opera"),
            (b"Mbrst1-1-3-", "Burst! 1.1.3"),
            (b"Q1-10-0-", "BTQueue 1.10.0"),
            (b"-BOWa0C-", "Bits on Wheels"),
            (b"abcdeAzureus", "Azureus 2.0.3.2"),
        ] {
            assert_eq!(starting(id), expected, "{}", id.escape_ascii());
        }
    }

    #[test]
    fn ids_of_no_known_client() {
        assert_eq!(starting(b"-ZZ1230-"), "ZZ 1.2.3");
        assert_eq!(name(PeerId([0; 20])), "Unknown");
        assert_eq!(starting(b"-\x1b[1234-"), "Unknown [-.[1234-kkkkkkkkkkkk]");
        assert_eq!(starting(b"-LT1.0.-"), "Unknown [-LT1.0.-kkkkkkkkkkkk]");
        assert_eq!(starting(b"M1-2000-"), "Unknown [M1-2000-kkkkkkkkkkkk]");
    }

    #[test]
    fn the_tables_name_nobody_twice() {
        for (at, (code, ..)) in CLIENTS.iter().enumerate() {
            assert!(
                CLIENTS[..at].iter().all(|(other, ..)| other < code),
                "{}",
                code.escape_ascii()
            );
        }
    }

    proptest! {
        #[test]
        fn any_id_makes_a_short_printable_name(
            id in any::<[u8; 20]>(),
            start in prop::sample::select(vec![&b""[..], b"-", b"-LT", b"M", b"A2-", b"S", b"exbc", b"TIX", b"-ML", b"XBT"]),
        ) {
            let mut id = id;
            id[..start.len()].copy_from_slice(start);
            let name = name(PeerId(id));
            prop_assert!(!name.is_empty() && name.chars().count() <= 40, "{name}");
            prop_assert!(!name.chars().any(char::is_control));
        }
    }
}
