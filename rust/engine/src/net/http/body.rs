//! The body of an HTTP response as it comes over the connection (RFC 9112,
//! section 6), read as far as it goes: servers that leave out the last chunk,
//! announce more bytes than they send or call HTTP/1.1 HTTP/1.0 have said what
//! they had to say all the same.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The longest line that says how long a chunk is, extensions included.
const MAX_CHUNK_LINE: usize = 4096;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks, each with its length before it.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// Takes a body out of the bytes that come.
#[derive(Debug)]
pub(super) struct BodyReader {
    framing: Framing,
    /// Bytes as they came that are not taken yet.
    input: Vec<u8>,
    body: Vec<u8>,
    /// Bytes of the present chunk that are still to come, or of the body where
    /// its length is known.
    left: u64,
    /// A line break after a chunk is due.
    break_due: bool,
    chunks: u32,
    done: bool,
}

impl BodyReader {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            framing,
            input: Vec::new(),
            body: Vec::new(),
            left: match framing {
                Framing::Length(length) => length,
                _ => 0,
            },
            break_due: false,
            chunks: 0,
            done: matches!(framing, Framing::Empty | Framing::Length(0)),
        }
    }

    /// Whether the whole body is there.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.body.len() + self.input.len()
    }

    /// Takes bytes that came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self.framing {
            _ if self.done => {}
            Framing::Empty => {}
            Framing::UntilClose => self.body.extend_from_slice(bytes),
            Framing::Length(_) => {
                let (taken, _) = bytes.split_at(bytes.len().min(to_usize(self.left)));
                self.body.extend_from_slice(taken);
                self.left -= taken.len() as u64;
                self.done = self.left == 0;
            }
            Framing::Chunked => {
                self.input.extend_from_slice(bytes);
                self.take_chunks();
            }
        }
    }

    /// What came, whole or not. Where chunks were due and none came, that is
    /// the body.
    pub(super) fn finish(self) -> Vec<u8> {
        match self.framing {
            Framing::Chunked if self.chunks == 0 && !self.done => self.input,
            _ => self.body,
        }
    }

    fn take_chunks(&mut self) {
        let mut at = 0;
        while !self.done {
            let rest = self.input.get(at..).unwrap_or_default();
            if self.left > 0 {
                let (taken, _) = rest.split_at(rest.len().min(to_usize(self.left)));
                if taken.is_empty() {
                    break;
                }
                self.body.extend_from_slice(taken);
                self.left -= taken.len() as u64;
                self.break_due = self.left == 0;
                at += taken.len();
                continue;
            }
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                if rest.len() > MAX_CHUNK_LINE {
                    self.give_up(at);
                    return;
                }
                break;
            };
            let (line, _) = rest.split_at(end);
            let line = line.trim_ascii();
            if line.is_empty() && self.break_due {
                self.break_due = false;
                at += end + 1;
                continue;
            }
            match chunk_length(line) {
                Some(0) => self.done = true,
                Some(length) => {
                    self.left = length;
                    self.chunks += 1;
                }
                None => {
                    self.give_up(at);
                    return;
                }
            }
            at += end + 1;
        }
        self.input.drain(..at);
    }

    /// What comes is no chunk. Where none has come before, the server said that
    /// there would be chunks and sends none: the bytes are the body. Otherwise
    /// the body ends here.
    fn give_up(&mut self, at: usize) {
        if self.chunks == 0 {
            self.framing = Framing::UntilClose;
            self.body = self.input.split_off(at);
        } else {
            self.done = true;
        }
        self.input.clear();
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The length in the line before a chunk; extensions after a `;` do not count.
fn chunk_length(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&byte| byte == b';').next()?.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// Unpacks a body, whatever the headers call its coding: bencode begins like
/// none of them. What is cut short is unpacked as far as it goes; what cannot be
/// unpacked is the body itself. Fails when more than `limit` bytes come out.
pub(super) fn unpack(body: Vec<u8>, deflated: bool, limit: usize) -> Result<Vec<u8>, TooLong> {
    let unpacked = if body.starts_with(&[0x1f, 0x8b]) {
        read_out(MultiGzDecoder::new(&body[..]), limit)?
    } else if deflated {
        let zlib = read_out(ZlibDecoder::new(&body[..]), limit)?;
        match zlib.is_empty() {
            true => read_out(DeflateDecoder::new(&body[..]), limit)?,
            false => zlib,
        }
    } else {
        Vec::new()
    };
    Ok(if unpacked.is_empty() { body } else { unpacked })
}

/// More comes out than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

fn read_out(decoder: impl Read, limit: usize) -> Result<Vec<u8>, TooLong> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    // After an error there is what came before it.
    let _ = decoder.take(most).read_to_end(&mut out);
    if out.len() > limit {
        return Err(TooLong);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of these bytes, cut into steps of every length; whether it is
    /// whole.
    fn body(framing: Framing, bytes: &[u8]) -> (String, bool) {
        let mut results = (1..=bytes.len().max(1)).map(|step| {
            let mut reader = BodyReader::new(framing);
            for part in bytes.chunks(step) {
                reader.push(part);
            }
            let done = reader.is_done();
            (String::from_utf8(reader.finish()).unwrap(), done)
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first), "the steps matter");
        first
    }

    fn whole(text: &str) -> (String, bool) {
        (text.to_owned(), true)
    }

    fn cut(text: &str) -> (String, bool) {
        (text.to_owned(), false)
    }

    #[test]
    fn chunks_are_joined_however_they_are_written() {
        let chunked = |bytes: &str| body(Framing::Chunked, bytes.as_bytes());
        assert_eq!(chunked("2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"), whole("abcde"));
        assert_eq!(
            chunked("2;x=y\r\nab\r\n0a \r\n0123456789\r\n0\r\n"),
            whole("ab0123456789")
        );
        assert_eq!(chunked("2\nab\n0\n\n"), whole("ab"), "line feeds alone");
        assert_eq!(
            chunked("2\r\nab3\r\ncde\r\n0\r\n\r\n"),
            whole("abcde"),
            "no break"
        );
        assert_eq!(chunked("2\r\nab\r\n"), cut("ab"), "no last chunk");
        assert_eq!(chunked("5\r\nabc"), cut("abc"), "cut in a chunk");
        assert_eq!(chunked("2\r\nab\r\nzz\r\nde"), whole("ab"), "no chunk");
        assert_eq!(chunked("0\r\n\r\ntrailing"), whole(""));
        assert_eq!(chunked(""), cut(""));
        assert_eq!(chunked("de"), cut("de"), "nor a line");
        assert_eq!(
            chunked("d8:intervali1ee\n"),
            cut("d8:intervali1ee\n"),
            "no chunks at all"
        );
        assert_eq!(
            chunked("ffffffffffffffff1\r\nde\r\n"),
            cut("ffffffffffffffff1\r\nde\r\n")
        );
    }

    #[test]
    fn lengths_are_taken_as_they_are_meant() {
        assert_eq!(body(Framing::Length(3), b"abcdef"), whole("abc"));
        assert_eq!(body(Framing::Length(10), b"abc"), cut("abc"));
        assert_eq!(body(Framing::Length(u64::MAX), b"abc"), cut("abc"));
        assert_eq!(body(Framing::UntilClose, b"abc"), cut("abc"));
        assert_eq!(body(Framing::Empty, b"abc"), whole(""));
    }

    #[test]
    fn lines_without_an_end_are_not_gathered() {
        let mut reader = BodyReader::new(Framing::Chunked);
        reader.push(b"1\r\na\r\n");
        for _ in 0..1000 {
            reader.push(&[b'0'; 1000]);
        }
        assert!(reader.is_done() && reader.len() == 1);
    }

    #[test]
    fn packed_bodies_are_unpacked_as_far_as_they_go() {
        use flate2::Compression;
        use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
        use std::io::Write;
        let text = b"d8:intervali1800ee".repeat(20);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&text).unwrap();
        zlib.write_all(&text).unwrap();
        raw.write_all(&text).unwrap();
        let [gzip, zlib, raw] = [gzip.finish(), zlib.finish(), raw.finish()].map(Result::unwrap);
        assert_eq!(unpack(gzip.clone(), false, 1000), Ok(text.clone()));
        assert_eq!(unpack(zlib, true, 1000), Ok(text.clone()));
        assert_eq!(unpack(raw, true, 1000), Ok(text.clone()));
        let without_its_sum = gzip[..gzip.len() - 8].to_vec();
        assert_eq!(unpack(without_its_sum, false, 1000), Ok(text.clone()));
        assert_eq!(unpack(gzip, false, 100), Err(TooLong));
        assert_eq!(unpack(b"de".to_vec(), true, 100), Ok(b"de".to_vec()));
        let broken = b"\x1f\x8bno gzip".to_vec();
        assert_eq!(unpack(broken.clone(), false, 100), Ok(broken));
    }
}
