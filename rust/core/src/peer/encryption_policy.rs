//! Which connections are encrypted (MSE), as the settings say.

use crate::mse::Methods;
use crate::peerlist::HandshakeKind;
use crate::settings::Settings;

/// What a setting allows, with libtorrent's numbers (`enc_policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptionPolicy {
    /// Encrypted handshakes alone.
    Forced,
    /// Either.
    Enabled,
    /// Plain handshakes alone.
    Disabled,
}

impl EncryptionPolicy {
    /// For connections that we make.
    pub fn outgoing(settings: &Settings) -> Self {
        Self::of(settings.out_enc_policy)
    }

    /// For connections that come in.
    pub fn incoming(settings: &Settings) -> Self {
        Self::of(settings.in_enc_policy)
    }

    fn of(number: i64) -> Self {
        match number {
            0 => Self::Forced,
            1 => Self::Enabled,
            _ => Self::Disabled,
        }
    }
}

impl Methods {
    /// Those that `allowed_enc_level` names, with libtorrent's numbers.
    pub fn allowed(settings: &Settings) -> Self {
        match settings.allowed_enc_level {
            1 => Self::Plaintext,
            2 => Self::Rc4,
            _ => Self::Both,
        }
    }
}

/// The kinds of handshake that are tried with a peer, in their order. A peer is
/// greeted plainly first, as by libtorrent, unless it is known to want the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeOrder {
    /// Tried at once.
    pub first: HandshakeKind,
    /// Tried on a new connection when the peer does not answer the first one.
    pub second: Option<HandshakeKind>,
}

impl HandshakeOrder {
    /// The order for a peer that is known to answer one kind, if it is.
    pub fn new(settings: &Settings, answered: Option<HandshakeKind>) -> Self {
        use HandshakeKind::{Encrypted, Plain};
        let (first, second) = match (EncryptionPolicy::outgoing(settings), answered) {
            (EncryptionPolicy::Forced, _) => (Encrypted, None),
            (EncryptionPolicy::Disabled, _) => (Plain, None),
            (EncryptionPolicy::Enabled, Some(Encrypted)) => (Encrypted, Some(Plain)),
            (EncryptionPolicy::Enabled, _) => (Plain, Some(Encrypted)),
        };
        Self { first, second }
    }
}

#[cfg(test)]
mod tests {
    use HandshakeKind::{Encrypted, Plain};

    use super::*;

    fn order(policy: i64, answered: Option<HandshakeKind>) -> HandshakeOrder {
        let settings = Settings {
            out_enc_policy: policy,
            ..Settings::default()
        };
        HandshakeOrder::new(&settings, answered)
    }

    #[test]
    fn what_a_peer_has_answered_comes_first() {
        let plain_first = HandshakeOrder {
            first: Plain,
            second: Some(Encrypted),
        };
        let encrypted_first = HandshakeOrder {
            first: Encrypted,
            second: Some(Plain),
        };
        assert_eq!(order(1, None), plain_first);
        assert_eq!(order(1, Some(Plain)), plain_first);
        assert_eq!(order(1, Some(Encrypted)), encrypted_first);
    }

    #[test]
    fn what_is_not_allowed_is_not_tried() {
        for answered in [None, Some(Plain), Some(Encrypted)] {
            let only = |first| HandshakeOrder {
                first,
                second: None,
            };
            assert_eq!(order(0, answered), only(Encrypted));
            assert_eq!(order(2, answered), only(Plain));
        }
    }

    #[test]
    fn levels_have_the_numbers_of_libtorrent() {
        let methods = [1, 2, 3].map(|allowed_enc_level| {
            Methods::allowed(&Settings {
                allowed_enc_level,
                ..Settings::default()
            })
        });
        assert_eq!(methods, [Methods::Plaintext, Methods::Rc4, Methods::Both]);
    }
}
