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

use super::certificate::{PeerCertificate, Serial};
use super::identity::Identity;
use crate::domain::agent::AgentName;
use crate::domain::id::{InvitationId, MemberId, Timestamp};

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

    /// Enters a connection under its peer's certificate. It counts until the returned [`Registration`] is dropped, and
    /// [`ConnectionRegistry::cancel_expired`] cuts it when the certificate ends. Look at the roster *after* this (see
    /// the top of the file).
    pub fn register_peer(&self, peer: &PeerCertificate) -> Result<Registration, TooManyConnections> {
        self.enter(Connection {
            serial: peer.serial,
            identity: peer.identity.clone(),
            not_after: peer.not_after,
            token: CancellationToken::new(),
        })
    }

    /// Enters a connection of an agent whose certificate's end the caller watches itself; otherwise like
    /// [`ConnectionRegistry::register_peer`].
    pub fn register(
        &self,
        serial: Serial,
        member: MemberId,
        agent: &AgentName,
    ) -> Result<Registration, TooManyConnections> {
        self.enter(Connection {
            serial,
            identity: Identity::Agent {
                member,
                agent: agent.clone(),
            },
            not_after: Timestamp(i64::MAX),
            token: CancellationToken::new(),
        })
    }

    /// Cuts all connections whose certificates ended before `now`, and says how many there were. To be called about
    /// once a second: it looks only at those that are due.
    pub fn cancel_expired(&self, now: Timestamp) -> usize {
        let mut live = self.live();
        let kept = live.by_end.split_off(&(now, 0));
        let due = std::mem::replace(&mut live.by_end, kept);
        let tokens: Vec<_> = due
            .iter()
            .filter_map(|(_, id)| live.connections.get(id))
            .map(|found| found.token.clone())
            .collect();
        drop(live);
        cancel_all(&tokens)
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

    /// Cuts all connections of one agent but those under the certificate with that serial number, big-endian.
    pub fn cancel_other_certificates(&self, member: MemberId, agent: &AgentName, kept: &[u8]) -> usize {
        self.cancel(Holder::Member(member), |connection| {
            let is_agent = matches!(&connection.identity, Identity::Agent { agent: name, .. } if name == agent);
            is_agent && connection.serial.as_bytes() != kept
        })
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

    fn enter(&self, connection: Connection) -> Result<Registration, TooManyConnections> {
        let holder = Holder::of(&connection.identity);
        let token = connection.token.clone();
        let mut live = self.live();
        self.check_room(&live, holder)?;
        let id = live.next_id;
        live.next_id += 1;
        live.by_holder.entry(holder).or_default().insert(id);
        live.by_end.insert((connection.not_after, id));
        live.connections.insert(id, connection);
        drop(live);
        Ok(Registration {
            id,
            token,
            live: Arc::clone(&self.live),
        })
    }

    fn check_room(&self, live: &Live, holder: Holder) -> Result<(), TooManyConnections> {
        let ConnectionLimits {
            total_max,
            per_member_max,
            per_invitation_max,
        } = self.limits;
        if live.connections.len() >= total_max {
            return Err(TooManyConnections::Total { max: total_max });
        }
        let held = live.of_holder(holder);
        match holder {
            Holder::Member(_) if held >= per_member_max => Err(TooManyConnections::Member { max: per_member_max }),
            Holder::Invitation(_) if held >= per_invitation_max => Err(TooManyConnections::Invitation {
                max: per_invitation_max,
            }),
            Holder::Member(_) | Holder::Invitation(_) => Ok(()),
        }
    }

    fn cancel(&self, holder: Holder, meant: impl Fn(&Connection) -> bool) -> usize {
        let live = self.live();
        let ids = live.by_holder.get(&holder).into_iter().flatten();
        let connections = ids.filter_map(|id| live.connections.get(id));
        let tokens: Vec<_> = connections
            .filter(|connection| meant(connection))
            .map(|found| found.token.clone())
            .collect();
        drop(live);
        cancel_all(&tokens)
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
        lock(&self.live).remove(self.id);
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
    not_after: Timestamp,
    token: CancellationToken,
}

#[derive(Default, Debug)]
struct Live {
    next_id: u64,
    connections: HashMap<u64, Connection>,
    by_holder: HashMap<Holder, BTreeSet<u64>>,
    /// Those not yet cut for their age, by the end of their certificates.
    by_end: BTreeSet<(Timestamp, u64)>,
}

impl Live {
    fn of_holder(&self, holder: Holder) -> usize {
        self.by_holder.get(&holder).map_or(0, BTreeSet::len)
    }

    fn remove(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        self.by_end.remove(&(connection.not_after, id));
        let holder = Holder::of(&connection.identity);
        if let Some(ids) = self.by_holder.get_mut(&holder) {
            ids.remove(&id);
            // An empty set left behind for each member and invitation ever seen would be a slow leak.
            if ids.is_empty() {
                self.by_holder.remove(&holder);
            }
        }
    }
}

/// Called without the lock: cancelling wakes tasks, which may come straight back to it.
fn cancel_all(tokens: &[CancellationToken]) -> usize {
    tokens.iter().for_each(CancellationToken::cancel);
    tokens.len()
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

    fn peer(identity: Identity, not_after: i64) -> PeerCertificate {
        let (spki_sha256, fingerprint) = ([0; 32], [0; 32]);
        PeerCertificate {
            identity,
            serial: serial(1),
            not_after: Timestamp(not_after),
            spki_sha256,
            fingerprint,
        }
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
        let enrolling = registry
            .register_peer(&peer(Identity::Invitation(invitation), 9))
            .unwrap();
        let cut = || [&a1, &a2, &b1, &other, &enrolling].map(|one| one.token().is_cancelled());

        let kept = |n| serial(n).as_bytes().to_vec();
        assert_eq!(registry.cancel_other_certificates(member(1), &agent("b"), &kept(3)), 0);
        assert_eq!(cut(), [false; 5]);
        assert_eq!(registry.cancel_other_certificates(member(1), &agent("a"), &kept(2)), 1);
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
        let enrolling = registry
            .register_peer(&peer(Identity::Invitation(invitation), 9))
            .unwrap();
        let again = registry.register_peer(&peer(Identity::Invitation(invitation), 9));
        assert_eq!(again.unwrap_err(), TooManyConnections::Invitation { max: 1 });

        let others = [enter(2).unwrap(), enter(3).unwrap()];
        assert_eq!(registry.total(), 6);
        assert_eq!(enter(4).unwrap_err(), TooManyConnections::Total { max: 6 });
        drop(enrolling);
        let last = enter(4).unwrap();

        drop((first, others, last));
        let live = registry.live();
        let empty = live.connections.is_empty() && live.by_holder.is_empty() && live.by_end.is_empty();
        assert!(empty, "nothing is kept of those who left");
    }

    #[test]
    fn a_connection_ends_with_its_certificate_and_not_before() {
        let registry = registry();
        let holding = |name| Identity::Agent {
            member: member(1),
            agent: agent(name),
        };
        let first = registry.register_peer(&peer(holding("a"), 100)).unwrap();
        let second = registry.register_peer(&peer(holding("b"), 200)).unwrap();
        let endless = registry.register(serial(1), member(2), &agent("c")).unwrap();
        let cut = || [&first, &second, &endless].map(|one| one.token().is_cancelled());

        assert_eq!(
            (registry.cancel_expired(Timestamp(100)), cut()),
            (0, [false; 3]),
            "its last moment still counts"
        );
        assert_eq!(
            (registry.cancel_expired(Timestamp(101)), cut()),
            (1, [true, false, false])
        );
        assert_eq!(
            (registry.cancel_expired(Timestamp(150)), cut()),
            (0, [true, false, false])
        );
        assert_eq!(
            (registry.cancel_expired(Timestamp(i64::MAX)), cut()),
            (1, [true, true, false])
        );
        assert_eq!(registry.total(), 3, "they count until their tasks end");
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
