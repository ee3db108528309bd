//! A hub and the oracle side by side: each step is done to both, and what the hub answers must be what the oracle says.

use std::collections::BTreeSet;

use clearinghouse::domain::handling::Handling;
use clearinghouse::domain::id::{IndicatorId, Timestamp};
use clearinghouse::domain::indicator::{Confidence, Content, State};
use clearinghouse::domain::member::Standing;
use clearinghouse::domain::subscription::SubscriptionName;
use clearinghouse::domain::violation::Violation;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::publish::{Outcome, RejectionCode};
use clearinghouse::hub::{Caller, Making};
use tokio::runtime::Runtime;

use super::hub_support::waiting::wait;
use super::hub_support::{self, Earlier, TestHub, drafts};
use super::oracle::{Item, Member, Oracle, Said, Terms};
use super::recalls::Taken;
use super::steps::{CAMPAIGNS, CONFIDENCES, Draft, LAST, MEMBERS_MAX, Step, TAGS, VALUES, WISHES};
use super::subscriber::{Read, Subscriber};

/// Counts of what was held against the oracle.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    pub histories: u64,
    pub steps: u64,
    /// Pairs of member and indicator.
    pub decisions: u64,
    pub batches: u64,
    /// Upserts and removals.
    pub changes: u64,
    pub reconnections: u64,
    pub restarts: u64,
    /// Snapshots that were made while the hub changed.
    pub snapshots: u64,
    /// Pairs of an indicator that was taken back and a subscription that may hold it.
    pub recalls: u64,
    /// Indicators of which nothing is left.
    pub erased: u64,
}

/// A hub on which histories run one after the other. None sees the indicators of the one before.
pub struct Stage {
    pub hub: TestHub,
    runtime: Runtime,
    /// The snapshot of the views at the last restart, or one that was made since.
    earlier: Option<Earlier>,
    /// One that is being made.
    making: Option<Making>,
    /// Whether one was made since the last restart.
    is_made: bool,
    named: usize,
    pub counts: Counts,
    /// Set where a history left something behind that the next would see.
    pub spent: bool,
}

/// One history on its stage.
pub(super) struct World<'a> {
    pub stage: &'a mut Stage,
    pub oracle: Oracle,
    pub callers: Vec<Caller>,
    pub subscribers: Vec<Subscriber>,
    /// What narrower handling took from whom.
    pub taken: Taken,
}

impl Stage {
    pub fn new() -> Stage {
        Stage::on(TestHub::new())
    }

    /// On a hub that erases.
    pub fn erasing() -> Stage {
        Stage::on(TestHub::erasing())
    }

    fn on(hub: TestHub) -> Stage {
        Stage {
            hub,
            runtime: hub_support::runtime(),
            earlier: None,
            making: None,
            is_made: false,
            named: 0,
            counts: Counts::default(),
            spent: false,
        }
    }

    /// Goes on with a snapshot of the hub as it runs.
    fn make_snapshot(&mut self, steps: usize) {
        let before = self.hub.hub().snapshot();
        self.making = self.hub.make_snapshot(self.making.take(), steps);
        let made = self.hub.hub().snapshot();
        if let Some(made) = made.filter(|made| before.is_none_or(|before| before.entries != made.entries)) {
            self.earlier = Some(self.hub.keep_snapshot());
            self.is_made = true;
            self.counts.snapshots += u64::from(!made.is_plain);
        }
    }

    /// One that is being made is given up, as when the hub stops.
    fn restart(&mut self) {
        (self.making, self.is_made) = (None, false);
        self.hub.restart_every_way(&mut self.earlier);
        self.counts.restarts += 1;
    }

    /// Runs a history; an error says which step and what was wrong.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), String> {
        // Feeds set timers.
        let handle = self.runtime.handle().clone();
        let _entered = handle.enter();
        let mut world = World {
            stage: self,
            oracle: Oracle::default(),
            callers: Vec::new(),
            subscribers: Vec::new(),
            taken: Taken::new(),
        };
        for (number, step) in steps.iter().enumerate() {
            let done = world.step(step);
            done.map_err(|fault| format!("step {number}, {step:?}: {fault}"))?;
            world.stage.counts.steps += 1;
        }
        world.settle().map_err(|fault| format!("at the end: {fault}"))?;
        world.clean_up();
        self.counts.histories += 1;
        Ok(())
    }
}

impl World<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.act(step)?;
        self.check_recalls()?;
        let read_only = matches!(
            step,
            Step::Read { .. }
                | Step::Drop { .. }
                | Step::Subscribe { .. }
                | Step::Return { .. }
                | Step::Acknowledge { .. }
        );
        if read_only {
            return Ok(());
        }
        self.oracle.remember(&WISHES);
        self.check_each_indicator()
    }

    fn act(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Admit(kind) => {
                if self.callers.len() < MEMBERS_MAX {
                    self.stage.named += 1;
                    let name = format!("Member {}", self.stage.named);
                    let caller = self.wait(async |hub| hub.member(&name, *kind).await);
                    self.oracle.members.push(Member {
                        kind: *kind,
                        standing: Standing::Active,
                        groups: BTreeSet::new(),
                    });
                    self.callers.push(caller);
                }
                Ok(())
            }
            Step::Stand(member, standing) => self.stand(*member, *standing),
            Step::NewGroup => {
                self.stage.named += 1;
                let name = format!("Group {}", self.stage.named);
                let group = self.wait(async |hub| hub.group(&name, &[]).await);
                self.oracle.groups.push(group);
                Ok(())
            }
            Step::Join { group, member } => self.move_member(*group, *member, true),
            Step::Leave { group, member } => self.move_member(*group, *member, false),
            Step::Publish { by, drafts } => self.publish(*by, drafts),
            Step::Revise { item, draft } => self.revise(*item, draft),
            Step::Retract { item } => self.retract(*item),
            Step::Pass(seconds) => {
                self.wait(async |hub| hub.pass_secs(*seconds).await);
                self.oracle.pass(self.now());
                Ok(())
            }
            Step::Erase { item } => self.erase(*item),
            Step::Snapshot { steps } if !self.stage.is_made => {
                self.stage.make_snapshot(*steps);
                Ok(())
            }
            // Some steps later the hub starts from it.
            Step::Snapshot { .. } | Step::Restart => {
                self.subscribers.iter_mut().for_each(Subscriber::close);
                self.stage.restart();
                Ok(())
            }
            about_subscribers => self.act_on_subscriber(about_subscribers),
        }
    }

    fn act_on_subscriber(&mut self, step: &Step) -> Result<(), String> {
        if let Step::Subscribe {
            member,
            wish,
            batch_items,
            hold_touches,
            durable,
        } = step
        {
            if let Some(member) = wrap(*member, self.callers.len()) {
                let caller = self.callers[member].clone();
                let mut subscriber = Subscriber::new(member, caller, *wish, *batch_items, *hold_touches);
                if *durable {
                    let name = format!("subscriber-{}", self.subscribers.len());
                    subscriber = subscriber.durable(SubscriptionName::parse("name", &name).expect("a name"));
                }
                subscriber.open(self.stage.hub.hub(), 0)?;
                self.subscribers.push(subscriber);
            }
            return Ok(());
        }
        let (Step::Return { subscriber, .. }
        | Step::Read { subscriber, .. }
        | Step::Drop { subscriber }
        | Step::Acknowledge { subscriber }) = step
        else {
            return Ok(());
        };
        let count = self.subscribers.len();
        let number = match *subscriber {
            LAST => count.wrapping_sub(1),
            number => number,
        };
        let Some(at) = wrap(number, count) else {
            return Ok(());
        };
        let subscriber = &mut self.subscribers[at];
        match step {
            Step::Return { lost, .. } => {
                self.stage.counts.reconnections += 1;
                // What lost nothing comes back while its old stream is open yet.
                if *lost > 0 || subscriber.books.is_none() {
                    subscriber.close();
                }
                subscriber.connect(self.stage.hub.hub(), *lost)
            }
            Step::Acknowledge { .. } => subscriber.acknowledge(self.stage.hub.hub()),
            Step::Read { batches, .. } => self.read(at, *batches),
            _ => {
                subscriber.close();
                Ok(())
            }
        }
    }

    pub(super) fn read(&mut self, at: usize, batches: usize) -> Result<(), String> {
        for _ in 0..batches {
            let read = self.subscribers[at].read(&self.stage.hub, &self.oracle);
            match read.map_err(|fault| format!("subscriber {at}: {fault}"))? {
                Read::Batch { live, changes } => {
                    self.stage.counts.batches += 1;
                    self.stage.counts.changes += changes;
                    if live {
                        self.check_search(at)?;
                    }
                }
                Read::Idle | Read::Closed => break,
            }
        }
        Ok(())
    }

    fn stand(&mut self, member: usize, standing: Standing) -> Result<(), String> {
        let Some(at) = wrap(member, self.callers.len()) else {
            return Ok(());
        };
        let id = self.callers[at].member;
        let changed = self.wait(async |hub| hub.set_standing(id, standing).await);
        let member = &mut self.oracle.members[at];
        let for_good = member.standing == Standing::Removed && standing != Standing::Removed;
        match (for_good, changed) {
            (true, Err(HubError::Conflict { .. })) => Ok(()),
            (false, Ok(())) => {
                member.standing = standing;
                Ok(())
            }
            (_, other) => Err(format!("the change came to {other:?}")),
        }
    }

    fn move_member(&mut self, group: usize, member: usize, joins: bool) -> Result<(), String> {
        let (Some(group), Some(at)) = (wrap(group, self.oracle.groups.len()), wrap(member, self.callers.len())) else {
            return Ok(());
        };
        let (id, member) = (self.oracle.groups[group], self.callers[at].member);
        let done = self.wait(async |hub| match joins {
            true => hub.hub().add_to_group(hub.admin(), id, member).await,
            false => hub.hub().remove_from_group(hub.admin(), id, member).await,
        });
        let member = &mut self.oracle.members[at];
        match done {
            Err(HubError::NotFound { field: "member_id" }) if joins && member.standing == Standing::Removed => Ok(()),
            Ok(_) if joins => {
                member.groups.insert(group);
                Ok(())
            }
            Ok(_) => {
                member.groups.remove(&group);
                Ok(())
            }
            Err(error) => Err(format!("the group answers {error:?}")),
        }
    }

    fn publish(&mut self, by: usize, wanted: &[Draft]) -> Result<(), String> {
        let Some(owner) = wrap(by, self.callers.len()) else {
            return Ok(());
        };
        let said: Vec<Said> = wanted.iter().map(|draft| self.said(owner, draft)).collect();
        let mut sent: Vec<(Said, Content)> = Vec::new();
        for said in said {
            if let Some(handling) = self.handling(&said.terms)? {
                let content = content(&said, VALUES[said.value], handling);
                sent.push((said, content));
            }
        }
        let items = sent
            .iter()
            .map(|(_, content)| Ok::<_, Violation>(drafts::item(content.clone())))
            .collect::<Vec<_>>();
        let caller = self.callers[owner].clone();
        let outcomes = self.wait(async |hub| hub.hub().publish(&caller, items).await);
        if self.oracle.members[owner].standing != Standing::Active {
            return match outcomes {
                Err(HubError::Unauthenticated(_)) => Ok(()),
                other => Err(format!("an inactive member's publication came to {other:?}")),
            };
        }
        let outcomes = outcomes.map_err(|error| format!("the publication was refused: {error}"))?;
        for ((said, _), outcome) in sent.into_iter().zip(outcomes) {
            self.published(owner, said, outcome)?;
        }
        Ok(())
    }

    fn published(&mut self, owner: usize, said: Said, outcome: Outcome) -> Result<(), String> {
        let repeated = self
            .oracle
            .same(owner, said.value, said.campaign)
            .map(|item| (item.id, item.revision));
        let foreign = !said.terms.groups.is_subset(&self.oracle.members[owner].groups);
        match (repeated, foreign, outcome) {
            (Some(held), _, Outcome::Duplicate { id, revision }) if held == (id, revision) => Ok(()),
            (None, true, Outcome::Rejected(rejection)) if rejection.code == RejectionCode::NotFound => Ok(()),
            (None, false, Outcome::Accepted { id, revision: 1, .. }) => {
                self.oracle.items.push(Item {
                    id,
                    owner,
                    revision: 1,
                    state: first_state(&said.terms),
                    said,
                    end: None,
                    erased: false,
                    ever: BTreeSet::new(),
                });
                Ok(())
            }
            (repeated, foreign, outcome) => Err(format!(
                "{outcome:?}, where {repeated:?} was there and foreign groups are {foreign}"
            )),
        }
    }

    fn revise(&mut self, item: usize, draft: &Draft) -> Result<(), String> {
        let Some(at) = wrap(item, self.oracle.items.len()) else {
            return Ok(());
        };
        let (owner, id, revision) = self.owner_of(at);
        let before = self.durable_viewers(at);
        let mut said = self.said(owner, draft);
        said.value = self.oracle.items[at].said.value;
        let Some(handling) = self.handling(&said.terms)? else {
            return Ok(());
        };
        let content = content(&said, VALUES[said.value], handling);
        let caller = self.callers[owner].clone();
        let revised = self.wait(async |hub| hub.hub().revise(&caller, id, revision, "".into(), content, true).await);
        let author = &self.oracle.members[owner];
        let item = &mut self.oracle.items[at];
        let foreign = !said.terms.groups.is_subset(&author.groups);
        match revised {
            Err(HubError::Unauthenticated(_)) if author.standing != Standing::Active => Ok(()),
            Err(HubError::Conflict { field: "id", .. }) if item.state == State::Retracted || item.erased => Ok(()),
            Err(HubError::Invalid(_)) if foreign && item.state != State::Retracted => Ok(()),
            Ok(_)
                if author.standing != Standing::Active || item.state == State::Retracted || item.erased || foreign =>
            {
                Err("a revision was accepted that must be refused".into())
            }
            Ok((_, next)) if next == revision + 1 => {
                item.revision = next;
                item.state = first_state(&said.terms);
                item.said = said;
                item.end = None;
                self.note_taken(at, &before);
                Ok(())
            }
            other => Err(format!("the revision came to {other:?}")),
        }
    }

    fn retract(&mut self, item: usize) -> Result<(), String> {
        let Some(at) = wrap(item, self.oracle.items.len()) else {
            return Ok(());
        };
        let (owner, id, revision) = self.owner_of(at);
        let caller = self.callers[owner].clone();
        let retracted = self.wait(async |hub| {
            let reason = drafts::text("no longer held");
            hub.hub().retract(&caller, vec![id], reason, true).await
        });
        if self.oracle.members[owner].standing != Standing::Active {
            return match retracted {
                Err(HubError::Unauthenticated(_)) => Ok(()),
                other => Err(format!("an inactive member's retraction came to {other:?}")),
            };
        }
        let again = self.oracle.items[at].state == State::Retracted || self.oracle.items[at].erased;
        match retracted.map(|outcomes| outcomes.into_iter().next()) {
            Ok(Some(Outcome::Duplicate { revision: held, .. })) if again && held == revision => Ok(()),
            Ok(Some(Outcome::Accepted { revision: next, .. })) if !again && next == revision + 1 => {
                self.oracle.retract(at);
                Ok(())
            }
            other => Err(format!("the retraction came to {other:?}")),
        }
    }

    fn owner_of(&self, item: usize) -> (usize, IndicatorId, u32) {
        let item = &self.oracle.items[item];
        (item.owner, item.id, item.revision)
    }

    fn said(&self, owner: usize, draft: &Draft) -> Said {
        let bits = |bits: u8, count: usize| (0..count.min(8)).filter(move |at| bits & (1 << at) != 0);
        let members = self.callers.len();
        let own = &self.oracle.members[owner].groups;
        let groups = bits(draft.groups, self.oracle.groups.len());
        let now = self.now();
        let embargo = draft.embargo.map(|(seconds, through)| {
            let until = Timestamp(now).plus_secs(seconds).0;
            (until, bits(through, members).collect())
        });
        let begins = embargo.as_ref().map_or(now, |(until, _)| *until);
        Said {
            value: draft.value,
            campaign: draft.campaign,
            confidence: draft.confidence,
            tag: draft.tag,
            terms: Terms {
                tlp: draft.tlp,
                members: bits(draft.members, members).collect(),
                groups: groups
                    .filter(|group| !draft.own_groups_only || own.contains(group))
                    .collect(),
                government_release: draft.government_release,
                embargo,
                expires_at: draft.expiry.map(|seconds| Timestamp(begins).plus_secs(seconds).0),
            },
        }
    }

    /// None where nobody is left in an audience that must not be empty.
    fn handling(&self, terms: &Terms) -> Result<Option<Handling>, String> {
        let ids = |members: &BTreeSet<usize>| members.iter().map(|at| self.callers[*at].member).collect();
        let rules = drafts::Rules {
            tlp: terms.tlp,
            members: ids(&terms.members),
            groups: terms.groups.iter().map(|at| self.oracle.groups[*at]).collect(),
            government_release: terms.government_release,
            embargo: terms
                .embargo
                .as_ref()
                .map(|(until, members)| (Timestamp(*until), ids(members))),
            expires_at: terms.expires_at.map(Timestamp),
        };
        Ok(rules.handling().ok())
    }

    pub(super) fn now(&self) -> i64 {
        self.stage.hub.clock().now().0
    }

    pub(super) fn wait<T>(&self, work: impl AsyncFnOnce(&TestHub) -> T) -> T {
        wait(work(&self.stage.hub))
    }
}

pub(super) fn wrap(number: usize, count: usize) -> Option<usize> {
    (count > 0).then(|| number % count)
}

fn first_state(terms: &Terms) -> State {
    match terms.embargo {
        Some(_) => State::Embargoed,
        None => State::Active,
    }
}

fn content(said: &Said, value: &str, handling: Handling) -> Content {
    let mut content = drafts::content(value, handling);
    content.confidence = Confidence::new(CONFIDENCES[said.confidence].into()).expect("0 to 100");
    content.campaign = drafts::text(CAMPAIGNS[said.campaign]);
    if !TAGS[said.tag].is_empty() {
        content.tags = vec![drafts::tag(TAGS[said.tag])];
    }
    content
}
