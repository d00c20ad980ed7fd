//! What can be chosen of uTP.

use std::time::Duration;

use crate::settings::Settings;

/// The `utp_*` settings of a session, and bounds that have no setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UtpSettings {
    /// `utp_target_delay`: how long packets may wait in the queues of the way
    /// because of us.
    pub target_delay: Duration,
    /// `utp_gain_factor`: bytes that the congestion window grows by in a round
    /// trip, at most, once slow start is over.
    pub gain_factor: u32,
    /// `utp_min_timeout`: the shortest time after which a packet without an ack
    /// is sent again.
    pub min_timeout: Duration,
    /// `utp_connect_timeout`: how long the first SYN waits for an answer.
    pub connect_timeout: Duration,
    /// `utp_syn_resends`: SYNs after the first one, at most.
    pub syn_resends: u32,
    /// `utp_fin_resends`: FINs after the first one, at most, while nothing comes
    /// back.
    pub fin_resends: u32,
    /// `utp_num_resends`: time-outs in a row, with nothing from the peer in
    /// between, that a connection survives.
    pub num_resends: u32,
    /// `utp_loss_multiplier`: what is left of the congestion window after a
    /// loss, in percent.
    pub loss_multiplier: u32,
    /// `utp_cwnd_reduce_timer`: losses closer together than this cut the window
    /// once.
    pub cwnd_reduce_timer: Duration,
    /// Silence of ours after which the peer is asked whether it is there, and
    /// routers between us are reminded of the connection.
    pub keep_alive: Duration,
    /// Bytes that one connection holds of what has arrived and was not read.
    pub receive_buffer: usize,
    /// The same for all connections of a multiplexer together; each may hold
    /// [`UtpSettings::MIN_RECEIVE_BUFFER`] beyond it.
    pub receive_budget: usize,
    /// Bytes that one connection holds of what was written and is not acked.
    pub send_buffer: usize,
    /// Connections of a multiplexer, those that are closing included.
    pub max_connections: usize,
    /// Bytes of the largest datagram over IPv4.
    pub max_datagram_v4: usize,
    /// Bytes of the largest datagram over IPv6.
    pub max_datagram_v6: usize,
}

impl UtpSettings {
    /// What each connection may hold, however much the other ones do.
    pub const MIN_RECEIVE_BUFFER: usize = 64 * 1024;
}

impl Default for UtpSettings {
    /// libtorrent's defaults.
    fn default() -> Self {
        Self {
            target_delay: Duration::from_millis(100),
            gain_factor: 3000,
            min_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(3),
            syn_resends: 2,
            fin_resends: 2,
            num_resends: 3,
            loss_multiplier: 50,
            cwnd_reduce_timer: Duration::from_millis(100),
            keep_alive: Duration::from_secs(29),
            receive_buffer: 4 << 20,
            receive_budget: 64 << 20,
            send_buffer: 4 << 20,
            max_connections: 1000,
            max_datagram_v4: 1500 - 28,
            max_datagram_v6: 1500 - 48,
        }
    }
}

impl From<&Settings> for UtpSettings {
    fn from(settings: &Settings) -> Self {
        let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        let number = |number: i64| u32::try_from(number).unwrap_or(0);
        // Those that are closing, and those in the handshake, beside the others.
        let connections = settings.connections_limit + settings.connections_slack;
        let connections = usize::try_from(connections).unwrap_or(0);
        let usual = Self::default();
        Self {
            target_delay: millis(settings.utp_target_delay),
            gain_factor: number(settings.utp_gain_factor),
            min_timeout: millis(settings.utp_min_timeout),
            connect_timeout: millis(settings.utp_connect_timeout),
            syn_resends: number(settings.utp_syn_resends),
            fin_resends: number(settings.utp_fin_resends),
            num_resends: number(settings.utp_num_resends),
            loss_multiplier: number(settings.utp_loss_multiplier),
            cwnd_reduce_timer: millis(settings.utp_cwnd_reduce_timer),
            max_connections: usual.max_connections.max(2 * connections),
            ..usual
        }
    }
}
