//! The torrent's part in finding who sends bad data: it names the senders by
//! address, carries out bans, and keeps suspects by themselves.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use super::{CloseReason, Output, Peer, Torrent, TorrentEvent};
use crate::ban::{ReceivedBlock, Sent, Suspects, ban_unit};
use crate::ids::{PeerKey, PieceIndex};
use crate::settings::Settings;

/// Connections that are gone whose addresses are remembered: blocks of theirs
/// may be part of pieces that are not hashed yet.
const MAX_DEPARTED: usize = 1024;

/// Suspects, and who sent what under which address.
#[derive(Debug)]
pub(super) struct SmartBan {
    suspects: Suspects,
    departed: BTreeMap<PeerKey, IpAddr>,
    /// `departed`, the oldest first.
    order: VecDeque<PeerKey>,
}

impl SmartBan {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            suspects: Suspects::new(settings.use_parole_mode),
            departed: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn apply_settings(&mut self, settings: &Settings) {
        self.suspects.set_parole(settings.use_parole_mode);
    }

    /// A connection is gone.
    pub(super) fn left(&mut self, key: PeerKey, ip: IpAddr) {
        self.departed.insert(key, ip);
        self.order.push_back(key);
        if self.order.len() > MAX_DEPARTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.departed.remove(&oldest);
        }
    }

    fn ip(&self, key: PeerKey, peers: &BTreeMap<PeerKey, Peer>) -> Option<IpAddr> {
        let connected = peers.get(&key).map(|peer| peer.meta.endpoint.ip());
        connected.or_else(|| self.departed.get(&key).copied())
    }
}

impl Torrent {
    /// A piece did not have the right hash. `blocks` are those that it was made
    /// of, without padding.
    pub fn piece_failed(&mut self, now: Instant, piece: PieceIndex, blocks: &[ReceivedBlock]) {
        self.totals.failed += u64::from(self.pieces.layout.piece_payload(piece));
        let blocks: Vec<Sent> = blocks
            .iter()
            .map(|received| Sent {
                block: received.block,
                ip: self.smart_ban.ip(received.sender, &self.peers),
                digest: received.digest,
            })
            .collect();
        self.event(TorrentEvent::HashFailed(piece));
        let guilty = self.smart_ban.suspects.piece_failed(piece, &blocks);
        self.note_suspects();
        self.convict(guilty);
        self.piece_lost(now, piece);
    }

    /// A piece that had failed before is right now, with these digests of its blocks,
    /// each with its block and in their order. Comes before [`Self::pieces_verified`].
    pub fn piece_audited(&mut self, _now: Instant, piece: PieceIndex, digests: &[(u32, u64)]) {
        let guilty = self.smart_ban.suspects.piece_passed(piece, [], digests);
        self.note_suspects();
        self.convict(guilty);
    }

    /// Good pieces clear their senders.
    pub(super) fn clear_suspects(&mut self, pieces: &[PieceIndex]) {
        if self.smart_ban.suspects.is_empty() {
            return;
        }
        for &piece in pieces {
            let senders = self.pieces.picker.contributors(piece);
            let ips: Vec<IpAddr> = senders
                .into_iter()
                .filter_map(|key| self.smart_ban.ip(key, &self.peers))
                .collect();
            self.smart_ban.suspects.piece_passed(piece, ips, &[]);
        }
        self.note_suspects();
    }

    fn note_suspects(&mut self) {
        let suspects = &self.smart_ban.suspects;
        for peer in self.peers.values_mut() {
            let ip = peer.meta.endpoint.ip();
            peer.download.on_parole = suspects.is_on_parole(ip);
            peer.download.hash_failures =
                suspects.hash_failures(ip).max(peer.download.hash_failures);
        }
    }

    fn convict(&mut self, guilty: Vec<IpAddr>) {
        for ip in guilty {
            // More of its bad pieces may have been on their way.
            if self.dialing.list.is_banned(ip) {
                continue;
            }
            self.outputs.push_back(Output::Ban(ip));
            self.ban(ip);
        }
    }

    /// Bans an address, an IPv6 one with its whole /64: its peers are forgotten
    /// and its connections closed.
    pub fn ban(&mut self, ip: IpAddr) {
        self.dialing.ban(ip);
        let unit = ban_unit(ip);
        let banned = self.close_where(CloseReason::Banned, |ip| ban_unit(ip) == unit);
        for endpoint in banned {
            self.event(TorrentEvent::PeerBanned(endpoint));
        }
    }

    /// Closes the connections with addresses that are blocked now. Returns
    /// their endpoints.
    pub fn filter(&mut self, blocked: impl Fn(IpAddr) -> bool) -> Vec<std::net::SocketAddr> {
        self.dialing
            .redials
            .forget_where(|endpoint| blocked(endpoint.ip()));
        self.close_where(CloseReason::Filtered, blocked)
    }

    fn close_where(
        &mut self,
        reason: CloseReason,
        concerned: impl Fn(IpAddr) -> bool,
    ) -> Vec<std::net::SocketAddr> {
        let concerned: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.closing.is_none() && concerned(peer.meta.endpoint.ip()))
            .map(|(&key, peer)| (key, peer.meta.endpoint))
            .collect();
        for (key, _) in &concerned {
            self.close(*key, reason);
        }
        concerned
            .into_iter()
            .map(|(_, endpoint)| endpoint)
            .collect()
    }
}
