//! Listen sockets that were opened before the session's task runs, and the
//! settings that they belong to.

use torrent_core::settings::Settings;

use crate::net::listen::{ListenSocket, Listening};
use crate::net::udp::BoundUdp;

/// Listen sockets, and the settings that they were opened by: those of the
/// session may have changed since.
pub(crate) struct Bound {
    pub(super) sockets: Vec<ListenSocket>,
    pub(super) udp: Vec<BoundUdp>,
    pub(super) settings: ListenSettings,
}

impl Bound {
    pub(crate) fn new(listening: Listening, settings: &Settings) -> Self {
        Self {
            sockets: listening.sockets,
            udp: listening.udp,
            settings: settings_of_listening(settings),
        }
    }
}

/// The settings that decide where we listen.
pub(super) type ListenSettings = (String, i64, bool);

pub(super) fn settings_of_listening(settings: &Settings) -> ListenSettings {
    (
        settings.listen_interfaces.clone(),
        settings.max_retry_port_bind,
        settings.listen_system_port_fallback,
    )
}
