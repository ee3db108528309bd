//! Makes a failing history short: steps are left out, ever smaller runs of them, for as long as it goes on to fail.

use super::steps::Step;

/// Most runs of the hub that shrinking may cost.
const TRIES_MAX: usize = 400;

/// The shortest failing history found, and how it fails.
pub fn shrink(steps: Vec<Step>, fault: String, fails: impl Fn(&[Step]) -> Option<String>) -> (Vec<Step>, String) {
    let (mut steps, mut fault) = (steps, fault);
    let (mut run, mut tries) = (steps.len() / 2, 0);
    while run > 0 {
        let (mut from, mut shorter_found) = (0, false);
        while from < steps.len() && tries < TRIES_MAX {
            let mut shorter = steps.clone();
            shorter.drain(from..(from + run).min(steps.len()));
            tries += 1;
            match fails(&shorter) {
                Some(other) => {
                    (steps, fault, shorter_found) = (shorter, other, true);
                }
                None => from += run,
            }
        }
        if !shorter_found || run > 1 {
            run /= 2;
        }
    }
    single_drafts(steps, fault, fails)
}

/// Leaves out drafts that are published beside others.
fn single_drafts(
    mut steps: Vec<Step>,
    mut fault: String,
    fails: impl Fn(&[Step]) -> Option<String>,
) -> (Vec<Step>, String) {
    for at in 0..steps.len() {
        let Step::Publish { drafts, .. } = &steps[at] else {
            continue;
        };
        for place in (0..drafts.len()).rev() {
            let mut shorter = steps.clone();
            if let Step::Publish { drafts, .. } = &mut shorter[at] {
                drafts.remove(place);
            }
            if let Some(other) = fails(&shorter) {
                (steps, fault) = (shorter, other);
            }
        }
    }
    (steps, fault)
}
