//! Work of a start that several threads share. It is bounded: a start is short, and the machine may serve others.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

/// Threads that share one piece of work.
const THREADS_MAX: usize = 4;

/// How many threads share so many pieces.
pub fn threads(pieces: usize) -> usize {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    threads.min(THREADS_MAX).min(pieces).max(1)
}

/// What each of some threads comes to; one is the caller's own. There are never more of them than pieces.
pub fn in_parallel<T: Send>(pieces: usize, work: &(impl Fn() -> T + Sync)) -> Vec<T> {
    let others = threads(pieces) - 1;
    thread::scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(work)).collect();
        let mut done = vec![work()];
        done.extend(others.into_iter().map(joined));
        done
    })
}

/// What comes of each piece, in their order. A piece is gone once it is done.
pub fn each<P: Send, T: Send>(pieces: Vec<P>, work: impl Fn(P) -> T + Sync) -> Vec<T> {
    let count = pieces.len();
    let turn = Mutex::new(pieces.into_iter().enumerate());
    let next = || turn.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done = in_parallel(count, &|| {
        let pieces = std::iter::from_fn(&next);
        pieces.map(|(number, piece)| (number, work(piece))).collect::<Vec<_>>()
    });
    let mut done: Vec<(usize, T)> = done.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, done)| done).collect()
}

/// What a thread came to.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_pieces_stands_in_their_order() {
        let doubled = each((0..1_000).collect(), |number: u32| 2 * number);
        assert!(doubled.iter().copied().eq((0..2_000).step_by(2)));
        assert!(each(Vec::<u32>::new(), |number| number).is_empty());
    }
}
