//! Places that are counted per member, so that one member that takes all of its own takes none of another's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::domain::id::MemberId;

/// The places of each member. There are never more of them than the hub has members.
#[derive(Clone)]
pub struct Places {
    per_member_max: usize,
    members: Arc<Mutex<HashMap<MemberId, Arc<Semaphore>>>>,
}

impl Places {
    /// So many places for each member.
    pub fn new(per_member_max: usize) -> Places {
        Places {
            per_member_max,
            members: Arc::default(),
        }
    }

    /// One member's places. They are never closed.
    pub fn of(&self, member: MemberId) -> Arc<Semaphore> {
        // The map is whole between any two statements: poison carries no news.
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let places = members.entry(member);
        places
            .or_insert_with(|| Arc::new(Semaphore::new(self.per_member_max)))
            .clone()
    }
}
