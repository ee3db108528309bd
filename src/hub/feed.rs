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
//! A pass has two **phases**: it scans once for what is not visible at `goal`, and then again for what is. So whoever comes back is
//! told first of all what was taken back, however much else it missed. An empty mirror skips the first phase.
//!
//! An earlier stream of a durable subscription may have brought what its cursor does not cover, because the program ended
//! between the line and the cursor. Such an indicator is removed too where it is visible no more, though it was not at `base`.
//!
//! "Still visible now" guards what was taken back after the pass began. What is left out because of it has a later touch, and the
//! next pass deals with it; unless a right of the member went and may come back, which touches no indicator: then the next pass is
//! *owed* everything that is visible, and sends it again.
//!
//! All questions are answered from the fold's history, so the position (`base`, `scanned`, `goal`, the phase) is all that a cursor
//! needs to hold, and a feed can be resumed anywhere, by any hub that holds the same log. Several changes of one indicator within a pass arrive as one.

mod pass;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::domain::filter::Filter;
use crate::domain::id::{IndicatorId, MemberId};
use crate::domain::member::Standing;
use crate::domain::policy::Release;

use super::cursor::{Binding, Phase, Position};
use super::digest::Digest;
use super::error::HubError;
use super::subscription::Durable;
use super::views::Views;
use super::views::roster::MemberRecord;
use super::{Caller, Hub, Sighting};
use pass::{Change, Pass};

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
    durable: Option<Durable>,
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
        let binding = binding(caller.member, &filter);
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
            durable: None,
        })
    }

    /// What a cursor proves to have been applied when the feed is opened with it.
    pub(super) fn proven(&self) -> u32 {
        self.position.proven()
    }

    /// Makes it the stream of a durable subscription.
    pub(super) fn bind(&mut self, durable: Durable) {
        self.durable = Some(durable);
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
            let ended = async {
                match &self.durable {
                    Some(durable) => durable.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ended => {}
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
        let member = views.roster.member(self.member);
        let member = member.filter(|member| member.viewer().standing == Standing::Active);
        let member = member.ok_or(HubError::Unauthenticated("the member is suspended or was removed"))?;
        let mut batch = Batch::default();
        self.scan(&views, member, &mut batch);
        let head = views.indicators.ordinal();
        if self.position.is_settled() && self.position.goal == head {
            batch.live = Some(self.position.digest);
        }
        if let Some(durable) = &self.durable {
            let sent = (!batch.upserts.is_empty()).then_some(head);
            durable.reach(sent, self.position.proven())?;
        }
        drop(views);
        batch.cursor = self.hub.shared.sealer.seal(&self.position, &self.binding);
        Ok(batch)
    }

    fn scan(&mut self, views: &Views, member: &MemberRecord, batch: &mut Batch) {
        if self.position.is_settled() {
            self.begin_pass(views, member);
        }
        let earlier = self.durable.as_ref().map(Durable::earlier).unwrap_or_default();
        let mut pass = Pass::new(&views.indicators, member, &self.filter, &self.position, earlier);
        let (mut bytes, mut touches) = (0, 0);
        loop {
            if self.position.scanned == self.position.goal {
                if self.position.phase != Phase::Removals {
                    self.position.base = self.position.goal;
                    return;
                }
                self.position.phase = Phase::Upserts;
                self.position.scanned = pass.start();
                pass.phase = Phase::Upserts;
                continue;
            }
            let items = batch.upserts.len() + batch.removals.len();
            let is_full = items >= self.limits.batch_items_max || bytes >= self.limits.batch_bytes_max;
            if is_full || touches == self.limits.touches_per_hold_max {
                return;
            }
            touches += 1;
            let dealt = pass.deal_with(self.position.scanned);
            // What was taken back goes out before anything else does, in a batch of its own that can be confirmed at once.
            if matches!(dealt.change, Some(Change::Upsert(_))) && !batch.removals.is_empty() {
                return;
            }
            self.position.scanned += 1;
            dealt.count(&mut self.position.digest);
            self.position.owed |= dealt.owes;
            match dealt.change {
                Some(Change::Upsert(release)) => {
                    bytes += release.body().byte_len();
                    batch.upserts.push(release);
                }
                Some(Change::Remove(id, reason)) => batch.removals.push((id, reason)),
                None => {}
            }
        }
    }

    fn begin_pass(&mut self, views: &Views, member: &MemberRecord) {
        let (base, goal) = (self.position.goal, views.indicators.ordinal());
        self.position.base = base;
        self.position.goal = goal;
        if base == goal {
            self.position.scanned = goal;
            self.position.phase = Phase::Upserts;
            return;
        }
        self.position.again = std::mem::take(&mut self.position.owed);
        let earlier = self.durable.as_ref().map(Durable::earlier).unwrap_or_default();
        // An empty mirror has nothing to lose.
        self.position.phase = match base == 0 && earlier.is_empty() {
            true => Phase::Upserts,
            false => Phase::Removals,
        };
        self.position.scanned = Pass::new(&views.indicators, member, &self.filter, &self.position, earlier).start();
    }
}

/// What a feed's cursors are bound to.
pub(super) fn binding(member: MemberId, filter: &Filter) -> Binding {
    let mut bound_to = b"feed:".to_vec();
    bound_to.extend_from_slice(&filter.fingerprint_bytes());
    Binding::new(member, &bound_to)
}
