//! Answers to the questions that can be put to a torrent (`post_*`), with the
//! field names of libtorrent's alerts.

use std::sync::Arc;

use torrent_core::value::{Fields, Value};

use super::{Kind, kind};
use crate::status::{OpenFile, PartialPiece, PeerInfo, TrackerStatus};

/// What a torrent answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Its connections.
    Peers(Arc<Vec<PeerInfo>>),
    /// Verified bytes of each file.
    FileProgress(Arc<Vec<u64>>),
    /// The pieces that are being fetched.
    Pieces(Arc<Vec<PartialPiece>>),
    /// How many connected peers have each piece.
    Availability(Arc<Vec<u32>>),
    /// Its trackers.
    Trackers(Arc<Vec<TrackerStatus>>),
    /// The priority of each file.
    FilePriorities(Arc<Vec<u8>>),
    /// Its files that are open.
    Files(Vec<OpenFile>),
}

impl Answer {
    /// The kind of the event that brings it.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Peers(_) => kind::PEER_INFO,
            Self::FileProgress(_) => kind::FILE_PROGRESS,
            Self::Pieces(_) => kind::PIECE_INFO,
            Self::Availability(_) => kind::PIECE_AVAILABILITY,
            Self::Trackers(_) => kind::TRACKER_LIST,
            Self::FilePriorities(_) => kind::FILE_PRIORITIES,
            Self::Files(_) => kind::FILE_STATUS,
        }
    }

    /// How many things it contains.
    pub fn len(&self) -> usize {
        match self {
            Self::Peers(peers) => peers.len(),
            Self::FileProgress(bytes) => bytes.len(),
            Self::Pieces(pieces) => pieces.len(),
            Self::Availability(counts) => counts.len(),
            Self::Trackers(trackers) => trackers.len(),
            Self::FilePriorities(priorities) => priorities.len(),
            Self::Files(files) => files.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn fields(&self) -> Fields {
        let (name, value) = match self {
            Self::Peers(peers) => ("peer_info", records(peers, PeerInfo::fields)),
            Self::FileProgress(bytes) => ("files", bytes.to_vec().into()),
            Self::Pieces(pieces) => ("piece_info", records(pieces, PartialPiece::fields)),
            Self::Availability(counts) => ("piece_availability", counts.to_vec().into()),
            Self::Trackers(trackers) => ("trackers", records(trackers, TrackerStatus::fields)),
            Self::FilePriorities(priorities) => ("priorities", priorities.to_vec().into()),
            Self::Files(files) => ("state", records(files, OpenFile::fields)),
        };
        vec![(name.into(), value)]
    }
}

fn records<T>(all: &[T], fields: impl Fn(&T) -> Fields) -> Value {
    Value::List(all.iter().map(|one| Value::Map(fields(one))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_one_field_by_its_alerts_name() {
        let answers = [
            Answer::Peers(Arc::default()),
            Answer::FileProgress(Arc::new(vec![7])),
            Answer::Pieces(Arc::default()),
            Answer::Availability(Arc::new(vec![1, 2])),
            Answer::Trackers(Arc::default()),
            Answer::FilePriorities(Arc::new(vec![4])),
            Answer::Files(vec![]),
        ];
        for (number, answer) in (100..).zip(&answers) {
            assert_eq!(answer.kind().number, number);
            assert!(answer.kind().always, "a question is answered");
            let fields = answer.fields();
            let [(_, Value::List(items))] = fields.as_slice() else {
                panic!("{fields:?}");
            };
            assert_eq!(items.len(), answer.len());
        }
    }
}
