//! Scripts: what happens in both of two worlds, and between that what only one of them has and the observer may not see.

use clearinghouse::domain::observable::{Kind, Observable};
use rand::Rng;
use rand::rngs::StdRng;

/// Values that everybody speaks of, also in secret. The second lies below the first, the third names the second's host; then come two
/// pairs of hashes near each other.
pub const VALUES: [&str; 7] = [
    "example.com",
    "news.example.com",
    "https://news.example.com/story",
    "pdq:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f",
    "pdq:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f00",
    "tlsh:T16541E8128A758FA0D1D71B1F921056203FD20BB43493C976AC79E6F1B39D22846D64F5",
    "tlsh:T13A41E8128A758F90D1D71B1F911056203FD24BB43493C9B6AC78E6F0B39D22846D64F9",
];

/// Feeds of the observer: of everything, of one operation, and of what is near a hash.
pub const WATCHED: usize = 3;

/// The observable of a value, if it is one.
pub fn observable(value: &str) -> Option<Observable> {
    let observable = match value.split_once(':') {
        Some(("pdq", hash)) => Observable::parse_as(Kind::Pdq, hash),
        Some(("tlsh", hash)) => Observable::parse_as(Kind::Tlsh, hash),
        _ => Observable::parse(value),
    };
    observable.ok()
}

/// Others than the observer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Other {
    Platform,
    Research,
    Government,
}

pub const OTHERS: [Other; 3] = [Other::Platform, Other::Research, Other::Government];

/// Handling by which the observer sees an indicator of the platform's.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    ToAll,
    Green,
    ByName,
    ByGroup,
    Red,
    ThroughEmbargo,
    ForSeconds(i64),
}

/// Handling by which it does not.
#[derive(Clone, Copy, Debug)]
pub enum Hidden {
    NamedAnother,
    RedForAnother,
    OtherGroup,
    EmbargoedFromAll,
    EmbargoedForAnother,
    /// For the observer, but not for governments: only where the observer is one and the publisher is none.
    NotForGovernments,
    ForSeconds(i64),
}

/// What both worlds have.
#[derive(Clone, Debug)]
pub enum Common {
    /// The platform publishes what the observer sees.
    Publish {
        value: usize,
        campaign: usize,
        shown: Shown,
    },
    Revise {
        item: usize,
        shown: Shown,
    },
    /// The platform takes an indicator out of the observer's sight.
    Tighten {
        item: usize,
        hidden: Hidden,
    },
    Retract {
        item: usize,
    },
    Pass(i64),
    LeaveGroup,
    /// The observer publishes, under a request id that others use too.
    OwnPublish {
        value: usize,
        campaign: usize,
        request: usize,
        /// To governments too.
        released: bool,
    },
    OwnRetract {
        item: usize,
    },
    /// Of an own indicator, to another campaign, and perhaps to the platform alone.
    OwnRevise {
        item: usize,
        campaign: usize,
        narrows: bool,
    },
    OwnReact {
        item: usize,
        verdict: usize,
        independent: bool,
    },
    /// Another member's opinion of what the observer sees, or of what it published. Where it is a government it is told of it only
    /// if the other agrees.
    React {
        by: Other,
        item: usize,
        to_own: bool,
        verdict: usize,
        independent: bool,
    },
    /// A durable subscriber does something: another member, or the observer where there is none.
    Stream {
        by: Option<Other>,
        campaign: Option<usize>,
        what: Streaming,
    },
    Observe(Observation),
}

/// What a durable subscriber does.
#[derive(Clone, Copy, Debug)]
pub enum Streaming {
    /// Connects, if it is not connected, and reads all that there is.
    Read,
    /// Stores its cursor and confirms.
    Acknowledge,
    /// Stores its cursor and ends.
    Close,
    /// Ends without storing its cursor.
    Crash,
}

/// What the observer does to find out.
#[derive(Clone, Copy, Debug)]
pub enum Observation {
    Read {
        feed: usize,
        batches: usize,
    },
    Reconnect {
        feed: usize,
    },
    Search {
        page_items: usize,
    },
    Lookup,
    Campaigns,
    Lists,
    /// Asks for, revises and retracts an id that is another's in one world and nobody's in the other.
    TryId,
    /// Publishes to a group that is others' in one world and nobody's in the other.
    TryGroup,
    Assessments,
    Recalls,
    Subscriptions,
    Crossings,
    Membership,
    /// Reacts to an id that is another's in one world and nobody's in the other.
    TryReactions,
    /// Every call of the door.
    Door,
    /// Takes all places for requests and feeds that it can have.
    Places,
    /// Publishes until it finds no room.
    Fill,
    /// Publishes faster than it may.
    Rate,
}

pub const ALL_OBSERVATIONS: [Observation; 19] = [
    Observation::Read {
        feed: 0,
        batches: usize::MAX,
    },
    Observation::Read {
        feed: 1,
        batches: usize::MAX,
    },
    Observation::Read {
        feed: 2,
        batches: usize::MAX,
    },
    Observation::Search { page_items: 1 },
    Observation::Search { page_items: 3 },
    Observation::Search { page_items: 100 },
    Observation::Lookup,
    Observation::Campaigns,
    Observation::Lists,
    Observation::TryId,
    Observation::TryGroup,
    Observation::Assessments,
    Observation::Recalls,
    Observation::Subscriptions,
    Observation::Crossings,
    Observation::Membership,
    Observation::TryReactions,
    Observation::Door,
    Observation::Places,
];

/// What uses up the observer's quotas comes at the end.
const LAST_OBSERVATIONS: [Observation; 2] = [Observation::Fill, Observation::Rate];

/// What one world has and the other lacks.
#[derive(Clone, Debug)]
pub enum Secret {
    Publish {
        by: Other,
        value: usize,
        campaign: usize,
        hidden: Hidden,
        copies: usize,
        request: usize,
    },
    Revise {
        item: usize,
        hidden: Hidden,
    },
    Retract {
        item: usize,
    },
    /// On an indicator that the observer once saw.
    ReviseLost {
        item: usize,
        hidden: Hidden,
    },
    RetractLost {
        item: usize,
    },
    NewGroup {
        member: Other,
    },
    LeaveGroup {
        group: usize,
        member: Other,
    },
    /// In the group that the observer left.
    PublishToLeftGroup {
        value: usize,
    },
    RetractInLeftGroup {
        item: usize,
    },
    Enrol {
        member: Other,
    },
    /// An opinion of what the observer does not see.
    React {
        by: Other,
        item: usize,
        verdict: usize,
        independent: bool,
    },
    /// The same of what it once saw.
    ReactToLost {
        by: Other,
        item: usize,
        verdict: usize,
    },
    /// Of what it sees, by a company that does not agree that governments know: only where the observer is one.
    ReactWithoutConsent {
        by: Other,
        item: usize,
        verdict: usize,
        independent: bool,
    },
    /// A durable subscription to what the observer has no part in.
    Stream {
        by: Other,
        what: Streaming,
    },
    /// The agency asks for what the observer does not see.
    Cross {
        item: usize,
    },
    /// Another member has requests under way and feeds open.
    Busy {
        by: Other,
    },
}

#[derive(Clone, Debug)]
pub enum Step {
    Both(Common),
    /// In the first world, or only in the second.
    Only {
        first: bool,
        secret: Secret,
    },
}

/// The script of a pair of worlds, and the limits of the observer's feeds.
pub struct Script {
    pub observer_is: usize,
    pub batch_items: usize,
    pub hold_touches: u32,
    pub steps: Vec<Step>,
}

pub fn script(random: &mut StdRng) -> Script {
    let mut steps = Vec::new();
    for _ in 0..random.random_range(12..32) {
        steps.push(match random.random_bool(0.5) {
            true => Step::Both(common(random)),
            false => Step::Only {
                first: random.random_bool(0.7),
                secret: secret(random),
            },
        });
    }
    let observations = ALL_OBSERVATIONS.into_iter().chain(LAST_OBSERVATIONS);
    steps.extend(observations.map(|observation| Step::Both(Common::Observe(observation))));
    Script {
        observer_is: random.random_range(0..4),
        batch_items: random.random_range(1..4),
        hold_touches: [1, 2, 3, 4_096][random.random_range(0..4)],
        steps,
    }
}

fn common(random: &mut StdRng) -> Common {
    let (item, value, campaign) = (
        random.random_range(0..8),
        random.random_range(0..VALUES.len()),
        random.random_range(0..2),
    );
    if random.random_bool(0.3) {
        return common_reaction(random, item);
    }
    match random.random_range(0..100) {
        0..32 => Common::Publish {
            value,
            campaign,
            shown: shown(random),
        },
        32..38 => Common::Revise {
            item,
            shown: shown(random),
        },
        38..46 => Common::Tighten {
            item,
            hidden: hidden(random),
        },
        46..51 => Common::Retract { item },
        51..56 => Common::Pass(random.random_range(1..12)),
        56..60 => Common::LeaveGroup,
        60..68 => Common::OwnPublish {
            value,
            campaign,
            request: random.random_range(0..3),
            released: random.random(),
        },
        68..70 => Common::OwnRetract { item },
        70..90 => Common::Observe(Observation::Read {
            feed: item % WATCHED,
            batches: random.random_range(1..3),
        }),
        90..95 => Common::Observe(Observation::Reconnect { feed: item % WATCHED }),
        _ => Common::Observe(ALL_OBSERVATIONS[random.random_range(0..ALL_OBSERVATIONS.len())]),
    }
}

fn common_reaction(random: &mut StdRng, item: usize) -> Common {
    let verdict = random.random_range(0..3);
    match random.random_range(0..100) {
        0..20 => Common::React {
            by: OTHERS[random.random_range(0..3)],
            item,
            to_own: random.random(),
            verdict,
            independent: random.random(),
        },
        20..28 => Common::OwnReact {
            item,
            verdict,
            independent: random.random(),
        },
        28..44 => Common::OwnRevise {
            item,
            campaign: random.random_range(0..2),
            narrows: random.random_bool(0.3),
        },
        44..52 => Common::OwnRetract { item },
        _ => Common::Stream {
            by: random.random_bool(0.6).then(|| OTHERS[random.random_range(0..3)]),
            campaign: random.random_bool(0.4).then_some(1),
            what: streaming(random),
        },
    }
}

fn streaming(random: &mut StdRng) -> Streaming {
    match random.random_range(0..10) {
        0..5 => Streaming::Read,
        5..7 => Streaming::Acknowledge,
        7..9 => Streaming::Close,
        _ => Streaming::Crash,
    }
}

fn shown(random: &mut StdRng) -> Shown {
    match random.random_range(0..8) {
        0 | 1 => Shown::ToAll,
        2 => Shown::Green,
        3 => Shown::ByName,
        4 => Shown::ByGroup,
        5 => Shown::Red,
        6 => Shown::ThroughEmbargo,
        _ => Shown::ForSeconds(random.random_range(1..12)),
    }
}

fn hidden(random: &mut StdRng) -> Hidden {
    match random.random_range(0..7) {
        0 => Hidden::NamedAnother,
        1 => Hidden::RedForAnother,
        2 => Hidden::OtherGroup,
        3 => Hidden::EmbargoedFromAll,
        4 => Hidden::EmbargoedForAnother,
        5 => Hidden::NotForGovernments,
        _ => Hidden::ForSeconds(random.random_range(1..12)),
    }
}

fn secret(random: &mut StdRng) -> Secret {
    let (item, value) = (random.random_range(0..8), random.random_range(0..VALUES.len()));
    let other = OTHERS[random.random_range(0..3)];
    if random.random_bool(0.3) {
        return secret_reaction(random, item, other);
    }
    match random.random_range(0..100) {
        0..45 => Secret::Publish {
            by: other,
            value,
            campaign: random.random_range(0..3),
            hidden: hidden(random),
            copies: random.random_range(1..6),
            request: random.random_range(0..3),
        },
        45..55 => Secret::Revise {
            item,
            hidden: hidden(random),
        },
        55..63 => Secret::Retract { item },
        63..70 => Secret::ReviseLost {
            item,
            hidden: hidden(random),
        },
        70..78 => Secret::RetractLost { item },
        78..84 => Secret::NewGroup { member: other },
        84..88 => Secret::LeaveGroup {
            group: item,
            member: other,
        },
        88..93 => Secret::PublishToLeftGroup { value },
        93..96 => Secret::RetractInLeftGroup { item },
        _ => Secret::Enrol { member: other },
    }
}

fn secret_reaction(random: &mut StdRng, item: usize, by: Other) -> Secret {
    let verdict = random.random_range(0..3);
    match random.random_range(0..100) {
        0..20 => Secret::React {
            by,
            item,
            verdict,
            independent: random.random(),
        },
        20..40 => Secret::ReactToLost { by, item, verdict },
        40..60 => Secret::ReactWithoutConsent {
            by,
            item,
            verdict,
            independent: random.random(),
        },
        60..80 => Secret::Stream {
            by,
            what: streaming(random),
        },
        80..88 => Secret::Busy { by },
        _ => Secret::Cross { item },
    }
}
