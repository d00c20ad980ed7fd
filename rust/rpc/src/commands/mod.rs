//! The table of commands, and one file for each topic. A command takes its
//! parameters, calls the engine, and names the answer's fields.

mod add;
mod alerts;
mod control;
mod query;
mod resume;
mod session;
mod torrent_files;
mod trackers;

use torrent_core::value::{Fields, Value};
use torrent_engine::error::Result;
use torrent_engine::session::Session;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::post::PostRequest;

use crate::app::App;
use crate::params::{Params, invalid};
use crate::protocol::Outcome;

/// Carries out one command.
pub(crate) async fn run(app: &mut App, command: &str, params: Params) -> Outcome {
    match command {
        "init" => session::init(app, params).await,
        "shutdown" => session::shutdown(app, params).await,
        "version" => session::version(params),
        "get_status" => session::status(app, params),
        "get_engine_stats" => session::engine_stats(app, params),
        "apply_settings" => session::apply_settings(app, params),
        "get_settings" => session::settings(app, params),
        "pause_session" => session::set_paused(app, params, true),
        "resume_session" => session::set_paused(app, params, false),
        "reopen_network_sockets" => session::simple(app, params, Session::reopen_network_sockets),
        "save_state" => session::save_state(app, params),
        "load_state" => session::load_state(app, params),

        "add_torrent_file" => add::torrent_file(app, params).await,
        "add_magnet_uri" => add::magnet(app, params),
        "add_torrent_and_seed" => add::torrent_and_seed(app, params).await,
        "remove_torrent" => add::remove(app, params),
        "list_torrents" => add::list(app, params),

        "get_torrent_status" => query::torrent_status(app, params),
        "get_torrent_info" => query::torrent_info(app, params).await,
        "get_peers" => query::peers(app, params),
        "get_trackers" => query::trackers(app, params),
        "get_file_progress" => query::file_progress(app, params),
        "get_piece_availability" => query::piece_availability(app, params),
        "get_download_queue" => query::download_queue(app, params),
        "get_file_priorities" => query::file_priorities(app, params),
        "get_piece_priorities" => query::piece_priorities(app, params),
        "read_piece" => query::read_piece(app, params).await,

        "pause_torrent" => control::pause(app, params),
        "resume_torrent" => control::simple(app, params, TorrentHandle::resume),
        "force_recheck" => control::simple(app, params, TorrentHandle::force_recheck),
        "cancel_check" => control::simple(app, params, TorrentHandle::cancel_check),
        "force_reannounce" => trackers::force_reannounce(app, params),
        "scrape_tracker" => trackers::scrape(app, params),
        "clear_error" => control::simple(app, params, TorrentHandle::clear_error),
        "save_resume_data" => resume::save(app, params).await,
        "need_save_resume_data" => resume::need_save(app, params),
        "set_metadata" => control::set_metadata(app, params),
        "flush_cache" => control::flush_cache(app, params).await,
        "move_storage" => control::move_storage(app, params).await,
        "rename_file" => control::rename_file(app, params).await,
        "set_torrent_options" => control::set_options(app, params),
        "set_piece_deadline" => control::set_piece_deadline(app, params),
        "reset_piece_deadline" => control::reset_piece_deadline(app, params),
        "clear_piece_deadlines" => {
            control::simple(app, params, TorrentHandle::clear_piece_deadlines)
        }
        "ban_peer" => session::ban_peer(app, params),
        "set_ip_filter" => session::set_ip_filter(app, params),
        "load_ip_filter" => session::load_ip_filter(app, params).await,
        "connect_peer" => control::connect_peer(app, params),
        "add_tracker" => trackers::add(app, params),
        "remove_tracker" => trackers::remove(app, params),
        "replace_trackers" => trackers::replace(app, params),

        "create_torrent" => torrent_files::create(params).await,
        "parse_torrent" => torrent_files::parse(params).await,
        "parse_magnet" => torrent_files::parse_magnet(params),

        "get_alerts" => alerts::get(app, params),
        "wait_for_alert" => alerts::wait_for(app, params).await,
        "subscribe" => alerts::subscribe(app, params),
        "post_torrent_updates" => session::simple(app, params, Session::post_torrent_updates),
        "post_session_stats" => session::simple(app, params, Session::post_session_stats),

        other => match PostRequest::named(other) {
            Some(question) => control::simple(app, params, |torrent| torrent.ask(question)),
            None => Err(invalid(format!("Unknown command '{other}'"))),
        },
    }
}

/// The torrent that the parameters name.
fn torrent(app: &App, params: &mut Params) -> Result<TorrentHandle> {
    app.torrent(&params.text("torrent_id")?)
}

/// The torrent of a command that takes nothing else.
fn only_torrent(app: &App, mut params: Params) -> Result<TorrentHandle> {
    let id = params.text("torrent_id")?;
    params.finish()?;
    app.torrent(&id)
}

/// An answer of one field.
fn field(name: &'static str, value: impl Into<Value>) -> Fields {
    vec![(name.into(), value.into())]
}

/// An answer that says no more than that it worked.
fn done() -> Fields {
    Fields::new()
}
