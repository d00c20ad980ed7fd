//! Lists of addresses: the IP filter's, and those of the settings.

use std::net::IpAddr;

use torrent_core::ip_filter::{FilterRules, IpFilter, IpRange};
use torrent_core::settings::Settings;
use torrent_core::value::Value;

pub(crate) fn ip_filter(data: &[u8]) {
    let Ok((rules, loaded)) = FilterRules::from_list(data) else {
        return;
    };
    assert!(loaded.ranges + loaded.errors <= data.len());
    let blocked = rules.blocked();
    let mut again = IpFilter::new();
    let entries = blocked.entries4().map(Vec::from);
    for entry in entries.chain(blocked.entries6().map(Vec::from)) {
        again.add_entry(&entry).expect("an entry that we wrote");
    }
    assert!(again.ranges().eq(blocked.ranges()));
    for range in blocked.ranges().take(100) {
        let (first, last): (IpAddr, IpAddr) = match range {
            IpRange::V4(first, last) => (first.into(), last.into()),
            IpRange::V6(first, last) => (first.into(), last.into()),
        };
        for ip in [first, last] {
            // The range of another family may only touch that of IPv4.
            assert!(blocked.blocks(ip) || ip.is_ipv6() && ip.to_canonical().is_ipv4());
        }
    }
}

pub(crate) fn listen_interfaces(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let mut settings = Settings::default();
    let value = Value::from(text.to_owned());
    for name in ["listen_interfaces", "outgoing_interfaces"] {
        if settings.apply([(name, &value)]).is_ok() {
            settings.listen().expect("interfaces that were taken");
            settings.outgoing().expect("interfaces that were taken");
        }
    }
    let _ = settings.listens_on_ipv6();
    drop(settings.with_ipv6(true));
    drop(settings.bound_to(text));
}
