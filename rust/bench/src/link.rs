//! What feeder and sink share: reading a torrent, and a connection that takes
//! messages in as they come, many to a read.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use torrent_core::ids::PeerId;
use torrent_core::metainfo::{Info, Metainfo};
use torrent_core::wire::{HANDSHAKE_LEN, Handshake, Message, message_limit};

use crate::Result;

/// Bytes asked of the kernel at a time.
const READ_BYTES: usize = 1 << 20;

/// Reads a .torrent file of a single file.
pub(crate) fn load(path: &str) -> Result<Arc<Info>> {
    let data = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let info = Metainfo::parse(&data)?.info;
    if info.is_multi_file() {
        return Err(format!("{path}: raw peers serve torrents of a single file only").into());
    }
    Ok(info)
}

/// A connection behind its handshake.
pub(crate) struct Link {
    stream: TcpStream,
    buffer: Box<[u8]>,
    /// How much of `buffer` is read and not yet taken.
    filled: usize,
    limit: usize,
}

impl Link {
    /// Shakes hands over `stream`, for the swarm of `info`.
    pub(crate) fn open(mut stream: TcpStream, info: &Info) -> Result<Self> {
        stream.set_nodelay(true)?;
        let ours = Handshake {
            reserved: [0; 8],
            info_hash: info.hash(),
            peer_id: PeerId(*b"-GB0000-raw-raw-raw-"),
        };
        stream.write_all(&ours.encode())?;
        let mut bytes = [0; HANDSHAKE_LEN];
        stream.read_exact(&mut bytes)?;
        if Handshake::decode(&bytes)?.info_hash != info.hash() {
            return Err("the other side came for another torrent".into());
        }
        let limit = message_limit(info.layout.num_pieces());
        Ok(Self {
            stream,
            buffer: vec![0; READ_BYTES.max(limit + 4)].into(),
            filled: 0,
            limit,
        })
    }

    /// Where to send.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Waits for bytes and gives every message that is whole by then to
    /// `take`. Returns `false` at the end of the connection.
    pub(crate) fn receive(
        &mut self,
        mut take: impl FnMut(Message<'_>) -> Result<()>,
    ) -> Result<bool> {
        let read = match self.stream.read(&mut self.buffer[self.filled..]) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            read => read?,
        };
        self.filled += read;
        let mut input = &self.buffer[..self.filled];
        while let Some((message, used)) = Message::decode(input, self.limit)? {
            take(message)?;
            input = &input[used..];
        }
        let left = input.len();
        self.buffer.copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        Ok(read > 0)
    }
}
