//! The way of a torrent to its place on disk, before it begins. Until it has
//! it, nothing of it is touched; calls on its handle work, and what they ask
//! for is done when it begins.

use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::completion::post_failure;
use super::{NewTorrent, all_left};
use crate::context::Context;
use crate::context::path_claims::Sharing;
use crate::error::{Error, ErrorKind, Result};
use crate::event::command_sequence::CommandTopic;
use crate::event::{Detail, kind};
use crate::torrent::handle::storage::Deletion;
use crate::torrent::handle::{Command, Shown, TorrentHandle};

/// What became of the way.
pub(super) enum ClaimOutcome {
    /// It has its place, or needs none yet.
    Claimed,
    /// The session stops: it does nothing but end.
    Stopping,
    /// It was removed before it had touched anything.
    Removed,
}

/// Waits until it is known where the remembered torrents are, takes the place
/// if it is free, and waits for those that are being removed from it.
pub(super) async fn claim_paths(context: &Context, new: &mut NewTorrent) -> Result<ClaimOutcome> {
    let session = &context.services;
    let mut stopping = session.stopping.subscribe();
    let mut removal = new.handle.shared.removal.subscribe();
    let ticket = match new.ticket.take() {
        Some(ticket) => ticket,
        None => {
            tokio::select! {
                biased;
                () = holds(&mut stopping, |stopping| *stopping) => return Ok(ClaimOutcome::Stopping),
                () = holds(&mut removal, Option::is_some) => return Ok(removed(context, new).await),
                ticket = session.path_claims.newcomer_ticket() => ticket,
            }
        }
    };
    let Some(area) = new.area.take() else {
        return Ok(ClaimOutcome::Claimed);
    };
    let take = new.lease.take(ticket, area, Sharing::Same);
    // The disk may hang, this torrent's or that of one with an earlier ticket.
    let taken = tokio::select! {
        biased;
        () = holds(&mut stopping, |stopping| *stopping) => return Ok(ClaimOutcome::Stopping),
        () = holds(&mut removal, Option::is_some), if !new.restored => return Ok(removed(context, new).await),
        taken = take => taken,
    };
    let reserved = taken.map_err(|error| {
        let words = error.message().to_owned();
        Error::because(ErrorKind::TorrentAddFailed, words).about(error.context())
    })?;
    tokio::select! {
        biased;
        () = all_left(reserved.after) => Ok(ClaimOutcome::Claimed),
        () = holds(&mut stopping, |stopping| *stopping) => Ok(ClaimOutcome::Stopping),
        // One that is remembered may have files to delete.
        () = holds(&mut removal, Option::is_some), if !new.restored => Ok(removed(context, new).await),
    }
}

/// It is removed: the command is on its way. What was asked for before and
/// beside it ends with the event that says so.
async fn removed(context: &Context, new: &mut NewTorrent) -> ClaimOutcome {
    let session = &context.services;
    while let Some(command) = new.commands.recv().await {
        if let Command::Remove { delete } = command {
            if delete != Deletion::Nothing {
                // There is nothing of it.
                let torrent = new.handle.torrent_ref();
                let events = &session.events;
                events.post(kind::TORRENT_DELETED, Some(&torrent), || Detail::None);
            }
            break;
        }
        post_failure(session, &new.handle, &command);
    }
    give_up_commands(context, new);
    ClaimOutcome::Removed
}

/// No command is carried out any more.
fn give_up_commands(context: &Context, new: &mut NewTorrent) {
    new.commands.close();
    while let Some(command) = new.commands.try_recv() {
        post_failure(&context.services, &new.handle, &command);
    }
}

/// Waits until it is so. Never, where it cannot become so any more.
async fn holds<T>(state: &mut watch::Receiver<T>, is_so: impl FnMut(&T) -> bool) {
    if state.wait_for(is_so).await.is_err() {
        std::future::pending().await
    }
}

/// A torrent that cannot even begin: it says why and leaves.
pub(super) fn refuse(context: &Context, new: &mut NewTorrent, error: Error) {
    let handle = new.handle.clone();
    let handle = &handle;
    context.services.forget(handle.info_hash(), handle.key());
    handle.shared.removed.store(true, Ordering::Release);
    show_error(context, handle, &error);
    let events = &context.services.events;
    events.post(kind::TORRENT_ERROR, Some(&handle.torrent_ref()), || {
        Detail::Error(error)
    });
    give_up_commands(context, new);
    leave(context, handle);
}

/// The last that is seen of a torrent.
fn show_error(context: &Context, handle: &TorrentHandle, error: &Error) {
    let asked = &handle.shared.asked;
    for topic in [CommandTopic::Check, CommandTopic::Error, CommandTopic::Move] {
        asked.saw(topic, asked.last(topic));
    }
    let mut status = (*handle.status()).clone();
    status.error = error.message().to_owned();
    status.error_file = error.context().to_owned();
    let view = &handle.shared.view;
    let session_paused = *context.services.paused.borrow();
    view.failure.store(Some(error.clone().into()));
    view.status
        .store(Shown::at(status, asked.seen(), session_paused));
}

/// A torrent that has not begun is gone.
pub(super) fn leave(context: &Context, handle: &TorrentHandle) {
    handle.shared.left.store(true, Ordering::Release);
    let events = &context.services.events;
    events.post(kind::TORRENT_REMOVED, Some(&handle.torrent_ref()), || {
        Detail::None
    });
}
