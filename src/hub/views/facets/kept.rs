//! The sets of facets in a snapshot.

use std::hash::{BuildHasher, RandomState};

use super::super::copying::Copying;
use super::super::kept::kept;
use super::super::numbers::{Numbers, Room};
use super::super::postings::Postings;
use super::super::rows::Rows;
use super::super::snapshot::{Part, Reading};
use super::{Brought, Class, Context, FacetSets, Set, Stated, class_hash, context_hash};
use crate::log::Refusal;

kept! {
    Set { class, context, kind, verdict, severity }
    Class { publisher, publisher_kind, handling, owner_suffix }
    Context { campaign, stated }
    Stated { ttps, tags, targets }
    Brought { versions, stated_bytes }
}

impl FacetSets {
    /// Copies all sets.
    pub fn copy(&self, copying: &mut Copying) {
        let FacetSets {
            keys: _,
            last: _,
            sets,
            // Derived from the touches.
            postings: _,
            set_index: _,
            classes,
            class_index: _,
            contexts,
            context_index: _,
            campaigns,
            campaign_index: _,
        } = self;
        copying.list(Part::Sets, |number| sets.chunk(number));
        copying.list(Part::Classes, |number| classes.chunk(number));
        copying.list(Part::Contexts, |number| contexts.chunk(number));
        copying.list(Part::Campaigns, |number| campaigns.chunk(number));
    }

    /// The sets in a snapshot, with no touches noted.
    pub fn load(from: &Reading<'_>) -> Result<FacetSets, Refusal> {
        let keys = RandomState::new();
        let sets = from.rows(Part::Sets)?;
        let (classes, contexts) = (from.rows(Part::Classes)?, from.rows(Part::Contexts)?);
        let campaigns: Rows<Box<str>> = from.rows(Part::Campaigns)?;
        let mut postings = Rows::default();
        for _ in 0..sets.len() {
            postings.push(Postings::default());
        }
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

fn index<T: Sync>(rows: &Rows<T>, hash: impl Fn(&T) -> u64 + Sync) -> Numbers {
    rows.index(rows.len(), &mut Room::default(), |_, row| Some(hash(row)), &hash)
}
