//! A feed that looks only at the touches that may matter sends what one sends that looks at each: the same changes in the same batches,
//! whatever the filter, the rights, and the cursor that it begins with. Cursors of either are good for both.

mod hub_support;

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::{GroupId, IndicatorId};
use clearinghouse::domain::indicator::{Confidence, Content, Severity};
use clearinghouse::domain::member::{MemberKind, Standing};
use clearinghouse::domain::observable::Kind;
use clearinghouse::domain::violation::Violation;
use clearinghouse::hub::Caller;
use clearinghouse::hub::feed::Limits;
use clearinghouse::hub::publish::{Item, Outcome};
use hub_support::{TestHub, drafts};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Histories, each on a hub of its own.
const HISTORIES: u64 = 12;

/// Steps of each.
const STEPS: usize = 120;

/// Cursors that a reader comes back with, at most.
const KEPT_MAX: usize = 6;

const TAGS: [&str; 5] = ["", "", "one", "two", "rare"];

struct World {
    hub: TestHub,
    members: Vec<Caller>,
    standings: Vec<Standing>,
    groups: Vec<(GroupId, Vec<usize>)>,
    /// With its owner and revision.
    published: Vec<(IndicatorId, usize, u32, Content)>,
    named: usize,
}

struct Reader {
    member: usize,
    filter: Filter,
    cursors: Vec<Bytes>,
}

fn filters() -> Vec<Filter> {
    let tagged = |tag: &str| Filter {
        tags: vec![tag.into()],
        ..Filter::default()
    };
    vec![
        Filter::default(),
        tagged("rare"),
        tagged("one"),
        Filter {
            kinds: vec![Kind::Url],
            confidence_min: 50,
            ..Filter::default()
        },
        Filter {
            value_suffixes: vec!["example.org".into()],
            severity_min: Some(Severity::High),
            ..Filter::default()
        },
        Filter {
            publisher_kinds: vec![MemberKind::Government],
            ..Filter::default()
        },
    ]
}

impl World {
    async fn new() -> World {
        let hub = TestHub::new();
        let mut members = Vec::new();
        for (number, kind) in [
            MemberKind::Platform,
            MemberKind::Government,
            MemberKind::Research,
            MemberKind::Media,
        ]
        .into_iter()
        .enumerate()
        {
            members.push(hub.member(&format!("Member {number}"), kind).await);
        }
        let mut groups = Vec::new();
        for (name, of) in [("Group A", vec![0, 2]), ("Group B", vec![0, 1])] {
            let ids: Vec<_> = of.iter().map(|place: &usize| members[*place].member).collect();
            groups.push((hub.group(name, &ids).await, of));
        }
        World {
            hub,
            standings: vec![Standing::Active; members.len()],
            members,
            groups,
            published: Vec::new(),
            named: 0,
        }
    }

    fn content(&mut self, random: &mut StdRng, owner: usize) -> Content {
        let mut rules = drafts::Rules::open(*[Tlp::Clear, Tlp::Green, Tlp::Green].choose(random).expect("a label"));
        match random.random_range(0..6) {
            0 => {
                rules.tlp = Tlp::Amber;
                rules.members = vec![self.members[random.random_range(0..4)].member];
            }
            1 => {
                let held = self.groups.iter().filter(|(_, members)| members.contains(&owner));
                rules.groups = held.map(|(group, _)| *group).collect();
            }
            2 => {
                let until = self.hub.clock().now().plus_secs(random.random_range(1..90));
                rules.embargo = Some((until, vec![self.members[random.random_range(0..4)].member]));
            }
            _ => {}
        }
        rules.government_release = random.random_bool(0.5);
        if random.random_bool(0.2) {
            rules.expires_at = Some(self.hub.clock().now().plus_secs(random.random_range(100..200)));
        }
        self.named += 1;
        let value = match random.random_range(0..3) {
            0 => format!("https://h{}.example.com/x", self.named),
            1 => format!("h{}.example.org", self.named),
            _ => format!("h{}.example.com", self.named),
        };
        let mut content = drafts::content(&value, rules.handling().expect("a handling"));
        self.state(random, &mut content);
        content
    }

    fn state(&self, random: &mut StdRng, content: &mut Content) {
        let tag = *TAGS.choose(random).expect("a tag");
        content.tags = (!tag.is_empty()).then(|| drafts::tag(tag)).into_iter().collect();
        content.confidence = Confidence::new(random.random_range(0..=100)).expect("0 to 100");
        content.severity = *[None, Some(Severity::Low), Some(Severity::Critical)]
            .choose(random)
            .expect("one");
    }

    async fn step(&mut self, random: &mut StdRng) {
        match random.random_range(0..20) {
            0..=8 => self.publish(random).await,
            9..=12 => self.revise(random).await,
            13 | 14 => self.retract(random).await,
            15 | 16 => self.hub.pass_secs(random.random_range(1..60)).await,
            17 | 18 => self.regroup(random).await,
            _ => {
                let place = random.random_range(0..self.members.len());
                self.standings[place] = match self.standings[place] {
                    Standing::Active => Standing::Suspended,
                    _ => Standing::Active,
                };
                let changed = self.hub.set_standing(self.members[place].member, self.standings[place]);
                changed.await.expect("the standing changes");
            }
        }
    }

    fn active(&self, random: &mut StdRng) -> Option<usize> {
        let place = random.random_range(0..self.members.len());
        (self.standings[place] == Standing::Active).then_some(place)
    }

    async fn publish(&mut self, random: &mut StdRng) {
        let Some(owner) = self.active(random) else { return };
        let contents: Vec<_> = (0..random.random_range(1..4))
            .map(|_| self.content(random, owner))
            .collect();
        let items = contents
            .iter()
            .cloned()
            .map(|content| Ok::<Item, Violation>(drafts::item(content)));
        let outcomes = self
            .hub
            .hub()
            .publish(&self.members[owner], items.collect::<Vec<_>>())
            .await;
        for (content, outcome) in contents.into_iter().zip(outcomes.expect("published")) {
            let Outcome::Accepted { id, revision, .. } = outcome else {
                panic!("{outcome:?}");
            };
            self.published.push((id, owner, revision, content));
        }
    }

    async fn revise(&mut self, random: &mut StdRng) {
        let Some(place) = (!self.published.is_empty()).then(|| random.random_range(0..self.published.len())) else {
            return;
        };
        let (id, owner, revision, old) = self.published[place].clone();
        if self.standings[owner] != Standing::Active {
            return;
        }
        let mut content = old.clone();
        self.state(random, &mut content);
        if random.random_bool(0.5) {
            content.handling = self.content(random, owner).handling;
        }
        let revised = self
            .hub
            .hub()
            .revise(&self.members[owner], id, revision, "".into(), content.clone(), true);
        // What was retracted meanwhile cannot be revised, nor can a time lie in the past.
        if let Ok((_, revision)) = revised.await {
            self.published[place] = (id, owner, revision, content);
        }
    }

    async fn retract(&mut self, random: &mut StdRng) {
        let Some((id, owner, ..)) = self.published.choose(random).cloned() else {
            return;
        };
        let reason = drafts::text("a mistake");
        // A member that is suspended retracts nothing.
        drop(
            self.hub
                .hub()
                .retract(&self.members[owner], vec![id], reason, true)
                .await,
        );
    }

    async fn regroup(&mut self, random: &mut StdRng) {
        let (hub, admin) = (self.hub.hub(), self.hub.admin());
        let (group, held) = &mut self.groups[random.random_range(0..2)];
        let place = random.random_range(0..self.members.len());
        let member = self.members[place].member;
        match held.iter().position(|one| *one == place) {
            Some(at) => {
                held.remove(at);
                drop(hub.remove_from_group(admin, *group, member).await.expect("it leaves"));
            }
            None => {
                held.push(place);
                drop(hub.add_to_group(admin, *group, member).await.expect("it joins"));
            }
        }
    }

    /// What a feed sends until it is live, a line a batch, and the cursors.
    async fn read(&self, reader: &Reader, cursor: &[u8], limits: Limits) -> (Vec<String>, Vec<Bytes>) {
        let caller = &self.members[reader.member];
        let feed = self
            .hub
            .hub()
            .subscribe_within(caller, reader.filter.clone(), cursor, limits);
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

    async fn compare(&self, reader: &mut Reader, random: &mut StdRng) -> usize {
        if self.standings[reader.member] != Standing::Active {
            return 0;
        }
        let cursor = reader.cursors.choose(random).cloned().unwrap_or_default();
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
        let (expected, cursors) = self.read(reader, &cursor, walking).await;
        let (sent, more_cursors) = self.read(reader, &cursor, picking).await;
        assert_eq!(sent, expected, "{:?} of member {}", reader.filter, reader.member);
        let mut all = cursors.into_iter().chain(more_cursors).collect::<Vec<_>>();
        reader.cursors.push(all.swap_remove(random.random_range(0..all.len())));
        if reader.cursors.len() > KEPT_MAX {
            reader.cursors.remove(random.random_range(0..KEPT_MAX));
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
                    batches += world.compare(&mut readers[place], &mut random).await;
                }
            }
            batches
        });
    }
    assert!(batches > 10_000, "{batches} batches");
}
