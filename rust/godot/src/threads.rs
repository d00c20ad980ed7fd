//! Which thread calls, and what threads share.
//!
//! Games call from any thread. What only reads works there; everything else
//! belongs to Godot's main thread and begins with [`main_only`]. So that the
//! main thread never waits for another one, no lock of ours is held while
//! anything of Godot runs that may call a script or wait: values are copied
//! out of a [`SharedField`] and used afterwards. gdext's own lock of an object's
//! fields is of that kind too, since nothing borrows them mutably once the
//! object is made.

use parking_lot::{Mutex, MutexGuard};

use godot::builtin::{Callable, Variant};
use torrent_engine::error::{Error, ErrorKind, Result};

/// Whether this is Godot's main thread.
pub(crate) fn is_main() -> bool {
    godot::init::is_main_thread()
}

/// Fails on every thread but the main one.
pub(crate) fn require_main() -> Result<()> {
    match is_main() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::WrongThread)),
    }
}

/// The first line of a method that belongs to the main thread: on another one
/// the object reports that, and the method returns its failing value.
macro_rules! main_only {
    ($object:expr, $method:literal) => {
        $crate::threads::main_only!($object, $method, Default::default())
    };
    ($object:expr, $method:literal, $failing:expr) => {
        if $object
            .report($method, $crate::threads::require_main())
            .is_none()
        {
            return $failing;
        }
    };
}
pub(crate) use main_only;

/// A field that any thread may read. Copy a value out, or lock for a moment in
/// which nothing of Godot is called that could come back here.
#[derive(Debug, Default)]
pub(crate) struct SharedField<T>(Mutex<T>);

impl<T> SharedField<T> {
    /// A field with this value.
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// The value, for a moment.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    /// Sets the value and returns the one before, which may call us when it is
    /// dropped: the lock is free by then.
    pub(crate) fn replace(&self, value: T) -> T {
        std::mem::replace(&mut *self.lock(), value)
    }
}

impl<T: Default> SharedField<T> {
    /// Empties the field.
    pub(crate) fn take(&self) -> T {
        self.replace(T::default())
    }
}

impl<T: Clone> SharedField<T> {
    /// A copy of the value.
    pub(crate) fn get(&self) -> T {
        self.lock().clone()
    }
}

/// Something of Godot's that may change threads: its references are counted
/// with atomics, and the value is used by one thread at a time.
pub(crate) struct Movable<T>(T);

impl<T> Movable<T> {
    /// Wraps a value.
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub(crate) const fn get(&self) -> &T {
        &self.0
    }
}

// SAFETY: only used for Callable, Gd of RefCounted classes and what consists of
// them, behind a mutex or moved as a whole. Godot counts their references with
// atomic operations, and gdext is built to be called from any thread.
#[allow(unsafe_code)]
unsafe impl<T> Send for Movable<T> {}

type Job = Movable<Box<dyn FnOnce()>>;

/// What other threads have left for the main thread to do.
static LEFT: Mutex<Vec<Job>> = Mutex::new(Vec::new());

/// Does something on the main thread: now, or before its next frame. For what
/// is dropped: no thread but the main one frees what a game has connected.
pub(crate) fn on_main(job: impl FnOnce() + 'static) {
    if is_main() {
        return job();
    }
    LEFT.lock().push(Movable::new(Box::new(job)));
    before_next_frame(catch_up);
}

/// Has the main thread call a function between two frames.
pub(crate) fn before_next_frame(job: fn()) {
    let job = move |_: &[&Variant]| job();
    Callable::from_sync_fn("torrents", job).call_deferred(&[]);
}

/// Does what other threads have left. Main thread only.
pub(crate) fn catch_up() {
    let jobs = std::mem::take(&mut *LEFT.lock());
    for Movable(job) in jobs {
        job();
    }
}
