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
    for _ in 0..BUDGET / ROUNDS {
        consume_budget().await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_task_that_could_go_on_for_ever_lets_others_run() {
        let (rounds, seen) = (Cell::new(0), Cell::new(false));
        let busy = async {
            while !seen.get() && rounds.get() < 1000 {
                rounds.set(rounds.get() + 1);
                round().await;
            }
        };
        let other = async { seen.set(true) };
        tokio::join!(biased; busy, other);
        assert!(rounds.get() <= ROUNDS + 1, "{} rounds", rounds.get());
    }
}
