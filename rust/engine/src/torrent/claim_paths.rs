//! Claims the paths of a torrent before it begins. Until the claim is granted
//! none of its files is touched; calls on its handle work, and what they ask
//! for is done when the torrent begins.

use tokio::sync::watch;

use super::completion::post_failure;
use super::{NewTorrent, all_left, removal};
use crate::context::Context;
use crate::context::path_claims::Sharing;
use crate::error::{Error, ErrorKind, Result};
use crate::event::command_sequence::{CommandTopic, ENDS_ERROR};
use crate::event::typed;
use crate::torrent::handle::snapshots::StatusSnapshot;
use crate::torrent::handle::storage::Deletion;
use crate::torrent::handle::{Command, Shown, TorrentHandle};

/// What became of the claim.
pub(super) enum ClaimOutcome {
    /// The torrent has its paths, or has no metadata and needs none yet.
    Claimed,
    /// The session stops: the torrent does nothing but end.
    Stopping,
    /// The torrent was removed before it had touched a file.
    Removed,
}

/// Waits until the paths of the torrents in the state directory are known, claims
/// those of this torrent if they are free, and waits for torrents that are being
/// removed from them.
pub(super) async fn claim_paths(context: &Context, new: &mut NewTorrent) -> Result<ClaimOutcome> {
    match take_paths(context, new).await {
        Ok(taken) => taken.map(|()| ClaimOutcome::Claimed),
        Err(Interrupted::Stopping) => Ok(ClaimOutcome::Stopping),
        Err(Interrupted::Removed) => Ok(removed(context, new).await),
    }
}

async fn take_paths(
    context: &Context,
    new: &mut NewTorrent,
) -> std::result::Result<Result<()>, Interrupted> {
    let session = &context.services;
    let mut interruption = Interruption {
        stopping: session.stopping.subscribe(),
        removal: new.handle.shared.lifetime.removal().subscribe(),
    };
    let ticket = match new.claim.ticket.take() {
        Some(ticket) => ticket,
        None => {
            let ticket = session.path_claims.newcomer_ticket();
            interruption.or(true, ticket).await?
        }
    };
    let Some(area) = new.claim.take_area() else {
        return Ok(Ok(()));
    };
    // A torrent of the state directory may have files to delete: it begins even
    // if it is removed.
    let by_removal = !new.restored;
    let take = new.claim.lease.take(ticket, area, Sharing::Same);
    // The disk may hang, this torrent's or that of one with an earlier ticket.
    let reserved = match interruption.or(by_removal, take).await? {
        Ok(reserved) => reserved,
        Err(error) => {
            let words = error.message().to_owned();
            let refused = Error::because(ErrorKind::TorrentAddFailed, words);
            return Ok(Err(refused.about(error.context())));
        }
    };
    if !reserved.after.is_empty() {
        let left = all_left(reserved.after);
        interruption.or(by_removal, left).await?;
    }
    Ok(Ok(()))
}

/// Why a claim was given up.
enum Interrupted {
    Stopping,
    Removed,
}

/// What makes a torrent give up its claim.
struct Interruption {
    stopping: watch::Receiver<bool>,
    removal: watch::Receiver<Option<u64>>,
}

impl Interruption {
    /// The result of `work`, unless the session stops before, or the torrent is
    /// removed and that counts (`by_removal`).
    async fn or<T>(
        &mut self,
        by_removal: bool,
        work: impl Future<Output = T>,
    ) -> std::result::Result<T, Interrupted> {
        tokio::select! {
            biased;
            () = holds(&mut self.stopping, |stopping| *stopping) => Err(Interrupted::Stopping),
            () = holds(&mut self.removal, Option::is_some), if by_removal => Err(Interrupted::Removed),
            done = work => Ok(done),
        }
    }
}

/// The torrent is removed: the command for it is in the queue or about to be.
/// Every other command ends with its failure event.
async fn removed(context: &Context, new: &mut NewTorrent) -> ClaimOutcome {
    let session = &context.services;
    while let Some(command) = new.commands.recv().await {
        if let Command::Remove { delete } = command {
            let torrent = new.handle.torrent_ref();
            let events = &session.events;
            match delete {
                Deletion::Nothing => {}
                _ if new.may_have_record => {
                    events.post(typed::TORRENT_DELETE_FAILED, Some(&torrent), || {
                        removal::unread()
                    });
                }
                // No file of it exists.
                _ => events.post(typed::TORRENT_DELETED, Some(&torrent), || ()),
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

/// Resolves when the state is as `is_so` wants it; never, if the sender is gone.
async fn holds<T>(state: &mut watch::Receiver<T>, is_so: impl FnMut(&T) -> bool) {
    if state.wait_for(is_so).await.is_err() {
        std::future::pending().await
    }
}

/// A torrent that cannot begin: posts why, and removes it from the session.
pub(super) fn refuse(context: &Context, new: &mut NewTorrent, error: Error) {
    let handle = new.handle.clone();
    let handle = &handle;
    context.services.forget(handle.key());
    handle.shared.lifetime.invalidate();
    show_error(context, handle, &error);
    let events = &context.services.events;
    events.post(typed::TORRENT_ERROR, Some(&handle.torrent_ref()), || error);
    give_up_commands(context, new);
    leave(context, handle);
}

/// Shows the error in the torrent's last snapshot.
fn show_error(context: &Context, handle: &TorrentHandle, error: &Error) {
    let asked = &handle.shared.asked;
    for topic in ENDS_ERROR.iter().copied().chain([CommandTopic::Move]) {
        asked.saw(topic, asked.last(topic));
    }
    let mut status = (*handle.status()).clone();
    status.error = error.message().to_owned();
    status.error_file = error.context().to_owned();
    let view = &handle.shared.view;
    let session_paused = *context.services.paused.borrow();
    view.failure.store(Some(error.clone().into()));
    view.status.store(Shown::at(
        StatusSnapshot::still(status),
        asked.seen(),
        session_paused,
    ));
}

/// Posts that a torrent which has not begun is removed.
pub(super) fn leave(context: &Context, handle: &TorrentHandle) {
    handle.shared.lifetime.leave();
    let events = &context.services.events;
    events.post(typed::TORRENT_REMOVED, Some(&handle.torrent_ref()), || ());
}
