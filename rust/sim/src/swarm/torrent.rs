//! The torrent's task of a node: what the brain receives, and what it decides.
//! In the order of the engine's torrent driver.

use torrent_core::ids::{PeerKey, TorrentKey};
use torrent_core::peer::{ConnectionReport, PeerCommand};
use torrent_core::torrent::{Output, TorrentEvent, TorrentState};
use torrent_core::turnover::{Holding, plan};

use super::conn::ConnectionEnd;
use super::{CHECK_EVERY, Event, Swarm};
use crate::disk::DiskEvent;

impl Swarm {
    /// Sends a message to the torrent's task: they come in order.
    pub(super) fn post(&mut self, node: usize, event: Event) {
        let hop = self.hop();
        let inbox_at = &mut self.nodes[node].inbox_at;
        *inbox_at = (*inbox_at).max(self.queue.now() + hop);
        self.queue.push(*inbox_at, event);
    }

    pub(super) fn report(&mut self, node: usize, key: PeerKey, report: ConnectionReport) {
        let now = self.instant();
        self.nodes[node].brain.peer_report(now, key, report);
        self.drain_outputs(node);
    }

    pub(super) fn gone(
        &mut self,
        node: usize,
        key: PeerKey,
        report: ConnectionReport,
        ended: &ConnectionEnd,
    ) {
        let now = self.instant();
        let failed = matches!(ended, ConnectionEnd::Protocol(_) | ConnectionEnd::Reset);
        self.nodes[node].counters.failed_connections += u32::from(failed);
        self.note(node, format_args!("disconnected p{}: {ended}", key.0));
        self.nodes[node]
            .brain
            .peer_disconnected(now, key, report, failed);
        self.drain_outputs(node);
    }

    pub(super) fn brain_timer(&mut self, node: usize) {
        let (now, time) = (self.instant(), self.now());
        if self.nodes[node].timer.is_some_and(|due| due <= time) {
            self.nodes[node].timer = None;
            self.turn_over(node);
            self.nodes[node].brain.handle_timeout(now);
            self.drain_outputs(node);
        }
    }

    pub(super) fn disk_event(&mut self, node: usize, event: DiskEvent) {
        let now = self.instant();
        let brain = &mut self.nodes[node].brain;
        match event {
            DiskEvent::Verified(piece) => brain.pieces_verified(now, &[piece]),
            DiskEvent::Audited(piece, digests) => {
                brain.piece_audited(now, piece, &digests);
                brain.pieces_verified(now, &[piece]);
            }
            DiskEvent::PieceFailed(piece, blocks) => {
                brain.piece_failed(now, piece, &blocks);
                self.nodes[node].counters.hash_failures += 1;
            }
            DiskEvent::WriteFailed(piece) => {
                brain.set_storage_failed(now, true);
                brain.piece_lost(now, piece);
                self.nodes[node].upload_mode = true;
                self.nodes[node].counters.write_failures += 1;
                self.note(node, format_args!("write of {piece} failed"));
            }
            DiskEvent::Checked(have) => {
                brain.checked(now, &have);
                self.note(node, format_args!("checked: {} pieces", have.count()));
            }
        }
        self.drain_outputs(node);
    }

    pub(super) fn check_files(&mut self, node: usize) {
        let now = self.now();
        let due = self.nodes[node].disk.schedule(now, &mut self.rng);
        self.queue.push(due, Event::DiskCheck(node));
    }

    pub(super) fn disk_check(&mut self, node: usize) {
        let event = self.nodes[node].disk.check();
        self.post(node, Event::Disk(node, event));
    }

    /// Lets the session's choker decide; it is as near as the torrent's task.
    fn choking(&mut self, node: usize) {
        let now = self.instant();
        let it = &mut self.nodes[node];
        while let Some(standing) = it.brain.take_standing(now) {
            it.choker.update(TorrentKey(0), standing);
            it.choker.handle_timeout(now);
            while let Some((_, changes)) = it.choker.poll_output() {
                it.brain.apply_choking(now, &changes);
            }
        }
    }

    /// The session's look at whether its connections are full, at each tick.
    fn turn_over(&mut self, node: usize) {
        let now = self.instant();
        let it = &mut self.nodes[node];
        if !it.turnover.due(now, &it.settings) {
            return;
        }
        let holding = Holding {
            connections: it.brain.num_connections(),
            limit: it.settings.connections_limit.unsigned_abs() as usize,
            candidates: it.brain.peer_list().num_candidates(),
        };
        for (_, count) in plan(&it.settings, &[holding]) {
            let closed = it.brain.turn_over(now, count);
            it.counters.turned_over += closed as u32;
        }
    }

    /// Carries out what the brain decided.
    pub(super) fn drain_outputs(&mut self, node: usize) {
        let now = self.instant();
        self.choking(node);
        while let Some(output) = self.nodes[node].brain.poll_output() {
            match output {
                Output::Peer(key, command) => self.send_command(node, key, command),
                Output::Connect { endpoint, .. } => self.dial(node, endpoint),
                Output::Ban(ip) => {
                    self.note(node, format_args!("ban {ip}"));
                    self.nodes[node].counters.bans.push(ip);
                }
                Output::Metadata(info_dict) => {
                    self.note(node, "metadata received");
                    let layout = self.payload.layout.clone();
                    self.nodes[node].metadata = Some(info_dict);
                    self.nodes[node].brain.set_metadata(now, layout, self.seed);
                    self.check_files(node);
                }
                Output::Event(event) => self.brain_event(node, &event),
            }
        }
        if let Some(due) = self.nodes[node].brain.poll_timeout() {
            let due = due.saturating_duration_since(self.start).max(self.now());
            let timer = &mut self.nodes[node].timer;
            if timer.is_none_or(|set| due < set) {
                *timer = Some(due);
                self.queue.push(due, Event::BrainTimer(node));
            }
        }
        #[cfg(debug_assertions)]
        if self.events.is_multiple_of(CHECK_EVERY) {
            self.nodes[node].brain.check_invariants();
        }
    }

    /// Sends a command to a connection: they come in order.
    fn send_command(&mut self, node: usize, key: PeerKey, command: PeerCommand) {
        match &command {
            PeerCommand::Choke(choke) => {
                let verb = if *choke { "choke" } else { "unchoke" };
                self.note(node, format_args!("{verb} p{}", key.0));
            }
            PeerCommand::Close(reason) => {
                self.note(node, format_args!("close p{}: {reason}", key.0))
            }
            PeerCommand::Lease(blocks) => {
                let (count, first) = (blocks.len(), blocks[0]);
                self.note(node, format_args!("lease p{} {count} from {first}", key.0));
            }
            PeerCommand::TimeCritical(blocks) => {
                let (count, first) = (blocks.len(), blocks[0]);
                self.note(node, format_args!("urgent p{} {count} from {first}", key.0));
            }
            _ => {}
        }
        let hop = self.hop();
        let now = self.now();
        if let Some(conn) = self.nodes[node].conns.get_mut(&key) {
            conn.mailbox_at = conn.mailbox_at.max(now + hop);
            self.queue
                .push(conn.mailbox_at, Event::Command(node, key, command));
        }
    }

    fn brain_event(&mut self, node: usize, event: &TorrentEvent) {
        match event {
            TorrentEvent::StateChanged { state, previous } => {
                let (from, to) = (previous.name(), state.name());
                self.note(node, format_args!("state {from} -> {to}"));
            }
            TorrentEvent::Finished => {
                self.nodes[node].counters.finished += 1;
                self.note(node, "finished");
            }
            TorrentEvent::PiecesVerified(pieces) => {
                for piece in pieces {
                    self.note(node, format_args!("verified {piece}"));
                }
            }
            TorrentEvent::MetadataFailed => {
                self.nodes[node].counters.metadata_failures += 1;
                self.note(node, "metadata failed");
            }
            TorrentEvent::SeenAs { .. } => {}
            TorrentEvent::HashFailed(piece) => {
                self.note(node, format_args!("hash of {piece} failed"));
            }
            TorrentEvent::PeerBanned(endpoint) => {
                self.note(node, format_args!("{endpoint} is banned"));
            }
            TorrentEvent::PeerSnubbed(endpoint, snubbed) => {
                self.note(node, format_args!("{endpoint} snubs us: {snubbed}"));
            }
            TorrentEvent::FileCompleted(file) => {
                self.note(node, format_args!("file {file} completed"))
            }
            TorrentEvent::DeadlineMet(piece) => {
                self.note(node, format_args!("deadline of {piece} met"));
            }
            TorrentEvent::DeadlineCancelled(piece) => {
                self.note(node, format_args!("deadline of {piece} cancelled"));
            }
            TorrentEvent::StoppedWhenReady => self.note(node, "stopped when ready"),
            TorrentEvent::GracefullyPaused => self.note(node, "drained"),
        }
    }

    pub(super) fn begin_check(&mut self, node: usize) {
        let now = self.instant();
        self.nodes[node]
            .brain
            .checking(now, TorrentState::CheckingFiles);
        self.check_files(node);
        self.drain_outputs(node);
    }
}
