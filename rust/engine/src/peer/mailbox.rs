//! Messages of a torrent to one of its connections. The torrent never waits for a
//! connection, so this takes everything; it stays small because leases are
//! bounded by what the connection asked for, and other messages are rare.

use parking_lot::Mutex;
use tokio::sync::Notify;
use torrent_core::peer::PeerCommand;

/// Commands in order, taken all at once.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    commands: Mutex<Vec<PeerCommand>>,
    arrived: Notify,
}

impl Mailbox {
    /// Adds a command; wakes the connection for the first one.
    pub(crate) fn post(&self, command: PeerCommand) {
        let mut commands = self.commands.lock();
        commands.push(command);
        if commands.len() == 1 {
            self.arrived.notify_one();
        }
    }

    /// Swaps the waiting commands into `into`, which must be empty.
    pub(crate) fn take(&self, into: &mut Vec<PeerCommand>) {
        debug_assert!(into.is_empty());
        std::mem::swap(&mut *self.commands.lock(), into);
    }

    /// Waits until there are commands. For the one connection only.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
