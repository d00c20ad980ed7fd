//! Faults that tests ask for, at the places where the system could fail, and
//! waits at the same places. In the library there are none, and asking costs
//! nothing.

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::time::Duration;

#[cfg(test)]
use parking_lot::{Condvar, Mutex};
use torrent_core::ids::FileIndex;

use super::error::{DiskOp, Fault};

#[cfg(all(test, unix))]
pub(crate) use rustix::io::Errno;

/// What Windows says where other systems have these error numbers.
#[cfg(all(test, windows))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errno(i32);

#[cfg(all(test, windows))]
impl Errno {
    pub(crate) const ACCESS: Self = Self(5);
    pub(crate) const IO: Self = Self(1117);
    pub(crate) const MFILE: Self = Self(4);
    /// There is no error of its own for the whole system.
    pub(crate) const NFILE: Self = Self::MFILE;
    pub(crate) const NOMEM: Self = Self(8);
    pub(crate) const NOSPC: Self = Self(112);
    pub(crate) const XDEV: Self = Self(17);

    pub(crate) fn raw_os_error(self) -> i32 {
        self.0
    }
}

/// The faults to come.
#[derive(Default)]
pub(crate) struct DiskFaults {
    #[cfg(test)]
    planned: Mutex<Vec<Plan>>,
    #[cfg(test)]
    gate: Mutex<Option<(DiskOp, Arc<Gate>)>>,
    #[cfg(test)]
    slow: Mutex<Vec<(DiskOp, Duration)>>,
}

/// Where operations of one kind wait.
#[cfg(test)]
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    opened: Condvar,
}

#[cfg(test)]
#[derive(Default)]
struct GateState {
    /// A thread waits, or has waited.
    reached: bool,
    open: bool,
}

#[cfg(test)]
impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock();
        state.reached = true;
        self.opened.wait_while(&mut state, |state| !state.open);
    }
}

/// Keeps all operations of one kind waiting until it is dropped.
#[cfg(test)]
pub(crate) struct Hold(Arc<Gate>);

#[cfg(test)]
impl Hold {
    /// Whether an operation has come to it.
    pub(crate) fn is_reached(&self) -> bool {
        self.0.state.lock().reached
    }
}

#[cfg(test)]
impl Drop for Hold {
    fn drop(&mut self) {
        self.0.state.lock().open = true;
        self.0.opened.notify_all();
    }
}

/// A fault that a test asks for.
#[cfg(test)]
pub(crate) struct Plan {
    pub(crate) op: DiskOp,
    /// Any file if `None`.
    pub(crate) file: Option<FileIndex>,
    /// The system's error number.
    pub(crate) errno: i32,
    /// Operations that still succeed before.
    pub(crate) after: u32,
    /// How many fail then.
    pub(crate) times: u32,
}

impl DiskFaults {
    /// Fails where a test wants `op` to fail.
    #[cfg(not(test))]
    #[inline]
    pub(super) fn strike(&self, _: DiskOp, _: FileIndex) -> Result<(), Fault> {
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn strike(&self, op: DiskOp, file: FileIndex) -> Result<(), Fault> {
        let slow = self.slow.lock().clone();
        if let Some((_, pause)) = slow.iter().find(|(slow, _)| *slow == op) {
            std::thread::sleep(*pause);
        }
        let gate = self.gate.lock().clone();
        if let Some((_, gate)) = gate.filter(|(held, _)| *held == op) {
            gate.pass();
        }
        let mut planned = self.planned.lock();
        let plan = planned.iter_mut().find(|plan| {
            plan.op == op && plan.times > 0 && plan.file.is_none_or(|wanted| wanted == file)
        });
        let Some(plan) = plan else { return Ok(()) };
        if plan.after > 0 {
            plan.after -= 1;
            return Ok(());
        }
        plan.times -= 1;
        Err(std::io::Error::from_raw_os_error(plan.errno).into())
    }

    /// Has every `op` wait from now on.
    #[cfg(test)]
    pub(crate) fn hold(&self, op: DiskOp) -> Hold {
        let gate = Arc::<Gate>::default();
        *self.gate.lock() = Some((op, Arc::clone(&gate)));
        Hold(gate)
    }

    /// Has every `op` take this much longer from now on.
    #[cfg(test)]
    pub(crate) fn slow(&self, op: DiskOp, pause: Duration) {
        self.slow.lock().push((op, pause));
    }

    #[cfg(test)]
    pub(crate) fn plan(&self, plan: Plan) {
        self.planned.lock().push(plan);
    }

    /// Lets everything succeed again.
    #[cfg(test)]
    pub(crate) fn lift(&self) {
        self.planned.lock().clear();
        self.slow.lock().clear();
    }
}

impl DiskFaults {
    /// Whether something may fail, so that no shortcut must be taken.
    #[cfg(test)]
    pub(super) fn are_planned(&self) -> bool {
        !self.planned.lock().is_empty() || !self.slow.lock().is_empty()
    }

    /// Whether something may fail, so that no shortcut must be taken.
    #[cfg(not(test))]
    #[inline]
    pub(super) fn are_planned(&self) -> bool {
        false
    }
}
