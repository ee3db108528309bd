//! What a durable write in the making holds of publications, so that a later one of the same write is recognised. Whoever asks brings
//! the hash that it computed to ask the views.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::domain::id::{IndicatorId, MemberId, ObservableId};
use crate::domain::indicator::Report;

use super::given::{DigestKeys, digest_keys};

/// Publications by publisher, observable and campaign.
pub(super) struct StagedPublications {
    keys: DigestKeys,
    all: HashTable<Publication>,
}

struct Publication {
    publisher: MemberId,
    observable: ObservableId,
    report: Arc<Report>,
    id: IndicatorId,
}

impl Default for StagedPublications {
    fn default() -> StagedPublications {
        StagedPublications {
            keys: digest_keys(),
            all: HashTable::new(),
        }
    }
}

impl StagedPublications {
    /// The one of a publisher, of an observable and in the campaign of a report.
    pub fn find(&self, publisher: MemberId, observable: ObservableId, report: &Arc<Report>) -> Option<IndicatorId> {
        let is = |held: &Publication| {
            held.observable == observable
                && held.publisher == publisher
                && (Arc::ptr_eq(&held.report, report) || held.report.campaign == report.campaign)
        };
        let found = self.all.find(self.keys.hash_one(observable), is)?;
        Some(found.id)
    }

    /// Adds one that is not there.
    pub fn insert(&mut self, publisher: MemberId, observable: ObservableId, report: Arc<Report>, id: IndicatorId) {
        let keys = &self.keys;
        let publication = Publication {
            publisher,
            observable,
            report,
            id,
        };
        self.all.insert_unique(keys.hash_one(observable), publication, |held| {
            keys.hash_one(held.observable)
        });
    }

    /// Forgets all and keeps the room.
    pub fn clear(&mut self) {
        self.all.clear();
    }
}

/// Request ids and what they lead to, by publisher. They are hashed with the keys of the publisher's own.
#[derive(Default)]
pub(super) struct StagedRequests(HashTable<Request>);

struct Request {
    hash: u64,
    publisher: MemberId,
    request_id: Arc<str>,
    answer: (IndicatorId, u32),
}

impl StagedRequests {
    /// What a request leads to.
    pub fn find(&self, hash: u64, publisher: MemberId, request_id: &str) -> Option<(IndicatorId, u32)> {
        let is = |held: &Request| held.publisher == publisher && *held.request_id == *request_id;
        Some(self.0.find(hash, is)?.answer)
    }

    /// Adds one that is not there.
    pub fn insert(&mut self, hash: u64, publisher: MemberId, request_id: Arc<str>, answer: (IndicatorId, u32)) {
        let request = Request {
            hash,
            publisher,
            request_id,
            answer,
        };
        self.0.insert_unique(hash, request, |held| held.hash);
    }

    /// Forgets all and keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
