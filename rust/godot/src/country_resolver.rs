//! The game's callable that knows the country of an address.
//!
//! Godot ends its scripts before its extensions. A callable of a script that is
//! given back after that is freed together with what no longer exists, and the
//! game crashes at its end. So it goes when the main loop does, which is before
//! the scripts: metadata of the main loop frees it.

use godot::builtin::{Callable, StringName, Variant};
use godot::classes::{Engine, MainLoop};
use godot::meta::ToGodot;
use godot::obj::{Gd, Singleton};

use crate::threads::{self, Movable, SharedField};

/// The metadata of the main loop that frees the callable.
const NAME: &str = "_torrent_country_resolver";

static RESOLVER: SharedField<Option<Movable<Callable>>> = SharedField::new(None);

/// Part of the metadata, and freed with it.
struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        RESOLVER.take();
    }
}

fn main_loop() -> Option<Gd<MainLoop>> {
    Engine::singleton().get_main_loop()
}

/// What the game has set.
pub(crate) fn get() -> Option<Callable> {
    RESOLVER
        .lock()
        .as_ref()
        .map(|resolver| resolver.get().clone())
}

/// Sets it, or ends it.
pub(crate) fn set(resolver: Option<Callable>) {
    let is_set = resolver.is_some();
    RESOLVER.replace(resolver.map(Movable::new));
    if !is_set {
        return;
    }
    match main_loop() {
        Some(_) => threads::on_main(watch_main_loop),
        // From the script of the main loop itself, which is being made.
        None => threads::before_next_frame(watch_main_loop),
    }
}

/// Has the callable freed with the main loop.
fn watch_main_loop() {
    let Some(mut main_loop) = main_loop() else {
        return;
    };
    if !main_loop.has_meta(&StringName::from(NAME)) {
        let sentinel = Sentinel;
        let callable = Callable::from_sync_fn(NAME, move |_: &[&Variant]| {
            let _ = &sentinel;
        });
        main_loop.set_meta(NAME, &callable.to_variant());
    }
}

/// Gives it up before the library goes.
pub(crate) fn forget() {
    match main_loop() {
        Some(mut main_loop) => {
            main_loop.remove_meta(NAME);
            RESOLVER.take();
        }
        // There are no scripts any more: too late to free something of theirs.
        None => std::mem::forget(RESOLVER.take()),
    }
}
