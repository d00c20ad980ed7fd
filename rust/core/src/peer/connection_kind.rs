//! What carries a connection.

/// The kind of a connection, with the number and the name of libtorrent's
/// `socket_type_t`. Whether it is encrypted is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ConnectionKind {
    /// TCP, from end to end.
    Tcp = 0,
    /// TCP through a SOCKS5 proxy.
    Socks5 = 1,
    /// TCP through an HTTP proxy (`CONNECT`).
    Http = 2,
    /// uTP (BEP 29). The sockets for UDP have its number too, as libtorrent's
    /// have.
    Utp = 3,
}

impl ConnectionKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Socks5, Self::Http, Self::Utp];

    /// libtorrent's number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// libtorrent's name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Socks5 => "socks5",
            Self::Http => "http",
            Self::Utp => "utp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_libtorrent() {
        let all = ConnectionKind::ALL.map(|kind| (kind.number(), kind.name()));
        assert_eq!(all, [(0, "tcp"), (1, "socks5"), (2, "http"), (3, "utp")]);
    }
}
