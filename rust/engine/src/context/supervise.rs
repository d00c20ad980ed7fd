//! Runs tasks so that a panic becomes an event; otherwise the torrent would stop
//! without a sign.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Services;
use crate::error::{Error, ErrorKind};
use crate::event::typed;

/// A task in a box: the future that waits for it would otherwise have room for all
/// of it as well, for as long as it runs.
type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a task and turns its panic into an `internal_error` event.
pub(crate) fn supervise(
    services: Arc<Services>,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send {
    let task: BoxedTask = Box::pin(task);
    async move {
        if let Err(error) = tokio::spawn(task).await
            && error.is_panic()
        {
            report_panic(&services, name);
        }
    }
}

/// As [`supervise`]; the task is aborted when this future is dropped.
pub(crate) fn supervise_owned(
    services: Arc<Services>,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send {
    let task: BoxedTask = Box::pin(task);
    async move {
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        if let Some(Err(error)) = tasks.join_next().await
            && error.is_panic()
        {
            report_panic(&services, name);
        }
    }
}

/// Posts the event that stands for a panic in a task.
pub(crate) fn report_panic(services: &Services, name: &'static str) {
    tracing::error!(task = name, "a task panicked");
    let message = format!("the {name} task failed");
    services.events.post(typed::INTERNAL_ERROR, None, || {
        Error::because(ErrorKind::InternalException, message)
    });
}
