//! The way up: a peer's requests, gathered into reads of adjacent blocks.

pub(crate) mod serve;

use std::collections::VecDeque;

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

/// Requests that wait, reads that are under way for them, and whether there
/// may be any.
#[derive(Debug)]
pub(super) struct Uploads {
    /// We choke the peer.
    pub(super) choking: bool,
    pub(super) peer_interested: bool,
    pub(super) invalid_requests: InvalidRequests,
    queue: VecDeque<Request>,
    jobs: usize,
    job_bytes: usize,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            choking: true,
            peer_interested: false,
            invalid_requests: InvalidRequests::default(),
            queue: VecDeque::new(),
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
        self.queue.push_back(request);
    }

    /// Takes a request back; whether it still waited.
    pub(super) fn cancel(&mut self, request: Request) -> bool {
        let before = self.queue.len();
        self.queue.retain(|queued| *queued != request);
        self.queue.len() < before
    }

    /// Drops the requests that wait for pieces other than those to `keep`, and
    /// returns them; reads under way still come back.
    pub(super) fn drop_requests(&mut self, keep: impl Fn(PieceIndex) -> bool) -> Vec<Request> {
        let (kept, dropped) = self.queue.drain(..).partition(|it| keep(it.piece));
        self.queue = kept;
        Vec::from_iter::<VecDeque<Request>>(dropped)
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
        let first = self.queue.pop_front()?;
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
            self.queue.pop_front();
        }
        self.jobs += 1;
        self.job_bytes += job.length as usize;
        Some(job)
    }

    /// Whether requests wait because that much is being read.
    pub(super) fn wait_for_watermark(&self, watermark: usize) -> bool {
        !self.queue.is_empty() && self.jobs > 0 && self.job_bytes >= watermark
    }

    /// A read has come back.
    pub(super) fn done(&mut self, job: &ReadJob) {
        self.jobs -= 1;
        self.job_bytes -= job.length as usize;
    }
}
