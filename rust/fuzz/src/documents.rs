//! What is read as a whole and written again: torrent files, magnet links, the
//! records of the state directory.

use torrent_core::ids::PieceIndex;
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::Metainfo;
use torrent_core::move_journal::MoveJournal;
use torrent_core::removal_journal::RemovalJournal;
use torrent_core::resume::ResumeData;
use torrent_core::session_state::SessionState;
use torrent_core::settings::Settings;

pub(crate) fn torrent_file(data: &[u8]) {
    let Ok(metainfo) = Metainfo::parse(data) else {
        return;
    };
    let again = Metainfo::parse(&metainfo.to_bytes()).expect("what we wrote");
    assert_eq!(again.info.hash(), metainfo.info.hash());
    assert_eq!(again.tiers, metainfo.tiers);
    let layout = &metainfo.info.layout;
    // Pieces and files cover the same bytes.
    let total = layout.total_length();
    let files = layout.files().iter().map(|file| file.length);
    assert_eq!(files.sum::<u64>(), total);
    let pieces = layout
        .pieces()
        .map(|piece| u64::from(layout.piece_len(piece)));
    assert_eq!(pieces.sum::<u64>(), total);
    assert_eq!(
        layout.spans(0, total).map(|span| span.length).sum::<u64>(),
        total
    );
    let link = metainfo.magnet();
    let read = MagnetUri::parse(&link.to_string()).expect("a link that we wrote");
    assert_eq!(read.hashes, link.hashes);
}

pub(crate) fn magnet(data: &[u8]) {
    let Ok(link) = str::from_utf8(data).map(MagnetUri::parse) else {
        return;
    };
    if let Ok(link) = link {
        let again = MagnetUri::parse(&link.to_string()).expect("what we wrote");
        assert_eq!(again.hashes, link.hashes);
        assert_eq!(again.trackers, link.trackers);
        drop(link.file_priorities(1000));
    }
}

pub(crate) fn resume_data(data: &[u8]) {
    let Ok(record) = ResumeData::decode(data) else {
        return;
    };
    for pieces in [0, 1, 9, 100_000] {
        drop(record.have(pieces));
        drop(record.verified_pieces(pieces));
    }
    for piece in [0, 1, u32::MAX] {
        drop(record.unfinished_blocks(PieceIndex(piece), 16));
    }
    let written = record.encode();
    let again = ResumeData::decode(&written).expect("what we wrote");
    assert_eq!(again.encode(), written);
}

pub(crate) fn places(data: &[u8]) {
    if let Ok(removal) = RemovalJournal::decode(data) {
        assert_eq!(RemovalJournal::decode(&removal.encode()), Ok(removal));
    }
    let Ok(places) = MoveJournal::decode(data) else {
        return;
    };
    assert_eq!(MoveJournal::decode(&places.encode()), Ok(places.clone()));
    if let Some(change) = &places.change {
        let _ = change.judge(|_| false, |file| file.0 % 2 == 0);
    }
}

pub(crate) fn session_state(data: &[u8]) {
    let Ok(mut state) = SessionState::decode(data) else {
        return;
    };
    let mut settings = Settings::default();
    drop(state.restore_settings(&mut settings));
    let mut names = Settings::default();
    names
        .apply(settings.values().iter().map(|(name, value)| (*name, value)))
        .expect("settings that were taken");
    assert!(SessionState::decode(&state.encode()).is_ok());
    state.set_settings(&settings);
    let mut again = Settings::default();
    let state = SessionState::decode(&state.encode()).expect("what we wrote");
    drop(state.restore_settings(&mut again));
    assert_eq!(again.values(), settings.values());
}
