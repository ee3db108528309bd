//! What the workers of a run share, and what each did. Owns the rule of which calls count; refuses to know what a call is.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Longest latency that is told apart, in microseconds: ten minutes.
const LATENCY_US_MAX: u64 = 600_000_000;

/// What one call did.
#[derive(Clone, Copy, Default, Debug)]
pub struct Done {
    /// Items that the call was for.
    pub items: u64,
    /// Of these, the ones that were there already.
    pub duplicates: u64,
    /// Of these, the ones that were refused.
    pub rejected: u64,
    /// What was found, for calls that look for something.
    pub found: u64,
    /// Answers that were not what they had to be.
    pub wrong: u64,
}

impl Done {
    fn add(&mut self, other: Done) {
        let Done {
            items,
            duplicates,
            rejected,
            found,
            wrong,
        } = other;
        self.items += items;
        self.duplicates += duplicates;
        self.rejected += rejected;
        self.found += found;
        self.wrong += wrong;
    }
}

/// When calls start, which decides what counts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// Each when the one before has ended. Those count that end within the measured time.
    Closed,
    /// So many a second, of all workers together. Those count that were due within the measured time.
    Open(f64),
    /// When something arrives, also after the measured time. All that arrives from its start on counts.
    Arrival,
}

/// What all workers of a run share.
#[derive(Debug, Default)]
pub struct Course {
    from: OnceLock<Instant>,
    over: CancellationToken,
    answered: CancellationToken,
}

impl Course {
    /// Begins the measured time.
    pub fn begin(&self) -> Instant {
        *self.from.get_or_init(Instant::now)
    }

    /// Whether the measured time has come and is not over.
    pub fn is_measuring(&self) -> bool {
        self.from.get().is_some() && !self.over.is_cancelled()
    }

    /// Ends with the measured time.
    pub fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// Ends once every call has its answer, also those under way at the end of the measured time: nothing new comes after.
    pub fn answered(&self) -> &CancellationToken {
        &self.answered
    }

    fn counts(&self, pace: Pace, due: Instant) -> bool {
        match pace {
            Pace::Closed => self.is_measuring(),
            Pace::Open(_) => self.from.get().is_some_and(|from| due >= *from),
            Pace::Arrival => self.from.get().is_some(),
        }
    }
}

/// What a worker did.
#[derive(Debug)]
pub struct Tally {
    course: Arc<Course>,
    pace: Pace,
    /// Sums of the calls that counted.
    pub done: Done,
    /// Calls that ended well.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Why the last one failed.
    pub last_failure: Option<Status>,
    /// Calls that were due and never made.
    pub missed: u64,
    /// From when a call was due to its end, in microseconds.
    pub latencies_us: Histogram<u32>,
    /// When the last one ended.
    pub last_end: Option<Instant>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(course: &Arc<Course>, pace: Pace) -> Tally {
        Tally {
            course: course.clone(),
            pace,
            done: Done::default(),
            calls: 0,
            failures: 0,
            last_failure: None,
            missed: 0,
            latencies_us: latencies(),
            last_end: None,
        }
    }

    /// Counts a call that was due at `due` and ends now, if it counts.
    pub fn record(&mut self, due: Instant, result: Result<Done, Status>) {
        let counts = self.course.counts(self.pace, due);
        match result {
            Ok(done) => {
                if counts {
                    self.calls += 1;
                    self.done.add(done);
                    self.latency(due.elapsed());
                    self.last_end = Some(Instant::now());
                }
            }
            Err(status) => {
                // The reason is kept during the warm-up too: a run that does nothing but fail must say why.
                self.failures += u64::from(counts);
                self.last_failure = Some(status);
            }
        }
    }

    /// Counts items that arrive now and are a part of a call, if they count.
    pub fn arrived(&mut self, items: u64) {
        if self.course.counts(self.pace, Instant::now()) {
            self.done.items += items;
            self.last_end = Some(Instant::now());
        }
    }

    /// Whether the measured time is over.
    pub fn is_over(&self) -> bool {
        self.course.over.is_cancelled()
    }

    /// Over which time it counted, in a run that began at `from` and was measured for `length`.
    pub fn counted(&self, from: Instant, length: Duration) -> Duration {
        match (self.pace, self.last_end) {
            // What came late is part of what was asked.
            (Pace::Open(_) | Pace::Arrival, Some(end)) => length.max(end - from),
            (Pace::Closed, _) | (_, None) => length,
        }
    }
    /// Counts a latency that is not that of a call.
    pub fn latency(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies_us.saturating_record(micros);
    }

    /// Adds what another worker did.
    pub fn add(&mut self, other: &Tally) {
        self.done.add(other.done);
        self.calls += other.calls;
        self.failures += other.failures;
        self.missed += other.missed;
        self.last_end = self.last_end.max(other.last_end);
        if other.last_failure.is_some() {
            self.last_failure.clone_from(&other.last_failure);
        }
        // All histograms have the same bounds, so that adding cannot fail.
        let _ = self.latencies_us.add(&other.latencies_us);
    }
}

/// An empty histogram of microseconds.
pub fn latencies() -> Histogram<u32> {
    // Three digits within these bounds are what the crate's own documentation does: the arguments cannot be refused.
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("constant bounds")
}
