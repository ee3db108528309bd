//! Reading: pages for feeds, a fast scan for folds, and proofs. Nothing here changes the log.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::Head;
use super::batch::{Batch, Stored};
use super::error::{Damage, ReadError};
use super::merkle::{self, Hash};
use super::shared::{Epoch, Shared, decode, from_store};
use super::tree::{self, TILE_LEAVES};
use crate::domain::id::Seq;

/// Reads a log from any thread. Cheap to clone; it does not keep the log open.
#[derive(Clone, Debug)]
pub struct LogReader {
    pub(super) shared: Arc<Shared>,
}

/// One entry as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The entry with its salt, with which a reader who may see it checks its commitment.
    Whole {
        /// 32 random bytes, fresh for this entry.
        salt: [u8; 32],
        /// What was appended.
        bytes: Bytes,
    },
    /// Bytes and salt were erased; every proof still verifies.
    Erased {
        /// `SHA-256(salt ‖ bytes)` of what once stood here.
        commitment: Hash,
        /// What was left in its place. No proof covers it.
        rest: Bytes,
    },
}

impl Record {
    /// `SHA-256(salt ‖ bytes)`: what the Merkle leaf is over.
    pub fn commitment(&self) -> Hash {
        match self {
            Record::Whole { salt, bytes } => Stored::Whole {
                salt: *salt,
                bytes: bytes.clone(),
            }
            .commitment(),
            Record::Erased { commitment, .. } => *commitment,
        }
    }
}

impl LogReader {
    /// How far the log reaches now.
    pub fn head(&self) -> Head {
        self.shared.view().head
    }

    /// The entries from `from` on: at most `entries_max`, and no more than `bytes_max` of bytes, yet at least one if
    /// there is one. Erased entries are left out, so positions may jump; the result is empty only if nothing is left
    /// up to the head.
    pub fn read(&self, from: Seq, entries_max: usize, bytes_max: usize) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        let size = self.head().size;
        let mut page = Vec::new();
        let mut page_bytes = 0;
        let mut at = from;
        while at.0 < size && page.len() < entries_max {
            let batch = self.shared.batch_at(at)?;
            let skipped = (at.0 - batch.first.0) as usize;
            for entry in &batch.entries[skipped..] {
                if at.0 >= size || page.len() == entries_max {
                    return Ok(page);
                }
                if let Some(bytes) = entry.bytes() {
                    page_bytes += bytes.len();
                    if page_bytes > bytes_max && !page.is_empty() {
                        return Ok(page);
                    }
                    page.push((at, bytes.clone()));
                }
                at = at.next();
            }
        }
        Ok(page)
    }

    /// One entry with its salt, or its commitment if it was erased.
    pub fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        self.below_head(seq.0.saturating_add(1))?;
        let batch = self.shared.batch_at(seq)?;
        Ok(match &batch.entries[(seq.0 - batch.first.0) as usize] {
            Stored::Whole { salt, bytes } => Record::Whole {
                salt: *salt,
                bytes: bytes.clone(),
            },
            Stored::Erased { commitment, rest } => Record::Erased {
                commitment: *commitment,
                rest: rest.clone(),
            },
        })
    }

    /// Hand each entry of `from..to` to `visit`, in order, until it breaks: its bytes, or what was left of them. Fast, and without
    /// a trace in the cache: for folding the whole log at start.
    pub fn replay(
        &self,
        from: Seq,
        to: Seq,
        visit: &mut dyn FnMut(Seq, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.below_head(to.0)?;
        self.scan(from..to, &mut |at, entry| visit(at, entry.content()))
    }

    /// The proof that entry `seq` is in the log of the first `size` entries: RFC 6962's audit path over
    /// [`merkle::leaf_hash`] of the commitment.
    pub fn inclusion_proof(&self, seq: Seq, size: u64) -> Result<Vec<Hash>, ReadError> {
        self.below_head(size)?;
        if seq.0 >= size {
            return Err(ReadError::BeyondHead { asked: seq.0, size });
        }
        let mut last_tile = None;
        merkle::inclusion_path(seq.0, size, &mut |level, index| self.node(level, index, &mut last_tile))
    }

    /// The proof that the log of `new` entries continues that of `old`: RFC 6962's consistency proof.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, ReadError> {
        self.below_head(new)?;
        if old > new {
            return Err(ReadError::BeyondHead { asked: old, size: new });
        }
        let mut last_tile = None;
        merkle::consistency_path(old, new, &mut |level, index| self.node(level, index, &mut last_tile))
    }

    /// The Merkle root of the first `size` entries.
    pub fn root_at(&self, size: u64) -> Result<Hash, ReadError> {
        self.below_head(size)?;
        let mut last_tile = None;
        merkle::range_root(0, size, &mut |level, index| self.node(level, index, &mut last_tile))
    }

    fn below_head(&self, asked: u64) -> Result<(), ReadError> {
        let size = self.head().size;
        if asked <= size {
            Ok(())
        } else {
            Err(ReadError::BeyondHead { asked, size })
        }
    }

    /// A node of the tree. The leaves of the tile read last are kept, for the nodes of one proof share few tiles.
    fn node(&self, level: u32, index: u64, last_tile: &mut Option<(u64, Vec<Hash>)>) -> Result<Hash, ReadError> {
        let in_memory = self.shared.view().fold.tree.node(level, index);
        if let Some(node) = in_memory {
            return Ok(node);
        }
        let tile = (index << level) / TILE_LEAVES;
        let leaves = match last_tile.take().filter(|(last, _)| *last == tile) {
            Some((_, leaves)) => leaves,
            None => self.tile_leaves(tile)?,
        };
        let node = tree::node_in_tile(level, index, &leaves);
        *last_tile = Some((tile, leaves));
        Ok(node)
    }

    fn tile_leaves(&self, tile: u64) -> Result<Vec<Hash>, ReadError> {
        let from = Seq(tile * TILE_LEAVES);
        let to = Seq((from.0 + TILE_LEAVES).min(self.head().size));
        let mut leaves = Vec::with_capacity(TILE_LEAVES as usize);
        self.scan(from..to, &mut |_, entry| {
            leaves.push(entry.leaf());
            ControlFlow::Continue(())
        })?;
        Ok(leaves)
    }

    fn scan(&self, range: Range<Seq>, visit: &mut dyn FnMut(Seq, &Stored) -> ControlFlow<()>) -> Result<(), ReadError> {
        let Range { start: mut at, end: to } = range;
        while at < to {
            let from = at;
            // What waits is looked up before the store is: it may become part of the store in between, never the reverse.
            let pending = self.shared.view().pending.clone();
            let waiting_from = pending.first().map_or(to, |batch| batch.first);
            let epoch = self.shared.epoch_at(at)?;
            let in_epoch = |damage: Damage| ReadError::Damaged(damage.in_epoch(epoch.place.first));
            let flow = if at < waiting_from {
                self.scan_store(&epoch, &mut at, waiting_from.min(to), to, visit)?
            } else {
                visit_waiting(&pending, &mut at, to, visit).map_err(in_epoch)?
            };
            if flow.is_break() {
                return Ok(());
            }
            // There was no more: either the next epoch goes on from here, or entries are missing.
            if at == from && self.shared.epoch_at(at)?.place == epoch.place {
                return Err(in_epoch(Damage::new("the entry is missing").at(at)));
            }
        }
        Ok(())
    }

    /// Visit what the store of an epoch holds, from `at` on until `enough` or beyond.
    fn scan_store(
        &self,
        epoch: &Epoch,
        at: &mut Seq,
        enough: Seq,
        to: Seq,
        visit: &mut dyn FnMut(Seq, &Stored) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let first = epoch.place.first;
        let store = self.shared.store(epoch)?;
        for found in store.scan(*at).map_err(|error| from_store(error, first, Some(*at)))? {
            let (key, value) = found.map_err(|error| from_store(error, first, Some(*at)))?;
            let batch = decode(key, &value, first)?;
            let flow = visit_batch(&batch, at, to, visit).map_err(|damage| damage.in_epoch(first))?;
            if flow.is_break() {
                return Ok(flow);
            }
            if *at >= enough {
                break;
            }
        }
        // Its end, or where the journal goes on.
        self.shared.let_go(&epoch.place);
        Ok(ControlFlow::Continue(()))
    }
}

fn visit_waiting(
    pending: &[Arc<Batch>],
    at: &mut Seq,
    to: Seq,
    visit: &mut dyn FnMut(Seq, &Stored) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Damage> {
    let skipped = pending.partition_point(|batch| batch.end() <= *at);
    for batch in &pending[skipped..] {
        if visit_batch(batch, at, to, visit)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn visit_batch(
    batch: &Batch,
    at: &mut Seq,
    to: Seq,
    visit: &mut dyn FnMut(Seq, &Stored) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Damage> {
    if batch.first > *at || batch.end() <= *at {
        return Err(Damage::new(format!("the next stored value starts at {}", batch.first)).at(*at));
    }
    for entry in &batch.entries[(at.0 - batch.first.0) as usize..] {
        if *at >= to || visit(*at, entry).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        *at = at.next();
    }
    Ok(if *at < to {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Log, Options};
    use super::*;

    #[test]
    fn whoever_walks_through_the_log_leaves_no_sealed_store_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let options = Options {
            epoch_entries_max: 10,
            ..Options::default()
        };
        let mut log = Log::create(&path, options.clone()).unwrap();
        for byte in 0..45 {
            log.append(&[Bytes::from(vec![byte; 40])]).unwrap();
        }
        drop(log);
        let log = Log::open(&path, options).unwrap();
        let reader = log.reader();
        reader.record(Seq(3)).unwrap();
        assert_eq!(reader.shared.sealed_open_count(), 1);
        let mut read = 0;
        let replayed = reader.replay(Seq(0), Seq(45), &mut |_, _| {
            read += 1;
            ControlFlow::Continue(())
        });
        replayed.unwrap();
        assert_eq!((read, reader.shared.sealed_open_count()), (45, 0));
    }
}
