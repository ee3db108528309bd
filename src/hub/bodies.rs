//! How bodies come to what was found: read from memory where they are there, else from the disk on a thread that may wait, and never
//! while the views are locked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::domain::id::{IndicatorId, MemberId};
use crate::domain::indicator::State;
use crate::domain::policy::Release;
use crate::log::bodies::{BodyError, BodyNumber, BodyReader};

use super::error::HubError;
use super::views::Views;
use super::views::at_hand::AtHand;
use super::views::indicators::{BodySize, Indicators, Record, Version};
use super::{Hub, Sighting};

/// An indicator that was found, before its body is read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub id: IndicatorId,
    pub revision: u32,
    pub body: BodyNumber,
    pub body_size: BodySize,
    pub state: State,
    pub owner_suffix: Bytes,
}

impl Found {
    /// One version of a record.
    pub fn new(indicators: &Indicators, record: Record<'_>, version: &Version) -> Found {
        Found {
            id: record.id,
            revision: version.revision,
            body: version.body,
            body_size: version.body_size,
            state: version.state(),
            owner_suffix: indicators.class(version).owner_suffix.clone(),
        }
    }

    /// The same with its body.
    pub fn with(self, body: Bytes) -> Sighting {
        Sighting {
            id: self.id,
            revision: self.revision,
            state: self.state,
            body,
            owner_suffix: self.owner_suffix,
        }
    }
}

/// Counts a read while it lasts.
struct InFlight<'a>(&'a AtomicU32);

impl<'a> InFlight<'a> {
    fn new(reads: &'a AtomicU32) -> InFlight<'a> {
        reads.fetch_add(1, Ordering::AcqRel);
        InFlight(reads)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Does what waits for the disk, on a thread that may.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, HubError> {
    match Handle::try_current() {
        Ok(runtime) => {
            let done = runtime.spawn_blocking(work).await;
            done.map_err(|error| HubError::Unreadable(error.to_string()))
        }
        // Whoever waits for the hub outside of a runtime does so on a thread of its own, which may wait for the disk as well.
        Err(_) => Ok(work()),
    }
}

impl Hub {
    /// Bodies by number. Most often nothing is waited for, and nobody else is woken. Cancel-safe.
    pub(super) async fn read_bodies(
        &self,
        reader: BodyReader,
        numbers: Vec<BodyNumber>,
    ) -> Result<Vec<Bytes>, HubError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let unreadable = |error: BodyError| HubError::Unreadable(error.to_string());
        let bodies = match reader.at_hand(&numbers).map_err(unreadable)? {
            Some(bodies) => bodies,
            None => {
                let _reading = InFlight::new(&self.shared.reads_in_flight);
                let read = waiting(move || reader.fetch(&numbers)).await?;
                read.map_err(unreadable)?
            }
        };
        match bodies.iter().any(Bytes::is_empty) {
            // Found while it was there, by who had not read it yet.
            true => Err(HubError::Unreadable("it was erased".into())),
            false => Ok(bodies),
        }
    }

    /// Reads the bodies of what was found, and has the crossings among them written down: with these bodies it may be delivered.
    pub(super) async fn released_bodies<'a, All: Iterator<Item = &'a Release<Found>>>(
        &self,
        member: MemberId,
        found: impl Fn() -> All,
    ) -> Result<Vec<Bytes>, HubError> {
        let numbers = found().map(|release| release.body().body).collect();
        let bodies = self.read_bodies(self.shared.bodies.clone(), numbers).await?;
        self.disclose(member, found()).await?;
        Ok(bodies)
    }

    /// What was found, with its bodies: what this gives may be delivered.
    pub(super) async fn deliver(
        &self,
        member: MemberId,
        found: Vec<Release<Found>>,
    ) -> Result<Vec<Release<Sighting>>, HubError> {
        let bodies = self.released_bodies(member, || found.iter()).await?;
        let read = found.into_iter().zip(bodies);
        Ok(read
            .map(|(release, body)| release.map(|found| found.with(body)))
            .collect())
    }

    /// Asks the views a question that may take bodies, again and again until all of them are at hand: what it comes to before does
    /// not count. The question must change nothing.
    pub(super) async fn consult<T>(&self, question: impl Fn(&Views, &AtHand) -> T) -> Result<T, HubError> {
        let mut bodies = AtHand::collecting(&self.shared.bodies);
        loop {
            let answer = question(&self.shared.read(), &bodies);
            let missing = bodies.take_missing();
            if missing.is_empty() {
                return Ok(answer);
            }
            drop(answer);
            self.bring(&mut bodies, missing).await?;
        }
    }

    /// Reads what is missing.
    pub(super) async fn bring(&self, bodies: &mut AtHand, missing: Vec<BodyNumber>) -> Result<(), HubError> {
        let read = self
            .read_bodies(self.shared.bodies.passing_by(), missing.clone())
            .await?;
        bodies.keep(missing.into_iter().zip(read));
        Ok(())
    }

    /// The same of those that can be read; the others are given up.
    pub(super) async fn bring_readable(
        &self,
        mut bodies: AtHand,
        numbers: Vec<BodyNumber>,
    ) -> Result<AtHand, HubError> {
        let cached = self.shared.bodies.cached(&numbers);
        if cached.iter().all(Option::is_some) {
            bodies.keep(numbers.into_iter().zip(cached.into_iter().flatten()));
            return Ok(bodies);
        }
        let _reading = InFlight::new(&self.shared.reads_in_flight);
        waiting(move || {
            bodies.read(&numbers);
            bodies
        })
        .await
    }

    /// Waits until all full blocks of bodies are on disk; for tests, which damage them there.
    #[doc(hidden)]
    pub fn wait_for_bodies_on_disk(&self, patience: Duration) -> bool {
        self.shared.bodies.wait_until_written(patience)
    }

    /// Reads of bodies that are under way; for tests, which must not take a feed that waits for one for a feed that has no more.
    #[doc(hidden)]
    pub fn reads_in_flight(&self) -> u32 {
        self.shared.reads_in_flight.load(Ordering::Acquire)
    }
}
