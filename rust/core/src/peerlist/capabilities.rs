//! What attempts to connect have shown of a peer.

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeKind {
    /// With the handshake of BEP 3.
    Plain,
    /// With an exchange of keys, which that handshake follows.
    Encrypted,
}

/// Whether a peer can be reached over uTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UtpSupport {
    /// It was not tried.
    #[default]
    Unknown,
    /// It was reached.
    Confirmed,
    /// It did not answer, or answered later than over TCP.
    Failed,
}
