//! A transfer in one or both directions.

use std::sync::LazyLock;
use std::time::Duration;

use torrent_core::utp::{UtpError, UtpId, UtpOutput};

use super::DatagramNet;

/// One end of a stream: what it sends, and what it has received.
#[derive(Debug, Default)]
pub struct End {
    /// Its connection.
    pub id: Option<UtpId>,
    /// Bytes to send.
    pub wanted: u64,
    /// Bytes written so far.
    pub written: u64,
    /// Bytes read so far; all were right.
    pub read: u64,
    /// The end of the stream was read.
    pub finished: bool,
    /// Why the connection is over, if not by its end.
    pub error: Option<UtpError>,
    /// It does not read.
    pub holds: bool,
}

/// A stream that host 0 makes. Both ends send what they are to send, then the
/// end, and read all.
#[derive(Debug, Default)]
pub struct Flow {
    /// Both ends.
    pub ends: [End; 2],
    /// Bytes that host 1 has read by each tenth of a second.
    pub progress: Vec<u64>,
}

/// Bytes that are written and read at once, at most.
const CHUNK: usize = 16 * 1024;

/// After so many bytes a stream repeats itself.
const PERIOD: usize = 65_521;

/// The bytes of a stream from an offset on.
fn bytes(offset: u64, count: usize) -> &'static [u8] {
    static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let byte = |at: usize| ((at % PERIOD) ^ ((at % PERIOD) >> 8)) as u8;
        (0..PERIOD + CHUNK).map(byte).collect()
    });
    let start = (offset % PERIOD as u64) as usize;
    &PATTERN[start..start + count]
}

impl Flow {
    /// A stream with so many bytes from host 0, and so many from host 1.
    pub fn start(net: &mut DatagramNet, wanted: [u64; 2]) -> Self {
        let (now, peer) = (net.instant(), net.address(1));
        let mut flow = Self::default();
        flow.ends[0].id = net.utp(0).connect(now, peer).ok();
        for (end, wanted) in flow.ends.iter_mut().zip(wanted) {
            end.wanted = wanted;
        }
        net.pump(0);
        flow
    }

    /// What is to be done about an output.
    pub fn handle(&mut self, net: &mut DatagramNet, host: usize, output: UtpOutput) {
        match output {
            UtpOutput::Incoming(id, _) => {
                assert_eq!(self.ends[host].id, None, "one stream, not two");
                self.ends[host].id = Some(id);
                self.write(net, host);
            }
            UtpOutput::Connected(_) | UtpOutput::Writable(_) => self.write(net, host),
            UtpOutput::Readable(_) => self.read(net, host),
            UtpOutput::Closed(_, error) => self.ends[host].error = Some(error),
        }
    }

    /// Writes what there is room for.
    pub fn write(&mut self, net: &mut DatagramNet, host: usize) {
        let now = net.instant();
        let end = &mut self.ends[host];
        let Some(id) = end.id else {
            return;
        };
        loop {
            let left = (end.wanted - end.written).min(CHUNK as u64) as usize;
            if left == 0 {
                net.utp(host).shutdown(now, id);
                break;
            }
            match net.utp(host).write(now, id, bytes(end.written, left)) {
                Ok(0) | Err(_) => break,
                Ok(taken) => end.written += taken as u64,
            }
        }
    }

    /// Reads what is there.
    pub fn read(&mut self, net: &mut DatagramNet, host: usize) {
        let now = net.instant();
        let tenth = (net.now().as_millis() / 100) as usize;
        let end = &mut self.ends[host];
        let Some(id) = end.id.filter(|_| !end.holds) else {
            return;
        };
        let mut buffer = [0; CHUNK];
        loop {
            match net.utp(host).read(now, id, &mut buffer) {
                Ok(Some(0)) => {
                    end.finished = true;
                    break;
                }
                Ok(Some(count)) => {
                    let right = &buffer[..count] == bytes(end.read, count);
                    assert!(right, "wrong bytes after {} at host {host}", end.read);
                    end.read += count as u64;
                }
                Ok(None) | Err(_) => break,
            }
        }
        if host == 1 {
            let read = end.read;
            let last = self.progress.last().copied().unwrap_or(0);
            if self.progress.len() <= tenth {
                self.progress.resize(tenth, last);
                self.progress.push(read);
            }
            self.progress[tenth] = read;
        }
    }

    /// Lets time pass until both ends have read all, or until `until`.
    pub fn run(&mut self, net: &mut DatagramNet, until: Duration) -> bool {
        net.run(until, |net, host, output| {
            self.handle(net, host, output);
            !(self.ends[0].finished && self.ends[1].finished)
        })
    }

    /// Bytes a second that host 1 has read in a part of the time.
    pub fn rate(&self, from: Duration, to: Duration) -> f64 {
        let at = |time: Duration| {
            let tenth = (time.as_millis() as usize / 100).saturating_sub(1);
            let last = self.progress.last().copied().unwrap_or(0);
            self.progress.get(tenth).copied().unwrap_or(last) as f64
        };
        (at(to) - at(from)) / (to - from).as_secs_f64()
    }
}
