//! Messages by sort and direction, over all connections of a session.

use torrent_core::peer::{MessageCounts, SORTS, Sort, Traffic};
use torrent_core::value::Fields;

use super::Counter;

/// What connections report with every wake.
#[derive(Debug, Default)]
pub(crate) struct TrafficStats {
    received: [Counter; SORTS],
    sent: [Counter; SORTS],
    invalid_requests: Counter,
    choked_requests: Counter,
    cancelled_requests: Counter,
}

impl TrafficStats {
    pub(crate) fn add(&self, traffic: &Traffic) {
        add(&self.received, &traffic.received);
        add(&self.sent, &traffic.sent);
        for (counter, count) in [
            (&self.invalid_requests, traffic.invalid_requests),
            (&self.choked_requests, traffic.choked_requests),
            (&self.cancelled_requests, traffic.cancelled_requests),
        ] {
            if count > 0 {
                counter.add(u64::from(count));
            }
        }
    }

    pub(super) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        for (direction, counters) in [("incoming", &self.received), ("outgoing", &self.sent)] {
            for (sort, counter) in Sort::ALL.iter().zip(counters) {
                let name = format!("ses.num_{direction}_{}", sort.name());
                fields.push((name.into(), counter.get().into()));
            }
        }
        let of = |counters: &[Counter; SORTS], sort: Sort| {
            counters.get(sort as usize).map_or(0, Counter::get).into()
        };
        fields.extend([
            (
                "peer.piece_requests".into(),
                of(&self.received, Sort::Request),
            ),
            ("peer.piece_rejects".into(), of(&self.sent, Sort::Reject)),
            (
                "peer.invalid_piece_requests".into(),
                self.invalid_requests.get().into(),
            ),
            (
                "peer.choked_piece_requests".into(),
                self.choked_requests.get().into(),
            ),
            (
                "peer.cancelled_piece_requests".into(),
                self.cancelled_requests.get().into(),
            ),
        ]);
        fields
    }
}

fn add(counters: &[Counter; SORTS], counts: &MessageCounts) {
    for (sort, count) in counts.iter() {
        if let Some(counter) = counters.get(sort as usize) {
            counter.add(u64::from(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use torrent_core::value::Value;

    #[test]
    fn each_sort_has_its_metric_in_each_direction() {
        let stats = TrafficStats::default();
        let traffic = Traffic {
            choked_requests: 3,
            ..Traffic::default()
        };
        stats.add(&traffic);
        stats.add(&traffic);
        let fields = stats.fields();
        assert_eq!(fields.len(), 2 * SORTS + 5);
        let get = |name: &str| &fields.iter().find(|(known, _)| known == name).unwrap().1;
        assert_eq!(get("peer.choked_piece_requests"), &Value::Int(6));
        assert_eq!(get("ses.num_incoming_have_all"), &Value::Int(0));
        assert_eq!(get("ses.num_outgoing_ext_handshake"), &Value::Int(0));
    }
}
