//! A torrent that is added although the session has it, or remembers it: its
//! trackers, its peers and its metadata are taken over, everything else stays
//! as it is and is named where it would be another.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use torrent_core::metainfo::Metainfo;

use super::handle::{Command, Options, PlainOptions, TorrentHandle};

/// What an add gives to a torrent that is there already.
#[derive(Debug)]
pub(crate) struct SecondAdd {
    /// What the torrent would be by this add alone.
    pub(crate) options: Options,
    pub(crate) save_path: PathBuf,
    pub(crate) metainfo: Option<Arc<Metainfo>>,
    pub(crate) name: String,
    pub(crate) url_seeds: Vec<String>,
    pub(crate) dht_nodes: Vec<(String, u16)>,
    pub(crate) piece_priorities: Vec<u8>,
    /// Which limits it gives, in the order of [`LIMITS`].
    pub(crate) limits: [bool; 4],
    pub(crate) gives_file_priorities: bool,
    pub(crate) seed_mode: bool,
    pub(crate) verify_files: bool,
    pub(crate) has_resume: bool,
}

const LIMITS: [&str; 4] = [
    "max_connections",
    "max_uploads",
    "download_limit",
    "upload_limit",
];

fn limits(plain: &PlainOptions) -> [i64; 4] {
    [
        plain.max_connections,
        plain.max_uploads,
        plain.download_limit,
        plain.upload_limit,
    ]
}

fn flags(plain: &PlainOptions) -> [(&'static str, bool); 11] {
    let (modes, discovery) = (plain.modes, plain.discovery);
    [
        ("paused", plain.paused),
        ("auto_managed", plain.auto_managed),
        ("sequential_download", plain.sequential),
        ("upload_mode", modes.upload_mode),
        ("share_mode", modes.share_mode),
        ("super_seeding", modes.super_seeding),
        ("stop_when_ready", modes.stop_when_ready),
        ("apply_ip_filter", plain.apply_ip_filter),
        ("disable_dht", !discovery.dht),
        ("disable_lsd", !discovery.lsd),
        ("disable_pex", !discovery.pex),
    ]
}

impl SecondAdd {
    /// Gives a torrent that is there what it takes over. What it does not is
    /// returned, each as a text that names it.
    pub(crate) fn give_to(&self, known: &TorrentHandle, peers: Vec<SocketAddr>) -> Vec<String> {
        let mut refused = Vec::new();
        let trackers = self.options.trackers.iter().zip(0..);
        let mut trackers = trackers.flat_map(|(urls, tier)| urls.iter().map(move |it| (it, tier)));
        let added = trackers.try_for_each(|(url, tier)| known.add_tracker(url, tier));
        if added.is_err() {
            refused.push("trackers");
        }
        if !peers.is_empty() && !known.offer(Command::Peers(peers)) {
            refused.push("peers");
        }
        if let Some(metainfo) = &self.metainfo
            && known.metainfo().is_none()
            && !known.offer(Command::Metadata(Arc::clone(&metainfo.info)))
        {
            refused.push("torrent_data");
        }
        let refused = refused.into_iter();
        let mut notes: Vec<String> = refused
            .map(|name| format!("{name}: the torrent does not take commands"))
            .collect();
        notes.extend(self.left_out(known));
        notes
    }

    /// What `known` does not take over and has otherwise.
    pub(crate) fn left_out(&self, known: &TorrentHandle) -> Vec<String> {
        let (new, now) = (&self.options, known.shared.options.lock().clone());
        let link = known.magnet_link();
        let (url_seeds, nodes) = match known.metainfo() {
            Some(metainfo) => (&metainfo.url_seeds, &metainfo.nodes),
            None => (&link.url_seeds, &link.dht_nodes),
        };
        let lists = [
            ("save_path", self.save_path != **known.save_path()),
            ("name", !self.name.is_empty() && self.name != known.name()),
            ("seed_mode", self.seed_mode),
            ("no_verify_files", !self.verify_files),
            ("resume_data", self.has_resume),
            (
                "file_priorities",
                self.gives_file_priorities
                    && !now.file_priorities.starts_with(&new.file_priorities),
            ),
            (
                "piece_priorities",
                !now.piece_priorities.starts_with(&self.piece_priorities),
            ),
            (
                "renamed_files",
                !new.renamed_files.is_empty() && new.renamed_files != now.renamed_files,
            ),
            (
                "storage_mode",
                new.plain.storage_mode != now.plain.storage_mode,
            ),
            ("storage", new.plain.storage != now.plain.storage),
            (
                "part_file_dir",
                !new.part_file_dir.as_os_str().is_empty() && new.part_file_dir != now.part_file_dir,
            ),
            (
                "url_seeds",
                self.url_seeds.iter().any(|url| !url_seeds.contains(url)),
            ),
            (
                "dht_nodes",
                self.dht_nodes.iter().any(|node| !nodes.contains(node)),
            ),
        ];
        let limits = LIMITS
            .into_iter()
            .zip(limits(&new.plain).into_iter().zip(limits(&now.plain)))
            .zip(self.limits)
            .map(|((name, (new, now)), is_given)| (name, is_given && new != now));
        let flags = flags(&new.plain).into_iter().zip(flags(&now.plain));
        let flags = flags.map(|((name, new), (_, now))| (name, new != now));
        let all = lists.into_iter().chain(limits).chain(flags);
        all.filter(|(_, differs)| *differs)
            .map(|(name, _)| format!("{name}: the torrent is known already and keeps its own"))
            .collect()
    }
}
