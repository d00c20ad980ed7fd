//! The services that the torrents and peers of a session share. A torrent knows
//! nothing else of its session; what it asks of that goes through [`Owner`].

pub(crate) mod address_filter;
pub(crate) mod choker;
pub(crate) mod connections;
pub(crate) mod final_announces;
pub(crate) mod network;
pub(crate) mod path_claims;
pub(crate) mod queue;
mod supervise;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::watch;
use torrent_core::external_ip::Witness;
use torrent_core::ids::TorrentKey;
use torrent_core::settings::Settings;
use torrent_core::torrent::Room;

use crate::buffers::BufferPool;
use crate::discovery::tracker::TrackerClient;
use crate::disk::{AwaitedFolders, Disk};
use crate::event::sink::EventSink;
use crate::event::{BlockReason, BlockedPeer, TorrentRef, typed};
use crate::net::bandwidth::BandwidthLimiter;
use crate::net::connect_limiter::ConnectLimiter;
use crate::net::dial::Dialler;
use crate::net::udp::UdpSockets;
use crate::net::utp::UtpEndpoints;
use crate::state_dir::StateStore;
use crate::stats::Stats;
use crate::timer::WallClock;
use address_filter::AddressFilter;
use choker::StandingInbox;
use connections::ConnectionCounter;
use final_announces::FinalAnnounces;
use network::Network;
use path_claims::PathClaims;
use queue::SessionQueue;
pub(crate) use supervise::{report_panic, supervise, supervise_owned};

/// What the tasks of a running session work with.
pub(crate) struct Context {
    pub(crate) services: Arc<Services>,
    pub(crate) disk: Disk,
    pub(crate) pool: BufferPool,
    pub(crate) trackers: TrackerClient,
    pub(crate) udp: Arc<UdpSockets>,
    pub(crate) utp: UtpEndpoints,
    pub(crate) connect_limiter: ConnectLimiter,
    pub(crate) dialler: Dialler,
    pub(crate) final_announces: FinalAnnounces,
}

/// What a torrent asks of the session that it is part of.
pub(crate) trait Owner: fmt::Debug + Send + Sync {
    /// Takes the torrent out of the session, if it is still there.
    fn forget(&self, torrent: TorrentKey);

    /// Bans an address in all torrents.
    fn ban(&self, ip: IpAddr);
}

/// What is shared from the beginning of a session on, and read by handles too.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) settings: watch::Sender<Arc<Settings>>,
    /// All torrents of the session are paused.
    pub(crate) paused: watch::Sender<bool>,
    /// True from the beginning of the shutdown on.
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) events: Arc<EventSink>,
    pub(crate) stats: Stats,
    pub(crate) clock: Arc<WallClock>,
    pub(crate) network: Network,
    pub(crate) connections: ConnectionCounter,
    pub(crate) bandwidth: Arc<BandwidthLimiter>,
    pub(crate) choking: Arc<StandingInbox>,
    pub(crate) queue: Arc<SessionQueue>,
    pub(crate) address_filter: AddressFilter,
    /// Which torrent has which place on disk.
    pub(crate) path_claims: Arc<PathClaims>,
    /// The folders that torrents wait for.
    pub(crate) awaited_folders: Arc<AwaitedFolders>,
    /// The state directory, where there is one; from the time on at which the
    /// session has it.
    pub(crate) state_store: OnceLock<Arc<StateStore>>,
    owner: OnceLock<Weak<dyn Owner>>,
}

impl Services {
    /// Those of a session with these settings.
    pub(crate) fn new(settings: Settings, address_filter: AddressFilter) -> Self {
        Self {
            events: Arc::new(EventSink::new(
                settings.alert_mask as u32,
                settings.alert_queue_size as usize,
            )),
            bandwidth: Arc::new(BandwidthLimiter::new(&settings)),
            queue: Arc::new(SessionQueue::new(&settings)),
            settings: watch::Sender::new(Arc::new(settings)),
            paused: watch::Sender::new(false),
            stopping: watch::Sender::new(false),
            stats: Stats::default(),
            clock: Arc::default(),
            network: Network::default(),
            connections: ConnectionCounter::default(),
            choking: Arc::default(),
            address_filter,
            path_claims: Arc::default(),
            awaited_folders: Arc::default(),
            state_store: OnceLock::new(),
            owner: OnceLock::new(),
        }
    }

    /// The session that they are of. Set once.
    pub(crate) fn set_owner(&self, owner: Weak<dyn Owner>) {
        let _ = self.owner.set(owner);
    }

    fn owner(&self) -> Option<Arc<dyn Owner>> {
        self.owner.get()?.upgrade()
    }

    /// As [`Owner::forget`]. A session that is gone has no torrents.
    pub(crate) fn forget(&self, torrent: TorrentKey) {
        if let Some(owner) = self.owner() {
            owner.forget(torrent);
        }
    }

    /// As [`Owner::ban`].
    pub(crate) fn ban(&self, ip: IpAddr) {
        if let Some(owner) = self.owner() {
            owner.ban(ip);
        }
    }

    /// A peer or a tracker says that our address is `ip`.
    pub(crate) fn seen_as(&self, ip: IpAddr, by: IpAddr, witness: Witness) {
        if let Some(ip) = self.network.seen_as(ip, by, witness) {
            self.events.post(typed::EXTERNAL_IP, None, || ip);
        }
    }

    /// Says that a connection with `peer` is not made.
    pub(crate) fn post_blocked(
        &self,
        torrent: Option<&Arc<TorrentRef>>,
        peer: SocketAddr,
        reason: BlockReason,
    ) {
        self.events
            .post(typed::PEER_BLOCKED, torrent, || BlockedPeer {
                peer: peer.into(),
                reason,
            });
    }

    /// Whether there may be one more connection with this address.
    pub(crate) fn room_for_connection(&self, ip: IpAddr) -> Room {
        self.connections.room(&self.settings.borrow(), ip)
    }

    /// How many more connections stay within the limit.
    pub(crate) fn free_connections(&self) -> usize {
        let free = self.settings.borrow().connections_limit - self.connections.len();
        usize::try_from(free).unwrap_or(0)
    }
}
