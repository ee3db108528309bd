//! A subscriber that keeps a mirror and the cursor that belongs to it, and holds the feed to its contract.

use std::collections::{HashMap, HashSet};

use clearinghouse::grpc::wire;
use sha2::{Digest, Sha256};

/// An indicator as the mirror has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    pub revision: u32,
    pub value: String,
}

/// What a subscriber keeps, all of it replaced together: cloning it is its backup.
#[derive(Clone, Default)]
pub struct Mirror {
    pub held: HashMap<String, Held>,
    pub cursor: Vec<u8>,
}

impl Mirror {
    /// Takes in one response. Delivery is at least once, so that what is there may come again, but never older.
    pub fn apply(&mut self, response: wire::SubscribeResponse) -> Result<(), String> {
        let wire::SubscribeResponse {
            upserts,
            removals,
            cursor,
            live,
            digest,
        } = response;
        let mut ids = HashSet::new();
        for indicator in upserts {
            if !ids.insert(indicator.id.clone()) {
                return Err(format!("{} came twice in one response", indicator.raw));
            }
            let held = Held {
                revision: indicator.revision,
                value: indicator.raw,
            };
            let before = self.held.insert(indicator.id, held.clone());
            if before.is_some_and(|before| before.revision > held.revision) {
                return Err(format!("{} went back to revision {}", held.value, held.revision));
            }
        }
        for removal in removals {
            if self.held.remove(&removal.id).is_none() {
                return Err(format!("{} was removed, and the mirror never had it", removal.id));
            }
        }
        self.cursor = cursor;
        match (live, digest) {
            (true, None) => Err("live without a digest".into()),
            (_, Some(digest)) => self.compare(&digest),
            (false, None) => Ok(()),
        }
    }

    fn compare(&self, digest: &wire::Digest) -> Result<(), String> {
        let sum = self.held.iter().fold(0u128, |sum, (id, held)| {
            let hash = Sha256::new()
                .chain_update(id)
                .chain_update(held.revision.to_be_bytes())
                .finalize();
            sum.wrapping_add(u128::from_le_bytes(hash[..16].try_into().expect("16 of 32 bytes")))
        });
        let count = self.held.len() as u64;
        match (count, &sum.to_le_bytes()[..]) == (digest.count, &digest.hash[..]) {
            true => Ok(()),
            false => Err(format!("the mirror holds {count} and the digest says {}", digest.count)),
        }
    }
}
