//! One task per connection: moves bytes between the socket, the protocol
//! machine of `torrent_core::peer`, and the disk. It decides nothing.

mod encryption;
mod fault;
pub(crate) mod handshake;
pub(crate) mod mailbox;

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::io::Interest;
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use torrent_core::ids::{Block, PeerId, PeerKey};
use torrent_core::peer::{
    CloseReason, Connection, ConnectionReport, PeerCommand, PeerError, ReadJob,
};
use torrent_core::wire::Features;

use crate::buffers::BufferPool;
use crate::buffers::receive::ReceiveBuffer;
use crate::context::Services;
use crate::coop;
use crate::disk::{Disk, Storage, StorageSlot};
use crate::event::TorrentRef;
use crate::event::performance::PerformanceWarning;
use crate::net::allowance::Valve;
use crate::net::stream::Stream;
use mailbox::Mailbox;

/// Segments in one vectored send: a read job of 256 KiB is 32 of them.
const MAX_SLICES: usize = 64;

/// Sends in a row before the task looks at anything else.
const MAX_SENDS: usize = 8;

/// A connection that a peer made to a torrent, after its handshake.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    pub(crate) endpoint: SocketAddr,
    pub(crate) peer_id: PeerId,
    pub(crate) features: Features,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionEnd {
    /// The other end closed it.
    #[error("closed by the peer")]
    ByPeer,
    /// We closed it.
    #[error("{0}")]
    ByUs(CloseReason),
    /// The other end broke the protocol.
    #[error("{0}")]
    Protocol(#[from] PeerError),
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The torrent is gone.
    #[error("the torrent is gone")]
    Orphaned,
}

/// What the torrent learns of a connection, once per wake.
#[derive(Debug)]
pub(crate) struct PeerReport {
    pub(crate) key: PeerKey,
    /// In a box: a queue has room for dozens of these from its beginning.
    pub(crate) report: Box<ConnectionReport>,
}

/// The torrent of a connection, as far as the connection looks at it.
pub(crate) trait Swarm: Send + Sync {
    /// What events name it by.
    fn torrent_ref(&self) -> Arc<TorrentRef>;

    /// Its info dict, if it is known and may be given to peers: that of a
    /// private torrent may not (BEP 27).
    fn public_metadata(&self) -> Option<Bytes>;
}

/// How far what waits to be sent has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// Everything is sent.
    Done,
    /// The socket takes no more now.
    Blocked,
}

/// What a connection task is made of.
pub(crate) struct PeerTask {
    pub(crate) key: PeerKey,
    pub(crate) stream: Stream,
    pub(crate) connection: Connection,
    pub(crate) mailbox: Arc<Mailbox>,
    /// What may be received under rate limits.
    pub(crate) down: Valve,
    /// The blocks that may be sent. Other messages leave at once: a download
    /// must not wait for the allowance of uploads.
    pub(crate) up: Valve,
    /// The torrent always drains this; a full channel makes the connection wait.
    pub(crate) reports: mpsc::Sender<PeerReport>,
    pub(crate) storage: StorageSlot,
    pub(crate) torrent: Arc<dyn Swarm>,
    /// Where messages are counted, and warnings go.
    pub(crate) services: Arc<Services>,
    pub(crate) disk: Disk,
    pub(crate) pool: BufferPool,
}

type ReadResult = (ReadJob, Option<Bytes>);
type Reads = FuturesOrdered<Pin<Box<dyn Future<Output = ReadResult> + Send>>>;

impl PeerTask {
    /// Runs until the connection ends. Returns what there was still to report.
    pub(crate) async fn run(mut self) -> (ConnectionReport, ConnectionEnd) {
        let ended = match self.converse().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        self.count();
        (self.connection.final_report(), ended)
    }

    async fn converse(&mut self) -> Result<std::convert::Infallible, ConnectionEnd> {
        let mut input = ReceiveBuffer::new(self.pool.clone());
        let mut reads = Reads::new();
        let mut commands = Vec::new();
        let mut congested = false;
        // There is something to receive that a limit forbids.
        let mut starved = false;
        // The peer is not to blame for its silence.
        let mut excused = false;
        let first = self.connection.poll_timeout();
        let timer = sleep_until(first.unwrap_or_else(Instant::now).into());
        tokio::pin!(timer);
        loop {
            coop::round().await;
            let held = self.start_reads(&mut reads);
            let sending = self.send()?;
            if sending == Sending::Done && self.connection.is_stalled_on_reads() {
                self.warn(PerformanceWarning::SendBufferWatermarkTooLow);
            }
            let blocked = sending == Sending::Blocked;
            if excused != (congested || starved) {
                excused = !excused;
                self.connection.hold(Instant::now(), excused);
            }
            if let Some(report) = self.connection.take_report() {
                self.count();
                let report = PeerReport {
                    key: self.key,
                    report: Box::new(report),
                };
                self.reports
                    .send(report)
                    .await
                    .map_err(|_| ConnectionEnd::Orphaned)?;
            }
            let due = self.connection.poll_timeout();
            if let Some(due) = due
                && due < timer.deadline().into_std()
            {
                timer.as_mut().reset(due.into());
            }
            let interest = match (congested || starved, blocked) {
                (false, false) => Some(Interest::READABLE),
                (false, true) => Some(Interest::READABLE | Interest::WRITABLE),
                (true, true) => Some(Interest::WRITABLE),
                (true, false) => None,
            };
            tokio::select! {
                ready = ready(&self.stream, interest) => {
                    if ready?.is_readable() && !congested && !starved {
                        let most = self.down.open(1);
                        if most == 0 {
                            starved = true;
                            continue;
                        }
                        let blocks = self.receive(&mut input, most)?;
                        // The torrent learns of blocks before the disk has
                        // them, and so before it learns what became of them.
                        self.report().await?;
                        if !blocks.is_empty()
                            && let Some(storage) = self.storage.get()
                        {
                            storage.write(blocks, self.key);
                            congested = self.disk.is_congested();
                            if congested {
                                self.warn(PerformanceWarning::TooHighDiskQueueLimit);
                            }
                        }
                    }
                }
                () = self.disk.below_watermark(), if congested => congested = false,
                () = self.down.granted(), if starved => starved = self.down.open(1) == 0,
                () = self.up.granted(), if held => {}
                () = self.mailbox.arrived() => {
                    self.mailbox.take(&mut commands);
                    for command in commands.drain(..) {
                        self.handle_command(command)?;
                    }
                }
                Some((job, data)) = reads.next(), if !reads.is_empty() => {
                    if data.is_none() {
                        self.up.refund(job.wire_len());
                    }
                    if let Some(reason) = self.connection.handle_read(Instant::now(), &job, data.as_ref()) {
                        return Err(ConnectionEnd::ByUs(reason));
                    }
                }
                () = &mut timer, if due.is_some() => {
                    self.connection.handle_timeout(Instant::now())?;
                    if let Some(due) = self.connection.poll_timeout() {
                        timer.as_mut().reset(due.into());
                    }
                }
            }
        }
    }

    /// Adds what went each way to the session's numbers.
    fn count(&mut self) {
        let traffic = self.connection.take_counts();
        self.services.stats.traffic.add(&traffic);
    }

    fn warn(&self, warning: PerformanceWarning) {
        self.services
            .events
            .warn(Some(&self.torrent.torrent_ref()), warning);
    }

    fn handle_command(&mut self, command: PeerCommand) -> Result<(), ConnectionEnd> {
        let metadata = matches!(command, PeerCommand::Metadata(_));
        if let Some(reason) = self.connection.handle_command(Instant::now(), command)? {
            return Err(ConnectionEnd::ByUs(reason));
        }
        if metadata {
            match self.torrent.public_metadata() {
                Some(info_dict) => self.connection.offer_metadata(info_dict),
                None => self.connection.withhold_metadata(),
            }
        }
        Ok(())
    }

    /// Begins to read the blocks that may be sent to the peer. Whether some
    /// wait for an allowance.
    fn start_reads(&mut self, reads: &mut Reads) -> bool {
        while let Some(least) = self.connection.next_read_len() {
            let most = self.up.open(least);
            let Some(job) = self.connection.poll_read_within(most) else {
                return true;
            };
            self.up.charge(job.wire_len());
            if let Some(storage) = self.storage.get() {
                reads.push_back(Box::pin(read(storage.clone(), job)));
            }
        }
        false
    }

    /// Sends what waits, as far as the socket takes it.
    fn send(&mut self) -> Result<Sending, ConnectionEnd> {
        for _ in 0..MAX_SENDS {
            if !self.connection.wants_write() {
                break;
            }
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let filled = self.connection.slices(&mut slices);
            match self.stream.try_write_vectored(&slices[..filled]) {
                Ok(sent) => {
                    let overhead = self.connection.take_overhead();
                    self.up.passed(sent, overhead);
                    self.connection.handle_sent(Instant::now(), sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Sending::Blocked);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let all_sent = !self.connection.wants_write() && self.stream.try_flush()?;
        Ok(match all_sent {
            true => Sending::Done,
            false => Sending::Blocked,
        })
    }

    /// Reports to the torrent what happened, if anything did.
    async fn report(&mut self) -> Result<(), ConnectionEnd> {
        let Some(report) = self.connection.take_report() else {
            return Ok(());
        };
        let report = PeerReport {
            key: self.key,
            report: Box::new(report),
        };
        self.reports
            .send(report)
            .await
            .map_err(|_| ConnectionEnd::Orphaned)
    }

    /// Receives once, up to `most` bytes; returns the blocks that came.
    fn receive(
        &mut self,
        input: &mut ReceiveBuffer,
        most: usize,
    ) -> Result<Vec<(Block, Bytes)>, ConnectionEnd> {
        let room = input.room();
        let most = most.min(room.len());
        let count = match self.stream.try_read(&mut room[..most]) {
            Ok(0) => return Err(ConnectionEnd::ByPeer),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        self.down.charge(count);
        self.down.passed(count, 0);
        Ok(input.received(Instant::now(), count, &mut self.connection)?)
    }
}

/// Waits for the socket, or never resolves where there is nothing to wait for.
async fn ready(stream: &Stream, interest: Option<Interest>) -> io::Result<tokio::io::Ready> {
    match interest {
        Some(interest) => stream.ready(interest).await,
        None => std::future::pending().await,
    }
}

async fn read(storage: Storage, job: ReadJob) -> ReadResult {
    let data = storage.read(job.piece, job.begin, job.length).await;
    // The storage reports to the torrent why, which takes the piece back; the
    // connection refuses the requests.
    (job, data.ok())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use torrent_core::ids::{InfoHash, TorrentKey};
    use torrent_core::layout::Layout;
    use torrent_core::peer::{ConnectionLimits, Opening};
    use torrent_core::settings::Settings;
    use torrent_core::wire::Features;

    use super::*;
    use crate::coop::testing::assert_gives_way;
    use crate::net::bandwidth::Direction;
    use crate::session::runtime;
    use crate::session::tests::support::Node;

    #[derive(Debug)]
    struct NoTorrent;

    impl Swarm for NoTorrent {
        fn torrent_ref(&self) -> Arc<TorrentRef> {
            unreachable!("no event names it")
        }

        fn public_metadata(&self) -> Option<Bytes> {
            None
        }
    }

    /// Runs a connection's task beside another one; `feed` has its mailbox and
    /// the other end of its socket.
    async fn run_with(mut feed: impl FnMut(&Mailbox, &mut std::net::TcpStream) + 'static) {
        let node = Node::new();
        let context = runtime::context(&node.session.shared).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut other = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, endpoint) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let layout = Arc::new(Layout::new(1 << 14, [(1 << 20, false)]).unwrap());
        let limits = ConnectionLimits::from(&Settings::default());
        let mut connection = Connection::new(layout, limits, Instant::now());
        let opening = Opening {
            info_hash: InfoHash([1; 20]),
            remote: endpoint,
            client: "us".into(),
            port: None,
            allowed_fast: 0,
            pex: false,
        };
        connection.set_opening(Features::OURS, opening);
        let valve = |direction| {
            let rates = Arc::clone(&context.services.bandwidth);
            Valve::new(rates, direction, TorrentKey(1), endpoint)
        };
        let mailbox = Arc::new(Mailbox::default());
        let (reports, mut queue) = mpsc::channel(8);
        let task = PeerTask {
            key: PeerKey(1),
            stream: tokio::net::TcpStream::from_std(ours).unwrap().into(),
            connection,
            mailbox: Arc::clone(&mailbox),
            down: valve(Direction::Down),
            up: valve(Direction::Up),
            reports,
            storage: StorageSlot::default(),
            torrent: Arc::new(NoTorrent),
            services: Arc::clone(&context.services),
            disk: context.disk.clone(),
            pool: context.pool.clone(),
        };
        let drained = tokio::spawn(async move { while queue.recv().await.is_some() {} });
        let task = async { task.run().await.1 };
        assert_gives_way(task, move || feed(&mailbox, &mut other)).await;
        drained.await.unwrap();
        context.disk.stop().await;
    }

    #[tokio::test]
    async fn a_peer_that_never_stops_sending_leaves_others_their_turn() {
        // A message of no kind that we know.
        run_with(|_, peer| peer.write_all(&[0, 0, 0, 2, 99, 0]).unwrap()).await;
    }

    #[tokio::test]
    async fn a_torrent_that_never_stops_commanding_leaves_others_their_turn() {
        run_with(|mailbox, _| mailbox.post(PeerCommand::Have(Vec::new().into()))).await;
    }
}
