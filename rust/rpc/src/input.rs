//! Standard input, line by line, on a thread of its own: a read from a pipe
//! cannot be cancelled, so nothing may wait for this thread to end.

use std::io::{self, BufRead, Read};
use std::thread;

use tokio::sync::mpsc;

/// Lines that wait for their turn; a full channel stops reading, so that a
/// client that sends without end is slowed and not buffered.
const QUEUE: usize = 64;

/// Longest line that is read: a torrent file of the largest size in base64,
/// with room to spare.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// A line of input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Its bytes, without the line's end.
    Whole(Vec<u8>),
    /// It was longer than is read.
    TooLong,
}

/// Starts reading; the channel closes with the end of the input.
pub(crate) fn start() -> io::Result<mpsc::Receiver<Line>> {
    let (lines, receiver) = mpsc::channel(QUEUE);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut input = io::stdin().lock();
            loop {
                match next(&mut input, MAX_LINE) {
                    Ok(Some(line)) => {
                        if lines.blocking_send(line).is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(error) => {
                        tracing::error!(%error, "standard input cannot be read");
                        return;
                    }
                }
            }
        })?;
    Ok(receiver)
}

/// Reads the next line; a last one without an end counts.
fn next(input: &mut impl BufRead, limit: u64) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    // One more than the limit, so that the line's end fits too.
    let read = input
        .by_ref()
        .take(limit + 1)
        .read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read as u64 > limit {
        input.skip_until(b'\n')?;
        return Ok(Some(Line::TooLong));
    }
    Ok(Some(Line::Whole(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut input: &[u8], limit: u64) -> Vec<Line> {
        std::iter::from_fn(|| next(&mut input, limit).unwrap()).collect()
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn every_line_is_read_and_the_last_needs_no_end() {
        assert_eq!(lines(b"", 9), []);
        assert_eq!(lines(b"a\n\nb", 9), [whole("a"), whole(""), whole("b")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_as_a_whole() {
        assert_eq!(
            lines(b"123\n1234\n12345678\nab\n", 3),
            [whole("123"), Line::TooLong, Line::TooLong, whole("ab")]
        );
        assert_eq!(lines(b"1234", 3), [Line::TooLong]);
    }
}
