//! What a getter converted last, for as long as its source stays the same: a
//! copy of an Array or Dictionary costs Godot far less than to build it anew.

use std::cell::RefCell;

/// A value for scripts, and what it was made from.
#[derive(Debug)]
pub(crate) struct Kept<S, V>(RefCell<Option<(S, V)>>);

impl<S, V> Default for Kept<S, V> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<S, V: Clone> Kept<S, V> {
    /// The value for `source`, converted only if it is not the `same` as before. Scripts
    /// may change what they are given: give them a copy.
    pub(crate) fn get(
        &self,
        source: S,
        same: impl FnOnce(&S, &S) -> bool,
        convert: impl FnOnce(&S) -> V,
    ) -> V {
        let mut kept = self.0.borrow_mut();
        match &*kept {
            Some((known, value)) if same(known, &source) => value.clone(),
            _ => {
                let value = convert(&source);
                *kept = Some((source, value.clone()));
                value
            }
        }
    }
}
