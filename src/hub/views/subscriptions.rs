//! The view of durable subscriptions: what each may have received. No delivery is recorded. A subscription holds at most what was
//! visible to it at the moment that it has proven to have applied, and what was visible while a stream was open since; the
//! indicators' and members' own history answers what that was. What cannot be known exactly is held too much, never too little.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::agent::AgentName;
use crate::domain::filter::Filter;
use crate::domain::id::{MemberId, Timestamp};
use crate::domain::indicator::State;
use crate::domain::subscription::SubscriptionName;
use crate::log::entry::{Entry, Event};

use super::at_hand::AtHand;
use super::indicators::{Indicators, Record};
use super::recalls::Recalls;
use super::roster::Roster;
use super::sight::{Sight, Span};

/// Most spans of one subscription; past that, neighbours are joined, which makes what may be held more, never less.
const SPANS_MAX: usize = 64;

/// Confirmations remembered per subscription; older recalls no longer list it as confirmed.
pub const CONFIRMATIONS_MAX: usize = 4_096;

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

/// What may be held.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Holding {
    /// All changes before this moment are known to be applied: what was visible then may be held.
    pub applied: u32,
    /// What was visible then may have been received besides.
    pub spans: Vec<Span>,
}

impl Holding {
    /// Whether the indicator may have been held just before `touch`.
    pub fn may_hold(&self, sight: &Sight<'_>, record: Record<'_>, touch: u32) -> bool {
        if record.published_at() >= touch {
            return false;
        }
        let mut spans = self.spans.iter().filter_map(|span| span.within(self.applied, touch));
        (self.applied <= touch && sight.saw_at(record, self.applied))
            || spans.any(|span| sight.saw_within(record, span))
    }

    /// Moves on to a proven moment. A mirror that goes back (a restored backup, or none at all) may still hold what it had.
    fn prove(&mut self, applied: u32) {
        if applied < self.applied {
            self.push(Span {
                from: self.applied,
                to: self.applied,
            });
        }
        self.applied = applied;
        self.spans.retain_mut(|span| {
            span.from = span.from.max(applied);
            span.from <= span.to && span.to > applied
        });
    }

    fn push(&mut self, span: Span) {
        if span.to < span.from {
            return;
        }
        let place = self.spans.partition_point(|other| other.from <= span.from);
        self.spans.insert(place, span);
        if self.spans.len() > SPANS_MAX {
            let gap = |place: &usize| self.spans[place + 1].from.saturating_sub(self.spans[*place].to);
            let nearest = (0..self.spans.len() - 1).min_by_key(gap).unwrap_or_default();
            let next = self.spans.remove(nearest + 1);
            self.spans[nearest].to = self.spans[nearest].to.max(next.to);
        }
    }
}

/// A move of the proven moment that confirmed a recall.
pub struct Confirmation {
    /// What may have been held before.
    pub held: Holding,
    /// Touches before this one are confirmed.
    pub to: u32,
    /// When.
    pub at: Timestamp,
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
    /// The moment at which the present stream was opened; also after a crash, until the next one is.
    open_since: Option<u32>,
    confirmations: VecDeque<Confirmation>,
}

impl SubscriptionRecord {
    /// Whether, as far as the log knows, a stream is open.
    pub fn is_open(&self) -> bool {
        self.open_since.is_some()
    }

    /// The moment before which all changes are known to be applied.
    pub fn applied(&self) -> u32 {
        self.held.applied
    }

    /// What earlier streams may have brought since the proven moment.
    pub fn earlier(&self) -> &[Span] {
        &self.held.spans
    }

    /// Whether the change `touch` took the indicator back from this subscription and it has not confirmed that.
    pub fn is_outstanding(&self, sight: &Sight<'_>, record: Record<'_>, touch: u32) -> bool {
        touch >= self.held.applied
            && self.dropped_at.is_none_or(|dropped_at| touch < dropped_at)
            && takes_back(sight, record, touch)
            && (self.held.may_hold(sight, record, touch)
                || self.open_span().is_some_and(|span| {
                    span.within(span.from, touch)
                        .is_some_and(|span| sight.saw_within(record, span))
                }))
    }

    /// When it confirmed that the change `touch` took the indicator back from it; none if it did not, or never held it.
    pub fn confirmed_at(&self, sight: &Sight<'_>, record: Record<'_>, touch: u32) -> Option<Timestamp> {
        let mut confirmations = self.confirmations.iter().rev();
        let confirmation = confirmations.find(|one| {
            (one.held.applied..one.to).contains(&touch)
                && takes_back(sight, record, touch)
                && one.held.may_hold(sight, record, touch)
        });
        confirmation.map(|one| one.at)
    }

    /// What the present stream may have brought, however far it has got.
    fn open_span(&self) -> Option<Span> {
        self.open_since.map(|since| Span {
            from: since.max(self.held.applied),
            to: u32::MAX,
        })
    }

    fn close(&mut self, sent: u32, at: Timestamp) {
        if let Some(from) = self.open_since.take() {
            let from = from.max(self.held.applied);
            self.held.push(Span { from, to: sent });
            self.changed_at = at;
        }
    }

    /// Moves on to a proven moment and remembers it where `confirms` says that a recall lay between.
    fn prove(&mut self, applied: u32, at: Timestamp, confirms: impl FnOnce(&SubscriptionRecord) -> bool) {
        if applied > self.held.applied && confirms(self) {
            let mut held = self.held.clone();
            if let Some(open) = self.open_span() {
                held.push(Span { to: applied, ..open });
            }
            self.confirmations.push_back(Confirmation { held, to: applied, at });
            if self.confirmations.len() > CONFIRMATIONS_MAX {
                self.confirmations.pop_front();
            }
        }
        self.held.prove(applied);
    }
}

/// Whether the change `touch` is the publisher's taking back of the indicator from this member. A retraction is one also for a
/// member that could not have seen the indicator any more, for its own reasons: it may hold it still.
fn takes_back(sight: &Sight<'_>, record: Record<'_>, touch: u32) -> bool {
    let Some(after) = record.at(touch + 1).filter(|version| version.ordinal == touch) else {
        return false;
    };
    let is_own = sight.indicators.class(after).publisher == sight.member.id;
    !is_own && (after.state == State::Retracted || sight.lost_by(record, touch))
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

    /// The recalls towards a subscription that a proof of `applied` would confirm.
    pub fn outstanding(
        self,
        key: &Key,
        subscription: &'a SubscriptionRecord,
        applied: u32,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let sight = self.sight(key, subscription);
        let recalled = self.recalls.since(subscription.held.applied).iter();
        let touches = recalled
            .map(|recalled| recalled.touch)
            .take_while(move |touch| *touch < applied);
        touches.filter(move |touch| {
            let record = self.indicators.touched(*touch).map(|index| self.indicators.record(index));
            matches!((&sight, record), (Some(sight), Some(record)) if subscription.is_outstanding(sight, record, *touch))
        })
    }
}

impl<'a> Others<'a> {
    /// The same, but only those that the holder may know of: what became of an indicator after it left the member's sight is not the
    /// member's to know, though it may hold the indicator still.
    pub fn told(
        self,
        key: &Key,
        subscription: &'a SubscriptionRecord,
        applied: u32,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let sight = self.sight(key, subscription);
        self.outstanding(key, subscription, applied).filter(move |touch| {
            let record = self
                .indicators
                .touched(*touch)
                .map(|index| self.indicators.record(index));
            matches!((&sight, record), (Some(sight), Some(record)) if sight.could_see_at(&record, *touch))
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

    /// Folds an event.
    pub fn apply(&mut self, entry: &Entry, others: Others<'_>) {
        let moment = others.indicators.ordinal();
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
                    self.attach(key, filter, *applied, entry.at, others);
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
                if let Some((key, subscription)) =
                    acting(name).and_then(|key| self.present.get_mut(&key).map(|found| (key, found)))
                {
                    let confirms = |one: &SubscriptionRecord| others.outstanding(&key, one, *applied).next().is_some();
                    subscription.prove(*applied, entry.at, confirms);
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

    fn attach(&mut self, key: Key, filter_text: &str, applied: u32, at: Timestamp, others: Others<'_>) {
        let moment = others.indicators.ordinal();
        let subscription = self.present.entry(key.clone()).or_insert_with(|| SubscriptionRecord {
            filter_text: filter_text.to_owned(),
            filter: read_filter(filter_text),
            changed_at: at,
            dropped_at: None,
            held: Holding::default(),
            open_since: None,
            confirmations: VecDeque::new(),
        });
        // A stream that is still open here ended with a crash: it may have sent everything up to now.
        subscription.close(moment, at);
        subscription.prove(applied, at, |one| {
            others.outstanding(&key, one, applied).next().is_some()
        });
        subscription.open_since = Some(moment);
        subscription.changed_at = at;
    }

    fn drop(&mut self, key: Key, moment: u32, at: Timestamp) {
        let Some(mut subscription) = self.present.remove(&key) else {
            return;
        };
        subscription.close(moment, at);
        subscription.dropped_at = Some(moment);
        // Where nothing was held, or nothing has changed since it was proven, no recall can be open or ever was.
        let held_nothing = subscription.held == Holding::default();
        let is_proven = subscription.held.applied >= moment && subscription.confirmations.is_empty();
        if !held_nothing && !is_proven {
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
