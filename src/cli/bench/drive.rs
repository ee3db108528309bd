//! Runs workers against the hub for a set time and counts what they did. Two paces: *closed*, where each worker starts its next
//! call when the last one ended, which finds the greatest rate; and *open*, where calls are due at fixed moments whatever the
//! hub does, and latency counts from the moment that a call was due, so that a stall is paid by every call that it delays
//! (coordinated omission). Refuses to know what a call is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::{JoinHandle, JoinSet};
use tonic::{Code, Status};

use super::meter::{Meter, Server, Usage};
use super::tally::{Course, Done, Pace, Tally};
use crate::cli::failure::Failure;

/// Calls that are due and wait for a worker; past that they are counted as missed.
const DUE_CALLS_MAX: usize = 4_096;

/// How long calls that were due in time may still take at the end.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// After a failed call a worker waits, so that a hub that refuses is not hammered.
const AFTER_FAILURE: Duration = Duration::from_millis(5);

/// Refusals that the next call would meet as well: the worker ends.
const FINAL_REFUSALS: [Code; 4] = [
    Code::PermissionDenied,
    Code::Unauthenticated,
    Code::InvalidArgument,
    Code::Unimplemented,
];

/// Longest time after which a pacer looks whether the run is over.
const PACER_NAP_MAX: Duration = Duration::from_millis(50);

/// One worker's calls.
pub trait Caller: Send + 'static {
    /// What a call needs and is made before it is due, so that making it is not measured.
    type Prepared: Send;

    /// Makes the next call's input; none when there is nothing left to do.
    fn prepare(&mut self) -> Option<Self::Prepared>;

    /// Makes the call. `due` is when it was to start.
    fn call(&mut self, prepared: Self::Prepared, due: Instant) -> impl Future<Output = Result<Done, Status>> + Send;
}

/// How long a run takes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Time before anything is counted.
    pub warmup: Duration,
    /// Time that is counted, at most: a run whose workers have all done what they had to do is over.
    pub length: Duration,
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
            None => (!self.course.over().is_cancelled()).then(Instant::now),
        }
    }
}

/// Workers of one sort, measured together.
struct Part {
    pace: Pace,
    workers: JoinSet<Tally>,
    pacer: Option<JoinHandle<u64>>,
    tally: Tally,
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

    /// Adds workers that call. They begin at once.
    pub fn add_callers<C: Caller>(&mut self, callers: Vec<C>, pace: Pace) {
        let count = callers.len();
        let mut callers = callers.into_iter();
        self.add_workers(count, pace, |turns, tally| {
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
    pub fn add_workers<F>(&mut self, count: usize, pace: Pace, mut worker: impl FnMut(Turns, Tally) -> F)
    where
        F: Future<Output = Tally> + Send + 'static,
    {
        let mut workers = JoinSet::new();
        let mut senders = Vec::new();
        for _ in 0..count {
            let due = matches!(pace, Pace::Open(_)).then(|| {
                let (sender, due) = mpsc::channel(DUE_CALLS_MAX);
                senders.push(sender);
                due
            });
            let turns = Turns {
                course: self.course.clone(),
                due,
            };
            workers.spawn(worker(turns, Tally::new(&self.course, pace)));
        }
        let pacer = match pace {
            Pace::Open(rate) => {
                let course = self.course.clone();
                Some(tokio::task::spawn_blocking(move || {
                    call_at_rate(rate, &senders, &course)
                }))
            }
            Pace::Closed | Pace::Arrival => None,
        };
        let tally = Tally::new(&self.course, pace);
        self.parts.push(Part {
            pace,
            workers,
            pacer,
            tally,
        });
    }

    /// Lets the workers work, and measures.
    pub async fn measure(mut self, server: Option<Server>) -> Result<Measured, Failure> {
        tokio::time::sleep(self.plan.warmup).await;
        let meter = Meter::start(server);
        let from = self.course.begin();
        // Those that wait for arrivals would wait for ever.
        let callers = self.parts.iter_mut().filter(|part| part.pace != Pace::Arrival);
        let all_done = collect_all(callers.collect());
        if let Ok(done) = tokio::time::timeout(self.plan.length, all_done).await {
            done?;
        }
        self.course.over().cancel();
        let length = from.elapsed();
        let mut usage = meter.stop();
        let rest = async {
            let callers = self.parts.iter_mut().filter(|part| part.pace != Pace::Arrival);
            collect_all(callers.collect()).await?;
            self.course.answered().cancel();
            collect_all(self.parts.iter_mut().collect()).await
        };
        match tokio::time::timeout(DRAIN_MAX, rest).await {
            Ok(rest) => rest?,
            Err(_) => {
                let reason = format!("the hub was not done {} s after the end", DRAIN_MAX.as_secs());
                return Err(Failure::Failed(reason));
            }
        }
        if self.parts.iter().any(|part| part.pace != Pace::Closed) {
            // What came late is part of what was asked, and of its cost.
            usage = meter.stop();
        }
        let parts = self.parts.into_iter().map(|part| {
            let counted = part.tally.counted(from, length);
            (part.tally, counted)
        });
        Ok(Measured {
            parts: parts.collect(),
            usage,
        })
    }
}

/// Waits for all workers of some parts. Cancel-safe: what was collected stays in the part.
async fn collect_all(parts: Vec<&mut Part>) -> Result<(), Failure> {
    for part in parts {
        while let Some(joined) = part.workers.join_next().await {
            let other = joined.map_err(|error| Failure::of("a worker died", error))?;
            part.tally.add(&other);
        }
        // Its workers have ended, so it ends too: at its next call it finds their channels closed.
        if let Some(pacer) = part.pacer.take() {
            part.tally.missed += pacer.await.map_err(|error| Failure::of("the pacer died", error))?;
        }
    }
    Ok(())
}

async fn call_in_turns<C: Caller>(mut caller: C, mut turns: Turns, mut tally: Tally) -> Tally {
    while let Some(prepared) = caller.prepare() {
        let Some(due) = turns.next().await else { break };
        let result = caller.call(prepared, due).await;
        let refusal = result.as_ref().err().map(Status::code);
        tally.record(due, result);
        match refusal {
            None => {}
            Some(code) if FINAL_REFUSALS.contains(&code) => break,
            Some(_) => tokio::time::sleep(AFTER_FAILURE).await,
        }
    }
    tally
}

/// Tells workers in turn when calls are due, and returns how many could not be told. A thread of its own, for the runtime's
/// timers know whole milliseconds only.
fn call_at_rate(calls_per_second: f64, workers: &[mpsc::Sender<Instant>], course: &Course) -> u64 {
    let start = Instant::now();
    let mut missed = 0;
    for (count, worker) in (0_u32..).zip(workers.iter().cycle()) {
        // From the start each time, so that rounding does not add up.
        let due = start + Duration::from_secs_f64(f64::from(count) / calls_per_second);
        if !wait_until(due, || {
            course.over().is_cancelled() || workers.iter().all(mpsc::Sender::is_closed)
        }) {
            break;
        }
        // A worker that has ended says why itself: the run is over, or it was refused for good.
        if let Err(TrySendError::Full(_)) = worker.try_send(due) {
            missed += u64::from(course.is_measuring());
        }
    }
    missed
}

/// Waits, unless `ended` says that there is nothing left to wait for.
fn wait_until(due: Instant, ended: impl Fn() -> bool) -> bool {
    while !ended() {
        let early = due.saturating_duration_since(Instant::now());
        if early.is_zero() {
            return true;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the thread does nothing else, and no event comes with the time"
        )]
        std::thread::sleep(early.min(PACER_NAP_MAX));
    }
    false
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

        fn prepare(&mut self) -> Option<()> {
            Some(())
        }

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

    async fn run(caller: Slow, pace: Pace, millis: u64) -> (Tally, Duration) {
        let mut run = Run::new(plan(millis));
        run.add_callers(vec![caller], pace);
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
        let (tally, _) = run(caller, Pace::Open(500.0), 300).await;
        // 100 calls were due during the stall, and those of its first three quarters waited for a quarter of it at least. At a
        // closed pace one call would have waited. A slow machine makes them more, never fewer.
        let delayed = tally.latencies_us.count_between(50_000, 600_000_000);
        assert!(delayed >= 60, "{delayed} of {}", tally.calls);
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
        let (tally, counted) = run(caller, Pace::Closed, 200).await;
        // No call is shorter than the answer takes, so no more fit than that, whatever the machine does.
        assert!(tally.calls >= 1 && Duration::from_millis(10) * (tally.calls as u32 - 1) <= counted);
        assert!(tally.latencies_us.min() >= 9_900, "{}", tally.latencies_us.min());
        assert!(counted >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn a_run_whose_work_is_done_is_over() {
        struct Thrice(u32);
        impl Caller for Thrice {
            type Prepared = ();
            fn prepare(&mut self) -> Option<()> {
                self.0 += 1;
                (self.0 <= 3).then_some(())
            }
            async fn call(&mut self, (): (), _due: Instant) -> Result<Done, Status> {
                Ok(Done {
                    items: 1,
                    ..Done::default()
                })
            }
        }
        for pace in [Pace::Closed, Pace::Open(1_000.0)] {
            let mut run = Run::new(Plan {
                warmup: Duration::ZERO,
                length: Duration::from_secs(3_600),
            });
            // Begun before the workers, so that none of the three comes too early to count.
            run.course().begin();
            run.add_callers(vec![Thrice(0)], pace);
            let (tally, _) = run.measure(None).await.unwrap().parts.remove(0);
            assert_eq!((tally.done.items, tally.calls), (3, 3), "{pace:?}");
        }
    }

    struct Refused(Status);

    impl Caller for Refused {
        type Prepared = ();

        fn prepare(&mut self) -> Option<()> {
            Some(())
        }

        async fn call(&mut self, (): (), _due: Instant) -> Result<Done, Status> {
            Err(self.0.clone())
        }
    }

    #[tokio::test]
    async fn failures_are_counted_and_told() {
        let mut run = Run::new(plan(50));
        let refused = || Refused(Status::resource_exhausted("full"));
        run.add_callers(vec![refused(), refused()], Pace::Closed);
        let (tally, _) = run.measure(None).await.unwrap().parts.remove(0);
        assert_eq!((tally.calls, tally.last_failure.unwrap().message()), (0, "full"));
        assert!(tally.failures >= 2, "{}", tally.failures);
    }

    #[tokio::test]
    async fn a_final_refusal_ends_the_run_at_once() {
        let mut run = Run::new(Plan {
            warmup: Duration::ZERO,
            length: Duration::from_secs(3_600),
        });
        run.add_callers(vec![Refused(Status::permission_denied("no publisher"))], Pace::Closed);
        let (tally, _) = run.measure(None).await.unwrap().parts.remove(0);
        assert_eq!(tally.last_failure.unwrap().message(), "no publisher");
    }

    #[tokio::test]
    async fn arrivals_are_awaited_until_every_call_has_its_answer() {
        let late = Duration::from_millis(100);
        let mut run = Run::new(plan(1));
        run.course().begin();
        let course = run.course().clone();
        run.add_workers(1, Pace::Arrival, |_, mut tally| {
            let course = course.clone();
            async move {
                course.answered().cancelled().await;
                assert!(course.over().is_cancelled());
                tally.arrived(1);
                tally
            }
        });
        let caller = Slow {
            first: late,
            others: late,
            calls: 0,
        };
        run.add_callers(vec![caller], Pace::Closed);
        let measured = run.measure(None).await.unwrap();
        let (arrived, counted) = &measured.parts[0];
        assert_eq!(arrived.done.items, 1);
        assert!(*counted >= late, "the call under way was not awaited");
    }
}
