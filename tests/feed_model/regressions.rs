//! Histories that once failed, each with the rule that it broke. The world checks them as it checks the random ones.

use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::member::MemberKind;

use super::steps::{Draft, Step, Wish};
use super::world::Stage;

/// The publisher, as a member's number; its reader is the other.
const OWNER: usize = 0;
const READER: usize = 1;

fn check(rest: impl IntoIterator<Item = Step>) {
    let cast = [
        Step::Admit(MemberKind::Platform),
        Step::Admit(MemberKind::Research),
        Step::NewGroup,
        Step::Join {
            group: 0,
            member: OWNER,
        },
        Step::Join {
            group: 0,
            member: READER,
        },
    ];
    let steps: Vec<Step> = cast.into_iter().chain(rest).collect();
    if let Err(fault) = Stage::new().run(&steps) {
        panic!("{fault}");
    }
}

/// For the reader by name.
fn named(value: usize) -> Draft {
    Draft {
        value,
        campaign: 0,
        confidence: 1,
        tag: 0,
        tlp: Tlp::Amber,
        members: 1 << READER,
        groups: 0,
        own_groups_only: true,
        government_release: false,
        embargo: None,
        expiry: None,
    }
}

/// For the group.
fn grouped(value: usize) -> Draft {
    Draft {
        members: 0,
        groups: 1,
        ..named(value)
    }
}

fn publish(drafts: impl IntoIterator<Item = Draft>) -> Step {
    Step::Publish {
        by: OWNER,
        drafts: drafts.into_iter().collect(),
    }
}

fn subscribe(batch_items: usize) -> Step {
    Step::Subscribe {
        member: READER,
        wish: Wish::Everything,
        batch_items,
        hold_touches: 4_096,
        durable: false,
    }
}

const READ: Step = Step::Read {
    subscriber: 0,
    batches: 1,
};

#[test]
fn a_right_that_goes_and_comes_back_within_a_pass_leaves_no_gap() {
    check([
        publish([named(0), grouped(3), named(1), named(2)]),
        subscribe(1),
        READ,
        // The second indicator is passed over on the way to the third, and no touch will ever tell of it.
        Step::Leave {
            group: 0,
            member: READER,
        },
        READ,
        Step::Join {
            group: 0,
            member: READER,
        },
    ]);
}

#[test]
fn a_right_that_is_replaced_by_another_within_a_pass_leaves_no_gap() {
    let both = Draft {
        groups: 3,
        ..grouped(3)
    };
    check([
        Step::NewGroup,
        Step::Join {
            group: 1,
            member: OWNER,
        },
        publish([named(0), both, named(1), named(2)]),
        subscribe(1),
        READ,
        Step::Leave {
            group: 0,
            member: READER,
        },
        READ,
        Step::Join {
            group: 1,
            member: READER,
        },
    ]);
}

#[test]
fn a_holder_under_embargo_is_told_of_the_retraction() {
    let embargoed = Draft {
        members: 1,
        embargo: Some((60, 1 << READER)),
        ..named(0)
    };
    check([publish([embargoed]), subscribe(512), READ, Step::Retract { item: 0 }]);
}

#[test]
fn a_reader_who_was_away_is_not_told_of_a_retraction_after_its_time() {
    let embargoed = Draft {
        embargo: Some((60, 0)),
        ..named(0)
    };
    check([
        publish([named(0)]),
        subscribe(512),
        READ,
        Step::Revise {
            item: 0,
            draft: embargoed,
        },
        Step::Retract { item: 0 },
    ]);
    check([
        publish([grouped(0)]),
        subscribe(512),
        READ,
        Step::Leave {
            group: 0,
            member: READER,
        },
        Step::Retract { item: 0 },
        Step::Join {
            group: 0,
            member: READER,
        },
    ]);
}

/// Who comes back in the middle of a long pass is told first what was taken back since it began, whatever is left of the pass.
#[test]
fn a_reader_in_the_middle_of_a_pass_is_told_first_what_was_taken_back() {
    let durable = Step::Subscribe {
        member: READER,
        wish: Wish::Everything,
        batch_items: 1,
        hold_touches: 4_096,
        durable: true,
    };
    let back = Step::Return { subscriber: 0, lost: 1 };
    check([
        publish([named(0), named(1), named(2), named(3)]),
        durable.clone(),
        READ,
        READ,
        back.clone(),
        Step::Retract { item: 0 },
        // It was given out, and the cursor after it was not stored.
        Step::Retract { item: 1 },
        READ,
    ]);
    // What goes with a right comes back with it, though no touch tells.
    let leave = Step::Leave {
        group: 0,
        member: READER,
    };
    let join = Step::Join {
        group: 0,
        member: READER,
    };
    check([
        publish([grouped(0), named(1), named(2), named(3)]),
        durable,
        READ,
        READ,
        back,
        leave,
        READ,
        join,
    ]);
}
