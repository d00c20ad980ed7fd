//! The Dictionary that `TorrentSession.add_torrent` takes.

use godot::builtin::{AnyDictionary, GString};
use torrent_core::metainfo::MetainfoLimits;
use torrent_core::value::Value;
use torrent_engine::error::Result;
use torrent_engine::session::AddTorrent;

use crate::convert::from_dictionary;
use crate::paths;

/// Reads the parameters; an entry that is unknown or has the wrong type is an
/// error that names it. The save path is one of a game (`paths`).
pub(crate) fn read(params: &AnyDictionary, limits: &MetainfoLimits) -> Result<AddTorrent> {
    let mut fields = from_dictionary(params)?;
    for (name, value) in &mut fields {
        match (name.as_ref(), &*value) {
            ("save_path", Value::Str(path)) => {
                let path = paths::to_save(&GString::from(path.as_ref()))?;
                *value = Value::Str(path.to_string_lossy().into_owned().into());
            }
            ("part_file_dir", Value::Str(path)) => paths::below(path)?,
            _ => {}
        }
    }
    AddTorrent::from_fields_within(&fields, limits)
}
