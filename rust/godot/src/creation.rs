//! What comes of the work that a creator is at, for the callers that wait for it: they
//! have their answer also when the creator begins anew, is cancelled or is freed.

use std::sync::{Arc, OnceLock};

use godot::builtin::PackedByteArray;
use torrent_engine::create::Created;
use torrent_engine::error::{Error, Result};

use crate::convert::invalid;
use crate::threads::SharedField;
use crate::waits::WaitReply;

type CreationOutcome = Arc<OnceLock<Result<Created>>>;

/// The work that was begun last, if any was.
#[derive(Debug, Default)]
pub(crate) struct Making(SharedField<Option<CreationOutcome>>);

impl Making {
    /// Work begins.
    pub(crate) fn begin(&self) {
        self.give_up();
        self.0.replace(Some(CreationOutcome::default()));
    }

    /// The work is done, or has failed.
    pub(crate) fn end(&self, result: Result<Created>) {
        let outcome = self.0.lock().get_or_insert_default().clone();
        // What has ended stays as it ended.
        let _ = outcome.set(result);
    }

    /// What was begun and has not ended will not.
    pub(crate) fn give_up(&self) {
        if let Some(outcome) = self.0.get() {
            let _ = outcome.set(Err(invalid("the torrent is not made any more")));
        }
    }

    /// What one who waits looks at.
    pub(crate) fn look(&self) -> impl Fn() -> Option<Result<WaitReply>> + Send + use<> {
        let begun = self.0.get();
        move || match &begun {
            Some(outcome) => Some(reply(outcome.get()?)),
            None => Some(Err(invalid(
                "no torrent is being made: call generate() before",
            ))),
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.give_up();
    }
}

fn reply(made: &Result<Created>) -> Result<WaitReply> {
    let created = made.as_ref().map_err(Error::clone)?;
    Ok(WaitReply::Data(PackedByteArray::from(
        created.data.as_ref(),
    )))
}
