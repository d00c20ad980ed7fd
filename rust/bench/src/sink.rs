//! The leecher that costs as little as a leecher can: it asks for every block
//! in order, keeps a deep window of requests open, counts what comes and drops
//! it.

use std::io::Write;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{Block, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::metainfo::Info;
use torrent_core::wire::{Message, Request};

use crate::link::{self, Link};
use crate::{Peer, Result, text, unknown};

/// Requests that are open at a time: what libtorrent keeps open too.
const WINDOW: usize = 500;
/// The window is topped up once so many fit in: a write for each block would
/// make the seeder answer block by block.
const TOP_UP: usize = 64;

/// Fetches one torrent from one seeder.
#[derive(Default)]
pub(crate) struct Sink {
    info: Option<Arc<Info>>,
    finished: Option<Receiver<Result<()>>>,
}

impl Peer for Sink {
    fn handle(&mut self, command: &str, params: &Value) -> Result<Value> {
        match command {
            "init" => Ok(json!({"listen_port": 0})),
            "add_torrent_file" => {
                let info = link::load(text(params, "path")?)?;
                let id = info.hash().to_string();
                self.info = Some(info);
                Ok(json!({"torrent_id": id}))
            }
            "get_torrent_status" => Ok(json!({"status": {"state": 3, "is_seeding": false}})),
            "connect_peer" => {
                let info = Arc::clone(self.info.as_ref().ok_or("there is no torrent")?);
                let address: IpAddr = text(params, "ip")?.parse()?;
                let port = params["port"].as_u64().ok_or("'port' must be a number")?;
                let port = u16::try_from(port)?;
                let (tell, finished) = mpsc::channel();
                self.finished = Some(finished);
                thread::spawn(move || {
                    let drained = TcpStream::connect((address, port))
                        .map_err(Into::into)
                        .and_then(|stream| Link::open(stream, &info))
                        .and_then(|mut link| drain(&mut link, &info.layout).map(|()| link));
                    match drained {
                        Ok(link) => {
                            // The reader is gone when the benchmark was cancelled.
                            let _ = tell.send(Ok(()));
                            stay(link);
                        }
                        Err(error) => drop(tell.send(Err(error))),
                    }
                });
                Ok(json!({}))
            }
            "wait_for_alert" => {
                let milliseconds = params["timeout_ms"].as_u64().unwrap_or(0);
                self.finished
                    .as_ref()
                    .ok_or("connect_peer comes first")?
                    .recv_timeout(Duration::from_millis(milliseconds))??;
                Ok(json!({"alert": {"type_name": "torrent_finished"}}))
            }
            other => unknown(other),
        }
    }
}

/// Fetches every block once.
fn drain(link: &mut Link, layout: &Layout) -> Result<()> {
    let mut missing = missing_blocks(layout)?;
    let mut requests = layout.pieces().flat_map(|piece| {
        (0..layout.blocks_in_piece(piece)).map(move |index| Block::new(piece, index))
    });
    let mut out = Vec::new();
    Message::Interested.encode(&mut out);
    link.stream().write_all(&out)?;

    let mut unchoked = false;
    let mut open = 0usize;
    while !missing.none() {
        let connected = link.receive(|message| {
            match message {
                Message::Unchoke => unchoked = true,
                Message::Choke => return Err("the seeder choked the sink".into()),
                Message::Piece { piece, begin, data } => {
                    open = layout
                        .block_at(piece, begin, data.len() as u32)
                        .filter(|&block| missing.clear(number(layout, block)))
                        .and_then(|_| open.checked_sub(1))
                        .ok_or_else(|| format!("piece {piece} from {begin} was not asked for"))?;
                }
                _ => {}
            }
            Ok(())
        })?;
        if !connected {
            return Err("the seeder left in the middle".into());
        }
        if unchoked && open + TOP_UP <= WINDOW {
            out.clear();
            for block in requests.by_ref().take(WINDOW - open) {
                open += 1;
                Message::Request(Request {
                    piece: block.piece,
                    begin: block.begin(),
                    length: layout.block_len(block),
                })
                .encode(&mut out);
            }
            link.stream().write_all(&out)?;
        }
    }
    Ok(())
}

/// Keeps the connection until the other side ends it.
fn stay(mut link: Link) {
    while link.receive(|_| Ok(())).unwrap_or(false) {}
}

/// One number for each block of the torrent.
fn missing_blocks(layout: &Layout) -> Result<Bitfield> {
    let last = PieceIndex(layout.num_pieces() - 1);
    let blocks = layout
        .blocks_in_piece(PieceIndex(0))
        .checked_mul(last.0)
        .and_then(|whole| whole.checked_add(layout.blocks_in_piece(last)))
        .ok_or("the torrent has too many blocks")?;
    Ok(Bitfield::full(blocks))
}

fn number(layout: &Layout, block: Block) -> u32 {
    block.piece.0 * layout.blocks_in_piece(PieceIndex(0)) + block.index
}
