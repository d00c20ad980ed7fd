//! Signals that a game awaits, each emitted exactly once: when what it stands
//! for is so, can no longer come, or took too long.
//!
//! What is awaited is looked at once a frame while anything is, also where no
//! other code polls, and on any thread when it begins. An outcome is emitted one
//! look after it was first seen and still holds: mostly the game has the signals
//! that it brought by then (with many signals, or another poll, they may come
//! later), and a game that has just asked gets its answer with the next frame at
//! the earliest. Under a main loop other than a SceneTree an
//! outcome that is known comes as a deferred call, and `poll` looks at the others.
//!
//! The emitters are plain objects of Godot's, kept as metadata of the main
//! loop: that goes before the scripts do, which what awaits belongs to. Godot
//! disconnects what awaits when the object goes whose function it is. A game may
//! connect to a signal that it holds, or connect to it again, so that emitters
//! without a connection are kept; but not more than [`UNHEARD`] of them, the
//! newest ones.

use std::time::{Duration, Instant};

use godot::builtin::{Callable, PackedByteArray, Signal, StringName, VarDictionary, Variant};
use godot::classes::object::ConnectFlags;
use godot::classes::{Engine, MainLoop, RefCounted, SceneTree};
use godot::meta::ToGodot;
use godot::obj::{Gd, InstanceId, NewGd, Singleton};
use torrent_engine::error::{Error, ErrorKind, Result};

use crate::last_error::LastError;
use crate::threads::{self, SharedField};

/// The emitters' only signal.
const DONE: &str = "done";

/// The metadata of the main loop that keeps the emitters, by their ids.
const KEPT: &str = "_torrent_waits";

/// How many emitters are kept that nothing is connected to.
const UNHEARD: usize = 1000;

/// How many are asked for their connections in a frame.
const ASKED: usize = 32;

/// What comes of a wait.
#[derive(Clone, Debug)]
pub(crate) enum WaitReply {
    /// True; false when it fails.
    Done,
    /// These bytes; none when it fails.
    Data(PackedByteArray),
}

/// What is emitted when a wait fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failing {
    /// False.
    False,
    /// No bytes.
    NoData,
}

impl Failing {
    fn value(self) -> Variant {
        match self {
            Self::False => false.to_variant(),
            Self::NoData => PackedByteArray::new().to_variant(),
        }
    }
}

/// What has come of it, if anything has. Asked again, it may have changed.
type Look = Box<dyn FnMut() -> Option<Result<WaitReply>> + Send>;

struct Wait {
    emitter: InstanceId,
    /// The main loop keeps the emitter.
    kept: bool,
    /// The process frame in which it began.
    since: u64,
    deadline: Option<Instant>,
    failing: Failing,
    errors: LastError,
    look: Look,
    /// There was an outcome at the last look.
    seen: bool,
    /// Something has been connected to it.
    heard: bool,
}

static WAITS: SharedField<Vec<Wait>> = SharedField::new(Vec::new());

/// Which of them is asked next for its connections.
static NEXT_WAIT: SharedField<usize> = SharedField::new(0);

/// The main loop calls with its next frame.
static WATCHED: SharedField<bool> = SharedField::new(false);

/// A signal that is emitted with what `look` finds, or with the failing value
/// after `timeout` seconds, if those are more than 0. Why it failed is left in
/// `errors`.
pub(crate) fn signal(
    timeout: f64,
    failing: Failing,
    errors: &LastError,
    look: impl FnMut() -> Option<Result<WaitReply>> + Send + 'static,
) -> Signal {
    let mut emitter = RefCounted::new_gd();
    emitter.add_user_signal(DONE);
    let signal = Signal::from_object_signal(&emitter, DONE);
    let mut look: Look = Box::new(look);
    let limit = Duration::try_from_secs_f64(timeout).unwrap_or_default();
    let main_loop = threads::is_main().then(main_loop).flatten();
    let seen = look().is_some();
    WAITS.lock().push(Wait {
        emitter: emitter.instance_id(),
        kept: main_loop.is_some(),
        since: Engine::singleton().get_process_frames(),
        deadline: Instant::now()
            .checked_add(limit)
            .filter(|_| !limit.is_zero()),
        failing,
        errors: errors.clone(),
        look,
        seen,
        heard: false,
    });
    if let Some(mut main_loop) = main_loop {
        keep(&mut main_loop, &emitter);
        if watch(main_loop) {
            return signal;
        }
    }
    threads::before_next_frame(arrive);
    // Until then the queue of deferred calls keeps the emitter, as an argument.
    let kept = [StringName::from(KEPT).to_variant(), emitter.to_variant()];
    emitter.call_deferred("get_meta", &kept);
    signal
}

/// Looks at all that is awaited and emits what is over. Main thread only.
pub(crate) fn look() {
    look_before(None);
}

/// Looks after a poll, under a main loop that calls with no frame of its own.
pub(crate) fn after_poll() {
    if !*WATCHED.lock() && !WAITS.lock().is_empty() {
        look();
    }
}

/// Drops everything that is awaited, at the end of the program.
pub(crate) fn end() {
    drop(WAITS.take());
}

fn main_loop() -> Option<Gd<MainLoop>> {
    Engine::singleton().get_main_loop()
}

/// Called by the main loop with each process frame while anything is awaited.
fn frame() {
    WATCHED.replace(false);
    look_before(Some(Engine::singleton().get_process_frames()));
    let waits = !WAITS.lock().is_empty();
    if let Some(main_loop) = main_loop().filter(|_| waits) {
        watch(main_loop);
    }
}

/// Has the next process frame call, if the main loop has such.
fn watch(main_loop: Gd<MainLoop>) -> bool {
    let Ok(mut tree) = main_loop.try_cast::<SceneTree>() else {
        return false;
    };
    if !WATCHED.replace(true) {
        let frame = Callable::from_sync_fn("torrent waits", |_: &[&Variant]| frame());
        tree.connect_flags("process_frame", &frame, ConnectFlags::ONE_SHOT);
    }
    true
}

/// Takes over what began on another thread, or before there was a main loop.
fn arrive() {
    let Some(mut main_loop) = main_loop() else {
        return;
    };
    let mut arrived = Vec::new();
    for wait in WAITS.lock().iter_mut().filter(|wait| !wait.kept) {
        wait.kept = true;
        arrived.push(wait.emitter);
    }
    for id in arrived {
        if let Ok(emitter) = Gd::try_from_instance_id(id) {
            keep(&mut main_loop, &emitter);
        }
    }
    if !watch(main_loop) {
        look();
    }
}

/// Lets the main loop keep an emitter.
fn keep(main_loop: &mut Gd<MainLoop>, emitter: &Gd<RefCounted>) {
    let mut kept = kept(main_loop).unwrap_or_default();
    kept.set(emitter.instance_id().to_i64(), emitter);
    main_loop.set_meta(KEPT, &kept.to_variant());
}

fn kept(main_loop: &Gd<MainLoop>) -> Option<VarDictionary> {
    let kept = main_loop.has_meta(KEPT).then(|| main_loop.get_meta(KEPT));
    kept?.try_to().ok()
}

/// An emitter, which nothing keeps any more.
fn released(id: InstanceId) -> Option<Gd<RefCounted>> {
    let mut kept = kept(&main_loop()?)?;
    kept.remove(id.to_i64())?.try_to().ok()
}

/// Looks at what began before a process frame.
fn look_before(frame: Option<u64>) {
    // Out of the lock: what is emitted runs scripts, which may wait for more.
    let all = WAITS.take();
    let now = Instant::now();
    let mut over = Vec::new();
    let mut waits = Vec::with_capacity(all.len());
    for mut wait in all {
        let is_due = wait.kept && frame.is_none_or(|frame| wait.since != frame);
        match is_due.then(|| wait.outcome(now)).flatten() {
            Some(outcome) => over.push((wait, outcome)),
            None => waits.push(wait),
        }
    }
    let abandoned = abandoned(&mut waits);
    {
        let mut begun = WAITS.lock();
        waits.append(&mut begun);
        *begun = waits;
    }
    for wait in abandoned {
        drop(released(wait.emitter));
    }
    for (wait, outcome) in over {
        wait.emit(outcome);
    }
}

/// Takes out those that nothing waits for, where there are too many of them: a
/// game that holds a signal may connect to it (again) later. Each time some are
/// asked, in turn.
fn abandoned(waits: &mut Vec<Wait>) -> Vec<Wait> {
    let next = *NEXT_WAIT.lock();
    let first = if next < waits.len() { next } else { 0 };
    for wait in waits.iter_mut().skip(first).take(ASKED) {
        wait.heard = wait.kept && wait.is_connected();
    }
    NEXT_WAIT.replace(waits.len().min(first + ASKED));
    let unheard = waits.iter().filter(|wait| wait.kept && !wait.heard).count();
    let mut beyond = unheard.saturating_sub(UNHEARD);
    let gone = waits.extract_if(.., |wait| {
        if beyond == 0 || wait.heard || !wait.kept {
            return false;
        }
        beyond -= 1;
        wait.heard = wait.is_connected();
        !wait.heard
    });
    gone.collect()
}

impl Wait {
    /// How it ended, once that is certain.
    fn outcome(&mut self, now: Instant) -> Option<Result<WaitReply>> {
        let outcome = (self.look)();
        let seen = std::mem::replace(&mut self.seen, outcome.is_some());
        match outcome {
            Some(outcome) => seen.then_some(outcome),
            None => {
                let is_late = self.deadline.is_some_and(|deadline| deadline <= now);
                let error = || Error::because(ErrorKind::Timeout, "it did not come in time");
                is_late.then(|| Err(error()))
            }
        }
    }

    fn is_connected(&self) -> bool {
        let emitter = Gd::<RefCounted>::try_from_instance_id(self.emitter);
        emitter.is_ok_and(|emitter| !emitter.get_signal_connection_list(DONE).is_empty())
    }

    fn emit(self, outcome: Result<WaitReply>) {
        let value = match outcome {
            Ok(WaitReply::Done) => true.to_variant(),
            Ok(WaitReply::Data(data)) => data.to_variant(),
            Err(error) => {
                self.errors.keep(&error);
                self.failing.value()
            }
        };
        if let Some(mut emitter) = released(self.emitter) {
            emitter.emit_signal(DONE, &[value]);
        }
    }
}
