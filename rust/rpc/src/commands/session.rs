//! The session as a whole: start and stop, settings, statistics.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use torrent_core::ip_filter::{FilterError, IpFilter};
use torrent_core::settings::Settings;
use torrent_core::value::{Fields, Value};
use torrent_engine::error::Result;
use torrent_engine::event::category;
use torrent_engine::session::{Session, SessionSlot};

use super::query::status_fields;
use super::{done, field};
use crate::app::{App, run_blocking};
use crate::params::{Params, invalid};
use crate::protocol::Outcome;

/// The version of the protocol, raised when a client must know of a change.
const PROTOCOL: i64 = 1;

/// The alerts that a client gets which says nothing about `alert_mask`: all
/// but those about single blocks, which come by the thousand while data moves.
const ALERT_MASK: u32 = category::ALL
    & !(category::BLOCK_PROGRESS | category::UPLOAD | category::INCOMING_REQUEST | category::STATS);

/// The queue of a client that says nothing about `alert_queue_size`: enough
/// for the pieces of a large torrent, which come one alert each.
const ALERT_QUEUE_SIZE: i64 = 20_000;

/// Starts the session.
pub(super) async fn init(app: &mut App, mut params: Params) -> Outcome {
    let port = params.opt_int("listen_port", 0..=65_535)?.unwrap_or(0);
    let download_dir = params.opt_text("download_dir")?.map(PathBuf::from);
    let state_dir = params.opt_text("state_dir")?;
    let patch = params.named_values("settings")?;
    params.finish()?;
    app.check_idle()?;

    let slot = Arc::new(SessionSlot::new(Settings {
        alert_mask: i64::from(ALERT_MASK),
        alert_queue_size: ALERT_QUEUE_SIZE,
        ..Settings::default()
    }));
    slot.set_state_dir(state_dir.map(PathBuf::from));
    // An interface that is named in the settings goes before a port.
    slot.apply_settings([("listen_port", &Value::Int(port))])?;
    let session = run_blocking({
        let slot = Arc::clone(&slot);
        move || {
            slot.start(borrowed(&patch))?;
            slot.running()
        }
    })
    .await?;
    session.restored().await;
    let session = &app.run(slot, session, download_dir).session;
    Ok(field("listen_port", listen_port(session)))
}

/// Stops the session; the process ends after the answer.
pub(super) async fn shutdown(app: &mut App, params: Params) -> Outcome {
    params.finish()?;
    app.shut_down().await?;
    Ok(done())
}

/// Who answers.
pub(super) fn version(params: Params) -> Outcome {
    params.finish()?;
    Ok(vec![
        ("name".into(), "godot-torrent".into()),
        ("version".into(), env!("CARGO_PKG_VERSION").into()),
        ("protocol".into(), PROTOCOL.into()),
    ])
}

/// The session and every torrent at a glance.
pub(super) fn status(app: &App, params: Params) -> Outcome {
    params.finish()?;
    let session = &app.running()?.session;
    let torrents = session.torrents();
    let listening: Vec<_> = session
        .listening()
        .iter()
        .map(ToString::to_string)
        .collect();
    let engine: Fields = vec![
        ("running".into(), session.is_running().into()),
        ("paused".into(), session.is_paused().into()),
        ("listen_port".into(), listen_port(session).into()),
        ("listening".into(), listening.into()),
        ("num_torrents".into(), torrents.len().into()),
    ];
    let torrents: Fields = torrents
        .iter()
        .map(|torrent| {
            (
                torrent.info_hash().to_string().into(),
                status_fields(torrent).into(),
            )
        })
        .collect();
    Ok(vec![
        ("engine".into(), engine.into()),
        ("torrents".into(), torrents.into()),
    ])
}

/// A command to the session that takes nothing; an alert answers.
pub(super) fn simple(
    app: &App,
    params: Params,
    act: impl FnOnce(&Session) -> Result<()>,
) -> Outcome {
    params.finish()?;
    act(&app.running()?.session)?;
    Ok(done())
}

/// Stops the traffic of all torrents, or lets it go on.
pub(super) fn set_paused(app: &App, params: Params, paused: bool) -> Outcome {
    params.finish()?;
    let session = &app.running()?.session;
    if paused {
        session.pause();
    } else {
        session.resume();
    }
    Ok(done())
}

/// The counters.
pub(super) fn engine_stats(app: &App, params: Params) -> Outcome {
    params.finish()?;
    Ok(field("stats", app.running()?.session.stats()))
}

/// The session's state in libtorrent's format.
pub(super) fn save_state(app: &App, params: Params) -> Outcome {
    params.finish()?;
    let state = app.running()?.session.save_state();
    Ok(field("state", Value::Bytes(state.into())))
}

/// Takes over a session's state; the answer has it as it is now, and names
/// what was not taken over.
pub(super) fn load_state(app: &App, mut params: Params) -> Outcome {
    let state = params.bytes("state")?;
    params.finish()?;
    let running = app.running()?;
    let refused = running.session.load_state(&state)?;
    running.alerts.configure(&running.session.settings());
    let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
    Ok(vec![
        (
            "state".into(),
            Value::Bytes(running.session.save_state().into()),
        ),
        ("refused".into(), refused.into()),
    ])
}

/// Changes settings, all of them or none, and answers with what is in force.
pub(super) fn apply_settings(app: &App, mut params: Params) -> Outcome {
    let patch = params.named_values("settings")?;
    params.finish()?;
    let running = app.running()?;
    running.session.apply_settings(borrowed(&patch))?;
    running.alerts.configure(&running.session.settings());
    Ok(field("settings", all_settings(&running.session)))
}

/// Bans an address in all torrents.
pub(super) fn ban_peer(app: &App, mut params: Params) -> Outcome {
    let ip = params.text("ip")?;
    params.finish()?;
    app.running()?.session.ban_peer(address(&ip)?)?;
    Ok(done())
}

/// Uses these rules instead of all earlier ones.
pub(super) fn set_ip_filter(app: &App, mut params: Params) -> Outcome {
    let rules = params.rules("rules")?;
    params.finish()?;
    let session = &app.running()?.session;
    let mut filter = IpFilter::new();
    for (range, blocked) in rules {
        let wrong = |error: FilterError| invalid(format!("parameter 'rules': {error}"));
        let range = range.parse().map_err(wrong)?;
        filter.set(range, blocked).map_err(wrong)?;
    }
    session.set_ip_filter(filter);
    Ok(done())
}

/// Adds the ranges of a list of another client's.
pub(super) async fn load_ip_filter(app: &App, mut params: Params) -> Outcome {
    let path = PathBuf::from(params.text("path")?);
    params.finish()?;
    let session = app.running()?.session.clone();
    let loaded = run_blocking(move || session.load_ip_filter(&path)).await?;
    Ok(vec![
        ("ranges".into(), loaded.ranges.into()),
        ("errors".into(), loaded.errors.into()),
    ])
}

fn address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| {
        invalid(format!(
            "parameter 'ip' must be an IP address, not '{text}'"
        ))
    })
}

/// The settings in force.
pub(super) fn settings(app: &App, params: Params) -> Outcome {
    params.finish()?;
    Ok(field("settings", all_settings(&app.running()?.session)))
}

fn borrowed(patch: &[(String, Value)]) -> impl Iterator<Item = (&str, &Value)> {
    patch.iter().map(|(name, value)| (name.as_str(), value))
}

fn all_settings(session: &Session) -> Fields {
    let values = session.settings().values();
    values
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect()
}

/// The port of the first socket that accepts connections; 0 when none does.
fn listen_port(session: &Session) -> u16 {
    session
        .listening()
        .first()
        .map_or(0, |endpoint| endpoint.port())
}
