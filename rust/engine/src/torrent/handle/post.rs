//! Questions to a torrent that are answered by an alert (`post_*`): what the
//! handle shows at once may be as old as `status_update_interval`, the answer
//! is of the moment in which the torrent gives it.

use std::sync::Arc;

use crate::error::Result;
use crate::event::{AddedTorrent, Answer, EventBody};
use crate::torrent::handle::{Command, TorrentHandle};

/// What a torrent is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostRequest {
    /// How it does; answered by `state_update` with this torrent alone.
    Status,
    /// Its connections; `peer_info`.
    PeerInfo,
    /// Verified bytes of each file; `file_progress`.
    FileProgress,
    /// The pieces that are being fetched; `piece_info`.
    DownloadQueue,
    /// How many connected peers have each piece; `piece_availability`.
    PieceAvailability,
    /// Its trackers; `tracker_list`.
    Trackers,
    /// The priority of each file; `file_priorities`.
    FilePriorities,
    /// Which of its files are open; `file_status`.
    FileStatus,
}

impl PostRequest {
    /// Every question, with the name of the call that asks it.
    pub const ALL: &[(&'static str, Self)] = &[
        ("post_status", Self::Status),
        ("post_peer_info", Self::PeerInfo),
        ("post_file_progress", Self::FileProgress),
        ("post_download_queue", Self::DownloadQueue),
        ("post_piece_availability", Self::PieceAvailability),
        ("post_trackers", Self::Trackers),
        ("post_file_priorities", Self::FilePriorities),
        ("post_file_status", Self::FileStatus),
    ];

    /// The question of the call with this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|&(_, request)| request)
    }
}

impl TorrentHandle {
    /// Asks the torrent something; an event brings the answer, whatever the
    /// alert mask says.
    pub fn ask(&self, request: PostRequest) -> Result<()> {
        self.post(Command::Ask(request))
    }

    /// Asks for a `state_update` event with this torrent alone.
    pub fn post_status(&self) -> Result<()> {
        self.ask(PostRequest::Status)
    }

    /// Asks for a `peer_info` event with the connections.
    pub fn post_peer_info(&self) -> Result<()> {
        self.ask(PostRequest::PeerInfo)
    }

    /// Asks for a `file_progress` event with the verified bytes of each file.
    pub fn post_file_progress(&self) -> Result<()> {
        self.ask(PostRequest::FileProgress)
    }

    /// Asks for a `piece_info` event with the pieces that are being fetched.
    pub fn post_download_queue(&self) -> Result<()> {
        self.ask(PostRequest::DownloadQueue)
    }

    /// Asks for a `piece_availability` event.
    pub fn post_piece_availability(&self) -> Result<()> {
        self.ask(PostRequest::PieceAvailability)
    }

    /// Asks for a `tracker_list` event.
    pub fn post_trackers(&self) -> Result<()> {
        self.ask(PostRequest::Trackers)
    }

    /// Asks for a `file_priorities` event.
    pub fn post_file_priorities(&self) -> Result<()> {
        self.ask(PostRequest::FilePriorities)
    }

    /// Asks for a `file_status` event with the files that are open.
    pub fn post_file_status(&self) -> Result<()> {
        self.ask(PostRequest::FileStatus)
    }

    /// What is shown of the handle in answer to `request`. `files` are the
    /// open ones.
    pub(crate) fn answer(
        &self,
        request: PostRequest,
        files: impl FnOnce() -> Vec<crate::status::OpenFile>,
    ) -> EventBody {
        let answer = match request {
            PostRequest::Status => {
                return EventBody::StateUpdate(vec![self.status()]);
            }
            PostRequest::PeerInfo => Answer::Peers(self.peers()),
            PostRequest::FileProgress => Answer::FileProgress(self.file_progress()),
            PostRequest::DownloadQueue => Answer::Pieces(self.download_queue()),
            PostRequest::PieceAvailability => Answer::Availability(self.piece_availability()),
            PostRequest::Trackers => Answer::Trackers(self.trackers()),
            PostRequest::FilePriorities => Answer::FilePriorities(Arc::new(self.file_priorities())),
            PostRequest::FileStatus => Answer::Files(files()),
        };
        EventBody::Answer(answer)
    }

    /// How it was added, for the `add_torrent` event.
    pub(crate) fn added(&self, without_effect: Vec<String>) -> AddedTorrent {
        let trackers = self.tracker_tiers();
        AddedTorrent {
            info_hash: self.info_hash().to_string(),
            name: self.name().to_owned(),
            save_path: self.save_path().display().to_string(),
            trackers: trackers.iter().flatten().cloned().collect(),
            without_effect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_a_call_of_its_own() {
        for (name, request) in PostRequest::ALL {
            assert_eq!(PostRequest::named(name), Some(*request));
        }
        assert_eq!(PostRequest::named("post_nothing"), None);
    }
}
