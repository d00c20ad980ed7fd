//! Standard output: one thread writes whole lines in the order in which they
//! were handed over, so that answers and events never mix within a line.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Lines that wait to be written; a sender beyond that waits, so a client that
/// does not read costs a bounded amount of memory.
const QUEUE: usize = 256;

/// How long the last lines may take to be read by the client.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Where lines are handed over.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    lines: mpsc::Sender<Vec<u8>>,
}

/// A place in the line.
#[derive(Debug)]
pub(crate) struct OutputPermit<'a>(mpsc::Permit<'a, Vec<u8>>);

impl OutputPermit<'_> {
    /// Hands over one line, its end included.
    pub(crate) fn send(self, line: Vec<u8>) {
        self.0.send(line);
    }
}

/// Says when everything is written.
#[derive(Debug)]
pub(crate) struct Writer {
    done: oneshot::Receiver<()>,
}

/// The client no longer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// Starts writing to `target`.
pub(crate) fn start(target: impl Write + Send + 'static) -> io::Result<(Output, Writer)> {
    let (lines, queue) = mpsc::channel(QUEUE);
    let (finished, done) = oneshot::channel();
    thread::Builder::new()
        .name("stdout".to_owned())
        .spawn(move || {
            if let Err(error) = write_all(queue, target) {
                tracing::warn!(%error, "standard output is closed");
            }
            // The receiver may be gone.
            let _ = finished.send(());
        })?;
    Ok((Output { lines }, Writer { done }))
}

fn write_all(mut queue: mpsc::Receiver<Vec<u8>>, mut target: impl Write) -> io::Result<()> {
    while let Some(line) = queue.blocking_recv() {
        target.write_all(&line)?;
        while let Ok(line) = queue.try_recv() {
            target.write_all(&line)?;
        }
        target.flush()?;
    }
    Ok(())
}

impl Output {
    /// Hands over one line, its end included.
    pub(crate) async fn send(&self, line: Vec<u8>) -> Result<(), Closed> {
        self.lines.send(line).await.map_err(|_| Closed)
    }

    /// Waits for a place in the line, to hand over a line without waiting.
    pub(crate) async fn reserve(&self) -> Result<OutputPermit<'_>, Closed> {
        self.lines
            .reserve()
            .await
            .map(OutputPermit)
            .map_err(|_| Closed)
    }

    /// Ends when the client no longer reads.
    pub(crate) async fn closed(&self) {
        self.lines.closed().await;
    }
}

impl Writer {
    /// Waits until all lines are written, once every [`Output`] is dropped; but
    /// not for ever, since a client may have stopped reading.
    pub(crate) async fn finish(self) {
        if timeout(LAST_LINES, self.done).await.is_err() {
            tracing::warn!("the client does not read the last lines");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn lines_keep_their_order_and_are_all_written() {
        let target = Shared::default();
        let (output, writer) = start(target.clone()).unwrap();
        for number in 0..1000 {
            output
                .send(format!("{number}\n").into_bytes())
                .await
                .unwrap();
        }
        drop(output);
        writer.finish().await;
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(*target.0.lock(), expected.as_bytes());
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_noticed() {
        let (output, _writer) = start(Broken).unwrap();
        output.send(b"x\n".to_vec()).await.unwrap();
        output.closed().await;
        assert_eq!(output.send(b"y\n".to_vec()).await, Err(Closed));
    }
}
