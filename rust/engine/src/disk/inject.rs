//! Faults that tests ask for, at the places where the system could fail. In
//! the library there are none, and asking costs nothing.

use torrent_core::ids::FileIndex;

use super::error::{DiskOp, Fault};

/// The faults to come.
#[derive(Default)]
pub(super) struct Faults {
    #[cfg(test)]
    planned: parking_lot::Mutex<Vec<Plan>>,
}

/// A fault that a test asks for.
#[cfg(test)]
pub(super) struct Plan {
    pub(super) op: DiskOp,
    /// Any file if `None`.
    pub(super) file: Option<FileIndex>,
    /// The system's error number.
    pub(super) errno: i32,
    /// Operations that still succeed before.
    pub(super) after: u32,
    /// How many fail then.
    pub(super) times: u32,
}

impl Faults {
    /// Fails where a test wants `op` to fail.
    #[cfg(not(test))]
    #[inline]
    pub(super) fn strike(&self, _: DiskOp, _: FileIndex) -> Result<(), Fault> {
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn strike(&self, op: DiskOp, file: FileIndex) -> Result<(), Fault> {
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

    #[cfg(test)]
    pub(super) fn plan(&self, plan: Plan) {
        self.planned.lock().push(plan);
    }
}
