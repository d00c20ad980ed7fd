//! The parts of what can be read of a torrent, each made of what its task has
//! put together without a walk over pieces, and finished for a reader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use torrent_core::active_time::{ActiveTime, seconds_since};
use torrent_core::address::is_local;
use torrent_core::bitfield::Bitfield;
use torrent_core::clients;
use torrent_core::layout::Layout;
use torrent_core::mse::Method;
use torrent_core::torrent::{PeerMeta, file_progress};
use torrent_core::tracker::{EndpointRow, ScrapeReply, TrackerRow, TrackerState};

use super::lazy::Lazy;
use crate::event::unix_millis;
use crate::status::{PeerInfo, TorrentStatus, TrackerEndpoint, TrackerStatus, hex_peer_id};

// ---- status -----------------------------------------------------------------

/// The status, and the clocks in it that run on when nothing else changes.
#[derive(Debug, Default)]
pub(crate) struct StatusSnapshot {
    pub(crate) status: Arc<TorrentStatus>,
    /// `None` where no clock runs: the torrent has not begun, or is over.
    pub(crate) clocks: Option<Clocks>,
}

/// What of a status follows from the time alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    pub(crate) times: ActiveTime,
    pub(crate) next_announce: Option<Instant>,
    /// All of the torrent is in the swarm, or here.
    pub(crate) sees_complete: bool,
}

impl Clocks {
    /// Writes the times into `status` as of `now`.
    pub(crate) fn set(mut self, now: Instant, status: &mut TorrentStatus) {
        // A snapshot may be younger than `now`.
        self.times.advance(now.max(self.times.counted_to()));
        status.active_time = self.times.active.as_secs();
        status.finished_time = self.times.finished.as_secs();
        status.seeding_time = self.times.seeding.as_secs();
        status.time_since_download = seconds_since(now, self.times.last_download);
        status.time_since_upload = seconds_since(now, self.times.last_upload);
        status.next_announce = self.next_announce.map_or(-1, |due| {
            due.saturating_duration_since(now).as_secs() as i64
        });
        if self.sees_complete {
            status.last_seen_complete = unix_millis() / 1000;
        }
    }
}

impl StatusSnapshot {
    /// A status in which no clock runs.
    pub(crate) fn still(status: TorrentStatus) -> Self {
        Self {
            status: Arc::new(status),
            clocks: None,
        }
    }

    /// A status whose clocks run.
    pub(crate) fn running(status: TorrentStatus, clocks: Clocks) -> Self {
        Self {
            status: Arc::new(status),
            clocks: Some(clocks),
        }
    }

    /// The status with its times as of `now`.
    pub(crate) fn at(&self, now: Instant) -> Arc<TorrentStatus> {
        let Some(clocks) = self.clocks else {
            return Arc::clone(&self.status);
        };
        let shown = |status: &TorrentStatus| {
            (
                status.active_time,
                status.time_since_download,
                status.time_since_upload,
                status.next_announce,
                status.last_seen_complete,
            )
        };
        let mut times = TorrentStatus {
            last_seen_complete: self.status.last_seen_complete,
            ..TorrentStatus::default()
        };
        clocks.set(now, &mut times);
        if shown(&times) == shown(&self.status) {
            return Arc::clone(&self.status);
        }
        let mut status = TorrentStatus::clone(&self.status);
        clocks.set(now, &mut status);
        Arc::new(status)
    }
}

// ---- peers ------------------------------------------------------------------

/// One connection: its numbers, and what its texts are made of.
#[derive(Debug)]
pub(crate) struct PeerRow {
    /// Without texts.
    pub(crate) numbers: PeerInfo,
    pub(crate) meta: PeerMeta,
    /// Empty where the peer does not say.
    pub(crate) client: Arc<str>,
}

impl PeerRow {
    fn info(&self) -> PeerInfo {
        let (endpoint, id) = (self.meta.endpoint, self.meta.id);
        PeerInfo {
            ip: endpoint.ip().to_string(),
            port: endpoint.port(),
            client: match &*self.client {
                "" => clients::name(id),
                client => client.to_owned(),
            },
            peer_id: hex_peer_id(id),
            connection_type: self.meta.connection.name().to_owned(),
            source: self.meta.source.names().join(","),
            is_local: is_local(endpoint.ip()),
            is_incoming: self.meta.incoming,
            is_encrypted: self.meta.encryption.is_some(),
            encryption: self.meta.encryption.map_or("", Method::name).to_owned(),
            rtt: u32::try_from(self.meta.connect_time.as_millis()).unwrap_or(u32::MAX),
            ..self.numbers.clone()
        }
    }
}

/// The connections.
#[derive(Debug, Default)]
pub(crate) struct SwarmSnapshot {
    rows: Vec<PeerRow>,
    infos: Lazy<Vec<PeerInfo>>,
    availability: Arc<Availability>,
}

/// How many of the connections have each piece.
#[derive(Debug, Default)]
struct Availability {
    num_pieces: u32,
    /// What each of them has.
    pieces: Vec<Arc<Bitfield>>,
    counts: Lazy<Vec<u32>>,
}

impl SwarmSnapshot {
    /// The connections of a torrent of so many pieces, `before` which others were
    /// shown.
    pub(crate) fn new(num_pieces: u32, rows: Vec<PeerRow>, before: &Self) -> Self {
        let pieces = |row: &PeerRow| Arc::clone(&row.numbers.pieces);
        let known = &before.availability;
        // What a peer has is another object when it is another set.
        let is_same = known.num_pieces == num_pieces
            && known.pieces.len() == rows.len()
            && (known.pieces.iter().zip(&rows))
                .all(|(known, row)| Arc::ptr_eq(known, &row.numbers.pieces));
        let availability = if is_same {
            Arc::clone(known)
        } else {
            let new = Availability {
                num_pieces,
                pieces: rows.iter().map(pieces).collect(),
                counts: Lazy::default(),
            };
            new.counts.prepare(&known.counts, || new.count());
            Arc::new(new)
        };
        let new = Self {
            rows,
            infos: Lazy::default(),
            availability,
        };
        new.infos.prepare(&before.infos, || new.make_infos());
        new
    }

    /// Whether a snapshot without connections would be the same.
    pub(crate) fn is_empty_of(&self, num_pieces: u32) -> bool {
        self.rows.is_empty() && self.availability.num_pieces == num_pieces
    }

    #[cfg(test)]
    pub(crate) fn is_made(&self) -> bool {
        self.infos.is_made() || self.availability.counts.is_made()
    }

    fn make_infos(&self) -> Vec<PeerInfo> {
        self.rows.iter().map(PeerRow::info).collect()
    }

    pub(crate) fn infos(&self) -> Arc<Vec<PeerInfo>> {
        self.infos.read(|| self.make_infos())
    }

    pub(crate) fn availability(&self) -> Arc<Vec<u32>> {
        let availability = &self.availability;
        availability.counts.read(|| availability.count())
    }
}

impl Availability {
    fn count(&self) -> Vec<u32> {
        let is_seed = |pieces: &&Arc<Bitfield>| pieces.is_full() && !pieces.is_empty();
        let seeds = self.pieces.iter().filter(is_seed).count() as u32;
        let mut counts = vec![seeds; self.num_pieces as usize];
        for pieces in self.pieces.iter().filter(|it| !is_seed(it)) {
            for piece in pieces.iter() {
                if let Some(count) = counts.get_mut(piece as usize) {
                    *count += 1;
                }
            }
        }
        counts
    }
}

// ---- files ------------------------------------------------------------------

/// Verified bytes of each file, as they follow from the pieces.
#[derive(Debug, Default)]
pub(crate) struct FilesSnapshot {
    of: Option<(Arc<Layout>, Arc<Bitfield>)>,
    progress: Lazy<Vec<u64>>,
}

impl FilesSnapshot {
    /// Files of which nothing is here.
    pub(crate) fn none_of(files: usize) -> Self {
        Self {
            of: None,
            progress: Lazy::ready(vec![0; files]),
        }
    }

    /// The files of a torrent that has these pieces, unless that is what was
    /// shown `before`.
    pub(crate) fn new(layout: &Arc<Layout>, have: &Arc<Bitfield>, before: &Self) -> Option<Self> {
        if let Some((known, had)) = &before.of
            && Arc::ptr_eq(known, layout)
            && Arc::ptr_eq(had, have)
        {
            return None;
        }
        let new = Self {
            of: Some((Arc::clone(layout), Arc::clone(have))),
            progress: Lazy::default(),
        };
        new.progress.prepare(&before.progress, || new.make());
        Some(new)
    }

    #[cfg(test)]
    pub(crate) fn is_made(&self) -> bool {
        self.progress.is_made()
    }

    fn make(&self) -> Vec<u64> {
        let of = self.of.as_ref();
        of.map_or_else(Vec::new, |(layout, have)| file_progress(layout, have))
    }

    pub(crate) fn progress(&self) -> Arc<Vec<u64>> {
        self.progress.read(|| self.make())
    }
}

// ---- trackers ---------------------------------------------------------------

/// The trackers at one moment.
#[derive(Debug, Default)]
pub(crate) struct TrackersSnapshot {
    /// With libtorrent's number of where each comes from.
    pub(crate) rows: Vec<(TrackerRow, u8)>,
    /// When; `None` before the torrent has begun.
    pub(crate) taken: Option<Instant>,
    /// The announcer's number of it.
    pub(crate) revision: Option<u64>,
}

impl TrackersSnapshot {
    /// The trackers as of `now`.
    pub(crate) fn at(&self, now: Instant) -> impl Iterator<Item = TrackerStatus> + '_ {
        let passed = self
            .taken
            .map_or(Duration::ZERO, |taken| now.saturating_duration_since(taken));
        let rows = self.rows.iter();
        rows.map(move |(row, source)| tracker_status(row, *source, passed))
    }
}

/// A tracker that has not been asked yet.
pub(crate) fn new_tracker(url: &str, tier: u32) -> TrackerRow {
    TrackerRow {
        url: url.to_owned(),
        tier,
        state: TrackerState::NotContacted,
        message: String::new(),
        next_announce: None,
        min_announce: Duration::ZERO,
        fails: 0,
        fail_limit: 0,
        last_error: String::new(),
        swarm: ScrapeReply::default(),
        verified: false,
        tracker_id: None,
        endpoints: Vec::new(),
    }
}

/// A number as it is shown: -1 where it is not known.
pub(crate) fn known(number: Option<u32>) -> i64 {
    number.map_or(-1, i64::from)
}

/// Seconds that are left of `wait` when so much of it has passed.
fn left(wait: Duration, passed: Duration) -> i64 {
    wait.saturating_sub(passed).as_secs() as i64
}

/// A tracker as it is shown when its row is so old.
pub(crate) fn tracker_status(row: &TrackerRow, source: u8, passed: Duration) -> TrackerStatus {
    let id = row.tracker_id.as_deref().unwrap_or_default();
    let endpoints = row.endpoints.iter();
    TrackerStatus {
        url: row.url.clone(),
        tier: row.tier,
        source,
        status: row.state.name().to_owned(),
        message: row.message.clone(),
        next_announce: row.next_announce.map_or(-1, |wait| left(wait, passed)),
        min_announce: left(row.min_announce, passed),
        fails: row.fails,
        fail_limit: row.fail_limit,
        last_error: row.last_error.clone(),
        scrape_complete: known(row.swarm.complete),
        scrape_incomplete: known(row.swarm.incomplete),
        scrape_downloaded: known(row.swarm.downloaded),
        verified: row.verified,
        trackerid: String::from_utf8_lossy(id).into_owned(),
        endpoints: endpoints.map(|row| endpoint(row, passed)).collect(),
    }
}

fn endpoint(row: &EndpointRow, passed: Duration) -> TrackerEndpoint {
    TrackerEndpoint {
        local_endpoint: row.local.to_string(),
        enabled: row.enabled,
        message: row.message.clone(),
        last_error: row.last_error.clone(),
        next_announce: row.next_announce.map_or(-1, |wait| left(wait, passed)),
        min_announce: left(row.min_announce, passed),
        fails: row.fails,
        updating: row.state == TrackerState::Updating,
        start_sent: row.start_sent,
        complete_sent: row.complete_sent,
        scrape_complete: known(row.swarm.complete),
        scrape_incomplete: known(row.swarm.incomplete),
        scrape_downloaded: known(row.swarm.downloaded),
    }
}

#[cfg(test)]
mod tests {
    use torrent_core::ids::PeerId;
    use torrent_core::peer::ConnectionKind;
    use torrent_core::peerlist::Sources;

    use super::*;

    fn peer(port: u16, pieces: &Arc<Bitfield>) -> PeerRow {
        PeerRow {
            numbers: PeerInfo {
                pieces: Arc::clone(pieces),
                ..PeerInfo::default()
            },
            meta: PeerMeta {
                endpoint: ([127, 0, 0, 1], port).into(),
                id: PeerId::default(),
                incoming: false,
                connection: ConnectionKind::Tcp,
                encryption: None,
                source: Sources::MANUAL,
                connect_time: Duration::from_millis(3),
            },
            client: "Client 1".into(),
        }
    }

    fn pieces(which: &[u32]) -> Arc<Bitfield> {
        let mut pieces = Bitfield::new(3);
        for &piece in which {
            pieces.set(piece);
        }
        Arc::new(pieces)
    }

    #[test]
    fn connections_are_made_and_counted_for_those_who_read_them() {
        let (some, all) = (pieces(&[1]), pieces(&[0, 1, 2]));
        let rows = || vec![peer(1, &some), peer(2, &all)];
        let first = SwarmSnapshot::new(3, rows(), &SwarmSnapshot::default());
        let second = SwarmSnapshot::new(3, rows(), &first);
        assert!(!first.infos.is_made() && !second.infos.is_made());
        assert!(!second.availability.counts.is_made());
        // The first reader finds what is there.
        let infos = second.infos();
        let shown: Vec<_> = infos.iter().map(|it| (it.port, it.rtt)).collect();
        assert_eq!(shown, [(1, 3), (2, 3)]);
        assert_eq!(
            (&*infos[0].ip, &*infos[0].client),
            ("127.0.0.1", "Client 1")
        );
        assert_eq!(*second.availability(), [1, 2, 1]);
        // The next snapshot is made ahead, and counts only what has changed.
        let third = SwarmSnapshot::new(3, rows(), &second);
        assert!(third.infos.is_made());
        assert!(Arc::ptr_eq(&third.availability(), &second.availability()));
        let other = vec![peer(1, &pieces(&[1, 2])), peer(2, &all)];
        let fourth = SwarmSnapshot::new(3, other, &third);
        assert!(fourth.availability.counts.is_made());
        assert_eq!(*fourth.availability(), [1, 2, 2]);
        let fifth = SwarmSnapshot::new(3, Vec::new(), &fourth);
        assert_eq!(
            (fifth.infos().len(), &*fifth.availability()),
            (0, &vec![0; 3])
        );
        assert!(fifth.is_empty_of(3) && !fourth.is_empty_of(3));
        assert!(
            !SwarmSnapshot::default().is_empty_of(3),
            "there are pieces now"
        );
    }

    #[test]
    fn files_are_counted_when_pieces_have_changed_and_someone_looks() {
        let layout = Arc::new(Layout::new(4, [(6, false), (6, false)]).unwrap());
        let have = pieces(&[0]);
        let before = FilesSnapshot::none_of(2);
        assert_eq!(*before.progress(), [0, 0]);
        let first = FilesSnapshot::new(&layout, &have, &FilesSnapshot::default()).unwrap();
        assert!(!first.progress.is_made());
        assert_eq!(*first.progress(), [4, 0]);
        assert!(FilesSnapshot::new(&layout, &have, &first).is_none());
        let more = FilesSnapshot::new(&layout, &pieces(&[0, 1]), &first).unwrap();
        assert!(
            more.progress.is_made(),
            "made ahead for those who read the last"
        );
        assert_eq!(*more.progress(), [6, 2]);
    }

    #[test]
    fn clocks_run_on_without_a_new_snapshot() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut times = ActiveTime::new(begun);
        times.paused_changed(begun, false);
        times.note_payload(begun, 1, 0);
        let clocks = Clocks {
            times,
            next_announce: Some(after(30)),
            sees_complete: true,
        };
        let mut status = TorrentStatus::default();
        clocks.set(begun, &mut status);
        let snapshot = StatusSnapshot::running(status, clocks);
        let later = snapshot.at(after(20));
        assert_eq!((later.active_time, later.finished_time), (20, 0));
        assert_eq!(
            (later.time_since_download, later.time_since_upload),
            (20, -1)
        );
        assert_eq!(later.next_announce, 10);
        assert!(later.last_seen_complete > 0);
        assert!(!later.is_news_after(&snapshot.status));
        assert_eq!(snapshot.at(after(99)).next_announce, 0);
        // Where nothing shows another number it is the same object.
        let mut still = clocks;
        still.sees_complete = false;
        let mut status = TorrentStatus::default();
        still.set(begun, &mut status);
        let snapshot = StatusSnapshot::running(status, still);
        assert!(Arc::ptr_eq(&snapshot.at(begun), &snapshot.status));
        let still = StatusSnapshot::still(TorrentStatus::default());
        assert!(Arc::ptr_eq(&still.at(after(20)), &still.status));
    }

    #[test]
    fn a_tracker_comes_closer_without_a_new_snapshot() {
        let taken = Instant::now();
        let row = TrackerRow {
            next_announce: Some(Duration::from_millis(9500)),
            min_announce: Duration::from_secs(5),
            ..new_tracker("http://a/", 2)
        };
        let snapshot = TrackersSnapshot {
            rows: vec![(row, 4), (new_tracker("http://b/", 3), 1)],
            taken: Some(taken),
            revision: None,
        };
        let at = |seconds| {
            let rows = snapshot.at(taken + Duration::from_secs(seconds));
            let shown = rows.map(|row| (row.next_announce, row.min_announce, row.source));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(at(0), [(9, 5, 4), (-1, 0, 1)]);
        assert_eq!(at(7), [(2, 0, 4), (-1, 0, 1)]);
        assert_eq!(at(70), [(0, 0, 4), (-1, 0, 1)]);
    }
}
