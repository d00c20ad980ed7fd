//! The UDP tracker protocol (BEP 15, 41), for all torrents of a session.
//!
//! One [`UdpTrackers`] serves a session. Its driver gives
//! it queries ([`UdpTrackers::ask`]) and datagrams ([`UdpTrackers::datagram`]),
//! calls [`UdpTrackers::handle_timeout`] when [`UdpTrackers::poll_timeout`]
//! says so, and after each of these polls outputs until there are none.
//!
//! A tracker gives out connection ids, which prove that we are where we say we
//! are. One id serves all queries to that tracker from the same endpoint of ours
//! for a minute, and queries that come while one is being asked for wait for it
//! together. Whatever goes
//! unanswered is repeated after 15·2ⁿ seconds, within the query's own limit. A
//! query with several addresses gives the next one its turn instead.

mod packet;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{AnnounceEvent, AnnounceStats, Reply, Retry, ScrapeReply, TrackerFailure};
use crate::ids::InfoHash;
use packet::{Action, UdpResponse};

/// The first wait for an answer.
const FIRST_WAIT: Duration = Duration::from_secs(15);

/// Waits grow up to 15·2⁸ seconds.
const MAX_ATTEMPT: u32 = 8;

/// Addresses of one tracker that are tried.
const MAX_TARGETS: usize = 8;

/// Names a query; the driver chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// What a tracker is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// An announce.
    Announce {
        /// Why.
        event: AnnounceEvent,
        /// Peers wanted, at most.
        num_want: u32,
        /// The torrent's numbers.
        report: AnnounceStats,
    },
    /// The numbers of one swarm.
    Scrape(InfoHash),
}

/// Both ends of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpPath {
    /// The endpoint of ours that asks.
    pub local: SocketAddr,
    /// The tracker.
    pub tracker: SocketAddr,
}

/// A query, from a tracker's point of view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpQuery {
    /// The endpoint of ours that asks.
    pub local: SocketAddr,
    /// The tracker's addresses, of one family, best first; eight are tried.
    pub targets: Vec<SocketAddr>,
    /// What follows the host in its URL (BEP 41).
    pub path: String,
    /// What it is asked.
    pub ask: Ask,
    /// Limit for the query as a whole.
    pub limit: Duration,
}

/// A tracker's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpReply {
    /// To an announce.
    Announce(Reply),
    /// To a scrape.
    Scrape(ScrapeReply),
}

/// Why a query failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UdpError {
    /// No address to ask.
    #[error("the tracker has no address that can be asked")]
    NoAddress,
    /// No answer within the limit.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The tracker refuses.
    #[error("{0}")]
    Refused(String),
    /// The datagram could not be sent.
    #[error("{0}")]
    Send(String),
}

impl From<UdpError> for TrackerFailure {
    fn from(error: UdpError) -> Self {
        Self {
            message: error.to_string(),
            retry: Retry::Backoff,
        }
    }
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpOutput {
    /// Send a datagram.
    Send {
        /// From and to these addresses.
        path: UdpPath,
        /// Its bytes.
        packet: Vec<u8>,
    },
    /// A query has come to its end.
    Done {
        /// The query.
        id: QueryId,
        /// How it ended.
        result: Result<UdpReply, UdpError>,
    },
}

/// A datagram that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Sent {
    transaction: u32,
    due: Instant,
}

/// One address of a tracker, for one endpoint of ours.
#[derive(Debug, Default)]
struct Server {
    connection: Option<UdpConnection>,
    connecting: Option<Sent>,
    /// Connect requests in a row without an answer.
    attempt: u32,
}

#[derive(Clone, Copy, Debug)]
struct UdpConnection {
    id: u64,
    since: Instant,
}

#[derive(Debug)]
struct Query {
    local: SocketAddr,
    /// The first is the one that is being asked.
    targets: VecDeque<SocketAddr>,
    url_path: String,
    ask: Ask,
    limit: Duration,
    deadline: Instant,
    /// `None` while it waits for a connection id.
    sent: Option<Sent>,
    attempt: u32,
    /// The connection id was there before the query.
    on_old_connection: bool,
}

impl Query {
    /// The path on which it is asked.
    fn path(&self) -> Option<UdpPath> {
        let (local, tracker) = (self.local, *self.targets.front()?);
        Some(UdpPath { local, tracker })
    }
}

/// Whose answer a transaction is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Server(UdpPath),
    Query(QueryId),
}

/// All exchanges with UDP trackers; see the [module](self).
#[derive(Debug)]
pub struct UdpTrackers {
    rng: StdRng,
    token_expiry: Duration,
    servers: HashMap<UdpPath, Server>,
    queries: HashMap<QueryId, Query>,
    transactions: HashMap<u32, Owner>,
    outputs: VecDeque<UdpOutput>,
}

impl UdpTrackers {
    /// An idle machine. Transaction ids depend on `seed`, which must not be
    /// guessable: they are what keeps third parties from answering in a tracker's
    /// name.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            token_expiry: Duration::from_secs(60),
            servers: HashMap::new(),
            queries: HashMap::new(),
            transactions: HashMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// How long a connection id is used: a minute, unless set otherwise
    /// (`udp_tracker_token_expiry`).
    pub fn set_token_expiry(&mut self, expiry: Duration) {
        self.token_expiry = expiry;
    }

    /// Begins a query. It ends with an [`UdpOutput::Done`] unless it is
    /// [cancelled](Self::cancel).
    pub fn ask(&mut self, now: Instant, id: QueryId, query: UdpQuery) {
        let UdpQuery {
            local,
            targets,
            path,
            ask,
            limit,
        } = query;
        self.forget_idle_servers(now);
        let targets = targets.into_iter().filter(|to| to.port() != 0);
        let query = Query {
            local,
            targets: targets.take(MAX_TARGETS).collect(),
            url_path: path,
            ask,
            limit,
            deadline: now + limit,
            sent: None,
            attempt: 0,
            on_old_connection: false,
        };
        self.queries.insert(id, query);
        self.proceed(now, id);
    }

    /// Gives a query up: its answer is of no interest any more.
    pub fn cancel(&mut self, id: QueryId) {
        if let Some(sent) = self.queries.remove(&id).and_then(|query| query.sent) {
            self.transactions.remove(&sent.transaction);
        }
    }

    /// A datagram has arrived: at `path.local`, from `path.tracker`. Whether it was
    /// an answer that a query waits for; everything else is ignored.
    pub fn datagram(&mut self, now: Instant, path: UdpPath, bytes: &[u8]) -> bool {
        let Some(answer) = UdpResponse::parse(bytes) else {
            return false;
        };
        match self.transactions.get(&answer.transaction) {
            Some(&Owner::Server(asked)) if asked == path => self.connected(now, path, answer),
            Some(&Owner::Query(id)) if self.path(id) == Some(path) => {
                self.answered(now, id, path, answer)
            }
            _ => false,
        }
    }

    /// A datagram could not be sent on this path.
    pub fn send_failed(&mut self, now: Instant, path: UdpPath, why: &str) {
        if let Some(connecting) = self.servers.remove(&path).and_then(|gone| gone.connecting) {
            self.transactions.remove(&connecting.transaction);
        }
        for id in self.asking(path, |_| true) {
            self.unsend(id);
            if !self.next_target(now, id) {
                self.finish(id, Err(UdpError::Send(why.to_owned())));
            }
        }
    }

    /// Sockets of ours have been replaced: the same endpoints may send from other
    /// ports now. Answers to what is under way are lost and connection ids may not
    /// be good for the new ports, so all of it begins anew, within its limits.
    pub fn sockets_replaced(&mut self, now: Instant) {
        for server in self.servers.values_mut() {
            if let Some(connecting) = server.connecting.take() {
                self.transactions.remove(&connecting.transaction);
            }
            *server = Server::default();
        }
        let ids = self.matching(|_| true);
        for &id in &ids {
            self.unsend(id);
            if let Some(query) = self.queries.get_mut(&id) {
                query.attempt = 0;
            }
        }
        for id in ids {
            self.proceed(now, id);
        }
    }

    /// Repeats what is unanswered and ends what took too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let late = |query: &Query| query.deadline <= now;
        for id in self.matching(late) {
            let limit = self.queries.get(&id).map(|query| query.limit);
            self.finish(id, Err(UdpError::Timeout(limit.unwrap_or_default())));
        }
        let unanswered = |query: &Query| query.sent.is_some_and(|sent| sent.due <= now);
        for id in self.matching(unanswered) {
            self.unsend(id);
            if !self.next_target(now, id) {
                if let Some(query) = self.queries.get_mut(&id) {
                    query.attempt += 1;
                }
                self.proceed(now, id);
            }
        }
        let silent: Vec<_> = self
            .servers
            .iter()
            .filter_map(|(&path, server)| {
                let connecting = server.connecting.filter(|sent| sent.due <= now)?;
                Some((path, connecting))
            })
            .collect();
        for (path, connecting) in silent {
            self.reconnect(now, path, connecting);
        }
        self.forget_idle_servers(now);
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let queries = self.queries.values().map(|query| {
            let due = query.sent.map_or(query.deadline, |sent| sent.due);
            due.min(query.deadline)
        });
        let servers = self.servers.values();
        let servers = servers.filter_map(|server| server.connecting.map(|sent| sent.due));
        queries.chain(servers).min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<UdpOutput> {
        self.outputs.pop_front()
    }

    fn path(&self, id: QueryId) -> Option<UdpPath> {
        self.queries.get(&id)?.path()
    }

    /// The queries that `wanted` picks, in the order in which they were asked
    /// as far as their names show.
    fn matching(&self, wanted: impl Fn(&Query) -> bool) -> Vec<QueryId> {
        let queries = self.queries.iter();
        let mut ids: Vec<_> = queries
            .filter_map(|(&id, query)| wanted(query).then_some(id))
            .collect();
        ids.sort_unstable();
        ids
    }

    fn asking(&self, path: UdpPath, wanted: impl Fn(&Query) -> bool) -> Vec<QueryId> {
        self.matching(|query| query.path() == Some(path) && wanted(query))
    }

    fn waiting_at(&self, path: UdpPath) -> Vec<QueryId> {
        self.asking(path, |query| query.sent.is_none())
    }

    /// Sends the query, or asks for a connection id first.
    fn proceed(&mut self, now: Instant, id: QueryId) {
        let Some(query) = self.queries.get(&id) else {
            return;
        };
        let Some(path) = query.path() else {
            return self.finish(id, Err(UdpError::NoAddress));
        };
        let server = self.servers.entry(path).or_default();
        let fresh = |known: &UdpConnection| now < known.since + self.token_expiry;
        match server.connection.filter(fresh) {
            Some(connection) => self.send_query(now, id, path, connection),
            None if server.connecting.is_some() => {}
            None => self.send_connect(now, path),
        }
    }

    fn send_query(&mut self, now: Instant, id: QueryId, path: UdpPath, connection: UdpConnection) {
        let transaction = self.new_transaction(Owner::Query(id));
        let Some(query) = self.queries.get_mut(&id) else {
            return;
        };
        query.on_old_connection = connection.since < now;
        query.sent = Some(Sent {
            transaction,
            due: now + wait(query.attempt),
        });
        let packet = match &query.ask {
            Ask::Announce {
                event,
                num_want,
                report,
            } => packet::announce(
                connection.id,
                transaction,
                *event,
                *num_want,
                report,
                &query.url_path,
            ),
            Ask::Scrape(info_hash) => packet::scrape(connection.id, transaction, *info_hash),
        };
        self.outputs.push_back(UdpOutput::Send { path, packet });
    }

    fn send_connect(&mut self, now: Instant, path: UdpPath) {
        let transaction = self.new_transaction(Owner::Server(path));
        let server = self.servers.entry(path).or_default();
        server.connection = None;
        server.connecting = Some(Sent {
            transaction,
            due: now + wait(server.attempt),
        });
        let packet = packet::connect(transaction);
        self.outputs.push_back(UdpOutput::Send { path, packet });
    }

    /// No answer to a connect request: those who have another address go
    /// there, the others try again.
    fn reconnect(&mut self, now: Instant, path: UdpPath, silent: Sent) {
        self.transactions.remove(&silent.transaction);
        if let Some(server) = self.servers.get_mut(&path) {
            server.connecting = None;
            server.attempt = server.attempt.saturating_add(1);
        }
        for id in self.waiting_at(path) {
            self.next_target(now, id);
        }
        if !self.waiting_at(path).is_empty() {
            self.send_connect(now, path);
        }
    }

    /// Turns to the next address of the query's tracker, if there is one.
    fn next_target(&mut self, now: Instant, id: QueryId) -> bool {
        let Some(query) = self.queries.get_mut(&id) else {
            return true;
        };
        if query.targets.len() < 2 {
            return false;
        }
        query.targets.pop_front();
        query.attempt = 0;
        self.proceed(now, id);
        true
    }

    /// The tracker answers a connect request.
    fn connected(&mut self, now: Instant, path: UdpPath, answer: UdpResponse<'_>) -> bool {
        let failure = match answer.action {
            Action::Connect => None,
            Action::Error => Some(UdpError::Refused(answer.error())),
            Action::Announce | Action::Scrape => return false,
        };
        self.transactions.remove(&answer.transaction);
        let id = answer.connection().unwrap_or_default();
        let connection = UdpConnection { id, since: now };
        if let Some(server) = self.servers.get_mut(&path) {
            server.connecting = None;
            server.attempt = 0;
            server.connection = failure.is_none().then_some(connection);
        }
        for id in self.waiting_at(path) {
            match &failure {
                None => self.send_query(now, id, path, connection),
                Some(error) => self.finish(id, Err(error.clone())),
            }
        }
        true
    }

    /// The tracker answers a query.
    fn answered(
        &mut self,
        now: Instant,
        id: QueryId,
        path: UdpPath,
        answer: UdpResponse<'_>,
    ) -> bool {
        let Some(query) = self.queries.get_mut(&id) else {
            return false;
        };
        let result = match (answer.action, &query.ask) {
            (Action::Announce, Ask::Announce { .. }) => {
                Ok(UdpReply::Announce(answer.reply(path.tracker)))
            }
            (Action::Scrape, Ask::Scrape(_)) => Ok(UdpReply::Scrape(answer.scraped())),
            // The tracker may have been restarted since it gave out the id,
            // or gives it less than a minute.
            (Action::Error, _) if query.on_old_connection => {
                self.unsend(id);
                if let Some(server) = self.servers.get_mut(&path) {
                    server.connection = None;
                }
                self.proceed(now, id);
                return true;
            }
            (Action::Error, _) => Err(UdpError::Refused(answer.error())),
            _ => return false,
        };
        self.finish(id, result);
        true
    }

    fn finish(&mut self, id: QueryId, result: Result<UdpReply, UdpError>) {
        self.cancel(id);
        self.outputs.push_back(UdpOutput::Done { id, result });
    }

    /// Forgets the query's last datagram.
    fn unsend(&mut self, id: QueryId) {
        let query = self.queries.get_mut(&id);
        if let Some(sent) = query.and_then(|query| query.sent.take()) {
            self.transactions.remove(&sent.transaction);
        }
    }

    /// A server is known as long as a query goes to it or its
    /// connection id may still be of use.
    fn forget_idle_servers(&mut self, now: Instant) {
        let (queries, expiry) = (&self.queries, self.token_expiry);
        self.servers.retain(|path, server| {
            server.connecting.is_some()
                || server
                    .connection
                    .is_some_and(|known| now < known.since + expiry)
                || queries.values().any(|query| query.path() == Some(*path))
        });
    }

    fn new_transaction(&mut self, owner: Owner) -> u32 {
        loop {
            let transaction = self.rng.random();
            if let Entry::Vacant(free) = self.transactions.entry(transaction) {
                free.insert(owner);
                return transaction;
            }
        }
    }
}

/// 15·2ⁿ seconds.
fn wait(attempt: u32) -> Duration {
    FIRST_WAIT * 2u32.pow(attempt.min(MAX_ATTEMPT))
}
