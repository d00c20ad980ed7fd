//! The objects of a session's torrents: of those that are there, of those that
//! are being removed, and of those that are gone.

use std::collections::BTreeMap;

use godot::obj::Gd;
use torrent_core::ids::InfoHash;
use torrent_engine::event::TorrentRef;
use torrent_engine::torrent::handle::TorrentHandle as Torrent;

use crate::last_error::LastError;
use crate::reference_cycles::Dead;
use crate::threads::SharedField;
use crate::torrent_handle::TorrentHandle;

/// Each torrent's object, which is in one of the lists at a time. Objects are
/// dropped with nothing locked: what goes with them may call us.
#[derive(Default)]
pub(crate) struct TorrentObjects {
    present: SharedField<BTreeMap<InfoHash, Gd<TorrentHandle>>>,
    /// Objects of torrents that are being removed.
    leaving: SharedField<Vec<Gd<TorrentHandle>>>,
    /// Objects of torrents that are gone, until the game lets go of them.
    dead: SharedField<Vec<Dead<TorrentHandle>>>,
}

impl TorrentObjects {
    /// The object of a torrent; made with the first need, with `errors` for what
    /// fails.
    pub(super) fn of(&self, torrent: &Torrent, errors: &LastError) -> Gd<TorrentHandle> {
        let hash = torrent.info_hash();
        // Locked until it is known, so that two threads get the same one.
        let mut present = self.present.lock();
        let known = present.get(&hash).cloned();
        if let Some(object) = known.filter(|object| object.bind().is_of(torrent)) {
            return object;
        }
        let object = TorrentHandle::of(torrent.clone(), errors.clone());
        // One that was removed meanwhile is not kept any more.
        let before = torrent
            .is_valid()
            .then(|| present.insert(hash, object.clone()));
        drop(present);
        // Freed with nothing locked, like those of a session that stops.
        drop(before);
        object
    }

    /// The object of a torrent that has one.
    pub(crate) fn known(&self, hash: InfoHash) -> Option<Gd<TorrentHandle>> {
        self.present.lock().get(&hash).cloned()
    }

    /// A torrent is being removed; `object` is what the game has of it.
    pub(super) fn leave(&self, torrent: &Torrent, object: Gd<TorrentHandle>) {
        let known = self.present.lock().remove(&torrent.info_hash());
        self.leaving.lock().push(object);
        drop(known);
    }

    /// Takes the object of a torrent that has been removed.
    pub(crate) fn take_leaving(&self, torrent: &TorrentRef) -> Option<Gd<TorrentHandle>> {
        let mut leaving = self.leaving.lock();
        let at = leaving
            .iter()
            .position(|object| object.bind().key() == Some(torrent.key))?;
        Some(leaving.swap_remove(at))
    }

    /// Keeps the object of a torrent that is gone until the game lets go of it.
    pub(crate) fn bury(&self, object: Gd<TorrentHandle>) {
        self.dead.lock().push(Dead::new(object));
    }

    /// The session has stopped, and its torrents are gone with it.
    pub(super) fn bury_all(&self) {
        let objects = self.present.take();
        let dead = objects.into_values().map(Dead::new);
        self.dead.lock().extend(dead);
    }

    /// Lets go of those that are gone and that the game has let go of.
    pub(super) fn let_go_of_dead(&self) {
        // Out of the lock: what goes with them may call us.
        if !self.dead.lock().is_empty() {
            let mut dead = self.dead.take();
            dead.retain_mut(|dead| !dead.is_over());
            self.dead.lock().extend(dead);
        }
    }

    /// Takes all of them, with what the game has connected to them.
    pub(super) fn take(&self) -> Vec<Dead<TorrentHandle>> {
        let objects = self.present.take().into_values();
        let objects = objects.chain(self.leaving.take()).map(Dead::new);
        objects.chain(self.dead.take()).collect()
    }
}
