//! Connections of a torrent: which are made, taken in and closed, and who may
//! download over them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dialing::max_per_address;
use super::{CloseReason, Output, Peer, PeerCommand, PeerMeta, Torrent};
use crate::ban::ban_unit;
use crate::bitfield::Bitfield;
use crate::ids::PeerKey;
use crate::peer::{ConnectionReport, Watched};
use crate::peerlist::{HandshakeKind, Sources, UtpSupport};

/// Two connections with the same peer that came about within this time are two
/// dials that crossed; later the older one stays.
const CROSSING: Duration = Duration::from_secs(10);

/// Whether the session takes one more connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It does.
    Free,
    /// Its limit is reached: only one that came in, within the limit's slack,
    /// in place of a useless one if possible.
    Slack,
    /// It does not.
    None,
    /// Not with this address, which has its share of the session.
    Crowded,
}

impl Torrent {
    /// Learns of endpoints in this swarm.
    pub fn add_peers(
        &mut self,
        now: Instant,
        endpoints: impl IntoIterator<Item = SocketAddr>,
        source: Sources,
    ) {
        for endpoint in endpoints {
            // Refused ones (banned, our own, no host) are simply not peers.
            let _ = self.dialing.list.add(endpoint, source);
        }
        if self.is_running() {
            self.connect_more(now);
        }
    }

    /// A connection is past its handshake; `room` says whether the session's
    /// limit leaves room for it. Returns why it must be closed again, or takes
    /// it in.
    pub fn peer_connected(
        &mut self,
        now: Instant,
        key: PeerKey,
        meta: PeerMeta,
        room: Room,
    ) -> Result<(), CloseReason> {
        if !meta.incoming {
            self.dialing.made(meta.endpoint);
        }
        let mut peer = Peer::new(meta, self.pieces.layout.num_pieces(), now);
        if let Err(reason) = self.admit(now, &mut peer, room) {
            // By now it may stand for another connection to the same peer.
            if let Some(endpoint) = peer.listed {
                if reason == CloseReason::OurselvesAgain {
                    self.dialing.list.failed(now, endpoint);
                } else {
                    self.dialing.list.closed(now, endpoint);
                }
                self.call_refused(now, endpoint, reason);
            }
            return Err(reason);
        }
        if let Some(endpoint) = peer.listed {
            self.dialing.redials.busy(now, endpoint);
            // The list forgives them now.
            peer.failures = self.dialing.list.failcount(endpoint);
            self.dialing.list.connected(endpoint);
        }
        let have = if self.is_super_seeding() {
            let nothing = Bitfield::new(self.pieces.layout.num_pieces());
            peer.upload.revealed = Some(nothing.clone());
            nothing
        } else {
            Bitfield::clone(self.pieces.picker.have())
        };
        peer.upload_only_sent = self.activity.upload_only_sent();
        self.peers.insert(key, peer);
        self.note_reachable(now, key);
        if self.activity.upload_only_sent() {
            self.command(key, PeerCommand::UploadOnly(true));
        }
        self.command(key, PeerCommand::Start(Arc::new(have)));
        if self.watched != Watched::default() {
            self.command(key, PeerCommand::Watch(self.watched));
        }
        Ok(())
    }

    /// Whether a connection may join the others.
    fn admit(&mut self, now: Instant, new: &mut Peer, room: Room) -> Result<(), CloseReason> {
        if !self.is_running() {
            return Err(CloseReason::Stopped);
        }
        if self.dialing.list.is_banned(new.meta.endpoint.ip()) {
            return Err(CloseReason::Banned);
        }
        if new.meta.id == self.dialing.our_id {
            return Err(CloseReason::OurselvesAgain);
        }
        let mut others = self
            .peers
            .iter_mut()
            .filter(|(_, peer)| peer.closing.is_none());
        let many = self.settings.allow_multiple_connections_per_pid;
        if let Some((&key, old)) = others.find(|(_, peer)| !many && peer.meta.id == new.meta.id) {
            // Two peers that dial each other at once must agree on which of
            // the two connections stays: that of the greater peer id.
            let ours_stays = self.dialing.our_id > new.meta.id;
            let crossed = old.meta.incoming != new.meta.incoming
                && now.saturating_duration_since(old.connected_at) < CROSSING;
            // A peer that calls anew from the same address has lost its last
            // connection, or closed it and we do not know that yet. If
            // we turned it away it would not call again for a long time. One
            // that we had called may not know that it is us, as long as that
            // connection is alive.
            let silent = now.saturating_duration_since(old.traffic.last_received) >= CROSSING;
            let called_anew = new.meta.incoming
                && (old.meta.incoming || silent && !crossed)
                && new.meta.endpoint.ip() == old.meta.endpoint.ip();
            if called_anew || crossed && ours_stays != new.meta.incoming {
                new.listed = new.listed.or(old.listed.take());
                self.close(key, CloseReason::Duplicate);
                return Ok(());
            }
            if old.listed.is_none() {
                old.listed = new.listed.take();
            }
            return Err(CloseReason::Duplicate);
        }
        self.admit_address(now, new, room)?;
        let open = self.peers.values().filter(|peer| peer.closing.is_none());
        let open = open.count();
        match room {
            Room::Free if open < self.dialing.max_connections => Ok(()),
            // It takes the place of a useless one, or of one further off.
            Room::Slack | Room::Crowded | Room::Free
                if new.meta.incoming
                    && (self.make_room(now, |_| true) || self.displace_for(new)) =>
            {
                Ok(())
            }
            Room::Slack | Room::Crowded
                if new.meta.incoming && open < self.dialing.max_connections =>
            {
                Ok(())
            }
            // The game has named it.
            Room::Crowded
                if self.dialing.redials.contains(new.meta.endpoint)
                    && open < self.dialing.max_connections =>
            {
                Ok(())
            }
            _ => Err(CloseReason::TooMany),
        }
    }

    /// Whether there may be one more connection with an address. One on which
    /// nothing has been wanted for long is closed for a peer that called.
    fn admit_address(&mut self, now: Instant, new: &Peer, room: Room) -> Result<(), CloseReason> {
        let ip = new.meta.endpoint.ip();
        let (unit, max) = (ban_unit(ip), max_per_address(&self.settings));
        let several = self.settings.allow_multiple_connections_per_ip;
        let alike = |peer: &Peer| match several {
            true => ban_unit(peer.meta.endpoint.ip()) == unit,
            false => peer.meta.endpoint.ip() == ip,
        };
        let open = self.peers.values().filter(|peer| peer.closing.is_none());
        let full = room == Room::Crowded || open.filter(|peer| alike(peer)).count() >= max;
        match (full, new.meta.incoming) {
            (false, _) => Ok(()),
            (true, true) if !several => Err(CloseReason::Duplicate),
            (true, true) if self.make_room(now, alike) => Ok(()),
            // The list has counted it when it was dialled.
            (true, false) if room != Room::Crowded => Ok(()),
            (true, false) if self.dialing.redials.contains(new.meta.endpoint) => Ok(()),
            (true, _) => Err(CloseReason::Crowded),
        }
    }

    /// An outgoing connection could not be made.
    pub fn connect_failed(&mut self, now: Instant, endpoint: SocketAddr) {
        self.dialing.failed(now, endpoint);
    }

    /// A dial has shown whether a peer can be reached over uTP.
    pub fn note_utp(&mut self, endpoint: SocketAddr, support: UtpSupport) {
        self.dialing.list.note_utp(endpoint, support);
    }

    /// A peer that was dialled has answered a kind of handshake.
    pub fn note_handshake(&mut self, endpoint: SocketAddr, kind: HandshakeKind) {
        self.dialing.list.note_handshake(endpoint, kind);
    }

    /// A connection is closed; `last` is what it still had to say.
    pub fn peer_disconnected(
        &mut self,
        now: Instant,
        key: PeerKey,
        last: ConnectionReport,
        failed: bool,
    ) {
        self.peer_report(now, key, last);
        let Some(peer) = self.peers.remove(&key) else {
            return;
        };
        self.smart_ban.left(key, peer.meta.endpoint.ip());
        self.note_left(now, &peer);
        self.starved.remove(key);
        self.pieces.picker.set_download_rate(key, 0);
        self.forget_source(key);
        if peer.is_seed() {
            self.pieces.picker.peer_seed_left();
        } else {
            self.pieces.picker.peer_left(peer.pieces());
        }
        for block in peer.download.leased() {
            self.pieces.picker.returned(key, block);
        }
        if let Some(endpoint) = peer.listed {
            if failed {
                self.dialing.list.failed(now, endpoint);
            } else {
                self.dialing.list.closed(now, endpoint);
            }
            self.call_ended(now, endpoint, &peer);
        }
        let blameless = matches!(
            peer.closing,
            Some(CloseReason::Stopped | CloseReason::Asleep)
        );
        if self.is_running()
            && (blameless || peer.upload_only_sent && !self.activity.upload_only_sent())
        {
            // Running again, or in want of something again, before the
            // connection was gone.
            self.forgive_all();
        }
        self.top_up_starved(now);
        self.choking.changed();
        self.close_finished();
    }

    /// An empty report for a connection whose task is lost: its totals stay.
    pub fn last_report(&self, key: PeerKey) -> ConnectionReport {
        let stats = self.peers.get(&key).map(|peer| peer.traffic.stats);
        ConnectionReport {
            stats: stats.unwrap_or_default(),
            ..ConnectionReport::default()
        }
    }

    /// Closes a connection: it is a peer no longer, though it may still report.
    pub(super) fn close(&mut self, key: PeerKey, reason: CloseReason) {
        if let Some(peer) = self.peers.get_mut(&key)
            && peer.closing.is_none()
        {
            peer.closing = Some(reason);
            self.starved.remove(key);
            self.command(key, PeerCommand::Close(reason));
        }
    }

    pub(super) fn close_all(&mut self, reason: CloseReason) {
        let all: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in all {
            self.close(key, reason);
        }
    }

    /// Closes connections on which neither side needs anything.
    pub(super) fn drop_redundant(&mut self) {
        // In share mode seeds are where the next piece comes from.
        let sharing = self.activity.modes.share_mode && !self.pieces.picker.is_seed();
        if !self.settings.close_redundant_connections || !self.has_metadata() || sharing {
            return;
        }
        let finished = self.is_finished();
        // One that wants nothing and has nothing for us will not change.
        let redundant = |peer: &Peer| {
            let gives_nothing = finished || (peer.announced && peer.download.interesting == 0);
            gives_nothing && (peer.is_seed() && finished || peer.upload_only)
        };
        let redundant: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, peer)| redundant(peer))
            .map(|(&key, _)| key)
            .collect();
        for key in redundant {
            self.close(key, CloseReason::Redundant);
        }
    }

    pub(super) fn connect_more(&mut self, now: Instant) {
        let seeding = self.is_finished();
        if !(self.settings.enable_outgoing_tcp || self.settings.enable_outgoing_utp)
            || (seeding && !self.settings.seeding_outgoing_connections)
        {
            return;
        }
        let share = self.activity.modes.share_mode && !self.pieces.picker.is_seed();
        self.dialing.list.set_finished(seeding && !share);
        for _ in 0..self.dialing.burst(&self.settings) {
            let Some((endpoint, haste)) = self.dialing.next(now, self.peers.len()) else {
                break;
            };
            self.outputs.push_back(Output::Connect { endpoint, haste });
        }
    }
}
