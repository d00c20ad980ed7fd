//! Makes torrents from files and folders: finds the files, hashes their
//! pieces on all cores, and has `torrent_core::create` write the result.
//!
//! [`CreateTorrent::generate`] does it on the calling thread,
//! [`CreateJob::start`] in the background: its owner asks it with
//! [`CreateJob::poll`] once a frame, and loses nothing by dropping it.

mod hash;
mod save;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use bytes::Bytes;
use torrent_core::create::{CreateEntry, CreateError, TorrentBuilder};
use torrent_core::metainfo::{Metainfo, MetainfoError, MetainfoLimits};

use self::walk::WalkedFile;
use crate::error::{Error, ErrorKind, Result};
use crate::threads;

/// Something on disk that becomes part of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One file.
    File(PathBuf),
    /// A folder with all that is in it.
    Folder {
        /// Where it is.
        path: PathBuf,
        /// Whether files and folders whose name begins with a dot belong to it.
        include_hidden: bool,
    },
}

impl Source {
    /// What is at `path`: a folder if it is one, else a file.
    pub fn at(path: impl Into<PathBuf>, include_hidden: bool) -> Self {
        let path = path.into();
        if path.is_dir() {
            Self::Folder {
                path,
                include_hidden,
            }
        } else {
            Self::File(path)
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Folder { path, .. } => path,
        }
    }
}

/// What a torrent records about files beside their names and contents. All of it
/// is part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Details {
    /// Which are executable, and on Windows which are hidden (BEP 47).
    pub attributes: bool,
    /// When they were last changed.
    pub modification_times: bool,
    /// Symbolic links are links (BEP 47); else they are the files to which
    /// they lead.
    pub symlinks: bool,
}

impl Default for Details {
    fn default() -> Self {
        Self {
            attributes: true,
            modification_times: false,
            symlinks: false,
        }
    }
}

/// What to make a torrent of.
#[derive(Clone, Debug, Default)]
pub struct CreateTorrent {
    /// What goes into it. A single source gives the torrent its name; of
    /// several, the folder that they all lie in does, unless a name is given.
    pub sources: Vec<Source>,
    /// What to record about the files.
    pub details: Details,
    /// Everything else. Its entries are filled in from the sources.
    pub description: TorrentBuilder,
}

/// A torrent that was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// The torrent file.
    pub data: Bytes,
    /// What it says.
    pub metainfo: Arc<Metainfo>,
}

impl Created {
    /// Writes the torrent file to `path`: all of it, or what is there stays.
    ///
    /// # Errors
    /// What the file system says, with the path.
    pub fn save(&self, path: &Path) -> Result<()> {
        save::whole(path, &self.data).map_err(|error| Error::from_io(&error, path))
    }
}

impl CreateTorrent {
    /// Makes the torrent on this thread, and others for the hashing.
    ///
    /// # Errors
    /// What cannot be read, named by its path; what cannot be in a torrent.
    pub fn generate(self) -> Result<Created> {
        self.run(&Progress::default(), &Interrupt::default())
    }

    fn run(mut self, progress: &Progress, interrupt: &Interrupt) -> Result<Created> {
        let files = self.find(interrupt)?;
        let details = self.details;
        let entry = |file: &WalkedFile| CreateEntry {
            path: file.elements.clone(),
            length: file.length,
            mtime: details
                .modification_times
                .then(|| unix_seconds(file.modified))
                .flatten(),
            executable: details.attributes && file.executable,
            hidden: details.attributes && file.hidden,
            symlink: file.symlink.clone(),
            pad: false,
        };
        self.description.entries = files.iter().map(entry).collect();
        let plan = self.description.plan().map_err(|error| {
            let empty = matches!(
                error,
                CreateError::NoFiles | CreateError::Invalid(MetainfoError::Empty)
            );
            match self.sources.as_slice() {
                [one] if empty => Error::from(error).about(one.path().display().to_string()),
                _ => error.into(),
            }
        })?;
        progress.begin(plan.layout().num_pieces());
        let origins = plan.origins().iter();
        let laid: Vec<_> = origins.map(|&at| files.get(at?)).collect();
        let digests = hash::pieces(plan.layout(), &laid, progress, interrupt)?;
        let data = plan.finish(&digests)?;
        let limits = MetainfoLimits {
            bytes: data.len(),
            ..MetainfoLimits::default()
        };
        Ok(Created {
            metainfo: Arc::new(Metainfo::parse_with(&data, &limits)?),
            data: data.into(),
        })
    }

    /// The files of all sources, with their paths in the torrent.
    fn find(&self, interrupt: &Interrupt) -> Result<Vec<WalkedFile>> {
        let root = match self.sources.as_slice() {
            [_] => None,
            _ => Some(self.common_folder()?),
        };
        let mut all = Vec::new();
        for source in &self.sources {
            let mut found = match source {
                Source::File(path) => vec![walk::file(path)?],
                Source::Folder {
                    path,
                    include_hidden,
                } => walk::folder(path, *include_hidden, self.details.symlinks, interrupt)?,
            };
            for file in &mut found {
                file.elements.splice(..0, root.clone());
            }
            all.append(&mut found);
        }
        Ok(all)
    }

    /// The name of a torrent of several sources: the given one, or that of the
    /// folder that they lie in.
    fn common_folder(&self) -> Result<String> {
        if let Some(name) = &self.description.name {
            return Ok(name.clone());
        }
        let mut parents = self.sources.iter().map(|source| source.path().parent());
        match parents.next().flatten() {
            Some(parent) if parents.all(|other| other == Some(parent)) => walk::name_of(parent),
            _ => Err(Error::because(
                ErrorKind::InvalidParameter,
                "files and folders from several places need a name for the torrent",
            )),
        }
    }
}

/// Seconds since 1970, rounded down, before then too.
fn unix_seconds(time: Option<SystemTime>) -> Option<i64> {
    let time = time?;
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).ok()?,
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).ok()?;
            -(whole + i64::from(before.subsec_nanos() > 0))
        }
    };
    Some(seconds)
}

/// How far a creation is. Cheap to read at any time.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    hashed: AtomicU32,
    total: AtomicU32,
}

impl Progress {
    fn begin(&self, total: u32) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn advance(&self) {
        self.hashed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes the threads of a creation end.
#[derive(Debug, Default)]
pub(crate) struct Interrupt(AtomicBool);

impl Interrupt {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            Err(Self::error())
        } else {
            Ok(())
        }
    }

    fn error() -> Error {
        Error::because(ErrorKind::UnknownError, "the creation was cancelled")
    }
}

/// Cancels a [`CreateJob`] from anywhere.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<CreatorState>);

impl Canceller {
    /// Ends the job soon, with an error that says so, unless it is done.
    pub fn cancel(&self) {
        self.0.interrupt.set();
    }
}

#[derive(Debug, Default)]
struct CreatorState {
    progress: Progress,
    interrupt: Interrupt,
}

/// A creation in the background. Dropping it cancels it and waits for its
/// threads, which takes no longer than reading one buffer from disk.
#[derive(Debug)]
pub struct CreateJob {
    state: Arc<CreatorState>,
    thread: Option<JoinHandle<Result<Created>>>,
}

impl CreateJob {
    /// Begins to make a torrent.
    ///
    /// # Errors
    /// When the system has no thread to spare.
    pub fn start(create: CreateTorrent) -> Result<Self> {
        let state = Arc::new(CreatorState::default());
        let thread = thread::Builder::new()
            .name("torrent-create".to_owned())
            .spawn({
                let state = Arc::clone(&state);
                move || {
                    threads::begin();
                    create.run(&state.progress, &state.interrupt)
                }
            })
            .map_err(|error| Error::because(ErrorKind::InternalException, error.to_string()))?;
        Ok(Self {
            state,
            thread: Some(thread),
        })
    }

    /// Pieces hashed, and pieces in the torrent (0 until the files are found).
    pub fn progress(&self) -> (u32, u32) {
        let progress = &self.state.progress;
        (
            progress.hashed.load(Ordering::Relaxed),
            progress.total.load(Ordering::Relaxed),
        )
    }

    /// The result, once, when it is there. Never waits.
    pub fn poll(&mut self) -> Option<Result<Created>> {
        let thread = self.thread.take_if(|thread| thread.is_finished())?;
        Some(result(thread))
    }

    /// Waits for the result.
    pub fn wait(mut self) -> Result<Created> {
        match self.thread.take() {
            Some(thread) => result(thread),
            None => Err(Error::because(
                ErrorKind::InvalidParameter,
                "the result was already taken",
            )),
        }
    }

    /// Ends the job soon, with an error that says so, unless it is done.
    pub fn cancel(&self) {
        self.state.interrupt.set();
    }

    /// Whether its threads are gone, so that dropping it takes no time.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What cancels the job while another thread waits for it.
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.state))
    }
}

impl Drop for CreateJob {
    fn drop(&mut self) {
        self.cancel();
        if let Some(thread) = self.thread.take() {
            // What it made or why not is no longer of interest.
            let _ = result(thread);
        }
    }
}

/// The result of a thread that ends; its panic is our fault, not the caller's.
fn result(thread: JoinHandle<Result<Created>>) -> Result<Created> {
    thread.join().unwrap_or_else(|_| {
        Err(Error::because(
            ErrorKind::InternalException,
            "the creation panicked",
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use torrent_core::create::Padding;
    use torrent_core::ids::PieceIndex;
    use torrent_core::piece_hash::PieceHash;

    use super::*;
    use crate::hash::sha1;

    /// A folder of a test's own, gone at its end.
    pub(crate) struct Folder(pub(crate) PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Self {
            let name = format!("torrent-create-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn create(sources: impl IntoIterator<Item = PathBuf>) -> CreateTorrent {
        CreateTorrent {
            sources: sources
                .into_iter()
                .map(|path| Source::at(path, false))
                .collect(),
            ..CreateTorrent::default()
        }
    }

    fn paths(created: &Created) -> Vec<String> {
        let files = created.metainfo.info.files.iter();
        files.map(|file| file.path).collect()
    }

    fn outcome(mut job: CreateJob) -> Result<Created> {
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            if let Some(result) = job.poll() {
                assert!(job.poll().is_none(), "the result comes once");
                return result;
            }
            assert!(Instant::now() < deadline, "no result");
            thread::yield_now();
        }
    }

    #[test]
    fn a_file_and_a_folder_name_their_torrent() {
        let folder = Folder::new("names");
        let single = folder.file("game/a.bin", &[7; 20_000]);
        folder.file("game/sub/b", b"1");
        let created = create([single]).generate().unwrap();
        assert_eq!(paths(&created), ["a.bin"]);
        let info = &created.metainfo.info;
        assert!(!info.is_multi_file());
        assert_eq!(
            info.piece_hash(PieceIndex(1)),
            Some(PieceHash::Sha1(sha1(&[7; 20_000 - 16_384])))
        );
        assert_eq!(Metainfo::parse(&created.data).unwrap(), *created.metainfo);

        let created = create([folder.0.join("game")]).generate().unwrap();
        assert_eq!(paths(&created), ["game/a.bin", "game/sub/b"]);
    }

    #[test]
    fn several_sources_share_a_folder_or_need_a_name() {
        let folder = Folder::new("several");
        let one = folder.file("game/one", b"1");
        let two = folder.file("game/two/x", b"2");
        let sources = || [one.clone(), two.parent().unwrap().to_owned()];
        let created = create(sources()).generate().unwrap();
        assert_eq!(paths(&created), ["game/one", "game/two/x"]);

        let apart = || create([one.clone(), two.clone()]);
        let error = apart().generate().unwrap_err();
        assert!(error.to_string().contains("name"), "{error}");
        let mut named = apart();
        named.description.name = Some("n".to_owned());
        assert_eq!(paths(&named.generate().unwrap()), ["n/one", "n/x"]);
        assert!(create([]).generate().is_err());
    }

    #[test]
    fn a_job_counts_its_pieces_and_ends_with_the_result() {
        let folder = Folder::new("job");
        let path = folder.file("a", &[1; 1_000_000]);
        let job = CreateJob::start(create([path.clone()])).unwrap();
        let state = Arc::clone(&job.state);
        let created = outcome(job).unwrap();
        let pieces = created.metainfo.info.layout.num_pieces();
        assert_eq!(state.progress.hashed.load(Ordering::Relaxed), pieces);
        assert_eq!(state.progress.total.load(Ordering::Relaxed), pieces);

        let waited = CreateJob::start(create([path])).unwrap().wait().unwrap();
        assert_eq!(waited.data, created.data);
    }

    #[test]
    fn what_has_no_content_is_named() {
        let folder = Folder::new("nothing");
        fs::create_dir_all(folder.0.join("empty/sub")).unwrap();
        folder.file("hollow/a", b"");
        for name in ["empty", "hollow"] {
            let error = create([folder.0.join(name)]).generate().unwrap_err();
            assert!(error.context().ends_with(name), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn details_are_told_when_they_are_wanted() {
        use std::os::unix::fs::PermissionsExt;

        let folder = Folder::new("details");
        let path = folder.file("game/run", b"12");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_600_000_000_900);
        fs::File::open(&path).unwrap().set_modified(time).unwrap();
        let made = |details| {
            let mut create = create([folder.0.join("game")]);
            create.details = details;
            let file = create.generate().unwrap().metainfo.info.files.get(0);
            file.map(|file| (file.executable, file.mtime)).unwrap()
        };
        assert_eq!(made(Details::default()), (true, None));
        let other = Details {
            attributes: false,
            modification_times: true,
            symlinks: true,
        };
        assert_eq!(made(other), (false, Some(1_600_000_000)));
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1_500);
        assert_eq!(unix_seconds(Some(before)), Some(-2));
    }

    #[test]
    fn padding_is_hashed_as_zeros() {
        let folder = Folder::new("padded");
        folder.file("game/b", &[1; 20_000]);
        folder.file("game/a", &[2; 10]);
        let mut create = create([folder.0.join("game")]);
        create.description.padding = Padding::Canonical;
        let created = create.generate().unwrap();
        assert_eq!(
            paths(&created),
            ["game/a", "game/.pad/16374", "game/b", "game/.pad/12768"]
        );
        let mut first = vec![2; 10];
        first.resize(16_384, 0);
        let info = &created.metainfo.info;
        assert_eq!(
            info.piece_hash(PieceIndex(0)),
            Some(PieceHash::Sha1(sha1(&first)))
        );
    }

    #[test]
    fn a_job_fails_with_the_path_and_can_be_cancelled() {
        let folder = Folder::new("cancel");
        let missing = folder.0.join("missing");
        let error = outcome(CreateJob::start(create([missing.clone()])).unwrap()).unwrap_err();
        assert_eq!(error.context(), missing.display().to_string());

        // A hole costs nothing to make, and minutes to hash.
        let path = folder.file("hole", b"");
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(1 << 38)
            .unwrap();
        let started = Instant::now();
        let job = CreateJob::start(create([path.clone()])).unwrap();
        job.canceller().cancel();
        assert_eq!(job.wait().unwrap_err(), Interrupt::error());
        drop(CreateJob::start(create([path])).unwrap());
        assert!(started.elapsed() < Duration::from_secs(60));
    }
}
