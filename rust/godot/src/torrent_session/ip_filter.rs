//! Which addresses the session has nothing to do with.

use torrent_engine::ip_filter::{IpFilter, Loaded, MAX_FILTER_FILE, parse_list};

use super::*;

impl TorrentSession {
    fn load_list(&self, path: &GString) -> Result<Loaded> {
        let list = paths::read(path, MAX_FILTER_FILE)?;
        let about = |error: Error| error.about(path.to_string());
        let (rules, loaded) = parse_list(list.as_slice()).map_err(about)?;
        self.slot
            .change_ip_filter(|filter| filter.add_rules(rules).map_err(about))?;
        Ok(loaded)
    }
}

#[godot_api(secondary)]
impl TorrentSession {
    /// Turns the IP filter on or off without forgetting its rules, which
    /// [method save_state] has in either case. It is on at first.
    #[func]
    fn set_ip_filter_enabled(&self, enabled: bool) -> bool {
        main_only!(self, "set_ip_filter_enabled");
        let changed = self.slot.change_ip_filter(|filter| {
            filter.set_enabled(enabled);
            Ok(())
        });
        self.report("set_ip_filter_enabled", changed).is_some()
    }

    /// Blocks addresses, or excepts them from an earlier rule: one address, `first - last`,
    /// or a network like `10.0.0.0/8`; IPv4 or IPv6. Peers that are connected go, too. With a
    /// state directory, rules made before the start are added to those that it remembers.
    #[func]
    fn add_ip_filter_rule(&self, ip_range: GString, blocked: bool) -> bool {
        main_only!(self, "add_ip_filter_rule");
        let added = self
            .slot
            .change_ip_filter(|filter| filter.add_rule(&ip_range.to_string(), blocked));
        self.report("add_ip_filter_rule", added).is_some()
    }

    /// Adds the rules of a file: eMule's `.dat`, PeerGuardian's `.p2p`, or a rule a line;
    /// from `res://` of an exported game too. Returns how many there were, -1 when it cannot
    /// be read. Lines that make no sense are left out.
    ///
    /// As it returns what came of the file, the game waits while that is read: no time to
    /// matter for some thousand rules, but a second or more for lists of the whole
    /// Internet. Load those while the game shows that it loads. A state directory, or
    /// [method save_state], keeps them for the next time.
    #[func]
    fn load_ip_filter(&self, path: GString) -> i64 {
        main_only!(self, "load_ip_filter", -1);
        let loaded = self.report("load_ip_filter", self.load_list(&path));
        loaded.map_or(-1, |loaded| convert::to_int(loaded.ranges as u64))
    }

    /// Forgets all rules, also those that the state directory remembers.
    #[func]
    fn clear_ip_filter(&self) -> bool {
        main_only!(self, "clear_ip_filter");
        let cleared = self.slot.change_ip_filter(|filter| {
            filter.replace(IpFilter::default());
            Ok(())
        });
        self.report("clear_ip_filter", cleared).is_some()
    }
}
