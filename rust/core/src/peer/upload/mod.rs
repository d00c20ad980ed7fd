//! The way up: a peer's requests, gathered into reads of adjacent blocks.

pub(crate) mod serve;

use std::collections::{BTreeMap, BTreeSet};

use super::invalid_requests::InvalidRequests;
use crate::ids::PieceIndex;
use crate::wire::{PIECE_HEADER_LEN, Request};

/// Most bytes that one read job asks of the disk.
pub const READ_JOB_BYTES: u32 = 256 * 1024;

/// Read jobs under way for one peer: one being read while one is being sent.
const READ_JOBS: usize = 2;

/// Bytes to be read from disk for the peer: the requests it covers stand end
/// to end in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadJob {
    /// The piece.
    pub piece: PieceIndex,
    /// Offset of the first byte within the piece.
    pub begin: u32,
    /// Length in bytes, at most [`READ_JOB_BYTES`].
    pub length: u32,
    /// Begin and length of each request.
    pub(super) spans: Vec<(u32, u32)>,
}

impl ReadJob {
    /// Bytes that its blocks take on the wire.
    pub fn wire_len(&self) -> usize {
        self.length as usize + self.spans.len() * PIECE_HEADER_LEN
    }
}

/// Requests that wait, in the order in which they came. A peer may cancel any of
/// them, and what it never asked for, as often as it likes: neither takes a walk.
#[derive(Debug, Default)]
struct RequestLine {
    by_arrival: BTreeMap<u64, Request>,
    arrivals: BTreeSet<(Request, u64)>,
    next: u64,
}

impl RequestLine {
    fn len(&self) -> usize {
        self.by_arrival.len()
    }

    fn front(&self) -> Option<&Request> {
        Some(self.by_arrival.first_key_value()?.1)
    }

    fn push(&mut self, request: Request) {
        self.by_arrival.insert(self.next, request);
        self.arrivals.insert((request, self.next));
        self.next += 1;
    }

    fn pop(&mut self) -> Option<Request> {
        let (arrival, request) = self.by_arrival.pop_first()?;
        self.arrivals.remove(&(request, arrival));
        Some(request)
    }

    /// Removes all requests for the same; whether there were any.
    fn remove(&mut self, request: Request) -> bool {
        let same = self.arrivals.range((request, 0)..=(request, u64::MAX));
        let same: Vec<u64> = same.map(|&(_, arrival)| arrival).collect();
        for arrival in &same {
            #[cfg(test)]
            crate::testing::blocks_visited::add();
            self.by_arrival.remove(arrival);
            self.arrivals.remove(&(request, *arrival));
        }
        !same.is_empty()
    }
}

/// Requests that wait, reads that are under way for them, and whether there
/// may be any.
#[derive(Debug)]
pub(super) struct Uploads {
    /// We choke the peer.
    pub(super) choking: bool,
    pub(super) peer_interested: bool,
    pub(super) invalid_requests: InvalidRequests,
    queue: RequestLine,
    jobs: usize,
    job_bytes: usize,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            choking: true,
            peer_interested: false,
            invalid_requests: InvalidRequests::default(),
            queue: RequestLine::default(),
            jobs: 0,
            job_bytes: 0,
        }
    }
}

impl Uploads {
    /// Requests that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn push(&mut self, request: Request) {
        self.queue.push(request);
    }

    /// Takes a request back; whether it still waited.
    pub(super) fn cancel(&mut self, request: Request) -> bool {
        self.queue.remove(request)
    }

    /// Drops the requests that wait for pieces other than those to `keep`, and
    /// returns them; reads under way still come back.
    pub(super) fn drop_requests(&mut self, keep: impl Fn(PieceIndex) -> bool) -> Vec<Request> {
        let mut dropped = Vec::new();
        for request in std::mem::take(&mut self.queue).by_arrival.into_values() {
            match keep(request.piece) {
                true => self.queue.push(request),
                false => dropped.push(request),
            }
        }
        dropped
    }

    /// Bytes that the next block takes on the wire, if a read may begin: while
    /// what is read and `unsent` stay below `watermark`.
    pub(super) fn next_len(&self, unsent: usize, watermark: usize) -> Option<usize> {
        if self.jobs >= READ_JOBS || unsent + self.job_bytes >= watermark {
            return None;
        }
        let first = self.queue.front()?;
        Some(first.length as usize + PIECE_HEADER_LEN)
    }

    /// The next read, if one may begin and its first block takes no more than
    /// `most` bytes.
    pub(super) fn next(&mut self, unsent: usize, watermark: usize, most: usize) -> Option<ReadJob> {
        self.next_len(unsent, watermark)
            .filter(|&length| length <= most)?;
        let first = self.queue.pop()?;
        let mut job = ReadJob {
            piece: first.piece,
            begin: first.begin,
            length: first.length,
            spans: vec![(first.begin, first.length)],
        };
        while let Some(next) = self.queue.front()
            && next.piece == job.piece
            && next.begin == job.begin + job.length
            && job.length + next.length <= READ_JOB_BYTES
            && job.wire_len() + next.length as usize + PIECE_HEADER_LEN <= most
        {
            job.length += next.length;
            job.spans.push((next.begin, next.length));
            self.queue.pop();
        }
        self.jobs += 1;
        self.job_bytes += job.length as usize;
        Some(job)
    }

    /// Whether requests wait because that much is being read.
    pub(super) fn wait_for_watermark(&self, watermark: usize) -> bool {
        self.queue.len() > 0 && self.jobs > 0 && self.job_bytes >= watermark
    }

    /// A read has come back.
    pub(super) fn done(&mut self, job: &ReadJob) {
        self.jobs -= 1;
        self.job_bytes -= job.length as usize;
    }
}
