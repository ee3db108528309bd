//! Views: the deterministic fold of the log into what the hub answers from. They hold no clock and no randomness, so two hubs
//! with the same log hold the same views, and they can be dropped and rebuilt at any time.

pub(super) mod indicators;
mod record;

mod facets;
mod postings;

pub(super) mod at_hand;
mod numbers;
mod parallel;
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

pub(super) mod copying;
mod kept;
mod records;
pub(super) mod snapshot;

use std::path::Path;

use crate::domain::id::{Seq, Timestamp};
use crate::domain::indicator::State;
use crate::log::Refusal;
use crate::log::bodies::{Bodies, BodiesOptions};
use crate::log::entry::{Change, Entry, Event, StoredIndicator};

use super::cursor::Position;
use at_hand::AtHand;
use confirmed::Confirmed;
use erasures::{Erasures, Fault};
use indicators::{Indicators, RecordIndex};
use kept::Kept;
use near::NearHashes;
use parallel::joined;
use recalls::Recalls;
use records::Records;
use roster::Roster;
use runs::Runs;
use sharing::Sharing;
use snapshot::{Part, Reading, UNREADABLE};
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

    /// Keeps what is neither a list nor held of a record.
    fn keep_others(&self, out: &mut Vec<u8>) {
        let Views {
            hub_name,
            trust_domain,
            roster,
            indicators,
            // Copied with the records, or as a list.
            near: _,
            recalls: _,
            sharing: _,
            subscriptions,
            storage,
            runs,
            next,
            now,
            erasures,
            timeline,
        } = self;
        indicators.keep_rest(out);
        hub_name.keep(out);
        trust_domain.keep(out);
        roster.keep(out);
        subscriptions.keep(out);
        storage.keep(out);
        runs.keep(out);
        next.keep(out);
        now.keep(out);
        erasures.keep(out);
        timeline.keep(out);
    }

    fn take_others(rest: &mut &[u8]) -> Option<(indicators::Rest, Views)> {
        let of_indicators = Indicators::take_rest(rest)?;
        let views = Views {
            hub_name: Kept::take(rest)?,
            trust_domain: Kept::take(rest)?,
            roster: Kept::take(rest)?,
            subscriptions: Kept::take(rest)?,
            storage: Kept::take(rest)?,
            runs: Kept::take(rest)?,
            next: Kept::take(rest)?,
            now: Kept::take(rest)?,
            erasures: Kept::take(rest)?,
            timeline: Kept::take(rest)?,
            ..Views::default()
        };
        Some((of_indicators, views))
    }

    /// The views in a snapshot, with the bodies in the file `bodies_path`.
    pub fn load(from: &Reading<'_>, bodies_path: &Path, options: BodiesOptions) -> Result<Views, Refusal> {
        let (records, others) = std::thread::scope(|scope| {
            let others = scope.spawn(|| Views::load_others(from, bodies_path, options));
            (Records::load(from), joined(others))
        });
        let (bodies, of_indicators, mut views) = others?;
        let Records {
            rows,
            past,
            due,
            hashes,
            assessments,
        } = records?;
        views.indicators = Indicators::load(from, bodies, (rows, past, due), of_indicators)?;
        views.near = NearHashes::of(hashes);
        views.recalls = Recalls::load(from, &views.indicators)?.ok_or(UNREADABLE)?;
        views.sharing = Sharing::load(from, assessments)?;
        Ok(views)
    }

    /// What does not need the records.
    fn load_others(
        from: &Reading<'_>,
        bodies_path: &Path,
        options: BodiesOptions,
    ) -> Result<(Bodies, indicators::Rest, Views), Refusal> {
        let bodies = from.one(Part::Bodies, |rest| {
            Some(Bodies::load(bodies_path, options, std::mem::take(rest)))
        })?;
        let bodies = bodies.ok_or(Refusal::Damaged(
            "the file of the bodies is not the one that it speaks of",
        ))?;
        let (of_indicators, mut views) = from.one(Part::Others, Views::take_others)?;
        views.roster.load_requests(from)?;
        Ok((bodies, of_indicators, views))
    }

    fn put_near(&mut self, record: RecordIndex, stored: &StoredIndicator) {
        let state = self.indicators.record(record).current.state();
        self.near.put(record, &stored.indicator.content.observable, state);
    }
}
