//! The callables that are subscribed to alerts.

use godot::builtin::VarDictionary;
use godot::meta::ToGodot;
use godot::obj::Gd;

use super::AlertManager;
use crate::reference_cycles;

impl AlertManager {
    /// How many callables there are here that can hold the session, if nothing but
    /// that holds the manager.
    pub(crate) fn holders(this: &Gd<Self>) -> usize {
        match Self::is_of_one_session(this) {
            true => reference_cycles::holders(this).len() + this.bind().subscribers.lock().len(),
            false => 0,
        }
    }

    /// Disconnects them.
    pub(crate) fn release(this: &Gd<Self>) {
        if Self::is_of_one_session(this) {
            reference_cycles::release(this);
            let subscribers = this.bind().subscribers.take();
            drop(subscribers);
        }
    }

    /// Whether the session and the one that calls are all that hold it.
    pub(super) fn is_of_one_session(this: &Gd<Self>) -> bool {
        this.get_reference_count() == 2
    }

    /// Passes an alert on to all subscribers.
    pub(crate) fn announce(this: &Gd<Self>, name: &str, alert: &VarDictionary) {
        this.signals().alert_posted().emit(alert);
        let (gone, calls): (Vec<_>, Vec<_>) = {
            let manager = this.bind();
            let mut subscribers = manager.subscribers.lock();
            let gone = subscribers.extract_if(.., |(_, callable)| !callable.is_valid());
            let gone = gone.collect();
            let wanted = subscribers.iter().filter(|(wanted, _)| *wanted == name);
            (gone, wanted.map(|(_, callable)| callable.clone()).collect())
        };
        // Freed with nothing borrowed: what a callable held may call us then.
        drop(gone);
        for callable in calls {
            // One subscriber may have freed the next one.
            if callable.is_valid() {
                callable.call(&[alert.to_variant()]);
            }
        }
    }
}
