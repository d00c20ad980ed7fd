//! Bytes to messages.

use bytes::Bytes;
use std::net::SocketAddr;

use super::super::address::{Family, NodeContact, canonical, is_usable, read_nodes};
use super::super::bloom::BloomFilter;
use super::super::node_id::NodeId;
use super::{
    MAX_TRANSACTION, Message, Method, PutMutable, Query, Reply, ReplyMessage, Response, Samples,
    Transaction, Want, error_code,
};
use crate::address::{read_endpoint, read_ip};
use crate::bencode::{DecodeLimits, Dict, Document, Value};

/// What a message may cost. libtorrent's depth; and peers, each a value, with room
/// for what else there is.
const LIMITS: DecodeLimits = DecodeLimits {
    depth: 10,
    tokens: 1000,
};

/// Nodes of each family that are read of a message: twice as many as other clients send.
const MAX_NODES: usize = 16;

/// Peers that are read of a message: twice what libtorrent sends.
const MAX_PEERS: usize = 200;

/// Bytes of a token that are kept.
const MAX_TOKEN: usize = 64;

/// Characters of an error's text that are kept.
const MAX_ERROR_TEXT: usize = 200;

/// Torrents that are read of a sample.
const MAX_SAMPLES: usize = 100;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// Nothing that is to be answered.
    Ignored,
    /// A query that is malformed: its sender gets an error.
    BadQuery {
        /// Of the query.
        transaction: Transaction,
        /// What kind of error; see [`error_code`].
        code: i64,
        /// For people.
        text: &'static str,
    },
}

impl Message {
    /// Reads a datagram, all of it.
    pub fn decode(datagram: &[u8]) -> Result<Self, Undecodable> {
        let document = Document::parse_with(datagram, &LIMITS).map_err(|_| Undecodable::Ignored)?;
        let root = document.root().as_dict().ok_or(Undecodable::Ignored)?;
        let transaction = root.bytes("t").filter(|it| it.len() <= MAX_TRANSACTION);
        let transaction = Transaction(Bytes::copy_from_slice(
            transaction.ok_or(Undecodable::Ignored)?,
        ));
        match root.bytes("y") {
            Some(b"q") => match query(&root) {
                Ok((id, method)) => Ok(Self::Query(Query {
                    transaction,
                    id,
                    read_only: is_set(&root, "ro"),
                    method,
                })),
                Err((code, text)) => Err(Undecodable::BadQuery {
                    transaction,
                    code,
                    text,
                }),
            },
            Some(kind @ (b"r" | b"e")) => {
                let reply = match kind {
                    b"r" => response(&root).map(|it| Reply::Response(Box::new(it))),
                    _ => Some(error(&root)),
                };
                Ok(Self::Reply(ReplyMessage {
                    transaction,
                    external: root.bytes("ip").and_then(external),
                    reply: reply.ok_or(Undecodable::Ignored)?,
                }))
            }
            _ => Err(Undecodable::Ignored),
        }
    }
}

type QueryError = (i64, &'static str);

const fn missing(text: &'static str) -> QueryError {
    (error_code::PROTOCOL, text)
}

fn query(root: &Dict<'_>) -> Result<(NodeId, Method), QueryError> {
    let method = root.bytes("q").ok_or(missing("missing 'q' key"))?;
    let args = root.dict("a").ok_or(missing("missing 'a' key"))?;
    let id = node_id(&args, "id").ok_or(missing("missing 'id' key"))?;
    let want = want(&args);
    let target = || node_id(&args, "target").ok_or(missing("missing 'target' key"));
    let info_hash = || node_id(&args, "info_hash").ok_or(missing("missing 'info_hash' key"));
    let token = || bytes(&args, "token").ok_or(missing("missing 'token' key"));
    let method = match method {
        b"ping" => Method::Ping,
        b"find_node" => Method::FindNode {
            target: target()?,
            want,
        },
        b"get_peers" => Method::GetPeers {
            info_hash: info_hash()?,
            noseed: is_set(&args, "noseed"),
            scrape: is_set(&args, "scrape"),
            want,
        },
        b"announce_peer" => {
            let implied_port = is_set(&args, "implied_port");
            let port = args.int("port").ok_or(missing("missing 'port' key"))?;
            let port = match (u16::try_from(port), implied_port) {
                (Ok(port), _) if port != 0 => port,
                (_, true) => 0,
                _ => return Err(missing("invalid port")),
            };
            Method::AnnouncePeer {
                info_hash: info_hash()?,
                port,
                implied_port,
                seed: is_set(&args, "seed"),
                token: token()?,
            }
        }
        b"get" => Method::Get {
            target: target()?,
            seq: args.int("seq"),
            want,
        },
        b"put" => put(&args, token()?)?,
        b"sample_infohashes" => Method::SampleInfohashes {
            target: target()?,
            want,
        },
        _ => {
            let target = node_id(&args, "target").or_else(|| node_id(&args, "info_hash"));
            let unknown = (error_code::METHOD_UNKNOWN, "unknown method");
            Method::Unknown {
                target: target.ok_or(unknown)?,
                want,
            }
        }
    };
    Ok((id, method))
}

/// What is signed has to be canonical: anything else would not survive a journey.
fn put(args: &Dict<'_>, token: Bytes) -> Result<Method, QueryError> {
    let value = args.get("v").ok_or(missing("missing 'v' key"))?;
    let canonical = args.value().check_canonical();
    canonical.map_err(|_| missing("not canonical bencode"))?;
    let key = args.bytes("k").map(fixed).transpose()?;
    let signature = args.bytes("sig").map(fixed).transpose()?;
    let mutable = match (key, signature, args.int("seq")) {
        (Some(key), Some(signature), Some(seq)) => Some(PutMutable {
            key,
            signature,
            seq,
            cas: args.int("cas"),
            salt: bytes(args, "salt").unwrap_or_default(),
        }),
        (None, None, _) => None,
        _ => return Err(missing("a mutable item needs 'k', 'sig' and 'seq'")),
    };
    Ok(Method::Put {
        token,
        value: Bytes::copy_from_slice(value.raw()),
        mutable,
    })
}

fn response(root: &Dict<'_>) -> Option<Response> {
    let values = root.dict("r")?;
    let nodes = |key: &str, family| {
        let bytes = values.bytes(key)?;
        Some(read_nodes(bytes, family, MAX_NODES))
    };
    let filter = |key: &str| BloomFilter::from_bytes(values.bytes(key)?).map(Box::new);
    Some(Response {
        id: node_id(&values, "id")?,
        nodes: nodes("nodes", Family::V4),
        nodes6: nodes("nodes6", Family::V6),
        peers: peers(&values),
        token: bytes(&values, "token").filter(|token| token.len() <= MAX_TOKEN),
        seeds: filter("BFsd"),
        downloaders: filter("BFpe"),
        value: values
            .get("v")
            .map(|value| Bytes::copy_from_slice(value.raw())),
        key: values.bytes("k").and_then(|key| key.try_into().ok()),
        signature: values.bytes("sig").and_then(|it| it.try_into().ok()),
        seq: values.int("seq"),
        samples: samples(&values),
    })
}

/// Each peer is a string; or all of them are one, as the first client had it.
fn peers(values: &Dict<'_>) -> Vec<SocketAddr> {
    let Some(list) = values.list("values") else {
        return Vec::new();
    };
    let mut members = list.iter();
    let mut peers = Vec::new();
    let mut add = |bytes: &[u8]| {
        let addr = read_endpoint(bytes).map(canonical);
        peers.extend(addr.filter(|addr| is_usable(*addr)));
    };
    match (members.next().and_then(|it| it.as_bytes()), members.next()) {
        (Some(all), None) if all.len() > 6 && all.len() != 18 => {
            all.chunks_exact(6).take(MAX_PEERS).for_each(&mut add);
        }
        _ => list
            .iter()
            .filter_map(|peer| peer.as_bytes())
            .take(MAX_PEERS)
            .for_each(&mut add),
    }
    peers
}

fn samples(values: &Dict<'_>) -> Option<Samples> {
    let hashes = values.bytes("samples")?.chunks_exact(20);
    let number = |key: &str| u32::try_from(values.int(key).unwrap_or(0)).unwrap_or(0);
    Some(Samples {
        interval: number("interval").min(super::super::MAX_SAMPLE_INTERVAL),
        total: number("num"),
        hashes: hashes
            .take(MAX_SAMPLES)
            .filter_map(|hash| Some(NodeId(hash.try_into().ok()?)))
            .collect(),
    })
}

fn error(root: &Dict<'_>) -> Reply {
    let list = root.list("e");
    let member = |index| list.and_then(|list| list.get(index));
    let code = member(0).and_then(|code: Value<'_>| code.as_int());
    let text = member(1).and_then(|text: Value<'_>| text.as_bytes());
    let text = String::from_utf8_lossy(text.unwrap_or_default());
    Reply::Error {
        code: code.unwrap_or(error_code::PROTOCOL),
        text: text.chars().take(MAX_ERROR_TEXT).collect(),
    }
}

/// An address, with a port or without.
fn external(bytes: &[u8]) -> Option<SocketAddr> {
    let alone = read_ip(bytes).map(|ip| SocketAddr::new(ip, 0));
    alone.or_else(|| read_endpoint(bytes)).map(canonical)
}

fn node_id(dict: &Dict<'_>, key: &str) -> Option<NodeId> {
    Some(NodeId(dict.bytes(key)?.try_into().ok()?))
}

fn bytes(dict: &Dict<'_>, key: &str) -> Option<Bytes> {
    dict.bytes(key).map(Bytes::copy_from_slice)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], QueryError> {
    bytes
        .try_into()
        .map_err(|_| missing("a key or signature has the wrong length"))
}

fn is_set(dict: &Dict<'_>, key: &str) -> bool {
    dict.int(key).is_some_and(|value| value != 0)
}

fn want(args: &Dict<'_>) -> Want {
    let mut want = Want::default();
    for family in args.list("want").into_iter().flat_map(|list| list.iter()) {
        match family.as_bytes() {
            Some(b"n4") => want.v4 = true,
            Some(b"n6") => want.v6 = true,
            _ => {}
        }
    }
    want
}

/// The contacts of a response, of both families.
impl Response {
    /// Nodes of both families.
    pub fn contacts(&self) -> impl Iterator<Item = NodeContact> + '_ {
        let lists = [&self.nodes, &self.nodes6].into_iter().flatten();
        lists.flatten().copied()
    }
}
