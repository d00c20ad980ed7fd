//! A task that keeps the disk workers as the settings want them, and closes
//! files that were open for long where that is asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use torrent_core::settings::Settings;

use crate::context::Context;
use crate::disk::{DiskTuning, WriteMode};

/// Runs until the session stops.
pub(crate) async fn run(context: Arc<Context>) {
    let mut settings = context.services.settings.subscribe();
    let mut last_close = Instant::now();
    loop {
        let interval = {
            let settings = settings.borrow_and_update();
            context.disk.tune(tuning(&settings));
            settings.close_file_interval.unsigned_abs()
        };
        let next_close = last_close + Duration::from_secs(interval);
        tokio::select! {
            changed = settings.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = sleep_until(next_close), if interval > 0 => {
                context.disk.close_oldest_file();
                last_close = Instant::now();
            }
        }
    }
}

/// What the settings say of the disk.
fn tuning(settings: &Settings) -> DiskTuning {
    DiskTuning {
        file_pool_size: settings.file_pool_size as usize,
        max_queued_bytes: settings.max_queued_disk_bytes as usize,
        working: settings.aio_threads as usize,
        forget_reads: settings.disk_io_read_mode == 2,
        writes: match settings.disk_io_write_mode {
            2 => WriteMode::Forgotten,
            3 => WriteMode::Through,
            _ => WriteMode::Cached,
        },
        no_atime: settings.no_atime_storage,
        check_hashes: !settings.disable_hash_checks,
    }
}
