//! The program that libFuzzer drives: one target, which the variable
//! `FUZZ_TARGET` names.
#![no_main]
#![allow(unsafe_code, reason = "the entry point that libFuzzer calls")]

use std::sync::OnceLock;

use torrent_fuzz::{CANARY, TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let mut known = TARGETS.iter().chain([&CANARY]);
        let found = known.find(|target| target.name == wanted);
        let found = found.unwrap_or_else(|| panic!("there is no target '{wanted}'"));
        TARGET.get_or_init(|| *found);
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(data);
        }
    }
);
