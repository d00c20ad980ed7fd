//! Resume data, asked for.

use torrent_core::value::Value;
use torrent_engine::torrent::handle::resume::SaveFlags;

use super::{field, only_torrent, torrent};
use crate::app::App;
use crate::params::{Params, invalid};
use crate::protocol::Outcome;

/// Whether anything has changed since resume data was last saved.
pub(super) fn need_save(app: &App, params: Params) -> Outcome {
    let torrent = only_torrent(app, params)?;
    Ok(field(
        "need_save_resume_data",
        torrent.need_save_resume_data(),
    ))
}

/// Saves resume data and answers with it.
pub(super) async fn save(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let mut flags = SaveFlags::default();
    for flag in params.opt_texts("flags")?.unwrap_or_default() {
        flags = flags
            | match flag.as_str() {
                "flush_disk_cache" => SaveFlags::FLUSH_DISK_CACHE,
                "save_info_dict" => SaveFlags::SAVE_INFO_DICT,
                "only_if_modified" => SaveFlags::ONLY_IF_MODIFIED,
                "if_counters_changed" => SaveFlags::IF_COUNTERS_CHANGED,
                "if_download_progress" => SaveFlags::IF_DOWNLOAD_PROGRESS,
                "if_config_changed" => SaveFlags::IF_CONFIG_CHANGED,
                "if_state_changed" => SaveFlags::IF_STATE_CHANGED,
                "if_metadata_changed" => SaveFlags::IF_METADATA_CHANGED,
                unknown => return Err(invalid(format!("unknown flag '{unknown}' in 'flags'"))),
            };
    }
    params.finish()?;
    let data = torrent.save_resume_data_now(flags).await?;
    Ok(field("resume_data", Value::Bytes(data)))
}
