//! What happened: taken one by one, waited for, or reported as it happens.

use std::sync::Arc;
use std::time::Duration;

use torrent_core::value::Value;
use torrent_engine::error::{Error, ErrorKind, Result};
use torrent_engine::event::{Alert, Audience, Kind, kind};

use super::{done, field};
use crate::alerts::Subscription;
use crate::app::App;
use crate::params::{Params, invalid};
use crate::protocol::Outcome;

/// Longest wait for an alert, in milliseconds: a day.
const MAX_WAIT: i64 = 86_400_000;

/// Takes the waiting alerts, oldest first.
pub(super) fn get(app: &App, mut params: Params) -> Outcome {
    let max = params.opt_int("max", 0..=i64::from(u32::MAX))?;
    params.finish()?;
    let max = max.map_or(usize::MAX, |max| max as usize);
    let running = app.running()?;
    running.alerts.collect(&running.session);
    let alerts = running.alerts.pop(max);
    let values = alerts.iter().map(|alert| alert.to_value()).collect();
    Ok(field("alerts", Value::List(values)))
}

/// Takes the first alert of a type, waiting for it if need be.
pub(super) async fn wait_for(app: &App, mut params: Params) -> Outcome {
    let name = params.text("type_name")?;
    let torrent = params.opt_text("torrent_id")?;
    let limit = params.int("timeout_ms", 0..=MAX_WAIT)?;
    params.finish()?;
    let kind = find_kind(&name)?;
    // A removed torrent still has its last alerts, so it need not be found.
    let is_wanted = |alert: &Alert| {
        alert.kind.number == kind.number
            && torrent.as_ref().is_none_or(|id| {
                alert
                    .info_hash
                    .is_some_and(|hash| hash.to_string().eq_ignore_ascii_case(id))
            })
    };
    let running = app.running()?;
    running.alerts.collect(&running.session);
    let waiting = running.alerts.wait_for(is_wanted);
    let alert: Arc<Alert> = tokio::time::timeout(Duration::from_millis(limit as u64), waiting)
        .await
        .map_err(|_| {
            Error::because(
                ErrorKind::Timeout,
                format!("TIMEOUT: no {name} alert within {limit} ms"),
            )
        })?;
    Ok(field("alert", alert.to_value()))
}

/// Reports alerts of these types from now on, and no others.
pub(super) fn subscribe(app: &App, mut params: Params) -> Outcome {
    let names = params.texts_or_all("type_names")?;
    params.finish()?;
    let subscription = match names {
        None => Subscription::All,
        Some(names) => Subscription::Kinds(
            names
                .iter()
                .map(|name| find_kind(name))
                .collect::<Result<_>>()?,
        ),
    };
    let running = app.running()?;
    running.alerts.subscribe(&running.session, subscription);
    Ok(done())
}

fn find_kind(name: &str) -> Result<Kind> {
    kind::ALL
        .iter()
        .filter(|kind| kind.audience != Audience::Signals)
        .find(|kind| kind.name == name)
        .copied()
        .ok_or_else(|| invalid(format!("unknown alert type '{name}'")))
}
