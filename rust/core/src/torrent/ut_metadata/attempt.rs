//! One attempt at the info dict: the pieces that came, and what is still to be
//! asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::ext::METADATA_PIECE;
use crate::ids::PeerKey;

/// A piece that came.
#[derive(Clone, Debug)]
struct Received {
    data: Bytes,
    sender: PeerKey,
    /// The sender's address, which may have left since.
    ip: IpAddr,
}

/// The info dict as some peers, or one alone, say it is. What it holds grows
/// with what came, whatever the size that is claimed.
#[derive(Debug)]
pub(super) struct Attempt {
    size: u32,
    pieces: BTreeMap<u32, Received>,
    /// Bytes of these pieces, by the addresses that sent them.
    held: BTreeMap<IpAddr, u64>,
    /// Pieces before this one have been asked for.
    next: u32,
    /// Pieces whose requests came to nothing.
    returned: BTreeSet<u32>,
    /// Since when its peers are asked, if they are.
    pub(super) active: Option<Instant>,
    /// Times that it made room for another.
    pub(super) times_parked: u32,
}

impl Attempt {
    pub(super) fn new(size: u32) -> Self {
        Self {
            size,
            pieces: BTreeMap::new(),
            held: BTreeMap::new(),
            next: 0,
            returned: BTreeSet::new(),
            active: None,
            times_parked: 0,
        }
    }

    /// Makes room for another, if its peers were asked.
    pub(super) fn park(&mut self) {
        if self.active.take().is_some() {
            self.times_parked = self.times_parked.saturating_add(1);
        }
    }

    fn num_pieces(&self) -> u32 {
        self.size.div_ceil(METADATA_PIECE)
    }

    /// Bytes in a piece; 0 when there is no such piece.
    pub(super) fn piece_len(&self, piece: u32) -> usize {
        let from = piece.saturating_mul(METADATA_PIECE);
        self.size.saturating_sub(from).min(METADATA_PIECE) as usize
    }

    /// Bytes held.
    pub(super) fn held(&self) -> u64 {
        self.held.values().sum()
    }

    /// Bytes held, for each address that sent some.
    pub(super) fn held_by(&self) -> impl Iterator<Item = (IpAddr, u64)> + '_ {
        self.held.iter().map(|(&ip, &bytes)| (ip, bytes))
    }

    /// Bytes held that came from an address.
    pub(super) fn held_of(&self, ip: IpAddr) -> u64 {
        self.held.get(&ip).copied().unwrap_or(0)
    }

    pub(super) fn has(&self, piece: u32) -> bool {
        self.pieces.contains_key(&piece)
    }

    pub(super) fn add(&mut self, piece: u32, data: Bytes, sender: PeerKey, ip: IpAddr) {
        if !self.has(piece) {
            *self.held.entry(ip).or_default() += data.len() as u64;
            self.pieces.insert(piece, Received { data, sender, ip });
        }
        self.returned.remove(&piece);
    }

    /// A request for the piece came to nothing.
    pub(super) fn give_back(&mut self, piece: u32) {
        if piece < self.next && !self.has(piece) {
            self.returned.insert(piece);
        }
    }

    /// The next piece that no request is under way for, among those that
    /// `asked` does not name.
    pub(super) fn take(&mut self, asked: impl Fn(u32) -> bool) -> Option<u32> {
        if let Some(&piece) = self.returned.iter().find(|&&piece| !asked(piece)) {
            self.returned.remove(&piece);
            return Some(piece);
        }
        while self.next < self.num_pieces() {
            let piece = self.next;
            self.next += 1;
            if !self.has(piece) && !asked(piece) {
                return Some(piece);
            }
        }
        None
    }

    /// Drops what came from an address, to be asked for again.
    pub(super) fn drop_from(&mut self, ip: IpAddr) {
        let dropped = self.pieces.extract_if(.., |_, it| it.ip == ip);
        self.returned.extend(dropped.map(|(piece, _)| piece));
        self.held.remove(&ip);
    }

    /// The part that came from one peer, as an attempt with that peer alone.
    pub(super) fn part_of(&self, sender: PeerKey) -> Self {
        let mut part = Self::new(self.size);
        for (&piece, it) in self.pieces.iter().filter(|(_, it)| it.sender == sender) {
            part.add(piece, it.data.clone(), it.sender, it.ip);
        }
        part
    }

    /// Everything, with its senders, once every piece is there.
    pub(super) fn whole(&self) -> Option<(Vec<u8>, BTreeSet<PeerKey>)> {
        if self.pieces.len() < self.num_pieces() as usize {
            return None;
        }
        let mut whole = Vec::with_capacity(self.size as usize);
        let mut senders = BTreeSet::new();
        for Received { data, sender, .. } in self.pieces.values() {
            whole.extend_from_slice(data);
            senders.insert(*sender);
        }
        Some((whole, senders))
    }
}
