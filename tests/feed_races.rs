//! Feeds under races: members publish, revise and retract at once, groups and time change, and subscribers come and go on several
//! threads. Whenever a feed says that it is live, the subscriber's mirror has the feed's digest; when all is quiet, each mirror
//! is what a search gives. What may be seen is `feed_model`'s to prove.

mod hub_support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::{GroupId, IndicatorId};
use clearinghouse::domain::member::MemberKind;
use clearinghouse::hub::feed::{Batch, Limits};
use clearinghouse::hub::publish::Outcome;
use clearinghouse::hub::query::PAGE_ITEMS_MAX;
use clearinghouse::hub::{Caller, Hub};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use hub_support::TestHub;
use hub_support::drafts::{self, Rules};

/// Changes delivered to subscribers, where the environment does not say otherwise.
const CHANGES: u64 = 200_000;

/// Overrides the number of changes, for longer runs.
const CHANGES_VARIABLE: &str = "CLEARINGHOUSE_CHANGES";

const RECONNECTIONS_MIN: u64 = 1_000;
const SUBSCRIBERS: usize = 8;
const ITEMS_PER_PUBLICATION: usize = 20;

/// Writes, on average, between two changes of the groups: each lets feeds start from the first touch.
const WRITES_PER_TURN: u32 = 200;

/// How long a reader waits for a batch before it asks whether the writers have ended.
const QUIET_FOR: Duration = Duration::from_millis(200);

type Mirror = BTreeMap<IndicatorId, u32>;

/// A mirror and its digest, kept up to date change by change.
#[derive(Default)]
struct Kept {
    mirror: Mirror,
    sum: u128,
}

/// What all tasks share.
struct Scene {
    hub: Hub,
    members: Vec<Caller>,
    groups: Vec<GroupId>,
    /// Members are to move.
    turn: Notify,
    /// The writers are to end.
    enough: AtomicBool,
    /// They have ended.
    quiet: AtomicBool,
    changes: AtomicU64,
    lives: AtomicU64,
    reconnections: AtomicU64,
}

#[test]
fn mirrors_are_right_whenever_a_feed_is_live() {
    let wanted = std::env::var(CHANGES_VARIABLE).map_or(CHANGES, |text| text.parse().expect("a number of changes"));
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let test_hub = Arc::new(TestHub::new());
    let scene = Arc::new(runtime.block_on(scene(&test_hub)));
    runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for at in 0..3 {
            writers.spawn(write(scene.clone(), at));
        }
        writers.spawn(churn(scene.clone(), test_hub.clone()));
        let mut readers = tokio::task::JoinSet::new();
        for at in 0..SUBSCRIBERS {
            readers.spawn(read(scene.clone(), at, wanted));
        }
        writers.join_all().await;
        scene.quiet.store(true, Ordering::Release);
        readers.join_all().await;
    });
    let (changes, lives) = (
        scene.changes.load(Ordering::Relaxed),
        scene.lives.load(Ordering::Relaxed),
    );
    let reconnections = scene.reconnections.load(Ordering::Relaxed);
    println!(
        "{changes} changes, {lives} times live, {reconnections} reconnections in {:?}",
        began.elapsed()
    );
    assert!(
        changes >= wanted && reconnections >= RECONNECTIONS_MIN,
        "too little happened"
    );
}

async fn scene(hub: &TestHub) -> Scene {
    let mut members = Vec::new();
    for (number, kind) in MemberKind::ALL.into_iter().enumerate() {
        members.push(hub.member(&format!("Member {number}"), kind).await);
    }
    let all: Vec<_> = members.iter().map(|caller| caller.member).collect();
    let groups = vec![hub.group("First", &all).await, hub.group("Second", &all[..2]).await];
    Scene {
        hub: hub.hub().clone(),
        members,
        groups,
        turn: Notify::new(),
        enough: AtomicBool::default(),
        quiet: AtomicBool::default(),
        changes: AtomicU64::default(),
        lives: AtomicU64::default(),
        reconnections: AtomicU64::default(),
    }
}

/// One member publishes, revises and retracts until it is enough.
async fn write(scene: Arc<Scene>, at: usize) {
    let mut random = StdRng::seed_from_u64(at as u64);
    let caller = &scene.members[at];
    let (mut held, mut next) = (Vec::<(IndicatorId, u32, String)>::new(), 0);
    while !scene.enough.load(Ordering::Acquire) {
        if random.random_ratio(1, WRITES_PER_TURN) {
            scene.turn.notify_one();
        }
        let act = random.random_range(0..10);
        if act < 4 || held.is_empty() {
            let values: Vec<String> = (next..next + ITEMS_PER_PUBLICATION)
                .map(|n| format!("a{at}-{n}.example.com"))
                .collect();
            next += ITEMS_PER_PUBLICATION;
            let items = values.iter().map(|value| {
                let handling = rules(&mut random, &scene).handling().expect("handling that holds");
                Ok::<_, clearinghouse::domain::violation::Violation>(drafts::item(drafts::content(value, handling)))
            });
            let outcomes = scene
                .hub
                .publish(caller, items.collect::<Vec<_>>())
                .await
                .expect("a member may publish");
            for (value, outcome) in values.into_iter().zip(outcomes) {
                // Refused where the member has just left the group.
                if let Outcome::Accepted { id, revision, .. } = outcome {
                    held.push((id, revision, value));
                }
            }
        } else if act < 8 {
            let place = random.random_range(0..held.len());
            let (id, revision, value) = &mut held[place];
            let handling = rules(&mut random, &scene).handling().expect("handling that holds");
            let content = drafts::content(value, handling);
            if let Ok((_, next)) = scene.hub.revise(caller, *id, *revision, "".into(), content, true).await {
                *revision = next;
            }
        } else {
            let (id, ..) = held.swap_remove(random.random_range(0..held.len()));
            let retracted = scene
                .hub
                .retract(caller, vec![id], drafts::text("no longer held"), true)
                .await;
            retracted.expect("a member may retract");
        }
    }
    scene.turn.notify_one();
}

fn rules(random: &mut StdRng, scene: &Scene) -> Rules {
    let mut rules = match random.random_range(0..6) {
        0 | 1 => Rules::open(Tlp::Clear),
        2 => Rules::open(Tlp::Green),
        3 => Rules {
            groups: vec![scene.groups[random.random_range(0..2)]],
            ..Rules::open(Tlp::Amber)
        },
        4 => Rules {
            members: vec![scene.members[random.random_range(0..4)].member],
            ..Rules::open(Tlp::Red)
        },
        _ => Rules {
            expires_at: Some(scene.hub.now().plus_secs(random.random_range(1..20))),
            ..Rules::open(Tlp::Clear)
        },
    };
    rules.government_release = random.random();
    rules
}

/// Members leave groups and come back, and time passes, until it is enough.
async fn churn(scene: Arc<Scene>, hub: Arc<TestHub>) {
    let mut random = StdRng::seed_from_u64(99);
    loop {
        scene.turn.notified().await;
        if scene.enough.load(Ordering::Acquire) {
            break;
        }
        let group = scene.groups[random.random_range(0..2)];
        let member = scene.members[random.random_range(0..4)].member;
        let moved = match random.random::<bool>() {
            true => scene.hub.add_to_group(hub.admin(), group, member).await,
            false => scene.hub.remove_from_group(hub.admin(), group, member).await,
        };
        moved.expect("an admin may move members");
        hub.pass_secs(1).await;
    }
}

/// Ends the scene when a reader fails, or the others would go on for ever.
struct EndsWithMe(Arc<Scene>);

impl Drop for EndsWithMe {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.enough.store(true, Ordering::Release);
        }
    }
}

/// A subscriber keeps its mirror over many connections. Who counts the last change that is wanted ends the writing.
async fn read(scene: Arc<Scene>, at: usize, wanted: u64) {
    let _ends = EndsWithMe(scene.clone());
    let mut random = StdRng::seed_from_u64(1_000 + at as u64);
    let caller = &scene.members[at % scene.members.len()];
    let mut filter = Filter::default();
    if at >= scene.members.len() {
        filter.publisher_kinds = vec![MemberKind::Platform, MemberKind::Research];
    }
    let (mut kept, mut cursor, mut quiet) = (Kept::default(), Bytes::new(), false);
    while !quiet {
        // Asked before connecting: what such a connection reads until it is live is all there is.
        quiet = scene.quiet.load(Ordering::Acquire);
        let limits = Limits {
            batch_items_max: [7, 64, 512][random.random_range(0..3)],
            touches_per_hold_max: [16, 256, 4_096][random.random_range(0..3)],
            touches_walked_max: [0, 64, 4_096][random.random_range(0..3)],
            ..Limits::DEFAULT
        };
        let feed = scene.hub.subscribe_within(caller, filter.clone(), &cursor, limits);
        let mut feed = feed.expect("a member may subscribe");
        let reconnections = 1 + scene.reconnections.fetch_add(1, Ordering::Relaxed);
        let mut batches = random.random_range(1..30);
        let mut live = false;
        while (quiet && !live) || (!quiet && batches > 0) {
            batches -= 1;
            let wait = tokio::time::timeout(QUIET_FOR, feed.next());
            // Nothing comes to a reader once the writers have ended: it connects again to find out. After that something must.
            let batch = match wait.await {
                Ok(batch) => batch.expect("an active member may read"),
                Err(_) if quiet => continue,
                Err(_) => break,
            };
            cursor = batch.cursor.clone();
            let changes = (batch.upserts.len() + batch.removals.len()) as u64;
            live = batch.live.is_some();
            kept.apply(batch);
            scene.lives.fetch_add(u64::from(live), Ordering::Relaxed);
            let all = changes + scene.changes.fetch_add(changes, Ordering::Relaxed);
            if all >= wanted && reconnections >= RECONNECTIONS_MIN {
                scene.enough.store(true, Ordering::Release);
            }
        }
    }
    assert_eq!(kept.mirror, searched(&scene, caller, &filter).await, "subscriber {at}");
}

impl Kept {
    /// Applies a batch: an indicator never goes back, and what is live has the feed's digest.
    fn apply(&mut self, batch: Batch) {
        for release in &batch.upserts {
            let sighting = release.body();
            let before = self.put(sighting.id, Some(sighting.revision));
            assert!(
                before <= Some(sighting.revision),
                "{} went back from {before:?}",
                sighting.id
            );
        }
        for (id, _) in &batch.removals {
            self.put(*id, None);
        }
        if let Some(sum) = batch.live {
            let own = (self.mirror.len() as u64, self.sum);
            assert_eq!((sum.count, sum.sum), own, "live, and the mirror is not right");
        }
    }

    fn put(&mut self, id: IndicatorId, revision: Option<u32>) -> Option<u32> {
        let before = match revision {
            Some(revision) => self.mirror.insert(id, revision),
            None => self.mirror.remove(&id),
        };
        self.sum = self.sum.wrapping_sub(before.map_or(0, |before| term(id, before)));
        self.sum = self.sum.wrapping_add(revision.map_or(0, |revision| term(id, revision)));
        before
    }
}

/// What one indicator adds to a digest, from the words of the API: the little-endian first 16 bytes of SHA-256(id ‖ revision).
fn term(id: IndicatorId, revision: u32) -> u128 {
    let hash = Sha256::new()
        .chain_update(id.to_string())
        .chain_update(revision.to_be_bytes());
    let head: [u8; 16] = hash.finalize()[..16].try_into().expect("16 of 32 bytes");
    u128::from_le_bytes(head)
}

async fn searched(scene: &Scene, caller: &Caller, filter: &Filter) -> Mirror {
    let (mut found, mut token) = (Mirror::new(), None::<Bytes>);
    loop {
        let page = scene.hub.search(caller, filter, PAGE_ITEMS_MAX, token.as_deref()).await;
        let page = page.expect("a member may search");
        found.extend(
            page.releases
                .iter()
                .map(|release| (release.body().id, release.body().revision)),
        );
        match page.next {
            Some(next) => token = Some(next),
            None => return found,
        }
    }
}
