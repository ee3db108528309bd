//! Runs workers against the hub for a set time and counts what they did. Two paces: *closed*, where each worker starts its next
//! call when the last one ended, which finds the greatest rate; and *open*, where calls are due at fixed moments whatever the
//! hub does, and latency counts from the moment that a call was due, so that a stall is paid by every call that it delays
//! (coordinated omission). Refuses to know what a call is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::meter::{Meter, Server, Usage};
use crate::cli::failure::Failure;

/// Calls that are due and wait for a worker; past that they are counted as missed.
const DUE_CALLS_MAX: usize = 4_096;

/// How long calls that were due in time may still take at the end.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// After a failed call a worker waits, so that a hub that refuses is not hammered.
const AFTER_FAILURE: Duration = Duration::from_millis(5);

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
}

/// One worker's calls.
pub trait Caller: Send + 'static {
    /// What a call needs and is made before it is due, so that making it is not measured.
    type Prepared: Send;

    /// Makes the next call's input.
    fn prepare(&mut self) -> Self::Prepared;

    /// Makes the call. `due` is when it was to start.
    fn call(&mut self, prepared: Self::Prepared, due: Instant) -> impl Future<Output = Result<Done, Status>> + Send;
}

/// How long a run takes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Time before anything is counted.
    pub warmup: Duration,
    /// Time that is counted.
    pub length: Duration,
}

/// What all workers of a run share.
#[derive(Debug, Default)]
pub struct Course {
    from: OnceLock<Instant>,
    over: CancellationToken,
    missed: AtomicU64,
}

impl Course {
    /// Whether what happens now counts.
    pub fn is_measuring(&self) -> bool {
        self.from.get().is_some() && !self.over.is_cancelled()
    }

    /// Ends with the run.
    pub fn over(&self) -> &CancellationToken {
        &self.over
    }
}

/// When a worker's calls start.
pub struct Turns {
    course: Arc<Course>,
    due: Option<mpsc::Receiver<Instant>>,
}

impl Turns {
    /// When the next call was to start; none when the run is over. At a closed pace that is now.
    pub async fn next(&mut self) -> Option<Instant> {
        match &mut self.due {
            Some(due) => due.recv().await,
            None => (!self.course.over.is_cancelled()).then(Instant::now),
        }
    }
}

/// What a worker did.
pub struct Tally {
    course: Arc<Course>,
    is_open: bool,
    /// Sums of the calls that ended.
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
    last_end: Option<Instant>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(course: &Arc<Course>, is_open: bool) -> Tally {
        Tally {
            course: course.clone(),
            is_open,
            done: Done::default(),
            calls: 0,
            failures: 0,
            last_failure: None,
            missed: 0,
            latencies_us: latencies(),
            last_end: None,
        }
    }

    /// Counts a call, if it counts: at a closed pace when it ends within the measured time, at an open one when it was due then.
    pub fn record(&mut self, due: Instant, result: Result<Done, Status>) {
        let counts = match self.is_open {
            true => self.course.from.get().is_some_and(|from| due >= *from),
            false => self.course.is_measuring(),
        };
        let done = match result {
            Ok(done) if counts => done,
            Ok(_) => return,
            Err(status) => {
                // Kept during the warm-up too: a run that does nothing but fail must say why.
                self.failures += u64::from(counts);
                self.last_failure = Some(status);
                return;
            }
        };
        let now = Instant::now();
        self.calls += 1;
        self.done.items += done.items;
        self.done.duplicates += done.duplicates;
        self.done.rejected += done.rejected;
        self.done.found += done.found;
        self.latency(now - due);
        self.last_end = Some(now);
    }

    /// Counts a latency that is not that of a call.
    pub fn latency(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies_us.saturating_record(micros);
    }

    /// Adds what another worker did.
    pub fn add(&mut self, other: &Tally) {
        self.done.items += other.done.items;
        self.done.duplicates += other.done.duplicates;
        self.done.rejected += other.done.rejected;
        self.done.found += other.done.found;
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

/// Workers of one sort, measured together.
struct Part {
    is_open: bool,
    workers: JoinSet<Tally>,
    pacer: Option<std::thread::JoinHandle<()>>,
}

/// A run: parts that work at the same time.
pub struct Run {
    plan: Plan,
    course: Arc<Course>,
    parts: Vec<Part>,
}

/// What a run gave: a tally for each part in the order in which they were added, each with the time it was counted over.
pub struct Measured {
    /// The parts.
    pub parts: Vec<(Tally, Duration)>,
    /// What all of it cost.
    pub usage: Usage,
}

impl Run {
    /// A run without workers.
    pub fn new(plan: Plan) -> Run {
        Run {
            plan,
            course: Arc::default(),
            parts: Vec::new(),
        }
    }

    /// What the workers share.
    pub fn course(&self) -> &Arc<Course> {
        &self.course
    }

    /// Adds workers that call. They begin at once. `calls_per_second`, of all together, makes the pace open.
    pub fn add_callers<C: Caller>(&mut self, callers: Vec<C>, calls_per_second: Option<f64>) {
        let count = callers.len();
        let mut callers = callers.into_iter();
        self.add_workers(count, calls_per_second, |turns, tally| {
            let caller = callers.next();
            async move {
                match caller {
                    Some(caller) => call_in_turns(caller, turns, tally).await,
                    None => tally,
                }
            }
        });
    }

    /// Adds workers of any sort.
    pub fn add_workers<F>(
        &mut self,
        count: usize,
        calls_per_second: Option<f64>,
        mut worker: impl FnMut(Turns, Tally) -> F,
    ) where
        F: Future<Output = Tally> + Send + 'static,
    {
        let is_open = calls_per_second.is_some();
        let mut workers = JoinSet::new();
        let mut senders = Vec::new();
        for _ in 0..count {
            let due = is_open.then(|| {
                let (sender, due) = mpsc::channel(DUE_CALLS_MAX);
                senders.push(sender);
                due
            });
            let turns = Turns {
                course: self.course.clone(),
                due,
            };
            workers.spawn(worker(turns, Tally::new(&self.course, is_open)));
        }
        let course = self.course.clone();
        let pacer = calls_per_second.map(|rate| std::thread::spawn(move || pace(rate, &senders, &course)));
        self.parts.push(Part {
            is_open,
            workers,
            pacer,
        });
    }

    /// Lets the workers work, and measures.
    pub async fn measure(self, server: Option<Server>) -> Result<Measured, Failure> {
        tokio::time::sleep(self.plan.warmup).await;
        let meter = Meter::start(server);
        let from = *self.course.from.get_or_init(Instant::now);
        tokio::time::sleep(self.plan.length).await;
        self.course.over.cancel();
        let mut usage = meter.stop();
        let any_open = self.parts.iter().any(|part| part.is_open);
        let mut parts = Vec::new();
        for part in self.parts {
            let is_open = part.is_open;
            let mut tally = Tally::new(&self.course, is_open);
            collect(part, &mut tally).await?;
            let until_last = tally.last_end.map_or(usage.elapsed, |end| end - from);
            let counted = if is_open {
                until_last.max(self.plan.length)
            } else {
                usage.elapsed
            };
            tally.missed += if is_open {
                self.course.missed.load(Ordering::Relaxed)
            } else {
                0
            };
            parts.push((tally, counted));
        }
        if any_open {
            // Calls that were late are part of what was asked, and of its cost.
            usage = meter.stop();
        }
        Ok(Measured { parts, usage })
    }
}

async fn collect(mut part: Part, tally: &mut Tally) -> Result<(), Failure> {
    let deadline = tokio::time::sleep(DRAIN_MAX);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            () = &mut deadline => {
                part.workers.abort_all();
                return Err(Failure::Failed(format!("the hub did not answer within {} s of the end", DRAIN_MAX.as_secs())));
            }
            joined = part.workers.join_next() => match joined {
                Some(Ok(other)) => tally.add(&other),
                Some(Err(error)) => return Err(Failure::of("a worker died", error)),
                None => break,
            },
        }
    }
    if part.pacer.is_some_and(|pacer| pacer.join().is_err()) {
        return Err(Failure::Failed("the pacing thread died".into()));
    }
    Ok(())
}

async fn call_in_turns<C: Caller>(mut caller: C, mut turns: Turns, mut tally: Tally) -> Tally {
    loop {
        let prepared = caller.prepare();
        let Some(due) = turns.next().await else { break };
        let result = caller.call(prepared, due).await;
        let failed = result.is_err();
        tally.record(due, result);
        if failed {
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
    tally
}

/// Tells workers in turn when calls are due. A thread of its own, for the runtime's timers know whole milliseconds only.
fn pace(calls_per_second: f64, workers: &[mpsc::Sender<Instant>], course: &Course) {
    let start = Instant::now();
    for (count, worker) in (0_u32..).zip(workers.iter().cycle()) {
        // From the start each time, so that rounding does not add up.
        let due = start + Duration::from_secs_f64(f64::from(count) / calls_per_second);
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            #[expect(
                clippy::disallowed_methods,
                reason = "a thread that does nothing else, between moments a rate apart"
            )]
            std::thread::sleep(early);
        }
        if course.over.is_cancelled() {
            return;
        }
        if worker.try_send(due).is_err() && course.is_measuring() {
            course.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers after a time, the first time after a longer one.
    struct Slow {
        first: Duration,
        others: Duration,
        calls: u32,
    }

    impl Caller for Slow {
        type Prepared = ();

        fn prepare(&mut self) {}

        async fn call(&mut self, (): (), _due: Instant) -> Result<Done, Status> {
            let wait = if self.calls == 0 { self.first } else { self.others };
            self.calls += 1;
            tokio::time::sleep(wait).await;
            Ok(Done {
                items: 2,
                ..Done::default()
            })
        }
    }

    fn plan(millis: u64) -> Plan {
        Plan {
            warmup: Duration::ZERO,
            length: Duration::from_millis(millis),
        }
    }

    async fn run(caller: Slow, rate: Option<f64>, millis: u64) -> (Tally, Duration) {
        let mut run = Run::new(plan(millis));
        run.add_callers(vec![caller], rate);
        let mut measured = run.measure(None).await.unwrap();
        measured.parts.remove(0)
    }

    #[tokio::test]
    async fn a_stall_is_paid_by_every_call_that_it_delays() {
        let stall = Duration::from_millis(200);
        let caller = Slow {
            first: stall,
            others: Duration::ZERO,
            calls: 0,
        };
        let (tally, _) = run(caller, Some(500.0), 300).await;
        // 100 calls were due during the stall: on average they waited for half of it.
        assert!(tally.latencies_us.value_at_quantile(0.5) > 50_000);
        assert!((100..=151).contains(&tally.calls), "{}", tally.calls);
        assert_eq!((tally.done.items, tally.missed), (tally.calls * 2, 0));
    }

    #[tokio::test]
    async fn a_closed_pace_waits_for_the_answer() {
        let wait = Duration::from_millis(10);
        let caller = Slow {
            first: wait,
            others: wait,
            calls: 0,
        };
        let (tally, counted) = run(caller, None, 200).await;
        assert!((5..=20).contains(&tally.calls), "{}", tally.calls);
        assert!(tally.latencies_us.value_at_quantile(0.5) >= 10_000);
        assert!(counted >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn failures_are_counted_and_told() {
        struct Refused;
        impl Caller for Refused {
            type Prepared = ();
            fn prepare(&mut self) {}
            async fn call(&mut self, (): (), _due: Instant) -> Result<Done, Status> {
                Err(Status::resource_exhausted("full"))
            }
        }
        let mut run = Run::new(plan(50));
        run.add_callers(vec![Refused, Refused], None);
        let (tally, _) = run.measure(None).await.unwrap().parts.remove(0);
        assert_eq!((tally.calls, tally.last_failure.unwrap().message()), (0, "full"));
        assert!((2..=22).contains(&tally.failures), "{}", tally.failures);
    }
}
