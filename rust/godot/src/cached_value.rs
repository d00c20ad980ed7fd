//! What a getter converted last, for as long as its source stays the same: a
//! copy of an Array or Dictionary costs Godot far less than to build it anew.

use crate::threads::SharedField;

/// A value for scripts, and what it was made from.
#[derive(Debug)]
pub(crate) struct CachedValue<S, V>(SharedField<Option<(S, V)>>);

impl<S, V> Default for CachedValue<S, V> {
    fn default() -> Self {
        Self(SharedField::new(None))
    }
}

impl<S, V: Clone> CachedValue<S, V> {
    /// The value for `source`, converted only if it is not the `same` as before. Scripts
    /// may change what they are given: give them a copy.
    pub(crate) fn get(
        &self,
        source: S,
        same: impl FnOnce(&S, &S) -> bool,
        convert: impl FnOnce(&S) -> V,
    ) -> V {
        if let Some((known, value)) = &*self.0.lock()
            && same(known, &source)
        {
            return value.clone();
        }
        // Unlocked, as it takes its time. Threads that do it at once do it twice.
        let value = convert(&source);
        self.0.replace(Some((source, value.clone())));
        value
    }
}
