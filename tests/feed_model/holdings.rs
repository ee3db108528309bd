//! What a durable subscription may still hold, kept as a bookkeeper would who stands beside the client: what was handed to it is held
//! until a removal was handed to it and confirmed. It knows nothing of ordinals, spans or the log.

use std::collections::{BTreeMap, BTreeSet};

use clearinghouse::domain::id::IndicatorId;

/// A subscription's books. Batches are numbered as they are handed out, also over reconnections.
#[derive(Default)]
pub struct Holdings {
    /// What is out, with the batch that took it back, if one did.
    out: BTreeMap<IndicatorId, Option<u64>>,
    /// What must be told before anything else, since the client came back.
    first: BTreeSet<IndicatorId>,
    batches: u64,
}

impl Holdings {
    /// What the client may still hold.
    pub fn may_hold(&self, id: IndicatorId) -> bool {
        self.out.contains_key(&id)
    }

    /// A batch is handed out; gives its number. What was owed first must come before any upsert.
    pub fn hand_out(&mut self, upserts: &[IndicatorId], removals: &[IndicatorId]) -> Result<u64, String> {
        self.batches += 1;
        for id in removals {
            self.first.remove(id);
            if let Some(gone) = self.out.get_mut(id) {
                *gone = Some(self.batches);
            }
        }
        for id in upserts {
            self.out.insert(*id, None);
        }
        match (upserts.is_empty(), self.first.first()) {
            (false, Some(untold)) => Err(format!("an upsert comes before the removal of {untold}, which is held")),
            _ => Ok(self.batches),
        }
    }

    /// The client says that it has applied everything up to a batch.
    pub fn confirm(&mut self, batch: u64) {
        self.out.retain(|_, gone| gone.is_none_or(|taken| taken > batch));
    }

    /// The client comes back as it was after a batch. What it was given since is out, and what was taken back since it does not know.
    pub fn come_back(&mut self, batch: u64) {
        self.confirm(batch);
        for gone in self.out.values_mut() {
            *gone = gone.filter(|taken| *taken <= batch);
        }
        self.first.clear();
    }

    /// The first batch since the client came back is about to be made: of what it may hold, these are what it sees no more.
    pub fn owe_first(&mut self, sees: impl Fn(IndicatorId) -> bool) {
        let held = self.out.iter().filter(|(_, gone)| gone.is_none());
        self.first = held.map(|(id, _)| *id).filter(|id| !sees(*id)).collect();
    }
}
