//! The task that drives `torrent_core::tracker::udp` (BEP 15) for all torrents of
//! a session. The sockets are those of the listening endpoints (`net::udp`): a
//! query leaves from the endpoint that is announced.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, mpsc, oneshot, watch};
use torrent_core::datagram::DatagramKind;
use torrent_core::settings::Settings;
use torrent_core::suspend::SuspendWatch;
use torrent_core::tracker::udp::{
    QueryId, UdpError, UdpOutput, UdpPath, UdpQuery, UdpReply, UdpTrackers,
};

use crate::coop;
use crate::net::udp::{Datagram, UdpSockets};
use crate::timer::{WallClock, sleep_until};

/// Answers that wait to be read; further ones are dropped, and asked for again.
const INBOX: usize = 128;

type ReplySender = oneshot::Sender<Result<UdpReply, UdpError>>;

/// Commands for the task. As many wait as there are announces.
enum UdpCommand {
    Ask(QueryId, Box<UdpQuery>, ReplySender),
    Cancel(QueryId),
}

/// The way to the task, which begins with the first query and ends with this.
pub(super) struct UdpClient {
    settings: watch::Receiver<Arc<Settings>>,
    sockets: Arc<UdpSockets>,
    clock: Arc<WallClock>,
    next_id: AtomicU64,
    task: OnceCell<mpsc::UnboundedSender<UdpCommand>>,
}

impl std::fmt::Debug for UdpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UdpClient").finish_non_exhaustive()
    }
}

/// Cancels a query whose announce was dropped.
struct CancelOnDrop<'a>(&'a mpsc::UnboundedSender<UdpCommand>, QueryId);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        // The task may have ended before.
        let _ = self.0.send(UdpCommand::Cancel(self.1));
    }
}

impl UdpClient {
    pub(super) fn new(
        settings: watch::Receiver<Arc<Settings>>,
        sockets: Arc<UdpSockets>,
        clock: Arc<WallClock>,
    ) -> Self {
        Self {
            settings,
            sockets,
            clock,
            next_id: AtomicU64::new(0),
            task: OnceCell::new(),
        }
    }

    /// Asks a tracker. Dropping the future gives the query up.
    pub(super) async fn ask(&self, query: UdpQuery) -> Result<UdpReply, UdpError> {
        let task = self
            .task
            .get_or_init(|| async {
                let (sender, commands) = mpsc::unbounded_channel();
                let task = UdpTask::new(self);
                tokio::spawn(task.run(commands));
                sender
            })
            .await;
        let id = QueryId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        let gone = |()| UdpError::Send("the session ends".to_owned());
        let sent = task.send(UdpCommand::Ask(id, Box::new(query), answer));
        sent.map_err(|_| gone(()))?;
        let _cancel = CancelOnDrop(task, id);
        answered.await.unwrap_or_else(|_| Err(gone(())))
    }
}

struct UdpTask {
    settings: watch::Receiver<Arc<Settings>>,
    sockets: Arc<UdpSockets>,
    inbox: mpsc::Receiver<Datagram>,
    replaced: watch::Receiver<()>,
    machine: UdpTrackers,
    clock: Arc<WallClock>,
    sleep: SuspendWatch,
    answers: HashMap<QueryId, ReplySender>,
}

impl UdpTask {
    fn new(client: &UdpClient) -> Self {
        let sockets = Arc::clone(&client.sockets);
        Self {
            settings: client.settings.clone(),
            inbox: sockets.subscribe(DatagramKind::Tracker, INBOX),
            replaced: sockets.replaced(),
            sockets,
            machine: UdpTrackers::new(rand::random()),
            clock: Arc::clone(&client.clock),
            sleep: SuspendWatch::default(),
            answers: HashMap::new(),
        }
    }

    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<UdpCommand>) {
        loop {
            coop::round().await;
            let due = self.machine.poll_timeout();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => return,
                },
                Some(datagram) = self.inbox.recv() => {
                    let Datagram { local, from, bytes } = datagram;
                    let path = UdpPath { local, tracker: from };
                    self.machine.datagram(Instant::now(), path, &bytes);
                }
                Ok(()) = self.replaced.changed() => {
                    self.machine.sockets_replaced(Instant::now());
                }
                () = sleep_until(due) => self.machine.handle_timeout(Instant::now()),
            }
            self.drain_outputs().await;
        }
    }

    fn handle_command(&mut self, command: UdpCommand) {
        match command {
            UdpCommand::Ask(id, query, answer) => {
                let expiry = self.settings.borrow().udp_tracker_token_expiry;
                let expiry = Duration::from_secs(expiry.unsigned_abs());
                self.machine.set_token_expiry(expiry);
                self.answers.insert(id, answer);
                let now = Instant::now();
                if self.sleep.was_suspended(now, self.clock.unix_millis()) {
                    // Connection ids are older than their time shows.
                    self.machine.sockets_replaced(now);
                }
                self.machine.ask(now, id, *query);
            }
            UdpCommand::Cancel(id) => {
                self.answers.remove(&id);
                self.machine.cancel(id);
            }
        }
    }

    async fn drain_outputs(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                UdpOutput::Send { path, packet } => {
                    let UdpPath { local, tracker } = path;
                    let sent = self.sockets.send(local, tracker, &packet).await;
                    if let Err((operation, error)) = sent {
                        self.sockets.report(tracker, operation, &error);
                        let why = error.to_string();
                        self.machine.send_failed(Instant::now(), path, &why);
                    }
                }
                UdpOutput::Done { id, result } => {
                    if let Some(answer) = self.answers.remove(&id) {
                        // The receiver may be gone.
                        let _ = answer.send(result);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::coop::testing::assert_gives_way;

    fn task() -> UdpTask {
        let settings = watch::Sender::new(Arc::<Settings>::default());
        let sockets = UdpSockets::new(Arc::new(|_, _, _| {}));
        let client = UdpClient::new(settings.subscribe(), Arc::new(sockets), Arc::default());
        UdpTask::new(&client)
    }

    #[tokio::test]
    async fn queries_without_end_leave_others_their_turn() {
        let (sender, commands) = mpsc::unbounded_channel();
        let feed = move || sender.send(UdpCommand::Cancel(QueryId(1))).unwrap();
        assert_gives_way(task().run(commands), feed).await;
    }

    #[tokio::test]
    async fn datagrams_without_end_leave_others_their_turn() {
        let (_sender, commands) = mpsc::unbounded_channel();
        let mut task = task();
        let (inbox, datagrams) = mpsc::channel(INBOX);
        task.inbox = datagrams;
        let datagram = Datagram {
            local: ([127, 0, 0, 1], 1).into(),
            from: ([127, 0, 0, 1], 2).into(),
            bytes: Bytes::from_static(b"\0\0\0\x03TRAN"),
        };
        let feed = move || drop(inbox.try_send(datagram.clone()));
        assert_gives_way(task.run(commands), feed).await;
    }
}
