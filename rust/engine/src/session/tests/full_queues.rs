//! Full queues: what is refused says so and has changed nothing, and what must
//! not be refused is not. The torrents here have no task that takes commands.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::settings::Settings;
use torrent_core::torrent::TorrentState;
use torrent_core::value::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::event::command_sequence::{CommandTopic, ENDS_ERROR};
use crate::event::sink::AlertQueue;
use crate::event::{Alert, Event, EventBody, StateChange, kind, typed};
use crate::session::add::AddTorrent;
use crate::session::queue::Move;
use crate::session::registry::Origin;
use crate::session::{Session, SessionCommand};
use crate::torrent::NewTorrent;
use crate::torrent::handle::modes::Discovery;
use crate::torrent::handle::post::PostRequest;
use crate::torrent::handle::resume::SaveFlags;
use crate::torrent::handle::storage::{Deletion, MoveMode};
use crate::torrent::handle::{Command, OptionsPatch, PendingState, TorrentHandle};

/// More than a full queue of any sort of commands.
const PLENTY: usize = 5000;

fn session() -> Session {
    let mut settings = Settings::default();
    let listen = Value::from("127.0.0.1:0");
    settings.apply([("listen_interfaces", &listen)]).unwrap();
    Session::start(settings).unwrap()
}

fn torrent(name: char) -> Vec<u8> {
    let pieces = "x".repeat(40);
    format!(
        "d8:announce9:http://a/4:infod5:filesld6:lengthi16384e4:pathl1:aeed6:lengthi5e4:pathl1:beee\
         4:name1:{name}12:piece lengthi16384e6:pieces40:{pieces}ee"
    )
    .into_bytes()
}

/// A torrent that is in the session and has no task.
fn registered(session: &Session, folder: &TempDir) -> (TorrentHandle, NewTorrent) {
    let add = AddTorrent::from_data(&torrent('n'), folder.path()).unwrap();
    let (handle, new) = session.shared.register(add, Origin::Game).unwrap();
    (handle, new.unwrap())
}

/// Calls until it is refused, and says how often it was not.
fn fill(call: impl Fn() -> Result<()>) -> usize {
    for count in 0..PLENTY {
        if let Err(error) = call() {
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            return count;
        }
    }
    panic!("never refused");
}

fn refused<T: std::fmt::Debug>(result: Result<T>) {
    assert_eq!(
        result.map_err(|error| error.kind()).unwrap_err(),
        ErrorKind::Timeout
    );
}

#[test]
fn a_full_queue_refuses_messages_and_no_state() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, mut new) = registered(&session, &folder);
    let piece = PieceIndex(0);
    let fullness = fill(|| handle.ask(PostRequest::Status));
    assert_eq!(fullness, 1024);
    // Messages: none of them has done anything.
    refused(handle.set_piece_deadline(piece, Duration::ZERO, false));
    assert_eq!(handle.piece_priority(piece).unwrap(), 4);
    refused(handle.read_piece(piece));
    refused(handle.reset_piece_deadline(piece));
    refused(handle.clear_piece_deadlines());
    refused(handle.connect_peer("127.0.0.1:7".parse().unwrap()));
    refused(handle.force_reannounce(Duration::ZERO, None));
    refused(handle.scrape_tracker(None));
    for (_, question) in PostRequest::ALL {
        refused(handle.ask(*question));
    }
    // What is rare and matters more has room of its own, and an end too.
    let elsewhere = folder.path().join("elsewhere");
    handle.move_storage(elsewhere, MoveMode::default()).unwrap();
    handle.rename_file(FileIndex(0), "c").unwrap();
    handle.save_resume_data(SaveFlags::default()).unwrap();
    handle.flush_cache().unwrap();
    fill(|| handle.rename_file(FileIndex(0), "c"));
    assert!(handle.status().is_moving_storage);
    let moves = handle.shared.asked.last(CommandTopic::Move);
    refused(handle.move_storage("/other", MoveMode::default()));
    assert_eq!(handle.shared.asked.last(CommandTopic::Move), moves);
    refused(handle.save_resume_data(SaveFlags::default()));
    assert_eq!(*handle.save_path(), PathBuf::from(folder.path()));
    // States are never refused, however often they change.
    for round in 0..PLENTY as i64 {
        handle.pause().unwrap();
        handle.pause_gracefully().unwrap();
        handle.set_auto_managed(round % 2 == 0).unwrap();
        handle.resume().unwrap();
        handle.set_max_connections(2 + round).unwrap();
        handle.set_max_uploads(2 + round).unwrap();
        handle.set_download_limit(round).unwrap();
        handle.set_upload_limit(round).unwrap();
        handle.set_upload_mode(round % 2 == 0).unwrap();
        handle.set_share_mode(round % 2 == 0).unwrap();
        handle.set_super_seeding(round % 2 == 0).unwrap();
        handle.set_stop_when_ready(round % 2 == 0).unwrap();
        handle.set_sequential_download(round % 2 == 0).unwrap();
        handle.set_sequential_range(piece, piece).unwrap();
        handle.set_apply_ip_filter(round % 2 == 0).unwrap();
        let dht = round % 2 == 0;
        let discovery = Discovery {
            dht,
            ..Discovery::default()
        };
        handle.set_discovery(discovery).unwrap();
        handle.set_piece_priority(piece, 1).unwrap();
        handle.prioritize_pieces(&[2, 3]).unwrap();
        handle.set_file_priority(FileIndex(0), 1).unwrap();
        handle.prioritize_files(&[5, 6]).unwrap();
        handle.add_tracker("http://b/", 1).unwrap();
        handle.set_tracker_fail_limit("http://b/", 3).unwrap();
        handle.remove_tracker("http://b/").unwrap();
        handle
            .replace_trackers(vec![vec!["http://a/".to_owned()]])
            .unwrap();
        handle.move_in_queue(Move::Top).unwrap();
        handle.force_recheck().unwrap();
        handle.cancel_check().unwrap();
        handle.clear_error().unwrap();
        session.shared.state_changed();
    }
    session.remove_torrent(&handle, Deletion::Files).unwrap();
    assert!(!handle.is_valid());
    // Each state is in the queue once, and the removal at its end.
    let mut states = Vec::new();
    let mut last = None;
    while let Some(command) = new.commands.try_recv() {
        if let Command::Look(state) = &command {
            states.push(*state as u32);
        }
        last = Some(command);
    }
    states.sort_unstable();
    let all = [
        PendingState::Options,
        PendingState::Priorities,
        PendingState::Trackers,
        PendingState::Check,
        PendingState::Error,
    ];
    assert_eq!(states, all.map(|state| state as u32));
    let Some(Command::Remove { delete }) = last else {
        panic!("{last:?}");
    };
    assert_eq!(delete, Deletion::Files);
    let requested = std::mem::take(&mut *handle.shared.check.lock());
    assert!(requested.begin.is_some() && requested.cancel);
}

#[test]
fn bans_are_not_refused_and_peers_leave_room_for_the_game() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, mut new) = registered(&session, &folder);
    let offered = (0..PLENTY).filter(|_| {
        // Any other command of the engine's own.
        handle.offer(Command::TurnOver(1))
    });
    assert_eq!(offered.count(), 1024);
    for last in 1..=250 {
        session.ban_peer([10, 0, 0, last].into()).unwrap();
    }
    let mut bans = 0;
    while let Some(command) = new.commands.try_recv() {
        bans += usize::from(matches!(command, Command::Ban(_)));
    }
    assert_eq!(bans, 250);
    handle.ask(PostRequest::Status).unwrap();
}

#[test]
fn a_torrent_that_the_session_does_not_take_was_never_there() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let shared = Arc::clone(&session.shared);
    // Places that are never filled, as if so many messages waited.
    let mut places = Vec::new();
    while let Ok(place) = shared.place() {
        places.push(place);
    }
    let add = || AddTorrent::from_data(&torrent('n'), folder.path()).unwrap();
    refused(session.add_torrent(add()));
    assert!(session.torrents().is_empty());
    refused(session.post_torrent_updates());
    refused(session.reopen_network_sockets());
    drop(places);
    session.post(SessionCommand::PostUpdates).unwrap();
    let handle = session.add_torrent(add()).unwrap();
    assert_eq!(session.torrents(), [handle]);
}

#[test]
fn getters_show_what_was_just_asked_for() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, _new) = registered(&session, &folder);
    let urls = || -> Vec<(String, u32)> {
        let rows = handle.trackers();
        rows.iter().map(|row| (row.url.clone(), row.tier)).collect()
    };
    let row = |url: &str, tier| (url.to_owned(), tier);
    assert_eq!(urls(), [row("http://a/", 0)]);
    handle.add_tracker("http://b/", 1).unwrap();
    handle.set_tracker_fail_limit("http://b/", 3).unwrap();
    assert_eq!(urls(), [row("http://a/", 0), row("http://b/", 1)]);
    assert_eq!(handle.trackers()[1].fail_limit, 3);
    handle.remove_tracker("http://a/").unwrap();
    assert_eq!(urls(), [row("http://b/", 0)]);
    let tiers = vec![vec!["http://c/".to_owned()], vec!["http://b/".to_owned()]];
    handle.replace_trackers(tiers).unwrap();
    assert_eq!(urls(), [row("http://c/", 0), row("http://b/", 1)]);
    handle.pause().unwrap();
    let status = handle.status();
    assert!(status.paused && !status.is_auto_managed);
    handle.resume().unwrap();
    assert!(!handle.status().paused);
    session.pause();
    assert!(handle.status().paused);
    session.resume();
    assert!(!handle.status().paused);
    handle.set_download_limit(77).unwrap();
    handle.set_max_uploads(5).unwrap();
    handle.set_super_seeding(true).unwrap();
    let status = handle.status();
    assert_eq!((status.download_limit, status.uploads_limit), (77, 5));
    assert!(status.is_super_seeding);
    assert!(!status.is_moving_storage);
    handle.move_storage("/other", MoveMode::default()).unwrap();
    assert!(handle.status().is_moving_storage);
    assert_eq!(status.state, TorrentState::CheckingResumeData);
    handle.force_recheck().unwrap();
    assert_eq!(handle.status().state, TorrentState::CheckingFiles);
}

#[test]
fn an_event_does_not_answer_a_later_command() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, _new) = registered(&session, &folder);
    let event = |body| Event::new(Some(handle.torrent_ref()), body);
    let checks = [
        EventBody::TorrentChecked,
        EventBody::TorrentFinished,
        EventBody::StateChanged(StateChange {
            state: TorrentState::Finished,
            previous: TorrentState::CheckingFiles,
        }),
    ];
    let early: Vec<Event> = checks.into_iter().map(event).collect();
    let (paused, other) = (
        event(EventBody::TorrentPaused),
        event(EventBody::MetadataReceived),
    );
    let queue = AlertQueue::new(u32::MAX, 100);
    for event in early.iter().chain([&paused, &other]) {
        assert!(!event.is_late());
        queue.push(event);
        session
            .shared
            .services
            .events
            .post_body(Some(&handle.torrent_ref()), event.body.clone());
    }
    handle.force_recheck().unwrap();
    assert!(early.iter().all(Event::is_late));
    assert!(!paused.is_late() && !other.is_late());
    let names = |alerts: &[Arc<Alert>]| Vec::from_iter(alerts.iter().map(|it| it.kind.name));
    assert_eq!(
        names(&queue.peek()),
        ["torrent_paused", "metadata_received"]
    );
    handle.pause().unwrap();
    assert!(paused.is_late() && !other.is_late());
    let is_paused = |alert: &Alert| alert.kind == kind::TORRENT_PAUSED;
    assert!(queue.take_first(is_paused).is_none());
    assert_eq!(names(&queue.pop(9)), ["metadata_received"]);
    let mut taken = Vec::new();
    session.events().take(&mut taken);
    taken.retain(|event| event.torrent.is_some() && event.kind() != kind::ADD_TORRENT);
    assert_eq!(taken.len(), 1, "{taken:?}");
    // What the task says when it has seen the command is the answer.
    let asked = &handle.shared.asked;
    asked.saw(CommandTopic::Check, asked.last(CommandTopic::Check));
    assert!(!event(EventBody::TorrentChecked).is_late());
}

#[test]
fn an_error_that_was_ended_is_not_posted_after_that() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, _new) = registered(&session, &folder);
    let fail = || {
        let error = || Error::new(ErrorKind::DiskFull);
        let events = &session.shared.services.events;
        let torrent = handle.torrent_ref();
        events.post_about(ENDS_ERROR, typed::FILE_ERROR, &torrent, error);
    };
    let errors = || {
        let mut taken = Vec::new();
        session.events().take(&mut taken);
        taken.retain(|event| event.kind() == kind::FILE_ERROR);
        taken.len()
    };
    fail();
    handle.pause().unwrap();
    assert_eq!(errors(), 1, "another command changes nothing of it");
    session.pause();
    fail();
    type End = fn(&Session, &TorrentHandle);
    let ends: [(CommandTopic, End); 5] = [
        (CommandTopic::Error, |_, it| it.clear_error().unwrap()),
        (CommandTopic::Check, |_, it| it.force_recheck().unwrap()),
        (CommandTopic::Resume, |_, it| it.resume().unwrap()),
        (CommandTopic::Resume, |it, _| it.resume()),
        // One that the queue manages, and that runs already.
        (CommandTopic::Resume, |_, it| {
            it.set_auto_managed(true).unwrap();
            it.resume().unwrap();
        }),
    ];
    for (topic, end) in ends {
        fail();
        end(&session, &handle);
        assert_eq!(handle.status().error, "");
        assert_eq!(errors(), 0, "{topic:?}");
        // What comes of that is said.
        let asked = &handle.shared.asked;
        asked.saw(topic, asked.last(topic));
        fail();
        assert_eq!(errors(), 1, "{topic:?}");
    }
}

#[test]
fn a_pause_of_the_session_is_not_answered_by_an_earlier_event() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, _new) = registered(&session, &folder);
    for (body, act) in [
        (EventBody::TorrentResumed, Session::pause as fn(&Session)),
        (EventBody::TorrentPaused, Session::resume),
    ] {
        let event = Event::new(Some(handle.torrent_ref()), body.clone());
        assert!(!event.is_late());
        act(&session);
        assert!(event.is_late());
        let asked = &handle.shared.asked;
        let topic = CommandTopic::SessionPause;
        asked.saw(topic, asked.last(topic));
        let event = Event::new(Some(handle.torrent_ref()), body.clone());
        // It is so already.
        act(&session);
        assert!(!event.is_late());
    }
}

#[test]
fn settings_of_two_threads_are_both_taken() {
    let session = session();
    let apply = |name: &'static str| {
        let session = session.clone();
        std::thread::spawn(move || {
            for value in 1..=200 {
                let value = Value::Int(value);
                session.apply_settings([(name, &value)]).unwrap();
                assert_eq!(session.settings().value(name), Some(value), "{name}");
            }
        })
    };
    let threads = ["num_want", "max_peerlist_size"].map(apply);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn errors_of_a_stopped_session_change_nothing() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, _new) = registered(&session, &folder);
    session.stop();
    for result in [
        handle.pause(),
        handle.force_recheck(),
        handle.add_tracker("http://b/", 0),
        handle.move_storage("/other", MoveMode::default()),
        session.remove_torrent(&handle, false),
        session.post_torrent_updates(),
    ] {
        let error: Error = result.unwrap_err();
        let kinds = [
            ErrorKind::InvalidTorrentHandle,
            ErrorKind::SessionNotRunning,
        ];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
    assert_eq!(handle.trackers().len(), 1);
}

#[test]
fn options_change_together_or_not_at_all() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, _new) = registered(&session, &folder);
    let good = OptionsPatch {
        max_connections: Some(9),
        download_limit: Some(5),
        auto_managed: Some(true),
        sequential_range: Some((PieceIndex(0), PieceIndex(1))),
        super_seeding: Some(true),
        file_priorities: Some(vec![1, 2]),
        piece_priorities: Some(vec![3]),
        ..OptionsPatch::default()
    };
    let before = handle.shared.options.lock().clone();
    for bad in [
        OptionsPatch {
            max_uploads: Some(1),
            ..good.clone()
        },
        OptionsPatch {
            upload_limit: Some(i64::MAX),
            ..good.clone()
        },
        OptionsPatch {
            file_priorities: Some(vec![1; 3]),
            ..good.clone()
        },
        OptionsPatch {
            file_priorities: Some(vec![8]),
            ..good.clone()
        },
        OptionsPatch {
            piece_priorities: Some(vec![1; 3]),
            ..good.clone()
        },
        OptionsPatch {
            sequential_range: Some((PieceIndex(1), PieceIndex(0))),
            ..good.clone()
        },
    ] {
        handle.set_options(&bad).unwrap_err();
        assert_eq!(*handle.shared.options.lock(), before, "{bad:?}");
    }
    handle.set_options(&good).unwrap();
    let options = handle.shared.options.lock().clone();
    let plain = options.plain;
    assert_eq!((plain.max_connections, plain.download_limit), (9, 5));
    assert!(plain.auto_managed && plain.sequential && plain.modes.super_seeding);
    assert_eq!(*options.file_priorities, [1, 2]);
    assert_eq!(*options.piece_priorities, [3, 2]);
}

#[test]
fn a_setter_copies_no_list() {
    fn is_copied<T: Copy>(_: T) {}
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, _new) = registered(&session, &folder);
    // A list that is held twice is copied when it is written to.
    let before = handle.shared.options.lock().clone();
    is_copied(before.plain);
    handle.set_max_uploads(7).unwrap();
    handle.set_upload_mode(true).unwrap();
    handle.pause().unwrap();
    let after = handle.shared.options.lock().clone();
    assert_ne!(before.plain, after.plain);
    assert!(Arc::ptr_eq(
        &before.piece_priorities,
        &after.piece_priorities
    ));
    assert!(Arc::ptr_eq(&before.file_priorities, &after.file_priorities));
    assert!(Arc::ptr_eq(&before.trackers, &after.trackers));
    assert!(Arc::ptr_eq(&before.renamed_files, &after.renamed_files));
    assert!(Arc::ptr_eq(&before.fail_limits, &after.fail_limits));
}

#[test]
fn a_torrent_that_is_added_again_takes_over_trackers_and_peers() {
    let (session, folder) = (session(), TempDir::new().unwrap());
    let (handle, mut new) = registered(&session, &folder);
    let mut again = AddTorrent::from_data(&torrent('n'), "/elsewhere").unwrap();
    again.trackers = vec![vec!["http://b/".to_owned(), "http://a/".to_owned()]];
    again.peers = vec!["127.0.0.1:7".parse().unwrap()];
    again.max_uploads = Some(7);
    assert_eq!(session.add_torrent(again).unwrap(), handle);
    let urls: Vec<String> = handle.trackers().iter().map(|it| it.url.clone()).collect();
    assert_eq!(urls, ["http://a/", "http://b/"]);
    assert_eq!(handle.max_uploads(), -1);
    assert_eq!(*handle.save_path(), PathBuf::from(folder.path()));
    let commands = std::iter::from_fn(|| new.commands.try_recv());
    let peers = commands.filter(|it| matches!(it, Command::Peers(peers) if peers.len() == 1));
    assert_eq!(peers.count(), 1);
}
