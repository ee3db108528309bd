//! Time in the two-person rule: until when somebody counts, and until when a change waits.

use uuid::Uuid;

use super::*;
use crate::domain::member::{MemberKind, Name, Roles};
use crate::log::entry::{CertificateIssued, Entry};

const DAY: i64 = 86_400;

/// A roster and where its log stands.
#[derive(Default)]
struct Fold {
    roster: Roster,
    next: Seq,
}

impl Fold {
    fn write(&mut self, at: Timestamp, actor: Option<Actor>, event: Event) {
        self.roster.apply(self.next, &Entry { at, actor, event }, 0);
        self.next = self.next.next();
    }

    /// Two admins of two members, with certificates of thirty days.
    fn with_two() -> Fold {
        let mut fold = Fold::default();
        for n in [1, 2] {
            let (member, kind) = (member(n), MemberKind::Platform);
            let name = Name::parse("name", &format!("member {n}")).unwrap();
            fold.write(day(0), None, Event::MemberAdmitted { member, name, kind });
            fold.enrol(n, 30);
        }
        fold
    }

    fn enrol(&mut self, n: u128, ends_day: i64) {
        let Actor { member, agent } = admin(n);
        let issued = CertificateIssued {
            member,
            agent,
            roles: Roles::from_iter([Role::Admin]),
            serial: vec![1],
            not_before: day(0),
            not_after: day(ends_day),
            public_key_sha256: [0; 32],
            invitation: None,
            certificate: Vec::new(),
        };
        self.write(day(0), None, Event::CertificateIssued(Box::new(issued)));
    }

    fn revoke(&mut self, at: Timestamp, by: u128, whom: u128) {
        let Actor { member, agent } = admin(whom);
        let event = Event::AgentRevoked {
            member,
            agent,
            reason: String::new(),
        };
        self.write(at, Some(admin(by)), event);
    }

    fn set_standing(&mut self, at: Timestamp, of: u128, standing: Standing) {
        let event = Event::MemberStandingChanged {
            member: member(of),
            standing,
            reason: String::new(),
        };
        self.write(at, Some(admin(1)), event);
    }

    fn propose(&mut self, at: Timestamp, by: u128, n: u128) -> ChangeId {
        let change = ChangeId(Uuid::from_u128(n));
        let name = Name::parse("name", "third").unwrap();
        let event = Box::new(Event::MemberRenamed {
            member: member(1),
            name,
        });
        let expires_at = at.plus_secs(7 * DAY);
        self.write(
            at,
            Some(admin(by)),
            Event::ChangeProposed {
                change,
                event,
                expires_at,
            },
        );
        change
    }

    fn votes(&self, now: Timestamp) -> usize {
        self.roster.votes(now)
    }

    fn waiting(&self, now: Timestamp) -> usize {
        self.roster.pending().at(now).count()
    }
}

fn member(n: u128) -> MemberId {
    MemberId(Uuid::from_u128(n))
}

fn admin(n: u128) -> Actor {
    Actor {
        member: member(n),
        agent: "admin".parse().unwrap(),
    }
}

fn day(day: i64) -> Timestamp {
    Timestamp(0).plus_secs(day * DAY)
}

fn before(moment: Timestamp) -> Timestamp {
    Timestamp(moment.0 - 1)
}

#[test]
fn admin_counts_until_its_certificate_ends() {
    let fold = Fold::with_two();
    assert_eq!((fold.votes(before(day(30))), fold.votes(day(30))), (2, 0));
}

#[test]
fn revoked_admin_counts_for_a_week_unless_it_left_by_itself() {
    let mut fold = Fold::with_two();
    fold.revoke(day(1), 1, 2);
    assert_eq!(
        (fold.votes(day(1)), fold.votes(before(day(8))), fold.votes(day(8))),
        (2, 2, 1)
    );
    assert_eq!(fold.roster.admins(day(1)).count(), 1, "it counts, and can do nothing");
    let mut fold = Fold::with_two();
    fold.revoke(day(1), 2, 2);
    assert_eq!(fold.votes(day(1)), 1);
}

#[test]
fn suspended_admin_counts_for_a_week_even_if_its_certificate_ends_meanwhile() {
    let mut fold = Fold::with_two();
    fold.enrol(2, 3);
    fold.set_standing(day(1), 2, Standing::Suspended);
    assert_eq!((fold.votes(before(day(8))), fold.votes(day(8))), (2, 1));
    fold.set_standing(day(2), 2, Standing::Removed);
    assert_eq!(fold.votes(day(2)), 1, "removal took a second admin");
}

#[test]
fn admin_that_could_not_act_any_more_was_not_shut_out() {
    for suspended in [true, false] {
        let mut fold = Fold::with_two();
        fold.enrol(2, 1);
        match suspended {
            true => fold.set_standing(day(2), 2, Standing::Suspended),
            false => fold.revoke(day(2), 1, 2),
        }
        assert_eq!(fold.votes(day(2)), 1);
    }
}

#[test]
fn change_waits_for_a_week_and_leaves_no_trace_after() {
    let mut fold = Fold::with_two();
    let change = fold.propose(day(1), 1, 1);
    assert_eq!((fold.waiting(before(day(8))), fold.waiting(day(8))), (1, 0));
    assert!(fold.roster.pending().find(change, before(day(8))).is_some());
    assert!(fold.roster.pending().find(change, day(8)).is_none());
    fold.propose(day(8), 1, 2);
    assert_eq!(fold.waiting(day(1)), 1, "the next one makes room");
}

#[test]
fn change_falls_with_its_author_and_with_nobody_else() {
    for (fall, left) in [(1, 1), (2, 0)] {
        let mut fold = Fold::with_two();
        fold.propose(day(1), 2, 1);
        fold.revoke(day(1), 1, fall);
        assert_eq!(fold.waiting(day(1)), left);
        let mut fold = Fold::with_two();
        fold.propose(day(1), 2, 1);
        fold.set_standing(day(1), fall, Standing::Suspended);
        assert_eq!(fold.waiting(day(1)), left);
    }
}

#[test]
fn history_keeps_the_newest_thousand() {
    let mut fold = Fold::with_two();
    let max = 1_000;
    (0..max + 5).for_each(|_| fold.enrol(1, 30));
    let events = fold.roster.member(member(1)).unwrap().history.all();
    let positions: Vec<u64> = events.map(|event| event.seq.0).collect();
    assert_eq!(positions.len(), max);
    assert_eq!((positions[0], positions[max - 1]), (9, fold.next.0 - 1));
}
