//! Two hosts that exchange datagrams of uTP over a link, on a virtual clock.
//!
//! A [`DatagramNet`] is made from a seed and a link. What runs is the real
//! multiplexer at both ends. The test is called for each output of either, and
//! may do anything with both.

mod cubic;
mod flow;
mod link;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use torrent_core::utp::{Multiplexer, UtpOutput, UtpSettings};

use crate::queue::EventQueue;
use cubic::Cubic;
pub use flow::{End, Flow};
pub use link::DatagramLink;
use link::Line;

/// How often what waits in the queue is noted.
const SAMPLE: Duration = Duration::from_millis(10);

enum Event {
    Arrive {
        host: usize,
        from: SocketAddr,
        datagram: Vec<u8>,
    },
    Timer(usize),
    Sample,
    CubicArrive(u64),
    CubicAck(u64),
}

/// Datagrams that the socket of a host takes before it refuses some.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals {
    /// One in so many is refused; 0 for none.
    pub every: u64,
    /// How long until the socket takes datagrams again.
    pub pause: Duration,
}

struct Host {
    utp: Multiplexer,
    address: SocketAddr,
    refusals: Refusals,
    sends: u64,
    refused_until: Option<Duration>,
}

/// Two hosts, 0 and 1, and the link between them.
pub struct DatagramNet {
    events: EventQueue<Event>,
    epoch: Instant,
    hosts: [Host; 2],
    /// From each host to the other one.
    lines: [Line; 2],
    rng: StdRng,
    outputs: VecDeque<(usize, UtpOutput)>,
    cubic: Option<Cubic>,
    /// What datagrams of host 0 waited at each moment.
    waits: Vec<(Duration, Duration)>,
    sampling: bool,
}

impl DatagramNet {
    /// Two hosts with a link that is the same in both directions.
    pub fn new(seed: u64, link: DatagramLink, settings: UtpSettings) -> Self {
        let epoch = Instant::now();
        let host = |index: u8| Host {
            utp: Multiplexer::new(epoch, settings, seed * 2 + u64::from(index)),
            address: ([10, 0, 0, index + 1], 6881).into(),
            refusals: Refusals::default(),
            sends: 0,
            refused_until: None,
        };
        Self {
            events: EventQueue::new(),
            epoch,
            hosts: [host(0), host(1)],
            lines: [Line::new(link), Line::new(link)],
            rng: StdRng::seed_from_u64(seed),
            outputs: VecDeque::new(),
            cubic: None,
            waits: Vec::new(),
            sampling: false,
        }
    }

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.events.now()
    }

    /// The same for the machines.
    pub fn instant(&self) -> Instant {
        self.epoch + self.events.now()
    }

    /// The multiplexer of a host.
    pub fn utp(&mut self, host: usize) -> &mut Multiplexer {
        &mut self.hosts[host].utp
    }

    /// The address of a host.
    pub fn address(&self, host: usize) -> SocketAddr {
        self.hosts[host].address
    }

    /// The link from a host to the other one, which may be changed at any time.
    pub fn link(&mut self, from: usize) -> &mut DatagramLink {
        &mut self.lines[from].link
    }

    /// Has the socket of a host refuse datagrams.
    pub fn refuse(&mut self, host: usize, refusals: Refusals) {
        self.hosts[host].refusals = refusals;
    }

    /// Bytes of payload of UDP and datagrams that a host has sent, and those
    /// of them that the link dropped by itself.
    pub fn sent(&self, host: usize) -> (u64, u64, u64) {
        let line = &self.lines[host];
        (line.bytes, line.datagrams, line.dropped)
    }

    /// Gives a datagram to a host, as if it came from `from`.
    pub fn inject(&mut self, host: usize, from: SocketAddr, datagram: Vec<u8>) {
        let now = self.now();
        self.events.push(
            now,
            Event::Arrive {
                host,
                from,
                datagram,
            },
        );
    }

    /// Notes from now on how long datagrams of host 0 wait.
    pub fn sample_waits(&mut self) {
        self.waits.clear();
        if !std::mem::replace(&mut self.sampling, true) {
            self.events.push(self.events.now(), Event::Sample);
        }
    }

    /// What the given part (0 to 1) of the samples since `since` did not exceed.
    pub fn wait_percentile(&self, since: Duration, part: f64) -> Duration {
        let samples = self.waits.iter().filter(|(at, _)| *at >= since);
        let mut waits: Vec<Duration> = samples.map(|it| it.1).collect();
        waits.sort_unstable();
        let at = ((waits.len() as f64 * part) as usize).min(waits.len().saturating_sub(1));
        waits.get(at).copied().unwrap_or_default()
    }

    /// Has a TCP flow from host 0 to host 1 compete, until `until`.
    pub fn start_cubic(&mut self, until: Duration) {
        self.cubic = Some(Cubic::new(until));
        self.pump_cubic();
    }

    /// Bytes that it has delivered.
    pub fn cubic_bytes(&self) -> u64 {
        let acked = self.cubic.as_ref().map_or(0, |it| it.acked);
        acked * cubic::PACKET as u64
    }

    fn pump_cubic(&mut self) {
        let now = self.now();
        let Some(flow) = &mut self.cubic else {
            return;
        };
        while let Some(number) = flow.poll(now) {
            let arrivals = self.lines[0].send(now, cubic::PACKET - 28, &mut self.rng);
            for at in arrivals.into_iter().flatten() {
                self.events.push(at, Event::CubicArrive(number));
            }
        }
    }

    /// Sends what a host has to send, and sets its timer.
    pub fn pump(&mut self, index: usize) {
        let now = self.now();
        let instant = self.instant();
        let other = 1 - index;
        let [from, to] = [index, other].map(|it| self.hosts[it].address);
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let host = &mut self.hosts[index];
            let Some(transmit) = host.utp.poll_transmit(instant, 16, &mut buffer) else {
                break;
            };
            for (at, segment) in buffer.chunks(transmit.segment_size).enumerate() {
                host.sends += 1;
                let every = host.refusals.every;
                if every > 0 && host.sends.is_multiple_of(every) {
                    host.utp.handle_refused(instant, at);
                    let until = now + host.refusals.pause;
                    host.refused_until = Some(until);
                    self.events.push(until, Event::Timer(index));
                    break;
                }
                let arrivals = self.lines[index].send(now, segment.len(), &mut self.rng);
                if transmit.to != to {
                    continue;
                }
                for arrival in arrivals.into_iter().flatten() {
                    self.events.push(
                        arrival,
                        Event::Arrive {
                            host: other,
                            from,
                            datagram: segment.to_vec(),
                        },
                    );
                }
            }
        }
        let host = &mut self.hosts[index];
        while let Some(output) = host.utp.poll_output() {
            self.outputs.push_back((index, output));
        }
        if let Some(due) = host.utp.poll_timeout() {
            assert!(due > instant, "a timer of the past");
            self.events.push(due - self.epoch, Event::Timer(index));
        }
    }

    /// Lets time pass until `until`, or until `each` returns false, which is
    /// called for each output. Whether it did.
    pub fn run(
        &mut self,
        until: Duration,
        mut each: impl FnMut(&mut Self, usize, UtpOutput) -> bool,
    ) -> bool {
        loop {
            while let Some((host, output)) = self.outputs.pop_front() {
                if !each(self, host, output) {
                    return true;
                }
                self.pump(0);
                self.pump(1);
            }
            let Some(event) = self.events.pop(until) else {
                return false;
            };
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        let instant = self.instant();
        match event {
            Event::Arrive {
                host,
                from,
                datagram,
            } => {
                self.hosts[host]
                    .utp
                    .handle_datagram(instant, from, &datagram);
                self.pump(host);
            }
            Event::Timer(index) => self.timer(index),
            Event::Sample => {
                let now = self.now();
                self.waits.push((now, self.lines[0].waiting(now)));
                self.events.push(now + SAMPLE, Event::Sample);
                if let Some(flow) = &mut self.cubic {
                    flow.tick(now);
                }
                self.pump_cubic();
            }
            Event::CubicArrive(number) => {
                let at = self.now() + self.lines[1].link.delay;
                self.events.push(at, Event::CubicAck(number));
            }
            Event::CubicAck(number) => {
                let now = self.now();
                if let Some(flow) = &mut self.cubic {
                    flow.ack(now, number);
                }
                self.pump_cubic();
            }
        }
    }

    fn timer(&mut self, index: usize) {
        let (now, instant) = (self.now(), self.instant());
        let host = &mut self.hosts[index];
        if host.refused_until.is_some_and(|until| until <= now) {
            host.refused_until = None;
            host.utp.handle_writable(instant);
        }
        let due = host.utp.poll_timeout();
        if due.is_some_and(|due| due <= instant) {
            host.utp.handle_timeout(instant);
        } else if !host.utp.wants_to_send() {
            return;
        }
        self.pump(index);
    }
}
