//! Bytes that claim to be UTF-8. Names and comments in torrents may be in any
//! encoding; what is not UTF-8 is shown as underscores, the way libtorrent
//! does it, so that both write the same file names.

/// Reads one code point from the start of `bytes`, which must not be empty.
/// An invalid sequence is `None` and as long as its first byte says.
pub(crate) fn decode_char(bytes: &[u8]) -> (Option<char>, usize) {
    let Some(&first) = bytes.first() else {
        return (None, 0);
    };
    let length = match first {
        0x00..=0x7f => return (Some(char::from(first)), 1),
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        0xf8..=0xfb => 5,
        _ => return (None, 1),
    };
    let Some(sequence) = bytes.get(..length) else {
        return (None, bytes.len());
    };
    let decoded = std::str::from_utf8(sequence).ok();
    (decoded.and_then(|text| text.chars().next()), length)
}

/// The text, each invalid sequence replaced by an underscore.
pub(crate) fn repair(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (decoded, length) = decode_char(rest);
        text.push(decoded.unwrap_or('_'));
        rest = rest.get(length..).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_sequences_become_underscores() {
        assert_eq!(repair("grün 🐟".as_bytes()), "grün 🐟");
        // The lead byte says how much is skipped, valid or not.
        assert_eq!(repair(b"a\xc3bc"), "a_c");
        assert_eq!(repair(b"\x80\xff"), "__");
        // Overlong slash, surrogate, beyond Unicode, five bytes, cut short.
        assert_eq!(repair(b"\xc0\xaf"), "_");
        assert_eq!(repair(b"\xed\xa0\x80x"), "_x");
        assert_eq!(repair(b"\xf7\xbf\xbf\xbfx"), "_x");
        assert_eq!(repair(b"\xf8\x88\x80\x80\x80x"), "_x");
        assert_eq!(repair(b"x\xe2\x82"), "x_");
    }
}
