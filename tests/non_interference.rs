//! Non-interference: what a member gets to know does not vary with what it may not see. Two worlds are played that differ only in
//! things hidden from one member; everything that this member can find out must be equal, but for the randomness of ids.

#[path = "non_interference/door.rs"]
mod door;
#[path = "non_interference/handlings.rs"]
mod handlings;
mod hub_support;
#[path = "non_interference/mask.rs"]
mod mask;
#[path = "non_interference/observer.rs"]
mod observer;
#[path = "non_interference/quotas.rs"]
mod quotas;
#[path = "non_interference/regressions.rs"]
mod regressions;
#[path = "non_interference/script.rs"]
mod script;
#[path = "non_interference/secrets.rs"]
mod secrets;
#[path = "non_interference/streams.rs"]
mod streams;
#[path = "non_interference/told.rs"]
mod told;
#[path = "non_interference/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::rngs::StdRng;

use script::{Script, Step};
use world::Stage;

/// Pairs of worlds where the environment does not say otherwise.
const PAIRS: u64 = 2_000;

/// Pairs on the same two hubs.
const PAIRS_PER_HUB: u64 = 25;

/// Pairs of hubs at work at once. They mostly wait for their disk.
const THREADS: usize = 4;

/// Overrides the number of pairs, for longer runs.
const PAIRS_VARIABLE: &str = "CLEARINGHOUSE_PAIRS";

#[test]
fn what_a_member_gets_to_know_does_not_vary_with_what_it_may_not_see() {
    let pairs = std::env::var(PAIRS_VARIABLE).map_or(PAIRS, |text| text.parse().expect("a number of pairs"));
    let (next, lines) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let first = next.fetch_add(PAIRS_PER_HUB, Ordering::Relaxed);
                if first >= pairs {
                    break;
                }
                let mut stages = [Stage::new(), Stage::new()];
                for seed in first..pairs.min(first + PAIRS_PER_HUB) {
                    match compare(&mut stages, &script_of(seed)) {
                        Ok(count) => drop(lines.fetch_add(count, Ordering::Relaxed)),
                        Err(_) => {
                            next.store(pairs, Ordering::Relaxed);
                            failures.lock().expect("no thread panics").push(seed);
                            return;
                        }
                    }
                }
            }
        };
        (0..THREADS).for_each(|_| drop(scope.spawn(work)));
    });
    if let Some(seed) = failures.into_inner().expect("no thread panics").pop() {
        panic!("{}", shrunk(seed));
    }
    let lines = lines.into_inner();
    println!("{pairs} pairs of worlds, {lines} lines compared");
    assert!(lines >= pairs * 10, "too little was observed: {lines} lines");
}

fn script_of(seed: u64) -> Script {
    script::script(&mut StdRng::seed_from_u64(seed))
}

/// Plays both worlds. How many lines were equal, or the first that is not.
fn compare(stages: &mut [Stage; 2], script: &Script) -> Result<u64, String> {
    let first = stages[0].play(script, true);
    let second = stages[1].play(script, false);
    for (first, second) in first.iter().zip(&second) {
        if first != second {
            return Err(difference(first, second));
        }
    }
    match first.len() == second.len() {
        true => Ok(first.len() as u64),
        false => Err(format!("{} lines and {}", first.len(), second.len())),
    }
}

/// Two lines from a little before where they part.
fn difference(first: &str, second: &str) -> String {
    let parted = first.chars().zip(second.chars()).take_while(|(a, b)| a == b).count();
    let tail = |line: &str| {
        line.chars()
            .skip(parted.saturating_sub(200))
            .take(600)
            .collect::<String>()
    };
    format!("  first   …{}\n  second  …{}", tail(first), tail(second))
}

/// Leaves out one step after the other for as long as the worlds differ.
fn shrunk(seed: u64) -> String {
    println!("the worlds of seed {seed} differ and are being shrunk");
    let mut script = script_of(seed);
    let differ = |script: &Script| compare(&mut [Stage::new(), Stage::new()], script).err();
    let Some(mut difference) = differ(&script) else {
        return format!("seed {seed} differs only after other worlds on the same hubs");
    };
    for at in (0..script.steps.len()).rev() {
        let left_out: Step = script.steps.remove(at);
        match differ(&script) {
            Some(other) => difference = other,
            None => script.steps.insert(at, left_out),
        }
    }
    let lines: Vec<String> = script.steps.iter().map(|step| format!("  {step:?}")).collect();
    let Script {
        observer_is,
        batch_items,
        hold_touches,
        ..
    } = script;
    let steps = lines.join("\n");
    format!(
        "seed {seed}: observer of kind {observer_is}, batches of {batch_items}, holds of {hold_touches}\n{steps}\n{difference}"
    )
}
