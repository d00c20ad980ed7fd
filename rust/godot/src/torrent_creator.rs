//! `TorrentCreator`: makes torrents from files and folders.

use godot::builtin::{GString, PackedByteArray, Signal};
use godot::classes::{IRefCounted, RefCounted};
use godot::obj::{Base, Gd};
use godot::register::{GodotClass, godot_api};
use torrent_core::create::{CreateEntry, TorrentBuilder};
use torrent_engine::create::{CreateJob, CreateTorrent, Created, Source};
use torrent_engine::error::{Error, ErrorKind, Result};
use torrent_engine::event::unix_millis;

use crate::convert::{self, invalid};
use crate::creation::Making;
use crate::frame_poll::Polled;
use crate::last_error::LastError;
use crate::live_objects::Alive;
use crate::threads::{SharedField, main_only};
use crate::torrent_error::TorrentError;
use crate::waits::{self, Failing};
use crate::{frame_poll, paths};

/// Makes a torrent from a file, or from a folder and everything in it.
///
/// ```gdscript
/// var creator := TorrentCreator.new()
/// creator.add_directory("user://my_mod")
/// creator.add_tracker("https://tracker.example/announce")
/// creator.generate()
/// var torrent_data: PackedByteArray = await creator.wait_completed()
/// if not torrent_data.is_empty():
///     creator.save_to_file("user://my_mod.torrent")
/// ```
///
/// [method generate] works in the background, [method generate_blocking] makes
/// the game wait. The files must not change until it is done. A call that fails
/// returns false or something empty and prints one error that names the reason.
#[derive(GodotClass)]
#[class(tool, base=RefCounted)]
pub(crate) struct TorrentCreator {
    sources: SharedField<Vec<Source>>,
    description: SharedField<TorrentBuilder>,
    job: SharedField<Option<CreateJob>>,
    /// Jobs that were cancelled and have not ended yet: the game does not wait
    /// for them, but they end before the object does.
    ending: SharedField<Vec<CreateJob>>,
    /// The progress that was emitted last.
    reported_progress: SharedField<(u32, u32)>,
    /// What the job made, until it is emitted.
    result: SharedField<Option<Result<Created>>>,
    created: SharedField<Option<Created>>,
    /// What comes of it, for those who wait.
    making: Making,
    errors: LastError,
    alive: Alive,
    base: Base<RefCounted>,
}

/// Ends what the object does in the background, if it is a creator.
pub(crate) fn end(object: &Gd<RefCounted>) {
    if let Ok(creator) = object.clone().try_cast::<TorrentCreator>() {
        creator.bind().end();
    }
}

#[godot_api]
impl IRefCounted for TorrentCreator {
    fn init(base: Base<RefCounted>) -> Self {
        let description = TorrentBuilder {
            creation_date: Some(unix_millis() / 1000),
            ..TorrentBuilder::default()
        };
        Self {
            sources: SharedField::default(),
            description: SharedField::new(description),
            job: SharedField::default(),
            ending: SharedField::default(),
            reported_progress: SharedField::default(),
            result: SharedField::default(),
            created: SharedField::default(),
            making: Making::default(),
            errors: LastError::default(),
            alive: Alive::new(&base),
            base,
        }
    }

    fn to_string(&self) -> GString {
        let is_at_work = self.job.lock().is_some();
        let state = match self.created.get() {
            _ if is_at_work => "at work".to_owned(),
            Some(created) => created.metainfo.info.hash().to_string(),
            None => format!("{} sources", self.sources.lock().len()),
        };
        GString::from(&format!("TorrentCreator({state})"))
    }
}

/// Whether a torrent can be described like this; what is in it does not matter.
fn check(description: TorrentBuilder) -> Result<()> {
    let file = CreateEntry {
        path: vec!["file".to_owned()],
        length: 1,
        ..CreateEntry::default()
    };
    let probe = TorrentBuilder {
        entries: vec![file],
        ..description
    };
    probe.plan().map(drop).map_err(Error::from)
}

/// Refuses what is not there: better now than in the background.
fn look_at(source: &Source) -> Result<()> {
    let path = source.path();
    let metadata = std::fs::metadata(path).map_err(|error| Error::from_io(&error, path))?;
    let problem = match source {
        Source::File(_) if metadata.is_dir() => "it is a folder, not a file",
        Source::Folder { .. } if !metadata.is_dir() => "it is not a folder",
        _ => return Ok(()),
    };
    Err(Error::because(ErrorKind::InvalidPath, problem).about(path.display().to_string()))
}

impl Polled for TorrentCreator {
    fn alive(&self) -> &Alive {
        &self.alive
    }

    fn on_frame(this: Gd<Self>) {
        Self::poll(this);
    }
}

impl TorrentCreator {
    /// The value of a success; a failure is reported and `None`.
    fn report<T>(&self, method: &str, result: Result<T>) -> Option<T> {
        self.errors.ok(&format!("TorrentCreator.{method}"), result)
    }

    /// Whether a call worked; a failure is printed.
    fn done(&self, method: &str, result: Result<()>) -> bool {
        self.report(method, result).is_some()
    }

    /// Cancels what is under way, and waits until its threads have ended.
    pub(crate) fn end(&self) {
        drop((self.job.take(), self.ending.take()));
    }

    fn add(&self, source: Source) -> Result<()> {
        look_at(&source)?;
        self.sources.lock().push(source);
        Ok(())
    }

    fn order(&self) -> CreateTorrent {
        CreateTorrent {
            sources: self.sources.get(),
            description: self.description.get(),
            ..CreateTorrent::default()
        }
    }

    fn start(&self) -> Result<()> {
        if self.job.lock().is_some() || self.result.lock().is_some() {
            return Err(invalid("it is already at work"));
        }
        self.reported_progress.replace((0, 0));
        self.making.begin();
        let job = self.order_of_something().and_then(CreateJob::start);
        let job = job.inspect_err(|error| self.making.end(Err(error.clone())))?;
        self.job.replace(Some(job));
        Ok(())
    }

    fn order_of_something(&self) -> Result<CreateTorrent> {
        let order = self.order();
        match order.sources.is_empty() {
            true => Err(invalid("there is nothing to make a torrent of")),
            false => Ok(order),
        }
    }

    fn make(&self) -> Result<PackedByteArray> {
        let created = self.order_of_something().and_then(CreateTorrent::generate);
        // A job in the background has an outcome of its own.
        if self.job.lock().is_none() && self.result.lock().is_none() {
            self.making.begin();
            self.making.end(created.clone());
        }
        created.map(|created| self.keep(created))
    }

    fn keep(&self, created: Created) -> PackedByteArray {
        let data = PackedByteArray::from(created.data.as_ref());
        self.created.replace(Some(created));
        data
    }

    /// The progress of the job, if it is news. A result waits until it is
    /// asked for, so that the last progress is emitted before it.
    fn look(&self) -> Option<(i64, i64)> {
        let mut slot = self.job.lock();
        let job = slot.as_mut()?;
        let result = job.poll();
        let progress = job.progress();
        if let Some(result) = result {
            self.result.replace(Some(result));
            slot.take();
        }
        let is_news = self.reported_progress.replace(progress) != progress;
        is_news.then_some((progress.0.into(), progress.1.into()))
    }

    fn save(&self, path: &GString) -> Result<()> {
        let created = self.created.get();
        let created = created
            .as_ref()
            .ok_or_else(|| invalid("no torrent is made yet"))?;
        created.save(&paths::to_write(path)?)
    }

    /// Changes the description, unless no torrent could be described like that.
    fn describe(&self, change: impl FnOnce(&mut TorrentBuilder)) -> Result<()> {
        let mut changed = self.description.get();
        change(&mut changed);
        check(changed.clone())?;
        self.description.replace(changed);
        Ok(())
    }
}

#[godot_api]
impl TorrentCreator {
    /// More pieces are hashed, of so many in all.
    #[signal]
    fn progress(pieces_hashed: i64, pieces_total: i64);

    /// The torrent is made: the bytes of a torrent file.
    #[signal]
    fn completed(torrent_data: PackedByteArray);

    /// No torrent could be made.
    #[signal]
    fn failed(message: GString);

    /// Puts a file into the torrent.
    #[func]
    fn add_file(&self, path: GString) -> bool {
        main_only!(self, "add_file");
        let added = paths::to_read(&path).and_then(|path| self.add(Source::File(path)));
        self.done("add_file", added)
    }

    /// Puts a folder with everything in it into the torrent; what is hidden (its name
    /// begins with a dot) only if asked.
    #[func]
    fn add_directory(&self, path: GString, #[opt(default = false)] include_hidden: bool) -> bool {
        main_only!(self, "add_directory");
        let added = paths::to_read(&path).and_then(|path| {
            self.add(Source::Folder {
                path,
                include_hidden,
            })
        });
        self.done("add_directory", added)
    }

    /// Gives the torrent another name than that of its file or folder.
    #[func]
    fn set_name(&self, name: GString) -> bool {
        main_only!(self, "set_name");
        let name = Some(name.to_string()).filter(|name| !name.is_empty());
        self.done(
            "set_name",
            self.describe(|description| description.name = name),
        )
    }

    /// Sets the bytes in a piece: a power of two or a multiple of 16384, at most 128 MiB;
    /// 0 to have it chosen by the size of the files.
    #[func]
    fn set_piece_size(&self, bytes: i64) -> bool {
        main_only!(self, "set_piece_size");
        let size =
            u32::try_from(bytes).map_err(|_| invalid(format!("{bytes} is not a piece size")));
        let result =
            size.and_then(|size| self.describe(|description| description.piece_size = size));
        self.done("set_piece_size", result)
    }

    /// Sets a free text that goes with the torrent.
    #[func]
    fn set_comment(&self, comment: GString) {
        main_only!(self, "set_comment");
        self.description.lock().comment = comment.to_string();
    }

    /// Sets the name of the program that made the torrent.
    #[func]
    fn set_creator(&self, creator: GString) {
        main_only!(self, "set_creator");
        self.description.lock().creator = creator.to_string();
    }

    /// Sets the Unix time at which the torrent was made, which is now unless another one
    /// is set; 0 leaves it out.
    #[func]
    fn set_creation_date(&self, unix_time: i64) {
        main_only!(self, "set_creation_date");
        self.description.lock().creation_date = Some(unix_time).filter(|&time| time > 0);
    }

    /// Lets peers come from the torrent's trackers alone.
    #[func]
    fn set_private(&self, private: bool) {
        main_only!(self, "set_private");
        self.description.lock().private = private;
    }

    /// Names the tracker that the torrent is made for, which gives it an info-hash of its
    /// own there.
    #[func]
    fn set_source(&self, source: GString) {
        main_only!(self, "set_source");
        self.description.lock().source = source.to_string();
    }

    /// Adds a tracker. Those of a lower tier are tried first.
    #[func]
    fn add_tracker(&self, url: GString, #[opt(default = 0)] tier: i64) -> bool {
        main_only!(self, "add_tracker");
        let tier = u32::try_from(tier).map_err(|_| invalid(format!("there is no tier {tier}")));
        let result = tier.and_then(|tier| {
            self.describe(|description| description.trackers.push((url.to_string(), tier)))
        });
        self.done("add_tracker", result)
    }

    /// Names a web server that has the files (BEP 19).
    #[func]
    fn add_url_seed(&self, url: GString) -> bool {
        main_only!(self, "add_url_seed");
        let url = url.to_string();
        let result = self.describe(|description| description.url_seeds.push(url));
        self.done("add_url_seed", result)
    }

    /// Names a web server that has the files and hands them out by piece (BEP 17).
    #[func]
    fn add_http_seed(&self, url: GString) -> bool {
        main_only!(self, "add_http_seed");
        let url = url.to_string();
        let result = self.describe(|description| description.http_seeds.push(url));
        self.done("add_http_seed", result)
    }

    /// Names a DHT node through which peers can be found.
    #[func]
    fn add_node(&self, host: GString, port: i64) -> bool {
        main_only!(self, "add_node");
        let port = u16::try_from(port).ok().filter(|&port| port > 0);
        let port = port.ok_or_else(|| invalid("a port is a number from 1 to 65535"));
        let result = port.map(|port| {
            self.description.lock().nodes.push((host.to_string(), port));
        });
        self.done("add_node", result)
    }

    /// Names a torrent that shares files with this one, by its info-hash (BEP 38).
    #[func]
    fn add_similar_torrent(&self, info_hash: GString) -> bool {
        main_only!(self, "add_similar_torrent");
        let result = convert::to_info_hash(&info_hash)
            .map(|hash| self.description.lock().similar.push(hash));
        self.done("add_similar_torrent", result)
    }

    /// Names a collection of torrents that share files (BEP 38).
    #[func]
    fn add_collection(&self, name: GString) {
        main_only!(self, "add_collection");
        self.description.lock().collections.push(name.to_string());
    }

    /// Begins to make the torrent in the background. [method wait_completed] waits for it;
    /// [signal completed] or [signal failed] says how it ended.
    #[func(gd_self)]
    fn generate(this: Gd<Self>) -> bool {
        main_only!(this.bind(), "generate");
        let creator = this.bind();
        let started = creator.done("generate", creator.start());
        if started {
            frame_poll::follow(&this);
        }
        started
    }

    /// Makes the torrent at once and returns the bytes of its torrent file. The game
    /// waits for it: large files take seconds.
    #[func]
    fn generate_blocking(&self) -> PackedByteArray {
        main_only!(self, "generate_blocking");
        self.report("generate_blocking", self.make())
            .unwrap_or_default()
    }

    /// Gives up what [method generate] began. No signal comes of it.
    #[func]
    fn cancel(&self) {
        main_only!(self, "cancel");
        let mut ending = self.ending.lock();
        ending.retain(|job| !job.is_finished());
        if let Some(job) = self.job.take() {
            job.cancel();
            ending.push(job);
        }
        self.result.take();
        self.making.give_up();
    }

    /// Emits the signals of what happened since the last time. In a SceneTree that happens
    /// by itself each frame.
    #[func(gd_self)]
    fn poll(this: Gd<Self>) {
        main_only!(this.bind(), "poll");
        let progress = this.bind().look();
        if let Some((hashed, total)) = progress {
            this.signals().progress().emit(hashed, total);
        }
        // Not earlier: a listener may just have cancelled.
        let result = this.bind().result.take();
        if let Some(result) = result {
            Self::emit_result(&this, result);
        }
        waits::after_poll();
    }

    /// Writes the torrent that was made to a file.
    #[func]
    fn save_to_file(&self, path: GString) -> bool {
        main_only!(self, "save_to_file");
        self.done("save_to_file", self.save(&path))
    }

    /// The info-hash of the torrent that was made: 40 hexadecimal digits, or nothing.
    #[func]
    fn get_info_hash(&self) -> GString {
        let created = self.created.get();
        let hash = created
            .as_ref()
            .map(|created| created.metainfo.info.hash().to_string());
        hash.as_ref().map(GString::from).unwrap_or_default()
    }

    /// A link that names the torrent that was made and its trackers.
    #[func]
    fn get_magnet_uri(&self) -> GString {
        let created = self.created.get();
        let uri = created
            .as_ref()
            .map(|created| created.metainfo.magnet().to_string());
        uri.as_ref().map(GString::from).unwrap_or_default()
    }

    /// Waits for what [method generate] began, or gives what was made last: the bytes of a
    /// torrent file, with a signal that comes once, with the next frame at the earliest. They
    /// are empty when no torrent could be made, [method cancel] was called, none is being
    /// made, or after [param timeout] seconds (0.0: no limit). [method get_last_error] says
    /// why.
    ///
    /// ```gdscript
    /// var creator := TorrentCreator.new()
    /// creator.add_file("user://my_mod.pck")
    /// creator.generate()
    /// var torrent_data: PackedByteArray = await creator.wait_completed()
    /// ```
    #[func]
    fn wait_completed(&self, #[opt(default = 0.0)] timeout: f64) -> Signal {
        let look = self.making.look();
        waits::signal(timeout, Failing::NoData, &self.errors, look)
    }

    /// The last error of this object. Never null: without an error its code is
    /// [constant TorrentError.OK].
    #[func]
    fn get_last_error(&self) -> Gd<TorrentError> {
        TorrentError::of(self.errors.get())
    }

    /// Forgets what [method get_last_error] returns.
    #[func]
    fn clear_last_error(&self) {
        self.errors.clear();
    }

    fn emit_result(this: &Gd<Self>, result: Result<Created>) {
        this.bind().making.end(result.clone());
        match result {
            Ok(created) => {
                let data = this.bind().keep(created);
                this.signals().completed().emit(&data);
            }
            Err(error) => {
                let errors = this.bind().errors.clone();
                errors.report("TorrentCreator.generate", &error);
                let message = GString::from(&error.to_string());
                this.signals().failed().emit(&message);
            }
        }
    }
}
