//! Torrent files and magnet links: made, and read without being added.

use std::io::Read;
use std::path::{Path, PathBuf};

use torrent_core::create::{Padding, TorrentBuilder};
use torrent_core::ids::InfoHash;
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{Metainfo, MetainfoLimits};
use torrent_engine::create::{Canceller, CreateJob, CreateTorrent, Details, Source};
use torrent_engine::error::{Error, Result};
use torrent_engine::event::unix_millis;
use torrent_engine::status::info::{info_fields, magnet_fields};

use crate::app::run_blocking;
use crate::params::{Params, invalid};
use crate::protocol::Outcome;

/// Reads the torrent file at `path`; of one with more than `limit` bytes, no
/// more than it takes to see that.
pub(super) async fn read_torrent(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let path = path.to_owned();
    run_blocking(move || {
        let mut data = Vec::new();
        let limit = limit as u64 + 1;
        std::fs::File::open(&path)
            .and_then(|file| file.take(limit).read_to_end(&mut data))
            .map_err(|error| Error::from_io(&error, &path))?;
        Ok(data)
    })
    .await
}

/// Parses what was read from `path`, which an error names.
pub(super) fn parse_file(path: &str, data: &[u8]) -> Result<Metainfo> {
    Metainfo::parse(data).map_err(|error| Error::from(error).about(path))
}

/// Makes a torrent of what is at a path.
pub(super) async fn create(mut params: Params) -> Outcome {
    let path = params.text("path")?;
    let out = params.opt_text("out")?.map(PathBuf::from);
    let piece_size = params
        .opt_int("piece_size", 0..=i64::from(u32::MAX))?
        .unwrap_or(0);
    let version = params.opt_text("version")?;
    let tiers = params.opt_tiers("trackers")?.unwrap_or_default();
    let description = TorrentBuilder {
        piece_size: piece_size as u32,
        trackers: (0..)
            .zip(tiers)
            .flat_map(|(tier, urls)| urls.into_iter().map(move |url| (url, tier)))
            .collect(),
        url_seeds: params.opt_texts("url_seeds")?.unwrap_or_default(),
        comment: params.opt_text("comment")?.unwrap_or_default(),
        creator: params.opt_text("creator")?.unwrap_or_default(),
        private: params.flag("private")?,
        creation_date: Some(match params.opt_int("creation_date", 0..=i64::MAX)? {
            Some(date) => date,
            None => unix_millis() / 1000,
        }),
        name: params.opt_text("name")?,
        source: params.opt_text("source")?.unwrap_or_default(),
        http_seeds: params.opt_texts("http_seeds")?.unwrap_or_default(),
        nodes: opt_nodes(&mut params)?,
        similar: opt_hashes(&mut params)?,
        collections: params.opt_texts("collections")?.unwrap_or_default(),
        padding: opt_padding(&mut params)?,
        entries: Vec::new(),
    };
    let details = Details {
        attributes: params.opt_flag("attributes")?.unwrap_or(true),
        modification_times: params.flag("modification_times")?,
        symlinks: params.flag("symlinks")?,
    };
    let include_hidden = params.flag("include_hidden")?;
    params.finish()?;
    if let Some(other) = version.filter(|version| version != "v1") {
        return Err(invalid(format!(
            "'{other}' is not a version of torrents that can be made: \"v1\" is"
        )));
    }
    let job = CreateJob::start(CreateTorrent {
        sources: vec![Source::at(path, include_hidden)],
        details,
        description,
    })?;
    let cancel_on_drop = CancelOnDrop(job.canceller());
    let created = run_blocking(move || {
        let created = job.wait()?;
        if let Some(out) = out {
            created.save(&out)?;
        }
        Ok(created)
    })
    .await?;
    drop(cancel_on_drop);
    Ok(vec![
        ("torrent".into(), created.data.into()),
        (
            "info_hash".into(),
            created.metainfo.info.hash().to_string().into(),
        ),
        ("info_hash_v2".into(), "".into()),
    ])
}

/// `nodes`: DHT nodes, as `host:port`.
fn opt_nodes(params: &mut Params) -> Result<Vec<(String, u16)>> {
    let nodes = params.opt_texts("nodes")?.unwrap_or_default();
    let read = |node: &String| {
        let (host, port) = node.rsplit_once(':')?;
        let port = port.parse().ok().filter(|&port| port > 0)?;
        (!host.is_empty()).then(|| (host.to_owned(), port))
    };
    let nodes = nodes
        .iter()
        .map(|node| read(node).ok_or_else(|| invalid(format!("'{node}' in 'nodes' is no node"))));
    nodes.collect()
}

/// `similar`: info-hashes.
fn opt_hashes(params: &mut Params) -> Result<Vec<InfoHash>> {
    let hashes = params.opt_texts("similar")?.unwrap_or_default();
    let hashes = hashes.iter().map(|hash| {
        InfoHash::from_hex(hash)
            .ok_or_else(|| invalid(format!("'{hash}' in 'similar' is no info-hash")))
    });
    hashes.collect()
}

/// `padding`: by the names of libtorrent's flags.
fn opt_padding(params: &mut Params) -> Result<Padding> {
    match params.opt_text("padding")?.as_deref() {
        None => Ok(Padding::None),
        Some("canonical_files") => Ok(Padding::Canonical),
        Some("canonical_files_no_tail_padding") => Ok(Padding::CanonicalNoTail),
        Some(other) => Err(invalid(format!("'{other}' is no way to pad files"))),
    }
}

/// Ends the hashing when the answer is not waited for any more.
struct CancelOnDrop(Canceller);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The fields of a torrent file, on disk or in the request.
pub(super) async fn parse(mut params: Params) -> Outcome {
    let path = params.opt_text("path")?;
    let data = params.opt_bytes("data")?;
    params.finish()?;
    match (path, data) {
        (Some(path), None) => {
            let data = read_torrent(Path::new(&path), MetainfoLimits::default().bytes).await?;
            Ok(info_fields(&parse_file(&path, &data)?))
        }
        (None, Some(data)) => Ok(info_fields(&Metainfo::parse(&data)?)),
        _ => Err(invalid("either 'path' or 'data' must be given")),
    }
}

/// The fields of a magnet link.
pub(super) fn parse_magnet(mut params: Params) -> Outcome {
    let uri = params.text("uri")?;
    params.finish()?;
    Ok(magnet_fields(&MagnetUri::parse(&uri)?))
}
