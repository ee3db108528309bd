//! One of the two worlds: a cast on a hub, the script's steps done to it, and a transcript of all that the observer got to know.

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::{Handling, Tlp};
use clearinghouse::domain::id::{GroupId, IndicatorId};
use clearinghouse::domain::indicator::Content;
use clearinghouse::domain::member::MemberKind;
use clearinghouse::domain::similarity::Near;
use clearinghouse::hub::feed::{Feed, Limits};
use clearinghouse::hub::publish::{Item, Outcome};
use clearinghouse::hub::{Caller, Hub};

use super::door::Door;
use super::hub_support::drafts::{self, Rules};
use super::hub_support::waiting::wait;
use super::hub_support::{TestHub, runtime};
use super::mask::Mask;
use super::quotas::{Busy, LIMITS};
use super::script::{Common, OTHERS, Other, Script, Shown, Step, VALUES, WATCHED, observable};
use super::streams::Durable;

/// The last is used in secret only.
pub(super) const CAMPAIGNS: [&str; 3] = ["", "Example operation", "Secret operation"];

/// A hub on which worlds come one after the other; none shows anything to the next.
pub struct Stage {
    pub hub: TestHub,
    runtime: tokio::runtime::Runtime,
    worlds: usize,
}

pub(super) struct Watched {
    pub filter: Filter,
    pub feed: Option<Feed>,
    pub cursor: Bytes,
}

/// An indicator of the others', with its owner and last revision.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub owner: usize,
    pub id: IndicatorId,
    pub revision: u32,
    pub value: usize,
    pub campaign: usize,
    pub by_group: bool,
}

pub(super) struct World<'a> {
    pub stage: &'a mut Stage,
    pub number: usize,
    pub limits: Limits,
    pub observer: Caller,
    pub observer_governs: bool,
    /// By `Other`.
    pub others: [Caller; 3],
    pub left: bool,
    pub shared_group: GroupId,
    pub secret_groups: Vec<GroupId>,
    pub watched: [Watched; WATCHED],
    /// What the observer sees, saw, and never saw; and its own.
    pub shown: Vec<Held>,
    pub lost: Vec<Held>,
    pub secret: Vec<Held>,
    pub own: Vec<Held>,
    pub all: Vec<(usize, IndicatorId)>,
    pub durables: Vec<Durable>,
    /// What others keep the hub busy with.
    pub busy: Vec<Busy>,
    pub door: Door,
    pub agents: usize,
    pub mask: Mask,
    pub transcript: Vec<String>,
}

impl Stage {
    pub fn new() -> Stage {
        Stage {
            hub: TestHub::with_limits(LIMITS),
            runtime: runtime(),
            worlds: 0,
        }
    }

    /// Plays a script as its first or second world; gives what the observer got to know, line by line.
    pub fn play(&mut self, script: &Script, first: bool) -> Vec<String> {
        let handle = self.runtime.handle().clone();
        let _entered = handle.enter();
        let mut world = World::new(self, script);
        for step in &script.steps {
            match step {
                Step::Both(common) => world.common(common),
                Step::Only {
                    first: of_first,
                    secret,
                } if *of_first == first => world.secret(secret),
                Step::Only { .. } => {}
            }
        }
        world.end()
    }
}

impl<'a> World<'a> {
    fn new(stage: &'a mut Stage, script: &Script) -> World<'a> {
        stage.worlds += 1;
        let number = stage.worlds;
        let kind = MemberKind::ALL[script.observer_is];
        let mut mask = Mask {
            words: Default::default(),
            began: stage.hub.clock().now().0,
        };
        let (observer, door, others, shared_group, secret_group) = wait(async {
            let hub = &stage.hub;
            let observer = hub.member(&format!("Observer {number}"), kind).await;
            let enrolled = hub.enrol(observer.member, observer.agent.as_str(), observer.roles);
            let door = Door::new(hub.hub(), &enrolled.await);
            let others = [
                hub.member(&format!("Platform {number}"), MemberKind::Platform).await,
                hub.member(&format!("Research {number}"), MemberKind::Research).await,
                hub.member(&format!("Government {number}"), MemberKind::Government)
                    .await,
            ];
            let [platform, research, _] = [others[0].member, others[1].member, others[2].member];
            let all = [observer.member, platform, research];
            let shared = hub.group(&format!("Shared {number}"), &all).await;
            let secret = hub
                .group(&format!("Secret {number}"), &[platform, research, others[2].member])
                .await;
            (observer, door, others, shared, secret)
        });
        mask.name(observer.member.0, "observer".into());
        for (other, caller) in OTHERS.iter().zip(&others) {
            mask.name(caller.member.0, format!("{other:?}"));
        }
        mask.name(shared_group.0, "shared group".into());
        let limits = Limits {
            batch_items_max: script.batch_items,
            batch_bytes_max: Limits::DEFAULT.batch_bytes_max,
            touches_per_hold_max: script.hold_touches,
            touches_walked_max: [0, u32::MAX][script.hold_touches as usize % 2],
        };
        let about_operation = Filter {
            campaigns: vec![CAMPAIGNS[1].into()],
            ..Filter::default()
        };
        let watched = [Filter::default(), about_operation, near("pdq:")].map(|filter| Watched {
            filter,
            feed: None,
            cursor: Bytes::new(),
        });
        World {
            stage,
            number,
            limits,
            observer_governs: kind == MemberKind::Government,
            observer,
            others,
            left: false,
            shared_group,
            secret_groups: vec![secret_group],
            watched,
            shown: Vec::new(),
            lost: Vec::new(),
            secret: Vec::new(),
            own: Vec::new(),
            all: Vec::new(),
            durables: Vec::new(),
            busy: Vec::new(),
            door,
            agents: 0,
            mask,
            transcript: Vec::new(),
        }
    }

    pub(super) fn hub(&self) -> &Hub {
        self.stage.hub.hub()
    }

    pub(super) fn tell(&mut self, what: &str, seen: impl std::fmt::Debug) {
        let line = format!("{what}: {seen:?}");
        self.transcript.push(self.mask.apply(&line));
    }

    /// Cleans up, so that the next world on this hub starts with nothing in sight.
    fn end(mut self) -> Vec<String> {
        self.watched.iter_mut().for_each(|watched| watched.feed = None);
        self.busy.clear();
        self.end_streams();
        for owner in 0..=self.others.len() {
            let ids: Vec<_> = self
                .all
                .iter()
                .filter(|(by, _)| *by == owner)
                .map(|(_, id)| *id)
                .collect();
            if !ids.is_empty() {
                let retracted = self.hub().retract(self.caller(owner), ids, drafts::text("over"), true);
                wait(retracted).expect("all is retracted");
            }
        }
        self.transcript
    }

    /// The others by their number, then the observer.
    pub(super) fn caller(&self, owner: usize) -> &Caller {
        self.others.get(owner).unwrap_or(&self.observer)
    }
}

/// What happens.
impl World<'_> {
    fn common(&mut self, common: &Common) {
        match common {
            Common::Publish { value, campaign, shown } => {
                let content = self.content(*value, *campaign, self.shown_rules(*shown));
                let by_group = matches!(shown, Shown::ByGroup);
                // Whether the platform may publish it anew depends on what became of the lost one in secret.
                let lost = |held: &Held| (held.value, held.campaign) == (*value, *campaign);
                if by_group && self.left || self.lost.iter().any(lost) {
                    return;
                }
                if let Some(held) = self.publish(0, "", content, (*value, *campaign, by_group)) {
                    self.mask
                        .name(held.id.0, format!("indicator {}", self.shown.len() + self.lost.len()));
                    self.shown.push(held);
                }
            }
            Common::Revise { item, shown } => {
                if matches!(shown, Shown::ByGroup) && self.left {
                    return;
                }
                if let Some(at) = wrap(*item, self.shown.len()) {
                    let mut held = self.shown[at];
                    held.by_group = matches!(shown, Shown::ByGroup);
                    self.shown[at] = self.revise(held, self.shown_rules(*shown));
                }
            }
            Common::Tighten { item, hidden } => {
                if let Some(at) = wrap(*item, self.shown.len()) {
                    let held = self.shown.remove(at);
                    let held = self.revise(held, self.hidden_rules(0, *hidden));
                    self.lost.push(held);
                }
            }
            Common::Retract { item } => {
                if let Some(at) = wrap(*item, self.shown.len()) {
                    let held = self.shown.remove(at);
                    self.retract(held);
                }
            }
            Common::Pass(seconds) => wait(self.stage.hub.pass_secs(*seconds)),
            Common::LeaveGroup => {
                let hub = &self.stage.hub;
                let left = hub
                    .hub()
                    .remove_from_group(hub.admin(), self.shared_group, self.observer.member);
                wait(left).expect("the observer leaves");
                self.left = true;
                // What was shared by the group alone is out of sight, for good.
                let (lost, shown) = self.shown.iter().partition(|held| held.by_group);
                self.shown = shown;
                self.lost.extend::<Vec<Held>>(lost);
            }
            Common::OwnPublish {
                value,
                campaign,
                request,
                released,
            } => self.publish_own((*value, *campaign), *request, *released),
            Common::OwnRetract { item } => {
                if let Some(at) = wrap(*item, self.own.len()) {
                    let held = self.own[at];
                    let reason = drafts::text("no longer held");
                    let outcome = wait(self.hub().retract(&self.observer, vec![held.id], reason, true));
                    self.tell("own retraction", outcome);
                }
            }
            Common::Observe(observation) => self.observe(*observation),
            reaction => self.common_reaction(reaction),
        }
    }

    fn common_reaction(&mut self, common: &Common) {
        match common {
            Common::OwnRevise {
                item,
                campaign,
                narrows,
            } => self.revise_own(*item, *campaign, *narrows),
            Common::OwnReact {
                item,
                verdict,
                independent,
            } => {
                if let Some(at) = wrap(*item, self.shown.len()) {
                    self.react_itself(self.shown[at], *verdict, *independent);
                }
            }
            Common::React {
                by,
                item,
                to_own,
                verdict,
                independent,
            } => {
                let held = if *to_own { &self.own } else { &self.shown };
                // What the lab says to a government is in secret alone: to take consent back would be seen.
                let in_secret_alone = self.observer_governs && *by == Other::Research;
                if let Some(at) = wrap(*item, held.len()).filter(|_| !in_secret_alone) {
                    self.react(by.number(), held[at], *verdict, *independent, true);
                }
            }
            Common::Stream { by, campaign, what } => {
                self.stream(by.map_or(OBSERVER, Other::number), *campaign, *what);
            }
            _ => {}
        }
    }

    fn revise_own(&mut self, item: usize, campaign: usize, narrows: bool) {
        let Some(at) = wrap(item, self.own.len()) else {
            return;
        };
        let mut held = self.own[at];
        held.campaign = campaign;
        let rules = match narrows {
            true => Rules {
                members: vec![self.others[0].member],
                ..Rules::open(Tlp::Amber)
            },
            false => Rules::open(Tlp::Green),
        };
        let content = self.content(held.value, campaign, rules);
        let revised = wait(
            self.hub()
                .revise(&self.observer, held.id, held.revision, "".into(), content, false),
        );
        if let Ok((_, revision)) = revised {
            self.own[at] = Held { revision, ..held };
        }
        self.tell("own revision", revised);
    }

    fn publish_own(&mut self, (value, campaign): (usize, usize), request: usize, released: bool) {
        let rules = Rules {
            government_release: released,
            ..Rules::open(Tlp::Green)
        };
        let item = Item {
            request_id: format!("request {request}").into(),
            content: self.content(value, campaign, rules),
        };
        let outcomes = wait(self.hub().publish(&self.observer, vec![Ok(item)]));
        if let Ok([Outcome::Accepted { id, .. }]) = outcomes.as_deref()
            && !self.own.iter().any(|held| held.id == *id)
        {
            self.mask.name(id.0, format!("own {}", self.own.len()));
            self.all.push((OBSERVER, *id));
            self.own.push(Held {
                owner: OBSERVER,
                id: *id,
                revision: 1,
                value,
                campaign,
                by_group: false,
            });
        }
        self.tell("own publication", outcomes);
    }

    pub(super) fn publish(
        &mut self,
        owner: usize,
        request: &str,
        content: Content,
        (value, campaign, by_group): (usize, usize, bool),
    ) -> Option<Held> {
        let item = Item {
            request_id: request.into(),
            content,
        };
        let outcomes = wait(self.hub().publish(&self.others[owner], vec![Ok(item)]));
        let outcomes = outcomes.expect("others may publish");
        match outcomes[0] {
            Outcome::Accepted { id, .. } if !self.all.contains(&(owner, id)) => {
                self.all.push((owner, id));
                Some(Held {
                    owner,
                    id,
                    revision: 1,
                    value,
                    campaign,
                    by_group,
                })
            }
            _ => None,
        }
    }

    /// Refused where it was retracted before; then nothing changes.
    pub(super) fn revise(&self, held: Held, rules: Rules) -> Held {
        let content = self.content(held.value, held.campaign, rules);
        let author = &self.others[held.owner];
        let revised = wait(
            self.hub()
                .revise(author, held.id, held.revision, "".into(), content, true),
        );
        let revision = revised.map_or(held.revision, |(_, revision)| revision);
        Held { revision, ..held }
    }

    pub(super) fn retract(&self, held: Held) {
        let reason = drafts::text("no longer held");
        wait(
            self.hub()
                .retract(&self.others[held.owner], vec![held.id], reason, true),
        )
        .expect("others may retract");
    }

    pub(super) fn content(&self, value: usize, campaign: usize, rules: Rules) -> Content {
        let handling: Handling = rules.handling().expect("handling that holds");
        let mut content = drafts::content_of(observable(VALUES[value]).expect("a value"), handling);
        content.campaign = drafts::text(CAMPAIGNS[campaign]);
        content
    }
}

/// The observer's number, after the others.
pub(super) const OBSERVER: usize = 3;

/// What is near the first of the hashes of a kind.
pub(super) fn near(kind: &str) -> Filter {
    let hash = VALUES.iter().find(|value| value.starts_with(kind)).expect("a hash");
    Filter {
        near: vec![Near::parse("near", hash).expect("a hash")],
        ..Filter::default()
    }
}

pub(super) fn wrap(number: usize, count: usize) -> Option<usize> {
    (count > 0).then(|| number % count)
}
