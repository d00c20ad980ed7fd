//! The task that owns the sockets of UDP trackers (BEP 15) and drives
//! `torrent_core::tracker::udp` for all torrents of a session: one socket for
//! each address family, opened when it is first needed.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{OnceCell, mpsc, oneshot, watch};
use torrent_core::settings::Settings;
use torrent_core::tracker::udp::{QueryId, UdpError, UdpOutput, UdpQuery, UdpReply, UdpTrackers};

use crate::coop;
use crate::timer::sleep_until;

/// Longest datagram that is read; longer ones are cut, and no tracker sends
/// any.
const MAX_DATAGRAM: usize = 64 * 1024;

/// Datagrams taken at once from a socket.
const BATCH: usize = 64;

/// Receives errors of the sockets: where to or from, what failed, why.
pub(crate) type ErrorSink = Arc<dyn Fn(SocketAddr, &'static str, &io::Error) + Send + Sync>;

type ReplySender = oneshot::Sender<Result<UdpReply, UdpError>>;

/// Commands for the task. As many wait as there are announces.
enum UdpCommand {
    Ask(QueryId, Box<UdpQuery>, ReplySender),
    Cancel(QueryId),
}

/// The way to the task, which begins with the first query and ends with this.
pub(super) struct UdpClient {
    settings: watch::Receiver<Arc<Settings>>,
    errors: ErrorSink,
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
    pub(super) fn new(settings: watch::Receiver<Arc<Settings>>, errors: ErrorSink) -> Self {
        Self {
            settings,
            errors,
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
                let task = UdpTask::new(self.settings.clone(), Arc::clone(&self.errors));
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
    errors: ErrorSink,
    machine: UdpTrackers,
    answers: HashMap<QueryId, ReplySender>,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl UdpTask {
    fn new(settings: watch::Receiver<Arc<Settings>>, errors: ErrorSink) -> Self {
        Self {
            settings,
            errors,
            machine: UdpTrackers::new(rand::random()),
            answers: HashMap::new(),
            v4: None,
            v6: None,
        }
    }

    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<UdpCommand>) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            coop::round().await;
            let due = self.machine.poll_timeout();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => return,
                },
                () = readable(self.v4.as_ref()) => self.read(false, &mut buffer),
                () = readable(self.v6.as_ref()) => self.read(true, &mut buffer),
                () = sleep_until(due) => self.machine.handle_timeout(Instant::now()),
            }
            self.settle().await;
        }
    }

    fn handle_command(&mut self, command: UdpCommand) {
        match command {
            UdpCommand::Ask(id, query, answer) => {
                let expiry = self.settings.borrow().udp_tracker_token_expiry;
                let expiry = Duration::from_secs(expiry.unsigned_abs());
                self.machine.set_token_expiry(expiry);
                self.answers.insert(id, answer);
                self.machine.ask(Instant::now(), id, *query);
            }
            UdpCommand::Cancel(id) => {
                self.answers.remove(&id);
                self.machine.cancel(id);
            }
        }
    }

    fn read(&mut self, v6: bool, buffer: &mut [u8]) {
        let slot = if v6 { &mut self.v6 } else { &mut self.v4 };
        let Some(socket) = slot else { return };
        for _ in 0..BATCH {
            match socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    self.machine.datagram(Instant::now(), from, datagram);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Some systems report here that an earlier datagram of ours
                // reached no socket.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
                    ) => {}
                Err(error) => {
                    (self.errors)(any(v6), "sock_read", &error);
                    // The next datagram opens another one.
                    *slot = None;
                    return;
                }
            }
        }
    }

    async fn settle(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                UdpOutput::Send { to, packet } => {
                    if let Err((operation, error)) = self.send(to, &packet).await {
                        (self.errors)(to, operation, &error);
                        let why = error.to_string();
                        self.machine.send_failed(Instant::now(), to, &why);
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

    async fn send(
        &mut self,
        to: SocketAddr,
        packet: &[u8],
    ) -> Result<(), (&'static str, io::Error)> {
        let slot = if to.is_ipv6() {
            &mut self.v6
        } else {
            &mut self.v4
        };
        let socket = match slot {
            Some(socket) => socket,
            None => slot.insert(open(to.is_ipv6()).map_err(|error| ("sock_bind", error))?),
        };
        let sent = socket.send_to(packet, to).await;
        sent.map(drop).map_err(|error| ("sock_write", error))
    }
}

async fn readable(socket: Option<&UdpSocket>) {
    match socket {
        // An error shows when the socket is read.
        Some(socket) => drop(socket.readable().await),
        None => std::future::pending().await,
    }
}

fn any(v6: bool) -> SocketAddr {
    if v6 {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    }
}

fn open(v6: bool) -> io::Result<UdpSocket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if v6 {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&any(v6).into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coop::testing::assert_gives_way;

    fn task() -> UdpTask {
        let settings = watch::Sender::new(Arc::<Settings>::default());
        UdpTask::new(settings.subscribe(), Arc::new(|_, _, _| {}))
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
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (to, from) = (socket.local_addr().unwrap(), socket.try_clone().unwrap());
        socket.set_nonblocking(true).unwrap();
        task.v4 = Some(UdpSocket::from_std(socket).unwrap());
        // More than it takes in one round.
        let feed = move || (0..=BATCH).for_each(|_| drop(from.send_to(b"nonsense", to)));
        assert_gives_way(task.run(commands), feed).await;
    }
}
