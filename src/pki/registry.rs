//! The live connections and whose they are, so that a revocation reaches those that are open already: TLS looks at a
//! certificate once, at the handshake. This file cuts connections and counts them; it does not know who is a member.
//!
//! **The race, and how it is closed.** A connection may finish its handshake while its agent is being revoked. So the
//! two sides do two steps each, in opposite order:
//!
//! | the connection | the revocation |
//! |---|---|
//! | 1. `register` | 1. change the roster |
//! | 2. look at the roster, and hang up if it says no | 2. `cancel_…` |
//!
//! Whatever the interleaving, either the connection sees the new roster or the revocation finds the connection. In any
//! other order there is a moment in which both look too early. Each request asks the roster again all the same.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::certificate::Serial;
use super::identity::Identity;
use crate::domain::agent::AgentName;
use crate::domain::id::{InvitationId, MemberId};

/// How many connections may be open at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    /// In all.
    pub total_max: usize,
    /// By all agents of one member together.
    pub per_member_max: usize,
    /// By all holders of one invitation: enrolling needs one, a retry another.
    pub per_invitation_max: usize,
}

impl ConnectionLimits {
    /// What a hub allows unless its configuration says otherwise.
    pub const DEFAULT: ConnectionLimits = ConnectionLimits {
        total_max: 16_384,
        per_member_max: 4_096,
        per_invitation_max: 4,
    };
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits::DEFAULT
    }
}

/// All live connections of the hub. Cheap to clone; all clones are one registry.
#[derive(Clone, Debug)]
pub struct ConnectionRegistry {
    limits: ConnectionLimits,
    live: Arc<Mutex<Live>>,
}

impl ConnectionRegistry {
    /// An empty registry.
    pub fn new(limits: ConnectionLimits) -> ConnectionRegistry {
        ConnectionRegistry {
            limits,
            live: Arc::default(),
        }
    }

    /// Enters the connection of an agent, by the serial number of its certificate. It counts until the returned
    /// [`Registration`] is dropped. Look at the roster *after* this (see the top of the file).
    pub fn register(
        &self,
        serial: Serial,
        member: MemberId,
        agent: &AgentName,
    ) -> Result<Registration, TooManyConnections> {
        self.enter(
            serial,
            Identity::Agent {
                member,
                agent: agent.clone(),
            },
        )
    }

    /// Enters the connection of somebody who is about to enrol.
    pub fn register_invitation(
        &self,
        serial: Serial,
        invitation: InvitationId,
    ) -> Result<Registration, TooManyConnections> {
        self.enter(serial, Identity::Invitation(invitation))
    }

    /// Cuts all connections of one agent and says how many there were. They leave the counts when their tasks end.
    pub fn cancel_agent(&self, member: MemberId, agent: &AgentName) -> usize {
        self.cancel(
            Holder::Member(member),
            |connection| matches!(&connection.identity, Identity::Agent { agent: name, .. } if name == agent),
        )
    }

    /// Cuts all connections of all agents of one member.
    pub fn cancel_member(&self, member: MemberId) -> usize {
        self.cancel(Holder::Member(member), |_| true)
    }

    /// Cuts all connections under one certificate of one member's agent, and leaves those under its other
    /// certificates. With several authorities, a serial number is unique only within each; the member tells them apart.
    pub fn cancel_certificate(&self, member: MemberId, serial: Serial) -> usize {
        self.cancel(Holder::Member(member), |connection| connection.serial == serial)
    }

    /// Cuts all connections under one invitation: it was used or withdrawn.
    pub fn cancel_invitation(&self, invitation: InvitationId) -> usize {
        self.cancel(Holder::Invitation(invitation), |_| true)
    }

    /// The number of connections in all.
    pub fn total(&self) -> usize {
        self.live().connections.len()
    }

    /// The number of connections of one member.
    pub fn of_member(&self, member: MemberId) -> usize {
        self.live().of_holder(Holder::Member(member))
    }

    fn enter(&self, serial: Serial, identity: Identity) -> Result<Registration, TooManyConnections> {
        let holder = Holder::of(&identity);
        let token = CancellationToken::new();
        let mut live = self.live();
        if live.connections.len() >= self.limits.total_max {
            return Err(TooManyConnections::Total {
                max: self.limits.total_max,
            });
        }
        let (max, refusal) = match holder {
            Holder::Member(_) => {
                let max = self.limits.per_member_max;
                (max, TooManyConnections::Member { max })
            }
            Holder::Invitation(_) => {
                let max = self.limits.per_invitation_max;
                (max, TooManyConnections::Invitation { max })
            }
        };
        if live.of_holder(holder) >= max {
            return Err(refusal);
        }
        let id = live.next_id;
        live.next_id += 1;
        live.connections.insert(
            id,
            Connection {
                serial,
                identity,
                token: token.clone(),
            },
        );
        live.by_holder.entry(holder).or_default().insert(id);
        drop(live);
        Ok(Registration {
            id,
            holder,
            token,
            live: Arc::clone(&self.live),
        })
    }

    fn cancel(&self, holder: Holder, meant: impl Fn(&Connection) -> bool) -> usize {
        let live = self.live();
        let ids = live.by_holder.get(&holder).into_iter().flatten();
        let connections = ids.filter_map(|id| live.connections.get(id));
        let tokens: Vec<_> = connections
            .filter(|connection| meant(connection))
            .map(|found| found.token.clone())
            .collect();
        // Cancelling wakes tasks, which may come straight back to this lock.
        drop(live);
        for token in &tokens {
            token.cancel();
        }
        tokens.len()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        lock(&self.live)
    }
}

/// One live connection's place in the registry. Dropping it ends the place and cancels the token, so nothing that was
/// derived from the connection outlives it.
#[derive(Debug)]
#[must_use = "dropping it takes the connection out of the registry"]
pub struct Registration {
    id: u64,
    holder: Holder,
    token: CancellationToken,
    live: Arc<Mutex<Live>>,
}

impl Registration {
    /// Cancelled when the connection must end. Clone it into each stream, or make child tokens.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.live).remove(self.id, self.holder);
        self.token.cancel();
    }
}

/// Why a connection was not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TooManyConnections {
    /// The hub is full.
    #[error("the hub has its maximum of {max} connections")]
    Total {
        /// The limit.
        max: usize,
    },
    /// The member has its share.
    #[error("the member has its maximum of {max} connections")]
    Member {
        /// The limit.
        max: usize,
    },
    /// The invitation is in use.
    #[error("the invitation has its maximum of {max} connections")]
    Invitation {
        /// The limit.
        max: usize,
    },
}

/// Who is charged for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Holder {
    Member(MemberId),
    Invitation(InvitationId),
}

impl Holder {
    fn of(identity: &Identity) -> Holder {
        match identity {
            Identity::Agent { member, agent: _ } => Holder::Member(*member),
            Identity::Invitation(id) => Holder::Invitation(*id),
        }
    }
}

#[derive(Debug)]
struct Connection {
    serial: Serial,
    identity: Identity,
    token: CancellationToken,
}

#[derive(Default, Debug)]
struct Live {
    next_id: u64,
    connections: HashMap<u64, Connection>,
    by_holder: HashMap<Holder, BTreeSet<u64>>,
}

impl Live {
    fn of_holder(&self, holder: Holder) -> usize {
        self.by_holder.get(&holder).map_or(0, BTreeSet::len)
    }

    fn remove(&mut self, id: u64, holder: Holder) {
        self.connections.remove(&id);
        if let Some(ids) = self.by_holder.get_mut(&holder) {
            ids.remove(&id);
            // An empty set left behind for each member and invitation ever seen would be a slow leak.
            if ids.is_empty() {
                self.by_holder.remove(&holder);
            }
        }
    }
}

/// Nothing under the lock panics, so it is never poisoned halfway through a change; and to refuse to revoke because
/// some thread once panicked would be the worse failure.
fn lock(live: &Mutex<Live>) -> MutexGuard<'_, Live> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use uuid::Uuid;

    use super::*;

    fn member(n: u128) -> MemberId {
        MemberId(Uuid::from_u128(n))
    }

    fn serial(n: u8) -> Serial {
        Serial::from_bytes(&[n]).unwrap()
    }

    fn agent(name: &str) -> AgentName {
        name.parse().unwrap()
    }

    fn registry() -> ConnectionRegistry {
        ConnectionRegistry::new(ConnectionLimits {
            total_max: 6,
            per_member_max: 3,
            per_invitation_max: 1,
        })
    }

    #[test]
    fn cancelling_reaches_exactly_those_who_are_meant() {
        let registry = registry();
        let a1 = registry.register(serial(1), member(1), &agent("a")).unwrap();
        let a2 = registry.register(serial(2), member(1), &agent("a")).unwrap();
        let b1 = registry.register(serial(3), member(1), &agent("b")).unwrap();
        let other = registry.register(serial(1), member(2), &agent("a")).unwrap();
        let invitation = InvitationId(Uuid::from_u128(1));
        let enrolling = registry.register_invitation(serial(1), invitation).unwrap();
        let cut = || [&a1, &a2, &b1, &other, &enrolling].map(|one| one.token().is_cancelled());

        assert_eq!(registry.cancel_certificate(member(1), serial(9)), 0);
        assert_eq!(cut(), [false; 5]);
        assert_eq!(registry.cancel_certificate(member(1), serial(1)), 1);
        assert_eq!(cut(), [true, false, false, false, false]);
        assert_eq!(registry.cancel_agent(member(1), &agent("a")), 2);
        assert_eq!(cut(), [true, true, false, false, false]);
        assert_eq!(registry.cancel_member(member(1)), 3);
        assert_eq!(cut(), [true, true, true, false, false]);
        assert_eq!(registry.cancel_invitation(invitation), 1);
        assert_eq!(cut(), [true, true, true, false, true]);
        assert_eq!(registry.cancel_member(member(7)), 0);
    }

    #[test]
    fn each_limit_holds_at_itself_and_frees_its_place_when_a_connection_ends() {
        let registry = registry();
        let enter = |m| registry.register(serial(1), member(m), &agent("a"));
        let mut first: Vec<_> = (0..3).map(|_| enter(1).unwrap()).collect();
        assert_eq!(enter(1).unwrap_err(), TooManyConnections::Member { max: 3 });
        registry.cancel_member(member(1));
        assert_eq!(
            enter(1).unwrap_err(),
            TooManyConnections::Member { max: 3 },
            "cut, but not gone yet"
        );
        first.pop();
        assert_eq!(registry.of_member(member(1)), 2);
        first.push(enter(1).unwrap());

        let invitation = InvitationId(Uuid::from_u128(1));
        let enrolling = registry.register_invitation(serial(2), invitation).unwrap();
        let again = registry.register_invitation(serial(2), invitation);
        assert_eq!(again.unwrap_err(), TooManyConnections::Invitation { max: 1 });

        let others = [enter(2).unwrap(), enter(3).unwrap()];
        assert_eq!(registry.total(), 6);
        assert_eq!(enter(4).unwrap_err(), TooManyConnections::Total { max: 6 });
        drop(enrolling);
        let last = enter(4).unwrap();

        drop((first, others, last));
        let live = registry.live();
        assert!(
            live.connections.is_empty() && live.by_holder.is_empty(),
            "nothing is kept of those who left"
        );
    }

    #[test]
    fn the_end_of_a_connection_ends_what_hangs_on_it() {
        let registry = registry();
        let registration = registry.register(serial(1), member(1), &agent("a")).unwrap();
        let stream = registration.token().child_token();
        drop(registration);
        assert!(stream.is_cancelled());
    }

    #[test]
    fn a_connection_that_races_its_revocation_never_survives() {
        for _ in 0..2_000 {
            let registry = registry();
            let (allowed, start) = (AtomicBool::new(true), Barrier::new(2));
            let served = thread::scope(|scope| {
                let connection = scope.spawn(|| {
                    start.wait();
                    let registration = registry.register(serial(1), member(1), &agent("a")).unwrap();
                    let stands = allowed.load(Ordering::SeqCst);
                    stands.then_some(registration)
                });
                start.wait();
                allowed.store(false, Ordering::SeqCst);
                registry.cancel_member(member(1));
                connection.join().unwrap()
            });
            assert!(served.is_none_or(|registration| registration.token().is_cancelled()));
        }
    }
}
