//! Sessions on loopback whose storage fails on command: what tests outside of
//! the crate cannot bring about.

mod ending;
mod folder;
#[cfg(test)]
pub(crate) mod full_queues;
mod idle;
mod memory;
mod reading;
mod shortage;
#[path = "../../../tests/support/mod.rs"]
pub(crate) mod support;
mod waking;

use std::path::Path;
use std::sync::Arc;

use support::{Node, until};

use crate::core::settings::Settings;
use crate::core::value::Value;
use crate::disk::{DiskFaults, DiskOp, Errno, Plan};
use crate::session::Session;
use crate::state_dir::StateDir;

/// A session that keeps its state in `folder`, once its torrents are back.
pub(crate) fn start(folder: &Path) -> Node {
    let node = begin(folder);
    until(|| node.session.is_restored());
    node
}

/// The same, before they are.
pub(crate) fn begin(folder: &Path) -> Node {
    let state = StateDir::open(folder).unwrap();
    let mut settings = Settings::default();
    let listen = Value::from("127.0.0.1:0");
    let patch = [
        ("listen_interfaces", &listen),
        ("alert_mask", &Value::Int(0xffff_ffff)),
    ];
    settings.apply(patch).unwrap();
    Node::of(Session::start_with_state(settings, state).unwrap())
}

/// Where `node`'s storage is made to fail.
pub(crate) fn faults(node: &Node) -> Arc<DiskFaults> {
    node.session.shared.disk.get().unwrap().faults()
}

/// Has every `op` of `node`'s storage fail from now on.
pub(crate) fn fail(node: &Node, op: DiskOp, errno: Errno) {
    faults(node).plan(Plan {
        op,
        file: None,
        errno: errno.raw_os_error(),
        after: 0,
        times: u32::MAX,
    });
}
