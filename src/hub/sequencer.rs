//! The sequencer: one thread takes everything that is waiting, lets each proposal decide on the state, appends all entries as one
//! durable write, applies them to the views, moves the head, and answers.
//!
//! It never waits for more work when some is there, so an idle hub answers at the disk's latency, and a busy one at its rate.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::domain::id::{MemberId, RunId, Seq};
use crate::log::entry::{Entry, Event};
use crate::log::{AppendError, Head, Log};

use super::disk::free_bytes;
use super::erase::LogHandles;
use super::error::HubError;
use super::queue::{Lane, Queue, Refusal};
use super::snapshot;
use super::snapshot::interval::Interval;
use super::views::Views;
use super::views::confirmed::Confirmed;
use super::writing::{Company, Staged, Writing};
use super::{Reopen, Shared, new_id};

/// How often a log that stopped for want of space is tried again.
const REOPEN_EVERY: Duration = Duration::from_secs(2);

/// The space that a log which stopped for want of it must have before it is tried again: what opening takes, and room to go on.
/// With less it would stop again at once, having used up the reserve that lets it be opened at all.
const REOPEN_FREE_BYTES_MIN: u64 = 64 << 20;

/// How long the sequencer waits for bodies to be written before it accepts no more. A disk that takes the log takes them as well.
const BODIES_PATIENCE: Duration = Duration::from_secs(10);

/// What a proposal decided.
pub(super) enum Decision {
    /// It staged its entries (perhaps none); the completion is run once they are durable and applied, or with the error.
    Ready(Completion),
    /// It staged a part, and is asked again for the rest in its lane's next turn. The completion is run as for [`Decision::Ready`].
    Partly(Completion),
    /// It needs the state after what others have staged; it is asked again.
    AfterOthers,
}

/// Runs after the write.
pub(super) type Completion = Box<dyn FnOnce(&Views, Result<(), HubError>) + Send>;

/// A change asked for: looks at the views and at what is staged, stages entries, decides.
pub(super) type Proposal = Box<dyn FnMut(&Views, &mut Staged) -> Decision + Send>;

/// Where proposals are handed in.
#[derive(Clone)]
pub(super) struct Sequencer {
    queue: Arc<Queue<Proposal>>,
    lane: Lane,
}

impl Sequencer {
    /// Starts the thread. It ends, and closes the log, after [`Sequencer::stop`].
    pub fn start(
        log: Log,
        reopen: Reopen,
        shared: Arc<Shared>,
    ) -> std::io::Result<(Sequencer, std::thread::JoinHandle<()>)> {
        let queue = Arc::new(Queue::new());
        let stopped = log.stop().cloned();
        let mut worker = Worker {
            head: log.head(),
            log: Some(log),
            reopen,
            interval: Some(Interval::start(&shared)?),
            retry: Retry::At(Instant::now()),
            starting: Some(new_run()),
            shared,
            queue: queue.clone(),
            lacks_room: false,
            company: Company::default(),
        };
        if let Some(stop) = stopped {
            // It opened to be read only, for want of space.
            worker.stop(stop.reason, Retry::At(Instant::now() + REOPEN_EVERY));
        }
        let thread = std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || worker.run())?;
        Ok((Sequencer { queue, lane: Lane::Hub }, thread))
    }

    /// The same, for what a member asks: its proposals wait in its own lane, and the lanes take turns.
    pub fn of(&self, member: MemberId) -> Sequencer {
        Sequencer {
            queue: self.queue.clone(),
            lane: Lane::Member(member),
        }
    }

    /// Writes what is waiting and ends the thread. What is proposed after is refused.
    pub fn stop(&self) {
        self.queue.close();
    }

    /// Tries a stopped log again, if it is time. Needed where nobody writes: publishers that are told that the hub is not serving
    /// stay away.
    pub fn revive(&self) {
        // A proposal that changes nothing: whatever is taken from the queue tries. A full queue holds others that do.
        let nothing: Proposal = Box::new(|_, _| Decision::Ready(Box::new(|_, _| {})));
        let _ = self.queue.push(self.lane, nothing);
    }

    /// Hands in a change that nobody waits for. Should it not get through (the hub is closing), it is as if there had been a crash.
    pub fn cast<F>(&self, mut decide: F)
    where
        F: FnMut(&Views, &mut Staged) -> Verdict<()> + Send + 'static,
    {
        let proposal: Proposal = Box::new(move |views, staged| match decide(views, staged) {
            Verdict::AfterOthers => Decision::AfterOthers,
            Verdict::Partly => Decision::Partly(Box::new(|_, _| {})),
            Verdict::Done(_) => Decision::Ready(Box::new(|_, _| {})),
        });
        // Closed: see above.
        let _ = self.queue.push_anyhow(self.lane, proposal);
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
        let mut earlier = Earlier::default();
        let proposal: Proposal =
            Box::new(
                move |views, staged| match earlier.check().and_then(|()| decide(views, staged)) {
                    Ok(Verdict::AfterOthers) => Decision::AfterOthers,
                    Ok(Verdict::Partly) => Decision::Partly(earlier.completion()),
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
                },
            );
        let exhausted = |reason| {
            Err(HubError::Exhausted {
                reason,
                retry_after: Duration::from_millis(50),
            })
        };
        match self.queue.push(self.lane, proposal) {
            Ok(()) => answered.await.unwrap_or(Err(HubError::ShuttingDown)),
            Err(Refusal::LaneFull) => exhausted("too many changes of this member are waiting to be written"),
            Err(Refusal::Full) => exhausted("too many changes are waiting to be written"),
            Err(Refusal::Closed) => Err(HubError::ShuttingDown),
        }
    }
}

/// What `decide` says in [`Sequencer::propose`].
pub(super) enum Verdict<T> {
    /// Staged; the answer is made from the views once all is applied.
    Done(Box<dyn FnOnce(&Views) -> T + Send>),
    /// Some of it is staged; ask again for the rest.
    Partly,
    /// Ask again after what is staged has been written.
    AfterOthers,
}

/// What became of the parts of a proposal that were written before its last one. If one failed, so does the whole: what it staged is
/// not known to be in the log, even where the log goes on later.
#[derive(Default)]
struct Earlier(Option<Arc<OnceLock<HubError>>>);

impl Earlier {
    fn check(&self) -> Result<(), HubError> {
        match self.0.as_ref().and_then(|failed| failed.get()) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn completion(&mut self) -> Completion {
        let failed = self.0.get_or_insert_default().clone();
        Box::new(move |_, written| {
            if let Err(error) = written {
                // The first failure is told.
                let _ = failed.set(error);
            }
        })
    }
}

impl<T: Send + 'static> Verdict<T> {
    /// Staged, with an answer that is known already.
    pub fn answer(answer: T) -> Verdict<T> {
        Verdict::Done(Box::new(move |_| answer))
    }
}

/// Random bits enough that no two runs of all hubs share them.
fn new_run() -> RunId {
    RunId(new_id().as_u64_pair().1)
}

struct Worker {
    /// None while the log is stopped.
    log: Option<Log>,
    /// Where the log stood when it was last written.
    head: Head,
    reopen: Reopen,
    interval: Option<Interval>,
    retry: Retry,
    /// This run of the hub, until the log has it.
    starting: Option<RunId>,
    shared: Arc<Shared>,
    queue: Arc<Queue<Proposal>>,
    /// Whether nothing is accepted because bodies cannot be written.
    lacks_room: bool,
    company: Company,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Also where the thread dies of a defect: those who wait are told at once, and nobody waits for ever.
        self.queue.abandon();
    }
}

/// Whether a stopped log may be opened anew.
enum Retry {
    /// Not before then.
    At(Instant),
    /// Not by this process: after a failed write or sync, the system may show data that it never wrote, so what a fresh open finds
    /// proves nothing.
    Never,
}

impl Worker {
    fn run(mut self) {
        let mut deferred: Option<(Lane, Proposal)> = None;
        let mut writing = Writing::default();
        while let Some(first) = deferred.take().or_else(|| self.queue.next()) {
            let shared = &self.shared;
            deferred = writing.gather(&self.queue, &mut self.company, first, |proposal, staged| {
                proposal(&shared.read(), staged)
            });
            self.write(&mut writing.staged, &mut writing.completions);
            writing.clear();
        }
        if let Some(interval) = self.interval.take() {
            interval.end();
        }
        let are_written = self.shared.write().indicators.bodies_mut().close();
        if !are_written {
            tracing::warn!("not all bodies of indicators were written; the next start makes them anew");
        }
        match self.log.take().map(Log::close) {
            // Last, for it takes seconds: whoever loses patience with it loses nothing but the next start's time.
            Some(Ok(())) if are_written => snapshot::leave(&self.shared, &self.head),
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "the log did not close cleanly; the next start will check it"),
            None => {}
        }
    }

    fn write(&mut self, staged: &mut Staged, completions: &mut Vec<Completion>) {
        self.begin_run(staged);
        let written = self.append(staged);
        if written.is_ok() && !staged.entries.is_empty() {
            self.starting = None;
            let ordinal = self.apply(staged.entries.iter());
            self.shared.after_write(self.head, ordinal, staged.entries.iter());
        }
        if let Some(log) = self.log.as_mut().filter(|_| staged.ends_epoch) {
            log.end_epoch();
        }
        let views = self.shared.read();
        completions
            .drain(..)
            .for_each(|completion| completion(&views, written.clone()));
    }

    /// Applies entries that are durable; gives the ordinal after them. What may take bodies is worked out while the views are not
    /// locked: for what is read from the disk then, nobody waits but this thread.
    fn apply<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> u32 {
        let mut views = self.shared.write();
        for entry in entries {
            let mut confirmed = Confirmed::default();
            if Confirmed::is_asked_of(entry) {
                drop(views);
                confirmed = Confirmed::by(entry, || self.shared.read());
                views = self.shared.write();
            }
            views.apply_with(entry, &confirmed);
        }
        views.indicators.ordinal()
    }

    /// The first entries that a run writes are led by its start, in the same durable write: whatever comes after belongs to the run.
    fn begin_run(&self, staged: &mut Staged) {
        let Some(run) = self.starting.filter(|_| !staged.entries.is_empty()) else {
            return;
        };
        let entry = Entry {
            at: (self.shared.clock)(),
            actor: None,
            event: Event::HubStarted { run },
        };
        staged.lead_with(entry);
    }

    fn append(&mut self, staged: &mut Staged) -> Result<(), HubError> {
        if staged.entries.is_empty() {
            if let Err(error) = self.revive() {
                tracing::debug!(%error, "the log stays stopped");
            }
            if self.lacks_room {
                // It is told again below, and changes nothing.
                let _ = self.wait_for_room(Duration::ZERO);
            }
            return Ok(());
        }
        self.revive()?;
        self.wait_for_room(BODIES_PATIENCE)?;
        let Some(log) = &mut self.log else {
            return Err(HubError::ReadOnly("the log is stopped".into()));
        };
        match log.append_salted(&mut staged.salted) {
            Ok(_) => {
                self.head = log.head();
                Ok(())
            }
            // The limits of the door keep entries far below the log's; if one gets through, only its write fails.
            Err(AppendError::TooLarge { index, max }) => {
                tracing::error!(index, max, "an entry is too large for the log");
                Err(HubError::ReadOnly("an entry is too large for the log".into()))
            }
            Err(AppendError::Full(stop)) => Err(self.stop(stop.to_string(), Retry::At(Instant::now() + REOPEN_EVERY))),
            Err(AppendError::Failed(stop)) => Err(self.stop(stop.to_string(), Retry::Never)),
        }
    }

    /// What is acknowledged must be found again: where too many bodies wait to be written, nothing more is accepted.
    fn wait_for_room(&mut self, patience: Duration) -> Result<(), HubError> {
        match self.shared.bodies.wait_for_room(patience) {
            Ok(()) if std::mem::take(&mut self.lacks_room) => {
                if self.log.is_some() {
                    self.shared.set_read_only(None);
                    tracing::warn!("bodies of indicators are written again: the hub accepts changes");
                }
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(reason) => {
                if !std::mem::replace(&mut self.lacks_room, true) {
                    tracing::error!(reason, "bodies of indicators cannot be written: the hub is read-only");
                }
                self.shared.set_read_only(Some(reason.clone()));
                Err(HubError::ReadOnly(reason))
            }
        }
    }

    /// Nothing is acknowledged from now on; reads go on from the views. What is on disk is unknown, so the log is closed and only
    /// a fresh open, which checks it, may bring it back.
    fn stop(&mut self, reason: String, retry: Retry) -> HubError {
        let way_back = match retry {
            Retry::At(_) => "it is tried again as soon as there is space",
            Retry::Never => "check the disk, then restart the hub",
        };
        tracing::error!(reason, way_back, "the log stopped: the hub is read-only");
        self.log = None;
        self.retry = retry;
        self.shared.set_read_only(Some(reason.clone()));
        HubError::ReadOnly(reason)
    }

    /// Opens a stopped log anew, at most every [`REOPEN_EVERY`] and only where there is space again.
    fn revive(&mut self) -> Result<(), HubError> {
        if self.log.is_some() {
            return Ok(());
        }
        match self.retry {
            Retry::Never => {
                let reason = "the log is stopped until the hub is restarted";
                return Err(HubError::ReadOnly(reason.into()));
            }
            Retry::At(at) if Instant::now() < at => {
                let reason = "the log is stopped; it will be tried again shortly";
                return Err(HubError::ReadOnly(reason.into()));
            }
            Retry::At(_) => self.retry = Retry::At(Instant::now() + REOPEN_EVERY),
        }
        // What cannot be asked is tried.
        let free_bytes = free_bytes(&self.shared.log_dir).unwrap_or(u64::MAX);
        if free_bytes < REOPEN_FREE_BYTES_MIN {
            let reason = format!("the disk has {free_bytes} bytes free, {REOPEN_FREE_BYTES_MIN} are needed");
            return Err(HubError::ReadOnly(reason));
        }
        let log = (self.reopen)().map_err(|error| {
            tracing::warn!(%error, "the stopped log could not be opened anew");
            HubError::ReadOnly(error.to_string())
        })?;
        self.go_on(log)
    }

    /// Goes on with a log that was opened anew. It stands where it was last acknowledged, or has more: entries that were written
    /// but never acknowledged. Those are applied now.
    fn go_on(&mut self, log: Log) -> Result<(), HubError> {
        let head = log.head();
        let mut entries = Vec::new();
        let read = log
            .reader()
            .replay(Seq(self.head.size), Seq(head.size), &mut |_, bytes| {
                entries.push(Entry::decode(bytes.clone()));
                std::ops::ControlFlow::Continue(())
            });
        let entries = entries.into_iter().collect::<Result<Vec<Entry>, _>>();
        let (Ok(()), Ok(entries)) = (read, entries) else {
            return Err(HubError::ReadOnly("what was written last cannot be read back".into()));
        };
        let ordinal = self.apply(entries.iter());
        self.head = head;
        let handles = LogHandles::of(&log);
        *self
            .shared
            .log_handles
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = handles;
        self.log = Some(log);
        self.shared.after_write(head, ordinal, entries.iter());
        self.shared.set_read_only(None);
        tracing::warn!(size = head.size, "the log is open again: the hub accepts changes");
        Ok(())
    }
}
