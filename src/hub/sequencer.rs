//! The sequencer: one thread takes everything that is waiting, lets each proposal decide on the state, appends all entries as one
//! durable write, applies them to the views, moves the head, and answers.
//!
//! It never waits for more work when some is there, so an idle hub answers at the disk's latency, and a busy one at its rate.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::domain::id::{IndicatorId, MemberId, ObservableId};
use crate::log::entry::Entry;
use crate::log::{AppendError, Log};

use super::Shared;
use super::error::HubError;
use super::views::Views;

/// Most proposals that wait; past that a door is told to come back.
pub(super) const PROPOSALS_WAITING_MAX: usize = 4_096;

/// Most entries in one durable write.
const ENTRIES_PER_WRITE_MAX: usize = 8_192;

/// Bytes of entries after which a durable write takes no more proposals.
const BYTES_PER_WRITE_MAX: usize = 8 << 20;

/// What a proposal decided.
pub(super) enum Decision {
    /// It staged its entries (perhaps none); the completion is run once they are durable and applied, or with the error.
    Ready(Completion),
    /// It needs the state after what others have staged; it is asked again.
    AfterOthers,
}

/// Runs after the write.
pub(super) type Completion = Box<dyn FnOnce(&Views, Result<(), HubError>) + Send>;

/// A change asked for: looks at the views and at what is staged, stages entries, decides.
pub(super) type Proposal = Box<dyn FnMut(&Views, &mut Staged) -> Decision + Send>;

/// Entries that are about to be written together, and what later proposals in the same write must know of them.
#[derive(Default)]
pub(super) struct Staged {
    entries: Vec<(Entry, Bytes)>,
    bytes: usize,
    /// Publications by publisher, observable and campaign.
    pub publications: HashMap<(MemberId, ObservableId, Box<str>), IndicatorId>,
    /// Request ids used.
    pub requests: HashMap<(MemberId, Box<str>), (IndicatorId, u32)>,
    /// Indicators revised or retracted.
    pub touched: HashSet<IndicatorId>,
    closed: bool,
}

impl Staged {
    /// Adds an entry that is already encoded.
    pub fn push_encoded(&mut self, entry: Entry, bytes: Bytes) {
        self.bytes += bytes.len();
        self.entries.push((entry, bytes));
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: Entry) {
        let bytes = entry.encode();
        self.push_encoded(entry, bytes);
    }

    /// For proposals that must see the state alone, such as changes of membership: true when nothing is staged, and then nobody
    /// may join them.
    pub fn alone(&mut self) -> bool {
        if self.entries.is_empty() {
            self.closed = true;
        }
        self.closed && self.entries.is_empty()
    }

    fn is_full(&self) -> bool {
        self.closed || self.entries.len() >= ENTRIES_PER_WRITE_MAX || self.bytes >= BYTES_PER_WRITE_MAX
    }
}

/// Where proposals are handed in.
#[derive(Clone)]
pub(super) struct Sequencer {
    proposals: mpsc::Sender<Proposal>,
}

impl Sequencer {
    /// Starts the thread. It ends, and closes the log, when all senders are gone.
    pub fn start(log: Log, shared: Arc<Shared>) -> std::io::Result<(Sequencer, std::thread::JoinHandle<()>)> {
        let (proposals, waiting) = mpsc::channel(PROPOSALS_WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || Worker { log, shared, stopped: None }.run(waiting))?;
        Ok((Sequencer { proposals }, thread))
    }

    /// Hands in a change and waits for what became of it.
    ///
    /// `decide` returns the entries' answer, which is delivered once they are durable; or an error, and then nothing is written.
    pub async fn propose<T, F>(&self, mut decide: F) -> Result<T, HubError>
    where
        T: Send + 'static,
        F: FnMut(&Views, &mut Staged) -> Result<Verdict<T>, HubError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let mut answer = Some(answer);
        let proposal: Proposal = Box::new(move |views, staged| match decide(views, staged) {
            Ok(Verdict::AfterOthers) => Decision::AfterOthers,
            Ok(Verdict::Done(finish)) => {
                let answer = answer.take();
                Decision::Ready(Box::new(move |views, written| {
                    // The caller may have gone: what it asked for is done all the same.
                    answer.map(|answer| answer.send(written.map(|()| finish(views))).ok());
                }))
            }
            Err(error) => {
                let answer = answer.take();
                Decision::Ready(Box::new(move |_, _| {
                    answer.map(|answer| answer.send(Err(error)).ok());
                }))
            }
        });
        match self.proposals.try_send(proposal) {
            Ok(()) => answered.await.unwrap_or(Err(HubError::ShuttingDown)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(HubError::Exhausted {
                reason: "too many changes are waiting to be written",
                retry_after: std::time::Duration::from_millis(50),
            }),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(HubError::ShuttingDown),
        }
    }
}

/// What `decide` says in [`Sequencer::propose`].
pub(super) enum Verdict<T> {
    /// Staged; the answer is made from the views once all is applied.
    Done(Box<dyn FnOnce(&Views) -> T + Send>),
    /// Ask again after what is staged has been written.
    AfterOthers,
}

impl<T: Send + 'static> Verdict<T> {
    /// Staged, with an answer that is known already.
    pub fn answer(answer: T) -> Verdict<T> {
        Verdict::Done(Box::new(move |_| answer))
    }
}

struct Worker {
    log: Log,
    shared: Arc<Shared>,
    /// Set for good when the log can no longer be trusted with writes.
    stopped: Option<String>,
}

impl Worker {
    fn run(mut self, mut waiting: mpsc::Receiver<Proposal>) {
        let mut deferred: Option<Proposal> = None;
        loop {
            let first = match deferred.take() {
                Some(proposal) => proposal,
                None => match waiting.blocking_recv() {
                    Some(proposal) => proposal,
                    None => break,
                },
            };
            let mut staged = Staged::default();
            let mut completions = Vec::new();
            deferred = self.decide(first, &mut staged, &mut completions);
            while deferred.is_none() && !staged.is_full() {
                let Ok(proposal) = waiting.try_recv() else { break };
                deferred = self.decide(proposal, &mut staged, &mut completions);
            }
            self.write(staged, completions);
        }
        if let Err(error) = self.log.close() {
            tracing::error!(%error, "the log did not close cleanly; the next start will check it");
        }
    }

    /// Lets one proposal decide; gives it back if it must wait for the others to be written.
    fn decide(
        &self,
        mut proposal: Proposal,
        staged: &mut Staged,
        completions: &mut Vec<Completion>,
    ) -> Option<Proposal> {
        let decision = proposal(&self.shared.read(), staged);
        match decision {
            Decision::Ready(completion) => {
                completions.push(completion);
                None
            }
            Decision::AfterOthers => Some(proposal),
        }
    }

    fn write(&mut self, staged: Staged, completions: Vec<Completion>) {
        let written = self.append(&staged);
        if written.is_ok() && !staged.entries.is_empty() {
            let head = self.log.head();
            let ordinal = {
                let mut views = self.shared.write();
                staged.entries.iter().for_each(|(entry, _)| views.apply(entry));
                views.indicators.ordinal()
            };
            self.shared.after_write(head, ordinal, staged.entries.iter().map(|(entry, _)| entry));
        }
        let views = self.shared.read();
        completions.into_iter().for_each(|completion| completion(&views, written.clone()));
    }

    fn append(&mut self, staged: &Staged) -> Result<(), HubError> {
        if staged.entries.is_empty() {
            return Ok(());
        }
        if let Some(reason) = &self.stopped {
            return Err(HubError::ReadOnly(reason.clone()));
        }
        let entries: Vec<Bytes> = staged.entries.iter().map(|(_, bytes)| bytes.clone()).collect();
        let error = match self.log.append(&entries) {
            Ok(_) => {
                self.shared.set_read_only(None);
                return Ok(());
            }
            Err(error) => error,
        };
        tracing::error!(%error, "an append failed: nothing of it is acknowledged");
        let reason = error.to_string();
        // A full disk may get space again, so the next append tries; anything else stops the log until the hub is started anew.
        if !matches!(error, AppendError::Full { .. } | AppendError::TooLarge { .. }) {
            self.stopped = Some(reason.clone());
        }
        self.shared.set_read_only(Some(reason.clone()));
        Err(HubError::ReadOnly(reason))
    }
}
