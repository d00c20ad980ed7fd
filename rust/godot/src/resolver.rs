//! The game's callable that knows the country of an address. Main thread only.
//!
//! Godot ends its scripts before its extensions. A callable of a script that is
//! given back after that is freed together with what no longer exists, and the
//! game crashes at its end. So it is kept where Godot gives it up in time: with
//! the main loop, which goes before the scripts do.

use std::cell::RefCell;

use godot::builtin::{Callable, StringName, Variant};
use godot::classes::{Engine, MainLoop};
use godot::meta::ToGodot;
use godot::obj::{Gd, Singleton};

/// The metadata of the main loop that is the callable.
const NAME: &str = "_torrent_country_resolver";

thread_local! {
    /// One that came before there was a main loop: from the script of that loop itself.
    static EARLY: RefCell<Option<Callable>> = const { RefCell::new(None) };
}

fn main_loop() -> Option<Gd<MainLoop>> {
    Engine::singleton().get_main_loop()
}

/// What the game has set.
pub(crate) fn get() -> Option<Callable> {
    let name = StringName::from(NAME);
    let kept = main_loop()
        .filter(|main_loop| main_loop.has_meta(&name))
        .and_then(|main_loop| main_loop.get_meta(&name).try_to().ok());
    kept.or_else(|| EARLY.with_borrow(Clone::clone))
}

/// Sets it, or ends it.
pub(crate) fn set(resolver: Option<Callable>) {
    // Freed with nothing borrowed: what it holds may be freed with it, and call us.
    let early = EARLY.take();
    match main_loop() {
        // Metadata that is null is none.
        Some(mut main_loop) => {
            let value = resolver.map_or_else(Variant::nil, |resolver| resolver.to_variant());
            main_loop.set_meta(NAME, &value);
        }
        None => {
            EARLY.set(resolver);
        }
    }
    drop(early);
}

/// Gives it up before the library goes.
pub(crate) fn forget() {
    if main_loop().is_some() {
        set(None);
    } else {
        // There are no scripts any more: too late to free something of theirs.
        std::mem::forget(EARLY.take());
    }
}
