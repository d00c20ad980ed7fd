//! Running a test for many seeds.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs `test` for each seed. When one fails, says which before failing.
///
/// The environment can ask for other seeds: `TORRENT_SIM_SEED` for that one
/// alone, `TORRENT_SIM_ROUNDS` for so many times as many.
pub fn each_seed(seeds: Range<u64>, test: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("TORRENT_SIM_SEED") {
        Some(seed) => seed..seed.saturating_add(1),
        None => {
            let rounds = number("TORRENT_SIM_ROUNDS").unwrap_or(1);
            seeds.start..seeds.start + (seeds.end - seeds.start) * rounds
        }
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("failed with TORRENT_SIM_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
