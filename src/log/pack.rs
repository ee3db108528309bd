//! Copies the entries of an epoch into a store that never changes again: dense values, each written once. What becomes of an
//! entry on the way is the caller's; that the copy leads to the same chain hash is made sure of here.

use std::path::Path;

use super::Head;
use super::batch::{Batch, Stored, VALUE_BYTES_MAX, chain_after};
use super::disk;
use super::epoch::{Place, from_store};
use super::error::{Damage, OpenError};
use super::merkle::Hash;
use super::store::{SealedWriter, Store, StoreError};
use crate::domain::id::Seq;

/// What is copied: the entries from the epoch's first to `head`.
pub(super) struct Source<'a> {
    pub place: &'a Place,
    pub store: &'a Store,
    pub chain_before: Hash,
    pub head: Head,
}

impl Source<'_> {
    /// Write the store `to` anew, each entry as `change` gives it back, and sync it.
    pub(super) fn copy(&self, to: &Path, change: &mut dyn FnMut(Seq, Stored) -> Stored) -> Result<(), OpenError> {
        disk::remove_tree(to)?;
        let broken = |error: StoreError| from_store(error, self.place.first, None);
        let mut writer = SealedWriter::create(to).map_err(broken)?;
        let mut chain = self.chain_before;
        let mut packed = Pack {
            first: self.place.first,
            entries: Vec::new(),
            cost_bytes: 0,
        };
        for found in self.store.scan(self.place.first).map_err(broken)? {
            let (first, value) = found.map_err(broken)?;
            if first.0 >= self.head.size {
                break;
            }
            let batch = Batch::decode(first, &value).map_err(|error| Damage::new(error.to_string()).at(first))?;
            for (at, entry) in (first.0..).map(Seq).zip(batch.entries) {
                let entry = change(at, entry);
                if packed.cost_bytes + entry.cost_bytes() > VALUE_BYTES_MAX && !packed.entries.is_empty() {
                    packed.write(&mut writer, &mut chain).map_err(broken)?;
                }
                packed.cost_bytes += entry.cost_bytes();
                packed.entries.push(entry);
            }
        }
        if !packed.entries.is_empty() {
            packed.write(&mut writer, &mut chain).map_err(broken)?;
        }
        if (packed.first.0, chain) != (self.head.size, self.head.chain) {
            let reason = "the entries do not lead to the chain hash that was computed as they were appended";
            return Err(Damage::new(reason).in_epoch(self.place.first).into());
        }
        writer.finish().map_err(broken)?;
        Ok(disk::sync_dir(&self.place.dir)?)
    }
}

/// Entries on their way into one value.
struct Pack {
    first: Seq,
    entries: Vec<Stored>,
    cost_bytes: usize,
}

impl Pack {
    fn write(&mut self, writer: &mut SealedWriter, chain: &mut Hash) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut self.entries);
        let batch = Batch {
            first: self.first,
            values_after: 0,
            chain_before: *chain,
            entries,
        };
        *chain = batch
            .entries
            .iter()
            .fold(*chain, |chain, entry| chain_after(&chain, &entry.leaf()));
        writer.push(batch.first, batch.encode_dense())?;
        self.first = batch.end();
        self.cost_bytes = 0;
        Ok(())
    }
}
