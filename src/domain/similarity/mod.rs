//! Similarity: hashes of which a small distance means that the things hashed look alike, and an index that finds everything
//! near one of them. Exact: what lies within the distance is found, always. Refuses to know who may see what is found, and to
//! compare hashes of different kinds.
//!
//! `docs/decisions/0018-near-look-ups.md` says why the index is built as it is.

mod chunks;
mod pdq;
mod pdq_index;
mod tlsh;
mod tlsh_index;

pub use self::pdq::PdqHash;
pub use self::pdq_index::PdqIndex;
pub use self::tlsh::TlshHash;
pub use self::tlsh_index::TlshIndex;

use std::fmt;

use super::observable::{Kind, Observable};
use super::violation::Violation;

/// What an index calls the owner of a hash. [`u32::MAX`] is not to be used.
pub type Key = u32;

/// A hash that has a distance to others of its kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SimilarityHash {
    /// Of a picture.
    Pdq(PdqHash),
    /// Of a file.
    Tlsh(TlshHash),
}

impl SimilarityHash {
    /// The hash that an observable is; none for kinds without a distance.
    pub fn of(observable: &Observable) -> Option<SimilarityHash> {
        match observable.kind() {
            Kind::Pdq => PdqHash::parse(observable.value()).map(SimilarityHash::Pdq),
            Kind::Tlsh => TlshHash::parse(observable.value()).map(SimilarityHash::Tlsh),
            _ => None,
        }
    }

    /// Of which observables it is a value.
    pub fn kind(&self) -> Kind {
        match self {
            SimilarityHash::Pdq(_) => Kind::Pdq,
            SimilarityHash::Tlsh(_) => Kind::Tlsh,
        }
    }

    /// The canonical value.
    pub fn value(&self) -> String {
        match self {
            SimilarityHash::Pdq(hash) => hash.to_string(),
            SimilarityHash::Tlsh(hash) => hash.to_string(),
        }
    }

    /// How far apart the two are; none if they are of different kinds.
    pub fn distance(&self, other: &SimilarityHash) -> Option<u32> {
        match (self, other) {
            (SimilarityHash::Pdq(one), SimilarityHash::Pdq(other)) => Some(one.distance(other)),
            (SimilarityHash::Tlsh(one), SimilarityHash::Tlsh(other)) => Some(one.distance(other)),
            (SimilarityHash::Pdq(_), SimilarityHash::Tlsh(_)) | (SimilarityHash::Tlsh(_), SimilarityHash::Pdq(_)) => {
                None
            }
        }
    }
}

/// Everything within a distance of a hash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Near {
    hash: SimilarityHash,
    distance_max: u32,
}

impl Near {
    /// What lies within `distance_max` of an observable, or within its kind's usual distance.
    pub fn new(field: &str, observable: &Observable, distance_max: Option<u32>) -> Result<Near, Violation> {
        let hash = SimilarityHash::of(observable).ok_or_else(|| Violation::new(field, "must be a PDQ or TLSH hash"))?;
        let max = distance_max_of(hash.kind());
        let distance_max = distance_max.unwrap_or(distance_usual(hash.kind()));
        match (1..=max).contains(&distance_max) {
            true => Ok(Near { hash, distance_max }),
            false => Err(Violation::new(
                field,
                format!(
                    "has the distance {distance_max}, must be 1 to {max} for {}",
                    hash.kind()
                ),
            )),
        }
    }

    /// What lies within the usual distance of an observable; none where its kind has no distance.
    pub fn usual(observable: &Observable) -> Option<Near> {
        let hash = SimilarityHash::of(observable)?;
        Some(Near {
            hash,
            distance_max: distance_usual(hash.kind()),
        })
    }

    /// Reads `pdq:` or `tlsh:`, a hash, and `~` with a distance where it is not the usual one.
    pub fn parse(field: &str, text: &str) -> Result<Near, Violation> {
        let violation = |reason: String| Violation::new(field, reason);
        let shape = || violation("must be pdq: or tlsh: and a hash, perhaps with ~ and a distance".into());
        let (kind, rest) = text.split_once(':').ok_or_else(shape)?;
        let kind = Kind::from_name(kind)
            .filter(|kind| distance_usual(*kind) > 0)
            .ok_or_else(shape)?;
        let (value, distance_max) = match rest.split_once('~') {
            None => (rest, None),
            Some((value, distance)) => (value, Some(distance.parse().map_err(|_| shape())?)),
        };
        let observable = Observable::parse_as(kind, value).map_err(|invalid| violation(invalid.to_string()))?;
        Near::new(field, &observable, distance_max)
    }

    /// The hash.
    pub fn hash(&self) -> &SimilarityHash {
        &self.hash
    }

    /// The greatest distance from it.
    pub fn distance_max(&self) -> u32 {
        self.distance_max
    }

    /// Whether a hash is within.
    pub fn holds(&self, hash: &SimilarityHash) -> bool {
        hash.distance(&self.hash)
            .is_some_and(|distance| distance <= self.distance_max)
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.hash.kind(), self.hash.value())?;
        match self.distance_max == distance_usual(self.hash.kind()) {
            true => Ok(()),
            false => write!(f, "~{}", self.distance_max),
        }
    }
}

/// The distance within which two hashes of a kind are said to be near where nobody says otherwise; 0 where a kind has none.
pub fn distance_usual(kind: Kind) -> u32 {
    match kind {
        Kind::Pdq => PdqHash::DISTANCE_MAX,
        Kind::Tlsh => TlshHash::DISTANCE_USUAL,
        _ => 0,
    }
}

/// The greatest distance that can be asked for; 0 where a kind has none.
pub fn distance_max_of(kind: Kind) -> u32 {
    match kind {
        Kind::Pdq => PdqHash::DISTANCE_MAX,
        Kind::Tlsh => TlshHash::DISTANCE_MAX,
        _ => 0,
    }
}

/// Hashes of all kinds that have a distance, by key.
#[derive(Default)]
pub struct SimilarityIndex {
    pdq: PdqIndex,
    tlsh: TlshIndex,
}

impl SimilarityIndex {
    /// Puts a hash in. A key that was there moves to the new hash.
    pub fn insert(&mut self, key: Key, hash: &SimilarityHash) {
        self.remove(key);
        match hash {
            SimilarityHash::Pdq(hash) => self.pdq.insert(key, *hash),
            SimilarityHash::Tlsh(hash) => self.tlsh.insert(key, *hash),
        }
    }

    /// Takes the hash of a key out, if it is there.
    pub fn remove(&mut self, key: Key) {
        self.pdq.remove(key);
        self.tlsh.remove(key);
    }

    /// The hash of a key, if it is there.
    pub fn hash(&self, key: Key) -> Option<SimilarityHash> {
        let pdq = self.pdq.hash(key).map(SimilarityHash::Pdq);
        pdq.or_else(|| self.tlsh.hash(key).map(SimilarityHash::Tlsh))
    }

    /// Shows every key within reach with its distance, each once, in no order that means anything.
    pub fn near(&self, near: &Near, visit: impl FnMut(Key, u32)) {
        match &near.hash {
            SimilarityHash::Pdq(hash) => self.pdq.near(hash, near.distance_max, visit),
            SimilarityHash::Tlsh(hash) => self.tlsh.near(hash, near.distance_max, visit),
        }
    }
}

#[cfg(test)]
mod tests;
