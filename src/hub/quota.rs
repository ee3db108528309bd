//! What one member may take of the hub: how fast it publishes, how much it stores, how many of its requests and feeds there are at
//! once. All agents of a member share its quota, so that more agents give it no more. What is too much is refused with the time to
//! come back at, before the sequencer sees it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, RateLimiter};

use super::error::HubError;
use super::publish::{ITEMS_MAX, Rejection, RejectionCode};
use super::views::Views;
use super::writing::Staged;
use super::{Caller, Hub};
use crate::domain::id::MemberId;
use crate::domain::violation::Violation;

/// When to come back where a place must become free first.
const PLACE_RETRY_AFTER: Duration = Duration::from_millis(100);

/// Limits of each member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Items published a second, in the long run.
    pub publish_items_per_sec: NonZeroU32,
    /// Items that may be published at once after a rest; at least [`ITEMS_MAX`], or a full request could never pass.
    pub publish_burst_items: NonZeroU32,
    /// Requests being answered. A stream counts until it is open.
    pub requests_in_flight_max: usize,
    /// Feeds open.
    pub feeds_max: usize,
    /// Indicators ever published: the log keeps them all.
    pub indicators_max: u64,
    /// Bytes of all revisions of its indicators in the log, before compression.
    pub bytes_max: u64,
}

impl Limits {
    /// Far above what an honest member needs, far below what would hurt the others.
    pub const DEFAULT: Limits = Limits {
        // Not zero, which the compiler checks.
        publish_items_per_sec: NonZeroU32::new(1_000_000).unwrap(),
        // As above.
        publish_burst_items: NonZeroU32::new(2_000_000).unwrap(),
        requests_in_flight_max: 8_192,
        feeds_max: 8_192,
        indicators_max: 50_000_000,
        bytes_max: 64 << 30,
    };
}

/// What each member has taken.
pub(super) struct Quotas {
    limits: Limits,
    clock: DefaultClock,
    members: Mutex<HashMap<MemberId, Arc<Taken>>>,
}

/// What one member has taken.
struct Taken {
    items: DefaultDirectRateLimiter,
    requests: AtomicUsize,
    feeds: AtomicUsize,
}

impl Quotas {
    /// Nothing is taken yet. A burst below [`ITEMS_MAX`] is raised to it.
    pub fn new(limits: Limits) -> Quotas {
        let floor = u32::try_from(ITEMS_MAX)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN);
        Quotas {
            limits: Limits {
                publish_burst_items: limits.publish_burst_items.max(floor),
                ..limits
            },
            clock: DefaultClock::default(),
            members: Mutex::default(),
        }
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes `count` items off what the member may publish now.
    pub fn take_items(&self, member: MemberId, count: usize) -> Result<(), HubError> {
        let Some(count) = u32::try_from(count).ok().and_then(NonZeroU32::new) else {
            return Ok(());
        };
        let exhausted = |retry_after| HubError::Exhausted {
            reason: "the member publishes faster than its quota allows",
            retry_after,
        };
        match self.taken(member).items.check_n(count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(wait)) => Err(exhausted(wait.wait_time_from(self.clock.now()))),
            // A request has at most `ITEMS_MAX` items, and the burst is no smaller.
            Err(_) => Err(exhausted(Duration::from_secs(1))),
        }
    }

    /// A place among the member's requests, until it is dropped.
    pub fn take_request(&self, member: MemberId) -> Result<Place, HubError> {
        let reason = "the member has too many requests in flight";
        self.place(
            member,
            |taken| &taken.requests,
            self.limits.requests_in_flight_max,
            reason,
        )
    }

    /// A place among the member's feeds, until it is dropped.
    pub fn take_feed(&self, member: MemberId) -> Result<Place, HubError> {
        self.place(
            member,
            |taken| &taken.feeds,
            self.limits.feeds_max,
            "the member has too many feeds open",
        )
    }

    fn place(
        &self,
        member: MemberId,
        count: fn(&Taken) -> &AtomicUsize,
        max: usize,
        reason: &'static str,
    ) -> Result<Place, HubError> {
        let place = Place {
            taken: self.taken(member),
            count,
        };
        // The place is counted first and freed again by its drop, so two that come at once never both pass at the limit.
        match count(&place.taken).fetch_add(1, Ordering::Relaxed) < max {
            true => Ok(place),
            false => Err(HubError::Exhausted {
                reason,
                retry_after: PLACE_RETRY_AFTER,
            }),
        }
    }

    fn taken(&self, member: MemberId) -> Arc<Taken> {
        // Nothing under the lock panics. Members are few and never forgotten, so the map needs no cleaning.
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = members.entry(member).or_insert_with(|| {
            let rate = governor::Quota::per_second(self.limits.publish_items_per_sec);
            Arc::new(Taken {
                items: RateLimiter::direct(rate.allow_burst(self.limits.publish_burst_items)),
                requests: AtomicUsize::default(),
                feeds: AtomicUsize::default(),
            })
        });
        taken.clone()
    }
}

impl Hub {
    /// Counts a request of the caller's member until the answer is dropped, or refuses it.
    pub fn admit_request(&self, caller: &Caller) -> Result<Place, HubError> {
        self.shared.quotas.take_request(caller.member)
    }
}

/// One of a member's places, which it leaves when dropped.
#[must_use = "dropping it frees the place"]
pub struct Place {
    taken: Arc<Taken>,
    count: fn(&Taken) -> &AtomicUsize,
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.count)(&self.taken).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one more indicator of `bytes` on what the member stores, if there is room. A repetition of what is there takes no room and
/// is not asked for.
pub(super) fn take_room(
    views: &Views,
    staged: &mut Staged,
    limits: &Limits,
    member: MemberId,
    bytes: usize,
) -> Result<(), Rejection> {
    let stored = views.storage.of(member);
    let just_staged = staged.stored.entry(member).or_default();
    let indicators = stored.indicators + just_staged.indicators + 1;
    let bytes = stored.bytes + just_staged.bytes + bytes as u64;
    let full = if indicators > limits.indicators_max {
        format!(
            "finds no room: the member may store {} indicators",
            limits.indicators_max
        )
    } else if bytes > limits.bytes_max {
        format!("finds no room: the member may store {} bytes", limits.bytes_max)
    } else {
        just_staged.indicators = indicators - stored.indicators;
        just_staged.bytes = bytes - stored.bytes;
        return Ok(());
    };
    Err(Rejection {
        violation: Violation::new("draft", full),
        code: RejectionCode::Quota,
        retry_after: None,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn member(n: u128) -> MemberId {
        MemberId(Uuid::from_u128(n))
    }

    fn quotas(publish_burst_items: u32) -> Quotas {
        Quotas::new(Limits {
            publish_items_per_sec: NonZeroU32::new(1_000).unwrap(),
            publish_burst_items: NonZeroU32::new(publish_burst_items).unwrap(),
            requests_in_flight_max: 2,
            feeds_max: 1,
            ..Limits::DEFAULT
        })
    }

    #[test]
    fn burst_passes_and_the_next_item_is_told_when_to_come_back() {
        let quotas = quotas(5_000);
        (0..5).for_each(|_| quotas.take_items(member(1), 1_000).unwrap());
        let refused = quotas.take_items(member(1), 1_000).unwrap_err();
        let HubError::Exhausted { retry_after, .. } = refused else {
            panic!("{refused}")
        };
        assert!(
            retry_after > Duration::ZERO && retry_after <= Duration::from_secs(1),
            "{retry_after:?}"
        );
        quotas
            .take_items(member(2), 1_000)
            .expect("the others are not concerned");
        quotas.take_items(member(1), 0).expect("nothing is never too much");
    }

    #[test]
    fn full_request_passes_whatever_the_burst() {
        quotas(1).take_items(member(1), ITEMS_MAX).unwrap();
    }

    #[test]
    fn places_end_at_their_number_and_are_free_again_when_left() {
        let quotas = quotas(1);
        let held = [
            quotas.take_request(member(1)).unwrap(),
            quotas.take_request(member(1)).unwrap(),
        ];
        assert!(matches!(
            quotas.take_request(member(1)),
            Err(HubError::Exhausted { .. })
        ));
        let feed = quotas.take_feed(member(1)).unwrap();
        assert!(matches!(quotas.take_feed(member(1)), Err(HubError::Exhausted { .. })));
        let other = quotas.take_request(member(2)).unwrap();
        drop((held, feed, other));
        let _again = [
            quotas.take_request(member(1)).unwrap(),
            quotas.take_request(member(1)).unwrap(),
        ];
        let _feed = quotas.take_feed(member(1)).unwrap();
    }
}
