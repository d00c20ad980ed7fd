//! Bytes to tape. One pass, an explicit stack, every length checked before it
//! is believed.

use super::value::{Token, Value};

/// What a document may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Fewer lists and dicts than this may be open at once.
    pub depth: usize,
    /// At most this many values and closing marks.
    pub tokens: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            depth: 100,
            tokens: 3_000_000,
        }
    }
}

/// Why bytes are not bencode, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Offset in the input, in bytes.
    pub offset: usize,
}

/// What can be wrong with bencode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ends inside a value.
    #[error("unexpected end of input")]
    UnexpectedEnd,
    /// A list, dict, integer or string was due.
    #[error("expected a value")]
    ExpectedValue,
    /// A dict key (a string) or the end of the dict was due.
    #[error("expected a dict key")]
    ExpectedKey,
    /// Something else stands where a digit must.
    #[error("expected a digit")]
    ExpectedDigit,
    /// A number has more digits than any number in use, or a string claims
    /// more bytes than can be counted.
    #[error("number out of range")]
    Overflow,
    /// `-0`, or a string length of several zeros.
    #[error("malformed zero")]
    MalformedZero,
    /// A number begins with a zero. Canonical form only.
    #[error("leading zero")]
    LeadingZero,
    /// A dict key is smaller than the one before it. Canonical form only.
    #[error("unsorted dict key")]
    UnsortedKey,
    /// A dict key is there twice. Canonical form only.
    #[error("repeated dict key")]
    DuplicateKey,
    /// Lists and dicts are nested too deep.
    #[error("nested too deep")]
    TooDeep,
    /// There are too many values.
    #[error("too many values")]
    TooManyTokens,
    /// Bytes follow the value.
    #[error("bytes after the end of the value")]
    TrailingBytes,
    /// The input is 4 GiB or more, or its tape finds no memory.
    #[error("input too large")]
    TooLarge,
}

/// A decoded input. Owns the tape, borrows the bytes.
#[derive(Debug)]
pub struct Document<'a> {
    data: &'a [u8],
    tape: Vec<Token>,
}

impl<'a> Document<'a> {
    /// Decodes `data`, all of it, with the default limits.
    pub fn parse(data: &'a [u8]) -> Result<Self, DecodeError> {
        Self::parse_with(data, &DecodeLimits::default())
    }

    /// Decodes `data`, all of it.
    pub fn parse_with(data: &'a [u8], limits: &DecodeLimits) -> Result<Self, DecodeError> {
        let document = Self::parse_prefix(data, limits)?;
        document.check_end()?;
        Ok(document)
    }

    /// Decodes one value from the start of `data`; what follows it is
    /// [`Document::trailing`].
    pub fn parse_prefix(data: &'a [u8], limits: &DecodeLimits) -> Result<Self, DecodeError> {
        if u32::try_from(data.len()).is_err() {
            return Err(DecodeErrorKind::TooLarge.at(0));
        }
        let tape = Parser {
            data,
            at: 0,
            tape: Vec::new(),
            open: Vec::new(),
            tokens_left: limits.tokens,
        }
        .run(limits.depth)?;
        Ok(Self { data, tape })
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value::new(self.data, &self.tape, 0)
    }

    /// How many bytes the outermost value takes.
    pub fn consumed(&self) -> usize {
        self.tape.first().map_or(0, |token| token.end as usize)
    }

    /// Fails when bytes follow the outermost value.
    pub fn check_end(&self) -> Result<(), DecodeError> {
        match self.trailing() {
            [] => Ok(()),
            _ => Err(DecodeErrorKind::TrailingBytes.at(self.consumed())),
        }
    }

    /// The bytes after the outermost value.
    pub fn trailing(&self) -> &'a [u8] {
        self.data.get(self.consumed()..).unwrap_or_default()
    }
}

impl DecodeErrorKind {
    pub(super) fn at(self, offset: usize) -> DecodeError {
        DecodeError { kind: self, offset }
    }
}

/// A list or dict whose end has not been seen.
struct OpenContainer {
    token: usize,
    dict: bool,
    /// In a dict: whether a key is due next, not a value.
    key_due: bool,
}

struct Parser<'a> {
    data: &'a [u8],
    at: usize,
    tape: Vec<Token>,
    open: Vec<OpenContainer>,
    tokens_left: usize,
}

impl Parser<'_> {
    fn run(mut self, depth: usize) -> Result<Vec<Token>, DecodeError> {
        loop {
            if self.open.len() >= depth {
                return Err(DecodeErrorKind::TooDeep.at(self.at));
            }
            self.tokens_left = self
                .tokens_left
                .checked_sub(1)
                .ok_or_else(|| DecodeErrorKind::TooManyTokens.at(self.at))?;
            let key_due = self.open.last().is_some_and(|open| open.key_due);
            let start = self.at;
            match self.peek()? {
                b'0'..=b'9' => {
                    self.skip_string()?;
                    self.push(start, self.at)?;
                }
                b'e' if !self.open.is_empty() => {
                    self.close()?;
                    if self.open.is_empty() {
                        return Ok(self.tape);
                    }
                    // A closed container is a value of its parent.
                    self.value_done();
                    continue;
                }
                _ if key_due => return Err(DecodeErrorKind::ExpectedKey.at(start)),
                b'i' => {
                    self.skip_integer()?;
                    self.push(start, self.at)?;
                }
                kind @ (b'l' | b'd') => {
                    self.at += 1;
                    let token = self.tape.len();
                    self.push(start, self.at)?;
                    let dict = kind == b'd';
                    self.open.push(OpenContainer {
                        token,
                        dict,
                        key_due: dict,
                    });
                    continue;
                }
                _ => return Err(DecodeErrorKind::ExpectedValue.at(start)),
            }
            if self.open.is_empty() {
                return Ok(self.tape);
            }
            self.value_done();
        }
    }

    /// A key or value of the innermost container is complete.
    fn value_done(&mut self) {
        if let Some(open) = self.open.last_mut()
            && open.dict
        {
            open.key_due = !open.key_due;
        }
    }

    fn close(&mut self) -> Result<(), DecodeError> {
        let Some(open) = self.open.pop() else {
            return Err(DecodeErrorKind::ExpectedValue.at(self.at));
        };
        if open.dict && !open.key_due {
            return Err(DecodeErrorKind::ExpectedValue.at(self.at));
        }
        self.at += 1;
        let next = self.tape.len() as u32;
        if let Some(token) = self.tape.get_mut(open.token) {
            token.end = self.at as u32;
            token.next = next;
        }
        Ok(())
    }

    /// Adds a token; a container's `end` and `next` are corrected when it is
    /// closed. The input is under 4 GiB, so offsets and counts fit.
    fn push(&mut self, start: usize, end: usize) -> Result<(), DecodeError> {
        if self.tape.len() == self.tape.capacity() {
            // No value is shorter than two bytes, which bounds what the remainder
            // of the input can still need.
            let most = ((self.data.len() - start) / 2 + 1).min(self.tokens_left + 1);
            let more = self.tape.len().max(16).min(most);
            self.tape
                .try_reserve_exact(more)
                .map_err(|_| DecodeErrorKind::TooLarge.at(start))?;
        }
        self.tape.push(Token {
            start: start as u32,
            end: end as u32,
            next: self.tape.len() as u32 + 1,
        });
        Ok(())
    }

    fn peek(&self) -> Result<u8, DecodeError> {
        self.data
            .get(self.at)
            .copied()
            .ok_or_else(|| DecodeErrorKind::UnexpectedEnd.at(self.at))
    }

    /// Skips digits; returns how many.
    fn skip_digits(&mut self) -> Result<usize, DecodeError> {
        let start = self.at;
        while self.peek()?.is_ascii_digit() {
            self.at += 1;
        }
        Ok(self.at - start)
    }

    /// Skips `i<digits>e`. Whether the value fits an `i64` is asked when it is
    /// read: a torrent must not be refused for a field that is never read.
    fn skip_integer(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        self.at += 1;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let first = self.at;
        let digits = self.skip_digits()?;
        if digits == 0 || self.peek()? != b'e' {
            return Err(DecodeErrorKind::ExpectedDigit.at(self.at));
        }
        if digits > MAX_DIGITS {
            return Err(DecodeErrorKind::Overflow.at(start));
        }
        if negative && self.data[first..self.at].iter().all(|&digit| digit == b'0') {
            return Err(DecodeErrorKind::MalformedZero.at(start));
        }
        self.at += 1;
        Ok(())
    }

    /// Skips `<length>:<bytes>`.
    fn skip_string(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        let digits = self.skip_digits()?;
        if self.peek()? != b':' {
            return Err(DecodeErrorKind::ExpectedDigit.at(self.at));
        }
        if digits > MAX_DIGITS {
            return Err(DecodeErrorKind::Overflow.at(start));
        }
        let length = parse_digits(&self.data[start..self.at])
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| DecodeErrorKind::Overflow.at(start))?;
        if length == 0 && digits > 1 {
            return Err(DecodeErrorKind::MalformedZero.at(start));
        }
        self.at += 1;
        if length > self.data.len() - self.at {
            return Err(DecodeErrorKind::UnexpectedEnd.at(start));
        }
        self.at += length;
        Ok(())
    }
}

/// Digits in the longest 64-bit number, unsigned.
const MAX_DIGITS: usize = 20;

/// The value of ASCII digits; `None` when it does not fit.
pub(super) fn parse_digits(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| {
        value
            .checked_mul(10)?
            .checked_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(data: &[u8]) -> DecodeErrorKind {
        Document::parse(data).unwrap_err().kind
    }

    #[test]
    fn numbers_that_lie_are_refused() {
        use DecodeErrorKind::*;
        let table: &[(&[u8], DecodeErrorKind)] = &[
            (b"", UnexpectedEnd),
            (b"99999999999:", UnexpectedEnd),
            (b"4294967296:", UnexpectedEnd),
            (b"18446744073709551615:", UnexpectedEnd),
            (b"18446744073709551616:", Overflow),
            (b"99999999999999999999999:", Overflow),
            (b"5:four", UnexpectedEnd),
            (b"5", UnexpectedEnd),
            (b"-1:a", ExpectedValue),
            (b"5x:aaaaa", ExpectedDigit),
            (b"00:", MalformedZero),
            (b"000:", MalformedZero),
            (b"i-0e", MalformedZero),
            (b"i-00e", MalformedZero),
            (b"ie", ExpectedDigit),
            (b"i-e", ExpectedDigit),
            (b"i--1e", ExpectedDigit),
            (b"i1", UnexpectedEnd),
            (b"i1.5e", ExpectedDigit),
            (b"i+1e", ExpectedDigit),
            (b"i999999999999999999999e", Overflow),
        ];
        for (data, expected) in table {
            assert_eq!(error(data), *expected, "{}", data.escape_ascii());
        }
    }

    #[test]
    fn structure_is_checked() {
        use DecodeErrorKind::*;
        let table: &[(&[u8], DecodeErrorKind)] = &[
            (b"e", ExpectedValue),
            (b"l", UnexpectedEnd),
            (b"d", UnexpectedEnd),
            (b"li1e", UnexpectedEnd),
            (b"d1:ae", ExpectedValue),
            (b"di1ei2ee", ExpectedKey),
            (b"dlei2ee", ExpectedKey),
            (b"dde1:ae", ExpectedKey),
            (b"lee", TrailingBytes),
            (b"x", ExpectedValue),
        ];
        for (data, expected) in table {
            assert_eq!(error(data), *expected, "{}", data.escape_ascii());
        }
    }

    #[test]
    fn old_sloppiness_is_read() {
        assert_eq!(Document::parse(b"i007e").unwrap().root().as_int(), Some(7));
        assert_eq!(Document::parse(b"i-07e").unwrap().root().as_int(), Some(-7));
        let document = Document::parse(b"03:abc").unwrap();
        assert_eq!(document.root().as_bytes(), Some(&b"abc"[..]));
    }

    #[test]
    fn integers_beyond_64_bits_parse_but_have_no_value() {
        let int = |data: &'static [u8]| Document::parse(data).unwrap().root().as_int();
        assert_eq!(int(b"i9223372036854775807e"), Some(i64::MAX));
        assert_eq!(int(b"i-9223372036854775808e"), Some(i64::MIN));
        assert_eq!(int(b"i9223372036854775808e"), None);
        assert_eq!(int(b"i-9223372036854775809e"), None);
        assert_eq!(int(b"i99999999999999999999e"), None);
    }

    #[test]
    fn depth_and_tokens_are_limited() {
        let nest = |depth: usize| [vec![b'l'; depth], vec![b'e'; depth]].concat();
        assert!(Document::parse(&nest(99)).is_ok());
        assert_eq!(error(&nest(100)), DecodeErrorKind::TooDeep);
        let limits = DecodeLimits {
            depth: 3,
            tokens: 4,
        };
        let parse = |data: &'static [u8]| Document::parse_with(data, &limits);
        assert!(parse(b"li1ei2ee").is_ok());
        assert_eq!(
            parse(b"li1ei2ei3ee").unwrap_err().kind,
            DecodeErrorKind::TooManyTokens
        );
    }

    #[test]
    fn bytes_after_the_value_are_found() {
        let data = b"d8:msg_typei1e5:piecei0eePAYLOAD";
        let document = Document::parse_prefix(data, &DecodeLimits::default()).unwrap();
        assert_eq!(document.trailing(), b"PAYLOAD");
        assert_eq!(document.root().as_dict().unwrap().int("msg_type"), Some(1));
        assert_eq!(error(data), DecodeErrorKind::TrailingBytes);
    }

    #[test]
    fn nesting_bombs_need_no_stack_and_no_time() {
        let run = || {
            for unit in [&b"l"[..], b"d1:a", b"ld1:a"] {
                for length in [150_000, 10_000_000] {
                    let bomb: Vec<u8> = unit.iter().copied().cycle().take(length).collect();
                    assert_eq!(error(&bomb), DecodeErrorKind::TooDeep);
                    let deep = DecodeLimits {
                        depth: usize::MAX,
                        tokens: 30_000,
                    };
                    let result = Document::parse_with(&bomb, &deep);
                    assert_eq!(result.unwrap_err().kind, DecodeErrorKind::TooManyTokens);
                }
            }
        };
        #[expect(clippy::disallowed_types, reason = "recursion shows on a small stack")]
        let small = std::thread::Builder::new().stack_size(256 * 1024);
        let thread = small.spawn(run).unwrap();
        thread.join().unwrap();
    }
}
