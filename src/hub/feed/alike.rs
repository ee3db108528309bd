//! What feeds have in common that are live: viewers whom policy treats alike in all that changed, with equal filters and at the same
//! place, are sent the same batch. One feed works it out; the others look it up and prove their right to it.
//!
//! What is kept is of the present head alone, for a feed that finds a newer one has another question. Nothing here tells feeds apart
//! but what they would be sent: the key holds the place, the filter and policy's decisions, and no member. What is a member's own
//! stays with its feed: the cursor and its digest, crossings to governments, the books of a durable subscription.
//!
//! A batch is common only where the work for it cannot depend on anything else: no member's rights changed since `base`, the feed
//! owes nothing and may have been sent nothing by earlier streams, and nothing was gathered before.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use crate::domain::id::IndicatorId;
use crate::domain::member::Viewer;
use crate::domain::policy::{self, Release};

use super::super::cursor::{Phase, Position};
use super::super::digest::Digest;
use super::super::views::indicators::{Indicators, Version};
use super::super::views::roster::MemberRecord;
use super::ahead::Looking;
use super::filling::Parts;
use super::pass::Gathered;
use super::upserts::{Ready, ready};
use super::{Feed, Limits, RemovalReason, Step, earlier};

/// Most touches between `base` and the head: a feed that is further behind is not live, and few are at its place.
const TOUCHES_MAX: u32 = 4_096;

/// Most kinds of versions among them that policy decides apart: two bits each in a key.
const DECIDED_MAX: usize = 64;

/// Most batches kept. Each is of one place, filter and set of decisions, so that a few are all there are while feeds keep up.
const BATCHES_MAX: usize = 64;

/// Most places whose kinds of versions are kept.
const PLACES_MAX: usize = 256;

/// What a feed asks.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// `base`, `scanned`, `goal`, and the run of `goal`.
    place: (u32, u32, u32, u64),
    phase: Phase,
    /// The digest of the filter that cursors are bound to.
    filter: [u8; 32],
    batch_max: (usize, usize),
    /// Two bits for each kind of version that policy decides on: may see, and as its owner.
    decisions: u128,
}

/// A batch worked out by one feed.
pub(super) struct Common {
    /// Indicators that became visible or changed.
    pub gathered: Vec<Gathered>,
    /// What ceased to be visible.
    pub removals: Vec<(IndicatorId, RemovalReason)>,
    /// Whether nothing more goes into it: a feed whose call is cancelled goes on with it.
    pub is_closed: bool,
    /// The same as they are sent, once one feed has sent them.
    ready: OnceLock<Arc<Ready>>,
    /// Where the feed stands after it, but for the digest.
    position: Position,
    /// What the batch adds to the digest.
    digest: Digest,
    is_live: bool,
    /// A version of each kind among the upserts, and whether it is the viewer's own.
    proven_by: Vec<(Version, bool)>,
}

/// The batches of the present head.
#[derive(Default)]
pub(in super::super) struct CommonBatches(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    head: u32,
    /// For each `base`, a version of each kind that changed since; none where feeds there have nothing in common.
    changed: HashMap<u32, Option<Arc<[Version]>>>,
    batches: HashMap<Question, Arc<Common>>,
}

impl Feed {
    /// What the feed would ask of others that are where it is; none where its batch must be its own.
    pub(super) fn question(&self, indicators: &Indicators, member: &MemberRecord) -> Option<Question> {
        let position = &self.position;
        let head = indicators.ordinal();
        let is_alone = self.hub.shared.feeds_open.load(Ordering::Relaxed) < 2;
        let is_idle = position.is_settled() && position.goal == head;
        let is_first = position.goal == 0 || !position.is_settled() && position.base == 0;
        let is_ahead = !matches!(self.looking, Looking::Done);
        let has_own_past = is_ahead || position.again || position.owed || !self.filling.is_new();
        let base = if position.is_settled() {
            position.goal
        } else {
            position.base
        };
        let may_hold_more = earlier(&self.durable)
            .iter()
            .any(|span| span.within(base, head).is_some());
        if is_alone || is_idle || is_first || has_own_past || may_hold_more {
            return None;
        }
        let place = (position, self.binding.filter(), &self.limits);
        self.hub.shared.common.question(indicators, member.viewer(), place)
    }
}

impl CommonBatches {
    /// What a feed at `position` asks; none where its batch must be its own. The views must be locked from here until the answer is
    /// looked up or kept.
    pub(super) fn question(
        &self,
        indicators: &Indicators,
        viewer: &Viewer,
        (position, filter, limits): (&Position, [u8; 32], &Limits),
    ) -> Option<Question> {
        let base = if position.is_settled() {
            position.goal
        } else {
            position.base
        };
        let changed = self.changed(indicators, base)?;
        let mut decisions = 0;
        for (place, version) in changed.iter().enumerate() {
            let release = policy::evaluate(viewer, &indicators.subject(version), ());
            let decision = release.map_or(0, |release| 1 + 2 * u128::from(release.is_own()));
            decisions |= decision << (2 * place);
        }
        Some(Question {
            place: (position.base, position.scanned, position.goal, position.run.0),
            phase: position.phase,
            filter,
            batch_max: (limits.batch_items_max, limits.batch_bytes_max),
            decisions,
        })
    }

    /// The batch that another feed worked out for this question, if `viewer` may see all that is in it.
    pub(super) fn find(
        &self,
        question: &Question,
        indicators: &Indicators,
        viewer: &Viewer,
    ) -> Option<Release<Arc<Common>>> {
        let common = self.at(indicators.ordinal()).batches.get(question)?.clone();
        let subjects = common
            .proven_by
            .iter()
            .map(|(version, own)| (indicators.subject(version), *own))
            .collect::<Vec<_>>();
        policy::evaluate_all(viewer, subjects, common)
    }

    /// Keeps a batch for those who ask the same.
    pub(super) fn keep(&self, question: Question, indicators: &Indicators, common: Arc<Common>) {
        let mut kept = self.at(indicators.ordinal());
        if kept.batches.len() < BATCHES_MAX {
            kept.batches.insert(question, common);
        }
    }

    /// What is kept of `head`; what was kept of an older one is let go.
    fn at(&self, head: u32) -> MutexGuard<'_, Kept> {
        // Nothing under the lock panics half-way.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.head != head {
            *kept = Kept {
                head,
                ..Kept::default()
            };
        }
        kept
    }

    fn changed(&self, indicators: &Indicators, base: u32) -> Option<Arc<[Version]>> {
        let head = indicators.ordinal();
        if let Some(changed) = self.at(head).changed.get(&base) {
            return changed.clone();
        }
        let changed = changed_since(indicators, base).map(Arc::from);
        let mut kept = self.at(head);
        if kept.changed.len() < PLACES_MAX {
            kept.changed.insert(base, changed.clone());
        }
        changed
    }
}

impl Common {
    /// What a feed that stood at `before` came to.
    pub fn new(
        indicators: &Indicators,
        before: &Position,
        (after, step): (&Position, &Step),
        (gathered, removals, is_closed): Parts,
    ) -> Common {
        let mut proven_by: Vec<(Version, bool)> = Vec::new();
        for one in &gathered {
            let version = indicators.record(one.record).current;
            let own = one.release.is_own();
            if !proven_by
                .iter()
                .any(|(held, as_own)| *as_own == own && indicators.is_handled_alike(held, version))
            {
                proven_by.push((*version, own));
            }
        }
        Common {
            digest: Digest {
                count: after.digest.count.wrapping_sub(before.digest.count),
                sum: after.digest.sum.wrapping_sub(before.digest.sum),
            },
            position: *after,
            is_live: matches!(step, Step::Live(_)),
            ready: OnceLock::new(),
            gathered,
            removals,
            is_closed,
            proven_by,
        }
    }

    /// Whether a feed has sent it.
    pub fn is_ready(&self) -> bool {
        self.ready.get().is_some()
    }

    /// The upserts as they are sent; with these bodies, where no feed has sent them yet.
    pub fn ready(&self, bodies: Vec<Bytes>) -> Arc<Ready> {
        let make = || Arc::new(ready(self.gathered.iter().cloned(), bodies));
        self.ready.get_or_init(make).clone()
    }

    /// Moves a feed on to where it stands after the batch.
    pub fn advance(&self, position: &mut Position) -> Step {
        let digest = Digest {
            count: position.digest.count.wrapping_add(self.digest.count),
            sum: position.digest.sum.wrapping_add(self.digest.sum),
        };
        *position = Position {
            digest,
            ..self.position
        };
        match self.is_live {
            true => Step::Live(digest),
            false => Step::Full,
        }
    }
}

/// A version of each kind, as policy decides them, that a pass from `base` to the head looks at. None where members' rights changed
/// meanwhile, where a life ended before `base` (why an indicator went is told by the rights of then), or where it is too much.
fn changed_since(indicators: &Indicators, base: u32) -> Option<Vec<Version>> {
    let mut kinds: Vec<Version> = Vec::new();
    let head = indicators.ordinal();
    if head.saturating_sub(base) > TOUCHES_MAX {
        return None;
    }
    for touch in base..head {
        let record = indicators.record(indicators.touched(touch)?);
        let end = record.end();
        if end.is_some_and(|(_, end)| end.ordinal < base) {
            return None;
        }
        let since_base = record.versions().take_while(|version| version.ordinal >= base);
        let looked_at = since_base.chain(record.at(base)).chain(end.map(|(before, _)| before));
        for version in looked_at {
            if !kinds.iter().any(|held| indicators.is_handled_alike(held, version)) {
                kinds.push(*version);
            }
        }
        if kinds.len() > DECIDED_MAX {
            return None;
        }
    }
    Some(kinds)
}
