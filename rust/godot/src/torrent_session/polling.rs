//! What a session does each frame: it takes the events and emits the signals.

use super::dispatch::{self, SessionPoll};
use super::*;

/// Ends the state of delivering, also when a listener made us panic.
struct Delivering<'a>(&'a Gd<TorrentSession>);

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.0.bind().delivering.replace(false);
    }
}

impl Polled for TorrentSession {
    fn alive(&self) -> &Alive {
        &self.alive
    }

    fn on_frame(this: Gd<Self>) {
        Self::poll_once(this, true);
    }
}

impl TorrentSession {
    /// Takes what has happened since into the queue. Alerts stay in the engine,
    /// whose queue is bounded, while there are some that wait here.
    fn collect(&self) {
        if self.slot.end_failed() {
            // It could not run after all; what went wrong comes with its end.
            self.run_ends();
        }
        let mut has_started = false;
        let mut signal_queue = self.signal_queue.lock();
        signal_queue.begin();
        self.slot
            .poll(signal_queue.has_alerts(), |news| match news {
                RunNews::Started => {
                    has_started = true;
                    signal_queue.put_notice(Notice::Started);
                }
                RunNews::Event(event) => signal_queue.put(event),
                RunNews::Stopped => signal_queue.put_notice(Notice::Stopped),
            });
        drop(signal_queue);
        if has_started && self.slot.has_run() {
            // The folder's own may have come to those of the start.
            self.show_settings();
        }
    }

    /// Lets go of dead handles that the game has let go of.
    fn let_go_of_dead(&self) {
        if !self.slot.is_ending() {
            self.objects.let_go_of_dead();
        }
    }

    /// How many hold the session, beside the one that calls.
    fn references(&self) -> i32 {
        self.to_gd().get_reference_count() - 1
    }

    /// Whether it has stopped and everything of it has been emitted.
    fn is_at_rest(&self) -> bool {
        !self.slot.has_run() && !self.slot.is_ending() && self.signal_queue.lock().is_empty()
    }

    fn end_of_poll(&self, begun: Instant) {
        let now = Instant::now();
        self.gauge.note_poll(now.duration_since(begun));
        self.polled.replace(Some(now));
    }

    /// What this poll may take, by the time since the last one.
    fn allowance(&self, now: Instant) -> FrameBudget {
        let last = self.polled.get();
        let elapsed = last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        FrameBudget::new(elapsed, self.signal_queue.lock().waiting())
    }

    /// One poll; `looks` whether the game has let go of the session.
    fn poll_once(this: Gd<Self>, looks: bool) {
        if this.bind().delivering.replace(true) {
            return;
        }
        let delivering = Delivering(&this);
        let begun = Instant::now();
        this.bind().collect();
        let allowance = this.bind().allowance(begun);
        let poll = SessionPoll {
            session: &this,
            stopwatch: Stopwatch::start(),
        };
        while dispatch::is_held(&this)
            && let Some(notice) = Self::next(&poll, &allowance)
        {
            dispatch::deliver(&poll, notice);
        }
        this.bind().end_of_poll(begun);
        // What goes on after a wait may poll as well.
        drop(delivering);
        if looks {
            Self::let_go(&this);
        }
        this.bind().let_go_of_dead();
        crate::waits::after_poll();
    }

    /// Disconnects from a stopped session what keeps it alive, once nothing else does.
    /// The references are counted from the first poll at rest on: during a stop there are
    /// some that mean nothing, such as those of a handler that stops.
    fn let_go(this: &Gd<Self>) {
        let session = this.bind();
        let Some(mut hold) = session.hold.get().filter(|_| session.is_at_rest()) else {
            return;
        };
        let manager = session.manager();
        let holders = || reference_cycles::holders(this).len() + AlertManager::holders(&manager);
        // Without the reference that is `this`.
        let is_let_go = hold.is_let_go(session.references() - 1, holders);
        session.hold.replace(Some(hold));
        if is_let_go {
            reference_cycles::release(this);
            AlertManager::release(&manager);
        }
    }

    fn next(poll: &SessionPoll<'_>, allowance: &FrameBudget) -> Option<Notice> {
        let time = poll.stopwatch.left(allowance);
        poll.session.bind().signal_queue.lock().next(time)
    }
}

#[godot_api(secondary)]
impl TorrentSession {
    /// Emits the signals of what happened since the last time. In a SceneTree that happens
    /// by itself each frame; under a main loop of one's own, call it regularly. Within a
    /// signal's handler it does nothing. Takes a fraction of a millisecond at most, apart
    /// from what the handlers take. What is left comes with the next calls: pieces and files
    /// one by one, and alerts. Nothing else waits for them.
    #[func(gd_self)]
    fn poll(this: Gd<Self>) {
        main_only!(this.bind(), "poll");
        // The game's call comes with references of its own, such as a loop's
        // variable. Where there are frames, those look.
        let looks = !frame_poll::are_followed();
        Self::poll_once(this, looks);
    }
}
