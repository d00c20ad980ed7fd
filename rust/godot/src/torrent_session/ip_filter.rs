//! Which addresses the session has nothing to do with.

use torrent_engine::ipfilter::{IpFilter, IpRange, load_filter};

use super::*;

/// The rules of a session object, which outlive its runs.
#[derive(Debug)]
pub(super) struct Filter {
    rules: IpFilter,
    enabled: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            rules: IpFilter::default(),
            enabled: true,
        }
    }
}

impl TorrentSession {
    /// Gives the engine the rules that hold now.
    pub(super) fn use_filter(&self) {
        if let Some(session) = &*self.run.borrow() {
            let filter = self.filter.borrow();
            let rules = filter.enabled.then(|| filter.rules.clone());
            session.set_ip_filter(rules.unwrap_or_default());
        }
    }

    fn add_rule(&self, range: &str, blocked: bool) -> Result<()> {
        let invalid = |error: String| invalid(error).about(range.to_owned());
        let range: IpRange = range.parse().map_err(|error| invalid(format!("{error}")))?;
        let mut filter = self.filter.borrow_mut();
        let set = filter.rules.set(range, blocked);
        set.map_err(|error| invalid(error.to_string()))
    }
}

#[godot_api(secondary)]
impl TorrentSession {
    /// Turns the IP filter on or off without forgetting its rules. It is on at first.
    #[func]
    fn set_ip_filter_enabled(&self, enabled: bool) -> bool {
        self.filter.borrow_mut().enabled = enabled;
        self.use_filter();
        true
    }

    /// Blocks addresses, or excepts them from an earlier rule: one address, `first - last`,
    /// or a network like `10.0.0.0/8`; IPv4 or IPv6. Peers that are connected go, too.
    #[func]
    fn add_ip_filter_rule(&self, ip_range: GString, blocked: bool) -> bool {
        let added = self.add_rule(&ip_range.to_string(), blocked);
        self.use_filter();
        self.report("add_ip_filter_rule", added).is_some()
    }

    /// Adds the rules of a file: eMule's `.dat`, PeerGuardian's `.p2p`, or a rule a line.
    /// Returns how many there were, -1 when it cannot be read. Lines that make no sense are
    /// left out. The game waits while the file is read.
    #[func]
    fn load_ip_filter(&self, path: GString) -> i64 {
        let path = convert::to_path(&path);
        let loaded = load_filter(&mut self.filter.borrow_mut().rules, &path);
        self.use_filter();
        let loaded = self.report("load_ip_filter", loaded);
        loaded.map_or(-1, |loaded| convert::to_int(loaded.ranges as u64))
    }

    /// Forgets all rules.
    #[func]
    fn clear_ip_filter(&self) -> bool {
        self.filter.borrow_mut().rules = IpFilter::default();
        self.use_filter();
        true
    }
}
