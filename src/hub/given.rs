//! Maps whose keys the hub itself gives, such as ids of members and numbers of records. Nobody can choose them so that they collide,
//! so they are hashed by what is fast. What members choose (values, campaigns, request ids) goes into maps of the standard hasher,
//! which is made against that.

use std::collections::{HashMap, HashSet};

/// Hashes what the hub gives.
pub(super) type GivenKeys = foldhash::fast::RandomState;

/// A map of it.
pub(super) type GivenMap<K, V> = HashMap<K, V, GivenKeys>;

/// A set of it.
pub(super) type GivenSet<K> = HashSet<K, GivenKeys>;
