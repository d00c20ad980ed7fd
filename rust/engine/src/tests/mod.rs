//! Sessions on loopback whose storage fails at a word: what tests outside of
//! the crate cannot bring about.

mod reading;
#[path = "../../tests/support/mod.rs"]
pub(crate) mod support;

use std::sync::Arc;

use support::Node;

use crate::disk::{DiskOp, Errno, Faults, Plan};

/// Where `node`'s storage is made to fail.
pub(crate) fn faults(node: &Node) -> Arc<Faults> {
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
