//! What trackers send: HTTP as far as its body, bodies, and datagrams.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use torrent_core::ids::{InfoHash, PeerId};
use torrent_core::tracker::udp::{Ask, QueryId, UdpOutput, UdpPath, UdpQuery, UdpTrackers};
use torrent_core::tracker::{AnnounceEvent, AnnounceStats, Reply, ScrapeReply};
use torrent_engine::fuzzing;

/// The torrent that is asked about.
const TORRENT: InfoHash = InfoHash([1; 20]);

/// Bytes of a body, unpacked.
const LIMIT: usize = 64 * 1024;

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// The first byte says how many bytes come at once.
pub(crate) fn http_answer(data: &[u8]) {
    let Some((step, data)) = data.split_first() else {
        return;
    };
    let connection = Parts {
        rest: data.to_vec(),
        at: 0,
        step: match usize::from(*step) {
            0 => data.len().max(1),
            step => step,
        },
    };
    let body = RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            let runtime = Builder::new_current_thread().enable_time().build();
            runtime.expect("a runtime")
        });
        runtime.block_on(fuzzing::http_answer(connection, LIMIT))
    });
    if let Some(body) = body {
        assert!(body.len() <= LIMIT);
        reply(&body);
    }
}

pub(crate) fn reply(data: &[u8]) {
    drop(Reply::parse(data));
    drop(ScrapeReply::parse(data, TORRENT));
}

/// A connection over which bytes come in steps.
struct Parts {
    rest: Vec<u8>,
    at: usize,
    step: usize,
}

impl AsyncRead for Parts {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self
            .rest
            .len()
            .min(self.at + self.step.min(buffer.remaining()));
        buffer.put_slice(&self.rest[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Parts {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Datagrams, each after a byte with its length and one that says what is done
/// with it: it may answer the last question that was asked, come from elsewhere,
/// or later.
pub(crate) fn udp(mut data: &[u8]) {
    let tracker = ([127, 0, 0, 1], 6969).into();
    let other = ([127, 0, 0, 2], 6969).into();
    let local = ([127, 0, 0, 3], 6881).into();
    let mut now = Instant::now();
    let mut machine = UdpTrackers::new(1);
    let report = AnnounceStats {
        info_hash: TORRENT,
        peer_id: PeerId([2; 20]),
        ..AnnounceStats::default()
    };
    let asks = [
        Ask::Announce {
            event: AnnounceEvent::Started,
            num_want: 50,
            report,
        },
        Ask::Scrape(TORRENT),
    ];
    for (id, ask) in (0..).zip(asks) {
        let query = UdpQuery {
            local,
            targets: vec![tracker, other],
            path: "/announce".to_owned(),
            ask,
            limit: Duration::from_secs(300),
        };
        machine.ask(now, QueryId(id), query);
    }
    let mut transaction = [0; 4];
    let mut done = 0;
    loop {
        while let Some(output) = machine.poll_output() {
            match output {
                UdpOutput::Send { packet, .. } => {
                    transaction.copy_from_slice(&packet[12..16]);
                }
                UdpOutput::Done { .. } => done += 1,
            }
        }
        let Some((&[length, how], rest)) = data.split_first_chunk() else {
            break;
        };
        let (datagram, rest) = rest.split_at(rest.len().min(length.into()));
        data = rest;
        let mut datagram = datagram.to_vec();
        if how & 1 == 0
            && let Some(slot) = datagram.get_mut(4..8)
        {
            slot.copy_from_slice(&transaction);
        }
        if how & 2 != 0
            && let Some(due) = machine.poll_timeout()
        {
            now = now.max(due);
            machine.handle_timeout(now);
        }
        let tracker = if how & 4 == 0 { tracker } else { other };
        machine.datagram(now, UdpPath { local, tracker }, &datagram);
    }
    // Each query ends, whatever came.
    while let Some(due) = machine.poll_timeout() {
        now = now.max(due);
        machine.handle_timeout(now);
        while let Some(output) = machine.poll_output() {
            done += usize::from(matches!(output, UdpOutput::Done { .. }));
        }
    }
    assert_eq!(done, 2);
}
