//! Histories as data: what happens, in words that shrink. Members, groups, items and subscribers are named by number; a number
//! past the end wraps round, and a step that has nothing to act on does nothing, so any step can be left out.

use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::member::{MemberKind, Standing};
use rand::Rng;
use rand::rngs::StdRng;

/// Most members of one history: audiences are bits of a byte.
pub const MEMBERS_MAX: usize = 7;

/// What indicators are about. The second lies below the first, the third names the second's host, the fourth stands alone.
pub const VALUES: [&str; 4] = [
    "example.com",
    "news.example.com",
    "https://news.example.com/story",
    "203.0.113.7",
];

/// The subscriber that came last.
pub const LAST: usize = usize::MAX;

pub const CONFIDENCES: [u8; 3] = [10, 50, 90];
pub const TAGS: [&str; 3] = ["", "red", "blue"];
pub const CAMPAIGNS: [&str; 2] = ["", "Example operation"];

#[derive(Clone, Debug)]
pub struct Draft {
    pub value: usize,
    pub campaign: usize,
    pub confidence: usize,
    pub tag: usize,
    pub tlp: Tlp,
    /// Bit n: member n.
    pub members: u8,
    /// Bit n: group n.
    pub groups: u8,
    /// Leaves out groups that are not the publisher's, which would be refused.
    pub own_groups_only: bool,
    pub government_release: bool,
    /// Seconds from now, and who sees through.
    pub embargo: Option<(i64, u8)>,
    /// Seconds from now, or from the end of the embargo.
    pub expiry: Option<i64>,
}

/// What a subscriber wants; see `oracle::wants` for what each means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    Everything,
    Sure,
    Red,
    Domains,
    OfGovernments,
    SureOfPlatforms,
}

pub const WISHES: [Wish; 6] = [
    Wish::Everything,
    Wish::Sure,
    Wish::Red,
    Wish::Domains,
    Wish::OfGovernments,
    Wish::SureOfPlatforms,
];

#[derive(Clone, Debug)]
pub enum Step {
    Admit(MemberKind),
    Stand(usize, Standing),
    NewGroup,
    Join {
        group: usize,
        member: usize,
    },
    Leave {
        group: usize,
        member: usize,
    },
    Publish {
        by: usize,
        drafts: Vec<Draft>,
    },
    Revise {
        item: usize,
        draft: Draft,
    },
    Retract {
        item: usize,
    },
    /// Seconds go by.
    Pass(i64),
    /// A new subscriber, with the limits of its feed.
    Subscribe {
        member: usize,
        wish: Wish,
        batch_items: usize,
        hold_touches: u32,
        /// Under a name: the hub tells publishers what it may hold.
        durable: bool,
    },
    /// A durable subscriber confirms what it has read.
    Acknowledge {
        subscriber: usize,
    },
    /// A subscriber comes back, having lost its last `lost` batches.
    Return {
        subscriber: usize,
        lost: usize,
    },
    /// A subscriber reads at most so many batches.
    Read {
        subscriber: usize,
        batches: usize,
    },
    /// A subscriber's connection ends.
    Drop {
        subscriber: usize,
    },
    /// An admin has an indicator erased, and time passes.
    Erase {
        item: usize,
    },
    /// The hub goes on with a snapshot while it runs, or begins one.
    Snapshot {
        steps: usize,
    },
    /// The hub closes and opens again.
    Restart,
}

/// A history. It begins with a cast, so that most of it has something to act on.
pub fn history(random: &mut StdRng) -> Vec<Step> {
    let mut steps = vec![
        Step::Admit(MemberKind::Platform),
        Step::Admit(MemberKind::Government),
        Step::Admit(MemberKind::ALL[random.random_range(0..4)]),
        Step::NewGroup,
        Step::Join {
            group: 0,
            member: random.random_range(0..3),
        },
        subscribe(random),
    ];
    for _ in 0..random.random_range(8..32) {
        match random.random_bool(0.04) {
            true => steps.extend(blink(random)),
            false => steps.push(step(random)),
        }
    }
    steps
}

/// A history in which indicators are erased, and the hub starts anew on what is left.
pub fn history_with_erasures(random: &mut StdRng) -> Vec<Step> {
    let mut steps = history(random);
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(steps.len() / 2..=steps.len());
        let erase = Step::Erase {
            item: random.random_range(0..16),
        };
        let restart = random.random_bool(0.6).then_some(Step::Restart);
        steps.splice(at..at, [erase].into_iter().chain(restart));
    }
    steps
}

fn step(random: &mut StdRng) -> Step {
    let number = random.random_range(0..8);
    match random.random_range(0..1_000) {
        0..40 => Step::Admit(MemberKind::ALL[random.random_range(0..4)]),
        40..90 => Step::Stand(number, standing(random)),
        90..110 => Step::NewGroup,
        110..190 => Step::Join {
            group: random.random_range(0..3),
            member: number,
        },
        190..250 => Step::Leave {
            group: random.random_range(0..3),
            member: number,
        },
        250..450 => Step::Publish {
            by: number,
            drafts: (0..random.random_range(1..4)).map(|_| draft(random)).collect(),
        },
        450..560 => Step::Revise {
            item: random.random_range(0..16),
            draft: draft(random),
        },
        560..610 => Step::Retract {
            item: random.random_range(0..16),
        },
        610..680 => Step::Pass(random.random_range(1..20)),
        680..730 => subscribe(random),
        730..800 => Step::Return {
            subscriber: number,
            lost: random.random_range(0..3),
        },
        800..840 => Step::Acknowledge { subscriber: number },
        840..870 => Step::Snapshot {
            steps: random.random_range(1..12),
        },
        870..950 => Step::Read {
            subscriber: number,
            batches: random.random_range(1..4),
        },
        950..998 => Step::Drop { subscriber: number },
        _ => Step::Restart,
    }
}

/// A member loses a right and has it again while a feed of its is in the middle of a pass: what was left out must still come.
fn blink(random: &mut StdRng) -> [Step; 5] {
    let (group, member) = (random.random_range(0..2), random.random_range(0..3));
    let read = Step::Read {
        subscriber: LAST,
        batches: 1,
    };
    let subscribe = Step::Subscribe {
        member,
        wish: Wish::Everything,
        batch_items: 1,
        hold_touches: 4_096,
        durable: random.random_bool(0.5),
    };
    let leave = Step::Leave { group, member };
    [subscribe, read.clone(), leave, read, Step::Join { group, member }]
}

fn standing(random: &mut StdRng) -> Standing {
    match random.random_range(0..12) {
        0..5 => Standing::Suspended,
        5..11 => Standing::Active,
        _ => Standing::Removed,
    }
}

fn subscribe(random: &mut StdRng) -> Step {
    Step::Subscribe {
        member: random.random_range(0..8),
        wish: match random.random_bool(0.4) {
            true => Wish::Everything,
            false => WISHES[random.random_range(0..WISHES.len())],
        },
        batch_items: [1, 1, 2, 3, 512][random.random_range(0..5)],
        hold_touches: [1, 2, 4_096][random.random_range(0..3)],
        durable: random.random_bool(0.6),
    }
}

fn draft(random: &mut StdRng) -> Draft {
    let tlp = Tlp::ALL[random.random_range(0..5)];
    let mut members = match random.random_bool(0.5) {
        true => random.random::<u8>() & random.random::<u8>(),
        false => 0,
    };
    let groups = match random.random_bool(0.5) && tlp != Tlp::Red {
        true => random.random::<u8>() & 7,
        false => 0,
    };
    if members == 0 && groups == 0 && !matches!(tlp, Tlp::Clear | Tlp::Green) {
        members = 1 << random.random_range(0..4);
    }
    let embargo = random
        .random_bool(0.2)
        .then(|| (random.random_range(1..30), random.random::<u8>()));
    Draft {
        value: random.random_range(0..VALUES.len()),
        campaign: random.random_range(0..CAMPAIGNS.len()),
        confidence: random.random_range(0..CONFIDENCES.len()),
        tag: random.random_range(0..TAGS.len()),
        tlp,
        members,
        groups,
        own_groups_only: random.random_bool(0.9),
        government_release: random.random(),
        embargo,
        expiry: random.random_bool(0.25).then(|| random.random_range(1..40)),
    }
}
