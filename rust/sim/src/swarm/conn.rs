//! The task of one connection: bytes between the wire, the protocol machine
//! and the disk. In the order of the engine's connection task.

use std::io::IoSlice;

use bytes::Bytes;
use torrent_core::ids::{Block, PeerKey};
use torrent_core::peer::{CloseReason, PeerCommand, PeerError, ReadJob};

use super::{Event, Packet, Swarm};

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum ConnectionEnd {
    ByPeer,
    ByUs(CloseReason),
    Protocol(PeerError),
    Reset,
}

impl std::fmt::Display for ConnectionEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ByPeer => f.write_str("closed by the peer"),
            Self::ByUs(reason) => reason.fmt(f),
            Self::Protocol(error) => error.fmt(f),
            Self::Reset => f.write_str("reset"),
        }
    }
}

impl Swarm {
    /// What the task does whenever something happened: reads, sends, reports,
    /// and sets its timer.
    pub(super) fn pump(&mut self, node: usize, key: PeerKey) {
        let now = self.now();
        while let Some(job) = self
            .conn(node, key)
            .and_then(|conn| conn.connection.poll_read())
        {
            let count = self.nodes[node].counters.served.entry(job.piece.0);
            *count.or_default() += 1;
            let due = self.nodes[node].disk.schedule(now, &mut self.rng);
            self.queue.push(due, Event::DiskRead(node, key, job));
        }
        self.send(node, key);
        self.pass_report(node, key);
        let start = self.start;
        let Some(conn) = self.conn(node, key) else {
            return;
        };
        let Some(due) = conn.connection.poll_timeout() else {
            return;
        };
        let due = due.saturating_duration_since(start);
        if conn.timer.is_none_or(|set| due < set) {
            conn.timer = Some(due);
            self.queue.push(due, Event::ConnTimer(node, key));
        }
    }

    fn conn(&mut self, node: usize, key: PeerKey) -> Option<&mut crate::node::Conn> {
        self.nodes[node].conns.get_mut(&key)
    }

    fn pass_report(&mut self, node: usize, key: PeerKey) {
        if let Some(report) = self
            .conn(node, key)
            .and_then(|conn| conn.connection.take_report())
        {
            self.post(node, Event::Report(node, key, report));
        }
    }

    /// Sends what waits, as far as the socket takes it.
    fn send(&mut self, node: usize, key: PeerKey) {
        let now = self.instant();
        loop {
            let Some(conn) = self.nodes[node].conns.get_mut(&key) else {
                return;
            };
            let (wire, side) = (conn.wire, conn.side);
            if !conn.connection.wants_write() {
                return;
            }
            let room = self.wires[wire].pipes[side].room(&mut self.rng);
            if room == 0 {
                return;
            }
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = conn.connection.slices(&mut slices);
            let mut data = Vec::with_capacity(room);
            for slice in &slices[..filled] {
                let take = slice.len().min(room - data.len());
                data.extend_from_slice(&slice[..take]);
            }
            conn.connection.handle_sent(now, data.len());
            self.transmit(wire, side, Packet::Data(data));
        }
    }

    /// Puts something on the wire.
    pub(super) fn transmit(&mut self, wire: usize, side: usize, packet: Packet) {
        let bytes = match &packet {
            Packet::Greeting => 68,
            Packet::Data(data) => data.len(),
            Packet::Fin => 0,
        };
        let [from, to] = [side, 1 - side].map(|side| self.wires[wire].ends[side].node);
        let (now, link, down) = (self.now(), self.link(from, to), self.down_until(from, to));
        let pipe = &mut self.wires[wire].pipes[side];
        let flight = pipe.send(now, bytes, &link, down, &mut self.rng);
        if flight.breaks {
            self.queue.push(flight.arrives, Event::Reset(wire));
        } else {
            let arrived = Event::Arrived(wire, 1 - side, packet);
            self.queue.push(flight.arrives, arrived);
        }
        self.queue
            .push(flight.departs, Event::Departed(wire, side, bytes));
    }

    pub(super) fn departed(&mut self, wire: usize, side: usize, bytes: usize) {
        self.wires[wire].pipes[side].departed(bytes);
        let end = &self.wires[wire].ends[side];
        if let Some(key) = end.key {
            self.pump(end.node, key);
        }
    }

    pub(super) fn arrived(&mut self, wire: usize, side: usize, packet: Packet) {
        if matches!(packet, Packet::Greeting) {
            return self.greeted(wire);
        }
        let end = &self.wires[wire].ends[side];
        let Some(key) = end.key else {
            return;
        };
        let node = end.node;
        match packet {
            Packet::Data(data) => self.receive(node, key, &data),
            Packet::Fin => self.end(node, key, ConnectionEnd::ByPeer),
            Packet::Greeting => {}
        }
    }

    fn receive(&mut self, node: usize, key: PeerKey, data: &[u8]) {
        let now = self.instant();
        let Some(conn) = self.nodes[node].conns.get_mut(&key) else {
            return;
        };
        conn.input.extend_from_slice(data);
        conn.connection.count_received(data.len());
        let mut blocks = Vec::new();
        let taken = match conn.connection.handle_input(now, &conn.input, &mut blocks) {
            Ok(taken) => taken,
            Err(error) => return self.end(node, key, ConnectionEnd::Protocol(error)),
        };
        let blocks: Vec<(Block, Bytes)> = blocks
            .into_iter()
            .map(|it| (it.block, Bytes::copy_from_slice(&conn.input[it.payload])))
            .collect();
        conn.input.drain(..taken);
        // The torrent learns of blocks before the disk has them.
        self.pass_report(node, key);
        if !blocks.is_empty() {
            let time = self.now();
            let due = self.nodes[node].disk.schedule(time, &mut self.rng);
            self.queue.push(due, Event::DiskWrite(node, key, blocks));
        }
        self.pump(node, key);
    }

    pub(super) fn command(&mut self, node: usize, key: PeerKey, command: PeerCommand) {
        let now = self.instant();
        let metadata = self.nodes[node].metadata.clone();
        let Some(conn) = self.nodes[node].conns.get_mut(&key) else {
            return;
        };
        let is_metadata = matches!(command, PeerCommand::Metadata(_));
        match conn.connection.handle_command(now, command) {
            Ok(None) => {}
            Ok(Some(reason)) => return self.end(node, key, ConnectionEnd::ByUs(reason)),
            Err(error) => return self.end(node, key, ConnectionEnd::Protocol(error)),
        }
        if let Some(metadata) = metadata.filter(|_| is_metadata) {
            conn.connection.offer_metadata(metadata);
        }
        self.pump(node, key);
    }

    pub(super) fn conn_timer(&mut self, node: usize, key: PeerKey) {
        let (now, time) = (self.instant(), self.now());
        let Some(conn) = self.nodes[node].conns.get_mut(&key) else {
            return;
        };
        if conn.timer.is_none_or(|set| set > time) {
            return;
        }
        conn.timer = None;
        if let Err(error) = conn.connection.handle_timeout(now) {
            return self.end(node, key, ConnectionEnd::Protocol(error));
        }
        self.pump(node, key);
    }

    pub(super) fn disk_write(&mut self, node: usize, key: PeerKey, blocks: Vec<(Block, Bytes)>) {
        for (block, data) in blocks {
            let event = self.nodes[node].disk.write(block, data, key, &mut self.rng);
            if let Some(event) = event {
                self.post(node, Event::Disk(node, event));
            }
        }
    }

    pub(super) fn disk_read(&mut self, node: usize, key: PeerKey, job: &ReadJob) {
        let now = self.instant();
        let data = self.nodes[node].disk.read(job, &mut self.rng);
        let Some(conn) = self.conn(node, key) else {
            return;
        };
        match conn.connection.handle_read(now, job, Some(&data)) {
            Some(reason) => self.end(node, key, ConnectionEnd::ByUs(reason)),
            None => self.pump(node, key),
        }
    }

    /// The connection ends at this node; the other end learns of it.
    pub(super) fn end(&mut self, node: usize, key: PeerKey, ended: ConnectionEnd) {
        let Some(mut conn) = self.nodes[node].conns.remove(&key) else {
            return;
        };
        let report = conn.connection.final_report();
        self.wires[conn.wire].ends[conn.side].key = None;
        if matches!(ended, ConnectionEnd::ByUs(_) | ConnectionEnd::Protocol(_)) {
            self.transmit(conn.wire, conn.side, Packet::Fin);
        }
        self.post(node, Event::Gone(node, key, report, ended));
    }

    /// The connection breaks at both ends.
    pub(super) fn reset_wire(&mut self, wire: usize) {
        for side in [0, 1] {
            let end = &self.wires[wire].ends[side];
            if let Some(key) = end.key {
                let node = end.node;
                self.end(node, key, ConnectionEnd::Reset);
            }
        }
        self.greeting_lost(wire);
    }
}
