//! Feeds: what one member may see through one filter, as a resumable sequence of changes.
//!
//! A feed keeps no list of what it has sent. It works in **passes**. A pass begins where the mirror equals what was visible at the
//! ordinal `base`, and ends at `goal`, the head when the pass began; then the mirror equals what is visible at `goal`. The pass
//! scans the touches from `base` (or, where the member's own rights changed between the two moments, from the first touch) and
//! deals with each indicator once:
//!
//! - visible at `goal` and still visible now: `upsert`, in its newest version;
//! - visible at `base` and otherwise: `remove`;
//! - else nothing, so that nobody learns of what was never theirs.
//!
//! A pass has two **phases**: it scans once for what is not visible at `goal`, and then again for what is. So whoever comes back is
//! told first of all what was taken back, however much else it missed; also where it comes back in the middle of a pass (`ahead`).
//! An empty mirror skips the first phase.
//!
//! An earlier stream of a durable subscription may have brought what its cursor does not cover, because the program ended
//! between the line and the cursor. Such an indicator is removed too where it is visible no more, though it was not at `base`.
//!
//! "Still visible now" guards what was taken back after the pass began. What is left out because of it has a later touch, and the
//! next pass deals with it; unless a right of the member went and may come back, which touches no indicator: then the member is
//! *owed* everything that is visible, and the next pass sends it again.
//!
//! All questions are answered from the fold's history, so the position (`base`, `scanned`, `goal`, the phase) is all that a cursor
//! needs to hold, and a feed can be resumed anywhere, by any hub that holds the same log. Several changes of one indicator within a
//! pass arrive as one.
//!
//! What a value filter asks of a version may have been erased since. Where the answer matters, a cursor from before is refused, and the
//! subscriber takes a snapshot.
//!
//! Where a batch ends depends on what the member may see alone. A batch is handed out when the feed is live, or when it is full and
//! there is another change to send (the first upsert after removals counts the batch as full): how many touches of others' lie between, and how often the lock was let go on the way, would
//! otherwise show in the number and size of batches.

mod pass;
mod plan;

mod ahead;
pub(super) mod alike;
mod filling;
mod upserts;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::domain::filter::Filter;
use crate::domain::id::{IndicatorId, MemberId};
use crate::domain::member::Role;

use super::cursor::{Binding, Phase, Position};
use super::digest::Digest;
use super::error::HubError;
use super::quota::Place;
use super::roster;
use super::subscription::Durable;
use super::views::Views;
use super::views::at_hand::AtHand;
use super::views::indicators::Indicators;
use super::views::roster::MemberRecord;
use super::views::sight::Span;
use super::{Caller, Hub};
use ahead::Looking;
use filling::{Filling, InHand};
use pass::Pass;
use plan::{Next, Plan};

pub use upserts::Upserts;

/// How much a feed does at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most indicators in one batch.
    pub batch_items_max: usize,
    /// Bytes of indicators after which a batch is full.
    pub batch_bytes_max: usize,
    /// Most touches looked at under one hold of the views' lock.
    pub touches_per_hold_max: u32,
    /// A pass of at most so many touches looks at each; a longer one looks for those first that may matter.
    pub touches_walked_max: u32,
}

impl Limits {
    /// What feeds run with. A full response takes four HTTP/2 frames of 16 KiB and not a little of a fifth, which costs as much to send.
    pub const DEFAULT: Limits = Limits {
        batch_items_max: 512,
        batch_bytes_max: 62 << 10,
        touches_per_hold_max: 4_096,
        touches_walked_max: 4_096,
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
#[derive(Debug)]
pub struct Batch {
    /// Became visible or changed.
    pub upserts: Upserts,
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
    /// Of the pass that is under way, once it has been looked at.
    plan: Option<Plan>,
    head: watch::Receiver<u32>,
    announced_live: bool,
    filling: Filling,
    looking: Looking,
    /// For filters that ask for what only bodies tell.
    bodies: AtHand,
    /// The touch at which bodies were missing.
    short_at: u32,
    durable: Option<Durable>,
    _place: Place,
}

/// What a hold of the lock came to.
enum Step {
    /// There is more to scan.
    More,
    /// The batch is full, and there is a change for the next.
    Full,
    /// Bodies must be read before there is an answer.
    Short,
    /// What would have to be asked was erased: nothing but a snapshot can bring the mirror to what it must be.
    Untold,
    /// Nothing is left to scan.
    Live(Digest),
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hub.shared.feeds_open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hub {
    /// Opens a feed. `cursor` is empty for a snapshot first.
    pub fn subscribe(&self, caller: &Caller, filter: Filter, cursor: &[u8]) -> Result<Feed, HubError> {
        self.subscribe_within(caller, filter, cursor, Limits::DEFAULT)
    }

    /// As [`Hub::subscribe`], with other limits; for tests, which reach the ends of batches and holds with a few indicators.
    #[doc(hidden)]
    pub fn subscribe_within(
        &self,
        caller: &Caller,
        filter: Filter,
        cursor: &[u8],
        limits: Limits,
    ) -> Result<Feed, HubError> {
        caller.require(Role::Subscriber)?;
        Feed::open(self.clone(), caller, filter, cursor, limits)
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
        let place = hub.shared.quotas.take_feed(caller.member)?;
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
        // Asked of the views, as the position was: the head that readers wait on moves a moment later.
        if !hub.shared.read().has_been_at(&position) {
            return Err(refused(
                "is of what this hub's log does not hold; subscribe without one for a snapshot",
            ));
        }
        hub.shared.feeds_open.fetch_add(1, Ordering::Relaxed);
        let bodies = AtHand::collecting(&hub.shared.bodies);
        Ok(Feed {
            hub,
            member: caller.member,
            filter,
            binding,
            limits,
            position,
            plan: None,
            head,
            announced_live: false,
            filling: Filling::default(),
            looking: match position.is_settled() {
                true => Looking::Done,
                false => Looking::Due,
            },
            bodies,
            short_at: 0,
            durable: None,
            _place: place,
        })
    }

    /// The hub that it is a feed of.
    pub fn hub(&self) -> &Hub {
        &self.hub
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
    /// [`HEARTBEAT`]. It ends with an error once the member may no longer read. Cancel-safe.
    pub async fn next(&mut self) -> Result<Batch, HubError> {
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        tokio::pin!(heartbeat);
        loop {
            if self.hub.shared.stopping.is_cancelled() {
                return Err(HubError::ShuttingDown);
            }
            // Marked as seen before the step reads the views, so that what comes after is noticed.
            self.head.borrow_and_update();
            let digest = match self.step()? {
                // Others come first.
                Step::More => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Step::Short => {
                    self.bring_bodies().await?;
                    continue;
                }
                Step::Untold => {
                    return Err(HubError::CursorRefused {
                        field: "cursor",
                        reason: "is older than what was erased since; subscribe without one for a snapshot",
                    });
                }
                Step::Full => {
                    self.announced_live = false;
                    return self.batch(None).await;
                }
                Step::Live(digest) => digest,
            };
            if !self.filling.is_empty() || !self.announced_live {
                self.announced_live = true;
                return self.batch(Some(digest)).await;
            }
            let ended = async {
                match &self.durable {
                    Some(durable) => durable.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                error = ended => return Err(error),
                () = self.hub.shared.stopping.cancelled() => return Err(HubError::ShuttingDown),
                () = &mut heartbeat => return self.batch(Some(digest)).await,
                changed = self.head.changed() => changed.map_err(|_| HubError::ShuttingDown)?,
            }
        }
    }

    /// Has the bodies read that were missing. Those for an earlier place are not needed any more.
    async fn bring_bodies(&mut self) -> Result<(), HubError> {
        let missing = self.bodies.take_missing();
        let place = self.place();
        if std::mem::replace(&mut self.short_at, place) != place {
            self.bodies.forget();
        }
        self.hub.bring(&mut self.bodies, missing).await
    }

    /// Hands out what was gathered, once the log has what it must have of it.
    async fn batch(&mut self, live: Option<Digest>) -> Result<Batch, HubError> {
        let reader = self.hub.shared.bodies.passing_by();
        let bodies = self.hub.read_bodies(reader, self.filling.lacks()).await?;
        let gathered = self.filling.gathered();
        let found = gathered.iter().map(|gathered| &gathered.release);
        self.hub.disclose(self.member, found).await?;
        if let Some(durable) = &self.durable {
            let sent = (!gathered.is_empty()).then_some(self.filling.checked_at());
            durable.reach(sent, self.position.proven())?;
        }
        let (upserts, removals) = std::mem::take(&mut self.filling).hand_out(bodies);
        Ok(Batch {
            upserts,
            removals,
            cursor: self.hub.shared.sealer.seal(&self.position, &self.binding),
            live,
        })
    }

    /// One hold of the lock.
    fn step(&mut self) -> Result<Step, HubError> {
        if let Some(plan) = &mut self.plan {
            plan.sort();
        }
        let hub = self.hub.clone();
        let views = hub.shared.read();
        let member = roster::active(&views, self.member)?;
        let indicators = &views.indicators;
        self.filling.take_apart();
        let Some(question) = self.question(indicators, member) else {
            return Ok(self.work(&views, member));
        };
        if let Some(common) = hub.shared.common.find(&question, indicators, member.viewer()) {
            let step = common.body().advance(&mut self.position);
            self.plan = None;
            self.filling = Filling::of(InHand::Alike(common), indicators.ordinal());
            return Ok(step);
        }
        let before = self.position;
        let step = self.work(&views, member);
        if matches!(step, Step::Full | Step::Live(_)) && !self.position.owed {
            let common = Arc::new(self.filling.in_common(indicators, &before, (&self.position, &step)));
            hub.shared.common.keep(question, indicators, common.clone());
            self.filling = Filling::of(InHand::Own(common), indicators.ordinal());
        }
        Ok(step)
    }

    /// Works out what comes next.
    fn work(&mut self, views: &Views, member: &MemberRecord) -> Step {
        let indicators = &views.indicators;
        let mut steps_left = self.limits.touches_per_hold_max;
        if let Some(step) = self.look_ahead(indicators, member, &mut steps_left) {
            return step;
        }
        loop {
            if self.position.is_settled() {
                if self.position.goal == indicators.ordinal() {
                    return self.live(indicators, member);
                }
                self.begin_pass(views, member);
            }
            let pass = Pass::new(
                (indicators, &self.bodies),
                member,
                &self.filter,
                &self.position,
                earlier(&self.durable),
            );
            let plan = self.plan.get_or_insert_with(|| Plan::new(&pass, &self.limits));
            loop {
                let touch = match plan.next(&pass, self.position.scanned, &mut steps_left) {
                    Next::Touch(touch) if steps_left > 0 => touch,
                    Next::Touch(_) | Next::Later => return Step::More,
                    Next::End => break,
                };
                steps_left -= 1;
                self.position.scanned = touch;
                let dealt = pass.deal_with(touch);
                if pass.is_short_at(touch) {
                    return Step::Short;
                }
                if pass.is_untold() {
                    return Step::Untold;
                }
                if let Some(change) = &dealt.change
                    && self.filling.is_full_for(change, &self.limits)
                {
                    let Some(owes) = self.filling.check(&pass, indicators.ordinal()) else {
                        return Step::Short;
                    };
                    self.position.owed |= owes;
                    if !self.filling.is_empty() {
                        return Step::Full;
                    }
                    // All of it was taken back: the batch begins anew.
                    self.filling = Filling::default();
                }
                self.position.scanned += 1;
                dealt.count(&mut self.position.digest);
                self.position.owed |= dealt.owes;
                if let Some(change) = dealt.change {
                    self.filling.add(change, indicators.ordinal());
                }
            }
            match self.position.phase {
                Phase::Removals => {
                    self.position.phase = Phase::Upserts;
                    self.position.scanned = pass.start();
                    plan.rewind(&pass, self.position.scanned);
                }
                Phase::Upserts | Phase::Both => {
                    (self.position.scanned, self.position.base) = (self.position.goal, self.position.goal);
                    self.plan = None;
                }
            }
        }
    }

    /// Nothing is left to scan.
    fn live(&mut self, indicators: &Indicators, member: &MemberRecord) -> Step {
        let pass = Pass::new(
            (indicators, &self.bodies),
            member,
            &self.filter,
            &self.position,
            earlier(&self.durable),
        );
        match self.filling.check(&pass, indicators.ordinal()) {
            None => Step::Short,
            Some(owes) => {
                self.position.owed |= owes;
                Step::Live(self.position.digest)
            }
        }
    }

    fn begin_pass(&mut self, views: &Views, member: &MemberRecord) {
        let indicators = &views.indicators;
        self.filling.close();
        let position = &mut self.position;
        position.base = position.goal;
        position.goal = indicators.ordinal();
        position.run = views.runs.at(position.goal);
        position.again = std::mem::take(&mut position.owed);
        // An empty mirror has nothing to lose.
        position.phase = match position.base == 0 && earlier(&self.durable).is_empty() {
            true => Phase::Upserts,
            false => Phase::Removals,
        };
        let pass = Pass::new(
            (indicators, &self.bodies),
            member,
            &self.filter,
            position,
            earlier(&self.durable),
        );
        position.scanned = pass.start();
    }
}

/// What earlier streams may have brought; nothing where the feed is not durable.
fn earlier(durable: &Option<Durable>) -> &[Span] {
    durable.as_ref().map(Durable::earlier).unwrap_or_default()
}

/// What a feed's cursors are bound to.
pub(super) fn binding(member: MemberId, filter: &Filter) -> Binding {
    let mut bound_to = b"feed:".to_vec();
    bound_to.extend_from_slice(&filter.fingerprint_bytes());
    Binding::new(member, &bound_to)
}
