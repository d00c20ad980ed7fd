//! The way up: which of a peer's requests are served, and what becomes of
//! them.
//!
//! Part of [`Connection`]; the driver carries out [`Connection::poll_read`] and
//! answers with [`Connection::handle_read`].

use std::time::Instant;

use bytes::Bytes;

use crate::ids::{BLOCK_SIZE, Block};
use crate::peer::{BlockNote, CloseReason, Connection, PeerError, ReadJob};
use crate::wire::{Message, Request};

impl Connection {
    pub(crate) fn handle_request(&mut self, request: Request) -> Result<(), PeerError> {
        let Request {
            piece,
            begin,
            length,
        } = request;
        let valid = length <= BLOCK_SIZE
            && self.layout.contains(piece, begin, length)
            && self.announced.get(piece.0);
        if self.uploads.choking && !(valid && self.use_grant(request)) {
            return self.refuse_choked(request);
        }
        if !valid && self.sent_dont_have.crossed(self.last.received, piece) {
            return self.reject(request);
        }
        if !valid {
            self.pending_report.traffic.invalid_requests += 1;
            if self.pending_report.watched.peer {
                self.pending_report.note(BlockNote::Invalid {
                    request,
                    we_have: self.announced.get(piece.0),
                    interested: self.uploads.peer_interested,
                    withheld: false,
                });
            }
            self.uploads.invalid_requests.count_invalid()?;
            return self.reject(request);
        }
        if self.uploads.len() >= self.limits.max_in {
            return Err(PeerError::TooManyRequests);
        }
        self.uploads.push(request);
        if self.pending_report.watched.asked {
            self.pending_report
                .report
                .notes
                .push(BlockNote::Asked(request));
        }
        self.pending_report.dirty = true;
        Ok(())
    }

    /// Counts a request that came while we choke the peer.
    pub(crate) fn refuse_choked(&mut self, request: Request) -> Result<(), PeerError> {
        self.pending_report.traffic.choked_requests += 1;
        self.uploads
            .invalid_requests
            .count_choked(self.last.received, self.limits.max_in)?;
        self.reject(request)
    }

    /// Chokes the peer or lets it download.
    pub fn set_choking(&mut self, choking: bool) {
        if self.uploads.choking == choking {
            return;
        }
        self.uploads.choking = choking;
        self.uploads.invalid_requests.choke_changed();
        if choking {
            self.send.message(&Message::Choke);
            self.drop_uploads(|fast, piece| fast.is_granted(piece));
        } else {
            self.send.message(&Message::Unchoke);
        }
    }

    /// The next bytes to read from disk for the peer, if it may have some and
    /// its send queue is below the watermark.
    pub fn poll_read(&mut self) -> Option<ReadJob> {
        self.poll_read_within(usize::MAX)
    }

    /// The same, of blocks that take up to `most` bytes on the wire: there is a
    /// limit. Blocks are held back here and not when they wait to be sent, so
    /// that what we ask of the peer never waits behind them.
    pub fn poll_read_within(&mut self, most: usize) -> Option<ReadJob> {
        let watermark = self.limits.send_watermark;
        self.uploads.next(self.send.len(), watermark, most)
    }

    /// Bytes that the next block for the peer takes on the wire, if it may be
    /// read.
    pub fn next_read_len(&self) -> Option<usize> {
        let watermark = self.limits.send_watermark;
        self.uploads.next_len(self.send.len(), watermark)
    }

    /// Whether nothing is left to send and reads are under way, and more of
    /// them are not because of the watermark alone.
    pub fn is_stalled_on_reads(&self) -> bool {
        self.send.len() == 0 && self.uploads.wait_for_watermark(self.limits.send_watermark)
    }

    /// Queues what was read. Requests whose data could not be read (`None`), or
    /// whose peer was choked meanwhile, are refused. The connection is to be
    /// closed if the peer cannot be informed.
    #[must_use]
    pub fn handle_read(
        &mut self,
        _now: Instant,
        job: &ReadJob,
        data: Option<&Bytes>,
    ) -> Option<CloseReason> {
        self.uploads.done(job);
        let data = data.filter(|data| data.len() == job.length as usize);
        let may_have = !self.uploads.choking || self.fast.is_granted(job.piece);
        match data.filter(|_| may_have) {
            Some(data) => {
                self.send.blocks(job.piece, job.begin, data, &job.spans);
                if self.limits.report_served
                    && self.pending_report.report.served.last() != Some(&job.piece)
                {
                    self.pending_report.report.served.push(job.piece);
                }
                if self.pending_report.watched.upload {
                    let blocks = job.spans.iter().map(|&(begin, _)| begin / BLOCK_SIZE);
                    let notes =
                        blocks.map(|index| BlockNote::Uploaded(Block::new(job.piece, index)));
                    self.pending_report.report.notes.extend(notes);
                }
                self.pending_report.dirty = true;
                None
            }
            None => self.reject_read(job),
        }
    }
}
