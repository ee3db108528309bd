//! What the store held at a moment: with that, the file, and what may have been pushed to it since, it can go on from there.

use std::sync::Arc;

use bytes::Bytes;

use super::super::error::{DiskError, OnDisk};
use super::shared::Shared;

/// A store at a moment.
#[derive(Debug)]
pub struct Moment {
    shared: Arc<Shared>,
    /// How many blocks were full.
    blocks: u32,
    /// The bodies of the block that was not.
    open: Vec<Bytes>,
}

impl Moment {
    pub(super) fn of(shared: &Arc<Shared>) -> Moment {
        let (blocks, open) = shared.full_and_open();
        Moment {
            shared: Arc::clone(shared),
            blocks,
            open,
        }
    }

    /// Whether all blocks that were full are in the file.
    pub fn is_written(&self) -> bool {
        self.shared.written_blocks() >= self.blocks
    }

    /// Appends what [`Bodies::load`](super::Bodies::load) needs to go on from this moment without a fold. False where something is not in
    /// the file, or it is damaged. With `sync`, what is in the file survives a power cut.
    pub fn save(&self, sync: bool, out: &mut Vec<u8>) -> Result<bool, DiskError> {
        let shared = &self.shared;
        if !self.is_written() || shared.is_damaged() {
            return Ok(false);
        }
        if let Some(file) = shared.present_file().filter(|_| sync) {
            file.sync_data().on("sync", &shared.path)?;
        }
        shared.save_index(self.blocks, out);
        out.extend_from_slice(&(self.open.len() as u32).to_le_bytes());
        for body in &self.open {
            out.extend_from_slice(&(body.len() as u32).to_le_bytes());
            out.extend_from_slice(body);
        }
        Ok(true)
    }
}
