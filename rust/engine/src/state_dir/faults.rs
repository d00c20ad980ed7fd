//! Faults that tests ask for at the places where the system could fail. In a
//! library that is used there are none, and asking costs a look at an `Option`.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Something that is done to a file of the state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOp {
    /// The folder is listed.
    List,
    /// A file is read.
    Read,
    /// A temporary file is created.
    Create,
    /// It is written.
    Write,
    /// It is made durable.
    Sync,
    /// A file gets another name.
    Rename,
    /// A file is deleted.
    Remove,
}

type Strike = dyn Fn(FileOp, &Path) -> io::Result<()> + Send + Sync;

/// What a test does to the state directory: a function that is called before
/// each operation and may fail it, or wait.
#[derive(Clone, Default)]
pub struct StateFaults(Option<Arc<Strike>>);

impl StateFaults {
    /// Calls `strike` before each operation, with the path that it is about.
    pub fn new(strike: impl Fn(FileOp, &Path) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(strike)))
    }

    /// Fails the operations that `is_it` picks, by an error of no particular kind.
    pub fn failing(is_it: impl Fn(FileOp, &Path) -> bool + Send + Sync + 'static) -> Self {
        Self::new(move |op, path| match is_it(op, path) {
            true => Err(io::Error::other("a fault that a test asks for")),
            false => Ok(()),
        })
    }

    pub(super) fn strike(&self, op: FileOp, path: &Path) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |strike| strike(op, path))
    }
}

impl fmt::Debug for StateFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&self.0.is_some()).finish()
    }
}
