//! Messages to bytes.

use std::net::SocketAddr;

use bytes::Bytes;

use super::super::address::write_nodes;
use super::super::node_id::NodeId;
use super::{Method, Query, Reply, ReplyMessage, Response, Transaction, Want};
use crate::address::write_endpoint;
use crate::bencode::{DictItem, Item};

impl Query {
    /// The datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut args = DictItem::new();
        args.insert("id", self.id.0);
        let name = method(&self.method, &mut args);
        let mut root = DictItem::new();
        root.insert("a", args)
            .insert("q", name)
            .insert("t", self.transaction.0.clone())
            .insert("y", "q");
        if self.read_only {
            root.insert("ro", true);
        }
        root.encode()
    }
}

fn method(method: &Method, args: &mut DictItem) -> &'static str {
    let flag = |args: &mut DictItem, key: &'static str, on: bool| {
        args.insert_some(key, on.then_some(true));
    };
    match method {
        Method::Ping => "ping",
        Method::FindNode { target, want } => {
            with_target(args, *target, *want);
            "find_node"
        }
        Method::GetPeers {
            info_hash,
            noseed,
            scrape,
            want,
        } => {
            args.insert("info_hash", info_hash.0);
            flag(args, "noseed", *noseed);
            flag(args, "scrape", *scrape);
            args.insert_some("want", families(*want));
            "get_peers"
        }
        Method::AnnouncePeer {
            info_hash,
            port,
            implied_port,
            seed,
            token,
        } => {
            args.insert("info_hash", info_hash.0)
                .insert("port", u32::from(*port))
                .insert("token", token.clone());
            flag(args, "implied_port", *implied_port);
            flag(args, "seed", *seed);
            "announce_peer"
        }
        Method::Get { target, seq, want } => {
            with_target(args, *target, *want);
            args.insert_some("seq", *seq);
            "get"
        }
        Method::Put {
            token,
            value,
            mutable,
        } => {
            args.insert("token", token.clone())
                .insert("v", Item::Raw(value.clone()));
            if let Some(mutable) = mutable {
                args.insert("k", mutable.key)
                    .insert("sig", mutable.signature)
                    .insert("seq", mutable.seq)
                    .insert_some("cas", mutable.cas);
                let salt = Some(&mutable.salt).filter(|salt| !salt.is_empty());
                args.insert_some("salt", salt.cloned());
            }
            "put"
        }
        Method::SampleInfohashes { target, want } => {
            with_target(args, *target, *want);
            "sample_infohashes"
        }
        // Nothing of ours asks so: for tests of those that answer.
        Method::Unknown { target, want } => {
            with_target(args, *target, *want);
            "unknown"
        }
    }
}

fn with_target(args: &mut DictItem, target: NodeId, want: Want) {
    args.insert("target", target.0);
    args.insert_some("want", families(want));
}

fn families(want: Want) -> Option<Item> {
    let names = [(want.v4, "n4"), (want.v6, "n6")];
    let names: Vec<_> = names.into_iter().filter(|it| it.0).collect();
    (!names.is_empty()).then(|| names.into_iter().map(|it| it.1).collect())
}

impl ReplyMessage {
    /// The datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut root = DictItem::new();
        root.insert_some("ip", self.external.map(compact));
        root.insert("t", self.transaction.0.clone());
        match &self.reply {
            Reply::Response(response) => {
                root.insert("r", values(response)).insert("y", "r");
            }
            Reply::Error { code, text } => {
                let error = Item::List(vec![Item::Int(*code), text.as_str().into()]);
                root.insert("e", error).insert("y", "e");
            }
        }
        root.encode()
    }
}

fn values(response: &Response) -> DictItem {
    let mut values = DictItem::new();
    values.insert("id", response.id.0);
    for (key, nodes) in [("nodes", &response.nodes), ("nodes6", &response.nodes6)] {
        values.insert_some(key, nodes.as_ref().map(|nodes| write_nodes(nodes)));
    }
    if !response.peers.is_empty() {
        let peers = response.peers.iter().map(|peer| compact(*peer));
        values.insert("values", peers.collect::<Item>());
    }
    values.insert_some("token", response.token.clone());
    let filter = |filter: &Option<Box<super::BloomFilter>>| {
        let filter = filter.as_ref()?;
        Some(Bytes::copy_from_slice(&filter.0))
    };
    values.insert_some("BFsd", filter(&response.seeds));
    values.insert_some("BFpe", filter(&response.downloaders));
    values.insert_some("v", response.value.clone().map(Item::Raw));
    values.insert_some("k", response.key);
    values.insert_some("sig", response.signature);
    values.insert_some("seq", response.seq);
    if let Some(samples) = &response.samples {
        let hashes: Vec<u8> = samples.hashes.iter().flat_map(|hash| hash.0).collect();
        values
            .insert("samples", hashes)
            .insert("interval", samples.interval)
            .insert("num", samples.total);
    }
    values
}

fn compact(addr: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(18);
    write_endpoint(addr, &mut bytes);
    bytes
}

impl Transaction {
    /// One of two bytes, as ours are.
    pub fn short(number: u16) -> Self {
        Self(Bytes::copy_from_slice(&number.to_be_bytes()))
    }

    /// The number, if it can be one of ours.
    pub fn number(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.0.as_ref().try_into().ok()?))
    }
}
