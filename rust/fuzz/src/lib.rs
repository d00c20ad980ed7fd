//! Fuzz targets: plain functions that take any bytes and must neither panic nor
//! hang. Each is one door through which bytes from outside come in.
//!
//! `./build.sh test fuzz` runs them under libFuzzer (`main.rs`), which learns
//! from the code that an input reaches; the test in `tests/seeds.rs` plays the
//! inputs that are kept in `seeds` everywhere, without it.

mod addresses;
mod dht;
mod documents;
mod encryption;
mod extensions;
mod receive;
mod trackers;
mod utp;

/// A door, and what is kept for it in the folder of its name below `seeds`.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("torrent_file", documents::torrent_file),
    target("magnet", documents::magnet),
    target("resume_data", documents::resume_data),
    target("places", documents::places),
    target("session_state", documents::session_state),
    target("ip_filter", addresses::ip_filter),
    target("listen_interfaces", addresses::listen_interfaces),
    target("http_answer", trackers::http_answer),
    target("tracker_reply", trackers::reply),
    target("udp_tracker", trackers::udp),
    target("extensions", extensions::payload),
    target("krpc", dht::krpc),
    target("dht_node", dht::node),
    target("receive", receive::conversation),
    target("encryption", encryption::exchange),
    target("utp_packet", utp::packet),
    target("utp", utp::multiplexer),
];

/// Is there to be found: it fails for the inputs that begin with one word, which
/// nothing but coverage leads to. It shows that the fuzzer is not blind.
pub const CANARY: Target = target("canary", canary);

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

fn canary(data: &[u8]) {
    let mut letters = data.iter();
    for expected in b"bird" {
        if letters.next() != Some(expected) {
            return;
        }
    }
    panic!("found");
}
