//! Sharing, proved against a model: random histories of members, groups, publications and time run on a hub and on an oracle that
//! is written from the policy's words. At every moment everybody gets what the oracle says and nothing else, by id, by search, by
//! look-up and by feed, across dropped connections, lost batches and restarts of the hub; and whoever may still hold what was taken
//! back is named to its publisher.

#[path = "feed_model/checks.rs"]
mod checks;
#[path = "feed_model/erasures.rs"]
mod erasures;
#[path = "feed_model/holdings.rs"]
mod holdings;
mod hub_support;
#[path = "feed_model/oracle.rs"]
mod oracle;
#[path = "feed_model/recalls.rs"]
mod recalls;
#[path = "feed_model/regressions.rs"]
mod regressions;
#[path = "feed_model/shrink.rs"]
mod shrink;
#[path = "feed_model/steps.rs"]
mod steps;
#[path = "feed_model/subscriber.rs"]
mod subscriber;
#[path = "feed_model/world.rs"]
mod world;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::rngs::StdRng;

use steps::Step;
use world::{Counts, Stage};

/// Histories where the environment does not say otherwise.
const HISTORIES: u64 = 10_000;

/// Histories on one hub: a hub is slow to make, and slow to open again when its log has grown.
const HISTORIES_PER_HUB: u64 = 50;

/// Histories with erasures: each of these seals an epoch and writes it anew.
const ERASING_HISTORIES: u64 = 80;

/// Overrides the number of histories, for longer runs.
const HISTORIES_VARIABLE: &str = "CLEARINGHOUSE_HISTORIES";

/// Runs the one history of this seed alone.
const SEED_VARIABLE: &str = "CLEARINGHOUSE_SEED";

/// Hubs at work at once. They mostly wait for their disk.
const THREADS: usize = 4;

/// Which histories, and the hub that they run on.
#[derive(Clone, Copy)]
struct Kind {
    per_hub: u64,
    history: fn(&mut StdRng) -> Vec<Step>,
    stage: fn() -> Stage,
}

const PLAIN: Kind = Kind {
    per_hub: HISTORIES_PER_HUB,
    history: steps::history,
    stage: Stage::new,
};

const ERASING: Kind = Kind {
    per_hub: ERASING_HISTORIES / THREADS as u64,
    history: steps::history_with_erasures,
    stage: Stage::erasing,
};

#[test]
fn everybody_gets_what_the_policy_says_and_nothing_else() {
    let histories = number(HISTORIES_VARIABLE).unwrap_or(HISTORIES);
    let Some(counts) = run(PLAIN, histories) else { return };
    assert!(
        histories < HISTORIES
            || (counts.decisions >= 1_000_000
                && counts.reconnections >= 1_000
                && counts.recalls >= 5_000
                && counts.snapshots >= 100),
        "too little was checked: {counts:?}"
    );
}

#[test]
fn what_is_erased_is_gone_and_nothing_else_is_another() {
    let Some(counts) = run(ERASING, ERASING_HISTORIES) else {
        return;
    };
    assert!(
        counts.erased >= ERASING_HISTORIES && counts.restarts >= ERASING_HISTORIES / 2,
        "too little was checked: {counts:?}"
    );
}

/// Runs so many histories; or the one that the environment names, and then there is nothing to count.
fn run(kind: Kind, histories: u64) -> Option<Counts> {
    if let Some(seed) = number(SEED_VARIABLE) {
        let mut stage = (kind.stage)();
        match stage.run(&history(kind, seed)) {
            Ok(()) => return None,
            Err(fault) => panic!("{}", Failure { kind, seed, fault }.shrunk()),
        }
    }
    let began = std::time::Instant::now();
    let next = AtomicU64::new(0);
    let counts = Mutex::new(Counts::default());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || {
            while let Some(seeds) = take_seeds(&next, kind.per_hub, histories) {
                let (done, failure) = run_on_one_hub(kind, seeds);
                counts.lock().expect("no thread panics").add(&done);
                if let Some(failure) = failure {
                    next.store(histories, Ordering::Relaxed);
                    failures.lock().expect("no thread panics").push(failure);
                }
            }
        };
        (0..THREADS).for_each(|_| drop(scope.spawn(work)));
    });
    if let Some(failure) = failures.into_inner().expect("no thread panics").pop() {
        panic!("{}", failure.shrunk());
    }
    let counts = counts.into_inner().expect("no thread panics");
    println!("{counts:?} in {:?}", began.elapsed());
    assert_eq!(counts.histories, histories);
    Some(counts)
}

fn take_seeds(next: &AtomicU64, per_hub: u64, histories: u64) -> Option<Range<u64>> {
    let first = next.fetch_add(per_hub, Ordering::Relaxed);
    (first < histories).then(|| first..histories.min(first + per_hub))
}

/// Runs histories one after the other, on another hub only where one has left something behind; stops at the first that fails.
fn run_on_one_hub(kind: Kind, seeds: Range<u64>) -> (Counts, Option<Failure>) {
    let mut counts = Counts::default();
    let mut stage = (kind.stage)();
    for seed in seeds {
        if stage.spent {
            counts.add(&stage.counts);
            stage = (kind.stage)();
        }
        if let Err(fault) = stage.run(&history(kind, seed)) {
            counts.add(&stage.counts);
            return (counts, Some(Failure { kind, seed, fault }));
        }
    }
    counts.add(&stage.counts);
    (counts, None)
}

fn history(kind: Kind, seed: u64) -> Vec<Step> {
    (kind.history)(&mut StdRng::seed_from_u64(seed))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// A history that fails, and how.
struct Failure {
    kind: Kind,
    seed: u64,
    fault: String,
}

impl Failure {
    /// The shortest history found that fails, as readable steps.
    fn shrunk(self) -> String {
        let Failure { kind, seed, fault } = self;
        println!("seed {seed} fails and is being shrunk: {fault}");
        let fails = |steps: &[Step]| (kind.stage)().run(steps).err();
        let steps = history(kind, seed);
        let (steps, fault) = match fails(&steps) {
            Some(fault) => shrink::shrink(steps, fault, fails),
            None => (steps, format!("only after other histories on the same hub: {fault}")),
        };
        let numbered = steps.iter().enumerate();
        let lines: Vec<String> = numbered.map(|(at, step)| format!("{at:3}  {step:?}")).collect();
        let steps = lines.join("\n");
        format!("seed {seed} ({SEED_VARIABLE}={seed} runs it alone)\n{steps}\n{fault}")
    }
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        let Counts {
            histories,
            steps,
            decisions,
            batches,
            changes,
            reconnections,
            restarts,
            snapshots,
            recalls,
            erased,
        } = other;
        self.histories += histories;
        self.steps += steps;
        self.decisions += decisions;
        self.batches += batches;
        self.changes += changes;
        self.reconnections += reconnections;
        self.restarts += restarts;
        self.snapshots += snapshots;
        self.recalls += recalls;
        self.erased += erased;
    }
}
