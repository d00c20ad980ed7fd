//! What is kept of the DHT between two runs, in libtorrent's format: ids and nodes
//! (`dht state` of the session state).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::address::{canonical, is_usable};
use super::node_id::NodeId;
use crate::address::{read_endpoint, read_ip, write_endpoint, write_ip};
use crate::bencode::{Dict, DictItem, Item};

/// Nodes of each family that are read of a record.
const MAX_NODES: usize = 500;

/// Ids that are read of a record.
const MAX_IDS: usize = 64;

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DhtState {
    /// Our id at each address of ours; an unspecified address stands for any.
    pub ids: Vec<(IpAddr, NodeId)>,
    /// Nodes that answered, the most useful ones first.
    pub nodes: Vec<SocketAddr>,
}

impl DhtState {
    /// Reads a record. What is malformed counts as missing.
    pub fn decode(record: &Dict<'_>) -> Self {
        let mut state = Self::default();
        if let Some(id) = record.bytes("node-id").and_then(|id| id.try_into().ok()) {
            // The oldest form: one id.
            state.ids.push((Ipv4Addr::UNSPECIFIED.into(), NodeId(id)));
        }
        let ids = record.list("node-id").into_iter();
        for entry in ids.flat_map(|list| list.iter()).take(MAX_IDS) {
            let entry = entry.as_bytes().and_then(|it| it.split_first_chunk::<20>());
            if let Some((id, ip)) = entry
                && let Some(ip) = read_ip(ip)
            {
                state.ids.push((ip.to_canonical(), NodeId(*id)));
            }
        }
        for key in ["nodes", "nodes6"] {
            let nodes = record.list(key).into_iter().flat_map(|list| list.iter());
            let nodes = nodes.filter_map(|node| read_endpoint(node.as_bytes()?).map(canonical));
            let usable = nodes.filter(|node| is_usable(*node));
            state.nodes.extend(usable.take(MAX_NODES));
        }
        state
    }

    /// The record.
    pub fn encode(&self) -> DictItem {
        let mut record = DictItem::new();
        let ids = self.ids.iter().map(|(ip, id)| {
            let mut entry = id.0.to_vec();
            write_ip(*ip, &mut entry);
            entry
        });
        record.insert("node-id", ids.collect::<Item>());
        for (key, v4) in [("nodes", true), ("nodes6", false)] {
            let nodes = self.nodes.iter().filter(|node| node.is_ipv4() == v4);
            let nodes: Vec<Vec<u8>> = nodes
                .map(|node| {
                    let mut bytes = Vec::new();
                    write_endpoint(*node, &mut bytes);
                    bytes
                })
                .collect();
            if !nodes.is_empty() {
                record.insert(key, nodes.into_iter().collect::<Item>());
            }
        }
        record
    }

    /// The id that we had at `ip`.
    pub fn id_at(&self, ip: IpAddr) -> Option<NodeId> {
        let find = |ip: IpAddr| self.ids.iter().find(|it| it.0 == ip).map(|it| it.1);
        find(ip.to_canonical()).or_else(|| find(Ipv4Addr::UNSPECIFIED.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::Document;

    fn decode(bytes: &[u8]) -> DhtState {
        let document = Document::parse(bytes).unwrap();
        DhtState::decode(&document.root().as_dict().unwrap())
    }

    #[test]
    fn a_record_of_libtorrent_is_read_and_written() {
        let record = b"d7:node-idl24:aaaaaaaaaaaaaaaaaaaa\x0a\0\0\x01\
            36:bbbbbbbbbbbbbbbbbbbb\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01e\
            5:nodesl6:\x01\x02\x03\x04\x1a\xe16:\x05\x06\x07\x08\x1a\xe1e\
            6:nodes6l18:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1ee";
        let state = decode(record);
        assert_eq!(state.nodes.len(), 3);
        assert_eq!(state.id_at([10, 0, 0, 1].into()), Some(NodeId([b'a'; 20])));
        let v6 = "fd00::1".parse().unwrap();
        assert_eq!(state.id_at(v6), Some(NodeId([b'b'; 20])));
        assert_eq!(state.id_at([10, 0, 0, 2].into()), None);
        assert_eq!(state.encode().encode(), record);
    }

    #[test]
    fn old_and_broken_records_are_read_as_far_as_they_go() {
        let old = decode(b"d7:node-id20:aaaaaaaaaaaaaaaaaaaae");
        assert_eq!(old.id_at([1, 2, 3, 4].into()), Some(NodeId([b'a'; 20])));
        let broken = decode(
            b"d7:node-idl3:abci7e25:aaaaaaaaaaaaaaaaaaaaaaaaae\
              5:nodesl5:abcdei1e6:\0\0\0\0\0\0ee",
        );
        assert_eq!(broken, DhtState::default());
        assert_eq!(decode(b"de"), DhtState::default());
    }
}
