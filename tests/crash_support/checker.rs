//! The oracle: what clients were told, against what the hub has. It asks nothing itself, so that it can be tested with lies.

use std::collections::{HashMap, HashSet};

use clearinghouse::grpc::wire;

use super::mirror::Mirror;

/// One thing that a client asked to be published, under one request id.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub request_id: String,
    /// Canonical and unique, unless the client does what it must not.
    pub value: String,
    pub campaign: String,
    /// The id that the hub acknowledged it under.
    pub acknowledged: Option<String>,
}

/// Nothing acknowledged is lost, nothing is there twice, nothing is there that was not asked for, and the mirror holds exactly
/// what a search finds. The first fault is the error.
pub fn check<'a>(
    attempts: impl IntoIterator<Item = &'a Attempt>,
    found: &[wire::Indicator],
    mirror: &Mirror,
) -> Result<(), String> {
    let mut by_value: HashMap<&str, &wire::Indicator> = HashMap::new();
    let mut observables = HashSet::new();
    for indicator in found {
        let is_new = by_value.insert(&indicator.raw, indicator).is_none();
        if !is_new || !observables.insert(&indicator.observable_id) {
            return Err(format!("{} is there twice", indicator.raw));
        }
    }
    let mut asked_for = HashSet::new();
    for attempt in attempts {
        asked_for.insert(attempt.value.as_str());
        let Some(id) = &attempt.acknowledged else { continue };
        match by_value.get(attempt.value.as_str()) {
            None => return Err(format!("{} was acknowledged as {id} and is lost", attempt.value)),
            Some(kept) if kept.id != *id => {
                return Err(format!(
                    "{} was acknowledged as {id} and is there as {}",
                    attempt.value, kept.id
                ));
            }
            Some(kept) if kept.campaign != attempt.campaign => return Err(format!("{} was altered", attempt.value)),
            Some(_) => {}
        }
    }
    if let Some(invented) = by_value.keys().find(|value| !asked_for.contains(**value)) {
        return Err(format!("{invented} was never published"));
    }
    check_mirror(found, mirror)
}

fn check_mirror(found: &[wire::Indicator], mirror: &Mirror) -> Result<(), String> {
    for indicator in found {
        match mirror.held.get(&indicator.id) {
            None => return Err(format!("the mirror lacks {}", indicator.raw)),
            Some(held) if held.revision != indicator.revision || held.value != indicator.raw => {
                return Err(format!("the mirror has another {}", indicator.raw));
            }
            Some(_) => {}
        }
    }
    match mirror.held.len() - found.len() {
        0 => Ok(()),
        more => Err(format!("the mirror holds {more} that a search does not find")),
    }
}
