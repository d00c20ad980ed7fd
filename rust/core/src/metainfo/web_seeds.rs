//! The web seeds of a torrent file or a magnet link (BEP 17, 19).

use std::collections::HashSet;

use super::MAX_LISTED;
use crate::uri::encode_web_seed;

/// Longer web seeds are left out: encoded they would take several times as
/// much.
const MAX_URL: usize = 16 * 1024;

/// Web seeds, each once, none empty; those of a torrent with several files
/// name a folder.
pub(crate) fn web_seeds<'a>(urls: impl Iterator<Item = &'a [u8]>, folder: bool) -> Vec<String> {
    let mut seen = HashSet::new();
    urls.filter(|url| !url.is_empty() && url.len() <= MAX_URL && seen.insert(*url))
        .take(MAX_LISTED)
        .map(|url| {
            let mut url = encode_web_seed(url);
            if folder && !url.ends_with('/') {
                url.push('/');
            }
            url
        })
        .collect()
}
