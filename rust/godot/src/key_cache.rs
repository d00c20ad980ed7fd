//! The names of dictionaries' keys, made once: to make a Godot string costs
//! more than all else about an entry, and the same few hundred names come in
//! every dictionary of settings, statistics and alerts.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use godot::builtin::{GString, Variant};
use godot::meta::ToGodot;

use crate::threads;

thread_local! {
    /// By address and length: a name that is part of the code never changes. The main
    /// thread's alone: what another thread kept would be freed with that, and that may be
    /// after the library.
    static KNOWN: RefCell<HashMap<(usize, usize), Variant>> = RefCell::default();
}

/// A name as the key of a Dictionary.
// A plain `&str` would not distinguish what stays from what goes.
#[allow(clippy::ptr_arg)]
pub(crate) fn key(name: &Cow<'static, str>) -> Variant {
    let make = |name: &str| GString::from(name).to_variant();
    match name {
        Cow::Borrowed(name) if threads::is_main() => KNOWN.with_borrow_mut(|known| {
            let place = (name.as_ptr().addr(), name.len());
            known.entry(place).or_insert_with(|| make(name)).clone()
        }),
        name => make(name),
    }
}

/// Forgets all of them, which must be while Godot is still there.
pub(crate) fn forget() {
    KNOWN.take();
}
