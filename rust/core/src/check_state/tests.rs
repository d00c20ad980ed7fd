use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::{Machine, at, check_contract, count_outputs};

const PIECES: u32 = 4;

fn only(pieces: &[u32]) -> Bitfield {
    let mut field = Bitfield::new(PIECES);
    for &piece in pieces {
        field.set(piece);
    }
    field
}

const MAY_CHECK: Conditions = Conditions {
    may_check: true,
    is_short: false,
    has_failed: false,
};

fn drain(state: &mut CheckState) -> Vec<CheckOutput> {
    std::iter::from_fn(|| state.poll_output())
        .filter(|output| *output != CheckOutput::Hold)
        .collect()
}

/// A torrent that has found these pieces.
fn idle(have: &[u32]) -> CheckState {
    let mut state = CheckState::new();
    state.set_conditions(MAY_CHECK);
    state.start();
    assert_eq!(drain(&mut state), [CheckOutput::Start]);
    state.started(Started::Found(Some(only(have))));
    let accepted = CheckOutput::Accept(Some(only(have)));
    assert_eq!(drain(&mut state), [accepted]);
    state
}

fn look(purpose: LookPurpose) -> CheckOutput {
    CheckOutput::Look(Look {
        purpose,
        may_be_empty: false,
    })
}

/// Lets a check that waits begin.
fn begin(state: &mut CheckState, mode: CheckMode) {
    assert_eq!(drain(state).last(), Some(&look(LookPurpose::Check)));
    state.folder_found();
    assert_eq!(drain(state), [CheckOutput::Begin(mode)]);
    assert!(state.is_running());
}

#[test]
fn a_check_runs_and_what_it_finds_counts() {
    let mut state = idle(&[0]);
    state.recheck();
    let outputs = drain(&mut state);
    assert_eq!(outputs[0], CheckOutput::Enter);
    assert_eq!(outputs[1], CheckOutput::ClearError);
    assert_eq!(outputs[2], look(LookPurpose::Check));
    state.folder_found();
    assert_eq!(drain(&mut state), [CheckOutput::Begin(CheckMode::All)]);
    state.checked_some(1, 4);
    assert!((state.progress() - 0.25).abs() < 1e-9);
    state.checked(only(&[0, 1]), false);
    assert_eq!(
        drain(&mut state),
        [CheckOutput::Accept(Some(only(&[0, 1])))]
    );
    assert!(!state.is_content_unknown());
}

#[test]
fn a_check_that_is_wanted_while_one_runs_begins_anew_and_never_beside_it() {
    for in_time in [true, false] {
        let mut state = idle(&[]);
        state.recheck();
        begin(&mut state, CheckMode::All);
        state.recheck();
        let outputs = drain(&mut state);
        assert_eq!(outputs, [CheckOutput::Cancel, CheckOutput::ClearError]);
        state.cancelled(in_time);
        if !in_time {
            assert_eq!(drain(&mut state), []);
            state.checked(only(&[0]), false);
        }
        begin(&mut state, CheckMode::All);
        state.checked(only(&[1]), false);
        let accepted = CheckOutput::Accept(Some(only(&[1])));
        assert_eq!(drain(&mut state), [accepted]);
    }
}

#[test]
fn a_cancelled_check_leaves_what_was_known() {
    // Waiting for its turn.
    let mut state = idle(&[0]);
    state.set_conditions(Conditions::default());
    state.recheck();
    drain(&mut state);
    state.cancel();
    assert_eq!(drain(&mut state), [CheckOutput::Accept(None)]);
    // Running.
    state.set_conditions(MAY_CHECK);
    state.recheck();
    begin(&mut state, CheckMode::All);
    state.cancel();
    assert_eq!(drain(&mut state), [CheckOutput::Cancel]);
    state.cancelled(true);
    assert_eq!(drain(&mut state), [CheckOutput::Accept(None)]);
    // What was over before counts.
    state.recheck();
    begin(&mut state, CheckMode::All);
    state.cancel();
    drain(&mut state);
    state.cancelled(false);
    assert_eq!(drain(&mut state), []);
    state.checked(only(&[2]), false);
    let accepted = CheckOutput::Accept(Some(only(&[2])));
    assert_eq!(drain(&mut state), [accepted]);
}

#[test]
fn a_check_in_doubt_pauses_when_it_is_cancelled_until_the_game_resumes() {
    let mut state = idle(&[0, 1]);
    state.mark_unknown();
    state.recheck();
    begin(&mut state, CheckMode::All);
    state.cancel();
    drain(&mut state);
    state.cancelled(true);
    let paused = [CheckOutput::Pause, CheckOutput::Accept(None)];
    assert_eq!(drain(&mut state), paused);
    assert!(state.is_content_unknown());
    state.resumed();
    assert!(!state.is_content_unknown());
}

#[test]
fn what_could_not_be_read_is_checked_when_storage_works() {
    let mut state = idle(&[0, 1]);
    let failed = Conditions {
        has_failed: true,
        ..MAY_CHECK
    };
    state.set_conditions(failed);
    state.add_pending(only(&[1]));
    state.add_pending(only(&[3]));
    assert_eq!(state.poll_output(), Some(CheckOutput::Hold));
    assert_eq!(drain(&mut state), []);
    state.resumed();
    assert!(state.has_pending() && state.is_content_unknown());
    state.set_conditions(MAY_CHECK);
    begin(&mut state, CheckMode::Only(only(&[1, 3])));
    assert!(!state.has_pending());
    // It fails: as unknown as before.
    state.set_conditions(failed);
    state.check_failed();
    assert_eq!(drain(&mut state), [CheckOutput::Accept(None)]);
    assert!(state.has_pending() && state.is_content_unknown());
    // A requested check looks at it too.
    state.recheck();
    begin(&mut state, CheckMode::All);
    state.add_pending(only(&[2]));
    state.checked(only(&[0, 1, 3]), false);
    let outputs = drain(&mut state);
    assert_eq!(outputs, [CheckOutput::Accept(Some(only(&[0, 1, 3])))]);
    state.set_conditions(MAY_CHECK);
    begin(&mut state, CheckMode::Only(only(&[2])));
    state.checked(only(&[0, 1, 2, 3]), false);
    drain(&mut state);
    assert!(!state.is_content_unknown());
}

#[test]
fn a_check_that_passed_a_piece_already_is_followed_by_another() {
    let mut state = idle(&[0, 1]);
    state.recheck();
    begin(&mut state, CheckMode::All);
    state.recheck_some(only(&[0]));
    state.checked(only(&[0, 1]), false);
    begin(&mut state, CheckMode::Only(only(&[0])));
}

#[test]
fn a_folder_out_of_sight_is_awaited_with_growing_pauses() {
    let mut state = idle(&[0]);
    state.folder_gone();
    assert_eq!(
        drain(&mut state),
        [CheckOutput::Enter, look(LookPurpose::Return)]
    );
    assert!(state.folder_missing(at(0)), "an error");
    assert!(state.is_hidden());
    state.cancel();
    assert_eq!(drain(&mut state), [], "unseen is not missing");
    assert_eq!(state.poll_timeout(), Some(at(1000)));
    state.handle_timeout(at(999));
    assert_eq!(drain(&mut state), []);
    state.handle_timeout(at(1000));
    assert_eq!(drain(&mut state), [look(LookPurpose::Return)]);
    assert_eq!(state.poll_timeout(), None);
    state.handle_timeout(at(9000));
    assert_eq!(drain(&mut state), [], "one look at a time");
    assert!(state.folder_missing(at(9000)));
    assert_eq!(state.poll_timeout(), Some(at(11_000)));
    // The game may know better.
    state.retry();
    drain(&mut state);
    state.folder_found();
    let outputs = drain(&mut state);
    assert_eq!(outputs[0], CheckOutput::ClearError);
    assert_eq!(outputs[1], CheckOutput::SortFiles);
    state.folder_found();
    assert_eq!(drain(&mut state), [CheckOutput::Begin(CheckMode::All)]);
    // It found less than there was: so the folder is looked at.
    state.checked(only(&[]), true);
    assert_eq!(drain(&mut state), [look(LookPurpose::Check)]);
    state.folder_found();
    assert_eq!(drain(&mut state), [CheckOutput::Accept(Some(only(&[])))]);
}

#[test]
fn a_check_that_is_wanted_during_the_start_follows_it_once() {
    let mut state = CheckState::new();
    state.set_conditions(MAY_CHECK);
    state.recheck();
    state.cancel();
    assert_eq!(drain(&mut state), [], "nothing to check yet");
    state.start();
    state.start();
    assert_eq!(drain(&mut state), [CheckOutput::Start]);
    state.start_is_busy();
    state.recheck();
    state.start();
    assert_eq!(drain(&mut state), [], "the record is being looked at");
    // It goes on from the beginning, and what was wanted is kept.
    state.start_goes_on(true);
    assert_eq!(drain(&mut state), [CheckOutput::Start]);
    assert!(state.is_recheck_wanted());
    state.start_is_short();
    state.set_conditions(Conditions {
        is_short: true,
        ..MAY_CHECK
    });
    assert_eq!(drain(&mut state), []);
    state.set_conditions(MAY_CHECK);
    assert_eq!(drain(&mut state), [CheckOutput::Start]);
    state.started(Started::Found(None));
    begin(&mut state, CheckMode::All);
    state.started(Started::Found(None));
    assert_eq!(drain(&mut state), [], "it was over");
}

#[test]
fn a_start_without_a_check_when_the_game_wants_none() {
    let mut state = CheckState::new();
    state.set_conditions(MAY_CHECK);
    state.start();
    drain(&mut state);
    state.start_is_busy();
    state.cancel();
    state.mark_unknown();
    state.started(Started::Check(CheckMode::All));
    let paused = [CheckOutput::Pause, CheckOutput::Accept(None)];
    assert_eq!(drain(&mut state), paused);
}

#[test]
fn a_start_waits_for_its_folder() {
    let mut state = CheckState::new();
    state.set_conditions(MAY_CHECK);
    state.start();
    drain(&mut state);
    state.look_to_start();
    assert_eq!(drain(&mut state), [look(LookPurpose::Start)]);
    assert!(state.folder_missing(at(0)));
    assert!(state.awaits_folder() && !state.is_hidden());
    // From the beginning: a move may have to be finished first.
    state.handle_timeout(at(1000));
    assert_eq!(drain(&mut state), [CheckOutput::Start]);
    assert!(!state.has_seen_folder());
    state.look_to_start();
    drain(&mut state);
    // A shortage: it is looked at when that is over.
    state.look_is_short();
    state.set_conditions(Conditions {
        is_short: true,
        ..MAY_CHECK
    });
    assert_eq!(drain(&mut state), []);
    state.set_conditions(MAY_CHECK);
    assert_eq!(drain(&mut state), [look(LookPurpose::Start)]);
    state.folder_found();
    let outputs = drain(&mut state);
    assert_eq!(outputs, [CheckOutput::ClearError, CheckOutput::Start]);
    assert!(state.has_seen_folder());
    // The files cannot be looked at: again, later.
    state.start_is_busy();
    assert!(state.start_failed(at(5000)));
    assert_eq!(state.poll_timeout(), Some(at(6000)));
}

#[test]
fn a_check_that_a_shortage_ends_begins_again_when_that_is_over() {
    let mut state = idle(&[]);
    state.recheck();
    begin(&mut state, CheckMode::All);
    state.set_conditions(Conditions {
        is_short: true,
        ..MAY_CHECK
    });
    state.check_is_short();
    assert_eq!(drain(&mut state), []);
    state.set_conditions(MAY_CHECK);
    begin(&mut state, CheckMode::All);
}

impl Machine for CheckState {
    fn poll_timeout(&self) -> Option<Instant> {
        CheckState::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        CheckState::handle_timeout(self, now);
    }

    fn poll_all(&mut self, _now: Instant) -> usize {
        count_outputs(|| self.poll_output())
    }
}

/// What happens to a torrent, in any order.
#[derive(Clone, Debug)]
enum Step {
    Recheck,
    RecheckSome(u32),
    Owe(u32),
    Doubt,
    Cancel,
    Resume,
    Conditions(bool, bool, bool),
    FolderGone,
    Retry,
    /// The oldest thing that is under way ends: well, badly, or for a shortage.
    End(End),
    /// The end of something that is not under way.
    Stale(End),
    Wait(u64),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    Badly,
    Short,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Well), Just(End::Badly), Just(End::Short)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Recheck),
        1 => (0..PIECES).prop_map(Step::RecheckSome),
        1 => (0..PIECES).prop_map(Step::Owe),
        1 => Just(Step::Doubt),
        1 => Just(Step::Cancel),
        1 => Just(Step::Resume),
        4 => any::<(bool, bool, bool)>()
            .prop_map(|(check, short, failed)| Step::Conditions(check, short, failed)),
        1 => Just(Step::FolderGone),
        1 => Just(Step::Retry),
        8 => end().prop_map(Step::End),
        1 => end().prop_map(Step::Stale),
        2 => (0..40_000u64).prop_map(Step::Wait),
    ]
}

/// A driver that carries out what the machine wants, and keeps count of what
/// has to come of it.
struct Driver {
    state: CheckState,
    now: u64,
    started: bool,
    looks: u32,
    /// The disk's check.
    running: Option<CheckMode>,
    /// A check of everything was asked for and has not begun.
    asked: bool,
    /// Pieces that have to be seen by a check that begins from now on.
    unseen: Vec<u32>,
    /// Those that the running check looks at.
    covered: Vec<u32>,
    /// Whether the next cancel comes too late.
    late: bool,
}

impl Driver {
    fn new() -> Self {
        let mut state = CheckState::new();
        state.start();
        Self {
            state,
            now: 0,
            started: true,
            looks: 0,
            running: None,
            asked: false,
            unseen: Vec::new(),
            covered: Vec::new(),
            late: false,
        }
    }

    fn carry_out(&mut self) {
        let mut rounds = 0;
        while let Some(output) = self.state.poll_output() {
            rounds += 1;
            assert!(rounds < 100, "no end of outputs");
            match output {
                CheckOutput::Start => self.started = true,
                CheckOutput::Look(_) => {
                    self.looks += 1;
                    assert_eq!(self.looks, 1, "one look at a time");
                }
                CheckOutput::Begin(mode) => {
                    assert_eq!(self.running, None, "two checks at once");
                    self.asked &= mode != CheckMode::All;
                    let looks_at = |piece: &u32| match &mode {
                        CheckMode::All => true,
                        CheckMode::Only(pieces) => pieces.get(*piece),
                    };
                    let (covered, unseen) = self.unseen.drain(..).partition(looks_at);
                    (self.covered, self.unseen) = (covered, unseen);
                    self.running = Some(mode);
                }
                CheckOutput::Cancel => {
                    self.late = !self.late;
                    let in_time = self.running.is_some() && !self.late;
                    if in_time {
                        self.running = None;
                        self.unseen.append(&mut self.covered);
                    }
                    self.state.cancelled(in_time);
                }
                CheckOutput::Accept(_) => assert_eq!(self.running, None),
                // Nothing is fetched until the game says so.
                CheckOutput::Pause => self.unseen.clear(),
                _ => {}
            }
        }
        assert_eq!(self.state.is_running(), self.running.is_some());
        if self.state.phase == Phase::Idle {
            assert!(!self.asked, "a check that was asked for is lost");
            let pending = self.state.has_pending();
            assert!(pending || self.unseen.is_empty(), "doubt is forgotten");
            assert!(!pending || self.state.conditions.has_failed);
            assert!(!pending || self.state.is_content_unknown());
        }
    }

    fn end(&mut self, end: End) {
        let now = at(self.now);
        if std::mem::take(&mut self.started) {
            return match end {
                End::Well if self.now.is_multiple_of(2) => {
                    self.state.started(Started::Check(CheckMode::All));
                }
                End::Well => self.state.started(Started::Found(None)),
                End::Badly if self.now.is_multiple_of(2) => self.state.look_to_start(),
                End::Badly => drop(self.state.start_failed(now)),
                End::Short => self.state.start_is_short(),
            };
        }
        if self.looks > 0 {
            self.looks = 0;
            return match end {
                End::Well => self.state.folder_found(),
                End::Badly => drop(self.state.folder_missing(now)),
                End::Short => self.state.look_is_short(),
            };
        }
        if self.running.take().is_some() {
            match end {
                End::Well => {
                    self.covered.clear();
                    let less = self.now.is_multiple_of(2);
                    self.state.checked(Bitfield::new(PIECES), less);
                }
                End::Badly => {
                    self.unseen.append(&mut self.covered);
                    self.state.check_failed();
                }
                End::Short => {
                    self.unseen.append(&mut self.covered);
                    self.state.check_is_short();
                }
            }
        }
    }

    fn stale(&mut self, end: End) {
        if self.running.is_none() {
            match end {
                End::Well => self.state.checked(Bitfield::full(PIECES), false),
                End::Badly => self.state.check_failed(),
                End::Short => self.state.check_is_short(),
            }
        }
        if !self.started {
            match end {
                End::Well => self.state.start(),
                End::Badly => self.state.start_is_busy(),
                End::Short => self.state.checked_some(1, 0),
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Recheck => {
                self.asked = true;
                self.state.recheck();
            }
            Step::RecheckSome(piece) => {
                self.unseen.push(piece);
                self.state.recheck_some(only(&[piece]));
            }
            Step::Owe(piece) => {
                self.unseen.push(piece);
                self.state.add_pending(only(&[piece]));
            }
            Step::Doubt => self.state.mark_unknown(),
            Step::Cancel => {
                let ends = match self.state.phase {
                    Phase::Starting(..) | Phase::Waiting(_) | Phase::Running(..) => true,
                    Phase::Looking(_) => !self.state.folder.is_missing(),
                    _ => false,
                };
                if ends {
                    // It is the game's decision.
                    self.asked = false;
                }
                self.state.cancel();
                self.carry_out();
                let runs = matches!(self.state.phase, Phase::Waiting(_));
                assert!(!runs, "a cancel ends it");
            }
            Step::Resume => self.state.resumed(),
            Step::Conditions(may_check, is_short, has_failed) => {
                self.state.set_conditions(Conditions {
                    may_check,
                    is_short,
                    has_failed,
                });
            }
            Step::FolderGone => self.state.folder_gone(),
            Step::Retry => self.state.retry(),
            Step::End(end) => self.end(end),
            Step::Stale(end) => self.stale(end),
            Step::Wait(millis) => {
                self.now += millis;
                self.state.handle_timeout(at(self.now));
                self.carry_out();
                check_contract(&mut self.state, at(self.now));
            }
        }
        self.carry_out();
    }
}

proptest! {
    #[test]
    fn no_order_of_events_loses_a_check_or_runs_two(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut driver = Driver::new();
        driver.carry_out();
        for step in &steps {
            driver.step(step);
        }
        // Everything works from now on: it comes to rest, and nothing is pending.
        driver.step(&Step::Conditions(true, false, false));
        for _ in 0..50 {
            driver.step(&Step::Wait(Duration::from_secs(31).as_millis() as u64));
            driver.step(&Step::End(End::Well));
        }
        prop_assert_eq!(&driver.state.phase, &Phase::Idle);
        prop_assert!(!driver.asked && !driver.state.has_pending());
        prop_assert!(driver.unseen.is_empty() && driver.covered.is_empty());
        prop_assert_eq!(driver.state.poll_timeout(), None);
    }
}
