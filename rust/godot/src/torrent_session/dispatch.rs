//! From an event to what a game receives: alerts, and signals of the
//! session and its torrents. Called from `TorrentSession.poll` on the main
//! thread with nothing borrowed, because a handler may call anything:
//! remove the torrent, stop the session, drop the last reference to it.

use std::sync::Arc;

use godot::builtin::{Array, GString, PackedByteArray, PackedInt32Array};
use godot::obj::Gd;
use torrent_core::ids::{InfoHash, PieceIndex};
use torrent_engine::error::{Error, ErrorKind};
use torrent_engine::event::{Alert, Event, EventBody, PieceRead, StateChange, TorrentRef};
use torrent_engine::status::TorrentStatus;
use torrent_engine::torrent::handle::TorrentHandle as Torrent;

use crate::alert_manager::{self, AlertManager};
use crate::frame_budget::Stopwatch;
use crate::signal_queue::Notice;
use crate::torrent_handle::TorrentHandle;
use crate::torrent_session::TorrentSession;

/// A poll of a session: the objects it emits from, and how long that takes.
pub(crate) struct SessionPoll<'a> {
    pub(crate) session: &'a Gd<TorrentSession>,
    pub(crate) stopwatch: Stopwatch,
}

impl SessionPoll<'_> {
    /// Emits something: what handlers take is not our time.
    fn emit(&self, emit: impl FnOnce()) {
        self.stopwatch.emission(emit);
    }
}

/// Whether any reference but that of the call that delivers still holds the session. When a
/// handler has dropped the last reference, there is no receiver for the others.
pub(crate) fn is_held(session: &Gd<TorrentSession>) -> bool {
    session.get_reference_count() > 1
}

/// Emits to the game.
pub(crate) fn deliver(poll: &SessionPoll<'_>, notice: Notice) {
    let session = poll.session;
    match notice {
        Notice::Started => poll.emit(|| session.signals().session_started().emit()),
        Notice::Stopped => poll.emit(|| session.signals().session_stopped().emit()),
        Notice::Progress(status) => progress(poll, &status),
        Notice::Pieces(torrent, pieces) => all_pieces(poll, torrent.as_deref(), &pieces),
        // A listener has asked for something since, which it seems to answer.
        Notice::Event(event) if event.is_late() => {}
        Notice::Event(event) => {
            report_failure(session, &event);
            announce_alerts(poll, &event);
            emit_signals(poll, &event);
        }
    }
}

/// A failure in the background shows like that of a call.
fn report_failure(session: &Gd<TorrentSession>, event: &Event) {
    let error = match &event.body {
        // The call that added the torrent has reported it.
        EventBody::AddFailed(_) => return,
        EventBody::StorageMovedFailed(error) => error.clone(),
        EventBody::FileRenameFailed(failed) => failed.error.clone(),
        EventBody::ListenFailed(failed) => {
            let endpoint = failed.at.endpoint.to_string();
            Error::because(ErrorKind::PortBindingFailed, failed.error.clone()).about(endpoint)
        }
        body => match body.error() {
            Some(error) => error.clone(),
            None => return,
        },
    };
    if is_cut_short(session, event, &error) {
        return;
    }
    let place = match &event.torrent {
        Some(torrent) => format!("TorrentSession: torrent '{}'", torrent.name),
        None => "TorrentSession".to_owned(),
    };
    let torrent = event.torrent.as_ref();
    let object = torrent.and_then(|torrent| session.bind().objects().known(torrent.info_hash()));
    let errors = match object {
        Some(object) => object.bind().errors(),
        None => session.bind().errors(),
    };
    errors.report(&place, &error);
}

/// Whether the game itself has ended what failed, by a removal or a stop: that
/// is no fault to print.
fn is_cut_short(session: &Gd<TorrentSession>, event: &Event, error: &Error) -> bool {
    if matches!(
        error.kind(),
        ErrorKind::SessionNotRunning | ErrorKind::InvalidTorrentHandle
    ) {
        return true;
    }
    // A torrent that is refused is removed with an error of its own.
    let torrent = event.torrent.as_ref();
    !matches!(event.body, EventBody::TorrentError(_))
        && torrent.is_some_and(|torrent| session.bind().torrent_of(torrent).is_none())
}

fn announce_alerts(poll: &SessionPoll<'_>, event: &Event) {
    let session = poll.session;
    let manager = session.bind().manager();
    let alerts = manager.bind().queue(event);
    for alert in alerts {
        let dictionary = alert_manager::to_script(&alert);
        poll.emit(|| {
            session.signals().alert_posted().emit(&dictionary);
            AlertManager::announce(&manager, alert.kind.name, &dictionary);
        });
    }
}

fn emit_signals(poll: &SessionPoll<'_>, event: &Event) {
    let session = poll.session;
    match &event.body {
        EventBody::ExternalIp(ip) => {
            let ip = GString::from(&ip.to_string());
            poll.emit(|| session.signals().external_address_changed().emit(&ip));
        }
        EventBody::ListenFailed(_) => {
            let message = message(event);
            poll.emit(|| session.signals().listen_failed().emit(&message));
        }
        EventBody::TorrentsUpdated(statuses) => updates(poll, statuses),
        EventBody::TorrentRemoved => removed(poll, event),
        _ => {
            let handle = session.bind().object_of(event);
            if let Some(handle) = handle {
                emit_of_torrent(poll, &handle, event);
            }
        }
    }
}

fn emit_of_torrent(poll: &SessionPoll<'_>, handle: &Gd<TorrentHandle>, event: &Event) {
    let session = poll.session;
    match &event.body {
        EventBody::AddTorrent(_) => poll.emit(|| session.signals().torrent_added().emit(handle)),
        EventBody::StorageMoved(moved) => {
            let path = GString::from(&moved.to.display().to_string());
            poll.emit(|| handle.signals().storage_moved().emit(&path));
        }
        EventBody::StorageMovedFailed(_) => {
            let message = message(event);
            poll.emit(|| handle.signals().storage_move_failed().emit(&message));
        }
        EventBody::FileRenamed(renamed) => {
            let name = GString::from(&renamed.new_name);
            let index = i64::from(renamed.file.0);
            poll.emit(|| handle.signals().file_renamed().emit(index, &name));
        }
        EventBody::FileRenameFailed(_) => failed(poll, handle, event),
        EventBody::SaveResumeData(data) => {
            let data = PackedByteArray::from(data.as_ref());
            poll.emit(|| handle.signals().resume_data_ready().emit(&data));
        }
        EventBody::MetadataReceived => {
            poll.emit(|| handle.signals().metadata_received().emit());
            let hash = handle.bind().torrent().map(|it| it.info_hash().to_string());
            let hash = GString::from(&hash.unwrap_or_default());
            poll.emit(|| session.signals().metadata_received().emit(&hash));
        }
        EventBody::TorrentFinished => {
            // The last progress comes before the end that it leads to.
            let status = handle.bind().torrent().map(Torrent::status);
            if let Ok(status) = status {
                progress_of(poll, handle, status.progress);
            }
            poll.emit(|| {
                handle.signals().finished().emit();
                session.signals().torrent_finished().emit(handle);
            });
        }
        EventBody::StateChanged(StateChange { state, previous }) => {
            let (state, previous) = (i64::from(state.code()), i64::from(previous.code()));
            poll.emit(|| {
                handle.signals().state_changed().emit(state, previous);
                let mut session = session.signals();
                session
                    .torrent_state_changed()
                    .emit(handle, state, previous);
            });
        }
        EventBody::PieceFinished(pieces) => {
            for piece in pieces {
                poll.emit(|| handle.signals().piece_finished().emit(i64::from(piece.0)));
            }
        }
        EventBody::FileCompleted(files) => {
            for &index in files {
                poll.emit(|| handle.signals().file_completed().emit(i64::from(index)));
            }
        }
        EventBody::TorrentChecked => poll.emit(|| handle.signals().checked().emit()),
        EventBody::ReadPiece(PieceRead { piece, data, .. }) => {
            let data = PackedByteArray::from(data.as_ref());
            let index = i64::from(piece.0);
            poll.emit(|| handle.signals().piece_read().emit(index, &data));
        }
        body if body.error().is_some() => failed(poll, handle, event),
        _ => {}
    }
}

/// Something went wrong with a torrent.
fn failed(poll: &SessionPoll<'_>, handle: &Gd<TorrentHandle>, event: &Event) {
    let message = message(event);
    poll.emit(|| {
        handle.signals().error_occurred().emit(&message);
        let mut session = poll.session.signals();
        session.torrent_error().emit(handle, &message);
    });
}

/// The pieces that a torrent has had verified since the last frame.
fn all_pieces(poll: &SessionPoll<'_>, torrent: Option<&TorrentRef>, pieces: &[PieceIndex]) {
    let session = poll.session.bind();
    let Some(torrent) = torrent.and_then(|torrent| session.torrent_of(torrent)) else {
        return;
    };
    let handle = session.object(&torrent);
    drop(session);
    // No torrent has that many pieces.
    let number = |piece: &PieceIndex| i32::try_from(piece.0).unwrap_or(i32::MAX);
    let indices: PackedInt32Array = pieces.iter().map(number).collect();
    poll.emit(|| handle.signals().pieces_finished().emit(&indices));
}

/// The object of the torrent that a status is of, if it has one.
fn object_with(session: &Gd<TorrentSession>, status: &TorrentStatus) -> Option<Gd<TorrentHandle>> {
    let hash = InfoHash::from_hex(&status.info_hash)?;
    session.bind().objects().known(hash)
}

/// The progress of one torrent, if it is news: that of now, because the status may
/// have waited.
fn progress(poll: &SessionPoll<'_>, status: &TorrentStatus) {
    let Some(handle) = object_with(poll.session, status) else {
        return;
    };
    let newest = handle.bind().torrent().map(Torrent::status);
    if let Ok(status) = newest {
        progress_of(poll, &handle, status.progress);
    }
}

fn progress_of(poll: &SessionPoll<'_>, handle: &Gd<TorrentHandle>, progress: f64) {
    let is_news = handle.bind().note_progress(progress);
    if is_news {
        poll.emit(|| handle.signals().progress_changed().emit(progress));
    }
}

/// The torrents whose status changed, all together.
fn updates(poll: &SessionPoll<'_>, statuses: &[Arc<TorrentStatus>]) {
    let mut changed = Array::<Gd<TorrentHandle>>::new();
    for handle in statuses
        .iter()
        .filter_map(|it| object_with(poll.session, it))
    {
        changed.push(&handle);
    }
    if !changed.is_empty() {
        let mut session = poll.session.signals();
        poll.emit(|| session.torrents_updated().emit(&changed));
    }
}

fn removed(poll: &SessionPoll<'_>, event: &Event) {
    let session = poll.session;
    let Some(torrent) = &event.torrent else {
        return;
    };
    let object = session.bind().objects().take_leaving(torrent);
    if let Some(object) = &object {
        poll.emit(|| object.signals().removed().emit());
    }
    let hash = GString::from(&torrent.info_hash().to_string());
    poll.emit(|| session.signals().torrent_removed().emit(&hash));
    // It never emits anything again.
    if let Some(object) = object {
        session.bind().objects().bury(object);
    }
}

/// What an alert of the event says.
fn message(event: &Event) -> GString {
    match event.body.error() {
        Some(error) => GString::from(&error.to_string()),
        None => Alert::from_event(event)
            .first()
            .map(|alert| GString::from(&alert.message))
            .unwrap_or_default(),
    }
}
