//! The IP filter of a session: its rules, whether they hold, and lists from
//! files.
//!
//! The session's guard owns the [`Filter`] of a running session and asks it;
//! between two runs it is part of what [outlives](crate::session::saved_state::SavedSession)
//! them. A list is read first ([`read_list`], [`parse_list`]) and then added in
//! one step, so that no caller waits for the reading.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use torrent_core::ip_filter::FilterError;
pub use torrent_core::ip_filter::{FilterRules, IpFilter, IpRange, Loaded};

use crate::error::{Error, ErrorKind, Result};

/// Bytes that a list may have.
pub const MAX_FILTER_FILE: usize = 128 * 1024 * 1024;

/// Addresses that a session has no connections with. Rules are kept while they do not
/// hold. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Filter {
    rules: FilterRules,
    enabled: bool,
}

/// No rules, which would hold.
impl Default for Filter {
    fn default() -> Self {
        Self {
            rules: FilterRules::default(),
            enabled: true,
        }
    }
}

impl Filter {
    /// Whether connections with `ip` are refused.
    pub fn blocks(&self, ip: IpAddr) -> bool {
        self.enabled && self.rules.blocked().blocks(ip)
    }

    /// What is blocked while the filter holds.
    pub fn blocked(&self) -> &Arc<IpFilter> {
        self.rules.blocked()
    }

    /// Whether the rules hold.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Says whether the rules hold.
    pub fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Blocks a range in the form of [`IpRange`], or lets it through again. A
    /// later rule goes before an earlier one.
    ///
    /// # Errors
    ///
    /// It is no range, or there are too many rules; nothing changes then.
    pub fn add_rule(&mut self, range: &str, blocked: bool) -> Result<()> {
        let refused = |error: FilterError| Error::from(error).about(range.to_owned());
        let parsed = range.parse().map_err(refused)?;
        self.rules.set(parsed, blocked).map_err(refused)
    }

    /// Adds the rules of a list.
    ///
    /// # Errors
    ///
    /// There would be too many rules; nothing changes then.
    pub fn add_rules(&mut self, rules: FilterRules) -> Result<()> {
        Ok(self.rules.add(rules)?)
    }

    /// Uses this filter in place of all rules so far.
    pub fn replace(&mut self, filter: impl Into<Arc<IpFilter>>) {
        self.rules = FilterRules::from(filter.into());
    }

    /// Puts the rules on top of those that were remembered.
    ///
    /// # Errors
    ///
    /// There would be too many rules; nothing changes then.
    pub(crate) fn put_on(&mut self, remembered: Arc<IpFilter>) -> Result<()> {
        Ok(self.rules.put_on(remembered)?)
    }
}

/// Reads a list (eMule, PeerGuardian, or a rule a line). Takes a moment.
///
/// # Errors
///
/// It is larger than [`MAX_FILTER_FILE`], is a broken binary list, or has more
/// ranges than a filter may have.
pub fn parse_list(list: &[u8]) -> Result<(FilterRules, Loaded)> {
    if list.len() > MAX_FILTER_FILE {
        let message = format!("the list has more than {MAX_FILTER_FILE} bytes");
        return Err(Error::because(ErrorKind::InvalidParameter, message));
    }
    Ok(FilterRules::from_list(list)?)
}

/// Reads a list from a file, as [`parse_list`] does.
///
/// # Errors
///
/// Those of [`parse_list`], and that the file cannot be read.
pub fn read_list(path: &Path) -> Result<(FilterRules, Loaded)> {
    let about = |error: Error| error.about(path.display().to_string());
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::PathNotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::InvalidPath,
        };
        about(Error::because(kind, error.to_string()))
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut list = Vec::new();
    file.take(MAX_FILTER_FILE as u64 + 1)
        .read_to_end(&mut list)
        .map_err(failed)?;
    parse_list(&list).map_err(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_do_not_hold_are_kept() {
        let ip = "10.0.0.1".parse().unwrap();
        let mut filter = Filter::default();
        filter.add_rule("10.0.0.0/8", true).unwrap();
        assert!(filter.blocks(ip));
        filter.set_enabled(false);
        filter.add_rule("12.0.0.0/8", true).unwrap();
        assert!(!filter.blocks(ip));
        assert_eq!(filter.blocked().len(), 2);
        filter.set_enabled(true);
        assert!(filter.blocks(ip));
        let error = filter.add_rule("nobody", true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter);
        assert!(error.to_string().contains("nobody"), "{error}");
    }

    #[test]
    fn a_rule_copies_nothing_that_nobody_else_holds() {
        let mut filter = Filter::default();
        filter.add_rule("10.0.0.0", true).unwrap();
        let place = Arc::as_ptr(filter.blocked());
        filter.add_rule("12.0.0.0", true).unwrap();
        filter
            .add_rules(parse_list(b"13.0.0.0\n").unwrap().0)
            .unwrap();
        assert_eq!(Arc::as_ptr(filter.blocked()), place);
        assert_eq!(filter.blocked().len(), 3);
    }
}
