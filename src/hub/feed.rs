//! Feeds: what one member may see through one filter, as a resumable sequence of changes.
//!
//! A feed keeps no list of what it has sent. It works in **passes**. A pass begins where the mirror equals what was visible at the
//! ordinal `base`, and ends at `goal`, the head when the pass began; then the mirror equals what is visible at `goal`. The pass
//! scans the touches from `base` (or, where the member's own rights differ between the two moments, from the first touch) and
//! deals with each indicator once, at its last touch before `goal`:
//!
//! - visible at `goal` and still visible now: `upsert`, in its newest version;
//! - visible at `base` and otherwise: `remove`;
//! - else nothing, so that nobody learns of what was never theirs.
//!
//! "Still visible now" guards what was taken back after the pass began. All three questions are answered from the fold's history,
//! so the position (`base`, `scanned`, `goal`) is all that a cursor needs to hold, and a feed can be resumed anywhere, by any hub
//! that holds the same log. Several changes of one indicator within a pass arrive as one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::domain::filter::Filter;
use crate::domain::id::{IndicatorId, MemberId};
use crate::domain::indicator::State;
use crate::domain::member::{Standing, Viewer};
use crate::domain::policy::{self, Release, Subject};

use super::cursor::{Binding, Position};
use super::digest::Digest;
use super::error::HubError;
use super::views::Views;
use super::views::indicators::{Indicators, Record, RecordIndex, Version};
use super::{Caller, Hub, Sighting};

/// Most indicators in one batch.
const BATCH_ITEMS_MAX: usize = 512;

/// Bytes of indicators after which a batch is full.
const BATCH_BYTES_MAX: usize = 512 << 10;

/// Most touches looked at under one hold of the views' lock.
const TOUCHES_PER_HOLD_MAX: u32 = 4_096;

/// How long a quiet feed goes without a heartbeat.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// Why an indicator left the mirror.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemovalReason {
    /// Its owner took it back.
    Retracted,
    /// Its validity ended.
    Expired,
    /// Its handling or the member's rights no longer grant it, or it no longer passes the filter.
    NoLongerVisible,
}

/// A step of a feed. An id stands at most once in it.
#[derive(Debug, Default)]
pub struct Batch {
    /// Became visible or changed.
    pub upserts: Vec<Release<Sighting>>,
    /// Ceased to be visible.
    pub removals: Vec<(IndicatorId, RemovalReason)>,
    /// Where the subscriber stands once it has applied the batch.
    pub cursor: Bytes,
    /// Set where the mirror now equals what a query would return: the sum it must have.
    pub live: Option<Digest>,
}

/// An open feed.
pub struct Feed {
    hub: Hub,
    member: MemberId,
    filter: Filter,
    binding: Binding,
    position: Position,
    head: watch::Receiver<u32>,
    announced_live: bool,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hub.shared.feeds_open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Feed {
    pub(super) fn open(hub: Hub, caller: &Caller, filter: Filter, cursor: &[u8]) -> Result<Feed, HubError> {
        filter.check()?;
        let mut bound_to = b"feed:".to_vec();
        bound_to.extend_from_slice(&filter.fingerprint_bytes());
        let binding = Binding::new(caller.member, &bound_to);
        let refused = |reason| HubError::CursorRefused {
            field: "cursor",
            reason,
        };
        let position = match cursor.is_empty() {
            true => Position::default(),
            false => hub.shared.sealer.open(cursor, &binding).ok_or(refused(
                "is not a cursor of this hub for this member and filter; subscribe without one for a snapshot",
            ))?,
        };
        let head = hub.shared.head.subscribe();
        if position.goal > *head.borrow() {
            return Err(refused(
                "is ahead of this hub's log; subscribe without one for a snapshot",
            ));
        }
        hub.shared.feeds_open.fetch_add(1, Ordering::Relaxed);
        Ok(Feed {
            hub,
            member: caller.member,
            filter,
            binding,
            position,
            head,
            announced_live: false,
        })
    }

    /// The next batch: at once while there is something to catch up with, then as changes come, and at least every
    /// [`HEARTBEAT`]. It ends with an error once the member may no longer read. A call that is dropped before it ends may take a batch
    /// with it: then the feed must be opened anew from the last cursor.
    pub async fn next(&mut self) -> Result<Batch, HubError> {
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        tokio::pin!(heartbeat);
        loop {
            if self.hub.shared.stopping.is_cancelled() {
                return Err(HubError::ShuttingDown);
            }
            let head = *self.head.borrow_and_update();
            let batch = self.step()?;
            let caught_up = batch.live.is_some();
            if !batch.upserts.is_empty() || !batch.removals.is_empty() || (caught_up && !self.announced_live) {
                self.announced_live = caught_up;
                self.hub.disclose(self.member, &batch.upserts).await?;
                return Ok(batch);
            }
            if !caught_up || self.position.goal < head {
                // A hold of the lock went by with nothing for this member; others come first.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = self.hub.shared.stopping.cancelled() => return Err(HubError::ShuttingDown),
                () = &mut heartbeat => return Ok(batch),
                changed = self.head.changed() => changed.map_err(|_| HubError::ShuttingDown)?,
            }
        }
    }

    /// One hold of the lock.
    fn step(&mut self) -> Result<Batch, HubError> {
        let hub = self.hub.clone();
        let views = hub.shared.read();
        let viewer = views.roster.member(self.member).map(|member| member.viewer().clone());
        let viewer = viewer.filter(|viewer| viewer.standing == Standing::Active);
        let now = viewer.ok_or(HubError::Unauthenticated("the member is suspended or was removed"))?;
        let mut batch = Batch::default();
        self.scan(&views, &now, &mut batch);
        if self.position.scanned == self.position.goal && self.position.goal == views.indicators.ordinal() {
            batch.live = Some(self.position.digest);
        }
        drop(views);
        batch.cursor = self.hub.shared.sealer.seal(&self.position, &self.binding);
        Ok(batch)
    }

    fn scan(&mut self, views: &Views, now: &Viewer, batch: &mut Batch) {
        if self.position.scanned == self.position.goal {
            self.begin_pass(views);
        }
        let pass = Pass::new(
            views,
            self.member,
            &self.filter,
            self.position.base,
            self.position.goal,
            now,
        );
        let mut bytes = 0;
        let hold_end = self
            .position
            .goal
            .min(self.position.scanned.saturating_add(TOUCHES_PER_HOLD_MAX));
        while self.position.scanned < hold_end {
            let ordinal = self.position.scanned;
            self.position.scanned += 1;
            if let Some(index) = views.indicators.touched(ordinal) {
                bytes += pass.deal_with(index, ordinal, &mut self.position.digest, batch);
            }
            if batch.upserts.len() + batch.removals.len() >= BATCH_ITEMS_MAX || bytes >= BATCH_BYTES_MAX {
                break;
            }
        }
        if self.position.scanned == self.position.goal {
            self.position.base = self.position.goal;
        }
    }

    fn begin_pass(&mut self, views: &Views) {
        let (base, goal) = (self.position.goal, views.indicators.ordinal());
        let rights = |ordinal| {
            views
                .roster
                .member(self.member)
                .and_then(|member| member.viewer_at(ordinal))
        };
        let same_rights = rights(base) == rights(goal);
        self.position.base = base;
        self.position.goal = goal;
        // Other rights reach back to everything that was published before; an empty mirror has nothing behind it.
        self.position.scanned = if same_rights { base } else { 0 };
        if base == goal {
            self.position.scanned = goal;
        }
    }
}

/// The three moments of one pass.
struct Pass<'a> {
    indicators: &'a Indicators,
    filter: &'a Filter,
    at_base: Option<Arc<Viewer>>,
    at_goal: Option<Arc<Viewer>>,
    now: &'a Viewer,
    base: u32,
    goal: u32,
}

impl<'a> Pass<'a> {
    fn new(views: &'a Views, member: MemberId, filter: &'a Filter, base: u32, goal: u32, now: &'a Viewer) -> Pass<'a> {
        let at = |ordinal| {
            views
                .roster
                .member(member)
                .and_then(|member| member.viewer_at(ordinal))
                .cloned()
        };
        Pass {
            indicators: &views.indicators,
            filter,
            at_base: at(base),
            at_goal: at(goal),
            now,
            base,
            goal,
        }
    }

    /// Deals with the touch `ordinal`; returns the bytes added to the batch.
    fn deal_with(&self, index: RecordIndex, ordinal: u32, digest: &mut Digest, batch: &mut Batch) -> usize {
        let record = self.indicators.record(index);
        let Some(at_goal) = record.at(self.goal).filter(|version| version.ordinal == ordinal) else {
            return 0;
        };
        let at_base = record.at(self.base);
        let was = at_base.filter(|version| self.sees(self.at_base.as_deref(), version));
        let is = self.sees(self.at_goal.as_deref(), at_goal);
        if ordinal < self.base && was.is_some() == is {
            // Reached by a change of the member's rights, which changed nothing here.
            return 0;
        }
        if let Some(version) = was {
            digest.subtract(record.id, version.revision);
        }
        if is {
            digest.add(record.id, at_goal.revision);
            if let Some(release) = self.release_now(record) {
                let bytes = release.body().byte_len();
                batch.upserts.push(release);
                return bytes;
            }
        }
        if was.is_some() {
            batch.removals.push((record.id, self.removal_reason(record)));
        }
        0
    }

    fn sees(&self, viewer: Option<&Viewer>, version: &Version) -> bool {
        let subject = self.indicators.subject(version);
        viewer.is_some_and(|viewer| policy::evaluate(viewer, &subject, ()).is_some())
            && passes(self.indicators, self.filter, version)
    }

    fn release_now(&self, record: &Record) -> Option<Release<Sighting>> {
        let version = &record.current;
        let sighting = Sighting::new(self.indicators, record, version);
        let release = policy::evaluate(self.now, &self.indicators.subject(version), sighting)?;
        passes(self.indicators, self.filter, version).then_some(release)
    }

    /// The owner's act is named only where nothing else stands between the member and the indicator: what happened to it after
    /// it left the member's sight is not the member's to know.
    fn removal_reason(&self, record: &Record) -> RemovalReason {
        let version = &record.current;
        let subject = Subject {
            state: State::Active,
            ..self.indicators.subject(version)
        };
        match policy::evaluate(self.now, &subject, version.state) {
            Some(release) if *release.body() == State::Retracted => RemovalReason::Retracted,
            Some(release) if *release.body() == State::Expired => RemovalReason::Expired,
            _ => RemovalReason::NoLongerVisible,
        }
    }
}

/// Whether a version passes a filter.
pub(super) fn passes(indicators: &Indicators, filter: &Filter, version: &Version) -> bool {
    filter.is_all()
        || indicators
            .decode(version)
            .is_some_and(|indicator| filter.matches(&indicator))
}
