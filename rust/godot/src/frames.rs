//! How objects get their turn once a frame.

use godot::builtin::{Callable, Variant};
use godot::classes::{Engine, MainLoop, RefCounted, SceneTree};
use godot::obj::{Gd, GodotClass, Inherits, Singleton};

/// Calls the object's `poll` each process frame from now on. The connection
/// knows the object by its id alone and ends with it, so that an object nobody
/// holds is freed. Under another main loop than a SceneTree the game calls
/// `poll` itself.
pub(crate) fn follow<T>(object: &Gd<T>)
where
    T: GodotClass + Inherits<RefCounted>,
{
    match main_loop() {
        Some(main_loop) => connect(object, main_loop),
        // The main loop's own script calls, from its `_init`: there is one
        // before the first frame.
        None => {
            let id = object.instance_id();
            let later = move |_: &[&Variant]| {
                if let (Ok(object), Some(main_loop)) =
                    (Gd::<T>::try_from_instance_id(id), main_loop())
                {
                    connect(&object, main_loop);
                }
            };
            Callable::from_sync_fn("follow", later).call_deferred(&[]);
        }
    }
}

fn main_loop() -> Option<Gd<MainLoop>> {
    Engine::singleton().get_main_loop()
}

fn connect<T>(object: &Gd<T>, main_loop: Gd<MainLoop>)
where
    T: GodotClass + Inherits<RefCounted>,
{
    let Ok(mut tree) = main_loop.try_cast::<SceneTree>() else {
        return;
    };
    let poll = Callable::from_object_method(object, "poll");
    if !tree.is_connected("process_frame", &poll) {
        tree.connect("process_frame", &poll);
    }
}
