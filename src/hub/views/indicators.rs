//! The view of indicators: every version that ever was, compactly, and the order of changes that feeds follow.
//!
//! A **touch** is one change of one indicator (publication, revision, retraction, end of an embargo, expiry), or one change of
//! the roster. Touches are counted from 0; a moment in the fold is named by the number of touches before it, its **ordinal**.

mod erased;
mod kept;

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use bytes::Bytes;

use crate::domain::filter::Filter;
use crate::domain::id::{IndicatorId, MemberId, ObservableId, Timestamp};
use crate::domain::indicator::{Indicator, State};
use crate::domain::observable::Kind;
use crate::domain::policy::Subject;
use crate::hub::given::{DigestKeys, GivenKeys, GivenMap, digest_keys};
use crate::log::bodies::{Bodies, BodyEraser, BodyNumber, BodyReader, Moment as BodiesMoment};
use crate::log::entry::{StoredIndicator, decode_indicator};

use super::at_hand::AtHand;
use super::facets::{Brought, Class, FacetSets};
use super::numbers::Numbers;
use super::record::{Due, NO_RECORD, Row};
use super::rows::Rows;

pub use super::facets::FacetsNumber;
pub use super::record::{BodySize, Marks, Record, RecordIndex, Version};
pub use kept::Rest;

/// In [`Indicators::touches`]: a change of the roster.
const ROSTER_TOUCH: u32 = u32::MAX;

/// The view.
pub struct Indicators {
    rows: Rows<Row>,
    /// Older versions, oldest first. Most indicators have none.
    past: GivenMap<RecordIndex, Vec<Version>>,
    bodies: Bodies,
    facets: FacetSets,
    touches: Rows<RecordIndex>,
    observable_keys: DigestKeys,
    id_keys: GivenKeys,
    by_id: Numbers,
    by_observable: Numbers,
    due: BTreeSet<(Timestamp, RecordIndex)>,
    due_of: GivenMap<RecordIndex, Due>,
    publishers: GivenMap<MemberId, Publisher>,
    has_networks: bool,
    /// Records whose observable was learnt after others had been published of it, for their first entries are erased.
    late: Vec<RecordIndex>,
}

/// Most indicators that a member may ever publish of one observable. Whoever asks for it walks through all of them, and so does the
/// sequencer at each further one.
pub const RECORDS_OF_OBSERVABLE_MAX: usize = 1_000;

/// What a publisher has of an observable.
pub enum Published {
    /// Nothing in that campaign that stands.
    Not,
    /// This one, which was not retracted and has not expired.
    Already(RecordIndex),
    /// As much as it may.
    TooOften,
}

/// What is known of a member as a publisher.
#[derive(Default)]
pub struct Publisher {
    active: u64,
    brought: Brought,
}

impl Default for Indicators {
    fn default() -> Indicators {
        Indicators::new(Bodies::discarding())
    }
}

impl Indicators {
    /// An empty view that keeps bodies in `bodies`, which must be empty too.
    pub fn new(bodies: Bodies) -> Indicators {
        Indicators {
            rows: Rows::default(),
            past: GivenMap::default(),
            bodies,
            facets: FacetSets::default(),
            touches: Rows::default(),
            observable_keys: digest_keys(),
            id_keys: GivenKeys::default(),
            by_id: Numbers::default(),
            by_observable: Numbers::default(),
            due: BTreeSet::new(),
            due_of: GivenMap::default(),
            publishers: GivenMap::default(),
            has_networks: false,
            late: Vec::new(),
        }
    }

    /// The number of touches so far.
    pub fn ordinal(&self) -> u32 {
        self.touches.len() as u32
    }

    /// How many indicators were ever published.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The record at `index`, which must come from this view.
    pub fn record(&self, index: RecordIndex) -> Record<'_> {
        let row = self.rows.at(index);
        let past = match row.current.marks.has_older() {
            true => self.past.get(&index).map(Vec::as_slice).unwrap_or_default(),
            false => &[],
        };
        Record::new(row, past)
    }

    /// The record that touch `ordinal` changed; none for a change of the roster.
    pub fn touched(&self, ordinal: u32) -> Option<RecordIndex> {
        let touch = *self.touches.at(ordinal);
        (touch != ROSTER_TOUCH).then_some(touch)
    }

    /// Who published the indicator that touch `ordinal` changed; none for a change of the roster, or where there was no such touch.
    pub fn publisher_at(&self, ordinal: u32) -> Option<MemberId> {
        let index = (ordinal < self.ordinal()).then(|| self.touched(ordinal))??;
        Some(self.class(&self.rows.at(index).current).publisher)
    }

    /// The record of an id.
    pub fn find(&self, id: IndicatorId) -> Option<RecordIndex> {
        self.by_id
            .find(self.id_keys.hash_one(id), |index| self.rows.at(index).id == id)
    }

    /// The records that speak of an observable, newest first.
    pub fn of_observable(&self, observable: ObservableId) -> impl Iterator<Item = RecordIndex> + Clone {
        self.down_from(self.newest_of(observable))
    }

    /// The newest record that speaks of an observable.
    pub fn newest_of(&self, observable: ObservableId) -> Option<RecordIndex> {
        let is = |index| self.rows.at(index).observable == observable;
        self.by_observable.find(hash_of(&self.observable_keys, observable), is)
    }

    /// A record, and older ones that speak of the same, newest first.
    pub fn down_from(&self, newest: Option<RecordIndex>) -> impl Iterator<Item = RecordIndex> + Clone {
        std::iter::successors(newest, |index| {
            let next = self.rows.at(*index).next_of_observable;
            (next != NO_RECORD).then_some(next)
        })
    }

    /// What `publisher` already has of `observable` in `campaign`.
    pub fn published(&self, publisher: MemberId, observable: ObservableId, campaign: &str) -> Published {
        let newest = self.newest_of(observable);
        let campaign = newest.and_then(|_| self.facets.find_campaign(campaign));
        let mut own = 0;
        for index in self.down_from(newest) {
            let version = &self.rows.at(index).current;
            if self.class(version).publisher != publisher {
                continue;
            }
            let stands = matches!(version.state(), State::Active | State::Embargoed);
            if stands && campaign == Some(self.facets.campaign_number(version.facets)) {
                return Published::Already(index);
            }
            own += 1;
            if own >= RECORDS_OF_OBSERVABLE_MAX {
                return Published::TooOften;
            }
        }
        Published::Not
    }

    /// All sets of facets, and at which touches versions of them came or went.
    pub fn facets(&self) -> &FacetSets {
        &self.facets
    }

    /// What policy decides a version on.
    pub fn class(&self, version: &Version) -> &Class {
        self.facets.class(version.facets)
    }

    /// Whether two versions are decided alike.
    pub fn is_handled_alike(&self, one: &Version, other: &Version) -> bool {
        one.state() == other.state() && self.facets.is_one_class(one.facets, other.facets)
    }

    /// What policy looks at in a version.
    pub fn subject(&self, version: &Version) -> Subject<'_> {
        let class = self.class(version);
        Subject {
            publisher: class.publisher,
            publisher_kind: class.publisher_kind,
            state: version.state(),
            handling: &class.handling,
        }
    }

    /// Whether a version passes a filter. Only what asks for the value, or for what its publisher stated in too many ways, takes the
    /// body. Where that is missing, or erased, it counts as one that passes: a subscription may hold it.
    pub fn passes(&self, filter: &Filter, version: &Version, bodies: &AtHand) -> bool {
        if filter.is_all() {
            return true;
        }
        if !filter.matches_confidence(version.confidence) {
            return false;
        }
        match self.facets.passes(filter, version.facets) {
            Some(false) => false,
            Some(true) if !filter.asks_value() => true,
            Some(true) | None if version.body == BodyNumber::ERASED => true,
            Some(true) | None => match bodies.body(version.body) {
                Some(body) => self
                    .decode(version, &body)
                    .is_some_and(|indicator| filter.matches(&indicator)),
                None => true,
            },
        }
    }

    /// Whether nothing tells any more if a version, which [`passes`](Indicators::passes), passed a filter: what it asks was erased.
    pub fn is_untold(&self, filter: &Filter, version: &Version) -> bool {
        version.body == BodyNumber::ERASED
            && !filter.is_all()
            && (filter.asks_value() || self.facets.passes(filter, version.facets).is_none())
    }

    /// The campaign of a record; empty for none.
    pub fn campaign(&self, record: Record<'_>) -> &str {
        self.facets.campaign(record.current.facets)
    }

    /// Reads the bodies.
    pub fn bodies(&self) -> BodyReader {
        self.bodies.reader()
    }

    /// Erases bodies.
    pub fn body_eraser(&self) -> BodyEraser {
        self.bodies.eraser()
    }

    /// What the store of the bodies holds now.
    pub fn bodies_moment(&self) -> BodiesMoment {
        self.bodies.moment()
    }

    /// The store of the bodies.
    pub fn bodies_mut(&mut self) -> &mut Bodies {
        &mut self.bodies
    }

    /// The indicator of a version and its body, decoded. None is a defect of the program: what was applied can be decoded.
    pub fn decode(&self, version: &Version, body: &Bytes) -> Option<Indicator> {
        let handling = &self.class(version).handling;
        let embargo_members = handling
            .embargo
            .as_ref()
            .map(|embargo| embargo.members().to_vec())
            .unwrap_or_default();
        let decoded = decode_indicator(body, handling.audience().clone(), embargo_members);
        decoded
            .inspect_err(|error| tracing::error!(%error, "a stored indicator cannot be decoded"))
            .ok()
    }

    /// Whether an indicator ever spoke of a network of addresses.
    pub fn has_networks(&self) -> bool {
        self.has_networks
    }

    /// When the next embargo or validity ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How many active or embargoed indicators a member has.
    pub fn active_of(&self, publisher: MemberId) -> u64 {
        self.publishers
            .get(&publisher)
            .map(|publisher| publisher.active)
            .unwrap_or_default()
    }

    /// Folds a publication, revision or (with `state`) retraction, or what is left of one.
    pub fn put(&mut self, stored: &StoredIndicator, state: Option<State>) -> RecordIndex {
        let StoredIndicator {
            indicator,
            body,
            observable,
        } = stored;
        let handling = &indicator.content.handling;
        let state = state.unwrap_or(match handling.embargo {
            Some(_) => State::Embargoed,
            None => State::Active,
        });
        let publisher = self.publishers.entry(indicator.publisher).or_default();
        let version = Version {
            ordinal: self.touches.len() as u32,
            revision: indicator.revision,
            facets: self.facets.number(indicator, &mut publisher.brought),
            body: match (self.bodies.push(body.clone()), *observable) {
                // What is erased has its place among the bodies, or those after it would have other numbers.
                (_, ObservableId::ERASED) => BodyNumber::ERASED,
                (number, _) => number,
            },
            body_size: BodySize::of(body),
            confidence: indicator.content.confidence,
            marks: Marks::new(state, indicator.content.independent),
        };
        let index = match self.find(indicator.id) {
            Some(index) => {
                if self.rows.at(index).observable == ObservableId::ERASED && *observable != ObservableId::ERASED {
                    self.rows.at_mut(index).observable = *observable;
                    self.late.push(index);
                }
                self.replace(index, version);
                index
            }
            None => self.insert(indicator, *observable, version),
        };
        let due = match state {
            State::Embargoed => handling.embargo.as_ref().map(|embargo| Due {
                at: embargo.until,
                expires_at: handling.expires_at,
            }),
            State::Active => handling.expires_at.map(expiry),
            State::Retracted | State::Expired | State::Erased => None,
        };
        self.set_due(index, due);
        index
    }

    /// Folds the passage of time: ends the embargoes and validities that are due, each a touch of its own, in the order of their
    /// ends.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((due, index)) = self.due.first().copied() {
            if due > now {
                break;
            }
            let mut version = self.rows.at(index).current;
            version.ordinal = self.ordinal();
            let next = match version.state() {
                State::Embargoed => {
                    version.marks = version.marks.in_state(State::Active);
                    self.due_of.get(&index).and_then(|due| due.expires_at).map(expiry)
                }
                _ => {
                    version.marks = version.marks.in_state(State::Expired);
                    None
                }
            };
            self.replace(index, version);
            self.set_due(index, next);
        }
    }

    /// Takes an indicator back for good, as its publisher's retraction would. False where that was done.
    pub fn withdraw(&mut self, index: RecordIndex) -> bool {
        let is_taken_back = matches!(self.rows.at(index).current.state(), State::Retracted | State::Erased);
        if !is_taken_back {
            self.end(index, State::Retracted);
        }
        !is_taken_back
    }

    /// Folds that an indicator's content is erased. One whose life is not over has newer content.
    pub fn erase(&mut self, index: RecordIndex) {
        if matches!(self.rows.at(index).current.state(), State::Retracted | State::Expired) {
            self.end(index, State::Erased);
        }
    }

    fn end(&mut self, index: RecordIndex, state: State) {
        let current = self.rows.at(index).current;
        let version = Version {
            ordinal: self.ordinal(),
            marks: current.marks.in_state(state),
            ..current
        };
        self.replace(index, version);
        self.set_due(index, None);
    }

    /// Counts a change of the roster among the touches, so that feeds notice it in order.
    pub fn mark_roster_change(&mut self) {
        self.touches.push(ROSTER_TOUCH);
    }

    fn insert(&mut self, indicator: &Indicator, observable: ObservableId, version: Version) -> RecordIndex {
        let index = self.rows.len() as RecordIndex;
        let kind = indicator.content.observable.kind();
        self.has_networks |= matches!(kind, Kind::Ipv4Network | Kind::Ipv6Network);
        self.count(indicator.publisher, None, version.state());
        let Indicators {
            rows,
            observable_keys,
            id_keys,
            by_id,
            by_observable,
            ..
        } = self;
        by_id.insert(id_keys.hash_one(indicator.id), index, |held| {
            id_keys.hash_one(rows.at(held).id)
        });
        let older = match observable {
            ObservableId::ERASED => None,
            _ => by_observable.replace(
                hash_of(observable_keys, observable),
                index,
                |held| rows.at(held).observable == observable,
                |held| hash_of(observable_keys, rows.at(held).observable),
            ),
        };
        rows.push(Row {
            id: indicator.id,
            observable,
            next_of_observable: older.unwrap_or(NO_RECORD),
            current: version,
        });
        self.facets.post(version.facets, self.touches.push(index));
        index
    }

    fn replace(&mut self, index: RecordIndex, version: Version) {
        let publisher = self.class(&version).publisher;
        let row = self.rows.at_mut(index);
        let version = Version {
            marks: version.marks.with_older(),
            ..version
        };
        let past = std::mem::replace(&mut row.current, version);
        self.past
            .entry(index)
            .or_insert_with(|| Vec::with_capacity(1))
            .push(past);
        // Who looked at what was replaced must find the touch as well.
        let touch = self.touches.push(index);
        self.facets.post(version.facets, touch);
        if past.facets != version.facets {
            self.facets.post(past.facets, touch);
        }
        self.count(publisher, Some(past.state()), version.state());
    }

    fn count(&mut self, publisher: MemberId, before: Option<State>, after: State) {
        let held = |state| matches!(state, State::Active | State::Embargoed);
        let publisher = self.publishers.entry(publisher).or_default();
        match (before.is_some_and(held), held(after)) {
            (true, false) => publisher.active -= 1,
            (false, true) => publisher.active += 1,
            _ => {}
        }
    }

    fn set_due(&mut self, index: RecordIndex, due: Option<Due>) {
        let before = match due {
            Some(due) => self.due_of.insert(index, due),
            None => self.due_of.remove(&index),
        };
        if let Some(before) = before {
            self.due.remove(&(before.at, index));
        }
        if let Some(due) = due {
            self.due.insert((due.at, index));
        }
    }
}

/// The hash under which an observable is in its index. All sixteen bytes at once take half as long as one by one.
fn hash_of(keys: &DigestKeys, observable: ObservableId) -> u64 {
    keys.hash_one(observable.0.as_u128())
}

fn expiry(at: Timestamp) -> Due {
    Due { at, expires_at: None }
}
