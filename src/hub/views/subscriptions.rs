//! The view of durable subscriptions: what each may have received. No delivery is recorded. A subscription holds at most what was
//! visible to it at the moment that it has proven to have applied, and what was visible while a stream was open since; the
//! indicators' and members' own history answers what that was. What cannot be known exactly is held too much, never too little.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use crate::domain::agent::AgentName;
use crate::domain::filter::Filter;
use crate::domain::id::{MemberId, Timestamp};
use crate::domain::indicator::State;
use crate::domain::subscription::SubscriptionName;
use crate::log::entry::{Entry, Event};

use super::at_hand::AtHand;
use super::confirmed::Confirmed;
use super::holding::{CONFIRMATIONS_MAX, Confirmation, Holding};
use super::indicators::{Indicators, Record};
use super::kept::{Kept, kept};
use super::recalls::Recalls;
use super::roster::Roster;
use super::sight::{Sight, Span};

/// Whose subscription, and its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// The member.
    pub member: MemberId,
    /// The agent.
    pub agent: AgentName,
    /// The name within the agent.
    pub name: SubscriptionName,
}

/// One durable subscription.
pub struct SubscriptionRecord {
    /// Its filter, as an expression.
    pub filter_text: String,
    /// Its filter.
    pub filter: Filter,
    /// When a stream was last opened or closed.
    pub changed_at: Timestamp,
    /// Set once it is no more: touches before this one still count.
    pub dropped_at: Option<u32>,
    held: Holding,
    /// What the acknowledgements of the present stream proved besides, for each publisher whose recalls they confirmed. The others are
    /// not told that it has got further: that it confirms something would tell them of recalls that are not theirs.
    further: BTreeMap<MemberId, Holding>,
    /// The moment at which the present stream was opened; also after a crash, until the next one is.
    open_since: Option<u32>,
    confirmations: BTreeMap<MemberId, VecDeque<Confirmation>>,
    /// How often it has moved on.
    proofs: u32,
}

impl SubscriptionRecord {
    /// Whether, as far as the log knows, a stream is open.
    pub fn is_open(&self) -> bool {
        self.open_since.is_some()
    }

    /// The moment before which all changes are known to be applied, whoever made them.
    pub fn applied(&self) -> u32 {
        self.held.applied
    }

    /// How often it has moved on: what a proof would confirm stays the same until then.
    pub fn proofs(&self) -> u32 {
        self.proofs
    }

    /// The moment before which all changes that a publisher made are known to be applied.
    pub fn applied_of(&self, publisher: MemberId) -> u32 {
        self.held_of(publisher).applied
    }

    /// What earlier streams may have brought since the proven moment.
    pub fn earlier(&self) -> &[Span] {
        &self.held.spans
    }

    /// Whether the change `touch` took the indicator back from this subscription and it has not confirmed that.
    pub fn is_outstanding(&self, sight: &Sight<'_>, record: Record<'_>, touch: u32) -> bool {
        let held = self.held_of(sight.publisher(record));
        touch >= held.applied
            && self.dropped_at.is_none_or(|dropped_at| touch < dropped_at)
            && takes_back(sight, record, touch)
            && (held.may_hold(sight, record, touch)
                || self.open_span(held).is_some_and(|span| {
                    span.within(span.from, touch)
                        .is_some_and(|span| sight.saw_within(record, span))
                }))
    }

    /// When it confirmed that the change `touch` took the indicator back from it; none if it did not, or never held it.
    pub fn confirmed_at(&self, sight: &Sight<'_>, record: Record<'_>, touch: u32) -> Option<Timestamp> {
        let confirmations = self.confirmations.get(&sight.publisher(record))?;
        let confirmation = confirmations.iter().rev().find(|one| {
            (one.held.applied..one.to).contains(&touch)
                && takes_back(sight, record, touch)
                && one.held.may_hold(sight, record, touch)
        });
        confirmation.map(|one| one.at)
    }

    fn held_of(&self, publisher: MemberId) -> &Holding {
        self.further.get(&publisher).unwrap_or(&self.held)
    }

    /// What the present stream may have brought beyond what is held, however far it has got.
    fn open_span(&self, held: &Holding) -> Option<Span> {
        self.open_since.map(|since| Span {
            from: since.max(held.applied),
            to: u32::MAX,
        })
    }

    fn close(&mut self, sent: u32, at: Timestamp) {
        if let Some(since) = self.open_since.take() {
            for held in std::iter::once(&mut self.held).chain(self.further.values_mut()) {
                let from = since.max(held.applied);
                held.push(Span { from, to: sent });
            }
            self.changed_at = at;
        }
    }

    /// Remembers that `publishers` had recalls that are confirmed by a proof of `applied`.
    fn confirm(&mut self, applied: u32, at: Timestamp, publishers: &BTreeSet<MemberId>) {
        for publisher in publishers {
            let mut held = self.held_of(*publisher).clone();
            if let Some(open) = self.open_span(&held) {
                held.push(Span { to: applied, ..open });
            }
            let confirmations = self.confirmations.entry(*publisher).or_default();
            confirmations.push_back(Confirmation { held, to: applied, at });
            if confirmations.len() > CONFIRMATIONS_MAX {
                confirmations.pop_front();
            }
        }
    }

    /// Moves on with an acknowledgement, as far as those know whose recalls it confirmed.
    fn acknowledge(&mut self, applied: u32, at: Timestamp, publishers: &BTreeSet<MemberId>) {
        self.proofs += 1;
        self.confirm(applied, at, publishers);
        for publisher in publishers {
            let mut held = self.held_of(*publisher).clone();
            held.prove(applied);
            self.further.insert(*publisher, held);
        }
    }

    /// Moves to what the cursor proves that a stream is opened with, which is the same for all.
    fn prove(&mut self, applied: u32, at: Timestamp, publishers: &BTreeSet<MemberId>) {
        self.proofs += 1;
        self.confirm(applied, at, publishers);
        self.held.prove(applied);
        // All that the further proofs cover, the streams since had brought: it is in the spans.
        self.further.clear();
    }
}

/// Whether the change `touch` is the publisher's taking back of the indicator from this member. A retraction is one also for a
/// member that could not have seen the indicator any more, for its own reasons: it may hold it still.
fn takes_back(sight: &Sight<'_>, record: Record<'_>, touch: u32) -> bool {
    let Some(after) = record.at(touch + 1).filter(|version| version.ordinal == touch) else {
        return false;
    };
    let is_own = sight.publisher(record) == sight.member.id;
    !is_own && (after.state() == State::Retracted || sight.lost_by(record, touch))
}

/// The other views, for what this one cannot tell alone.
#[derive(Clone, Copy)]
pub struct Others<'a> {
    /// The indicators, with all their versions.
    pub indicators: &'a Indicators,
    /// The members, with their rights at each moment.
    pub roster: &'a Roster,
    /// When something was taken back.
    pub recalls: &'a Recalls,
    /// Bodies, for filters that ask for what only they tell.
    pub bodies: &'a AtHand,
}

impl<'a> Others<'a> {
    /// What a subscription sees.
    pub fn sight(self, key: &Key, subscription: &'a SubscriptionRecord) -> Option<Sight<'a>> {
        Some(Sight {
            indicators: self.indicators,
            member: self.roster.member(key.member)?,
            filter: &subscription.filter,
            bodies: self.bodies,
        })
    }

    /// The recalls among `touches` that a subscription has not confirmed.
    pub fn outstanding(
        self,
        key: &Key,
        subscription: &'a SubscriptionRecord,
        touches: Range<u32>,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let sight = self.sight(key, subscription);
        let recalled = self.recalls.since(subscription.held.applied.max(touches.start)).iter();
        let touches = recalled
            .map(|recalled| recalled.touch)
            .take_while(move |touch| *touch < touches.end);
        touches.filter(move |touch| {
            let record = self.indicators.touched(*touch).map(|index| self.indicators.record(index));
            matches!((&sight, record), (Some(sight), Some(record)) if subscription.is_outstanding(sight, record, *touch))
        })
    }
}

impl<'a> Others<'a> {
    /// Whose recalls those are.
    pub fn confirmed(self, key: &Key, subscription: &SubscriptionRecord, touches: Range<u32>) -> BTreeSet<MemberId> {
        let touches = self.outstanding(key, subscription, touches);
        touches
            .filter_map(|touch| self.indicators.publisher_at(touch))
            .collect()
    }

    /// The same, but only those that the holder may know of: what became of an indicator after it left the member's sight is not the
    /// member's to know, though it may hold the indicator still.
    pub fn told(
        self,
        key: &Key,
        subscription: &'a SubscriptionRecord,
        touches: Range<u32>,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let sight = self.sight(key, subscription);
        self.outstanding(key, subscription, touches).filter(move |touch| {
            let record = self
                .indicators
                .touched(*touch)
                .map(|index| self.indicators.record(index));
            matches!((&sight, record), (Some(sight), Some(record)) if sight.could_see_at(record, *touch))
        })
    }
}

/// The view.
#[derive(Default)]
pub struct Subscriptions {
    present: BTreeMap<Key, SubscriptionRecord>,
    dropped: Vec<(Key, SubscriptionRecord)>,
}

impl Subscriptions {
    /// A subscription that was not dropped.
    pub fn find(&self, key: &Key) -> Option<&SubscriptionRecord> {
        self.present.get(key)
    }

    /// Those that were not dropped, by member, agent and name.
    pub fn present(&self) -> impl Iterator<Item = (&Key, &SubscriptionRecord)> {
        self.present.iter()
    }

    /// All of them; of those that were dropped the ones that may have held something then.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &SubscriptionRecord)> {
        self.present
            .iter()
            .chain(self.dropped.iter().map(|(key, subscription)| (key, subscription)))
    }

    /// How many of a member's are kept, dropped ones included.
    pub fn count_of(&self, member: MemberId) -> usize {
        self.all().filter(|(key, _)| key.member == member).count()
    }

    /// Folds an event at a moment, with what it confirms.
    pub fn apply(&mut self, entry: &Entry, moment: u32, confirmed: &Confirmed) {
        let Confirmed(publishers) = confirmed;
        let acting = |name: &SubscriptionName| {
            entry.actor.as_ref().map(|actor| Key {
                member: actor.member,
                agent: actor.agent.clone(),
                name: name.clone(),
            })
        };
        match &entry.event {
            Event::SubscriptionAttached { name, filter, applied } => {
                if let Some(key) = acting(name) {
                    self.attach(key, filter, *applied, (entry.at, moment), publishers);
                }
            }
            Event::SubscriptionDetached {
                member,
                agent,
                name,
                sent,
            } => {
                let key = Key {
                    member: *member,
                    agent: agent.clone(),
                    name: name.clone(),
                };
                if let Some(subscription) = self.present.get_mut(&key) {
                    subscription.close((*sent).min(moment), entry.at);
                }
            }
            Event::SubscriptionAcknowledged { name, applied } => {
                if let Some(subscription) = acting(name).and_then(|key| self.present.get_mut(&key)) {
                    subscription.acknowledge(*applied, entry.at, publishers);
                }
            }
            Event::SubscriptionDropped { member, agent, name } => {
                let key = Key {
                    member: *member,
                    agent: agent.clone(),
                    name: name.clone(),
                };
                self.drop(key, moment, entry.at);
            }
            _ => {}
        }
    }

    fn attach(
        &mut self,
        key: Key,
        filter_text: &str,
        applied: u32,
        (at, moment): (Timestamp, u32),
        publishers: &BTreeSet<MemberId>,
    ) {
        let subscription = self.present.entry(key).or_insert_with(|| SubscriptionRecord {
            filter_text: filter_text.to_owned(),
            filter: read_filter(filter_text),
            changed_at: at,
            dropped_at: None,
            held: Holding::default(),
            further: BTreeMap::new(),
            open_since: None,
            confirmations: BTreeMap::new(),
            proofs: 0,
        });
        // A stream that is still open here ended with a crash: it may have sent everything up to now.
        subscription.close(moment, at);
        subscription.prove(applied, at, publishers);
        subscription.open_since = Some(moment);
        subscription.changed_at = at;
    }

    fn drop(&mut self, key: Key, moment: u32, at: Timestamp) {
        let Some(mut subscription) = self.present.remove(&key) else {
            return;
        };
        subscription.close(moment, at);
        subscription.dropped_at = Some(moment);
        // Where nothing was held, no recall can be open or ever was. That nothing has changed since the last proof is no reason to keep less:
        // how many are kept shows where the member comes to its limit, and what has changed may be hidden from it.
        if subscription.held != Holding::default() {
            self.dropped.push((key, subscription));
        }
    }
}

/// The filter of a stored expression. Should this version of the program not read it, the subscription counts as one that was sent
/// everything visible: too much, never too little.
fn read_filter(text: &str) -> Filter {
    let parsed = Filter::parse(text).and_then(|parsed| parsed.resolve(|_| None));
    parsed.unwrap_or_else(|error| {
        tracing::error!(%error, "the filter of a durable subscription cannot be read");
        Filter::default()
    })
}

kept! {
    Key { member, agent, name }
    Subscriptions { present, dropped }
}

/// The filter is read from its expression again.
impl Kept for SubscriptionRecord {
    fn keep(&self, out: &mut Vec<u8>) {
        let SubscriptionRecord {
            filter_text,
            filter: _,
            changed_at,
            dropped_at,
            held,
            further,
            open_since,
            confirmations,
            proofs,
        } = self;
        filter_text.keep(out);
        changed_at.keep(out);
        dropped_at.keep(out);
        held.keep(out);
        further.keep(out);
        open_since.keep(out);
        confirmations.keep(out);
        proofs.keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<SubscriptionRecord> {
        let filter_text = String::take(rest)?;
        Some(SubscriptionRecord {
            filter: read_filter(&filter_text),
            filter_text,
            changed_at: Kept::take(rest)?,
            dropped_at: Kept::take(rest)?,
            held: Kept::take(rest)?,
            further: Kept::take(rest)?,
            open_since: Kept::take(rest)?,
            confirmations: Kept::take(rest)?,
            proofs: Kept::take(rest)?,
        })
    }
}
