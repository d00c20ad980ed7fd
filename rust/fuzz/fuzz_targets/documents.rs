//! What is read as a whole: torrent files, magnet links, replies of trackers,
//! records of the state directory. The first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torrent_core::ext::{Handshake, MetadataMessage};
use torrent_core::ids::InfoHash;
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::Metainfo;
use torrent_core::resume::ResumeData;
use torrent_core::session_state::SessionState;
use torrent_core::tracker::{Reply, ScrapeReply};

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 8 {
        0 => {
            if let Ok(metainfo) = Metainfo::parse(data) {
                let again = Metainfo::parse(&metainfo.to_bytes()).expect("what we wrote");
                assert_eq!(again.info.hash, metainfo.info.hash);
            }
        }
        1 => drop(std::str::from_utf8(data).map(MagnetUri::parse)),
        2 => drop(Reply::parse(data)),
        3 => drop(ScrapeReply::parse(data, InfoHash([1; 20]))),
        4 => drop(ResumeData::decode(data)),
        5 => drop(SessionState::decode(data)),
        6 => drop(Handshake::decode(data)),
        _ => drop(MetadataMessage::decode(data)),
    }
});
