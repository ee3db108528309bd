//! The upserts of a batch: a feed's own, or those of several feeds whose viewers may see the same in the same way.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::super::Sighting;
use super::pass::Gathered;
use crate::domain::policy::Release;

/// Releases, and what a door made of them.
#[derive(Debug, Default)]
pub(super) struct Ready {
    releases: Vec<Release<Sighting>>,
    encoded: OnceLock<Bytes>,
}

/// What was gathered, with its bodies. Nothing is encoded yet.
pub(super) fn ready(gathered: impl IntoIterator<Item = Gathered>, bodies: Vec<Bytes>) -> Ready {
    let read = gathered.into_iter().zip(bodies);
    let releases = read.map(|(gathered, body)| gathered.release.map(|found| found.with(body)));
    Ready {
        releases: releases.collect(),
        encoded: OnceLock::new(),
    }
}

/// Indicators that became visible or changed, as releases.
#[derive(Debug)]
pub struct Upserts(Whose);

#[derive(Debug)]
enum Whose {
    /// Released one by one.
    Own(Arc<Ready>),
    /// Released to another, and together to this viewer, whom policy treats alike.
    Alike(Release<Arc<Ready>>),
}

impl Upserts {
    pub(super) fn own(ready: Arc<Ready>) -> Upserts {
        Upserts(Whose::Own(ready))
    }

    pub(super) fn alike(ready: Release<Arc<Ready>>) -> Upserts {
        Upserts(Whose::Alike(ready))
    }

    /// What a door sends for all of them, made once however many feeds send it.
    pub fn encoded(&self, encode: impl FnOnce(&[Release<Sighting>]) -> Bytes) -> Bytes {
        let ready = self.ready();
        ready.encoded.get_or_init(|| encode(&ready.releases)).clone()
    }

    fn ready(&self) -> &Ready {
        match &self.0 {
            Whose::Own(ready) => ready,
            Whose::Alike(ready) => ready.body(),
        }
    }
}

impl Deref for Upserts {
    type Target = [Release<Sighting>];

    fn deref(&self) -> &[Release<Sighting>] {
        &self.ready().releases
    }
}

impl<'a> IntoIterator for &'a Upserts {
    type Item = &'a Release<Sighting>;
    type IntoIter = std::slice::Iter<'a, Release<Sighting>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
