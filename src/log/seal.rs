//! Sealing in the background: writing an epoch's entries once more takes seconds, and appends must not wait for it.
//! One epoch at a time. A crash in the middle leaves two unsealed epochs, and the next start seals the first.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::epoch::{Place, Span};
use super::error::{DiskError, OnDisk, OpenError, Stop};
use super::shared::Shared;
use super::store::Store;

/// At most one epoch being sealed. Dropping it waits.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    working: Option<JoinHandle<Result<(), OpenError>>>,
}

impl Sealer {
    /// Start with an epoch that grows no more, after [`Sealer::finish`].
    pub(super) fn start(
        &mut self,
        shared: &Arc<Shared>,
        place: Place,
        store: Arc<Store>,
        span: Span,
    ) -> Result<(), DiskError> {
        let dir = place.dir.clone();
        let shared = Arc::clone(shared);
        let work = move || shared.seal(&place, &store, span);
        let thread = std::thread::Builder::new().name("log-seal".to_owned()).spawn(work);
        self.working = Some(thread.on("start the sealing of", &dir)?);
        Ok(())
    }

    /// What came of an epoch whose sealing has ended by now.
    pub(super) fn look(&mut self) -> Result<(), Stop> {
        if self.working.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish()
        } else {
            Ok(())
        }
    }

    /// Wait for the epoch being sealed. An error stops the log: a disk that fails here is not to be trusted with the
    /// next append. Lack of room is none: the epoch can be read as it is, and the next start tries again.
    pub(super) fn finish(&mut self) -> Result<(), Stop> {
        let Some(thread) = self.working.take() else {
            return Ok(());
        };
        match thread.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(OpenError::Disk(error))) if error.is_full() => {
                tracing::warn!(%error, "an epoch could not be sealed");
                Ok(())
            }
            Ok(Err(error)) => Err(Stop {
                full: false,
                reason: error.to_string(),
            }),
            Err(_) => Err(Stop {
                full: false,
                reason: "sealing an epoch gave up".to_owned(),
            }),
        }
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        // The thread works in the log's directory: it must have ended before the lock is given back.
        let _ = self.finish();
    }
}
