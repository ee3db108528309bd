//! The view of indicators: every version that ever was, compactly, and the order of changes that feeds follow.
//!
//! A **touch** is one change of one indicator (publication, revision, retraction, end of an embargo, expiry), or one change of
//! the roster. Touches are counted from 0; a moment in the fold is named by the number of touches before it, its **ordinal**.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use crate::domain::handling::Handling;
use crate::domain::id::{IndicatorId, MemberId, ObservableId, Timestamp};
use crate::domain::indicator::{Indicator, State};
use crate::domain::member::MemberKind;
use crate::domain::observable::Kind;
use crate::domain::policy::Subject;
use crate::log::entry::{StoredIndicator, decode_indicator, encode_audience};

/// Index of a record.
pub type RecordIndex = u32;

/// In [`Indicators::touches`]: a change of the roster.
const ROSTER_TOUCH: u32 = u32::MAX;

/// End of a chain of records of one observable.
const NO_RECORD: u32 = u32::MAX;

/// What policy decides on, shared by all indicators that agree in it. Times are left out: they act through the state.
#[derive(PartialEq, Eq, Hash, Clone)]
pub struct Class {
    /// The owner.
    pub publisher: MemberId,
    /// The owner's kind.
    pub publisher_kind: MemberKind,
    /// Label, audience, release and the members of the embargo.
    pub handling: Handling,
    /// Encoded: what the owner's view adds to the body.
    pub owner_suffix: Bytes,
}

/// One indicator between two changes.
#[derive(Clone)]
pub struct Version {
    /// The touch that made it.
    pub ordinal: u32,
    /// The indicator's revision.
    pub revision: u32,
    /// Where it stands in its life.
    pub state: State,
    class: u32,
    /// Whether the publisher says that it saw it itself.
    pub independent: bool,
    /// As it is sent to readers, without state and audience.
    pub body: Bytes,
}

/// One indicator.
pub struct Record {
    /// Its id.
    pub id: IndicatorId,
    /// What it speaks of.
    pub observable: ObservableId,
    campaign: u32,
    next_of_observable: u32,
    /// When its state changes by itself.
    due: Option<Timestamp>,
    /// The newest version.
    pub current: Version,
    /// Older ones, oldest first.
    past: Vec<Version>,
}

impl Record {
    /// The version that held at `ordinal`, none before publication.
    pub fn at(&self, ordinal: u32) -> Option<&Version> {
        match self.current.ordinal < ordinal {
            true => Some(&self.current),
            false => self.past.iter().rev().find(|version| version.ordinal < ordinal),
        }
    }

    /// The touch that published it.
    pub fn published_at(&self) -> u32 {
        self.past.first().unwrap_or(&self.current).ordinal
    }

    /// All versions, newest first.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        std::iter::once(&self.current).chain(self.past.iter().rev())
    }

    /// The first version made at `ordinal` or later.
    pub fn first_since(&self, ordinal: u32) -> Option<&Version> {
        self.versions().take_while(|version| version.ordinal >= ordinal).last()
    }

    /// Where its life is over: the last version before the end, and the one that ended it (the expiry, where it was retracted
    /// after that).
    pub fn end(&self) -> Option<(&Version, &Version)> {
        let over = |version: &&Version| matches!(version.state, State::Retracted | State::Expired);
        let end = self.versions().take_while(over).last()?;
        Some((self.at(end.ordinal)?, end))
    }
}

/// The view.
#[derive(Default)]
pub struct Indicators {
    records: Vec<Record>,
    touches: Vec<u32>,
    classes: Vec<Class>,
    class_index: HashMap<Class, u32>,
    campaigns: Vec<Box<str>>,
    campaign_index: HashMap<Box<str>, u32>,
    by_id: HashMap<IndicatorId, RecordIndex>,
    by_observable: HashMap<ObservableId, RecordIndex>,
    due: BTreeSet<(Timestamp, RecordIndex)>,
    active_by_publisher: HashMap<MemberId, u64>,
    has_networks: bool,
}

impl Indicators {
    /// The number of touches so far.
    pub fn ordinal(&self) -> u32 {
        self.touches.len() as u32
    }

    /// How many indicators were ever published.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The record at `index`, which must come from this view.
    pub fn record(&self, index: RecordIndex) -> &Record {
        &self.records[index as usize]
    }

    /// The record that touch `ordinal` changed; none for a change of the roster.
    pub fn touched(&self, ordinal: u32) -> Option<RecordIndex> {
        let touch = self.touches[ordinal as usize];
        (touch != ROSTER_TOUCH).then_some(touch)
    }

    /// The record of an id.
    pub fn find(&self, id: IndicatorId) -> Option<RecordIndex> {
        self.by_id.get(&id).copied()
    }

    /// The records that speak of an observable, newest first.
    pub fn of_observable(&self, observable: ObservableId) -> impl Iterator<Item = RecordIndex> {
        let first = self.by_observable.get(&observable).copied();
        std::iter::successors(first, |index| {
            let next = self.record(*index).next_of_observable;
            (next != NO_RECORD).then_some(next)
        })
    }

    /// The record that `publisher` already has of `observable` in `campaign`, and has not retracted or let expire.
    pub fn published(&self, publisher: MemberId, observable: ObservableId, campaign: &str) -> Option<RecordIndex> {
        let campaign = *self.campaign_index.get(campaign)?;
        self.of_observable(observable).find(|index| {
            let record = self.record(*index);
            record.campaign == campaign
                && self.class(&record.current).publisher == publisher
                && matches!(record.current.state, State::Active | State::Embargoed)
        })
    }

    /// What policy decides a version on.
    pub fn class(&self, version: &Version) -> &Class {
        &self.classes[version.class as usize]
    }

    /// Whether two versions are decided alike.
    pub fn is_handled_alike(&self, one: &Version, other: &Version) -> bool {
        one.class == other.class && one.state == other.state
    }

    /// What policy looks at in a version.
    pub fn subject(&self, version: &Version) -> Subject<'_> {
        let class = self.class(version);
        Subject {
            publisher: class.publisher,
            publisher_kind: class.publisher_kind,
            state: version.state,
            handling: &class.handling,
        }
    }

    /// The campaign of a record; empty for none.
    pub fn campaign(&self, record: &Record) -> &str {
        &self.campaigns[record.campaign as usize]
    }

    /// The indicator of a version, decoded. None is a defect of the program: what was applied can be decoded.
    pub fn decode(&self, version: &Version) -> Option<Indicator> {
        let handling = &self.class(version).handling;
        let embargo_members = handling
            .embargo
            .as_ref()
            .map(|embargo| embargo.members().to_vec())
            .unwrap_or_default();
        let decoded = decode_indicator(&version.body, handling.audience().clone(), embargo_members);
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
        self.active_by_publisher.get(&publisher).copied().unwrap_or_default()
    }

    /// Folds a publication, revision or (with `state`) retraction.
    pub fn put(&mut self, stored: &StoredIndicator, state: Option<State>) -> RecordIndex {
        let StoredIndicator { indicator, body } = stored;
        let handling = &indicator.content.handling;
        let state = state.unwrap_or(match handling.embargo {
            Some(_) => State::Embargoed,
            None => State::Active,
        });
        let class = self.intern_class(indicator);
        let campaign = self.intern_campaign(indicator.content.campaign.as_str());
        let version = Version {
            ordinal: self.ordinal(),
            revision: indicator.revision,
            state,
            class,
            independent: indicator.content.independent,
            body: body.clone(),
        };
        let index = match self.find(indicator.id) {
            Some(index) => {
                self.replace(index, version);
                index
            }
            None => self.insert(indicator, version),
        };
        self.records[index as usize].campaign = campaign;
        let due = match state {
            State::Embargoed => handling.embargo.as_ref().map(|embargo| embargo.until),
            State::Active => handling.expires_at,
            State::Retracted | State::Expired => None,
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
            let mut version = self.record(index).current.clone();
            let expires_at = self
                .decode(&version)
                .and_then(|indicator| indicator.content.handling.expires_at);
            version.ordinal = self.ordinal();
            version.state = match version.state {
                State::Embargoed => State::Active,
                _ => State::Expired,
            };
            let next = if version.state == State::Active {
                expires_at
            } else {
                None
            };
            self.replace(index, version);
            self.set_due(index, next);
        }
    }

    /// Counts a change of the roster among the touches, so that feeds notice it in order.
    pub fn mark_roster_change(&mut self) {
        self.touches.push(ROSTER_TOUCH);
    }

    fn insert(&mut self, indicator: &Indicator, version: Version) -> RecordIndex {
        let index = self.records.len() as RecordIndex;
        let observable = indicator.content.observable.id();
        let kind = indicator.content.observable.kind();
        self.has_networks |= matches!(kind, Kind::Ipv4Network | Kind::Ipv6Network);
        let next_of_observable = self.by_observable.insert(observable, index).unwrap_or(NO_RECORD);
        self.by_id.insert(indicator.id, index);
        self.touches.push(index);
        *self.active_by_publisher.entry(indicator.publisher).or_default() += 1;
        self.records.push(Record {
            id: indicator.id,
            observable,
            campaign: 0,
            next_of_observable,
            due: None,
            current: version,
            past: Vec::new(),
        });
        index
    }

    fn replace(&mut self, index: RecordIndex, version: Version) {
        let publisher = self.class(&version).publisher;
        let held = |state| matches!(state, State::Active | State::Embargoed);
        let record = &mut self.records[index as usize];
        let count = self.active_by_publisher.entry(publisher).or_default();
        match (held(record.current.state), held(version.state)) {
            (true, false) => *count -= 1,
            (false, true) => *count += 1,
            _ => {}
        }
        let past = std::mem::replace(&mut record.current, version);
        record.past.push(past);
        self.touches.push(index);
    }

    fn set_due(&mut self, index: RecordIndex, due: Option<Timestamp>) {
        let record = &mut self.records[index as usize];
        if let Some(before) = std::mem::replace(&mut record.due, due) {
            self.due.remove(&(before, index));
        }
        if let Some(due) = due {
            self.due.insert((due, index));
        }
    }

    fn intern_class(&mut self, indicator: &Indicator) -> u32 {
        let mut handling = indicator.content.handling.clone();
        handling.expires_at = None;
        if let Some(embargo) = &mut handling.embargo {
            embargo.until = Timestamp::default();
        }
        let owner_suffix = encode_audience(&handling);
        let class = Class {
            publisher: indicator.publisher,
            publisher_kind: indicator.publisher_kind,
            handling,
            owner_suffix,
        };
        match self.class_index.get(&class) {
            Some(number) => *number,
            None => {
                let number = self.classes.len() as u32;
                self.classes.push(class.clone());
                self.class_index.insert(class, number);
                number
            }
        }
    }

    fn intern_campaign(&mut self, name: &str) -> u32 {
        match self.campaign_index.get(name) {
            Some(number) => *number,
            None => {
                let number = self.campaigns.len() as u32;
                self.campaigns.push(name.into());
                self.campaign_index.insert(name.into(), number);
                number
            }
        }
    }
}
