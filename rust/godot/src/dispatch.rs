//! From an event to what a game hears of it: alerts, and signals of the
//! session and its torrents. Called from `TorrentSession.poll` on the main
//! thread with nothing borrowed, because whoever listens may call anything:
//! remove the torrent, stop the session, drop the last reference to it.

use std::sync::Arc;

use godot::builtin::{Array, GString, PackedByteArray};
use godot::obj::Gd;
use torrent_core::ids::InfoHash;
use torrent_engine::error::{Error, ErrorKind};
use torrent_engine::event::{Alert, Detail, Event, kind};
use torrent_engine::status::TorrentStatus;

use crate::alert_manager::{self, AlertManager};
use crate::torrent_handle::TorrentHandle;
use crate::torrent_session::TorrentSession;

/// What waits for the game.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The session runs.
    Started,
    /// The session has stopped, its threads have ended.
    Stopped,
    /// Something happened in the engine.
    Event(Event),
    /// The progress of a torrent may be another one.
    Progress(Arc<TorrentStatus>),
}

/// What an event comes to, in parts that each take little time: a frame may
/// end between them.
pub(crate) fn notices(event: Event) -> Vec<Notice> {
    match &event.detail {
        Detail::Pieces(pieces) if pieces.len() > 1 => pieces
            .iter()
            .map(|&piece| {
                Notice::Event(Event {
                    detail: Detail::Pieces(vec![piece]),
                    ..event.clone()
                })
            })
            .collect(),
        Detail::Files(files) => files
            .iter()
            .map(|&file| {
                Notice::Event(Event {
                    detail: Detail::File(file),
                    ..event.clone()
                })
            })
            .collect(),
        Detail::Statuses(statuses) if event.kind == kind::TORRENTS_UPDATED => {
            let progress = statuses.iter().cloned().map(Notice::Progress);
            progress.chain([Notice::Event(event.clone())]).collect()
        }
        _ => vec![Notice::Event(event)],
    }
}

/// Whether anybody but the call that delivers still holds the session. When a
/// listener has dropped the last reference, nobody wants to hear the rest.
pub(crate) fn is_held(session: &Gd<TorrentSession>) -> bool {
    session.get_reference_count() > 1
}

/// Tells the game.
pub(crate) fn deliver(session: &Gd<TorrentSession>, notice: Notice) {
    match notice {
        Notice::Started => session.signals().session_started().emit(),
        Notice::Stopped => session.signals().session_stopped().emit(),
        Notice::Progress(status) => progress(session, &status),
        Notice::Event(event) => {
            report_failure(session, &event);
            announce_alerts(session, &event);
            emit_signals(session, &event);
        }
    }
}

/// A failure in the background shows like that of a call.
fn report_failure(session: &Gd<TorrentSession>, event: &Event) {
    let error = match (&event.detail, event.kind) {
        // The call that added the torrent has reported it.
        (_, kind) if kind.number == kind::ADD_TORRENT.number => return,
        (
            Detail::Error(error) | Detail::FileError(error) | Detail::RenameFailed { error, .. },
            _,
        ) => error.clone(),
        (Detail::Listen { endpoint, error }, _) if !error.is_empty() => {
            Error::because(ErrorKind::PortBindingFailed, error.clone()).about(endpoint.to_string())
        }
        _ => return,
    };
    let place = match &event.torrent {
        Some(torrent) => format!("TorrentSession: torrent '{}'", torrent.name()),
        None => "TorrentSession".to_owned(),
    };
    session.bind().errors().report(&place, &error);
}

fn announce_alerts(session: &Gd<TorrentSession>, event: &Event) {
    let manager = session.bind().manager();
    let alerts = manager.bind().queue(event);
    for alert in alerts {
        let dictionary = alert_manager::to_script(&alert);
        session.signals().alert_posted().emit(&dictionary);
        AlertManager::announce(&manager, alert.kind.name, &dictionary);
    }
}

fn emit_signals(session: &Gd<TorrentSession>, event: &Event) {
    match (event.kind, &event.detail) {
        (kind::EXTERNAL_IP, Detail::Address(ip)) => {
            let ip = GString::from(&ip.to_string());
            session.signals().external_address_changed().emit(&ip);
        }
        (kind::LISTEN_FAILED, _) => session.signals().listen_failed().emit(&message(event)),
        (kind::TORRENTS_UPDATED, Detail::Statuses(_)) => updates(session, event),
        (kind::TORRENT_REMOVED, _) => removed(session, event),
        _ => {
            let handle = session.bind().object_of(event);
            if let Some(handle) = handle {
                emit_of_torrent(session, &handle, event);
            }
        }
    }
}

fn emit_of_torrent(session: &Gd<TorrentSession>, handle: &Gd<TorrentHandle>, event: &Event) {
    match (event.kind, &event.detail) {
        (kind::ADD_TORRENT, _) => session.signals().torrent_added().emit(handle),
        (kind::STORAGE_MOVED, Detail::Moved { to, .. }) => {
            let path = GString::from(&to.display().to_string());
            handle.signals().storage_moved().emit(&path);
        }
        (kind::STORAGE_MOVED_FAILED, _) => {
            handle.signals().storage_move_failed().emit(&message(event));
        }
        (kind::FILE_RENAMED, Detail::Renamed { file, new_name, .. }) => {
            let name = GString::from(new_name);
            let index = i64::from(file.0);
            handle.signals().file_renamed().emit(index, &name);
        }
        (kind::FILE_RENAME_FAILED, _) => {
            let message = message(event);
            handle.signals().error_occurred().emit(&message);
            session.signals().torrent_error().emit(handle, &message);
        }
        (kind::SAVE_RESUME_DATA, Detail::ResumeData(data)) => {
            let data = PackedByteArray::from(data.as_ref());
            handle.signals().resume_data_ready().emit(&data);
        }
        (kind::METADATA_RECEIVED, _) => {
            handle.signals().metadata_received().emit();
            let hash = handle.bind().torrent().map(|it| it.info_hash().to_string());
            let hash = GString::from(&hash.unwrap_or_default());
            session.signals().metadata_received().emit(&hash);
        }
        (kind::TORRENT_FINISHED, _) => {
            handle.signals().finished().emit();
            session.signals().torrent_finished().emit(handle);
        }
        (kind::STATE_CHANGED, Detail::State { state, previous }) => {
            let (state, previous) = (i64::from(state.code()), i64::from(previous.code()));
            handle.signals().state_changed().emit(state, previous);
            session
                .signals()
                .torrent_state_changed()
                .emit(handle, state, previous);
        }
        (kind::PIECE_FINISHED, Detail::Pieces(pieces)) => {
            for piece in pieces {
                // A listener may have removed the torrent at an earlier one.
                let is_valid = handle.bind().is_in_session();
                if is_valid && is_held(session) {
                    handle.signals().piece_finished().emit(i64::from(piece.0));
                }
            }
        }
        (kind::FILE_COMPLETED, Detail::File(index)) => {
            handle.signals().file_completed().emit(i64::from(*index));
        }
        (kind::TORRENT_CHECKED, _) => handle.signals().checked().emit(),
        (kind::READ_PIECE, Detail::PieceData { piece, data, .. }) => {
            let data = PackedByteArray::from(data.as_ref());
            handle
                .signals()
                .piece_read()
                .emit(i64::from(piece.0), &data);
        }
        (_, Detail::Error(_)) => {
            let message = message(event);
            handle.signals().error_occurred().emit(&message);
            session.signals().torrent_error().emit(handle, &message);
        }
        _ => {}
    }
}

/// The object of the torrent that a status is of, if it has one.
fn object_with(session: &Gd<TorrentSession>, status: &TorrentStatus) -> Option<Gd<TorrentHandle>> {
    let hash = InfoHash::from_hex(&status.info_hash)?;
    session.bind().known_object(hash)
}

/// The progress of one torrent, if it is news.
fn progress(session: &Gd<TorrentSession>, status: &TorrentStatus) {
    let Some(handle) = object_with(session, status) else {
        return;
    };
    let is_news = handle.bind().note_progress(status.progress);
    if is_news {
        handle.signals().progress_changed().emit(status.progress);
    }
}

/// The torrents whose status changed, all together.
fn updates(session: &Gd<TorrentSession>, event: &Event) {
    let Detail::Statuses(statuses) = &event.detail else {
        return;
    };
    let mut changed = Array::<Gd<TorrentHandle>>::new();
    for handle in statuses.iter().filter_map(|it| object_with(session, it)) {
        changed.push(&handle);
    }
    if !changed.is_empty() {
        session.signals().torrents_updated().emit(&changed);
    }
}

fn removed(session: &Gd<TorrentSession>, event: &Event) {
    let Some(torrent) = &event.torrent else {
        return;
    };
    let object = session.bind().take_leaving(torrent);
    if let Some(object) = object {
        object.signals().removed().emit();
    }
    let hash = GString::from(&torrent.info_hash().to_string());
    session.signals().torrent_removed().emit(&hash);
}

/// What an alert of the event says.
fn message(event: &Event) -> GString {
    match &event.detail {
        Detail::Error(error) => GString::from(&error.to_string()),
        _ => Alert::from_event(event)
            .first()
            .map(|alert| GString::from(&alert.message))
            .unwrap_or_default(),
    }
}
