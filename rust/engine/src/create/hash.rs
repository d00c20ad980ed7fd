//! Hashes the pieces of files that lie end to end, on all cores. Each thread
//! takes the next run of pieces, reads it through one buffer of its own, and
//! keeps nothing but the digests, so memory does not grow with the files.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use parking_lot::Mutex;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::layout::{Layout, Span};

use crate::create::walk::WalkedFile;
use crate::create::{Interrupt, Progress};
use crate::error::{Error, ErrorKind, Result};
use crate::hash::Sha1Hasher;

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;

/// Bytes that a thread takes at a time, as long as that is a piece at least:
/// enough that the disk reads on, little enough that no thread ends late.
const RUN: u32 = 1024 * 1024;

/// A SHA-1 for each piece of `layout`, whose files are `files`; where there is
/// none, it is padding. Files that changed since they were found are an error,
/// however little of them was read by then.
pub(super) fn pieces(
    layout: &Layout,
    files: &[Option<&WalkedFile>],
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Vec<[u8; 20]>> {
    let count = layout.num_pieces();
    let job = HashJob {
        layout,
        files,
        progress,
        interrupt,
        run: (RUN / layout.piece_length()).max(1),
        next: AtomicU32::new(0),
        digests: Mutex::new(vec![[0; 20]; count as usize]),
        failure: Mutex::new(None),
    };
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let threads = cores.min(count.div_ceil(job.run));
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where no thread can be had, fewer do the work.
            let _ = thread::Builder::new().spawn_scoped(scope, || job.work());
        }
        job.work();
    });
    match job.failure.into_inner() {
        Some(error) => Err(error),
        None => {
            for file in files.iter().flatten() {
                interrupt.check()?;
                check_unchanged(file)?;
            }
            Ok(job.digests.into_inner())
        }
    }
}

/// Fails when a file is no longer what was found.
fn check_unchanged(file: &WalkedFile) -> Result<()> {
    let failed = |error: std::io::Error| Error::from_io(&error, &file.disk);
    if file.symlink.is_some() {
        return Ok(());
    }
    let metadata = std::fs::metadata(&file.disk).map_err(failed)?;
    match metadata.len() == file.length && metadata.modified().ok() == file.modified {
        true => Ok(()),
        false => Err(changed(&file.disk)),
    }
}

struct HashJob<'a> {
    layout: &'a Layout,
    files: &'a [Option<&'a WalkedFile>],
    progress: &'a Progress,
    interrupt: &'a Interrupt,
    /// Pieces that a thread takes at a time.
    run: u32,
    /// The first piece that no thread has taken.
    next: AtomicU32,
    digests: Mutex<Vec<[u8; 20]>>,
    /// The first error; all threads end on it.
    failure: Mutex<Option<Error>>,
}

impl HashJob<'_> {
    /// One thread's part.
    fn work(&self) {
        if let Err(error) = self.hash_runs() {
            self.failure.lock().get_or_insert(error);
        }
    }

    fn hash_runs(&self) -> Result<()> {
        let mut reader = PieceReader {
            files: self.files,
            open: None,
            buffer: vec![0; BUFFER],
        };
        loop {
            let first = self.next.fetch_add(self.run, Ordering::Relaxed);
            if first >= self.layout.num_pieces() {
                return Ok(());
            }
            let last = first.saturating_add(self.run).min(self.layout.num_pieces());
            for piece in first..last {
                let digest = self.hash_piece(PieceIndex(piece), &mut reader)?;
                if let Some(slot) = self.digests.lock().get_mut(piece as usize) {
                    *slot = digest;
                }
                self.progress.advance();
            }
        }
    }

    fn hash_piece(&self, piece: PieceIndex, reader: &mut PieceReader<'_>) -> Result<[u8; 20]> {
        let mut hasher = Sha1Hasher::new();
        for span in self.layout.piece_spans(piece) {
            let mut left = span.length;
            while left > 0 {
                self.interrupt.check()?;
                if self.failure.lock().is_some() {
                    return Err(Interrupt::error());
                }
                let bytes = reader.read(&span, span.length - left, left)?;
                hasher.update(bytes);
                left -= bytes.len() as u64;
            }
        }
        Ok(hasher.finish())
    }
}

/// Reads files through one buffer, and keeps the last one open.
struct PieceReader<'a> {
    files: &'a [Option<&'a WalkedFile>],
    open: Option<(FileIndex, File)>,
    buffer: Vec<u8>,
}

impl PieceReader<'_> {
    /// Up to `most` bytes of a span, from its byte `skip` on; never none.
    fn read(&mut self, span: &Span, skip: u64, most: u64) -> Result<&[u8]> {
        let length = most.min(self.buffer.len() as u64) as usize;
        let buffer = &mut self.buffer[..length];
        let found = self.files.get(span.file.0 as usize).copied().flatten();
        let Some(WalkedFile { disk: path, .. }) = found.filter(|_| !span.pad) else {
            buffer.fill(0);
            return Ok(buffer);
        };
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => changed(path),
            _ => Error::from_io(&error, path),
        };
        let file = match &mut self.open {
            Some((index, file)) if *index == span.file => file,
            slot => {
                let file = File::open(path).map_err(failed)?;
                found.map_or(Ok(()), check_unchanged)?;
                &mut slot.insert((span.file, file)).1
            }
        };
        file.seek(SeekFrom::Start(span.offset + skip))
            .map_err(failed)?;
        file.read_exact(buffer).map_err(failed)?;
        Ok(buffer)
    }
}

fn changed(path: &std::path::Path) -> Error {
    Error::because(
        ErrorKind::InvalidPath,
        "the file changed while it was hashed",
    )
    .about(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::create::tests::Folder;
    use crate::create::walk;
    use crate::hash::sha1;

    fn layout(piece_length: u32, files: &[&[u8]]) -> Layout {
        Layout::new(
            piece_length,
            files.iter().map(|file| (file.len() as u64, false)),
        )
        .unwrap()
    }

    fn hash(layout: &Layout, files: &[WalkedFile]) -> Result<Vec<[u8; 20]>> {
        let files: Vec<_> = files.iter().map(Some).collect();
        pieces(layout, &files, &Progress::default(), &Interrupt::default())
    }

    fn found(folder: &Folder, files: &[&[u8]]) -> Vec<WalkedFile> {
        let files = files.iter().enumerate();
        files
            .map(|(at, content)| walk::file(&folder.file(&at.to_string(), content)).unwrap())
            .collect()
    }

    #[test]
    fn pieces_run_over_the_ends_of_files() {
        let folder = Folder::new("hash-ends");
        let contents: Vec<Vec<u8>> = [0usize, 1, 40_000, 0, 700_001, 3]
            .iter()
            .enumerate()
            .map(|(seed, &length)| (0..length).map(|at| (at * 31 + seed) as u8).collect())
            .collect();
        let files: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let whole = contents.concat();
        for piece_length in [1000, 16_384, 1 << 20] {
            let layout = layout(piece_length, &files);
            let expected: Vec<_> = whole.chunks(piece_length as usize).map(sha1).collect();
            assert_eq!(hash(&layout, &found(&folder, &files)).unwrap(), expected);
        }
    }

    #[test]
    fn a_file_that_changed_is_named() {
        let folder = Folder::new("hash-changed");
        let layout = layout(16_384, &[&[1; 50_000]]);
        let found = found(&folder, &[&[1; 50_000]]);
        assert!(hash(&layout, &found).is_ok());
        for other in [49_999, 50_001] {
            folder.file("0", &vec![1; other]);
            let error = hash(&layout, &found).unwrap_err();
            assert!(error.to_string().contains("changed"), "{error}");
            assert!(
                std::path::Path::new(error.context()).ends_with("0"),
                "{error}"
            );
        }
        // Of the same length, but not the same.
        let path = folder.file("0", &[1; 50_000]);
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(later).unwrap();
        let error = hash(&layout, &found).unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
    }

    #[test]
    fn an_interrupt_ends_it() {
        let folder = Folder::new("hash-interrupt");
        let found = found(&folder, &[&[0; 100]]);
        let interrupt = Interrupt::default();
        interrupt.set();
        let result = pieces(
            &layout(16_384, &[&[0; 100]]),
            &[Some(&found[0])],
            &Progress::default(),
            &interrupt,
        );
        assert_eq!(result, Err(Interrupt::error()));
    }
}
