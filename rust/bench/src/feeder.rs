//! The seeder that costs as little as a seeder can: the payload is in
//! memory, and blocks leave it in scattered writes of many at a time.

use std::fs;
use std::io::{self, IoSlice, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};
use torrent_core::bitfield::Bitfield;
use torrent_core::metainfo::Info;
use torrent_core::wire::{Message, PIECE_HEADER_LEN, Request, piece_header};

use crate::link::{self, Link};
use crate::{Peer, Result, text, unknown};

/// Blocks to a write: 512 KiB, in twice as many slices.
const BLOCKS_PER_WRITE: usize = 32;

/// Serves one torrent to every peer that connects.
#[derive(Default)]
pub(crate) struct Feeder {
    listener: Option<TcpListener>,
}

/// What is served.
struct Payload {
    info: Arc<Info>,
    bytes: Vec<u8>,
}

impl Peer for Feeder {
    fn handle(&mut self, command: &str, params: &Value) -> Result<Value> {
        match command {
            "init" => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let port = listener.local_addr()?.port();
                self.listener = Some(listener);
                Ok(json!({"listen_port": port}))
            }
            "add_torrent_and_seed" => {
                let listener = self.listener.take().ok_or("init comes first, and once")?;
                let info = link::load(text(params, "path")?)?;
                let file = Path::new(text(params, "data_dir")?).join(&info.name);
                let bytes =
                    fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
                if bytes.len() as u64 != info.layout.total_length() {
                    return Err(format!("{} has not the torrent's length", file.display()).into());
                }
                let id = info.hash().to_string();
                let payload = Arc::new(Payload { info, bytes });
                thread::spawn(move || accept(&listener, &payload));
                Ok(json!({"torrent_id": id}))
            }
            "get_torrent_status" => Ok(json!({"status": {"state": 5, "is_seeding": true}})),
            other => unknown(other),
        }
    }
}

fn accept(listener: &TcpListener, payload: &Arc<Payload>) {
    for stream in listener.incoming() {
        let payload = Arc::clone(payload);
        thread::spawn(move || {
            let fed = stream
                .map_err(Into::into)
                .and_then(|stream| feed(stream, &payload));
            if let Err(error) = fed {
                eprintln!("feeder: {error}");
            }
        });
    }
}

/// Answers requests until the other side leaves.
fn feed(stream: TcpStream, payload: &Payload) -> Result<()> {
    let layout = &payload.info.layout;
    let mut link = Link::open(stream, &payload.info)?;
    let mut greeting = Vec::new();
    Message::Bitfield(Bitfield::full(layout.num_pieces()).as_bytes()).encode(&mut greeting);
    Message::Unchoke.encode(&mut greeting);
    link.stream().write_all(&greeting)?;

    let mut requests = Vec::new();
    loop {
        let open = link.receive(|message| {
            if let Message::Request(request) = message {
                if !layout.contains(request.piece, request.begin, request.length) {
                    return Err(format!("{request:?} lies outside of the torrent").into());
                }
                requests.push(request);
            }
            Ok(())
        })?;
        for batch in requests.chunks(BLOCKS_PER_WRITE) {
            send_blocks(link.stream(), payload, batch)?;
        }
        requests.clear();
        if !open {
            return Ok(());
        }
    }
}

/// Sends the blocks of `requests`, all of which lie inside the torrent.
fn send_blocks(stream: &mut TcpStream, payload: &Payload, requests: &[Request]) -> io::Result<()> {
    let headers: Vec<[u8; PIECE_HEADER_LEN]> = requests
        .iter()
        .map(|request| piece_header(request.piece, request.begin, request.length))
        .collect();
    let mut slices = Vec::with_capacity(2 * requests.len());
    for (header, request) in headers.iter().zip(requests) {
        let offset = payload.info.layout.piece_offset(request.piece) + u64::from(request.begin);
        // The payload fits into memory, so its offsets do too.
        let start = offset as usize;
        slices.push(IoSlice::new(header));
        slices.push(IoSlice::new(
            &payload.bytes[start..start + request.length as usize],
        ));
    }
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        match stream.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
