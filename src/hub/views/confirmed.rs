//! What a subscriber's proof confirms: it is worked out before the entry that has the proof is applied. It may take bodies, which are
//! on disk, and whoever reads them must not hold the views' lock: so it is asked a stretch at a time, and the lock let go between.

use std::collections::BTreeSet;
use std::ops::{Deref, Range};

use crate::domain::id::MemberId;
use crate::log::entry::{Entry, Event};

use super::Views;
use super::at_hand::AtHand;
use super::recalls::Recalls;
use super::subscriptions::Key;

/// Recalls looked at in one stretch. Each may take a body, and so many are in memory at once.
const RECALLS_PER_STRETCH_MAX: usize = 1_024;

/// Whose recalls an entry confirms.
#[derive(Default)]
pub struct Confirmed(pub(super) BTreeSet<MemberId>);

impl Confirmed {
    /// Whether an entry is one of those that may confirm recalls.
    pub fn is_asked_of(entry: &Entry) -> bool {
        proof(entry).is_some()
    }

    /// What an entry would confirm, were it applied now. `views` are borrowed for a stretch at a time, and not while bodies are read.
    pub fn by<V: Deref<Target = Views>>(entry: &Entry, views: impl Fn() -> V) -> Confirmed {
        let mut all = BTreeSet::new();
        let Some((key, applied)) = proof(entry) else {
            return Confirmed(all);
        };
        let mut next = Some(0);
        while let Some(since) = next {
            let mut bodies = AtHand::collecting(&views().indicators.bodies());
            let (confirmed, after) = loop {
                let looked = look(&views(), &bodies, &key, (since, applied));
                let missing = bodies.take_missing();
                if missing.is_empty() {
                    break looked;
                }
                bodies.read(&missing);
            };
            all.extend(confirmed);
            next = after;
        }
        Confirmed(all)
    }
}

/// The touches from `since` on that one stretch has, of those before `applied`, and where the next stretch begins; none at the end.
pub fn stretch(recalls: &Recalls, (since, applied): (u32, u32)) -> (Range<u32>, Option<u32>) {
    let after = recalls.since(since).get(RECALLS_PER_STRETCH_MAX);
    let after = after.map(|recalled| recalled.touch).filter(|touch| *touch < applied);
    (since..after.unwrap_or(applied), after)
}

fn look(views: &Views, bodies: &AtHand, key: &Key, (since, applied): (u32, u32)) -> (BTreeSet<MemberId>, Option<u32>) {
    let Some(subscription) = views.subscriptions.find(key) else {
        return (BTreeSet::new(), None);
    };
    let since = since.max(subscription.applied());
    let (touches, after) = stretch(&views.recalls, (since, applied));
    (views.others(bodies).confirmed(key, subscription, touches), after)
}

/// Whose subscription an entry moves on, and before which touch all is proven to be applied.
fn proof(entry: &Entry) -> Option<(Key, u32)> {
    let (name, applied) = match &entry.event {
        Event::SubscriptionAttached { name, applied, .. } | Event::SubscriptionAcknowledged { name, applied } => {
            (name, *applied)
        }
        _ => return None,
    };
    let actor = entry.actor.as_ref()?;
    let key = Key {
        member: actor.member,
        agent: actor.agent.clone(),
        name: name.clone(),
    };
    Some((key, applied))
}
