//! The texts that name network interfaces: `listen_interfaces` and
//! `outgoing_interfaces`.

use std::net::{IpAddr, SocketAddr};

use super::{Settings, SettingsError};

/// An interface, by its address or by the name that the system has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// An IP address.
    Address(IpAddr),
    /// A device, `eth0` say: all of its addresses.
    Device(String),
}

/// One entry of `listen_interfaces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenInterface {
    /// Where to listen.
    pub interface: Interface,
    /// The port; 0 for any.
    pub port: u16,
    /// Only peers of the local network are taken in here (the suffix `l`).
    pub local: bool,
}

impl Interface {
    /// Reads an address or the name of a device.
    fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse() {
            return Some(Self::Address(address));
        }
        let is_name = !text.is_empty()
            && text.len() <= 64
            && text
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '{' | '}'))
            && !text.starts_with(|it: char| it.is_ascii_digit());
        is_name.then(|| Self::Device(text.to_owned()))
    }
}

impl ListenInterface {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "is not an interface with a port, 0.0.0.0:6881 say";
        let endpoint = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
        let flags = text.strip_prefix(endpoint).unwrap_or_default();
        let mut local = false;
        for flag in flags.chars() {
            match flag {
                'l' => local = true,
                's' => return Err("asks for SSL, which is not supported"),
                _ => return Err(EXPECTED),
            }
        }
        if let Ok(endpoint) = endpoint.parse::<SocketAddr>() {
            return Ok(Self {
                interface: Interface::Address(endpoint.ip()),
                port: endpoint.port(),
                local,
            });
        }
        let (device, port) = endpoint.rsplit_once(':').ok_or(EXPECTED)?;
        match (Interface::parse(device), port.parse()) {
            (Some(Interface::Device(device)), Ok(port)) => Ok(Self {
                interface: Interface::Device(device),
                port,
                local,
            }),
            _ => Err(EXPECTED),
        }
    }
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

impl Settings {
    /// The entries of `listen_interfaces`.
    ///
    /// # Errors
    /// Names the entry that cannot be read.
    pub fn listen(&self) -> Result<Vec<ListenInterface>, SettingsError> {
        parts(&self.listen_interfaces)
            .map(|part| {
                ListenInterface::parse(part).map_err(|reason| SettingsError::Invalid {
                    name: "listen_interfaces".to_owned(),
                    reason: format!("'{part}' {reason}"),
                })
            })
            .collect()
    }

    /// The entries of `outgoing_interfaces`.
    ///
    /// # Errors
    /// Names the entry that cannot be read.
    pub fn outgoing(&self) -> Result<Vec<Interface>, SettingsError> {
        parts(&self.outgoing_interfaces)
            .map(|part| {
                Interface::parse(part).ok_or_else(|| SettingsError::Invalid {
                    name: "outgoing_interfaces".to_owned(),
                    reason: format!("'{part}' is neither an address nor the name of a device"),
                })
            })
            .collect()
    }

    /// Whether any entry of `listen_interfaces` is an IPv6 address.
    pub fn listens_on_ipv6(&self) -> bool {
        let is_v6 =
            |it: ListenInterface| matches!(it.interface, Interface::Address(at) if at.is_ipv6());
        self.listen().is_ok_and(|all| all.into_iter().any(is_v6))
    }

    /// `listen_interfaces` and `outgoing_interfaces` for one interface alone, on
    /// the port of the first entry; for all of them when `interface` is empty.
    ///
    /// # Errors
    /// When it is neither an address nor the name of a device.
    pub fn bound_to(&self, interface: &str) -> Result<(String, String), SettingsError> {
        let port = self.listen()?.first().map_or(0, |first| first.port);
        if interface.is_empty() {
            return Ok((format!("0.0.0.0:{port},[::]:{port}"), String::new()));
        }
        let invalid = || SettingsError::Invalid {
            name: "listen_interfaces".to_owned(),
            reason: format!("'{interface}' is neither an address nor the name of a device"),
        };
        let entry = ListenInterface {
            interface: Interface::parse(interface).ok_or_else(invalid)?,
            port,
            local: false,
        };
        Ok((entry.to_string(), interface.to_owned()))
    }

    /// `listen_interfaces` with or without the IPv6 twins of its entries for
    /// all addresses.
    pub fn with_ipv6(&self, enabled: bool) -> Result<String, SettingsError> {
        let mut kept: Vec<String> = Vec::new();
        let listen = self.listen()?;
        let is_v6 = |it: &ListenInterface| matches!(it.interface, Interface::Address(address) if address.is_ipv6());
        let any_v6 = listen.iter().any(is_v6);
        for entry in &listen {
            if enabled || !is_v6(entry) {
                kept.push(entry.to_string());
            }
            let everywhere = matches!(entry.interface,
                Interface::Address(IpAddr::V4(address)) if address.is_unspecified());
            if enabled && !any_v6 && everywhere {
                let twin = ListenInterface {
                    interface: Interface::Address(std::net::Ipv6Addr::UNSPECIFIED.into()),
                    ..entry.clone()
                };
                kept.push(twin.to_string());
            }
        }
        Ok(kept.join(","))
    }
}

impl std::fmt::Display for ListenInterface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.interface {
            Interface::Address(address) => write!(f, "{}", SocketAddr::new(*address, self.port))?,
            Interface::Device(device) => write!(f, "{device}:{}", self.port)?,
        }
        if self.local { f.write_str("l") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(listen: &str, outgoing: &str) -> Settings {
        Settings {
            listen_interfaces: listen.to_owned(),
            outgoing_interfaces: outgoing.to_owned(),
            ..Settings::default()
        }
    }

    #[test]
    fn addresses_devices_and_flags_are_read_and_written() {
        for text in [
            "0.0.0.0:6881",
            "[::1]:0",
            "eth0:7000",
            "10.0.0.1:1l",
            "[::]:80l",
        ] {
            let listen = settings(text, "").listen().unwrap();
            assert_eq!(listen.len(), 1);
            assert_eq!(listen[0].to_string(), text);
        }
        let both = settings(" 127.0.0.1:1 , wlan0.5:2l,", "").listen().unwrap();
        assert_eq!(both[1].interface, Interface::Device("wlan0.5".to_owned()));
        assert!(both[1].local && !both[0].local);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in [
            "localhost",
            "1.2.3.4",
            "1.2.3:80",
            "a b:1",
            "eth0:99999",
            "[::1:5",
            ":1",
            "0.0.0.0:688é",
            "0.0.0.0:688\u{fffd}",
            "eth0:1€l",
            "é",
        ] {
            let error = settings(text, "").listen().unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
        let error = settings("0.0.0.0:1s", "").listen().unwrap_err();
        assert!(error.to_string().contains("SSL"));
        assert!(settings("", "10.0.0.1, eth1,::1").outgoing().unwrap().len() == 3);
        let error = settings("", "eth 1").outgoing().unwrap_err().to_string();
        assert!(error.contains("'eth 1'"), "{error}");
    }

    #[test]
    fn one_interface_alone() {
        let settings = settings("0.0.0.0:6881,[::]:6881", "");
        let bound = |interface: &str| settings.bound_to(interface).unwrap();
        assert_eq!(bound("::1"), ("[::1]:6881".into(), "::1".into()));
        assert_eq!(bound("eth0"), ("eth0:6881".into(), "eth0".into()));
        assert_eq!(bound(""), ("0.0.0.0:6881,[::]:6881".into(), String::new()));
        assert!(settings.bound_to("1.2.3").is_err());
        assert!(settings.listens_on_ipv6());
    }

    #[test]
    fn ipv6_is_added_and_taken_away() {
        let both = settings("0.0.0.0:6881,[::]:6881", "");
        assert_eq!(both.with_ipv6(false).unwrap(), "0.0.0.0:6881");
        assert_eq!(both.with_ipv6(true).unwrap(), "0.0.0.0:6881,[::]:6881");
        let one = settings("0.0.0.0:5l,eth0:6", "");
        assert_eq!(one.with_ipv6(true).unwrap(), "0.0.0.0:5l,[::]:5l,eth0:6");
        let loopback = settings("127.0.0.1:0", "");
        assert_eq!(loopback.with_ipv6(true).unwrap(), "127.0.0.1:0");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in prop_oneof![".*", "[0-9a-z.:\\[\\]]{0,12}\\PC{0,3}[a-z]{0,2}"],
        ) {
            let settings = settings(&text, &text);
            if let Ok(listen) = settings.listen() {
                let again: Vec<String> = listen.iter().map(ToString::to_string).collect();
                let again = self::settings(&again.join(","), "").listen();
                prop_assert_eq!(again, Ok(listen));
            }
            let _ = settings.outgoing();
            let _ = settings.bound_to(&text);
            let _ = settings.with_ipv6(true);
        }
    }
}
