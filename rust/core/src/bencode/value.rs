//! Cursors over the tape that `decode` makes.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use super::decode::{DecodeError, DecodeErrorKind, parse_digits};

/// One value on the tape. Its kind is its first byte in the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// Offset of its first byte.
    pub(super) start: u32,
    /// Offset past its last byte.
    pub(super) end: u32,
    /// Position on the tape of what follows it; a container's members lie in
    /// between.
    pub(super) next: u32,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// An integer.
    Integer,
    /// A byte string.
    Bytes,
    /// A list.
    List,
    /// A dict.
    Dict,
}

/// A value in a [`Document`](super::Document).
#[derive(Clone, Copy)]
pub struct Value<'d> {
    data: &'d [u8],
    tape: &'d [Token],
    at: usize,
}

impl<'d> Value<'d> {
    pub(super) fn new(data: &'d [u8], tape: &'d [Token], at: usize) -> Self {
        Self { data, tape, at }
    }

    fn token(&self) -> Token {
        self.tape.get(self.at).copied().unwrap_or(Token {
            start: 0,
            end: 0,
            next: 0,
        })
    }

    /// What this value is.
    pub fn kind(&self) -> ValueKind {
        match self.raw().first() {
            Some(b'i') => ValueKind::Integer,
            Some(b'l') => ValueKind::List,
            Some(b'd') => ValueKind::Dict,
            _ => ValueKind::Bytes,
        }
    }

    /// Where the value is in the input, in bytes.
    pub fn range(&self) -> Range<usize> {
        let token = self.token();
        token.start as usize..token.end as usize
    }

    /// The value's own bytes, as they stand in the input.
    pub fn raw(&self) -> &'d [u8] {
        self.data.get(self.range()).unwrap_or_default()
    }

    /// The integer; `None` for another kind or one that does not fit.
    pub fn as_int(&self) -> Option<i64> {
        let digits = self.raw().strip_prefix(b"i")?.strip_suffix(b"e")?;
        match digits.strip_prefix(b"-") {
            Some(digits) => 0i64.checked_sub_unsigned(parse_digits(digits)?),
            None => parse_digits(digits)?.try_into().ok(),
        }
    }

    /// The string's bytes; `None` for another kind.
    pub fn as_bytes(&self) -> Option<&'d [u8]> {
        if self.kind() != ValueKind::Bytes {
            return None;
        }
        let raw = self.raw();
        let colon = raw.iter().position(|&byte| byte == b':')?;
        raw.get(colon + 1..)
    }

    /// Where the string's bytes lie in the input; `None` for another kind.
    pub fn bytes_range(&self) -> Option<Range<usize>> {
        let end = self.range().end;
        Some(end - self.as_bytes()?.len()..end)
    }

    /// The string as text; `None` for another kind or invalid UTF-8.
    pub fn as_str(&self) -> Option<&'d str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The list; `None` for another kind.
    pub fn as_list(&self) -> Option<List<'d>> {
        (self.kind() == ValueKind::List).then_some(List(*self))
    }

    /// The dict; `None` for another kind.
    pub fn as_dict(&self) -> Option<Dict<'d>> {
        (self.kind() == ValueKind::Dict).then_some(Dict(*self))
    }

    fn members(&self) -> Members<'d> {
        Members {
            data: self.data,
            tape: self.tape,
            at: self.at + 1,
            end: self.token().next as usize,
        }
    }

    /// Checks that the value and all in it is in canonical form (BEP 52 asks
    /// for it): dict keys sorted and unique, no leading zeros.
    pub fn check_canonical(&self) -> Result<(), DecodeError> {
        let end = self.token().next as usize;
        for at in self.at..end {
            let value = Value { at, ..*self };
            let start = value.range().start;
            match value.kind() {
                ValueKind::Integer => {
                    if matches!(value.raw(), [b'i', b'0', digit, ..] | [b'i', b'-', b'0', digit, ..] if *digit != b'e')
                    {
                        return Err(DecodeErrorKind::LeadingZero.at(start));
                    }
                }
                ValueKind::Bytes => {
                    if matches!(value.raw(), [b'0', byte, ..] if *byte != b':') {
                        return Err(DecodeErrorKind::LeadingZero.at(start));
                    }
                }
                ValueKind::List => {}
                ValueKind::Dict => check_keys(&Dict(value))?,
            }
        }
        Ok(())
    }
}

fn check_keys(dict: &Dict<'_>) -> Result<(), DecodeError> {
    let mut last: Option<&[u8]> = None;
    let mut members = dict.0.members();
    while let (Some(key), Some(_)) = (members.next(), members.next()) {
        let name = key.as_bytes().unwrap_or_default();
        match last.map(|last| last.cmp(name)) {
            Some(Ordering::Greater) => {
                return Err(DecodeErrorKind::UnsortedKey.at(key.range().start));
            }
            Some(Ordering::Equal) => {
                return Err(DecodeErrorKind::DuplicateKey.at(key.range().start));
            }
            _ => last = Some(name),
        }
    }
    Ok(())
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let raw = self.raw();
        let shown = raw.get(..SHOWN).unwrap_or(raw);
        write!(f, "{}", shown.escape_ascii())?;
        if shown.len() < raw.len() {
            write!(f, "… ({} bytes)", raw.len())?;
        }
        Ok(())
    }
}

/// The direct members of a container; keys and values alternate in a dict.
struct Members<'d> {
    data: &'d [u8],
    tape: &'d [Token],
    at: usize,
    end: usize,
}

impl<'d> Iterator for Members<'d> {
    type Item = Value<'d>;

    fn next(&mut self) -> Option<Value<'d>> {
        if self.at >= self.end {
            return None;
        }
        let value = Value::new(self.data, self.tape, self.at);
        self.at = value.token().next as usize;
        Some(value)
    }
}

/// A list in a [`Document`](super::Document).
#[derive(Clone, Copy, Debug)]
pub struct List<'d>(Value<'d>);

impl<'d> List<'d> {
    /// The members, in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'d>> + use<'d> {
        self.0.members()
    }

    /// The `index`-th member, in linear time.
    pub fn get(&self, index: usize) -> Option<Value<'d>> {
        self.iter().nth(index)
    }

    /// The number of members, in linear time.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether the list has no members.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The list as a plain value.
    pub fn value(&self) -> Value<'d> {
        self.0
    }
}

/// A dict in a [`Document`](super::Document). Of a repeated key the first
/// wins, as everywhere in the field. The typed getters give `None` when that
/// first one has another kind.
#[derive(Clone, Copy, Debug)]
pub struct Dict<'d>(Value<'d>);

impl<'d> Dict<'d> {
    /// Keys and values in the order of the input.
    pub fn iter(&self) -> impl Iterator<Item = (&'d [u8], Value<'d>)> + use<'d> {
        let mut members = self.0.members();
        std::iter::from_fn(move || {
            let key = members.next()?.as_bytes()?;
            Some((key, members.next()?))
        })
    }

    /// The value of `key`, in linear time.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Value<'d>> {
        let key = key.as_ref();
        self.iter()
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The integer under `key`, if it fits.
    pub fn int(&self, key: impl AsRef<[u8]>) -> Option<i64> {
        self.get(key)?.as_int()
    }

    /// The string under `key`.
    pub fn bytes(&self, key: impl AsRef<[u8]>) -> Option<&'d [u8]> {
        self.get(key)?.as_bytes()
    }

    /// The string under `key`, if it is UTF-8.
    pub fn str(&self, key: impl AsRef<[u8]>) -> Option<&'d str> {
        self.get(key)?.as_str()
    }

    /// The list under `key`.
    pub fn list(&self, key: impl AsRef<[u8]>) -> Option<List<'d>> {
        self.get(key)?.as_list()
    }

    /// The dict under `key`.
    pub fn dict(&self, key: impl AsRef<[u8]>) -> Option<Dict<'d>> {
        self.get(key)?.as_dict()
    }

    /// The dict as a plain value.
    pub fn value(&self) -> Value<'d> {
        self.0
    }

    /// The dict's own bytes, as they stand in the input.
    pub fn raw(&self) -> &'d [u8] {
        self.0.raw()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::*;

    #[test]
    fn members_are_found_in_order() {
        let document = Document::parse(b"d1:ali1e2:xyde0:e1:bd1:ci-3ee1:zlee").unwrap();
        let root = document.root().as_dict().unwrap();
        let keys: Vec<&[u8]> = root.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"a", b"b", b"z"]);
        let list = root.list("a").unwrap();
        assert_eq!(list.len(), 4);
        assert_eq!(list.get(1).unwrap().as_str(), Some("xy"));
        assert_eq!(list.get(2).unwrap().kind(), ValueKind::Dict);
        assert_eq!(list.get(3).unwrap().as_bytes(), Some(&b""[..]));
        assert!(list.get(4).is_none() && root.list("z").unwrap().is_empty());
        assert_eq!(root.dict("b").unwrap().int("c"), Some(-3));
        assert_eq!(root.dict("b").unwrap().raw(), b"d1:ci-3ee");
        assert_eq!(root.get("b").unwrap().range(), 20..29);
        assert!(root.get("c").is_none() && root.int("a").is_none());
    }

    #[test]
    fn the_first_of_a_repeated_key_wins() {
        let document = Document::parse(b"d1:ai1e1:ai2ee").unwrap();
        assert_eq!(document.root().as_dict().unwrap().int("a"), Some(1));
    }

    #[test]
    fn canonical_form_is_stricter() {
        let check = |data: &'static [u8]| {
            let document = Document::parse(data).unwrap();
            document
                .root()
                .check_canonical()
                .map_err(|error| error.kind)
        };
        assert_eq!(check(b"d0:i0e1:ai-1e2:aal0:ee"), Ok(()));
        assert_eq!(check(b"d1:bi1e1:ai1ee"), Err(DecodeErrorKind::UnsortedKey));
        assert_eq!(check(b"d1:ai1e1:ai1ee"), Err(DecodeErrorKind::DuplicateKey));
        assert_eq!(check(b"li01ee"), Err(DecodeErrorKind::LeadingZero));
        assert_eq!(check(b"li-01ee"), Err(DecodeErrorKind::LeadingZero));
        assert_eq!(check(b"l01:ae"), Err(DecodeErrorKind::LeadingZero));
        assert_eq!(
            check(b"ld1:ad2:aai1e1:bi2e2:aai3eeee"),
            Err(DecodeErrorKind::UnsortedKey)
        );
    }
}
