//! The GDExtension: Godot classes over `torrent-engine`.
//!
//! Nothing is decided here. A `#[func]` converts its arguments, calls one
//! method of an engine handle and converts the result. Each class has a file
//! of its own; `convert` turns values into variants and back, `paths` knows
//! what a path of a game stands for, `torrent_session::dispatch` turns events
//! into signals and alerts, `last_error` turns errors into what a game sees,
//! `live_sessions` ends every session before the library is unloaded.
//!
//! All methods take `&self` (with locks for what changes) or the object as a
//! whole (`gd_self`) where signals are emitted: printing an error can call a
//! script's own logger, and that may call straight back into the object, which
//! must not find it borrowed.

mod add_params;
mod alert_manager;
mod cached_value;
mod convert;
mod country_resolver;
mod creation;
mod frame_budget;
mod frame_poll;
#[cfg(all(test, feature = "docs"))]
mod help;
mod key_cache;
mod last_error;
mod live_objects;
mod live_sessions;
mod monitors;
mod paths;
mod peer_info;
mod reference_cycles;
mod signal_queue;
mod snapshot;
mod threads;
mod torrent_creator;
mod torrent_error;
mod torrent_handle;
mod torrent_info;
mod torrent_logger;
mod torrent_session;
mod torrent_status;
mod waits;

/// The library's only entry point, which is what the macro asks to be sure of.
#[allow(unsafe_code)]
mod entry {
    use godot::init::{ExtensionLibrary, InitStage, gdextension};

    struct GodotTorrent;

    #[gdextension]
    unsafe impl ExtensionLibrary for GodotTorrent {
        fn on_stage_init(stage: InitStage) {
            if stage == InitStage::Scene {
                torrent_engine::threads::give_way();
            }
        }

        fn on_stage_deinit(stage: InitStage) {
            // The classes go with this stage, and the code may be unloaded
            // soon after: no thread of ours may run it then.
            if stage == InitStage::Scene {
                crate::threads::catch_up();
                crate::waits::end();
                crate::monitors::remove();
                crate::country_resolver::forget();
                crate::live_sessions::end_all();
                crate::live_objects::keep_all(crate::torrent_creator::end);
                crate::key_cache::forget();
                crate::frame_poll::forget();
                // What has not ended by now hangs, and goes on running our code.
                torrent_engine::threads::keep_library();
            }
        }
    }
}
