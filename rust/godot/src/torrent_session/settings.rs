//! Settings by name, and those that have methods of their own.

use super::*;

#[godot_api(secondary)]
impl TorrentSession {
    /// Changes settings by name, before or after the start: all of them, or none when one
    /// is unknown or wrong. See [method get_default_settings] for the names.
    #[func]
    fn apply_settings(&self, settings: AnyDictionary) -> bool {
        main_only!(self, "apply_settings");
        let applied = convert::from_dictionary(&settings).and_then(|patch| self.apply(&patch));
        self.report("apply_settings", applied).is_some()
    }

    /// All settings by name, as they are now. Read-only: give [method apply_settings] what
    /// is to change, and no more. All that it is given goes before what a state directory
    /// remembers.
    ///
    /// ```gdscript
    /// print(session.get_settings().download_rate_limit)
    /// session.apply_settings({"download_rate_limit": 500_000})
    /// ```
    #[func]
    fn get_settings(&self) -> VarDictionary {
        let convert = |settings: &Arc<Settings>| settings_dictionary(settings).into_read_only();
        let shown = &self.shown_settings;
        shown.get(self.settings(), PartialEq::eq, convert)
    }

    /// All settings by name, as they are in a new session.
    #[func]
    fn get_default_settings() -> VarDictionary {
        settings_dictionary(&Settings::default())
    }

    /// All settings of a kind of use: "default", "high_throughput" (a dedicated server),
    /// "low_memory" (a small device) or "lan" (games at home). Empty for another name.
    #[func]
    fn get_settings_preset(name: GString) -> VarDictionary {
        let unknown = || invalid(format!("there is no preset '{name}'"));
        let preset = Settings::preset(&name.to_string()).ok_or_else(unknown);
        let preset = last_error::ok("TorrentSession.get_settings_preset", preset);
        preset.as_ref().map(settings_dictionary).unwrap_or_default()
    }

    /// Listens on this port of all addresses, 0 for any free one. Counts with the next start.
    #[func]
    fn set_listen_port(&self, port: i64) -> bool {
        main_only!(self, "set_listen_port");
        let applied = self.apply_one("listen_port", port);
        self.report("set_listen_port", applied).is_some()
    }

    /// Listens on the first free port of a range. Counts with the next start.
    #[func]
    fn set_listen_port_range(&self, min_port: i64, max_port: i64) -> bool {
        main_only!(self, "set_listen_port_range");
        let applied = match max_port.checked_sub(min_port) {
            Some(more) if more >= 0 && max_port <= 65_535 => self.apply(&vec![
                ("listen_port".into(), min_port.into()),
                ("max_retry_port_bind".into(), more.into()),
            ]),
            _ => Err(invalid(format!(
                "{min_port} to {max_port} is not a range of ports"
            ))),
        };
        self.report("set_listen_port_range", applied).is_some()
    }

    /// Limits what is received of all torrents together, bytes per second; 0 for no limit.
    #[func]
    fn set_download_rate_limit(&self, bytes_per_second: i64) -> bool {
        main_only!(self, "set_download_rate_limit");
        let applied = self.apply_one("download_rate_limit", bytes_per_second);
        self.report("set_download_rate_limit", applied).is_some()
    }

    /// Most that is received of all torrents together, bytes per second; 0 unlimited.
    #[func]
    fn get_download_rate_limit(&self) -> i64 {
        self.settings().download_rate_limit
    }

    /// Limits what is sent of all torrents together, bytes per second; 0 for no limit.
    #[func]
    fn set_upload_rate_limit(&self, bytes_per_second: i64) -> bool {
        main_only!(self, "set_upload_rate_limit");
        let applied = self.apply_one("upload_rate_limit", bytes_per_second);
        self.report("set_upload_rate_limit", applied).is_some()
    }

    /// Most that is sent of all torrents together, bytes per second; 0 unlimited.
    #[func]
    fn get_upload_rate_limit(&self) -> i64 {
        self.settings().upload_rate_limit
    }

    /// Limits the connections to peers that are being made at once, in all torrents together;
    /// 0 for no limit.
    #[func]
    fn set_max_half_open_connections(&self, limit: i64) -> bool {
        main_only!(self, "set_max_half_open_connections");
        let applied = self.apply_one("half_open_limit", limit);
        self.report("set_max_half_open_connections", applied)
            .is_some()
    }

    /// Sets which connections to peers are encrypted, those that we make and those that come
    /// in: 0 none, 1 (the default) those with peers that want it, 2 all, so that peers which
    /// do not encrypt are not connected. It hides what is transferred from simple filters in
    /// the network, and is no protection of secrets. Counts for new connections.
    #[func]
    fn set_encryption_policy(&self, policy: i64) -> bool {
        main_only!(self, "set_encryption_policy");
        let applied = match policy {
            0..=2 => self.apply(&vec![
                ("in_enc_policy".into(), (2 - policy).into()),
                ("out_enc_policy".into(), (2 - policy).into()),
            ]),
            _ => Err(invalid(format!(
                "the policy is 0 (disabled), 1 (enabled) or 2 (forced), not {policy}"
            ))),
        };
        self.report("set_encryption_policy", applied).is_some()
    }

    /// Encrypts everything (RC4) on connections of peers that leave the choice, and not only
    /// the handshake. Costs processor time. Counts for new connections.
    #[func]
    fn set_prefer_encrypted(&self, prefer: bool) -> bool {
        main_only!(self, "set_prefer_encrypted");
        let applied = self.apply(&vec![("prefer_rc4".into(), prefer.into())]);
        self.report("set_prefer_encrypted", applied).is_some()
    }

    /// Limits what waits in memory for the disk, in MiB. The session stops receiving while
    /// there is more. Counts with the next start.
    #[func]
    fn set_cache_size(&self, size_mb: i64) -> bool {
        main_only!(self, "set_cache_size");
        let bytes = size_mb.saturating_mul(1024 * 1024);
        let applied = self.apply_one("max_queued_disk_bytes", bytes);
        self.report("set_cache_size", applied).is_some()
    }

    /// How long memory that is not in use is kept for the next use.
    #[func]
    fn set_cache_expiry(&self, seconds: i64) -> bool {
        main_only!(self, "set_cache_expiry");
        let applied = self.apply_one("idle_buffer_time", seconds);
        self.report("set_cache_expiry", applied).is_some()
    }

    /// Limits the connections of all torrents together, at least 2.
    #[func]
    fn set_max_connections(&self, limit: i64) -> bool {
        main_only!(self, "set_max_connections");
        let applied = self.apply_one("connections_limit", limit);
        self.report("set_max_connections", applied).is_some()
    }

    /// Most connections of all torrents together.
    #[func]
    fn get_max_connections(&self) -> i64 {
        self.settings().connections_limit
    }

    /// Limits the peers that may download from us at once, in all torrents together; -1 for no
    /// limit.
    #[func]
    fn set_max_uploads(&self, limit: i64) -> bool {
        main_only!(self, "set_max_uploads");
        let applied = self.apply_one("unchoke_slots_limit", limit);
        self.report("set_max_uploads", applied).is_some()
    }

    /// Most peers that may download from us at once, in all torrents together; -1 unlimited.
    #[func]
    fn get_max_uploads(&self) -> i64 {
        self.settings().unchoke_slots_limit
    }
}
