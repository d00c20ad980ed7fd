//! Torrent files and magnet links: made, and read without being added.

use std::io::Read;
use std::path::Path;

use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{Limits, Metainfo};
use torrent_engine::error::{Error, Result};
use torrent_engine::info::{info_fields, magnet_fields};

use crate::app::run_blocking;
use crate::params::Params;
use crate::protocol::{Outcome, invalid};

/// Reads the torrent file at `path`; of one that is too large, no more than it
/// takes to see that.
pub(super) async fn read_torrent(path: &Path) -> Result<Vec<u8>> {
    let path = path.to_owned();
    run_blocking(move || {
        let mut data = Vec::new();
        let limit = Limits::default().bytes as u64 + 1;
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

/// The fields of a torrent file, on disk or in the request.
pub(super) async fn parse(mut params: Params) -> Outcome {
    let path = params.opt_text("path")?;
    let data = params.opt_bytes("data")?;
    params.finish()?;
    match (path, data) {
        (Some(path), None) => {
            let data = read_torrent(Path::new(&path)).await?;
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
