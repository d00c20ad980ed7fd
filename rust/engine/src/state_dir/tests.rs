use torrent_core::resume::ResumeData;
use torrent_core::settings::Settings;

use super::*;

const HASH: InfoHash = InfoHash([7; 20]);

fn record(uploaded: u64) -> ResumeData {
    ResumeData {
        hashes: Some(HASH.into()),
        save_path: b"/games".to_vec(),
        total_uploaded: uploaded,
        ..ResumeData::default()
    }
}

/// Saves as the engine does, and closes the folder.
fn save(folder: &Path, part: Part, data: Vec<u8>) {
    let state = StateDir::open(folder).unwrap();
    block_on(state.state_store.save(HASH, part, data.into())).unwrap();
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// The torrents that are remembered, and what could not be read.
fn loaded(folder: &Path) -> (Vec<Remembered>, Vec<Error>) {
    let state = StateDir::open(folder).unwrap();
    let mut reading = state.state_store.load_all();
    let (mut torrents, mut errors) = (Vec::new(), Vec::new());
    while let Some(read) = reading.blocking_recv() {
        match read {
            Recalled::Torrent(torrent) => torrents.push(*torrent),
            Recalled::Failed(error) => errors.push(error),
            Recalled::Late => {}
            Recalled::All => break,
        }
    }
    (torrents, errors)
}

fn only(folder: &Path) -> Remembered {
    let (mut torrents, errors) = loaded(folder);
    assert_eq!(torrents.len(), 1, "{errors:?}");
    torrents.remove(0)
}

#[test]
fn a_folder_has_one_user_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new/state");
    let first = StateDir::open(&folder).unwrap();
    let error = StateDir::open(&folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionStartFailed);
    assert!(error.to_string().contains("another session"), "{error}");
    assert!(error.context().ends_with("state"), "{error}");
    drop(first);
    StateDir::open(&folder).unwrap();
    assert!(StateDir::open("").is_err());
    fs::write(dir.path().join("file"), b"").unwrap();
    assert!(StateDir::open(dir.path().join("file")).is_err());
}

#[test]
fn a_record_that_makes_no_sense_gives_way_to_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    save(folder, Part::Added, record(0).encode());
    save(folder, Part::Resume, record(1).encode());
    save(folder, Part::Resume, record(2).encode());
    assert_eq!(only(folder).resume.total_uploaded, 2);
    assert_eq!(only(folder).load_error, None);

    let path = Part::Resume.path(folder, HASH);
    fs::write(&path, b"d4:infod").unwrap();
    let remembered = only(folder);
    assert_eq!(remembered.resume.total_uploaded, 1);
    let load_error = remembered.load_error.unwrap();
    assert_eq!(load_error.kind(), ErrorKind::ResumeDataParseError);
    assert_eq!(load_error.context(), path.display().to_string());

    // It is out of the way: the next save does not push out the good one.
    assert_eq!(only(folder).load_error, None);
    save(folder, Part::Resume, record(3).encode());
    fs::write(&path, b"").unwrap();
    assert_eq!(only(folder).resume.total_uploaded, 1);

    // Of another torrent, and nothing left but how it began.
    let other = ResumeData {
        hashes: Some(InfoHash([8; 20]).into()),
        ..record(5)
    };
    fs::write(&path, other.encode()).unwrap();
    fs::remove_file(files::previous(&path)).unwrap();
    assert_eq!(only(folder).resume.total_uploaded, 0);

    fs::write(Part::Added.path(folder, HASH), b"x").unwrap();
    let (torrents, errors) = loaded(folder);
    assert!(torrents.is_empty());
    assert_eq!(errors.len(), 1);
}

#[test]
fn a_save_that_was_cut_short_at_any_step_leaves_a_whole_record() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    save(folder, Part::Resume, record(1).encode());
    let path = Part::Resume.path(folder, HASH);
    // After half of the temporary file.
    let new = record(2).encode();
    let temporary = path.with_extension("resume.tmp");
    fs::write(&temporary, &new[..new.len() / 2]).unwrap();
    assert_eq!(only(folder).resume.total_uploaded, 1);
    // After the first rename.
    fs::rename(&path, files::previous(&path)).unwrap();
    let remembered = only(folder);
    assert_eq!(remembered.resume.total_uploaded, 1);
    assert_eq!(remembered.load_error, None);
    // The next save finds all that in its way, and does not mind.
    save(folder, Part::Resume, new);
    assert_eq!(only(folder).resume.total_uploaded, 2);
    assert!(!temporary.exists());
}

#[test]
fn a_removed_torrent_does_not_come_back_wherever_its_removal_was_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let magnet = format!("magnet:?xt=urn:btih:{HASH}&dn=a+name");
    for part in [Part::Added, Part::Resume, Part::Resume] {
        save(folder, part, record(1).encode());
    }
    save(folder, Part::Magnet, magnet.into_bytes());
    assert_eq!(only(folder).magnet.unwrap().name, "a name");
    assert!(only(folder).metainfo.is_none());
    // The tombstone is all that was done.
    fs::write(tombstone(folder, HASH), b"").unwrap();
    assert!(loaded(folder).0.is_empty());
    assert_eq!(fs::read_dir(torrents(folder)).unwrap().count(), 0);

    save(folder, Part::Resume, record(1).encode());
    let state = StateDir::open(folder).unwrap();
    block_on(state.state_store.forget(HASH)).unwrap();
    state.state_store.stop();
    assert!(block_on(state.state_store.forget(HASH)).is_err());
    assert!(loaded(folder).0.is_empty());
}

#[test]
fn the_session_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut session = SessionState::default();
    session.set_settings(&Settings {
        connections_limit: 50,
        ..Settings::default()
    });
    let state = StateDir::open(dir.path()).unwrap();
    assert_eq!(*state.session_state(), SessionState::default());
    block_on(state.state_store.save_session(session.encode().into())).unwrap();
    block_on(state.state_store.save_session(session.encode().into())).unwrap();
    drop(state);
    let state = StateDir::open(dir.path()).unwrap();
    assert_eq!(*state.session_state(), session);
    drop(state);
    fs::write(session_file(dir.path()), b"i1e").unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    assert_eq!(*state.session_state(), session);
    assert_eq!(state.errors.len(), 1);
}

#[test]
fn strangers_in_the_folder_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(StateDir::open(dir.path()).unwrap());
    let torrents = torrents(dir.path());
    for name in ["notes.txt", "0123.resume", "x", ".resume"] {
        fs::write(torrents.join(name), b"mine").unwrap();
    }
    let (found, errors) = loaded(dir.path());
    assert!(found.is_empty() && errors.is_empty());
    assert_eq!(fs::read_dir(torrents).unwrap().count(), 4);
}
