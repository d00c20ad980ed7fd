//! Addresses of nodes: the compact form of lists of them, and which of them count as one.

use std::net::{IpAddr, SocketAddr};

use super::node_id::NodeId;
use crate::address::{is_host, is_local, read_endpoint, write_endpoint};

/// The two networks that there are (BEP 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// That of an address; a mapped IPv4 address belongs to IPv4.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// A node as others name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeContact {
    /// Its id.
    pub id: NodeId,
    /// Where it is.
    pub addr: SocketAddr,
}

/// What counts as the property of one operator: a /24, or a /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NetworkPrefix([u8; 8]);

impl NetworkPrefix {
    /// That of an address; `None` on private networks, where all nodes are neighbours.
    pub(super) fn of(ip: IpAddr) -> Option<Self> {
        if is_local(ip) {
            return None;
        }
        let mut prefix = [0; 8];
        match ip.to_canonical() {
            // No global IPv6 network begins with these bytes.
            IpAddr::V4(ip) => prefix[..3].copy_from_slice(&ip.octets()[..3]),
            IpAddr::V6(ip) => prefix.copy_from_slice(&ip.octets()[..8]),
        }
        if Family::of(ip) == Family::V4 {
            prefix[7] = 1;
        }
        Some(Self(prefix))
    }
}

/// Whether a datagram can be sent there.
pub(super) fn is_usable(addr: SocketAddr) -> bool {
    let this_network = matches!(addr.ip(), IpAddr::V4(ip) if ip.octets()[0] == 0);
    addr.port() != 0 && is_host(addr.ip()) && !this_network
}

/// The same address, without the detour of a mapped one.
pub(super) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Reads compact nodes of `family`, at most `most`; a rest that is no node is
/// passed over, and so are addresses to which nothing can be sent.
pub(super) fn read_nodes(bytes: &[u8], family: Family, most: usize) -> Vec<NodeContact> {
    let entry = match family {
        Family::V4 => 26,
        Family::V6 => 38,
    };
    let nodes = bytes.chunks_exact(entry).take(most);
    nodes
        .filter_map(|bytes| {
            let (id, addr) = bytes.split_first_chunk::<20>()?;
            let addr = read_endpoint(addr)?;
            let id = NodeId(*id);
            is_usable(addr).then_some(NodeContact { id, addr })
        })
        .collect()
}

/// The compact form of nodes.
pub(super) fn write_nodes(nodes: &[NodeContact]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nodes.len() * 38);
    for node in nodes {
        out.extend_from_slice(&node.id.0);
        write_endpoint(node.addr, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(ip: &str) -> Option<NetworkPrefix> {
        NetworkPrefix::of(ip.parse().unwrap())
    }

    #[test]
    fn networks_are_told_apart_and_private_ones_are_none() {
        assert_eq!(prefix("8.8.8.1"), prefix("8.8.8.255"));
        assert_ne!(prefix("8.8.8.1"), prefix("8.8.9.1"));
        assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:2:ffff::"));
        assert_ne!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
        assert_eq!(prefix("::ffff:8.8.8.1"), prefix("8.8.8.2"));
        for local in ["127.0.0.1", "10.0.0.1", "192.168.7.7", "fe80::1", "fd00::1"] {
            assert_eq!(prefix(local), None, "{local}");
        }
    }

    #[test]
    fn nodes_are_written_and_read() {
        let node = |id: u8, addr: &str| NodeContact {
            id: NodeId([id; 20]),
            addr: addr.parse().unwrap(),
        };
        let v4 = [node(1, "1.2.3.4:5"), node(2, "6.7.8.9:10")];
        let v6 = [node(3, "[2001:db8::1]:80")];
        let mut bytes = write_nodes(&v4);
        assert_eq!(bytes.len(), 52);
        bytes.extend_from_slice(b"rest");
        assert_eq!(read_nodes(&bytes, Family::V4, 8), v4);
        assert_eq!(read_nodes(&bytes, Family::V4, 1), v4[..1]);
        assert_eq!(read_nodes(&write_nodes(&v6), Family::V6, 8), v6);
        for nowhere in ["0.0.0.0:1", "1.2.3.4:0", "224.0.0.1:1", "255.255.255.255:1"] {
            let bytes = write_nodes(&[node(1, nowhere)]);
            assert_eq!(read_nodes(&bytes, Family::V4, 8), [], "{nowhere}");
        }
    }
}
