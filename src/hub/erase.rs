//! Erasing: what is kept no longer, by rule or by order, goes out of the log, the store of bodies and memory. A round first carries
//! out what earlier rounds wrote down, then writes down what goes next: the record is durable before anything is erased, and between
//! the two feeds can tell owners that what was theirs alone is gone. What an admin ordered does not wait for another round.
//!
//! It works beside the sequencer: what takes long is done on a thread that may wait, and rests after each epoch for several times as
//! long as it worked. A crash leaves records that are not carried out, and the next start's first round carries them out.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::domain::id::{IndicatorId, Seq, Timestamp};
use crate::domain::indicator::{State, Text};
use crate::log::bodies::BodyNumber;
use crate::log::entry::{ENTRIES_PER_ERASURE_MAX, Entry, Erased, Event, digest_of, left_of};
use crate::log::{DiskError, EraseError, Eraser, Log, LogReader, ReadError};

use super::error::HubError;
use super::roster::Asked;
use super::sequencer::Verdict;
use super::views::Views;
use super::{Caller, Hub};

/// An epoch is written anew once a tenth of its entries are to go: the cost is that of all of them.
const WORTH_ENTRIES: u64 = 10;

/// How many times as long as it worked on an epoch a round rests.
const REST: u32 = 4;

/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(60);

/// How long a round waits for an epoch to be sealed, or for bodies to be written.
const PATIENCE: Duration = Duration::from_secs(60);

/// Entries and touches looked at under one hold of the views' lock.
const PER_HOLD_MAX: usize = 1_024;

/// How long entries are kept, in seconds; none: for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// A revision, after a newer one took its place.
    pub superseded_secs: Option<u32>,
    /// An indicator, after it was retracted.
    pub retracted_secs: Option<u32>,
    /// An indicator, after it expired.
    pub expired_secs: Option<u32>,
}

/// Why a round stopped before its end. Another one goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The log or an epoch of it.
    #[error(transparent)]
    Log(#[from] EraseError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store of bodies.
    #[error(transparent)]
    Bodies(#[from] crate::log::bodies::BodyError),
    /// The snapshot of the views could not be removed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The record could not be written.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The thread that was to do it.
    #[error(transparent)]
    Thread(#[from] tokio::task::JoinError),
}

/// What was erased.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ErasedCounts {
    /// Entries of the log that are erased.
    pub entries: u64,
    /// Bytes that this run of the hub gave back to the disk by erasing.
    pub bytes_returned: u64,
}

/// The log as this room uses it beside the sequencer.
#[derive(Clone)]
pub(super) struct LogHandles {
    pub reader: LogReader,
    pub eraser: Eraser,
}

impl LogHandles {
    pub fn of(log: &Log) -> LogHandles {
        LogHandles {
            reader: log.reader(),
            eraser: log.eraser(),
        }
    }
}

/// Touches before which something must have happened for entries to go.
#[derive(Clone, Copy)]
struct Cutoffs {
    superseded: u32,
    retracted: u32,
    expired: u32,
}

/// An entry that may go.
#[derive(Clone, Copy)]
struct Candidate {
    seq: Seq,
    id: IndicatorId,
    revision: u32,
    left: [u8; 32],
}

impl Hub {
    /// Has all entries of an indicator erased, whatever its publisher and its members wish: an admin's, and a second admin's where there
    /// is one. One that stands is taken back from everybody first. It is done by the next round.
    pub async fn order_erasure(
        &self,
        caller: &Caller,
        id: IndicatorId,
        reason: Text<500>,
    ) -> Result<Asked<IndicatorId>, HubError> {
        let event = Event::ErasureOrdered {
            indicator: id,
            reason: reason.as_str().to_owned(),
        };
        Ok(match self.ask(caller, event).await? {
            Some(pending) => Asked::Pending(pending),
            None => Asked::Done(id),
        })
    }

    /// Waits for an order.
    pub async fn erasure_ordered(&self) {
        self.shared.erasure_ordered.notified().await;
    }

    /// What was erased.
    pub fn erased(&self) -> ErasedCounts {
        ErasedCounts {
            entries: self.shared.read().erasures.entries(),
            bytes_returned: self.shared.bytes_returned.load(Ordering::Relaxed),
        }
    }

    /// One round; one at a time. After each epoch it asks its caller to `rest` for so long.
    pub async fn erase_due(&self, rest: impl AsyncFn(Duration)) -> Result<(), RoundError> {
        self.carry_out(&rest).await?;
        self.follow_orders(&rest).await?;
        if self.shared.retention == Retention::default() {
            return Ok(());
        }
        for span in self.sealed()? {
            let begun = Instant::now();
            let due = self.count_due(&span).await;
            if due > 0 && due * WORTH_ENTRIES >= span.end.0 - span.start.0 {
                self.write_down(span).await?;
            }
            rest(after(begun)).await;
        }
        Ok(())
    }

    /// Erases what was ordered, wherever it lies.
    async fn follow_orders(&self, rest: &impl AsyncFn(Duration)) -> Result<(), RoundError> {
        let spans = self.ordered_spans();
        let Some(end) = spans.iter().map(|(_, end)| *end).max() else {
            return Ok(());
        };
        if self.sealed()?.last().is_none_or(|sealed| sealed.end < end) {
            // The sequencer must not have to wait for an epoch that is being sealed.
            self.wait_until_sealed().await?;
            self.end_epoch().await?;
            self.wait_until_sealed().await?;
        }
        for span in self.sealed()? {
            for (start, end) in &spans {
                let within = span.start.max(*start)..span.end.min(*end);
                if !within.is_empty() {
                    self.write_down(within).await?;
                }
            }
        }
        self.carry_out(rest).await
    }

    /// Where the entries lie that orders wait for, in order and apart.
    fn ordered_spans(&self) -> Vec<(Seq, Seq)> {
        let views = self.shared.read();
        let mut spans = BTreeSet::new();
        for index in views.erasures.ordered() {
            let record = views.indicators.record(index);
            for version in record.versions().filter(|version| version.body != BodyNumber::ERASED) {
                let span = views.timeline.seqs(version.ordinal);
                spans.insert((span.start, span.end));
            }
        }
        spans.into_iter().collect()
    }

    /// Writes down what may go of the entries in `span`, which lies in one sealed epoch.
    async fn write_down(&self, span: Range<Seq>) -> Result<(), RoundError> {
        let hub = self.clone();
        let found = tokio::task::spawn_blocking(move || hub.find(span)).await??;
        for candidates in found.chunks(ENTRIES_PER_ERASURE_MAX) {
            self.record(candidates.to_vec()).await?;
        }
        Ok(())
    }

    /// Makes the record durable, if all of it may still go: what had expired may have been revised.
    async fn record(&self, candidates: Vec<Candidate>) -> Result<(), HubError> {
        let (at, retention) = (self.now(), self.shared.retention);
        self.sequencer
            .propose(move |views, staged| {
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                let cutoffs = Cutoffs::at(views, &retention, at);
                if candidates
                    .iter()
                    .all(|one| may_go(views, &cutoffs, one.id, one.revision))
                {
                    let event = Event::EntriesErased(Box::new(erased(views, &candidates)));
                    staged.push(Entry { at, actor: None, event });
                }
                Ok(Verdict::answer(()))
            })
            .await
    }

    async fn wait_until_sealed(&self) -> Result<(), RoundError> {
        let eraser = self.log_handles().eraser;
        tokio::task::spawn_blocking(move || eraser.wait_until_sealed(PATIENCE)).await?;
        Ok(())
    }

    async fn end_epoch(&self) -> Result<(), HubError> {
        self.sequencer
            .propose(move |_, staged| {
                staged.ends_epoch = true;
                Ok(Verdict::answer(()))
            })
            .await
    }

    /// About how many entries of an epoch may go and are not erased.
    async fn count_due(&self, span: &Range<Seq>) -> u64 {
        let (mut next, mut due) = (None, 0);
        loop {
            {
                let views = self.shared.read();
                let ordinals = views.timeline.ordinals(span);
                let end = ordinals.end.min(views.indicators.ordinal());
                let from = next.unwrap_or(ordinals.start);
                if from >= end {
                    return due;
                }
                let until = end.min(from + PER_HOLD_MAX as u32);
                let cutoffs = Cutoffs::at(&views, &self.shared.retention, self.now());
                due += (from..until).filter(|touch| is_due(&views, &cutoffs, *touch)).count() as u64;
                next = Some(until);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Reads entries, and finds those that may go. Blocks.
    fn find(&self, span: Range<Seq>) -> Result<Vec<Candidate>, RoundError> {
        let due: BTreeSet<Seq> = {
            let views = self.shared.read();
            let records = views.erasures.due().iter();
            records.flat_map(|record| record.seqs.iter().copied()).collect()
        };
        let mut read = Vec::with_capacity(PER_HOLD_MAX);
        let mut found = Vec::new();
        self.log_handles()
            .reader
            .replay(span.start, span.end, &mut |seq, bytes| {
                if let Some((id, revision)) = speaks_of(bytes).filter(|_| !due.contains(&seq)) {
                    read.push((seq, id, revision, bytes.clone()));
                }
                if read.len() == PER_HOLD_MAX {
                    self.sift(&mut read, &mut found);
                }
                match self.shared.stopping.is_cancelled() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
        self.sift(&mut read, &mut found);
        Ok(found)
    }

    fn sift(&self, read: &mut Vec<(Seq, IndicatorId, u32, Bytes)>, found: &mut Vec<Candidate>) {
        let goes: Vec<_> = {
            let views = self.shared.read();
            let cutoffs = Cutoffs::at(&views, &self.shared.retention, self.now());
            let goes = |(_, id, revision, _): &(_, _, _, _)| may_go(&views, &cutoffs, *id, *revision);
            read.drain(..).filter(goes).collect()
        };
        found.extend(goes.into_iter().filter_map(|(seq, id, revision, bytes)| {
            Some(Candidate {
                seq,
                id,
                revision,
                left: Sha256::digest(left_of(&bytes)?).into(),
            })
        }));
    }

    /// Erases what records in the log name, epoch by epoch, and then the bodies.
    async fn carry_out(&self, rest: &impl AsyncFn(Duration)) -> Result<(), RoundError> {
        let due = self.shared.read().erasures.due().to_vec();
        for span in self.sealed()? {
            let of_epoch = |record: &&Arc<Erased>| record.seqs.first().is_some_and(|seq| span.contains(seq));
            let records: Vec<_> = due.iter().filter(of_epoch).cloned().collect();
            if !records.is_empty() {
                let (begun, hub) = (Instant::now(), self.clone());
                tokio::task::spawn_blocking(move || hub.erase_entries(&records)).await??;
                rest(after(begun)).await;
            }
        }
        let hub = self.clone();
        tokio::task::spawn_blocking(move || hub.erase_bodies()).await?
    }

    /// Erases the entries of records of one epoch. Blocks.
    fn erase_entries(&self, records: &[Arc<Erased>]) -> Result<(), RoundError> {
        let seqs: BTreeSet<Seq> = records.iter().flat_map(|record| record.seqs.iter().copied()).collect();
        let LogHandles { reader, eraser } = self.log_handles();
        let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else {
            return Ok(());
        };
        let mut gone = Vec::with_capacity(seqs.len());
        reader.replay(*first, last.next(), &mut |seq, bytes| {
            gone.extend(speaks_of(bytes).filter(|_| seqs.contains(&seq)));
            ControlFlow::Continue(())
        })?;
        self.remove_snapshot()?;
        let erasure = eraser.erase(&seqs, &mut |_, bytes| left_of(bytes))?;
        self.shared
            .bytes_returned
            .fetch_add(erasure.bytes_returned, Ordering::Relaxed);
        for chunk in gone.chunks(PER_HOLD_MAX) {
            let mut views = self.shared.write();
            for (id, revision) in chunk {
                let index = views.indicators.find(*id);
                let body = index.and_then(|index| views.indicators.forget_revision(index, *revision));
                self.shared.bodies_to_erase().extend(body);
            }
        }
        self.shared
            .write()
            .erasures
            .carried_out(records, erasure.entries_erased);
        tracing::info!(
            entries = erasure.entries_erased,
            bytes = erasure.bytes_returned,
            "entries were erased"
        );
        Ok(())
    }

    /// Makes the bodies of what was erased empty. Blocks. What fails is done again by the next round, or by the fold of a start.
    fn erase_bodies(&self) -> Result<(), RoundError> {
        let numbers = self.shared.bodies_to_erase().clone();
        if numbers.is_empty() {
            return Ok(());
        }
        self.remove_snapshot()?;
        let eraser = self.shared.read().indicators.body_eraser();
        let returned = eraser.erase(&numbers, PATIENCE)?;
        self.shared.bytes_returned.fetch_add(returned, Ordering::Relaxed);
        self.shared.bodies_to_erase().retain(|number| !numbers.contains(number));
        Ok(())
    }

    /// The log's root stays the same, so a snapshot of before would still fit it.
    fn remove_snapshot(&self) -> Result<(), DiskError> {
        self.shared.snapshots.remove()
    }

    fn sealed(&self) -> Result<Vec<Range<Seq>>, EraseError> {
        self.log_handles().eraser.sealed()
    }

    fn log_handles(&self) -> LogHandles {
        self.shared.log_handles()
    }
}

impl Cutoffs {
    fn at(views: &Views, retention: &Retention, now: Timestamp) -> Cutoffs {
        let before = |secs: Option<u32>| match secs {
            Some(secs) => views.timeline.ordinal_at(now.plus_secs(-i64::from(secs))),
            None => 0,
        };
        Cutoffs {
            superseded: before(retention.superseded_secs),
            retracted: before(retention.retracted_secs),
            expired: before(retention.expired_secs),
        }
    }
}

/// How long to rest after work that began then.
fn after(begun: Instant) -> Duration {
    (begun.elapsed() * REST).min(REST_MAX)
}

/// The indicator and the revision that an entry holds, or what is left of it; none of others.
fn speaks_of(bytes: &Bytes) -> Option<(IndicatorId, u32)> {
    match Entry::decode(bytes.clone()).ok()?.event {
        Event::IndicatorPublished { stored, .. }
        | Event::IndicatorRevised { stored, .. }
        | Event::IndicatorRetracted { stored } => Some((stored.indicator.id, stored.indicator.revision)),
        Event::IndicatorErased(left) => Some((left.stored.indicator.id, left.stored.indicator.revision)),
        _ => None,
    }
}

/// Whether the entry of a revision may go: it was superseded, or the indicator's life was over, long enough ago; or it was ordered.
fn may_go(views: &Views, cutoffs: &Cutoffs, id: IndicatorId, revision: u32) -> bool {
    let Some(index) = views.indicators.find(id) else {
        return false;
    };
    let record = views.indicators.record(index);
    let newest = record.current;
    let is_ended = match newest.state() {
        State::Active | State::Embargoed => false,
        State::Retracted => newest.ordinal < cutoffs.retracted,
        State::Expired => newest.ordinal < cutoffs.expired,
        State::Erased => true,
    };
    let newer = record
        .versions()
        .take_while(|version| version.revision > revision)
        .last();
    is_ended || newer.is_some_and(|version| version.ordinal < cutoffs.superseded) || views.erasures.is_ordered(index)
}

/// Whether the entry that made a touch may go and was not erased. What time alone did has no entry.
fn is_due(views: &Views, cutoffs: &Cutoffs, touch: u32) -> bool {
    let Some(index) = views.indicators.touched(touch) else {
        return false;
    };
    let record = views.indicators.record(index);
    let made = record.at(touch + 1).filter(|version| version.ordinal == touch);
    made.is_some_and(|version| {
        let is_new = record
            .at(touch)
            .is_none_or(|before| before.revision != version.revision);
        is_new && version.body != BodyNumber::ERASED && may_go(views, cutoffs, record.id, version.revision)
    })
}

/// The record of candidates.
fn erased(views: &Views, candidates: &[Candidate]) -> Erased {
    let is_newest = |one: &&Candidate| {
        let index = views.indicators.find(one.id);
        index.is_some_and(|index| views.indicators.record(index).current.revision == one.revision)
    };
    Erased {
        seqs: candidates.iter().map(|one| one.seq).collect(),
        left: digest_of(candidates.iter().map(|one| one.left)),
        indicators: candidates.iter().filter(is_newest).map(|one| one.id).collect(),
    }
}
