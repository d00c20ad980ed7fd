//! One endpoint: its machine, and the owners of its connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use torrent_core::settings::Settings;
use torrent_core::utp::{Multiplexer, UtpError, UtpId, UtpOutput, UtpSettings, UtpStats};

use super::UtpStream;
use crate::net::udp::Endpoint;

/// Datagrams that are sent to one peer before another one has its turn.
const SEGMENTS: usize = 16;

/// Such turns in which the machine is held.
const TURNS: usize = 8;

/// Where new connections of peers go.
#[derive(Default)]
pub(super) struct Incoming(ArcSwapOption<mpsc::Sender<UtpStream>>);

impl Incoming {
    pub(super) fn set(&self, queue: mpsc::Sender<UtpStream>) {
        self.0.store(Some(Arc::new(queue)));
    }
}

/// What the owner of a connection waits for.
#[derive(Debug)]
pub(super) struct Slot {
    flags: AtomicU8,
    /// More flags are set. There is one owner, so a permit waits for it.
    changed: Notify,
}

impl Slot {
    /// It is worth trying to read.
    pub(super) const READABLE: u8 = 1;
    /// It is worth trying to write.
    pub(super) const WRITABLE: u8 = 2;
    /// The peer has accepted.
    pub(super) const CONNECTED: u8 = 4;
    /// It is over, and every attempt says why.
    pub(super) const CLOSED: u8 = 8;

    fn new(flags: u8) -> Arc<Self> {
        Arc::new(Self {
            flags: AtomicU8::new(flags),
            changed: Notify::new(),
        })
    }

    fn set(&self, flags: u8) {
        self.flags.fetch_or(flags, Ordering::AcqRel);
        self.changed.notify_one();
    }

    /// To be called while the machine is held, after an attempt that did nothing.
    fn clear(&self, flags: u8) {
        self.flags.fetch_and(!flags, Ordering::AcqRel);
    }

    /// There is nothing to try any more.
    fn silence(&self) {
        self.flags.store(0, Ordering::Release);
    }

    /// Waits until one of these is set, and says which are.
    pub(super) async fn wait_for(&self, wanted: u8) -> u8 {
        loop {
            let changed = self.changed.notified();
            let flags = self.flags.load(Ordering::Acquire);
            if flags & wanted != 0 {
                return flags;
            }
            changed.await;
        }
    }
}

/// A connection that a peer has made.
type Arrived = (UtpId, SocketAddr, Arc<Slot>);

struct State {
    machine: Multiplexer,
    slots: HashMap<UtpId, Arc<Slot>>,
    /// Connections of peers that are new.
    arrived: Vec<Arrived>,
    /// The session ends: owners hear nothing more, until they are gone too.
    is_closing: bool,
    /// What the machine has counted, as far as it is in the totals.
    counted: UtpStats,
}

/// What a driver waits for when everything is sent.
pub(super) struct Flushed {
    /// When to come back at the latest.
    pub(super) due: Option<Instant>,
    /// There may be more to send.
    pub(super) is_unfinished: bool,
    /// The system takes no more datagrams now.
    pub(super) is_blocked: bool,
    /// It has no room for them anywhere, and may not say when it has.
    pub(super) is_short: bool,
    /// What has happened since the last time.
    pub(super) counted: UtpStats,
}

/// One endpoint.
pub(crate) struct Mux {
    name: SocketAddr,
    is_local: bool,
    incoming: Arc<Incoming>,
    state: Mutex<State>,
    /// Something is to be sent, or the timer has changed.
    pub(super) wake: Notify,
    /// Datagrams have come.
    progress: Notify,
}

impl std::fmt::Debug for Mux {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mux")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Mux {
    pub(super) fn new(
        endpoint: &Endpoint,
        settings: &Settings,
        incoming: Arc<Incoming>,
    ) -> Arc<Self> {
        let mut machine = Multiplexer::new(Instant::now(), settings.into(), rand::random());
        machine.set_accepts(settings.enable_incoming_utp);
        Arc::new(Self {
            name: endpoint.name(),
            is_local: endpoint.is_local(),
            incoming,
            state: Mutex::new(State {
                machine,
                slots: HashMap::new(),
                arrived: Vec::new(),
                is_closing: false,
                counted: UtpStats::default(),
            }),
            wake: Notify::new(),
            progress: Notify::new(),
        })
    }

    /// The endpoint's address and port.
    pub(super) fn name(&self) -> SocketAddr {
        self.name
    }

    /// Whether it is for peers on the local network alone.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Puts other settings into effect.
    pub(super) fn apply(&self, settings: &Settings) {
        let mut state = self.state.lock();
        state.machine.set_settings(UtpSettings::from(settings));
        let accepts = settings.enable_incoming_utp && !state.is_closing;
        state.machine.set_accepts(accepts);
    }

    pub(super) fn handle_datagram(&self, from: SocketAddr, bytes: &[u8]) {
        let mut state = self.state.lock();
        state.machine.handle_datagram(Instant::now(), from, bytes);
    }

    /// Passes on what datagrams have changed.
    pub(super) fn batch_ends(self: &Arc<Self>) {
        let arrived = {
            let mut state = self.state.lock();
            state.drain_outputs();
            std::mem::take(&mut state.arrived)
        };
        for arrived in arrived {
            self.welcome(arrived);
        }
        self.wake.notify_one();
        self.progress.notify_one();
    }

    /// Hands a new connection to whoever accepts them.
    fn welcome(self: &Arc<Self>, (id, peer, slot): Arrived) {
        let stream = UtpStream::new(Arc::clone(self), id, peer, slot);
        let queue = self.incoming.0.load();
        match queue.as_ref().map(|queue| queue.try_reserve()) {
            Some(Ok(room)) => room.send(stream),
            _ => self.with(|state, now| state.machine.reset(now, id)),
        }
    }

    /// Calls the machine, and passes on what comes of it.
    fn with<T>(&self, call: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.state.lock();
        let result = call(&mut state, Instant::now());
        state.drain_outputs();
        let wanted = state.machine.wants_to_send();
        drop(state);
        if wanted {
            self.wake.notify_one();
        }
        result
    }

    /// Begins a connection.
    pub(super) fn connect(self: &Arc<Self>, peer: SocketAddr) -> io::Result<UtpStream> {
        let (id, slot) = self.with(|state, now| {
            if state.is_closing {
                return Err(io_error(UtpError::Closed));
            }
            let id = state.machine.connect(now, peer).map_err(io_error)?;
            let slot = Slot::new(0);
            state.slots.insert(id, Arc::clone(&slot));
            Ok((id, slot))
        })?;
        Ok(UtpStream::new(Arc::clone(self), id, peer, slot))
    }

    /// Reads what is there; 0 at the end of the stream.
    pub(super) fn read(&self, id: UtpId, slot: &Slot, room: &mut [u8]) -> io::Result<usize> {
        self.with(|state, now| {
            if state.is_closing {
                return Err(would_block(slot, Slot::READABLE));
            }
            match state.machine.read(now, id, room) {
                Ok(Some(count)) => Ok(count),
                Ok(None) => Err(would_block(slot, Slot::READABLE)),
                Err(error) => Err(io_error(error)),
            }
        })
    }

    /// Takes as much of all `slices` as there is room for.
    pub(super) fn write<'a>(
        &self,
        id: UtpId,
        slot: &Slot,
        slices: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        self.with(|state, now| {
            if state.is_closing {
                return Err(would_block(slot, Slot::WRITABLE));
            }
            let mut taken = 0;
            for slice in slices.filter(|slice| !slice.is_empty()) {
                match state.machine.write(now, id, slice) {
                    Ok(count) => {
                        taken += count;
                        if count < slice.len() {
                            break;
                        }
                    }
                    Err(_) if taken > 0 => break,
                    Err(error) => return Err(io_error(error)),
                }
            }
            match taken {
                0 => Err(would_block(slot, Slot::WRITABLE)),
                taken => Ok(taken),
            }
        })
    }

    /// Why a connection is over, if it is.
    pub(super) fn error(&self, id: UtpId) -> Option<io::Error> {
        let ended = self.with(|state, now| state.machine.write(now, id, &[]).err());
        ended.map(io_error)
    }

    /// The owner of a connection is gone: what was written still arrives.
    pub(super) fn release(&self, id: UtpId) {
        self.with(|state, now| {
            state.slots.remove(&id);
            state.machine.release(now, id);
        });
    }

    /// Ends all connections at once, without a word to peers.
    pub(super) fn fail(&self) {
        self.with(|state, now| {
            state.machine.reset_all(now);
            if !state.is_closing {
                state.slots.values().for_each(|slot| slot.set(u8::MAX));
            }
        });
    }

    /// Lets all connections go. Their owners hear nothing more.
    pub(super) fn release_all(&self) {
        self.with(|state, now| {
            state.is_closing = true;
            state.machine.set_accepts(false);
            state.machine.release_all(now);
            for slot in state.slots.values() {
                slot.silence();
            }
        });
    }

    /// Waits until all peers have what was written to them.
    pub(super) async fn settled(&self) {
        loop {
            let progress = self.progress.notified();
            if self.state.lock().machine.is_settled() {
                return;
            }
            progress.await;
        }
    }

    /// Ends all connections at once, and says so to peers.
    pub(super) fn reset_all(&self, endpoint: &Endpoint) {
        self.fail();
        let mut buffer = Vec::new();
        while self.flush(endpoint, &mut buffer).is_unfinished {}
    }

    /// The system takes datagrams again.
    pub(super) fn handle_writable(&self) {
        self.state.lock().machine.handle_writable(Instant::now());
    }

    /// Does what is due, and sends what there is, as far as one round goes.
    /// `buffer` is room to work in.
    pub(super) fn flush(&self, endpoint: &Endpoint, buffer: &mut Vec<u8>) -> Flushed {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.machine.handle_timeout(now);
        let mut is_short = false;
        for _ in 0..TURNS {
            is_short |= state.send(now, endpoint, buffer);
        }
        state.drain_outputs();
        Flushed {
            due: state.machine.poll_timeout(),
            is_unfinished: state.machine.wants_to_send(),
            is_blocked: state.machine.is_blocked(),
            is_short,
            counted: state.count(),
        }
    }
}

impl State {
    /// Has owners woken.
    fn drain_outputs(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            let (id, flags) = match output {
                UtpOutput::Incoming(id, peer) => {
                    let slot = Slot::new(Slot::READABLE | Slot::WRITABLE | Slot::CONNECTED);
                    self.slots.insert(id, Arc::clone(&slot));
                    self.arrived.push((id, peer, slot));
                    continue;
                }
                UtpOutput::Connected(id) => (id, Slot::CONNECTED | Slot::WRITABLE),
                UtpOutput::Readable(id) => (id, Slot::READABLE),
                UtpOutput::Writable(id) => (id, Slot::WRITABLE),
                UtpOutput::Closed(id, error) => {
                    tracing::debug!(%error, "a uTP connection is over");
                    (id, u8::MAX)
                }
            };
            if let Some(slot) = self.slots.get(&id) {
                slot.set(flags);
            }
        }
    }

    /// Sends one peer's turn. Whether the system has no buffers.
    fn send(&mut self, now: Instant, endpoint: &Endpoint, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        let Some(transmit) = self.machine.poll_transmit(now, SEGMENTS, buffer) else {
            return false;
        };
        for (at, datagram) in buffer.chunks(transmit.segment_size.max(1)).enumerate() {
            match endpoint.try_send(transmit.to, datagram) {
                Ok(()) => {}
                Err(error) if is_full(&error) => {
                    self.machine.handle_refused(now, at);
                    return error.kind() != io::ErrorKind::WouldBlock;
                }
                Err(error) if is_too_large(&error) && transmit.segments == 1 => {
                    self.machine.handle_too_large(now);
                }
                // As if it were lost: it may be about another datagram.
                Err(error) => tracing::debug!(to = %transmit.to, %error, "not sent"),
            }
        }
        false
    }

    fn count(&mut self) -> UtpStats {
        let earlier = std::mem::replace(&mut self.counted, self.machine.stats());
        self.counted.since(earlier)
    }
}

fn would_block(slot: &Slot, flags: u8) -> io::Error {
    slot.clear(flags);
    io::ErrorKind::WouldBlock.into()
}

/// Whether the system has no room for a datagram now.
fn is_full(error: &io::Error) -> bool {
    // ENOBUFS of macOS and the BSDs, WSAENOBUFS.
    let named = match error.raw_os_error() {
        Some(55) => cfg!(any(target_vendor = "apple", target_os = "freebsd")),
        Some(105) => cfg!(target_os = "linux"),
        Some(10_055) => cfg!(windows),
        _ => false,
    };
    named || error.kind() == io::ErrorKind::WouldBlock
}

/// Whether a datagram is larger than the system sends in one packet.
fn is_too_large(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(40) => cfg!(any(target_vendor = "apple", target_os = "freebsd")),
        Some(90) => cfg!(any(target_os = "linux", target_os = "android")),
        Some(10_040) => cfg!(windows),
        _ => false,
    }
}

fn io_error(error: UtpError) -> io::Error {
    let kind = match error {
        UtpError::TimedOut => io::ErrorKind::TimedOut,
        UtpError::Reset => io::ErrorKind::ConnectionReset,
        UtpError::Refused => io::ErrorKind::ConnectionRefused,
        UtpError::Closed => io::ErrorKind::NotConnected,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
