//! The machine's network interfaces, and which of its addresses a setting
//! means.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use torrent_core::record;
use torrent_core::settings::Interface;

record! {
    /// One address of one network interface.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NetworkInterface {
        /// The system's name for the device: `eth0`, say.
        pub name: String,
        /// An address of it.
        pub address: String,
        /// How many leading bits of the address name the network.
        pub prefix_length: u32,
        /// Whether it is an IPv6 address.
        pub ipv6: bool,
        /// Whether it only reaches this machine.
        pub loopback: bool,
    }
}

/// Every address of every interface.
///
/// # Errors
/// When the system does not report them.
pub(crate) fn list() -> io::Result<Vec<NetworkInterface>> {
    let found = if_addrs::get_if_addrs()?;
    Ok(found
        .into_iter()
        .map(|interface| NetworkInterface {
            address: interface.ip().to_string(),
            prefix_length: match &interface.addr {
                if_addrs::IfAddr::V4(address) => u32::from(address.prefixlen),
                if_addrs::IfAddr::V6(address) => u32::from(address.prefixlen),
            },
            ipv6: interface.ip().is_ipv6(),
            loopback: interface.is_loopback(),
            name: interface.name,
        })
        .collect())
}

/// The addresses that `interface` stands for.
///
/// # Errors
/// When there is no such device.
pub(crate) fn resolve(interface: &Interface) -> io::Result<Vec<IpAddr>> {
    let device = match interface {
        Interface::Address(address) => return Ok(vec![*address]),
        Interface::Device(device) => device,
    };
    let addresses: Vec<IpAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|known| known.name == *device)
        .map(|known| known.ip())
        // Needs a scope, which cannot be sent to peers.
        .filter(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect();
    if addresses.is_empty() {
        let reason = format!("there is no network interface '{device}' with an address");
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    Ok(addresses)
}

/// The address that packets to the Internet would leave from, if there is a
/// way to it. Sends nothing.
pub(crate) fn outbound(ipv6: bool) -> Option<IpAddr> {
    // Addresses of the documentation's network: they are routed like any other.
    let (from, to): (IpAddr, IpAddr) = if ipv6 {
        let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        (Ipv6Addr::UNSPECIFIED.into(), documentation.into())
    } else {
        (
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(192, 0, 2, 1).into(),
        )
    };
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_is_found_by_its_name() {
        let all = list().unwrap();
        let loopback = all.iter().find(|it| it.address == "127.0.0.1").unwrap();
        assert!(loopback.loopback && !loopback.ipv6);
        let device = Interface::Device(loopback.name.clone());
        assert!(
            resolve(&device)
                .unwrap()
                .contains(&Ipv4Addr::LOCALHOST.into())
        );
        let error = resolve(&Interface::Device("none0".to_owned())).unwrap_err();
        assert!(error.to_string().contains("'none0'"));
    }
}
