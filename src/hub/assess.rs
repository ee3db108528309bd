//! Assessments: members' reactions to the indicators of others, and what the sources of an observable amount to for one viewer.

use crate::domain::assessment::{Assessment, AssessmentVerdict};
use crate::domain::id::{IndicatorId, MemberId};
use crate::domain::indicator::State;
use crate::domain::member::{Role, Viewer};
use crate::domain::policy;
use crate::log::entry::{Entry, Event};

use super::error::HubError;
use super::query::{require_reader, viewer};
use super::roster;
use super::sequencer::Verdict;
use super::views::Views;
use super::views::indicators::RecordIndex;
use super::{Caller, Hub};

/// Most assessments in one answer.
pub const ASSESSMENTS_MAX: usize = 1_000;

/// Bytes of their texts in one answer.
pub const ASSESSMENTS_BYTES_MAX: usize = 2 << 20;

/// What is known of one indicator's assessments.
#[derive(Debug)]
pub struct Assessed {
    /// Oldest first; at most [`ASSESSMENTS_MAX`] of [`ASSESSMENTS_BYTES_MAX`].
    pub assessments: Vec<Assessment>,
    /// Whether there are more.
    pub truncated: bool,
    /// What all of them amount to, and those of other indicators of the observable.
    pub corroboration: Corroboration,
}

/// What the sources of one observable amount to, from what one viewer may see and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Corroboration {
    /// Distinct members that observed it themselves. An echo is no second source.
    pub observers: u32,
    /// Distinct members that dispute it.
    pub disputes: u32,
}

impl Hub {
    /// Assesses an indicator that the caller sees and does not own. `assessment` comes without author and time: they are the
    /// caller's and the hub's.
    pub async fn assess(&self, caller: &Caller, assessment: Assessment) -> Result<Assessment, HubError> {
        caller.require(Role::Publisher)?;
        assessment.check()?;
        self.shared.quotas.take_items(caller.member, 1)?;
        let (member, actor, now) = (caller.member, caller.actor(), self.now());
        self.sequencer
            .of(member)
            .propose(move |views, staged| {
                let viewer = &**roster::active(views, member)?.viewer();
                let index = visible(views, viewer, assessment.indicator)?;
                let version = views.indicators.record(index).current;
                if views.indicators.class(version).publisher == member {
                    let reason = "is your own: revise or retract it instead".into();
                    return Err(HubError::Conflict {
                        field: "indicator_id",
                        reason,
                    });
                }
                let made = Assessment {
                    member,
                    member_kind: viewer.kind,
                    made_at: now,
                    ..assessment.clone()
                };
                let event = Event::AssessmentMade(Box::new(made.clone()));
                staged.push(Entry {
                    at: now,
                    actor: actor.clone(),
                    event,
                });
                Ok(Verdict::answer(made))
            })
            .await
    }

    /// The assessments of an indicator that the caller sees, oldest first, and what they amount to.
    pub fn assessments(&self, caller: &Caller, indicator: IndicatorId) -> Result<Assessed, HubError> {
        require_reader(caller)?;
        let views = self.shared.read();
        let viewer = viewer(&views, caller)?;
        let index = visible(&views, viewer, indicator)?;
        let seen = views
            .sharing
            .assessments(index)
            .iter()
            .filter(|assessment| assessment.is_visible_to(viewer));
        let observable = views.indicators.record(index).observable;
        // Only what the viewer sees is counted, so where the answer ends tells of nothing else.
        let mut bytes = 0;
        let fits = |assessment: &&Assessment| {
            bytes += text_bytes(assessment);
            bytes <= ASSESSMENTS_BYTES_MAX
        };
        let all = seen.clone().count();
        let assessments: Vec<_> = seen.take(ASSESSMENTS_MAX).take_while(fits).cloned().collect();
        Ok(Assessed {
            truncated: assessments.len() < all,
            assessments,
            corroboration: corroboration(&views, viewer, views.indicators.of_observable(observable)),
        })
    }
}

fn text_bytes(assessment: &Assessment) -> usize {
    let review = assessment.claim_review.as_ref();
    let review = review.map_or(0, |review| {
        review.url().len() + review.rating().len() + review.claim().len()
    });
    assessment.note.as_str().len() + review
}

/// Counts the sources of an observable that `viewer` sees, from all records of it, newest first: the earliest publisher, publishers that say they saw it themselves, and
/// members that confirmed it independently. Whether somebody echoes a source that the viewer does not see makes no difference: that
/// would tell of it.
pub(super) fn corroboration(
    views: &Views,
    viewer: &Viewer,
    records: impl Iterator<Item = RecordIndex>,
) -> Corroboration {
    let mut observers = Vec::new();
    let mut disputers = Vec::new();
    let mut earliest = None;
    for index in records {
        let version = views.indicators.record(index).current;
        let subject = views.indicators.subject(version);
        let counts = matches!(version.state(), State::Active | State::Embargoed);
        if !counts || policy::evaluate(viewer, &subject, ()).is_none() {
            continue;
        }
        // Newest first, so the last one that is seen is the earliest.
        earliest = Some(subject.publisher);
        if version.marks.is_independent() {
            observers.push(subject.publisher);
        }
        for assessment in views
            .sharing
            .assessments(index)
            .iter()
            .filter(|held| held.is_visible_to(viewer))
        {
            match assessment.verdict {
                AssessmentVerdict::Confirms if assessment.independent => {
                    observers.push(assessment.member);
                }
                AssessmentVerdict::Disputes => {
                    disputers.push(assessment.member);
                }
                _ => {}
            }
        }
    }
    observers.extend(earliest);
    Corroboration {
        observers: distinct(observers),
        disputes: distinct(disputers),
    }
}

fn distinct(mut members: Vec<MemberId>) -> u32 {
    members.sort_unstable();
    members.dedup();
    members.len() as u32
}

fn visible(views: &Views, viewer: &Viewer, id: IndicatorId) -> Result<RecordIndex, HubError> {
    let seen = views.indicators.find(id).filter(|index| {
        let subject = views.indicators.subject(views.indicators.record(*index).current);
        policy::evaluate(viewer, &subject, ()).is_some()
    });
    seen.ok_or(HubError::NotFound { field: "indicator_id" })
}
