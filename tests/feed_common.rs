//! Feeds that are live and would be sent the same share the work for it; feeds that would not, never do. What a door makes of a batch
//! tells the two apart: it is made once where the batch is shared.

mod feed_world;
mod hub_support;

use std::cell::Cell;
use std::collections::BTreeMap;

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::IndicatorId;
use clearinghouse::domain::member::{MemberKind, Standing};
use clearinghouse::domain::violation::Violation;
use clearinghouse::hub::Caller;
use clearinghouse::hub::digest::Digest;
use clearinghouse::hub::feed::{Batch, Feed};
use clearinghouse::hub::publish::{Item, Outcome};
use feed_world::{World, filters};
use hub_support::drafts::Rules;
use hub_support::waiting::wait;
use hub_support::{TestHub, drafts, runtime};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Histories, each on a hub of its own.
const HISTORIES: u64 = 6;

/// Rounds of each: something happens, and all feeds read.
const STEPS: usize = 60;

/// A reader with its feed.
struct Reader {
    caller: Caller,
    feed: Feed,
}

struct Stage {
    hub: TestHub,
    publisher: Caller,
    named: Cell<usize>,
}

impl Stage {
    async fn new() -> Stage {
        let hub = TestHub::new();
        let publisher = hub.member("Publisher", MemberKind::Platform).await;
        let stage = Stage {
            hub,
            publisher,
            named: Cell::default(),
        };
        // A feed that begins at nothing is not live.
        stage.publish(Rules::open(Tlp::Green), "").await;
        stage
    }

    async fn reader(&self, name: &str, kind: MemberKind, filter: Filter) -> Reader {
        let caller = self.hub.member(name, kind).await;
        self.reader_of(caller, filter).await
    }

    async fn reader_of(&self, caller: Caller, filter: Filter) -> Reader {
        let feed = self.hub.hub().subscribe(&caller, filter, &[]).expect("a feed");
        let mut reader = Reader { caller, feed };
        while reader.next().await.live.is_none() {}
        reader
    }

    async fn publish(&self, rules: Rules, tag: &str) -> IndicatorId {
        self.named.set(self.named.get() + 1);
        let value = format!("host{}.example.com", self.named.get());
        let mut content = drafts::content(&value, rules.handling().expect("a handling"));
        content.tags = (!tag.is_empty()).then(|| drafts::tag(tag)).into_iter().collect();
        let items = vec![Ok::<Item, Violation>(drafts::item(content))];
        let outcomes = self.hub.hub().publish(&self.publisher, items).await.expect("published");
        let Outcome::Accepted { id, .. } = outcomes[0] else {
            panic!("{outcomes:?}");
        };
        id
    }
}

impl Reader {
    async fn next(&mut self) -> Batch {
        self.feed.next().await.expect("a batch")
    }

    /// The ids in the next batch, and whether it was worked out for this feed.
    async fn next_ids(&mut self) -> (Vec<IndicatorId>, bool) {
        let batch = self.next().await;
        let made = Cell::new(false);
        batch.upserts.encoded(|_| {
            made.set(true);
            Bytes::from_static(b"made")
        });
        (
            batch.upserts.iter().map(|release| release.body().id).collect(),
            made.get(),
        )
    }
}

/// Readers come one after the other to a head that they have all seen before.
async fn settle(readers: &mut [&mut Reader]) {
    for reader in readers {
        while reader.next().await.live.is_none() {}
    }
}

#[test]
fn equal_feeds_share_a_batch_and_others_have_their_own() {
    runtime().block_on(async {
        let stage = Stage::new().await;
        let tagged = Filter {
            tags: vec!["one".into()],
            ..Filter::default()
        };
        let mut a = stage.reader("A", MemberKind::Platform, Filter::default()).await;
        let mut b = stage.reader("B", MemberKind::Research, Filter::default()).await;
        let mut c = stage.reader("C", MemberKind::Government, Filter::default()).await;
        let mut d = stage.reader("D", MemberKind::Platform, tagged).await;
        let mut own = stage.reader_of(stage.publisher.clone(), Filter::default()).await;
        // Members were admitted since, which is a change that each feed looks at for itself.
        let released = Rules {
            government_release: true,
            ..Rules::open(Tlp::Green)
        };
        stage.publish(released.clone(), "one").await;
        settle(&mut [&mut a, &mut b, &mut c, &mut d, &mut own]).await;

        let id = stage.publish(released, "one").await;
        assert_eq!(a.next_ids().await, (vec![id], true));
        assert_eq!(b.next_ids().await, (vec![id], false), "B is treated as A");
        assert_eq!(
            c.next_ids().await,
            (vec![id], false),
            "a release makes C's rights equal here"
        );
        assert_eq!(
            d.next_ids().await,
            (vec![id], true),
            "another filter is another batch, even if it comes to the same"
        );
        assert_eq!(
            own.next_ids().await,
            (vec![id], true),
            "the owner's copy has the audience"
        );

        let hidden = stage.publish(Rules::open(Tlp::Green), "").await;
        let named = stage
            .publish(
                Rules {
                    members: vec![a.caller.member],
                    government_release: true,
                    ..Rules::open(Tlp::Amber)
                },
                "",
            )
            .await;
        let open = stage.publish(Rules::open(Tlp::Clear), "").await;
        assert_eq!(b.next_ids().await, (vec![hidden, open], true));
        assert_eq!(
            a.next_ids().await,
            (vec![hidden, named, open], true),
            "A is named where B is not"
        );
        assert_eq!(c.next_ids().await, (vec![open], true), "C is a government");
    });
}

#[test]
fn a_removal_is_shared_and_a_change_of_rights_is_not() {
    runtime().block_on(async {
        let stage = Stage::new().await;
        let mut a = stage.reader("A", MemberKind::Platform, Filter::default()).await;
        let mut b = stage.reader("B", MemberKind::Platform, Filter::default()).await;
        let group = stage
            .hub
            .group("Group", &[stage.publisher.member, a.caller.member])
            .await;
        let for_group = Rules {
            groups: vec![group],
            ..Rules::open(Tlp::Amber)
        };
        let held = stage.publish(for_group, "").await;
        let open = stage.publish(Rules::open(Tlp::Green), "").await;
        assert_eq!(a.next_ids().await.0, [held, open]);
        assert_eq!(b.next_ids().await.0, [open]);

        let joined = stage.hub.hub().add_to_group(stage.hub.admin(), group, b.caller.member);
        joined.await.expect("B joins");
        let ids = vec![open];
        let retracted = stage
            .hub
            .hub()
            .retract(&stage.publisher, ids, drafts::text("wrong"), true);
        retracted.await.expect("retracted");
        let (first, second) = (a.next().await, b.next().await);
        assert_eq!(first.removals.len(), 1);
        assert_eq!(first.removals, second.removals);
        assert_eq!(b.next_ids().await, (vec![held], true), "what B may see since it joined");
    });
}

/// A feed that stays open while its member is active, and the mirror that it makes.
struct Live {
    member: usize,
    filter: Filter,
    feed: Option<Feed>,
    cursor: Bytes,
    mirror: BTreeMap<IndicatorId, u32>,
    digest: Option<Digest>,
    shared: usize,
}

impl Live {
    /// Reads what there is.
    fn read(&mut self, world: &World) {
        if world.standings[self.member] != Standing::Active {
            self.feed = None;
            return;
        }
        let (hub, caller) = (world.hub.hub(), &world.members[self.member]);
        let (filter, cursor) = (&self.filter, &self.cursor);
        let open = || hub.subscribe(caller, filter.clone(), cursor).expect("a feed");
        let feed = self.feed.get_or_insert_with(open);
        while let Some(batch) = world.hub.next_now(feed) {
            let batch = batch.expect("a batch");
            let made = Cell::new(batch.upserts.is_empty());
            batch.upserts.encoded(|_| {
                made.set(true);
                Bytes::new()
            });
            self.shared += usize::from(!made.get());
            for (id, _) in &batch.removals {
                self.mirror.remove(id);
            }
            let upserts = batch.upserts.iter().map(|release| release.body());
            self.mirror
                .extend(upserts.map(|sighting| (sighting.id, sighting.revision)));
            (self.cursor, self.digest) = (batch.cursor, batch.live);
        }
    }

    /// Holds it against a feed that begins now, whose batches are its own.
    fn check(&self, world: &World, random: &mut StdRng) {
        if self.feed.is_none() || random.random_bool(0.7) {
            return;
        }
        let mut fresh = Live {
            member: self.member,
            filter: self.filter.clone(),
            feed: None,
            cursor: Bytes::new(),
            mirror: BTreeMap::new(),
            digest: None,
            shared: 0,
        };
        fresh.read(world);
        assert_eq!(fresh.shared, 0, "what begins at nothing is a feed's own");
        let whose = format!("{:?} of member {}", self.filter, self.member);
        assert_eq!(self.mirror, fresh.mirror, "{whose}");
        assert_eq!(self.digest, fresh.digest, "{whose}");
    }
}

#[test]
fn mirrors_of_feeds_that_share_are_those_of_feeds_that_do_not() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut shared = 0;
    for seed in 0..HISTORIES {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = wait(World::new());
        let mut feeds = Vec::new();
        for member in 0..world.members.len() {
            // Every filter twice, as two agents of a member have it.
            feeds.extend(
                filters()
                    .into_iter()
                    .cycle()
                    .take(2 * filters().len())
                    .map(|filter| Live {
                        member,
                        filter,
                        feed: None,
                        cursor: Bytes::new(),
                        mirror: BTreeMap::new(),
                        digest: None,
                        shared: 0,
                    }),
            );
        }
        for _ in 0..STEPS {
            for _ in 0..random.random_range(1..4) {
                wait(world.step(&mut random));
            }
            feeds.shuffle(&mut random);
            feeds.iter_mut().for_each(|feed| feed.read(&world));
            feeds.iter().for_each(|feed| feed.check(&world, &mut random));
        }
        shared += feeds.iter().map(|feed| feed.shared).sum::<usize>();
    }
    assert!(shared > 1_000, "{shared} batches were shared");
}
