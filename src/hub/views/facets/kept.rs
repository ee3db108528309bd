//! The sets of facets in a snapshot.

use std::hash::{BuildHasher, RandomState};

use super::super::kept::kept;
use super::super::numbers::Numbers;
use super::super::rows::Rows;
use super::super::snapshot::{Reading, Sections};
use super::{Brought, Class, Context, FacetSets, Set, Stated, class_hash, context_hash};
use crate::log::{DiskError, Refusal};

kept! {
    Set { class, context, kind, verdict, severity }
    Class { publisher, publisher_kind, handling, owner_suffix }
    Context { campaign, stated }
    Stated { ttps, tags, targets }
    Brought { versions, stated_bytes }
}

impl FacetSets {
    /// Adds all sets to a snapshot.
    pub fn keep(&self, out: &mut Sections) -> Result<(), DiskError> {
        let FacetSets {
            keys: _,
            last: _,
            sets,
            postings,
            set_index: _,
            classes,
            class_index: _,
            contexts,
            context_index: _,
            campaigns,
            campaign_index: _,
        } = self;
        out.list(sets)?;
        out.list(postings)?;
        out.list(classes)?;
        out.list(contexts)?;
        out.list(campaigns)
    }

    /// The sets in a snapshot.
    pub fn load(from: &mut Reading<'_>) -> Result<FacetSets, Refusal> {
        let keys = RandomState::new();
        let (sets, postings) = (from.list()?, from.list()?);
        let (classes, contexts) = (from.list()?, from.list()?);
        let campaigns: Rows<Box<str>> = from.list()?;
        Ok(FacetSets {
            set_index: index(&sets, |set| keys.hash_one(set)),
            class_index: index(
                &classes,
                |Class {
                     publisher,
                     publisher_kind,
                     handling,
                     ..
                 }| { class_hash(&keys, *publisher, *publisher_kind, handling) },
            ),
            context_index: index(&contexts, |Context { campaign, stated }| {
                let stated = stated.as_deref();
                context_hash(&keys, *campaign, stated.map(|one| (&one.ttps, &one.tags, &one.targets)))
            }),
            campaign_index: index(&campaigns, |name| keys.hash_one(name)),
            keys,
            last: None,
            sets,
            postings,
            classes,
            contexts,
            campaigns,
        })
    }
}

fn index<T>(rows: &Rows<T>, hash: impl Fn(&T) -> u64) -> Numbers {
    let hashed = rows.iter().map(&hash).zip(0..);
    Numbers::of(rows.len(), hashed, |number| hash(rows.at(number)))
}
