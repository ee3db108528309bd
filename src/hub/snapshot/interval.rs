//! Snapshots while the hub runs, on a thread of their own: so that a hub that is killed after months folds little, not all that came
//! in them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::Shared;
use super::super::disk::free_bytes;
use super::{Making, NotMade, Step};

/// How often it is looked whether another is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Entries that may come since the last one: to fold them takes three seconds.
const ENTRIES_MAX: u64 = 1_000_000;

/// The same as a part of the indicators that there are. What a snapshot costs grows with these, so with them grows what has to come
/// for it: it stays a tenth of what came costs by itself, and the fold of the rest stays within a few times the load of the snapshot.
const INDICATORS_PER_ENTRY: u64 = 4;

/// Where fewer come, one is due after so long ...
const EVERY: Duration = Duration::from_secs(15 * 60);

/// ... unless that is not worth it: to fold so many takes a third of a second.
const ENTRIES_MIN: u64 = 100_000;

/// How long after one that failed the next is tried.
const RETRY_AFTER: Duration = EVERY;

/// About what an indicator takes in it.
const BYTES_PER_INDICATOR: u64 = 100;

/// What must be free besides: a snapshot must not take the room that the log needs next.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// The thread.
pub(in crate::hub) struct Interval {
    /// Dropped at the end; nothing is sent.
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Interval {
    /// Starts it.
    pub fn start(shared: &Arc<Shared>) -> std::io::Result<Interval> {
        let (stop, stopped) = sync_channel(0);
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new()
            .name("snapshots".into())
            .spawn(move || run(&shared, &stopped))?;
        Ok(Interval { stop, thread })
    }

    /// Ends it. A snapshot that is being made is given up.
    pub fn end(self) {
        drop(self.stop);
        // One that panicked left no snapshot, or the one before.
        let _ = self.thread.join();
    }
}

fn run(shared: &Arc<Shared>, stopped: &Receiver<()>) {
    let mut last = Instant::now();
    let (mut not_before, mut is_told) = (last, false);
    while has_not_stopped(stopped, LOOK_EVERY) {
        if Instant::now() < not_before || !is_due(shared, last.elapsed()) {
            continue;
        }
        match make(shared, stopped) {
            Ok(true) => (last, is_told) = (Instant::now(), false),
            Ok(false) => {}
            Err(error) => {
                not_before = Instant::now() + RETRY_AFTER;
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "no snapshot of the views can be made: a start after a crash takes longer");
                }
            }
        }
    }
}

/// Waits so long, or until the end.
fn has_not_stopped(stopped: &Receiver<()>, wait: Duration) -> bool {
    stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
}

fn is_due(shared: &Shared, since_last: Duration) -> bool {
    let (entries, indicators) = {
        let views = shared.read();
        (views.next.0, views.indicators.len() as u64)
    };
    let since = entries - shared.snapshots.kept().map_or(0, |kept| kept.entries);
    let many = ENTRIES_MAX.max(indicators / INDICATORS_PER_ENTRY);
    since >= many || (since >= ENTRIES_MIN && since_last >= EVERY)
}

/// Whether it was made: nothing may be erased meanwhile, and the hub must not stop. It rests as long as it works.
fn make(shared: &Arc<Shared>, stopped: &Receiver<()>) -> Result<bool, NotMade> {
    let needed = shared.read().indicators.len() as u64 * BYTES_PER_INDICATOR + FREE_BYTES_MIN;
    // What cannot be asked is tried.
    if free_bytes(&shared.views_dir).is_some_and(|free| free < needed) {
        return Err(NotMade::Room { needed });
    }
    let Some(mut making) = Making::begin(shared)? else {
        return Ok(false);
    };
    let log = shared.log_handles().reader;
    loop {
        let began = Instant::now();
        making = match making.step(|size| log.root_at(size))? {
            Step::More(making) => *making,
            Step::Made => return Ok(true),
            Step::GivenUp => return Ok(false),
        };
        if !has_not_stopped(stopped, began.elapsed()) {
            return Ok(false);
        }
    }
}
