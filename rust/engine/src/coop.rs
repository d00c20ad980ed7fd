//! Fair shares of the runtime's threads.
//!
//! A task whose input never runs dry (a peer that sends without end, a caller
//! that posts commands in a loop) keeps its thread until tokio takes it away,
//! after 128 reads or messages. For us one of them may be 256 KiB of small
//! messages, so that each loop that others can keep ready says when it has been
//! round.

use tokio::task::coop::consume_budget;

/// Rounds that a task goes on before it lets others have its thread.
const ROUNDS: usize = 8;

/// What tokio lets a task do between two waits.
const BUDGET: usize = 128;

/// To be awaited once in each round of a loop: after [`ROUNDS`] of them without
/// a wait, the other tasks of the thread run first.
pub(crate) async fn round() {
    #[cfg(test)]
    testing::round_begins();
    for _ in 0..BUDGET / ROUNDS {
        consume_budget().await;
    }
}

/// Holds loops to it. A loop whose input is always there cannot be had by chance,
/// so the test gives it new input in each round.
#[cfg(test)]
pub(crate) mod testing {
    use std::cell::RefCell;
    use std::fmt::Debug;

    use tokio::task::{try_id, yield_now};

    use super::ROUNDS;

    /// Rounds that are watched.
    const WATCHED: usize = 10 * ROUNDS;

    /// Turns of the other task within which there must have been so many: most
    /// come of a loop that waits for its first input.
    const TURNS: usize = 200_000;

    struct Watch {
        rounds: usize,
        feed: Box<dyn FnMut()>,
    }

    thread_local! {
        static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
    }

    pub(super) fn round_begins() {
        // Tasks that the loop has spawned are none of this.
        if try_id().is_some() {
            return;
        }
        WATCH.with_borrow_mut(|watch| {
            if let Some(watch) = watch {
                watch.rounds += 1;
                (watch.feed)();
            }
        });
    }

    /// Runs `task`, a loop that calls `round` each time and has something to do
    /// whenever `feed` was called, beside another task of the same thread: that
    /// one gets its turn after a few rounds. To be called by the test's own task.
    pub(crate) async fn assert_gives_way(
        task: impl Future<Output: Debug>,
        feed: impl FnMut() + 'static,
    ) {
        let feed = Box::new(feed);
        WATCH.set(Some(Watch { rounds: 0, feed }));
        let other = async {
            let (mut seen, mut most) = (0, 0);
            for _ in 0..TURNS {
                let rounds = WATCH.with_borrow(|watch| watch.as_ref().map_or(0, |it| it.rounds));
                most = most.max(rounds - seen);
                seen = rounds;
                if seen >= WATCHED {
                    break;
                }
                yield_now().await;
            }
            (seen, most)
        };
        let (seen, most) = tokio::select! {
            biased;
            ended = task => panic!("the loop has ended: {ended:?}"),
            watched = other => watched,
        };
        WATCH.set(None);
        assert!(
            seen >= WATCHED,
            "{seen} rounds: it does not say that it is round"
        );
        assert!(
            most >= ROUNDS / 4,
            "{most} rounds at most: its input ran dry"
        );
        assert!(
            most <= ROUNDS + 1,
            "{most} rounds without a turn for others"
        );
    }

    #[tokio::test]
    async fn a_loop_that_could_go_on_for_ever_lets_others_run() {
        let busy = async {
            for _ in 0..1000 * WATCHED {
                super::round().await;
            }
        };
        assert_gives_way(busy, || {}).await;
    }
}
