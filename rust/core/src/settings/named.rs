//! Which settings were set by name.

use std::collections::BTreeSet;

/// The settings that [`Settings::apply`](super::Settings::apply) has set since
/// the beginning, whatever their values: what a caller names goes before what
/// is remembered, also where it names the default. libtorrent's `settings_pack`
/// stores its values alike.
#[derive(Clone, Debug, Default)]
pub struct Named(BTreeSet<&'static str>);

impl Named {
    /// Whether this setting of the table is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Adds a setting of the table.
    pub fn insert(&mut self, name: &'static str) {
        self.0.insert(name);
    }

    /// Adds those of another set.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }
}

/// Settings are equal when their values are, however they were named.
impl PartialEq for Named {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
