//! How objects get their turn once a frame.

use godot::builtin::Callable;
use godot::classes::{Engine, RefCounted, SceneTree};
use godot::obj::{Gd, GodotClass, Inherits, Singleton};

/// Calls the object's `poll` each process frame from now on. The connection
/// knows the object by its id alone and ends with it, so that an object nobody
/// holds is freed. Under another main loop than a SceneTree the game calls
/// `poll` itself.
pub(crate) fn follow<T>(object: &Gd<T>)
where
    T: GodotClass + Inherits<RefCounted>,
{
    let main_loop = Engine::singleton().get_main_loop();
    let Some(mut tree) = main_loop.and_then(|main_loop| main_loop.try_cast::<SceneTree>().ok())
    else {
        return;
    };
    let poll = Callable::from_object_method(object, "poll");
    if !tree.is_connected("process_frame", &poll) {
        tree.connect("process_frame", &poll);
    }
}
