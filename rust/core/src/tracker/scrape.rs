//! What an HTTP tracker answers to a scrape (BEP 48).

use super::ReplyError;
use super::Retry;
use super::reply::{LIMITS, count, text};
use crate::bencode::Document;
use crate::ids::InfoHash;

/// The numbers of one swarm, as far as the tracker sends them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrapeReply {
    /// Seeds.
    pub complete: Option<u32>,
    /// Downloaders.
    pub incomplete: Option<u32>,
    /// How often the torrent was downloaded completely.
    pub downloaded: Option<u32>,
}

impl ScrapeReply {
    /// Reads the body of a reply: what it says of `info_hash`. Bytes after the
    /// dict are ignored.
    pub fn parse(body: &[u8], info_hash: InfoHash) -> Result<Self, ReplyError> {
        let document = Document::parse_prefix(body, &LIMITS)?;
        let dict = document.root().as_dict().ok_or(ReplyError::NotADict)?;
        if let Some(reason) = dict.bytes("failure reason") {
            return Err(ReplyError::Refused {
                reason: text(reason),
                retry: Retry::Backoff,
            });
        }
        let files = dict.get("files").and_then(|files| files.as_dict());
        let swarm = files
            .and_then(|files| files.get(info_hash.0))
            .and_then(|swarm| swarm.as_dict())
            .ok_or(ReplyError::NotInScrape)?;
        Ok(Self {
            complete: count(&swarm, "complete"),
            incomplete: count(&swarm, "incomplete"),
            downloaded: count(&swarm, "downloaded"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: InfoHash = InfoHash([b'h'; 20]);

    fn parse(body: &[u8]) -> Result<ScrapeReply, String> {
        ScrapeReply::parse(body, HASH).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_of_one_swarm() {
        let body = b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei9ee20:hhhhhhhhhhhhhhhhhhhh\
            d8:completei5e10:downloadedi50e10:incompletei-1eeee\n";
        let expected = ScrapeReply {
            complete: Some(5),
            incomplete: None,
            downloaded: Some(50),
        };
        assert_eq!(parse(body), Ok(expected));
    }

    #[test]
    fn what_is_no_answer_says_why() {
        assert_eq!(parse(b"d14:failure reason2:noe").unwrap_err(), "no");
        let absent = "the tracker's reply says nothing of the torrent";
        for body in [
            &b"d5:filesdee"[..],
            b"de",
            b"d5:filesi3ee",
            b"d5:filesd20:hhhhhhhhhhhhhhhhhhhhi1eee",
        ] {
            assert_eq!(parse(body).unwrap_err(), absent);
        }
        assert!(parse(b"<html>").unwrap_err().contains("not bencode"));
    }
}
