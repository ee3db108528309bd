//! The table: for each sentence of the policy, what it allows and, beside it, what it denies.

use clearinghouse::domain::handling::{Audience, Embargo, Handling, Tlp};
use clearinghouse::domain::id::{GroupId, MemberId, Timestamp};
use clearinghouse::domain::indicator::State;
use clearinghouse::domain::member::{MemberKind, Standing, Viewer};
use clearinghouse::domain::policy::{self, Subject};
use uuid::Uuid;

use MemberKind::{Government, Media, Platform, Research};
use State::{Active, Embargoed, Erased, Expired, Retracted};
use Tlp::{Amber, AmberStrict, Clear, Green, Red};

const OWNER: MemberId = MemberId(Uuid::from_u128(1));
const VIEWER: MemberId = MemberId(Uuid::from_u128(2));
const SOMEONE_ELSE: MemberId = MemberId(Uuid::from_u128(3));
const THE_GROUP: GroupId = GroupId(Uuid::from_u128(4));
const ANOTHER_GROUP: GroupId = GroupId(Uuid::from_u128(5));

/// An indicator of a platform, active, for nobody in particular, not released to governments.
#[derive(Clone)]
struct Of {
    tlp: Tlp,
    members: Vec<MemberId>,
    groups: Vec<GroupId>,
    publisher_kind: MemberKind,
    state: State,
    embargo: Option<Vec<MemberId>>,
    is_released: bool,
}

fn of(tlp: Tlp) -> Of {
    let (members, groups) = (Vec::new(), Vec::new());
    Of {
        tlp,
        members,
        groups,
        publisher_kind: Platform,
        state: Active,
        embargo: None,
        is_released: false,
    }
}

impl Of {
    fn for_member(mut self, member: MemberId) -> Of {
        self.members.push(member);
        self
    }

    fn for_group(mut self, group: GroupId) -> Of {
        self.groups.push(group);
        self
    }

    fn by(self, publisher_kind: MemberKind) -> Of {
        Of { publisher_kind, ..self }
    }

    fn now(self, state: State) -> Of {
        Of { state, ..self }
    }

    fn embargo_for(self, members: &[MemberId]) -> Of {
        Of {
            embargo: Some(members.to_vec()),
            ..self
        }
    }

    fn released(self) -> Of {
        Of {
            is_released: true,
            ..self
        }
    }

    fn is_seen_by(&self, viewer: &Viewer) -> bool {
        let audience = Audience::new(self.members.clone(), self.groups.clone()).unwrap();
        let mut handling = Handling::new(self.tlp, audience).unwrap();
        handling.government_release = self.is_released;
        handling.embargo = self
            .embargo
            .clone()
            .map(|members| Embargo::new(Timestamp(1), members).unwrap());
        let subject = Subject {
            publisher: OWNER,
            publisher_kind: self.publisher_kind,
            state: self.state,
            handling: &handling,
        };
        policy::evaluate(viewer, &subject, ()).is_some()
    }
}

/// An active member that is in one group.
fn a(kind: MemberKind) -> Viewer {
    Viewer {
        member: VIEWER,
        kind,
        standing: Standing::Active,
        groups: vec![THE_GROUP],
    }
}

fn owner() -> Viewer {
    Viewer {
        member: OWNER,
        ..a(Platform)
    }
}

fn outside_groups(viewer: Viewer) -> Viewer {
    Viewer {
        groups: Vec::new(),
        ..viewer
    }
}

fn with(standing: Standing, viewer: Viewer) -> Viewer {
    Viewer { standing, ..viewer }
}

/// A rule, one who may see what it speaks of, and one who may not.
type Case = (&'static str, (Of, Viewer), (Of, Viewer));

fn check(cases: Vec<Case>) {
    for (rule, (allowed, viewer), (denied, other)) in cases {
        assert!(allowed.is_seen_by(&viewer), "{rule}: must be allowed");
        assert!(!denied.is_seen_by(&other), "{rule}: must be denied");
    }
}

#[test]
fn rule_1_standing_and_ownership() {
    let (suspended, removed) = (Standing::Suspended, Standing::Removed);
    check(vec![
        (
            "A suspended member sees nothing",
            (of(Clear), a(Media)),
            (of(Clear), with(suspended, a(Media))),
        ),
        (
            "… nor its own",
            (of(Clear), owner()),
            (of(Clear), with(suspended, owner())),
        ),
        (
            "A removed member sees nothing",
            (of(Clear), a(Media)),
            (of(Clear), with(removed, a(Media))),
        ),
        (
            "… nor its own",
            (of(Clear), owner()),
            (of(Clear), with(removed, owner())),
        ),
        (
            "An owner sees its own, whoever it is for",
            (of(Red).for_member(SOMEONE_ELSE), owner()),
            (of(Red).for_member(SOMEONE_ELSE), a(Platform)),
        ),
        (
            "… also a government without release",
            (
                of(Amber).by(Government).for_member(SOMEONE_ELSE),
                Viewer {
                    kind: Government,
                    ..owner()
                },
            ),
            (of(Amber).by(Government).for_member(SOMEONE_ELSE), a(Government)),
        ),
    ]);
}

#[test]
fn rule_2_retraction_expiry_and_embargo() {
    let embargoed = |tlp| of(tlp).now(Embargoed);
    check(vec![
        (
            "A retracted one is seen by its owner alone",
            (of(Clear).now(Retracted), owner()),
            (of(Clear).now(Retracted), a(Media)),
        ),
        (
            "… not by whom it names",
            (of(Amber).for_member(VIEWER), a(Media)),
            (of(Amber).for_member(VIEWER).now(Retracted), a(Media)),
        ),
        (
            "An expired one is seen by its owner alone",
            (of(Clear).now(Expired), owner()),
            (of(Clear).now(Expired), a(Media)),
        ),
        (
            "… not by whom it names",
            (of(Amber).for_member(VIEWER), a(Media)),
            (of(Amber).for_member(VIEWER).now(Expired), a(Media)),
        ),
        (
            "One that is erased is seen by nobody, its owner included",
            (of(Clear).now(Retracted), owner()),
            (of(Clear).now(Erased), owner()),
        ),
        (
            "… nor by others",
            (of(Clear), a(Media)),
            (of(Clear).now(Erased), a(Media)),
        ),
        (
            "An embargoed one is seen by the members that the embargo names",
            (embargoed(Green).embargo_for(&[VIEWER]), a(Platform)),
            (embargoed(Green).embargo_for(&[SOMEONE_ELSE]), a(Platform)),
        ),
        (
            "… perhaps nobody",
            (embargoed(Clear).embargo_for(&[]), owner()),
            (embargoed(Clear).embargo_for(&[]), a(Platform)),
        ),
        (
            "… the audience waits",
            (of(Amber).for_member(VIEWER).embargo_for(&[]), a(Media)),
            (embargoed(Amber).for_member(VIEWER).embargo_for(&[]), a(Media)),
        ),
        (
            "… so do the audience's groups",
            (of(Green).for_group(THE_GROUP).embargo_for(&[]), a(Media)),
            (embargoed(Green).for_group(THE_GROUP).embargo_for(&[]), a(Media)),
        ),
        (
            "From that time on, by its handling",
            (of(Green).embargo_for(&[SOMEONE_ELSE]), a(Media)),
            (of(Amber).for_member(SOMEONE_ELSE).embargo_for(&[VIEWER]), a(Media)),
        ),
        (
            "Retraction goes before an embargo's list",
            (embargoed(Green).embargo_for(&[VIEWER]), a(Media)),
            (of(Green).now(Retracted).embargo_for(&[VIEWER]), a(Media)),
        ),
    ]);
}

#[test]
fn rule_3_labels_and_audiences() {
    let mut cases = Vec::new();
    for tlp in [Clear, Green] {
        cases.extend([
            (
                "CLEAR and GREEN: all members",
                (of(tlp), outside_groups(a(Research))),
                (of(tlp).for_member(SOMEONE_ELSE), a(Research)),
            ),
            (
                "… with an audience, only it (members)",
                (of(tlp).for_member(VIEWER), a(Media)),
                (of(tlp).for_member(SOMEONE_ELSE), a(Media)),
            ),
            (
                "… with an audience, only it (groups)",
                (of(tlp).for_group(THE_GROUP), a(Media)),
                (of(tlp).for_group(THE_GROUP), outside_groups(a(Media))),
            ),
        ]);
    }
    for tlp in [Amber, AmberStrict] {
        cases.extend([
            (
                "AMBER: only the audience (members)",
                (of(tlp).for_member(VIEWER), a(Media)),
                (of(tlp).for_member(SOMEONE_ELSE), a(Media)),
            ),
            (
                "AMBER: only the audience (groups)",
                (of(tlp).for_group(THE_GROUP), a(Media)),
                (of(tlp).for_group(ANOTHER_GROUP), a(Media)),
            ),
            (
                "AMBER: either is enough",
                (of(tlp).for_member(VIEWER).for_group(ANOTHER_GROUP), a(Media)),
                (of(tlp).for_member(SOMEONE_ELSE).for_group(ANOTHER_GROUP), a(Media)),
            ),
            (
                "AMBER: either is enough",
                (of(tlp).for_member(SOMEONE_ELSE).for_group(THE_GROUP), a(Media)),
                (
                    of(tlp).for_member(SOMEONE_ELSE).for_group(THE_GROUP),
                    outside_groups(a(Media)),
                ),
            ),
        ]);
    }
    cases.push((
        "RED: only members named one by one",
        (of(Red).for_member(VIEWER), a(Media)),
        (of(Red).for_member(SOMEONE_ELSE), a(Media)),
    ));
    check(cases);
}

#[test]
fn rule_3_audiences_that_a_label_refuses_cannot_be_stated() {
    let nobody = Audience::default;
    let group = || Audience::new(Vec::new(), vec![THE_GROUP]).unwrap();
    let both = || Audience::new(vec![VIEWER], vec![THE_GROUP]).unwrap();
    for (rule, tlp, audience) in [
        ("AMBER: the audience must not be empty", Amber, nobody()),
        ("AMBER+STRICT: the audience must not be empty", AmberStrict, nobody()),
        ("RED: members named one by one", Red, nobody()),
        ("RED: not by group", Red, group()),
        ("RED: not by group beside members", Red, both()),
    ] {
        assert!(Handling::new(tlp, audience).is_err(), "{rule}");
    }
}

#[test]
fn rule_3_red_is_never_exported() {
    for tlp in Tlp::ALL {
        let handling = Handling::new(tlp, Audience::new(vec![VIEWER], Vec::new()).unwrap()).unwrap();
        let subject = Subject {
            publisher: OWNER,
            publisher_kind: Platform,
            state: Active,
            handling: &handling,
        };
        for viewer in [owner(), a(Platform)] {
            let release = policy::evaluate(&viewer, &subject, ()).unwrap();
            assert_eq!(release.is_exportable(), tlp != Red, "{tlp:?}");
        }
    }
}

#[test]
fn what_is_released_together_may_be_seen_in_each_part() {
    let handling = |tlp, members| Handling::new(tlp, Audience::new(members, Vec::new()).unwrap()).unwrap();
    let (open, red, foreign) = (
        handling(Green, Vec::new()),
        handling(Red, vec![VIEWER]),
        handling(Amber, vec![SOMEONE_ELSE]),
    );
    let subject = |publisher, handling| Subject {
        publisher,
        publisher_kind: Platform,
        state: Active,
        handling,
    };
    let theirs = |handling| (subject(OWNER, handling), false);
    let (viewer, all) = (a(Platform), policy::evaluate_all::<()>);
    let released = all(&viewer, vec![theirs(&open), theirs(&open)], ()).unwrap();
    assert!(!released.is_own() && released.is_exportable());
    let with_red = all(&viewer, vec![theirs(&open), theirs(&red)], ()).unwrap();
    assert!(!with_red.is_exportable(), "one part that may not leave keeps all of it");
    let mine = (subject(VIEWER, &open), true);
    assert!(all(&viewer, vec![mine], ()).unwrap().is_own());
    assert!(!all(&viewer, vec![mine, theirs(&open)], ()).unwrap().is_own());
    for denied in [
        vec![theirs(&open), theirs(&foreign)],
        vec![theirs(&foreign)],
        // Made for the owner, and for everybody but the owner.
        vec![(subject(OWNER, &open), true)],
        vec![(subject(VIEWER, &open), false)],
    ] {
        assert!(all(&viewer, denied.clone(), ()).is_none(), "{denied:?}");
    }
    assert!(
        all(&viewer, Vec::new(), ()).is_some(),
        "nothing is for every active member"
    );
    let suspended = Viewer {
        standing: Standing::Suspended,
        ..a(Platform)
    };
    assert!(all(&suspended, Vec::new(), ()).is_none());
}

#[test]
fn rule_4_government_lane() {
    let mut cases = Vec::new();
    for publisher in [Platform, Research, Media] {
        cases.extend([
            (
                "A government sees another's only if CLEAR",
                (of(Clear).by(publisher), a(Government)),
                (of(Green).by(publisher), a(Government)),
            ),
            (
                "… or released to governments",
                (of(Green).by(publisher).released(), a(Government)),
                (of(Green).by(publisher), a(Government)),
            ),
            (
                "… besides the rules above: CLEAR with an audience",
                (of(Clear).by(publisher).for_member(VIEWER), a(Government)),
                (of(Clear).by(publisher).for_member(SOMEONE_ELSE), a(Government)),
            ),
            (
                "… besides the rules above: release is no audience",
                (of(Amber).by(publisher).for_member(VIEWER).released(), a(Government)),
                (
                    of(Amber).by(publisher).for_member(SOMEONE_ELSE).released(),
                    a(Government),
                ),
            ),
            (
                "The lane is for governments alone",
                (of(Green).by(publisher), a(Media)),
                (of(Green).by(publisher), a(Government)),
            ),
        ]);
    }
    cases.push((
        "A government sees another government's by the rules above",
        (of(Amber).by(Government).for_member(VIEWER), a(Government)),
        (of(Amber).by(Government).for_member(SOMEONE_ELSE), a(Government)),
    ));
    check(cases);
}

#[test]
fn rule_4_nothing_but_release_opens_the_lane() {
    let mut cases = Vec::new();
    for publisher in [Platform, Research, Media] {
        cases.extend([
            (
                "Being named is no release",
                (of(Amber).by(publisher).for_member(VIEWER).released(), a(Government)),
                (of(Amber).by(publisher).for_member(VIEWER), a(Government)),
            ),
            (
                "… nor being in a named group",
                (of(Amber).by(publisher).for_group(THE_GROUP).released(), a(Government)),
                (of(Amber).by(publisher).for_group(THE_GROUP), a(Government)),
            ),
            (
                "… nor under RED",
                (of(Red).by(publisher).for_member(VIEWER).released(), a(Government)),
                (of(Red).by(publisher).for_member(VIEWER), a(Government)),
            ),
            (
                "… nor being named by an embargo",
                (
                    of(Green).by(publisher).now(Embargoed).embargo_for(&[VIEWER]).released(),
                    a(Government),
                ),
                (
                    of(Green).by(publisher).now(Embargoed).embargo_for(&[VIEWER]),
                    a(Government),
                ),
            ),
            (
                "… and release lifts no embargo",
                (of(Green).by(publisher).embargo_for(&[]).released(), a(Government)),
                (
                    of(Green).by(publisher).now(Embargoed).embargo_for(&[]).released(),
                    a(Government),
                ),
            ),
        ]);
    }
    check(cases);
}

#[test]
fn rule_5_government_origin_changes_nothing_for_the_others() {
    let mut cases = Vec::new();
    for viewer in [Platform, Research, Media] {
        for publisher in MemberKind::ALL {
            cases.extend([
                (
                    "By the same rules, whoever published: GREEN",
                    (of(Green).by(publisher), a(viewer)),
                    (of(Green).by(publisher).for_member(SOMEONE_ELSE), a(viewer)),
                ),
                (
                    "By the same rules, whoever published: AMBER",
                    (of(Amber).by(publisher).for_group(THE_GROUP), a(viewer)),
                    (of(Amber).by(publisher).for_group(ANOTHER_GROUP), a(viewer)),
                ),
                (
                    "By the same rules, whoever published: RED",
                    (of(Red).by(publisher).for_member(VIEWER), a(viewer)),
                    (of(Red).by(publisher).for_member(SOMEONE_ELSE).released(), a(viewer)),
                ),
            ]);
        }
    }
    check(cases);
}
