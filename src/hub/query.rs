//! Queries: what is known and visible to the caller. Nothing here tells what does not exist from what may not be seen.

mod campaigns;
mod near;

use std::ops::Range;

use bytes::Bytes;

use crate::domain::filter::Filter;
use crate::domain::id::{IndicatorId, ObservableId, RunId};
use crate::domain::indicator::State;
use crate::domain::member::{Role, Viewer};
use crate::domain::observable::{Kind, Observable, id_of};
use crate::domain::policy::{self, Release};

use super::assess::{Corroboration, corroboration};
use super::bodies::Found;
use super::cursor::{Binding, Position};
use super::error::HubError;
use super::publish::{erased, own_version};
use super::views::Views;
use super::views::at_hand::AtHand;
use super::views::indicators::RecordIndex;
use super::{Caller, Hub, Sighting};

pub use campaigns::{CAMPAIGNS_MAX, Campaign};
pub use near::Reach;

/// Most matches for one value.
pub const MATCHES_MAX: usize = 100;

/// Most indicators on one page.
pub const PAGE_ITEMS_MAX: usize = 1_000;

/// Bytes of indicators on one page: well below the 4 MiB that a client takes unless it is told to take more. What is counted is what
/// the caller sees, so where a page ends tells of nothing else.
pub const PAGE_BYTES_MAX: usize = 1 << 20;

/// Bytes of indicators in one answer to a look-up, for the same reason.
pub const LOOKUP_BYTES_MAX: usize = 3 << 20;

/// Records looked at under one hold of the views' lock.
const RECORDS_PER_HOLD_MAX: u32 = 8_192;

/// Records whose bodies are looked at under one hold.
const BODIES_PER_HOLD_MAX: u32 = 1_024;

/// How a match speaks of the value that was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    /// The same observable, or the account that the URL names.
    Exact,
    /// The host of the URL or e-mail address.
    Host,
    /// A parent domain of the host; or a network that holds the address.
    Parent,
    /// Another hash of the same kind, at this distance: 1 or more.
    Near(u32),
}

/// What is known of one value.
#[derive(Debug, Default)]
pub struct Matches {
    /// The id of the observable that was asked for; none where none was.
    pub observable: Option<ObservableId>,
    /// Exact ones first, newest first within each relation; near ones last, nearest first.
    pub found: Vec<(Relation, Release<Sighting>)>,
    /// Whether there were more than [`MATCHES_MAX`], or than [`LOOKUP_BYTES_MAX`] left room for.
    pub truncated: bool,
    /// What the sources of the observable itself amount to.
    pub corroboration: Corroboration,
}

/// A page of indicators.
#[derive(Debug)]
pub struct Page {
    /// In the order of publication.
    pub releases: Vec<Release<Sighting>>,
    /// Opens the next page; none if this is the last.
    pub next: Option<Bytes>,
}

impl Hub {
    /// What is known of an observable: the same one, its account, its host, the host's parents, networks around an address, and
    /// what is near a hash.
    pub async fn lookup(&self, caller: &Caller, observables: &[Option<Observable>]) -> Result<Vec<Matches>, HubError> {
        self.lookup_within(caller, observables, Reach::Usual).await
    }

    /// As [`Hub::lookup`], as far from a hash as `reach` says.
    pub async fn lookup_within(
        &self,
        caller: &Caller,
        observables: &[Option<Observable>],
        reach: Reach,
    ) -> Result<Vec<Matches>, HubError> {
        require_reader(caller)?;
        let near_of = |observable: &Option<Observable>| match observable {
            Some(observable) => reach.of(observable),
            None => Ok(None),
        };
        let nears = observables.iter().map(near_of).collect::<Result<Vec<_>, _>>()?;
        let mut room = LOOKUP_BYTES_MAX;
        let mut all = self.look_up(caller, observables, &mut room)?;
        for (near, known) in nears.iter().zip(&mut all) {
            if let Some(near) = near {
                self.add_near(caller, near, known, &mut room).await?;
            }
        }
        let found = || all.iter().flat_map(|known| &known.found).map(|(_, release)| release);
        let mut bodies = self.released_bodies(caller.member, found).await?.into_iter();
        Ok(all.into_iter().map(|known| known.with(&mut bodies)).collect())
    }

    fn look_up(
        &self,
        caller: &Caller,
        observables: &[Option<Observable>],
        room: &mut usize,
    ) -> Result<Vec<Known>, HubError> {
        let mut sought = Vec::with_capacity(2 * observables.len());
        let asked = observables
            .iter()
            .map(|asked| asked.as_ref().map(|asked| seek(asked, &mut sought)));
        let asked: Vec<Option<Range<usize>>> = asked.collect();
        let views = self.shared.read();
        let viewer = viewer(&views, caller)?;
        // One right after the other, so that the processor waits for the memory of several at once.
        for one in &mut sought {
            one.newest = views.indicators.newest_of(one.id);
        }
        let known = |(observable, asked): (&Option<Observable>, Option<Range<usize>>)| match (observable, asked) {
            (Some(observable), Some(asked)) => matches(&views, viewer, (observable, &sought[asked]), room),
            _ => Known::default(),
        };
        Ok(observables.iter().zip(asked).map(known).collect())
    }

    /// One indicator.
    pub async fn indicator(&self, caller: &Caller, id: IndicatorId) -> Result<Release<Sighting>, HubError> {
        require_reader(caller)?;
        let found = {
            let views = self.shared.read();
            let viewer = viewer(&views, caller)?;
            if own_version(&views, caller.member, id).is_some_and(|version| version.state() == State::Erased) {
                return Err(erased());
            }
            views
                .indicators
                .find(id)
                .and_then(|index| release(&views, viewer, index))
        };
        let found = found.ok_or(HubError::NotFound { field: "id" })?;
        let mut delivered = self.deliver(caller.member, vec![found]).await?;
        delivered.pop().ok_or(HubError::NotFound { field: "id" })
    }

    /// A page of the indicators that pass a filter. Unless it is the last it is full, by its items or by [`PAGE_BYTES_MAX`], whatever
    /// lies between that the caller may not see.
    pub async fn search(
        &self,
        caller: &Caller,
        filter: &Filter,
        page_items: usize,
        token: Option<&[u8]>,
    ) -> Result<Page, HubError> {
        require_reader(caller)?;
        filter.check()?;
        let mut bound_to = b"search:".to_vec();
        bound_to.extend_from_slice(&filter.fingerprint_bytes());
        let binding = Binding::new(caller.member, &bound_to);
        let refused = HubError::CursorRefused {
            field: "page_token",
            reason: "is none of this query's",
        };
        let mut position = match token {
            None => Position::default(),
            Some(token) => {
                let position = self.shared.sealer.open(token, &binding);
                let position = position.filter(|position| self.shared.read().has_been_at(position));
                position.ok_or(refused)?
            }
        };
        let mut page = Filling::new(page_items);
        loop {
            let (from, room) = (position.scanned, page.room());
            let looked = self.consult(|views, bodies| look((views, bodies), caller, filter, (from, room)));
            let looked = looked.await??;
            (position.goal, position.run, position.scanned) = (looked.moment, looked.run, looked.next);
            for (index, release) in looked.seen {
                if !page.takes(release) {
                    // It is the first of the next page.
                    position.scanned = index;
                    break;
                }
            }
            if page.has_more || looked.is_end {
                break;
            }
            tokio::task::yield_now().await;
        }
        let next = page.has_more.then(|| self.shared.sealer.seal(&position, &binding));
        let releases = self.deliver(caller.member, page.found).await?;
        Ok(Page { releases, next })
    }
}

/// A page in the making.
struct Filling {
    found: Vec<Release<Found>>,
    items_max: usize,
    bytes: usize,
    has_more: bool,
}

impl Filling {
    fn new(items_max: usize) -> Filling {
        Filling {
            found: Vec::new(),
            items_max,
            bytes: 0,
            has_more: false,
        }
    }

    /// How many to look for: one more than fits, so that the last page says that it is the last.
    fn room(&self) -> usize {
        self.items_max.saturating_sub(self.found.len()) + 1
    }

    /// Puts an indicator on the page, if it fits. The first one always does.
    fn takes(&mut self, release: Release<Found>) -> bool {
        let bytes = self.bytes + sent_bytes(&release);
        let is_full = self.found.len() >= self.items_max || bytes > PAGE_BYTES_MAX;
        self.has_more = is_full && !self.found.is_empty();
        if !self.has_more {
            self.bytes = bytes;
            self.found.push(release);
        }
        !self.has_more
    }
}

pub(super) fn require_reader(caller: &Caller) -> Result<(), HubError> {
    caller
        .require(Role::Subscriber)
        .or_else(|error| caller.require(Role::Publisher).map_err(|_| error))
}

pub(super) fn viewer<'a>(views: &'a Views, caller: &Caller) -> Result<&'a Viewer, HubError> {
    let member = views.roster.member(caller.member);
    member
        .map(|member| &**member.viewer())
        .ok_or(HubError::Unauthenticated("the member is not known"))
}

fn release(views: &Views, viewer: &Viewer, index: RecordIndex) -> Option<Release<Found>> {
    let record = views.indicators.record(index);
    let version = record.current;
    let subject = views.indicators.subject(version);
    let release = policy::evaluate(viewer, &subject, ())?;
    Some(release.map(|()| Found::new(&views.indicators, record, version)))
}

/// What one hold of the lock finds of a search.
struct Looked {
    seen: Vec<(RecordIndex, Release<Found>)>,
    /// The record to go on with.
    next: RecordIndex,
    /// Whether there is none.
    is_end: bool,
    moment: u32,
    run: RunId,
}

/// Looks for at most `room` indicators, from the record `from` on.
fn look(
    (views, bodies): (&Views, &AtHand),
    caller: &Caller,
    filter: &Filter,
    (from, room): (RecordIndex, usize),
) -> Result<Looked, HubError> {
    let viewer = viewer(views, caller)?;
    let (indicators, moment) = (&views.indicators, views.indicators.ordinal());
    let count = indicators.len() as u32;
    let length = if filter.asks_value() {
        BODIES_PER_HOLD_MAX
    } else {
        RECORDS_PER_HOLD_MAX
    };
    let end = count.min(from.saturating_add(length));
    let mut looked = Looked {
        seen: Vec::new(),
        next: from,
        is_end: false,
        moment,
        run: views.runs.at(moment),
    };
    while looked.next < end && looked.seen.len() < room {
        let index = looked.next;
        let seen = release(views, viewer, index);
        let seen = seen.filter(|_| indicators.passes(filter, indicators.record(index).current, bodies));
        looked.seen.extend(seen.map(|release| (index, release)));
        looked.next += 1;
    }
    looked.is_end = looked.next >= count;
    Ok(looked)
}

/// An observable that a look-up looks for.
struct Sought {
    relation: Relation,
    id: ObservableId,
    newest: Option<RecordIndex>,
}

impl Sought {
    fn new(relation: Relation, id: ObservableId) -> Sought {
        Sought {
            relation,
            id,
            newest: None,
        }
    }
}

/// Adds what a look-up of one value looks for: the observable itself first, its account, then what is above it. Done before the views
/// are held: to hash the ids takes longer than to find them.
fn seek(observable: &Observable, sought: &mut Vec<Sought>) -> Range<usize> {
    let start = sought.len();
    sought.push(Sought::new(Relation::Exact, observable.id()));
    sought.extend(
        observable
            .account()
            .map(|account| Sought::new(Relation::Exact, account.id())),
    );
    sought.extend(observable.parents().map(|(kind, name)| {
        let is_host = Some(name) == observable.host() && observable.kind() != Kind::Domain;
        let relation = if is_host { Relation::Host } else { Relation::Parent };
        Sought::new(relation, id_of(kind, name))
    }));
    start..sought.len()
}

/// What is known of one value, before bodies are read.
#[derive(Default)]
struct Known {
    observable: Option<ObservableId>,
    found: Vec<(Relation, Release<Found>)>,
    truncated: bool,
    corroboration: Corroboration,
}

fn matches(views: &Views, viewer: &Viewer, (observable, sought): (&Observable, &[Sought]), room: &mut usize) -> Known {
    let (exact, above) = sought.split_at(sought.partition_point(|one| one.relation == Relation::Exact));
    let records = views.indicators.down_from(exact[0].newest);
    let mut all = Known {
        observable: Some(exact[0].id),
        corroboration: corroboration(views, viewer, records),
        ..Known::default()
    };
    let mut collect = |one: &Sought| all.collect((views, viewer), (one.relation, one.newest), room);
    exact.iter().for_each(&mut collect);
    // Two dozen names for a v4 address, a hundred for a v6 one: worth it only where networks were published at all.
    if views.indicators.has_networks() {
        for network in observable.networks() {
            collect(&Sought {
                newest: views.indicators.newest_of(network.id()),
                ..Sought::new(Relation::Parent, network.id())
            });
        }
    }
    above.iter().for_each(&mut collect);
    all
}

impl Known {
    /// Adds what may be seen of a record and older ones that speak of the same.
    fn collect(
        &mut self,
        (views, viewer): (&Views, &Viewer),
        (relation, newest): (Relation, Option<RecordIndex>),
        room: &mut usize,
    ) {
        for index in views.indicators.down_from(newest) {
            let Some(release) = release(views, viewer, index) else {
                continue;
            };
            self.add(relation, release, room);
            if self.truncated {
                return;
            }
        }
    }

    /// The same with bodies, which `bodies` gives in order.
    fn with(self, bodies: &mut impl Iterator<Item = Bytes>) -> Matches {
        let found = self.found.into_iter().zip(bodies);
        Matches {
            observable: self.observable,
            found: found
                .map(|((relation, release), body)| (relation, release.map(|found| found.with(body))))
                .collect(),
            truncated: self.truncated,
            corroboration: self.corroboration,
        }
    }

    /// Adds a match, or says that there is no room for it.
    fn add(&mut self, relation: Relation, release: Release<Found>, room: &mut usize) {
        let left = room.checked_sub(sent_bytes(&release));
        match left.filter(|_| self.found.len() < MATCHES_MAX && !self.truncated) {
            None => self.truncated = true,
            Some(left) => {
                *room = left;
                self.found.push((relation, release));
            }
        }
    }
}

/// What a release takes of an answer. The audience counts for the owner alone, who alone is sent it: to anybody else its length would
/// tell how many others can read.
fn sent_bytes(release: &Release<Found>) -> usize {
    let found = release.body();
    let suffix = if release.is_own() { found.owner_suffix.len() } else { 0 };
    found.body_size.bytes() + suffix
}
