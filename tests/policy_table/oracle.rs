//! Every combination of what policy looks at, against an oracle that reads the policy as a story of who is let in: it starts
//! from the list of all members and strikes names off, or starts from nobody and lets names in, as the sentence has it.

use std::collections::BTreeSet;

use clearinghouse::domain::handling::{Audience, Embargo, Handling, Tlp};
use clearinghouse::domain::id::{GroupId, MemberId, Timestamp};
use clearinghouse::domain::indicator::State;
use clearinghouse::domain::member::{MemberKind, Standing, Viewer};
use clearinghouse::domain::policy::{self, Subject};
use uuid::Uuid;

/// The members of the oracle's world. The publisher looks, too: then the viewer is the owner.
const OWNER: &str = "owner";
const VIEWER: &str = "viewer";
const OTHER: &str = "other";

fn member(name: &str) -> MemberId {
    MemberId(Uuid::new_v5(&Uuid::NAMESPACE_DNS, name.as_bytes()))
}

fn group(name: &str) -> GroupId {
    GroupId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
}

/// One combination, in words.
#[derive(Clone, Copy, Debug)]
struct World {
    tlp: Tlp,
    named: &'static [&'static str],
    named_groups: &'static [&'static str],
    /// Of whoever looks.
    groups: &'static [&'static str],
    who: &'static str,
    viewer_kind: MemberKind,
    publisher_kind: MemberKind,
    release: bool,
    state: State,
    embargo: Option<&'static [&'static str]>,
    standing: Standing,
}

/// Everyone who may see the indicator, by name, from the sentences of the policy in their order.
fn who_may_see(world: &World) -> BTreeSet<&'static str> {
    let everyone = BTreeSet::from([OWNER, VIEWER, OTHER]);
    let named: BTreeSet<&str> = world.named.iter().copied().collect();
    let is_in_a_named_group = world
        .groups
        .iter()
        .any(|own| world.named_groups.iter().any(|named| named == own));

    // 3. By label and audience.
    let mut audience = named.clone();
    if is_in_a_named_group {
        audience.insert(world.who);
    }
    let nobody_is_addressed = world.named.is_empty() && world.named_groups.is_empty();
    let by_handling = match world.tlp {
        Tlp::Clear | Tlp::Green if nobody_is_addressed => everyone,
        Tlp::Clear | Tlp::Green | Tlp::Amber | Tlp::AmberStrict => audience,
        Tlp::Red => named,
    };
    // 2. Before and after its time.
    let mut allowed = match world.state {
        State::Active => by_handling,
        State::Embargoed => world.embargo.unwrap_or(&[]).iter().copied().collect(),
        State::Retracted | State::Expired | State::Erased => BTreeSet::new(),
    };
    // 4. What a government needs besides.
    let crosses_the_lane =
        world.viewer_kind == MemberKind::Government && world.publisher_kind != MemberKind::Government;
    let is_open_to_governments = world.tlp == Tlp::Clear || world.release;
    if crosses_the_lane && !is_open_to_governments {
        allowed.remove(world.who);
    }
    // 1. An owner sees its own, and the suspended and removed see nothing.
    allowed.insert(OWNER);
    // Of what is erased there is nothing to see.
    if world.state == State::Erased {
        allowed.clear();
    }
    match world.standing {
        Standing::Active => {}
        Standing::Suspended | Standing::Removed => {
            allowed.remove(world.who);
        }
    }
    allowed
}

/// Whether the policy permits such an audience for the label at all.
fn can_be_stated(world: &World) -> bool {
    match world.tlp {
        Tlp::Clear | Tlp::Green => true,
        Tlp::Amber | Tlp::AmberStrict => !(world.named.is_empty() && world.named_groups.is_empty()),
        Tlp::Red => !world.named.is_empty() && world.named_groups.is_empty(),
    }
}

fn handling(world: &World) -> Option<Handling> {
    let members = world.named.iter().map(|name| member(name)).collect();
    let groups = world.named_groups.iter().map(|name| group(name)).collect();
    let mut handling = Handling::new(world.tlp, Audience::new(members, groups).unwrap()).ok()?;
    handling.government_release = world.release;
    handling.embargo = world.embargo.map(|names| {
        let members = names.iter().map(|name| member(name)).collect();
        Embargo::new(Timestamp(1), members).unwrap()
    });
    Some(handling)
}

fn decide(world: &World, handling: &Handling) -> bool {
    let mut groups: Vec<GroupId> = world.groups.iter().map(|name| group(name)).collect();
    groups.sort_unstable();
    let viewer = Viewer {
        member: member(world.who),
        kind: world.viewer_kind,
        standing: world.standing,
        groups,
    };
    let subject = Subject {
        publisher: member(OWNER),
        publisher_kind: world.publisher_kind,
        state: world.state,
        handling,
    };
    let release = policy::evaluate(&viewer, &subject, "body");
    for as_owner in [false, true] {
        let together = policy::evaluate_all(&viewer, [(subject, as_owner); 2], "body");
        let is_so = release.as_ref().is_some_and(|release| release.is_own() == as_owner);
        assert_eq!(together.is_some(), is_so, "{world:?}, together");
    }
    let Some(release) = release else {
        return false;
    };
    assert_eq!(*release.body(), "body", "{world:?}");
    assert_eq!(release.is_own(), world.who == OWNER, "{world:?}");
    assert_eq!(release.is_exportable(), world.tlp != Tlp::Red, "{world:?}");
    true
}

#[derive(Default, Debug, PartialEq, Eq)]
struct Tally {
    allowed: u32,
    denied: u32,
    refused: u32,
}

const NAMED: [&[&str]; 4] = [&[], &[VIEWER], &[OTHER], &[VIEWER, OTHER]];
const NAMED_GROUPS: [&[&str]; 4] = [&[], &["own"], &["foreign"], &["own", "foreign"]];
const GROUPS: [&[&str]; 4] = [&[], &["own"], &["unrelated"], &["own", "second", "unrelated"]];
const EMBARGOES: [Option<&[&str]>; 5] = [None, Some(&[]), Some(&[VIEWER]), Some(&[OTHER]), Some(&[VIEWER, OTHER])];

/// Every audience and embargo there is, and for each everyone who could look at it.
fn each_handling(mut visit: impl FnMut(World)) {
    for tlp in Tlp::ALL {
        for named in NAMED {
            for named_groups in NAMED_GROUPS {
                for release in [false, true] {
                    for embargo in EMBARGOES {
                        visit(World {
                            tlp,
                            named,
                            named_groups,
                            groups: &[],
                            who: VIEWER,
                            viewer_kind: MemberKind::Platform,
                            publisher_kind: MemberKind::Platform,
                            release,
                            state: State::Active,
                            embargo,
                            standing: Standing::Active,
                        });
                    }
                }
            }
        }
    }
}

fn each_viewer(world: World, mut visit: impl FnMut(World)) {
    for groups in GROUPS {
        for who in [OWNER, VIEWER] {
            for viewer_kind in MemberKind::ALL {
                for standing in Standing::ALL {
                    visit(World {
                        groups,
                        who,
                        viewer_kind,
                        standing,
                        ..world
                    });
                }
            }
        }
    }
}

fn each_publication(world: World, mut visit: impl FnMut(World)) {
    for publisher_kind in MemberKind::ALL {
        for state in State::ALL {
            visit(World {
                publisher_kind,
                state,
                ..world
            });
        }
    }
}

#[test]
fn policy_agrees_with_its_words_in_every_combination() {
    let mut tally = Tally::default();
    each_handling(|stated| {
        let handling = handling(&stated);
        assert_eq!(handling.is_some(), can_be_stated(&stated), "{stated:?}");
        each_viewer(stated, |looking| {
            each_publication(looking, |world| {
                let Some(handling) = &handling else {
                    tally.refused += 1;
                    return;
                };
                let expected = who_may_see(&world).contains(world.who);
                assert_eq!(decide(&world, handling), expected, "{world:?}");
                *(if expected {
                    &mut tally.allowed
                } else {
                    &mut tally.denied
                }) += 1;
            });
        });
    });
    println!(
        "{tally:?}: {} combinations",
        tally.allowed + tally.denied + tally.refused
    );
    // 5 labels × 16 audiences × 2 releases × 5 embargoes, × 4 memberships × 2 viewers × 4 kinds × 3 standings, × 4 kinds × 5
    // states. Were a loop emptied by mistake, nothing else would fail.
    assert_eq!(tally.allowed + tally.denied + tally.refused, 800 * 96 * 20);
    assert_eq!(tally.refused, (2 + 13) * 10 * 96 * 20);
    assert!(tally.allowed > 100_000 && tally.denied > 100_000, "{tally:?}");
}

/// An oracle that never disagrees could be deaf: each change to a rule must show somewhere.
#[test]
fn the_combinations_tell_a_wrong_policy_from_the_right_one() {
    type Wrong = fn(&World) -> bool;
    let wrongs: [(&str, Wrong); 6] = [
        ("government release is ignored", |world| {
            who_may_see(&World {
                release: true,
                ..*world
            })
            .contains(world.who)
        }),
        ("groups are ignored", |world| {
            who_may_see(&World { groups: &[], ..*world }).contains(world.who)
        }),
        ("standing is ignored", |world| {
            who_may_see(&World {
                standing: Standing::Active,
                ..*world
            })
            .contains(world.who)
        }),
        ("embargoes are ignored", |world| {
            let state = if world.state == State::Embargoed {
                State::Active
            } else {
                world.state
            };
            who_may_see(&World { state, ..*world }).contains(world.who)
        }),
        ("retraction is ignored", |world| {
            let state = if world.state == State::Retracted {
                State::Active
            } else {
                world.state
            };
            who_may_see(&World { state, ..*world }).contains(world.who)
        }),
        ("the audience of AMBER is ignored", |world| match world.tlp {
            Tlp::Amber => {
                let open = World {
                    tlp: Tlp::Green,
                    named: &[],
                    named_groups: &[],
                    ..*world
                };
                who_may_see(&open).contains(world.who)
            }
            _ => who_may_see(world).contains(world.who),
        }),
    ];
    for (name, wrong) in wrongs {
        let mut shows = false;
        each_handling(|stated| {
            let Some(handling) = handling(&stated).filter(|_| !shows) else {
                return;
            };
            each_viewer(stated, |looking| {
                each_publication(looking, |world| shows |= wrong(&world) != decide(&world, &handling));
            });
        });
        assert!(shows, "no combination shows that {name}");
    }
}
