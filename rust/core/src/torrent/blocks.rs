//! Blocks: what peers have, what we want of it, and who is to send it.

use std::collections::BTreeSet;
use std::time::Instant;

use super::rejected_requests::RequestAllowance;
use super::{Output, Peer, PeerCommand, PeerDownload, Torrent, TorrentEvent};
use crate::bitfield::Bitfield;
use crate::ids::{Block, PeerKey, PieceIndex};
use crate::peer::ConnectionReport;
use crate::picker::{PeerPieces, Picker, Received, Speed};

/// Blocks leased to one peer at once, at most.
const MAX_LEASE: u32 = 512;

impl Torrent {
    /// What happened on a connection since its last report.
    pub fn peer_report(&mut self, now: Instant, key: PeerKey, mut report: ConnectionReport) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let snubbed = std::mem::replace(&mut peer.traffic.stats.snubbed, report.stats.snubbed);
        if snubbed != report.stats.snubbed {
            let event = TorrentEvent::PeerSnubbed(peer.meta.endpoint, !snubbed);
            self.outputs.push_back(Output::Event(event));
        }
        self.totals
            .add(now, &peer.traffic.count(now, &report.stats));
        let disowned = peer.download.disowned;
        let open = peer.closing.is_none();
        let mut news = report.pieces.bitfield.is_some() || report.allowed_fast.is_some();
        if let Some(pieces) = report.pieces.bitfield.take() {
            self.note_bitfield(key, pieces);
        }
        news |= self.note_haves(key, &report.pieces.haves);
        self.pieces_used(&report.served);
        self.suggest_next(key, &report.pieces.haves);
        self.note_extensions(now, key, &mut report);
        if news && self.is_super_seeding() {
            self.super_seed.progressed(now, key);
            self.show_pieces(now);
        }
        if !disowned {
            self.note_blocks(key, &report.blocks);
        }
        let freed = self.note_returned(key, &report.returned);
        self.note_refused(now, key, &report.refused);
        self.note_flags(key, report.choked, report.interested);
        if open {
            self.update_interest(key);
            if let Some(peer) = self.peers.get_mut(&key)
                && peer.download.interested
            {
                peer.download.want += report.want;
                if news || report.want > 0 {
                    self.top_up_time_critical(now);
                    self.top_up(now, key);
                }
            }
        }
        if freed {
            self.top_up_starved(now);
        } else if self.starved.retry().is_some() {
            self.plan_retry(now);
        }
        self.close_finished();
    }

    fn note_bitfield(&mut self, key: PeerKey, pieces: Bitfield) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if peer.is_seed() {
            self.pieces.picker.peer_seed_left();
        } else {
            self.pieces.picker.peer_left(peer.pieces());
        }
        peer.announced = true;
        peer.set_pieces(pieces);
        if peer.is_seed() {
            self.pieces.picker.peer_seed_joined();
        } else {
            self.pieces.picker.peer_joined(peer.pieces());
        }
        peer.download.interesting = self.pieces.picker.interesting_pieces(&peer.peer_pieces());
        if let Some(endpoint) = peer.listed {
            self.dialing.list.set_seed(endpoint, peer.is_seed());
        }
    }

    /// A peer got pieces; whether that is new of one of them.
    fn note_haves(&mut self, key: PeerKey, pieces: &BTreeSet<PieceIndex>) -> bool {
        let mut news = false;
        let Some(peer) = self.peers.get_mut(&key) else {
            return news;
        };
        for &piece in pieces {
            if !peer.add_piece(piece) {
                continue;
            }
            news = true;
            self.pieces.picker.peer_has(piece);
            if self.pieces.picker.is_wanted(piece) {
                peer.download.interesting += 1;
            }
            if peer.is_seed() {
                self.pieces.picker.peer_left(peer.pieces());
                self.pieces.picker.peer_seed_joined();
                if let Some(endpoint) = peer.listed {
                    self.dialing.list.set_seed(endpoint, true);
                }
            }
        }
        news
    }

    /// Blocks are here; other peers that were asked for them need not send them.
    fn note_blocks(&mut self, key: PeerKey, blocks: &[Block]) {
        let mut others = Vec::new();
        for &block in blocks {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.download.lease_ended(block);
                peer.download.refusals.block_came(block.piece);
            }
            if self.pieces.picker.received(key, block, &mut others) == Received::Duplicate {
                self.totals.redundant += u64::from(self.pieces.layout.block_len(block));
            }
            for other in others.drain(..) {
                if let Some(peer) = self.peers.get_mut(&other) {
                    peer.download.lease_ended(block);
                }
                self.command(other, PeerCommand::Cancel(vec![block]));
            }
        }
    }

    /// Blocks will not come from this peer; whether there were any.
    fn note_returned(&mut self, key: PeerKey, blocks: &[Block]) -> bool {
        for &block in blocks {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.download.lease_ended(block);
            }
            self.pieces.picker.returned(key, block);
        }
        !blocks.is_empty()
    }

    /// A peer refused blocks: it is asked again later.
    fn note_refused(&mut self, now: Instant, key: PeerKey, blocks: &[Block]) {
        if let Some(peer) = self.peers.get_mut(&key) {
            for block in blocks {
                peer.download.refusals.refused(now, block.piece);
            }
        }
    }

    /// Takes note of choke and interest.
    fn note_flags(&mut self, key: PeerKey, choked: Option<bool>, interested: Option<bool>) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if let Some(choked) = choked {
            peer.download.set_choking_us(choked);
            self.starved.remove(key);
        }
        if let Some(interested) = interested {
            peer.upload.interested_in_us = interested;
            self.choking.changed();
        }
    }

    /// Leases blocks to a peer that wants some.
    pub(super) fn top_up(&mut self, now: Instant, key: PeerKey) {
        let may_download = self.may_download();
        let able = |peer: &&Peer| {
            peer.download.want > 0
                && peer.download.interesting > 0
                && may_download
                && peer.closing.is_none()
        };
        let Some(peer) = self.peers.get(&key).filter(able) else {
            return;
        };
        let allowed = match peer.download.choking_us {
            true => self.allowed_pieces(peer),
            false => None,
        };
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if peer.download.choking_us && allowed.is_none() {
            return;
        }
        let rate = peer.traffic.rates.payload_download.rate(now);
        let speed = if peer.traffic.stats.snubbed {
            Speed::Snubbed
        } else if peer.download.on_parole {
            Speed::Alone
        } else {
            let threshold = self.settings.whole_pieces_threshold.unsigned_abs();
            Speed::of(rate, self.pieces.layout.piece_length(), threshold)
        };
        self.pieces.picker.set_download_rate(key, rate);
        let mut blocks = Vec::new();
        if peer.download.refusals.is_empty() {
            let pieces = match &allowed {
                Some(allowed) => PeerPieces::Some(allowed),
                None => peer.peer_pieces(),
            };
            let (count, suggested) = (peer.download.want.min(MAX_LEASE), &peer.download.suggested);
            self.pieces
                .picker
                .pick(key, &pieces, count, speed, suggested, &mut blocks);
        } else {
            let pieces = allowed.unwrap_or_else(|| (**peer.pieces()).clone());
            let picker = &mut self.pieces.picker;
            pick_with_care(now, (key, peer), picker, pieces, speed, &mut blocks);
        }
        peer.download.want -= blocks.len() as u32;
        if peer.download.want > 0 {
            self.starved.insert(key);
        } else {
            self.starved.remove(key);
        }
        if !blocks.is_empty() {
            peer.download.lease(now, &blocks);
            self.command(key, PeerCommand::Lease(blocks));
        }
    }

    /// Serves peers that wanted more blocks than there were.
    pub(super) fn top_up_starved(&mut self, now: Instant) {
        self.top_up_time_critical(now);
        let waiting: Vec<PeerKey> = self.starved.iter().collect();
        for key in waiting {
            self.top_up(now, key);
        }
        self.plan_retry(now);
    }

    /// Notes when a peer that waits may be asked for what it refused.
    pub(super) fn plan_retry(&mut self, now: Instant) {
        let peers = &self.peers;
        self.starved
            .plan(|key| peers.get(&key)?.download.refusals.next(now));
    }

    /// Takes back what peers were asked for of pieces that are not wanted any
    /// more.
    pub(super) fn revoke_unwanted(&mut self) {
        let wanted = |piece| self.pieces.picker.is_wanted(piece);
        let any = |peer: &Peer| peer.download.leased().any(|block| !wanted(block.piece));
        if self.peers.values().any(any) {
            let mut unwanted = Bitfield::full(self.pieces.layout.num_pieces());
            for piece in self.pieces.layout.pieces().filter(|&piece| wanted(piece)) {
                unwanted.clear(piece.0);
            }
            self.revoke(|piece| unwanted.get(piece.0));
        }
    }

    /// Takes back what peers were asked for of some pieces.
    pub(super) fn revoke(&mut self, concerned: impl Fn(PieceIndex) -> bool) {
        for (&key, peer) in &mut self.peers {
            let blocks = peer.download.revoke(&concerned);
            for &block in &blocks {
                self.pieces.picker.returned(key, block);
            }
            if !blocks.is_empty() {
                let cancel = PeerCommand::Cancel(blocks);
                self.outputs.push_back(Output::Peer(key, cancel));
            }
        }
    }

    pub(super) fn update_all_interest(&mut self) {
        for peer in self.peers.values_mut() {
            peer.download.interesting = self.pieces.picker.interesting_pieces(&peer.peer_pieces());
        }
        self.send_interest();
    }

    pub(super) fn send_interest(&mut self) {
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.update_interest(key);
        }
    }

    fn update_interest(&mut self, key: PeerKey) {
        let may_download = self.may_download();
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let interested = peer.download.interesting > 0 && may_download;
        if peer.download.set_interested(interested) {
            if !interested {
                self.starved.remove(key);
            }
            self.command(key, PeerCommand::Interested(interested));
        }
    }
}

/// Picks for a peer that refused something: one block of each piece whose time
/// has come, then freely among the other ones of `pieces`.
fn pick_with_care(
    now: Instant,
    (key, peer): (PeerKey, &mut Peer),
    picker: &mut Picker,
    mut pieces: Bitfield,
    speed: Speed,
    blocks: &mut Vec<Block>,
) {
    let PeerDownload {
        refusals,
        suggested,
        want,
        ..
    } = &mut peer.download;
    refusals.retain(|piece| picker.is_wanted(piece));
    let most = match refusals.allowance(now) {
        RequestAllowance::All => (*want).min(MAX_LEASE),
        RequestAllowance::One => (*want).min(1),
        RequestAllowance::Nothing => 0,
    };
    let mut alone = Bitfield::new(pieces.len());
    for piece in refusals.due(now) {
        if blocks.len() as u32 == most {
            break;
        }
        if pieces.get(piece.0) {
            alone.set(piece.0);
            picker.pick(key, &PeerPieces::Some(&alone), 1, speed, &[], blocks);
            alone.clear(piece.0);
        }
    }
    for piece in refusals.pieces() {
        pieces.clear(piece.0);
    }
    let left = most - blocks.len() as u32;
    picker.pick(
        key,
        &PeerPieces::Some(&pieces),
        left,
        speed,
        suggested,
        blocks,
    );
    for block in blocks {
        refusals.asked(now, block.piece);
    }
}
