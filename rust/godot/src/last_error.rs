//! How a failed call shows: one error in Godot's output that names the class,
//! the method and the reason, and the same error kept for `get_last_error()`.

use std::sync::Arc;

use godot::builtin::{GString, vslice};
use godot::global;
use torrent_engine::error::{Error, ErrorKind, Result};

use crate::threads::SharedField;

/// How many characters of an error are printed.
const LONGEST: usize = 1000;

/// The last error of an object. What fails with a torrent is its session's last
/// error too; an alert manager knows those of all sessions that it serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastError {
    own: Arc<ErrorCell>,
    session: Option<Arc<ErrorCell>>,
}

type ErrorCell = SharedField<Option<Error>>;

impl LastError {
    /// The last error of a torrent of the session that this one is of.
    pub(crate) fn of_torrent(&self) -> Self {
        Self {
            own: Arc::default(),
            session: Some(Arc::clone(&self.own)),
        }
    }

    /// The last error; [`ErrorKind::Ok`] without one.
    pub(crate) fn get(&self) -> Error {
        let none = || Error::new(ErrorKind::Ok);
        self.own.get().unwrap_or_else(none)
    }

    /// Keeps a failure.
    pub(crate) fn keep(&self, error: &Error) {
        for slot in [Some(&self.own), self.session.as_ref()]
            .into_iter()
            .flatten()
        {
            slot.replace(Some(error.clone()));
        }
    }

    /// Forgets it.
    pub(crate) fn clear(&self) {
        self.own.take();
    }

    /// Keeps and prints a failure. `place` is "Class.method".
    pub(crate) fn report(&self, place: &str, error: &Error) {
        // Kept first: a logger that receives it can already ask for it.
        self.keep(error);
        print_error(place, error);
    }

    /// The value of a success; a failure is kept, printed and `None`.
    pub(crate) fn ok<T>(&self, place: &str, result: Result<T>) -> Option<T> {
        result.inspect_err(|error| self.report(place, error)).ok()
    }
}

/// Prints a failure that no session is there to keep.
pub(crate) fn print_error(place: &str, error: &Error) {
    let text = GString::from(&shortened(format!("{place}: {error}")));
    global::push_error(vslice![text]);
}

/// A text of at most [`LONGEST`] characters: an argument that is part of an
/// error may be anything.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The value of a success; a failure is printed and `None`.
pub(crate) fn ok<T>(place: &str, result: Result<T>) -> Option<T> {
    result.inspect_err(|error| print_error(place, error)).ok()
}
