//! What was being done when an error came up: the `op` of an alert. libtorrent's
//! names and numbers, as far as anything here can fail that way.

use torrent_core::value::Fields;

macro_rules! operations {
    ($( $( #[$attribute:meta] )* $variant:ident = $code:literal, $name:literal; )*) => {
        /// What was being done when an error came up; libtorrent's numbers.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Operation {
            $(
                $( #[$attribute] )*
                #[doc = concat!("`", $name, "`")]
                $variant = $code,
            )*
        }

        impl Operation {
            /// Every operation, in the order of the numbers.
            pub const ALL: &[Self] = &[ $( Self::$variant, )* ];

            /// libtorrent's name.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }
        }
    };
}

operations! {
    #[default]
    Unknown = 0, "unknown";
    BitTorrent = 1, "bittorrent";
    FileWrite = 7, "file_write";
    FileRead = 8, "file_read";
    File = 9, "file";
    SocketWrite = 10, "sock_write";
    SocketRead = 11, "sock_read";
    SocketOpen = 12, "sock_open";
    SocketBind = 13, "sock_bind";
    Encryption = 15, "encryption";
    Connect = 16, "connect";
    SslHandshake = 17, "ssl_handshake";
    SocketListen = 19, "sock_listen";
    ParseAddress = 22, "parse_address";
    FileStat = 24, "file_stat";
    FileCopy = 25, "file_copy";
    FileAllocate = 26, "file_fallocate";
    FileRemove = 28, "file_remove";
    FileRename = 29, "file_rename";
    FileOpen = 30, "file_open";
    CheckResume = 32, "check_resume";
    Exception = 33, "exception";
    HostNameLookup = 38, "hostname_lookup";
    Symlink = 39, "symlink";
    Handshake = 40, "handshake";
}

impl Operation {
    /// libtorrent's number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The operation with this name; `Unknown` where there is none.
    pub fn named(name: &str) -> Self {
        let found = Self::ALL.iter().find(|known| known.name() == name);
        found.copied().unwrap_or_default()
    }

    /// The fields of an alert that say it: `op` the number, `operation` the
    /// name.
    pub(crate) fn fields(self) -> Fields {
        vec![
            ("op".into(), self.code().into()),
            ("operation".into(), self.name().into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for &operation in Operation::ALL {
            assert_eq!(Operation::named(operation.name()), operation);
        }
        assert_eq!(Operation::named("something else"), Operation::Unknown);
    }
}
