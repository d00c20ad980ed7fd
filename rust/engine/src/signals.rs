//! Keeps two signals away from the engine's threads, and so from the game.
//!
//! Sending to a connection that the other end has closed raises SIGPIPE, and
//! writing beyond a file size limit SIGXFSZ; either ends the process unless
//! somebody prevents it. A program written in Rust ignores SIGPIPE from its
//! start, but Godot is none, and what the game does about signals is not ours
//! to change. Both are raised in the thread that made the call, so blocking
//! them there leaves just the error code.

/// Blocks the signals in the calling thread and those that it will start.
pub(crate) fn block() {
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
    fn the_thread_and_its_children_have_them_blocked() {
        let blocked = || {
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
            let mask = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
            // Signals 13 and 25, counted from 1.
            mask & (1 << 12) != 0 && mask & (1 << 24) != 0
        };
        let inherited = std::thread::spawn(move || {
            assert!(!blocked());
            super::block();
            assert!(blocked());
            std::thread::spawn(blocked).join().unwrap()
        });
        assert!(inherited.join().unwrap());
    }
}
