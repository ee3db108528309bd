//! Turns at the processors: work that a member's request size decides on is cut into pieces, each done in a turn, and members take
//! turns. A member alone gets them all; one that floods delays another by a piece of work, not by all of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::HubError;
use super::queue::{Lane, Queue, Refusal};

/// Most items worked on in one turn.
pub(super) const ITEMS_PER_TURN: usize = 64;

/// Most items of a request that needs no turn: so few are worked on sooner than a task is woken.
pub(super) const ITEMS_WITHOUT_TURN_MAX: usize = 4;

/// How long a turn lasts, but for the item that is being worked on. Items differ a hundredfold in size, so their number alone is no
/// bound.
pub(super) const TURN_MAX: Duration = Duration::from_micros(100);

/// Who works, and who waits for a turn.
pub(super) struct Turns {
    free: Mutex<usize>,
    waiting: Queue<oneshot::Sender<Turn>>,
}

/// The right to work until it is dropped.
#[must_use = "dropping it gives the turn to the next"]
pub(super) struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// As many turns at once as there are processors.
    pub fn of_this_machine() -> Arc<Turns> {
        Turns::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// So many turns at once.
    fn new(at_once: usize) -> Arc<Turns> {
        Arc::new(Turns {
            free: Mutex::new(at_once.max(1)),
            waiting: Queue::new(),
        })
    }

    /// Waits for a turn.
    pub async fn take(self: &Arc<Turns>, lane: Lane) -> Result<Turn, HubError> {
        let receiver = {
            let mut free = self.lock();
            if *free > 0 {
                *free -= 1;
                return Ok(Turn(Some(self.clone())));
            }
            let (sender, receiver) = oneshot::channel();
            self.waiting.push(lane, sender).map_err(refused)?;
            receiver
        };
        receiver.await.map_err(|_| HubError::ShuttingDown)
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // Nothing under the lock panics.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        let mut free = turns.lock();
        while let Some(next) = turns.waiting.try_next() {
            match next.send(Turn(Some(turns.clone()))) {
                Ok(()) => return,
                // Whoever waited has gone. The turn is not used up, and must not give itself on: the lock is held.
                Err(mut unused) => drop(unused.0.take()),
            }
        }
        *free += 1;
    }
}

fn refused(refusal: Refusal) -> HubError {
    HubError::Exhausted {
        reason: match refusal {
            Refusal::LaneFull => "too many requests of this member wait for a processor",
            Refusal::Full | Refusal::Closed => "too many requests wait for a processor",
        },
        retry_after: Duration::from_millis(50),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::id::MemberId;

    fn lane(n: u128) -> Lane {
        Lane::Member(MemberId(Uuid::from_u128(n)))
    }

    #[tokio::test]
    async fn members_take_turns_and_who_gave_up_is_passed_over() {
        let turns = Turns::new(1);
        let held = turns.take(lane(1)).await.unwrap();
        let (tell, mut told) = tokio::sync::mpsc::channel(8);
        let mut waiters = Vec::new();
        for (n, name) in [(1, "1a"), (1, "1b"), (2, "gone"), (2, "2a"), (3, "3a")] {
            let (turns, tell) = (turns.clone(), tell.clone());
            waiters.push(tokio::spawn(async move {
                let _turn = turns.take(lane(n)).await.unwrap();
                tell.send(name).await.unwrap();
            }));
            // On one thread, a yield lets the task run to its wait.
            tokio::task::yield_now().await;
        }
        waiters.remove(2).abort();
        tokio::task::yield_now().await;
        drop(held);
        let mut order = Vec::new();
        while order.len() < 4 {
            order.push(told.recv().await.unwrap());
        }
        // The one that gave up cost its own member that turn, and nobody else.
        assert_eq!(order, ["1a", "3a", "1b", "2a"]);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*turns.lock(), 1, "the turn is free again");
    }
}
