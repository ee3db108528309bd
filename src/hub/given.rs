//! Maps whose keys the hub itself gives, such as ids of members and numbers of records. Nobody can choose them so that they collide,
//! so they are hashed by what is fast. What members choose (campaigns, request ids) goes into maps of the standard hasher, which is
//! made against that. Ids of observables lie between: see [`DigestKeys`].

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

/// Hashes what the hub gives.
pub(super) type GivenKeys = foldhash::fast::RandomState;

/// A map of it.
pub(super) type GivenMap<K, V> = HashMap<K, V, GivenKeys>;

/// A set of it.
pub(super) type GivenSet<K> = HashSet<K, GivenKeys>;

/// Hashes ids that are digests: a member chooses what is digested and can draw many, but not say what comes of it, and which of them
/// collide here depends on 64 bits that the system drew and nobody is told.
pub(super) type DigestKeys = SeedableRandomState;

/// New ones.
pub(super) fn digest_keys() -> DigestKeys {
    // The standard library asks the system for what it keys its hasher with.
    let secret = RandomState::new().hash_one(0);
    SeedableRandomState::with_seed(secret, SharedSeed::global_random())
}
