//! The Dictionary that `TorrentSession.add_torrent` takes.

use godot::builtin::{AnyDictionary, GString};
use torrent_core::metainfo::Limits;
use torrent_core::value::Value;
use torrent_engine::error::Result;
use torrent_engine::session::AddTorrent;

use crate::convert::{from_dictionary, to_save_path};

/// Reads the parameters; an entry that is unknown or has the wrong type is an
/// error that names it. The save path may lie in `res://` or `user://`.
pub(crate) fn read(params: &AnyDictionary, limits: &Limits) -> Result<AddTorrent> {
    let mut fields = from_dictionary(params)?;
    for (name, value) in &mut fields {
        if let ("save_path", Value::Str(path)) = (name.as_ref(), &*value) {
            let path = to_save_path(&GString::from(path.as_ref()))?;
            *value = Value::Str(path.to_string_lossy().into_owned().into());
        }
    }
    AddTorrent::from_fields_within(&fields, limits)
}
