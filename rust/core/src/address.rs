//! Addresses of hosts: which of them are near, which can be those of one
//! machine, and their compact form, which trackers (BEP 7, 15, 23), the DHT
//! (BEP 5, 32), peer exchange (BEP 11) and extended handshakes (BEP 10) share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether an address belongs to a private or local network, or to this machine.
/// IPv4 within IPv6 counts as IPv4.
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether an address can be that of one machine.
pub fn is_host(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

/// Reads an address of 4 or 16 bytes.
pub fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// Reads an endpoint of 6 or 18 bytes: the address, then the port.
pub fn read_endpoint(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    Some(SocketAddr::new(read_ip(ip)?, u16::from_be_bytes(*port)))
}

/// Appends the 4 or 16 bytes of an address.
pub fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
}

/// Appends the 6 or 18 bytes of an endpoint.
pub fn write_endpoint(endpoint: SocketAddr, out: &mut Vec<u8>) {
    write_ip(endpoint.ip(), out);
    out.extend_from_slice(&endpoint.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn private_networks_and_this_machine_are_near() {
        let local = |text: &str| is_local(text.parse().unwrap());
        for near in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
        ] {
            assert!(local(near) && local(&format!("::ffff:{near}")), "{near}");
        }
        for near in ["::1", "fd00::1", "fe80::1"] {
            assert!(local(near), "{near}");
        }
        for far in ["8.8.8.8", "::ffff:8.8.8.8", "2001:db8::1", "172.32.0.1"] {
            assert!(!local(far), "{far}");
        }
    }

    proptest! {
        #[test]
        fn endpoints_are_read_as_they_were_written(ip in any::<IpAddr>(), port in any::<u16>()) {
            let endpoint = SocketAddr::new(ip, port);
            let mut bytes = Vec::new();
            write_endpoint(endpoint, &mut bytes);
            prop_assert_eq!(read_endpoint(&bytes), Some(endpoint));
            bytes.push(0);
            prop_assert_eq!(read_endpoint(&bytes), None);
        }
    }
}
