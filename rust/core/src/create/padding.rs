//! Padding between files (BEP 47), so that files begin at the start of a piece:
//! the canonical order that hybrid torrents need (BEP 52), for version 1 too.

use super::CreateEntry;

/// Whether padding goes between the files of a torrent. Where it does, the
/// files are sorted by their paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// The files lie end to end, in the order in which they are given.
    #[default]
    None,
    /// Every file is filled up to the end of its last piece, the last file too;
    /// libtorrent's `canonical_files`.
    Canonical,
    /// As that, but nothing follows the last file; libtorrent's
    /// `canonical_files_no_tail_padding`.
    CanonicalNoTail,
}

/// Sorts and pads `entries`. With each one comes which of those given it is;
/// `None` is padding.
pub(super) fn arrange(
    entries: Vec<CreateEntry>,
    padding: Padding,
    piece_size: u32,
) -> Vec<(CreateEntry, Option<usize>)> {
    let mut given: Vec<_> = entries.into_iter().enumerate().collect();
    if padding == Padding::None {
        let number = |(at, entry)| (entry, Some(at));
        return given.into_iter().map(number).collect();
    }
    given.sort_by_cached_key(|(_, entry)| entry.path.join("/"));
    let alone = given.len() == 1;
    let root = given.first().and_then(|(_, entry)| entry.path.first());
    let root = root.cloned().unwrap_or_default();
    let mut arranged = Vec::with_capacity(given.len() * 2);
    let mut end = 0u64;
    for (at, entry) in given {
        let length = entry.stored_length();
        let fill = |end: &mut u64, arranged: &mut Vec<_>| {
            let over = *end % u64::from(piece_size);
            if over > 0 && length > 0 {
                let rest = u64::from(piece_size) - over;
                arranged.push((pad(&root, rest), None));
                *end = end.saturating_add(rest);
            }
        };
        if padding == Padding::CanonicalNoTail {
            fill(&mut end, &mut arranged);
        }
        arranged.push((entry, Some(at)));
        end = end.saturating_add(length);
        if padding == Padding::Canonical && !alone {
            fill(&mut end, &mut arranged);
        }
    }
    arranged
}

fn pad(root: &str, length: u64) -> CreateEntry {
    CreateEntry {
        path: vec![root.to_owned(), ".pad".to_owned(), length.to_string()],
        length,
        pad: true,
        ..CreateEntry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(files: &[(&str, u64)], padding: Padding) -> Vec<(String, Option<usize>)> {
        let entries = files.iter().map(|(name, length)| CreateEntry {
            path: vec!["r".to_owned(), (*name).to_owned()],
            length: *length,
            ..CreateEntry::default()
        });
        let arranged = arrange(entries.collect(), padding, 10);
        let name = |(entry, at): (CreateEntry, _)| (entry.path[1..].join("/"), at);
        arranged.into_iter().map(name).collect()
    }

    #[test]
    fn files_begin_at_the_start_of_a_piece() {
        let files = [("b", 7), ("a", 12), ("d", 0), ("c", 20), ("e", 1)];
        let is = |name: &str, at| (name.to_owned(), at);
        assert_eq!(
            arranged(&files, Padding::Canonical),
            [
                is("a", Some(1)),
                is(".pad/8", None),
                is("b", Some(0)),
                is(".pad/3", None),
                is("c", Some(3)),
                is("d", Some(2)),
                is("e", Some(4)),
                is(".pad/9", None),
            ]
        );
        let mut without_tail = arranged(&files, Padding::Canonical);
        without_tail.pop();
        assert_eq!(arranged(&files, Padding::CanonicalNoTail), without_tail);
        assert_eq!(arranged(&files, Padding::None)[0], is("b", Some(0)));
        assert_eq!(arranged(&[("a", 3)], Padding::Canonical).len(), 1);
    }
}
