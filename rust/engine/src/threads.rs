//! How each thread of the engine begins: `begin` is the first thing it does.
//!
//! **Signals.** Sending to a connection that the other end has closed raises
//! SIGPIPE, and writing beyond a file size limit SIGXFSZ; either ends the
//! process unless that is prevented. A program written in Rust ignores
//! SIGPIPE from its start, but Godot is none, and what the game does about
//! signals is not ours to change. Both are raised in the thread that made the
//! call, so blocking them there leaves just the error code.
//!
//! **Priority.** Where a game runs beside the engine ([`give_way`]), a transfer
//! at full rate must not take the core away in the middle of a frame.
//!
//! **The library's code.** A game may end while a thread hangs in a disk.
//! [`keep_library`] then keeps the library in memory for it.

use std::cell::OnceCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static GIVE_WAY: AtomicBool = AtomicBool::new(false);

/// Threads that run the engine's code.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COUNTED: OnceCell<CountedThread> = const { OnceCell::new() };
}

/// One of [`RUNNING`]; goes with its thread.
struct CountedThread;

impl CountedThread {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for CountedThread {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Release);
    }
}

/// The nice value of a thread that gives way, unless it is there already.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NICE: i32 = 9;

/// From now on the engine's threads begin with a priority below that of the
/// other threads of this process. For a process with a main thread that has
/// something better to do, such as drawing frames.
pub fn give_way() {
    GIVE_WAY.store(true, Ordering::Relaxed);
}

/// Sets up the calling thread, and those that it will start.
pub(crate) fn begin() {
    COUNTED.with(|counted| {
        counted.get_or_init(CountedThread::new);
    });
    block_signals();
    if GIVE_WAY.load(Ordering::Relaxed) {
        lower_priority();
    }
}

/// For the end of a program that is about to unload this library: if threads of
/// the engine still run, as where a disk hangs, the library stays in memory until
/// the process is gone. How many threads there are.
pub fn keep_library() -> usize {
    let running = RUNNING.load(Ordering::Acquire);
    if running > 0 && !pin((&raw const RUNNING).cast()) {
        // A program that has us built in is never unloaded either.
        tracing::warn!(running, "the library cannot be kept in memory");
    }
    running
}

/// Keeps the library in memory that has this address. Whether it is one.
#[cfg(unix)]
fn pin(address: *const c_void) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // It is loaded already; this only says that it is to stay.
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
    // SAFETY: the record is plain data, for which zeros are valid. A name that
    // `dladdr` has found is a C string of the loader's, and nothing is loaded by
    // it, so no code runs.
    #[allow(unsafe_code, reason = "the standard library has no loader")]
    unsafe {
        libc::dladdr(address, found.as_mut_ptr()) != 0
            && !libc::dlopen(found.assume_init().dli_fname, flags).is_null()
    }
}

/// Keeps the library in memory that has this address. Whether it is one.
#[cfg(windows)]
fn pin(address: *const c_void) -> bool {
    use windows_sys::Win32::System::LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
    };

    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    let mut module = std::ptr::null_mut();
    // SAFETY: by the first flag the name is an address, which is only looked up.
    #[allow(unsafe_code, reason = "the standard library has no loader")]
    let pinned = unsafe { GetModuleHandleExW(flags, address.cast(), &raw mut module) };
    pinned != 0
}

/// Linux has a nice value for each thread, whatever the name of the call says.
/// A thread never gets back up, and inherits where it is.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn lower_priority() {
    use rustix::process::{getpriority_process, setpriority_process};

    let lowered = getpriority_process(None).and_then(|now| match now {
        ..NICE => setpriority_process(None, NICE),
        _ => Ok(()),
    });
    if let Err(error) = lowered {
        tracing::warn!(%error, "a thread keeps its priority");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn lower_priority() {
    use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};

    // Of 0 to 99; on Windows it is "below normal".
    let lowered = ThreadPriorityValue::try_from(25u8)
        .map(ThreadPriority::Crossplatform)
        .map(set_current_thread_priority);
    if !matches!(lowered, Ok(Ok(()))) {
        tracing::warn!(?lowered, "a thread keeps its priority");
    }
}

fn block_signals() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};

        let mut signals = SigSet::empty();
        signals.add(Signal::SIGPIPE);
        signals.add(Signal::SIGXFSZ);
        if let Err(error) = signals.thread_block() {
            tracing::warn!(%error, "signals could not be blocked");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    #[test]
    fn the_thread_and_its_children_have_signals_blocked() {
        let blocked = || {
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
            let mask = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
            // Signals 13 and 25, counted from 1.
            mask & (1 << 12) != 0 && mask & (1 << 24) != 0
        };
        let inherited = std::thread::spawn(move || {
            assert!(!blocked());
            super::begin();
            assert!(blocked());
            std::thread::spawn(blocked).join().unwrap()
        });
        assert!(inherited.join().unwrap());
    }

    #[test]
    fn a_library_is_kept_by_an_address_in_it() {
        // Of the system's C library.
        assert!(super::pin(libc::getpid as *const super::c_void));
        assert!(!super::pin(std::ptr::null()));
    }

    #[test]
    fn a_thread_that_gives_way_is_below_the_others() {
        // The 19th field; the second, in parentheses, has no spaces here.
        let nice = || -> i32 {
            let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
            let after_name = stat.rsplit_once(") ").unwrap().1;
            after_name.split(' ').nth(16).unwrap().parse().unwrap()
        };
        let before = nice();
        let after = std::thread::spawn(move || {
            super::lower_priority();
            nice()
        });
        assert_eq!(after.join().unwrap(), before.max(super::NICE));
        assert_eq!(nice(), before, "the others keep theirs");
    }
}
