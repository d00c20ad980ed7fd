//! Calls objects once a frame.
//!
//! An object is known by a weak reference alone, so that one that is not referenced is
//! freed. Not as the object of a connected `Callable`, which holds no
//! reference while it calls: another thread may drop the last one just then.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use godot::builtin::{Callable, Variant};
use godot::classes::{Engine, RefCounted, SceneTree, WeakRef};
use godot::global::weakref;
use godot::meta::ToGodot;
use godot::obj::{Bounds, Gd, GodotClass, Inherits, InstanceId, Singleton, bounds};

use crate::live_objects::{self, Alive, ObjectSlot};
use crate::threads;

/// An object that is called each frame.
pub(crate) trait Polled:
    GodotClass + Inherits<RefCounted> + Bounds<Declarer = bounds::DeclUser>
{
    /// Its place among those that are alive.
    fn alive(&self) -> &Alive;
    /// Called each frame. `this` may be the last reference.
    fn on_frame(this: Gd<Self>);
}

struct Follower {
    place: ObjectSlot,
    weak: Gd<WeakRef>,
    /// Takes the object, so that nothing else holds it meanwhile.
    on_frame: fn(Variant),
}

// The main thread's alone.
thread_local! {
    static FOLLOWERS: RefCell<Vec<Follower>> = const { RefCell::new(Vec::new()) };
    /// The tree whose frames are followed.
    static TREE: Cell<Option<InstanceId>> = const { Cell::new(None) };
}

/// Calls the object each process frame from now on, as long as it
/// lives. Under another main loop than a SceneTree the game calls `poll` itself.
pub(crate) fn follow<T: Polled>(object: &Gd<T>) {
    let place = object.bind().alive().place();
    let is_known = FOLLOWERS.with_borrow(|all| all.iter().any(|known| known.place == place));
    if is_known {
        return;
    }
    let follower = Follower {
        place,
        weak: weakref(&object.to_variant()).to(),
        on_frame: |object| {
            let found = object.try_to::<Gd<T>>();
            drop(object);
            if let Ok(object) = found {
                T::on_frame(object);
            }
        },
    };
    FOLLOWERS.with_borrow_mut(|all| all.push(follower));
    if !connect() {
        // The main loop's own script calls, from its `_init`: there is one
        // before the first frame.
        threads::before_next_frame(|| {
            connect();
        });
    }
}

/// Whether there is a tree whose frames are followed.
pub(crate) fn are_followed() -> bool {
    TREE.get().is_some()
}

/// Follows the frames of the tree; false when there is no main loop yet.
fn connect() -> bool {
    let Some(main_loop) = Engine::singleton().get_main_loop() else {
        return false;
    };
    if TREE.get() != Some(main_loop.instance_id())
        && let Ok(mut tree) = main_loop.try_cast::<SceneTree>()
    {
        TREE.set(Some(tree.instance_id()));
        let all = Callable::from_sync_fn("torrents", |_: &[&Variant]| poll_all());
        tree.connect("process_frame", &all);
    }
    true
}

/// Calls every object. Each may call anything, [`follow`] too.
fn poll_all() {
    let mut followers = FOLLOWERS.take();
    followers.retain(|follower| {
        let object = live_objects::upgrade(follower.place, &follower.weak);
        let is_alive = !object.is_nil();
        if is_alive {
            // A panic in one is printed, and the others are called all the same.
            let _ = catch_unwind(AssertUnwindSafe(|| (follower.on_frame)(object)));
        }
        is_alive
    });
    FOLLOWERS.with_borrow_mut(|all| {
        all.retain(|new| followers.iter().all(|known| known.place != new.place));
        all.append(&mut followers);
    });
}

/// Forgets all of them, which must be while Godot is still there.
pub(crate) fn forget() {
    FOLLOWERS.take();
    TREE.set(None);
}
