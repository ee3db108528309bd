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

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::domain::filter::Filter;
use crate::domain::id::{IndicatorId, MemberId};
use crate::domain::indicator::State;
use crate::domain::member::{Standing, Viewer};
use crate::domain::policy::{self, Release};

use super::cursor::{Binding, Position};
use super::digest::Digest;
use super::error::HubError;
use super::views::Views;
use super::views::indicators::{Indicators, Record, RecordIndex, Version};
use super::views::roster::MemberRecord;
use super::{Caller, Hub, Sighting};

/// How much a feed does at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most indicators in one batch.
    pub batch_items_max: usize,
    /// Bytes of indicators after which a batch is full.
    pub batch_bytes_max: usize,
    /// Most touches looked at under one hold of the views' lock.
    pub touches_per_hold_max: u32,
}

impl Limits {
    /// What feeds run with.
    pub const DEFAULT: Limits = Limits {
        batch_items_max: 512,
        batch_bytes_max: 512 << 10,
        touches_per_hold_max: 4_096,
    };
}

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
    limits: Limits,
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
    pub(super) fn open(
        hub: Hub,
        caller: &Caller,
        filter: Filter,
        cursor: &[u8],
        limits: Limits,
    ) -> Result<Feed, HubError> {
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
            limits,
            position,
            head,
            announced_live: false,
        })
    }

    /// The next batch: at once while there is something to catch up with, then as changes come, and at least every
    /// [`HEARTBEAT`]. It ends with an error once the member may no longer read. Cancel-safe.
    pub async fn next(&mut self) -> Result<Batch, HubError> {
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        tokio::pin!(heartbeat);
        loop {
            let head = *self.head.borrow_and_update();
            let batch = self.step()?;
            let caught_up = batch.live.is_some();
            if !batch.upserts.is_empty() || !batch.removals.is_empty() || (caught_up && !self.announced_live) {
                self.announced_live = caught_up;
                return Ok(batch);
            }
            if !caught_up || self.position.goal < head {
                // A hold of the lock went by with nothing for this member; others come first.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = &mut heartbeat => return Ok(batch),
                changed = self.head.changed() => changed.map_err(|_| HubError::ShuttingDown)?,
            }
        }
    }

    /// One hold of the lock.
    fn step(&mut self) -> Result<Batch, HubError> {
        let hub = self.hub.clone();
        let views = hub.shared.read();
        let member = views.roster.member(self.member);
        let member = member.filter(|member| member.viewer().standing == Standing::Active);
        let member = member.ok_or(HubError::Unauthenticated("the member is suspended or was removed"))?;
        let mut batch = Batch::default();
        self.scan(&views, member, &mut batch);
        if self.position.scanned == self.position.goal && self.position.goal == views.indicators.ordinal() {
            batch.live = Some(self.position.digest);
        }
        drop(views);
        batch.cursor = self.hub.shared.sealer.seal(&self.position, &self.binding);
        Ok(batch)
    }

    fn scan(&mut self, views: &Views, member: &MemberRecord, batch: &mut Batch) {
        if self.position.scanned == self.position.goal {
            self.begin_pass(views, member);
        }
        let pass = Pass::new(&views.indicators, member, &self.filter, &self.position);
        let mut bytes = 0;
        let hold_end = self
            .position
            .goal
            .min(self.position.scanned.saturating_add(self.limits.touches_per_hold_max));
        while self.position.scanned < hold_end {
            let ordinal = self.position.scanned;
            self.position.scanned += 1;
            if let Some(index) = views.indicators.touched(ordinal) {
                bytes += pass.deal_with(index, ordinal, &mut self.position.digest, batch);
            }
            if batch.upserts.len() + batch.removals.len() >= self.limits.batch_items_max
                || bytes >= self.limits.batch_bytes_max
            {
                break;
            }
        }
        if self.position.scanned == self.position.goal {
            self.position.base = self.position.goal;
        }
    }

    fn begin_pass(&mut self, views: &Views, member: &MemberRecord) {
        let (base, goal) = (self.position.goal, views.indicators.ordinal());
        let same_rights = member.viewer_at(base) == member.viewer_at(goal);
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
    member: &'a MemberRecord,
    at_base: Option<&'a Viewer>,
    at_goal: Option<&'a Viewer>,
    base: u32,
    goal: u32,
}

impl<'a> Pass<'a> {
    fn new(indicators: &'a Indicators, member: &'a MemberRecord, filter: &'a Filter, position: &Position) -> Pass<'a> {
        let at = |ordinal| member.viewer_at(ordinal).map(|viewer| &**viewer);
        Pass {
            indicators,
            filter,
            member,
            at_base: at(position.base),
            at_goal: at(position.goal),
            base: position.base,
            goal: position.goal,
        }
    }

    /// Deals with the touch `ordinal`; returns the bytes added to the batch.
    fn deal_with(&self, index: RecordIndex, ordinal: u32, digest: &mut Digest, batch: &mut Batch) -> usize {
        let record = self.indicators.record(index);
        let Some(at_goal) = record.at(self.goal).filter(|version| version.ordinal == ordinal) else {
            return 0;
        };
        let at_base = record.at(self.base);
        let was = at_base.filter(|version| self.sees(self.at_base, version));
        let is = self.sees(self.at_goal, at_goal);
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
        let release = policy::evaluate(self.member.viewer(), &self.indicators.subject(version), sighting)?;
        passes(self.indicators, self.filter, version).then_some(release)
    }

    /// The end of an indicator's life is named to those only who saw it until that moment: what happens to it after it left the
    /// member's sight is not the member's to know, and what they held they are told of, whatever label it stood under.
    fn removal_reason(&self, record: &Record) -> RemovalReason {
        let held = |(before, end): &(&Version, &Version)| {
            let viewer = self.member.viewer_at(end.ordinal);
            self.sees(viewer.map(|viewer| &**viewer), before)
        };
        match record.end().filter(held).map(|(_, end)| end.state) {
            Some(State::Retracted) => RemovalReason::Retracted,
            Some(State::Expired) => RemovalReason::Expired,
            Some(State::Active | State::Embargoed) | None => RemovalReason::NoLongerVisible,
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
