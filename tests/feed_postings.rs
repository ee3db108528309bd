//! A feed that looks only at the touches that may matter sends what one sends that looks at each: the same changes in the same batches,
//! whatever the filter, the rights, and the cursor that it begins with. Cursors of either are good for both.

mod feed_world;
mod hub_support;

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::member::Standing;
use clearinghouse::hub::feed::Limits;
use feed_world::{World, filters};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Histories, each on a hub of its own.
const HISTORIES: u64 = 12;

/// Steps of each.
const STEPS: usize = 120;

/// Cursors that a reader comes back with, at most.
const KEPT_MAX: usize = 6;

struct Reader {
    member: usize,
    filter: Filter,
    cursors: Vec<Bytes>,
}

impl Reader {
    /// What a feed sends until it is live, a line a batch, and the cursors.
    async fn read(&self, world: &World, cursor: &[u8], limits: Limits) -> (Vec<String>, Vec<Bytes>) {
        let caller = &world.members[self.member];
        let feed = world
            .hub
            .hub()
            .subscribe_within(caller, self.filter.clone(), cursor, limits);
        let (mut feed, mut lines, mut cursors) = (feed.expect("a feed"), Vec::new(), Vec::new());
        loop {
            let batch = feed.next().await.expect("a batch");
            let upserts = batch
                .upserts
                .iter()
                .map(|release| (release.body().id, release.body().revision));
            let upserts: Vec<_> = upserts.collect();
            lines.push(format!("{upserts:?} {:?} {:?}", batch.removals, batch.live));
            cursors.push(batch.cursor);
            if batch.live.is_some() {
                return (lines, cursors);
            }
        }
    }

    async fn compare(&mut self, world: &World, random: &mut StdRng) -> usize {
        if world.standings[self.member] != Standing::Active {
            return 0;
        }
        let cursor = self.cursors.choose(random).cloned().unwrap_or_default();
        let walking = Limits {
            batch_items_max: random.random_range(1..5),
            touches_per_hold_max: random.random_range(1..50),
            touches_walked_max: u32::MAX,
            ..Limits::DEFAULT
        };
        let picking = Limits {
            touches_per_hold_max: random.random_range(1..50),
            touches_walked_max: 0,
            ..walking
        };
        let (expected, cursors) = self.read(world, &cursor, walking).await;
        let (sent, more_cursors) = self.read(world, &cursor, picking).await;
        assert_eq!(sent, expected, "{:?} of member {}", self.filter, self.member);
        let mut all = cursors.into_iter().chain(more_cursors).collect::<Vec<_>>();
        self.cursors.push(all.swap_remove(random.random_range(0..all.len())));
        if self.cursors.len() > KEPT_MAX {
            self.cursors.remove(random.random_range(0..KEPT_MAX));
        }
        expected.len()
    }
}

#[test]
fn a_feed_that_looks_only_where_it_may_matter_sends_what_one_sends_that_looks_everywhere() {
    let runtime = hub_support::runtime();
    let mut batches = 0;
    for seed in 0..HISTORIES {
        let mut random = StdRng::seed_from_u64(seed);
        batches += runtime.block_on(async {
            let mut world = World::new().await;
            let mut readers = Vec::new();
            for member in 0..world.members.len() {
                readers.extend(filters().into_iter().map(|filter| Reader {
                    member,
                    filter,
                    cursors: vec![Bytes::new()],
                }));
            }
            let mut batches = 0;
            for _ in 0..STEPS {
                world.step(&mut random).await;
                for _ in 0..4 {
                    let place = random.random_range(0..readers.len());
                    batches += readers[place].compare(&world, &mut random).await;
                }
            }
            batches
        });
    }
    assert!(batches > 10_000, "{batches} batches");
}
