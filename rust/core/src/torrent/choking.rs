//! The torrent's part in choking: it reports to the session's choker how its peers
//! stand, and carries out what that decides.

use std::time::Instant;

use super::{PeerCommand, Torrent};
use crate::choker::{Changes, Standing};
use crate::ids::PeerKey;

/// What is known of the session's choker.
#[derive(Debug, Default)]
pub(super) struct Choking {
    /// `None` for the session's limit.
    max_uploads: Option<u32>,
    /// The number of the last decision that was carried out.
    applied: u64,
    /// There is something to report to the choker.
    news: bool,
    /// It is time to look whether there is anything to report.
    look: bool,
    /// The choker knows of a peer.
    reported: bool,
}

impl Choking {
    /// A peer came, went, or changed its interest.
    pub(super) fn changed(&mut self) {
        self.news = true;
    }

    /// Whether there is something that the choker does not know yet.
    pub(super) fn has_news(&self) -> bool {
        self.news
    }

    /// Time has passed: rates are others now.
    pub(super) fn look_again(&mut self) {
        self.look = true;
    }

    /// Limits the unchoked peers; negative for the session's limit.
    pub(super) fn set_max_uploads(&mut self, max_uploads: i64) {
        self.max_uploads = u32::try_from(max_uploads).ok();
        self.news = true;
    }
}

impl Torrent {
    /// How the peers stand, when the session's choker has to know of it: then
    /// hand it to `Choker::update`, or call [`Self::standing_undelivered`].
    pub fn take_standing(&mut self, now: Instant) -> Option<Standing> {
        let choking = &mut self.choking;
        let news = std::mem::take(&mut choking.news);
        let look = std::mem::take(&mut choking.look);
        if (!news && !look) || !self.has_metadata() {
            return None;
        }
        let candidates: Vec<_> = self
            .peers
            .iter_mut()
            .filter(|(_, peer)| peer.closing.is_none() && !self.activity.is_pausing_gracefully())
            .map(|(&key, peer)| peer.candidate(key, now))
            .filter(|candidate| candidate.interested || candidate.unchoked)
            .collect();
        let reported = std::mem::replace(&mut self.choking.reported, !candidates.is_empty());
        if !reported && candidates.is_empty() {
            return None;
        }
        Some(Standing {
            applied: self.choking.applied,
            seeding: self.pieces.picker.is_finished(),
            max_uploads: self.choking.max_uploads,
            piece_length: self.pieces.layout.piece_length(),
            candidates,
        })
    }

    /// The choker could not take the standing now: it has to come again.
    pub fn standing_undelivered(&mut self) {
        self.choking.changed();
        self.choking.reported = true;
    }

    /// Carries out a decision of the session's choker.
    pub fn apply_choking(&mut self, now: Instant, changes: &Changes) {
        self.choking.applied = self.choking.applied.max(changes.number);
        self.choking.news = true;
        self.choke(now, &changes.choke, true);
        if self.activity.is_pausing_gracefully() {
            return;
        }
        self.choke(now, &changes.unchoke, false);
        for (key, peer) in &mut self.peers {
            peer.upload.optimistic = changes.optimistic.contains(key);
        }
    }

    pub(super) fn choke(&mut self, now: Instant, keys: &[PeerKey], choked: bool) {
        for &key in keys {
            if let Some(peer) = self.peers.get_mut(&key)
                && peer.closing.is_none()
                && peer.upload.choked_by_us != choked
            {
                peer.set_choked(now, choked);
                self.command(key, PeerCommand::Choke(choked));
                if !choked {
                    self.suggest(key);
                }
            }
        }
    }
}
