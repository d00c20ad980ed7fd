//! Connections that keep objects alive which nothing else holds.
//!
//! A lambda holds what it uses, a bound callable its arguments, and a function
//! that awaits all its variables. Connected to a signal of what they hold, they
//! keep it from being freed. So they are disconnected when the game has let go of
//! an object that emits nothing any more: the handle of a torrent that is gone, or
//! a session that was stopped. As long as the game holds a session, it can be
//! started again with all that is connected to it. A method of an object,
//! connected by its name, holds nothing.

use godot::builtin::{Callable, StringName};
use godot::classes::{Object, RefCounted};
use godot::obj::{Gd, Inherits};

/// What is connected to an object's signals and can hold it.
pub(crate) fn holders<T: Inherits<RefCounted> + Inherits<Object>>(
    object: &Gd<T>,
) -> Vec<(StringName, Callable)> {
    let object = object.clone().upcast::<Object>();
    let mut found = Vec::new();
    for signal in object.get_signal_list().iter_shared() {
        let name = signal
            .get("name")
            .and_then(|name| name.try_to_relaxed().ok());
        let name: StringName = name.unwrap_or_default();
        for connection in object.get_signal_connection_list(&name).iter_shared() {
            let callable = connection.get("callable");
            let callable: Option<Callable> = callable.and_then(|it| it.try_to().ok());
            // Lambdas and bound callables are custom ones.
            found.extend(
                callable
                    .filter(Callable::is_custom)
                    .map(|callable| (name.clone(), callable)),
            );
        }
    }
    found
}

/// Disconnects what can hold an object. Main thread only, with nothing locked:
/// what goes with a callable may call us.
pub(crate) fn release<T: Inherits<RefCounted> + Inherits<Object>>(object: &Gd<T>) {
    let mut emitter = object.clone().upcast::<Object>();
    for (name, callable) in holders(object) {
        // What went with an earlier one may have been connected as well.
        if emitter.is_connected(&name, &callable) {
            emitter.disconnect(&name, &callable);
        }
    }
}

/// The handle of a torrent that is gone.
#[derive(Debug)]
pub(crate) struct Dead<T: Inherits<RefCounted> + Inherits<Object>> {
    object: Gd<T>,
    hold: ReferenceHold,
}

impl<T: Inherits<RefCounted> + Inherits<Object>> Dead<T> {
    pub(crate) fn new(object: Gd<T>) -> Self {
        let hold = ReferenceHold::at_most(i32::MAX);
        Self { object, hold }
    }

    /// Whether only its handlers hold it, which are disconnected then.
    /// Main thread only, with nothing locked.
    pub(crate) fn is_over(&mut self) -> bool {
        let references = self
            .object
            .clone()
            .upcast::<RefCounted>()
            .get_reference_count()
            - 2;
        let holders = || holders(&self.object).len();
        let is_over = self.hold.is_let_go(references, holders);
        if is_over {
            release(&self.object);
        }
        is_over
    }
}

/// Whether the game has let go of an object.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReferenceHold {
    /// The fewest references of all looks; `None` before the first one. Not the
    /// last number: a reference that comes and goes is not the game's last one.
    fewest: Option<i32>,
}

impl ReferenceHold {
    /// Of an object that can be let go of with the first look.
    fn at_most(references: i32) -> Self {
        let fewest = Some(references);
        Self { fewest }
    }

    /// Whether there are fewer references than there ever were in a look, and
    /// `holders` can be those that are left. The first look only counts.
    pub(crate) fn is_let_go(&mut self, references: i32, holders: impl FnOnce() -> usize) -> bool {
        let before = self.fewest.unwrap_or(references);
        self.fewest = Some(references.min(before));
        references < before && usize::try_from(references).is_ok_and(|left| left <= holders())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_let_go_when_only_its_handlers_are_left() {
        let mut hold = ReferenceHold::default();
        assert!(!hold.is_let_go(3, || 3), "the first look");
        assert!(!hold.is_let_go(3, || 3), "nobody has let go");
        assert!(!hold.is_let_go(2, || 1), "somebody still holds it");
        assert!(hold.is_let_go(1, || 1));
        assert!(!hold.is_let_go(2, || 2), "one more");
    }

    #[test]
    fn a_reference_that_comes_and_goes_is_not_the_last_one() {
        let mut hold = ReferenceHold::default();
        for references in [1, 3, 2, 1] {
            assert!(!hold.is_let_go(references, || 5));
        }
        assert!(hold.is_let_go(0, || 5));
    }
}
