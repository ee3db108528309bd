//! Views: the deterministic fold of the log into what the hub answers from. They hold no clock and no randomness, so two hubs
//! with the same log hold the same views, and they can be dropped and rebuilt at any time.

pub(super) mod indicators;
mod record;

mod facets;
mod postings;

pub(super) mod at_hand;
mod numbers;
mod rows;

pub(super) mod requests;
pub(super) mod roster;
pub(super) mod runs;
pub(super) mod sharing;
pub(super) mod storage;

pub(super) mod sight;

mod holding;
pub(super) mod near;

pub(super) mod confirmed;
pub(super) mod recalls;
pub(super) mod subscriptions;

pub(super) mod erasures;
mod timeline;

mod kept;
pub(super) mod snapshot;

use std::path::Path;

use crate::domain::id::{Seq, Timestamp};
use crate::domain::indicator::State;
use crate::log::bodies::{Bodies, BodiesOptions};
use crate::log::entry::{Change, Entry, Event, StoredIndicator};
use crate::log::{DiskError, Refusal};

use super::cursor::Position;
use at_hand::AtHand;
use confirmed::Confirmed;
use erasures::{Erasures, Fault};
use indicators::{Indicators, RecordIndex};
use near::NearHashes;
use recalls::Recalls;
use roster::Roster;
use runs::Runs;
use sharing::Sharing;
use snapshot::{Reading, Sections};
use storage::Storage;
use subscriptions::{Others, Subscriptions};
use timeline::Timeline;

/// Everything that is folded from the log.
#[derive(Default)]
pub(super) struct Views {
    /// The hub's name, from the first entry.
    pub hub_name: String,
    /// The trust domain of its certificates, from the first entry.
    pub trust_domain: String,
    /// Members, groups, agents, invitations.
    pub roster: Roster,
    /// Indicators and the order in which they changed.
    pub indicators: Indicators,
    /// Hashes by nearness.
    pub near: NearHashes,
    /// When publishers took something back.
    pub recalls: Recalls,
    /// Durable subscriptions and what they may have received.
    pub subscriptions: Subscriptions,
    /// Assessments and disclosures.
    pub sharing: Sharing,
    /// How much each member stores.
    pub storage: Storage,
    /// The hub's runs on this log.
    pub runs: Runs,
    /// What is erased, and what is to be.
    pub erasures: Erasures,
    /// Roughly when and where touches were made.
    pub timeline: Timeline,
    /// Entries folded.
    pub next: Seq,
    /// Time, as far as the log knows it.
    pub now: Timestamp,
}

impl Views {
    /// What the view of subscriptions asks of the other views.
    pub fn others<'a>(&'a self, bodies: &'a AtHand) -> Others<'a> {
        Others {
            indicators: &self.indicators,
            roster: &self.roster,
            recalls: &self.recalls,
            bodies,
        }
    }

    /// Views of nothing yet, which keep bodies in `bodies`.
    pub fn new(bodies: Bodies) -> Views {
        Views {
            indicators: Indicators::new(bodies),
            ..Views::default()
        }
    }

    /// Whether a position is one of this log's. What follows the same entries in another continuation of the log is not: a hub that
    /// was restored from a backup would serve the changes between as if the mirror had them.
    pub fn has_been_at(&self, position: &Position) -> bool {
        position.goal <= self.indicators.ordinal() && self.runs.at(position.goal) == position.run
    }

    /// Folds the next entry; for who may wait for the disk, and keeps nobody else waiting.
    pub fn apply(&mut self, entry: &Entry) {
        let confirmed = Confirmed::by(entry, || &*self);
        self.apply_with(entry, &confirmed);
    }

    /// Folds the next entry, with what it confirms. Reads nothing from the disk.
    pub fn apply_with(&mut self, entry: &Entry, confirmed: &Confirmed) {
        let seq = self.next;
        self.next = seq.next();
        let viewpoint = self.indicators.ordinal();
        self.timeline.pass(seq, viewpoint, entry.at);
        self.storage.apply(&entry.event);
        match &entry.event {
            Event::HubCreated { name, trust_domain } => {
                self.hub_name.clone_from(name);
                self.trust_domain.clone_from(trust_domain);
            }
            Event::HubStarted { run } => self.runs.start(viewpoint, *run),
            Event::IndicatorPublished { stored, request_id } | Event::IndicatorRevised { stored, request_id } => {
                let record = self.indicators.put(stored, None);
                self.put_near(record, stored);
                self.recalls.fold(&self.indicators, &self.roster, record, entry.at);
                let outcome = (record, stored.indicator.revision);
                self.roster
                    .remember_request(stored.indicator.publisher, request_id, outcome);
            }
            Event::IndicatorRetracted { stored } => {
                let record = self.indicators.put(stored, Some(State::Retracted));
                self.put_near(record, stored);
                self.recalls.fold(&self.indicators, &self.roster, record, entry.at);
            }
            Event::IndicatorErased(_) | Event::EntriesErased(_) | Event::ErasureOrdered { .. } => {
                self.apply_erasure(seq, entry);
            }
            Event::ClockTicked { now } => {
                self.now = *now;
                self.indicators.tick(*now);
                self.near.tick(&self.indicators, viewpoint..self.indicators.ordinal());
            }
            Event::SubscriptionAttached { .. }
            | Event::SubscriptionDetached { .. }
            | Event::SubscriptionAcknowledged { .. }
            | Event::SubscriptionDropped { .. } => self.subscriptions.apply(entry, viewpoint, confirmed),
            Event::AssessmentMade(assessment) => {
                if let Some(record) = self.indicators.find(assessment.indicator) {
                    self.sharing.assess(record, assessment);
                }
            }
            Event::IndicatorsDisclosed { agency, indicators } => {
                let records = indicators.iter().filter_map(|id| self.indicators.find(*id));
                self.sharing.disclose(*agency, entry.at, records);
            }
            _ => {
                if self.roster.apply(seq, entry, viewpoint) {
                    self.indicators.mark_roster_change();
                }
            }
        }
    }

    fn apply_erasure(&mut self, seq: Seq, entry: &Entry) {
        match &entry.event {
            Event::IndicatorErased(left) => {
                self.erasures.meet(seq, left.sha256);
                let indicator = &left.stored.indicator;
                let state = (left.change == Change::Retracted).then_some(State::Retracted);
                let record = self.indicators.put(&left.stored, state);
                if state.is_some() {
                    self.near.forget(record);
                }
                self.recalls.fold(&self.indicators, &self.roster, record, entry.at);
                let outcome = (record, indicator.revision);
                self.roster
                    .remember_request(indicator.publisher, &left.request_id, outcome);
            }
            Event::EntriesErased(erased) => {
                self.erasures.record(seq, erased);
                for id in &erased.indicators {
                    if let Some(record) = self.indicators.find(*id) {
                        self.indicators.erase(record);
                    }
                }
            }
            Event::ErasureOrdered { indicator, .. } => {
                if let Some(record) = self.indicators.find(*indicator)
                    && self.erasures.order(record)
                    && self.indicators.withdraw(record)
                {
                    self.near.forget(record);
                    self.recalls.fold(&self.indicators, &self.roster, record, entry.at);
                }
            }
            _ => {}
        }
    }

    /// To be called at the end of a fold of what a log holds. An error is damage.
    pub fn end_fold(&mut self) -> Result<(), Fault> {
        self.indicators.link_late();
        self.erasures.end_fold()
    }

    /// Adds all views to a snapshot. False where none is to be made.
    pub fn keep(&self, out: &mut Sections) -> Result<bool, DiskError> {
        let Views {
            hub_name,
            trust_domain,
            roster,
            indicators,
            near,
            recalls,
            subscriptions,
            sharing,
            storage,
            runs,
            next,
            now,
            erasures,
            timeline,
        } = self;
        if !indicators.keep(out)? {
            return Ok(false);
        }
        out.one(hub_name)?;
        out.one(trust_domain)?;
        out.one(roster)?;
        out.one(near)?;
        out.one(recalls)?;
        out.one(subscriptions)?;
        out.one(sharing)?;
        out.one(storage)?;
        out.one(runs)?;
        out.one(next)?;
        out.one(now)?;
        out.one(erasures)?;
        out.one(timeline)?;
        Ok(true)
    }

    /// The views in a snapshot, with the bodies in the file `bodies_path`.
    pub fn load(from: &mut Reading<'_>, bodies_path: &Path, options: BodiesOptions) -> Result<Views, Refusal> {
        Ok(Views {
            indicators: Indicators::load(from, bodies_path, options)?,
            hub_name: from.one()?,
            trust_domain: from.one()?,
            roster: from.one()?,
            near: from.one()?,
            recalls: from.one()?,
            subscriptions: from.one()?,
            sharing: from.one()?,
            storage: from.one()?,
            runs: from.one()?,
            next: from.one()?,
            now: from.one()?,
            erasures: from.one()?,
            timeline: from.one()?,
        })
    }

    fn put_near(&mut self, record: RecordIndex, stored: &StoredIndicator) {
        let state = self.indicators.record(record).current.state();
        self.near.put(record, &stored.indicator.content.observable, state);
    }
}
