//! Publishing and revising. What needs no state (ids, times, encoding) is done by the callers in parallel; the
//! sequencer only checks what needs state and stages.

use std::sync::Arc;
use std::time::Instant;

use crate::domain::handling::Handling;
use crate::domain::id::{IndicatorId, MemberId, ObservableId, Timestamp};
use crate::domain::indicator::{Content, Indicator, Report, State, Text};
use crate::domain::member::Role;
use crate::domain::observable::{Kind, Observable};
use crate::domain::violation::Violation;
use crate::log::Salted;
use crate::log::bodies::BodyNumber;
use crate::log::entry::{Actor, Entry, Event, Publications, StoredIndicator};

use super::error::HubError;
use super::guard::{check_share, tightens};
use super::queue::Lane;
use super::quota::{Limits, take_room};
use super::recall::RecallRules;
use super::roster;
use super::sequencer::Verdict;
use super::turns::{ITEMS_PER_TURN, ITEMS_WITHOUT_TURN_MAX, TURN_MAX};
use super::views::Views;
use super::views::at_hand::AtHand;
use super::views::indicators::{Published, Version};
use super::writing::Staged;
use super::{Caller, Hub, new_id};

pub use super::outcome::{Outcome, Rejection, RejectionCode, UNREADABLE_RETRY_AFTER};

/// Most items in one request.
pub const ITEMS_MAX: usize = 1_000;

/// Longest request id, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// One draft, checked by the door.
pub struct Item {
    /// The client's name for the attempt; empty if none. At most [`REQUEST_ID_BYTES_MAX`].
    pub request_id: Arc<str>,
    /// What is to be published.
    pub content: Content,
}

/// An item that is ready to be written, should the state allow it.
struct Prepared {
    entry: Option<(Entry, Salted)>,
    id: IndicatorId,
    observable: ObservableId,
    report: Arc<Report>,
    request_id: Arc<str>,
    warnings: Vec<Text<200>>,
}

impl Hub {
    /// Publishes items; `Err` items are those that the door found wrong. One outcome per item, in order. Once this returns, what
    /// was accepted survives a power cut.
    ///
    /// The items are asked for one by one, after the member's quota was charged and while it has its turn: a lazy iterator makes the
    /// door's own work on them part of that.
    pub async fn publish<I>(&self, caller: &Caller, items: I) -> Result<Vec<Outcome>, HubError>
    where
        I: IntoIterator<Item = Result<Item, Violation>>,
        I::IntoIter: ExactSizeIterator + Send,
    {
        caller.require(Role::Publisher)?;
        let mut items = items.into_iter();
        self.shared.quotas.take_items(caller.member, items.len())?;
        let kind = self.kind_of(caller.member)?;
        let now = self.now();
        let actor = Actor {
            member: caller.member,
            agent: caller.agent.clone(),
        };
        let mut publications = Publications::new(now, (actor, kind), items.len());
        let mut prepared: Vec<Result<Prepared, Violation>> = Vec::with_capacity(items.len());
        // So few are done sooner than a turn is waited for.
        let needs_turn = items.len() > ITEMS_WITHOUT_TURN_MAX;
        while items.len() > 0 {
            {
                let _turn = match needs_turn {
                    true => Some(self.shared.turns.take(Lane::Member(caller.member)).await?),
                    false => None,
                };
                let begun = Instant::now();
                for item in items.by_ref().take(ITEMS_PER_TURN) {
                    prepared.push(item.and_then(|item| self.prepare(&mut publications, now, item)));
                    if begun.elapsed() >= TURN_MAX {
                        break;
                    }
                }
            }
            if items.len() > 0 {
                // Other tasks on this thread must not wait for the whole of a large request.
                tokio::task::yield_now().await;
            }
        }
        let (member, limits) = (caller.member, self.shared.quotas.limits());
        let mut outcomes = Vec::with_capacity(prepared.len());
        self.sequencer
            .of(member)
            .propose(move |views, staged| {
                roster::active(views, member)?;
                while outcomes.len() < prepared.len() {
                    if !staged.has_room() {
                        return Ok(Verdict::Partly);
                    }
                    outcomes.push(match &mut prepared[outcomes.len()] {
                        Ok(item) => stage(views, staged, (member, &limits), item),
                        Err(violation) => violation.clone().into(),
                    });
                }
                Ok(Verdict::answer(std::mem::take(&mut outcomes)))
            })
            .await
    }

    /// Replaces the content and handling of one of the caller's indicators, made from `expected_revision`. `confirm_large` is needed
    /// where that takes the indicator from somebody, and much was taken back just before.
    pub async fn revise(
        &self,
        caller: &Caller,
        id: IndicatorId,
        expected_revision: u32,
        request_id: Arc<str>,
        content: Content,
        confirm_large: bool,
    ) -> Result<(IndicatorId, u32), HubError> {
        caller.require(Role::Publisher)?;
        let now = self.now();
        content
            .handling
            .check_times(now)
            .map_err(|violation| violation.within("draft.handling"))?;
        let revision = Revision {
            actor: caller.actor(),
            member: caller.member,
            id,
            expected_revision,
            request_id,
            content,
            confirm_large,
            now,
            rules: self.shared.recall,
        };
        let revision = Arc::new(revision);
        // Once, but where the indicator is revised meanwhile.
        loop {
            let (revision, bodies) = (revision.clone(), self.bodies_of(caller.member, &[id]).await?);
            let decide = move |views: &Views, staged: &mut Staged| {
                let decided = revision.stage((views, &bodies), staged);
                match bodies.is_short() {
                    true => Ok(Verdict::answer(None)),
                    false => decided,
                }
            };
            if let Some(answer) = self.sequencer.of(caller.member).propose(decide).await? {
                return Ok(answer);
            }
        }
    }

    /// One of the caller's own indicators.
    pub async fn own(&self, caller: &Caller, id: IndicatorId) -> Result<Indicator, HubError> {
        self.consult(|views, bodies| own((views, bodies), caller.member, id))
            .await?
    }

    /// The bodies of a member's own indicators that can be read, before the sequencer is asked: everybody waits for it, so it reads
    /// none.
    pub(super) async fn bodies_of(&self, member: MemberId, ids: &[IndicatorId]) -> Result<AtHand, HubError> {
        let numbers = {
            let views = self.shared.read();
            let versions = ids.iter().filter_map(|id| own_version(&views, member, *id));
            let bodies = versions.map(|version| version.body);
            bodies.filter(|body| *body != BodyNumber::ERASED).collect()
        };
        self.bring_readable(AtHand::collecting(&self.shared.bodies), numbers)
            .await
    }

    /// The warning lists that an observable stands on; where the hub is strict, that is a reason to refuse it.
    fn warnings(&self, observable: &Observable) -> Result<Vec<Text<200>>, Violation> {
        let warnings = self.shared.warning_lists.load().hits(observable);
        match warnings.first() {
            Some(list) if self.shared.warning_lists_strict => {
                let instead = match observable.kind() {
                    Kind::Domain => ": report a page rather than its host",
                    _ => ", and this hub refuses what does",
                };
                let list = list.as_str();
                Err(Violation::new(
                    "draft.raw",
                    format!("stands on the warning list {list:?}{instead}"),
                ))
            }
            _ => Ok(warnings),
        }
    }

    fn prepare(&self, publications: &mut Publications, now: Timestamp, item: Item) -> Result<Prepared, Violation> {
        let Item { request_id, content } = item;
        content
            .handling
            .check_times(now)
            .map_err(|violation| violation.within("draft.handling"))?;
        let warnings = self.warnings(&content.observable)?;
        let id = IndicatorId(new_id());
        let report = content.report.clone();
        let observable = content.observable.id();
        let (entry, bytes) = publications.entry(id, (content, observable), warnings.clone(), request_id.clone());
        Ok(Prepared {
            entry: Some((entry, Salted::new(bytes))),
            id,
            observable,
            report,
            request_id,
            warnings,
        })
    }

    fn kind_of(&self, member: MemberId) -> Result<crate::domain::member::MemberKind, HubError> {
        let views = self.shared.read();
        let member = views.roster.member(member);
        member
            .map(|member| member.viewer().kind)
            .ok_or(HubError::Unauthenticated("the member is not known"))
    }
}

/// A revision that was asked for.
struct Revision {
    actor: Option<Actor>,
    member: MemberId,
    id: IndicatorId,
    expected_revision: u32,
    request_id: Arc<str>,
    content: Content,
    confirm_large: bool,
    now: Timestamp,
    rules: RecallRules,
}

impl Revision {
    /// Stages it, and gives the new revision. Where the body of the present one is not at hand, nothing is staged.
    fn stage(
        &self,
        (views, bodies): (&Views, &AtHand),
        staged: &mut Staged,
    ) -> Result<Verdict<Option<(IndicatorId, u32)>>, HubError> {
        let Revision { member, id, now, .. } = *self;
        roster::active(views, member)?;
        if let Some(answer) = Request::of(views, member, &self.request_id).answer(views, staged) {
            return Ok(Verdict::answer(Some(answer)));
        }
        let old = own((views, bodies), member, id)?;
        if staged.touched.contains(&id) {
            return Ok(Verdict::AfterOthers);
        }
        check_revisable(&old, &self.content, self.expected_revision, state_of(views, id))?;
        check_audience(views, member, &self.content.handling)?;
        let index = views.indicators.find(id);
        if index.is_some_and(|index| tightens(views, index, &self.content.handling)) {
            check_share(views, staged, &self.rules, (member, now), 1, self.confirm_large)?;
        }
        let revision = old.revision + 1;
        let indicator = Indicator {
            revision,
            content: self.content.clone(),
            revised_at: now,
            ..old
        };
        let stored = Box::new(StoredIndicator::new(indicator));
        let event = Event::IndicatorRevised {
            stored,
            request_id: self.request_id.clone(),
        };
        staged.touched.insert(id);
        staged.push(Entry {
            at: now,
            actor: self.actor.clone(),
            event,
        });
        Ok(Verdict::answer(Some((id, revision))))
    }
}

fn stage(views: &Views, staged: &mut Staged, (member, limits): (MemberId, &Limits), item: &mut Prepared) -> Outcome {
    let request = Request::of(views, member, &item.request_id);
    if let Some((id, revision)) = request.answer(views, staged) {
        return Outcome::Accepted {
            id,
            revision,
            warnings: item.warnings.clone(),
        };
    }
    if let Some(id) = staged.publications.find(member, item.observable, &item.report) {
        return Outcome::Duplicate { id, revision: 1 };
    }
    let campaign = item.report.campaign.as_str();
    match views.indicators.published(member, item.observable, campaign) {
        Published::Not => {}
        Published::Already(index) => {
            let record = views.indicators.record(index);
            return Outcome::Duplicate {
                id: record.id,
                revision: record.current.revision,
            };
        }
        Published::TooOften => return Outcome::Rejected(Rejection::of_observable_published_too_often()),
    }
    let Some((entry, salted)) = item.entry.take() else {
        return Violation::new("draft", "was already decided").into();
    };
    if let Event::IndicatorPublished { stored, .. } = &entry.event
        && let Err(error) = check_audience(views, member, &stored.indicator.content.handling)
    {
        let violation = match error {
            HubError::Invalid(mut violations) if !violations.is_empty() => violations.remove(0),
            other => Violation::new("draft.handling", other.to_string()),
        };
        return Outcome::Rejected(Rejection {
            violation,
            code: RejectionCode::NotFound,
            retry_after: None,
        });
    }
    if let Err(rejection) = take_room(views, staged, limits, member, salted.size_bytes()) {
        return Outcome::Rejected(rejection);
    }
    request.stage(staged, (item.id, 1));
    staged
        .publications
        .insert(member, item.observable, item.report.clone(), item.id);
    staged.push_salted(entry, salted);
    Outcome::Accepted {
        id: item.id,
        revision: 1,
        warnings: std::mem::take(&mut item.warnings),
    }
}

/// A request by the id that its member gave it, and the hash of that among the member's own.
struct Request<'a> {
    member: MemberId,
    id: &'a Arc<str>,
    hash: u64,
}

impl<'a> Request<'a> {
    fn of(views: &Views, member: MemberId, id: &'a Arc<str>) -> Request<'a> {
        let requests = views.roster.member(member).map(|member| member.requests());
        let hash = requests.map_or(0, |requests| requests.hash(id));
        Request { member, id, hash }
    }

    /// What the same request led to before.
    fn answer(&self, views: &Views, staged: &Staged) -> Option<(IndicatorId, u32)> {
        if self.id.is_empty() {
            return None;
        }
        if let Some(answer) = staged.requests.find(self.hash, self.member, self.id) {
            return Some(answer);
        }
        let requests = views.roster.member(self.member)?.requests();
        let (index, revision) = requests.find(self.hash, self.id)?;
        Some((views.indicators.record(index).id, revision))
    }

    /// What it leads to with this write.
    fn stage(&self, staged: &mut Staged, answer: (IndicatorId, u32)) {
        if !self.id.is_empty() {
            staged.requests.insert(self.hash, self.member, self.id.clone(), answer);
        }
    }
}

/// Members named must exist; groups named must hold the publisher. Unknown and foreign groups look alike.
fn check_audience(views: &Views, publisher: MemberId, handling: &Handling) -> Result<(), HubError> {
    let embargo = handling
        .embargo
        .as_ref()
        .map(|embargo| embargo.members())
        .unwrap_or_default();
    for (field, members) in [
        ("draft.handling.member_ids", handling.audience().members()),
        ("draft.handling.embargo_member_ids", embargo),
    ] {
        if let Some(unknown) = members.iter().find(|member| views.roster.member(**member).is_none()) {
            return Err(Violation::new(field, format!("{unknown} is no member of this hub")).into());
        }
    }
    let groups = views
        .roster
        .member(publisher)
        .map(|member| member.viewer().groups.as_slice())
        .unwrap_or_default();
    match handling
        .audience()
        .groups()
        .iter()
        .find(|group| groups.binary_search(group).is_err())
    {
        Some(foreign) => {
            let reason = format!("{foreign} is no group of yours");
            Err(Violation::new("draft.handling.group_ids", reason).into())
        }
        None => Ok(()),
    }
}

/// The newest version of one of the member's own indicators; somebody else's looks like none.
pub(super) fn own(
    (views, bodies): (&Views, &AtHand),
    member: MemberId,
    id: IndicatorId,
) -> Result<Indicator, HubError> {
    let version = own_version(views, member, id).ok_or(HubError::NotFound { field: "id" })?;
    if version.state() == State::Erased {
        return Err(erased());
    }
    let body = bodies.body(version.body);
    let indicator = body.and_then(|body| views.indicators.decode(version, &body));
    indicator.ok_or(HubError::Unreadable(format!("the body of {id}")))
}

pub(super) fn own_version(views: &Views, member: MemberId, id: IndicatorId) -> Option<&Version> {
    let index = views.indicators.find(id)?;
    let version = views.indicators.record(index).current;
    (views.indicators.class(version).publisher == member).then_some(version)
}

/// Where an indicator stands in its life; none for one that there is not.
pub(super) fn state_of(views: &Views, id: IndicatorId) -> Option<State> {
    views
        .indicators
        .find(id)
        .map(|index| views.indicators.record(index).current.state())
}

/// What an owner is told of an indicator of its own of which nothing is left.
pub(super) fn erased() -> HubError {
    HubError::Conflict {
        field: "id",
        reason: "was erased".into(),
    }
}

fn check_revisable(
    old: &Indicator,
    content: &Content,
    expected_revision: u32,
    state: Option<State>,
) -> Result<(), HubError> {
    if state == Some(State::Retracted) {
        return Err(HubError::Conflict {
            field: "id",
            reason: "was retracted; publish it anew".into(),
        });
    }
    if old.revision != expected_revision {
        let reason = format!(
            "is {expected_revision}, but the indicator is at revision {}",
            old.revision
        );
        return Err(HubError::Conflict {
            field: "expected_revision",
            reason,
        });
    }
    if old.content.observable != content.observable {
        let reason = "is another observable; retract this indicator and publish that one";
        return Err(Violation::new("draft.raw", reason).into());
    }
    Ok(())
}
