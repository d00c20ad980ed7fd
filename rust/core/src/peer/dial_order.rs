//! Which kinds of connection are tried with a peer.

use super::ConnectionKind;
use crate::peerlist::UtpSupport;
use crate::settings::Settings;

/// Kinds of connection, in the order in which they are tried with a peer. It is
/// libtorrent's: uTP where the peer is not known to lack it, and TCP after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialOrder {
    /// Tried at once.
    pub first: ConnectionKind,
    /// Tried when the first one fails or takes long.
    pub second: Option<ConnectionKind>,
}

impl DialOrder {
    /// The order for a peer; `None` where the settings allow no connection.
    pub fn new(settings: &Settings, utp: UtpSupport) -> Option<Self> {
        let order = |first, second| Some(Self { first, second });
        match (settings.enable_outgoing_utp, settings.enable_outgoing_tcp) {
            (true, true) if utp == UtpSupport::Failed => order(ConnectionKind::Tcp, None),
            (true, true) => order(ConnectionKind::Utp, Some(ConnectionKind::Tcp)),
            (true, false) => order(ConnectionKind::Utp, None),
            (false, true) => order(ConnectionKind::Tcp, None),
            (false, false) => None,
        }
    }

    /// What a connection that was made says of the peer; `None` where it says
    /// nothing.
    pub fn learned(self, made: ConnectionKind) -> Option<UtpSupport> {
        match (self.first, made) {
            (ConnectionKind::Utp, ConnectionKind::Utp) => Some(UtpSupport::Confirmed),
            (ConnectionKind::Utp, _) => Some(UtpSupport::Failed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ConnectionKind::{Tcp, Utp};

    use super::*;

    fn order(utp: bool, tcp: bool, support: UtpSupport) -> Option<(ConnectionKind, bool)> {
        let settings = Settings {
            enable_outgoing_utp: utp,
            enable_outgoing_tcp: tcp,
            ..Settings::default()
        };
        let order = DialOrder::new(&settings, support)?;
        assert!(order.second.is_none_or(|second| second == Tcp));
        Some((order.first, order.second.is_some()))
    }

    #[test]
    fn utp_comes_first_unless_it_has_failed() {
        for support in [UtpSupport::Unknown, UtpSupport::Confirmed] {
            assert_eq!(order(true, true, support), Some((Utp, true)));
        }
        assert_eq!(order(true, true, UtpSupport::Failed), Some((Tcp, false)));
    }

    #[test]
    fn what_is_off_is_not_tried() {
        let all = [
            UtpSupport::Unknown,
            UtpSupport::Confirmed,
            UtpSupport::Failed,
        ];
        for support in all {
            assert_eq!(order(false, true, support), Some((Tcp, false)));
            assert_eq!(order(true, false, support), Some((Utp, false)));
            assert_eq!(order(false, false, support), None);
        }
    }

    #[test]
    fn what_was_tried_is_remembered() {
        let both = DialOrder {
            first: Utp,
            second: Some(Tcp),
        };
        assert_eq!(both.learned(Utp), Some(UtpSupport::Confirmed));
        assert_eq!(both.learned(Tcp), Some(UtpSupport::Failed));
        let tcp = DialOrder {
            first: Tcp,
            second: None,
        };
        assert_eq!(tcp.learned(Tcp), None);
    }
}
