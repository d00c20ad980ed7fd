//! Takes the engine's `tracing` events to the loggers.

use std::fmt::Write as _;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use super::{Category, Level, loudest, publish};

/// The engine's crates, and so not those that it is built from.
const OURS: &str = "torrent_";

/// Modules and what they are about; the first that fits counts.
const MODULES: &[(&str, Category)] = &[
    ("alert", Category::Alert),
    ("tracker", Category::Tracker),
    ("disk", Category::Storage),
    ("state_dir", Category::Storage),
    ("peer", Category::Peer),
    ("net", Category::Peer),
    ("torrent", Category::Torrent),
    ("dht", Category::Dht),
    ("portmap", Category::PortMapping),
    ("performance", Category::Performance),
];

/// Makes the engine's events reach the loggers, once for the process. Does
/// nothing where the program has a subscriber of its own.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Then the program has a subscriber of its own.
        let _ = tracing::subscriber::set_global_default(ToLoggers);
    });
}

/// A logger listens to more or to less than before.
pub(super) fn levels_changed() {
    tracing::callsite::rebuild_interest_cache();
}

struct ToLoggers;

impl Subscriber for ToLoggers {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Kept until `levels_changed`: an event that no logger wants costs a load.
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match loudest() {
            Level::None => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warning => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        })
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.is_span() && metadata.target().starts_with(OURS) && level(metadata) <= loudest()
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        publish(level(metadata), category(metadata.target()), &|| {
            let mut text = Text::default();
            event.record(&mut text);
            text.message + &text.fields
        });
    }

    // Spans are not used here.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn level(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

/// What a module, `torrent_engine::disk::worker` say, is about.
fn category(target: &str) -> Category {
    let modules = target.split("::").skip(1);
    let known = modules
        .filter_map(|module| MODULES.iter().find(|(name, _)| *name == module))
        .map(|(_, category)| *category);
    known.last().unwrap_or(Category::Session)
}

/// An event as text: its message, and its fields after it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
