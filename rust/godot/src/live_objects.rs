//! The objects of this library's classes that are alive.
//!
//! A game may hold one where nothing frees it before the extension ends: in
//! metadata of a singleton, in a cycle of references, in a thread. Godot would
//! free it later, with a class that is no more and code that may be unloaded.
//! So what is left then is never freed: the process ends anyway.

use godot::builtin::Variant;
use godot::classes::{RefCounted, WeakRef};
use godot::obj::{Base, Gd, InstanceId};
use parking_lot::Mutex;

/// By slot; 0 where one is free.
struct ObjectSlots {
    ids: Vec<i64>,
    free: Vec<usize>,
}

static ALIVE: Mutex<ObjectSlots> = Mutex::new(ObjectSlots {
    ids: Vec::new(),
    free: Vec::new(),
});

/// Part of every object, as long as that lives.
#[derive(Debug)]
pub(crate) struct Alive(ObjectSlot);

/// Where an object is among those that are alive: its slot and its id.
pub(crate) type ObjectSlot = (usize, i64);

impl Alive {
    /// An object that is being made.
    pub(crate) fn new(base: &Base<RefCounted>) -> Self {
        let id = id_of(base);
        let mut alive = ALIVE.lock();
        let slot = alive.free.pop().unwrap_or(alive.ids.len());
        match alive.ids.get_mut(slot) {
            Some(free) => *free = id,
            None => alive.ids.push(id),
        }
        Self((slot, id))
    }
}

impl Alive {
    /// The object's place.
    pub(crate) fn place(&self) -> ObjectSlot {
        self.0
    }
}

/// The object of this place, if it is still alive; else nothing. Another thread
/// that is just freeing it waits for us.
pub(crate) fn upgrade((slot, id): ObjectSlot, weak: &Gd<WeakRef>) -> Variant {
    let alive = ALIVE.lock();
    match alive.ids.get(slot) {
        // Nothing either when its last reference is gone.
        Some(&there) if there == id => weak.get_ref(),
        _ => Variant::nil(),
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let mut alive = ALIVE.lock();
        let (slot, _) = self.0;
        alive.ids[slot] = 0;
        alive.free.push(slot);
    }
}

/// The object's id. A [`Base`] does not know it while the object is being made.
#[allow(unsafe_code)]
fn id_of(base: &Base<RefCounted>) -> i64 {
    // SAFETY: the object exists, Godot has just made it.
    unsafe { godot::sys::interface_fn!(object_get_instance_id)(base.obj_sys()) as i64 }
}

/// Ends with `end` what objects do in the background, and keeps Godot from freeing them.
pub(crate) fn keep_all(end: impl Fn(&Gd<RefCounted>)) {
    let ids = ALIVE.lock().ids.clone();
    for id in ids.into_iter().filter_map(InstanceId::try_from_i64) {
        let Ok(object) = Gd::<RefCounted>::try_from_instance_id(id) else {
            continue;
        };
        end(&object);
        // Godot reports to the class when the last but one reference goes, too.
        std::mem::forget(object.clone());
        std::mem::forget(object);
    }
}
