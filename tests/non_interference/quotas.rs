//! The observer's quotas: what others do in secret must not change what it is refused, nor when it is told to come back.

use std::num::NonZeroU32;
use std::time::Duration;

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::violation::Violation;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::feed::Feed;
use clearinghouse::hub::publish::{ITEMS_MAX, Item};
use clearinghouse::hub::quota::{Limits, Place};

use super::hub_support::drafts::{self, Rules};
use super::hub_support::waiting::wait;
use super::script::VALUES;
use super::world::World;

/// Far below what a hub allows, and above what the others need in one world.
pub const LIMITS: Limits = Limits {
    // Slow enough that the time that a test takes does not count.
    publish_items_per_sec: NonZeroU32::MIN,
    // A request's most items, which the compiler checks.
    publish_burst_items: NonZeroU32::new(ITEMS_MAX as u32).unwrap(),
    requests_in_flight_max: 4,
    feeds_max: 12,
    indicators_max: 1_000,
    bytes_max: 128 << 10,
};

/// Items that leave too few of the burst for a whole request, whatever the observer published before.
const HURRIED_ITEMS: usize = 601;

/// Delays are told in whole steps of so many seconds: what passes while the test runs is less.
const DELAY_STEP_SECS: u64 = 100;

/// Places that a member holds until the world ends.
pub struct Busy {
    _request: Option<Place>,
    _feed: Option<Feed>,
}

impl World<'_> {
    /// Another member takes a place for a request and one for a feed.
    pub(super) fn keep_busy(&mut self, by: usize) {
        let caller = &self.others[by];
        let busy = Busy {
            _request: self.hub().admit_request(caller).ok(),
            _feed: self.hub().subscribe(caller, Filter::default(), &[]).ok(),
        };
        // Its durable streams need places too.
        if self.busy.len() < LIMITS.feeds_max / 3 {
            self.busy.push(busy);
        }
    }

    /// Takes every place that it can have, and lets them go.
    pub(super) fn take_places(&mut self) {
        let hub = self.hub();
        let (requests, refused) = taken(|| hub.admit_request(&self.observer));
        let (feeds, full) = taken(|| hub.subscribe(&self.observer, Filter::default(), &[]));
        self.tell("places", ((requests, refused), (feeds, full)));
    }

    /// Publishes for itself alone until there is no more room.
    pub(super) fn fill(&mut self) {
        let rules = Rules {
            members: vec![self.observer.member],
            ..Rules::open(Tlp::Red)
        };
        let note = "n".repeat(4_000);
        let items = (0..LIMITS.bytes_max as usize / note.len()).map(|number| -> Result<Item, Violation> {
            let mut content = self.content(number % VALUES.len(), 0, rules.clone());
            content.campaign = drafts::text(&format!("Filling {number}"));
            content.note = drafts::text(&note);
            Ok(drafts::item(content))
        });
        let items: Vec<_> = items.collect();
        let outcomes = wait(self.hub().publish(&self.observer, items)).expect("a request within the burst");
        let kinds: Vec<_> = outcomes.iter().map(kind).collect();
        self.tell("filled", kinds);
    }

    /// Hands in items that are all wrong: they count all the same.
    pub(super) fn hurry(&mut self) {
        for count in [HURRIED_ITEMS, ITEMS_MAX] {
            let wrong = (0..count).map(|_| Err::<Item, _>(Violation::new("draft", "is wrong")));
            let items: Vec<_> = wrong.collect();
            let refused = wait(self.hub().publish(&self.observer, items)).err();
            let told = refused.map(|error| match error {
                HubError::Exhausted { reason, retry_after } => (reason, steps(retry_after)),
                other => panic!("{other}"),
            });
            self.tell("hurried", (count, told));
        }
    }
}

/// How many can be taken at once, and why no more.
fn taken<T>(mut take: impl FnMut() -> Result<T, HubError>) -> (usize, HubError) {
    let mut held = Vec::new();
    loop {
        match take() {
            Ok(one) => held.push(one),
            Err(refused) => return (held.len(), refused),
        }
    }
}

fn steps(delay: Duration) -> u64 {
    delay.as_secs().div_ceil(DELAY_STEP_SECS)
}

/// The outcome without the id.
fn kind(outcome: &clearinghouse::hub::publish::Outcome) -> String {
    use clearinghouse::hub::publish::Outcome;
    match outcome {
        Outcome::Accepted { .. } => "accepted".to_owned(),
        other => format!("{other:?}"),
    }
}
