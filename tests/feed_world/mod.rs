//! A hub on which anything happens that changes what members see, for tests that hold one way of reading against another. It refuses
//! to judge.
#![allow(dead_code, missing_docs)]

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::{GroupId, IndicatorId};
use clearinghouse::domain::indicator::{Confidence, Content, Severity};
use clearinghouse::domain::member::{MemberKind, Standing};
use clearinghouse::domain::observable::Kind;
use clearinghouse::domain::violation::Violation;
use clearinghouse::hub::Caller;
use clearinghouse::hub::publish::{Item, Outcome};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::hub_support::{TestHub, drafts};

const TAGS: [&str; 5] = ["", "", "one", "two", "rare"];

/// A hub with four members of four kinds, of which three are in groups.
pub struct World {
    pub hub: TestHub,
    pub members: Vec<Caller>,
    pub standings: Vec<Standing>,
    groups: Vec<(GroupId, Vec<usize>)>,
    /// With its owner and revision.
    published: Vec<(IndicatorId, usize, u32, Content)>,
    named: usize,
}

/// Filters that ask for facets, for confidence and for values.
pub fn filters() -> Vec<Filter> {
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
    pub async fn new() -> World {
        let hub = TestHub::with_bodies_on_disk();
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

    pub async fn step(&mut self, random: &mut StdRng) {
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
            content.handling = self.content(random, owner).handling.clone();
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
}
