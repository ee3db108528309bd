//! One of the two worlds: a cast on a hub, the script's steps done to it, and a transcript of all that the observer got to know.

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::{Audience, Handling, Tlp};
use clearinghouse::domain::id::{GroupId, IndicatorId, MemberId, Timestamp};
use clearinghouse::domain::indicator::Content;
use clearinghouse::domain::member::{MemberKind, Role};
use clearinghouse::domain::observable::Observable;
use clearinghouse::domain::policy::Release;
use clearinghouse::hub::feed::{Feed, Limits};
use clearinghouse::hub::publish::{Item, Outcome};
use clearinghouse::hub::{Caller, Hub, Sighting};
use clearinghouse::log::entry::decode_indicator;
use uuid::Uuid;

use super::hub_support::drafts::{self, Rules};
use super::hub_support::waiting::{poll_now, wait};
use super::hub_support::{TestHub, runtime};
use super::mask::Mask;
use super::script::{Common, Hidden, OTHERS, Observation, Other, Script, Secret, Shown, Step, VALUES};

/// The last is used in secret only.
const CAMPAIGNS: [&str; 3] = ["", "Example operation", "Secret operation"];

/// Longer than any script.
const FAR_SECS: i64 = 1_000_000;

/// A hub on which worlds come one after the other; none shows anything to the next.
pub struct Stage {
    pub hub: TestHub,
    runtime: tokio::runtime::Runtime,
    worlds: usize,
}

struct Watched {
    filter: Filter,
    feed: Option<Feed>,
    cursor: Bytes,
}

/// An indicator of the others', with its owner and last revision.
#[derive(Clone, Copy)]
struct Held {
    owner: usize,
    id: IndicatorId,
    revision: u32,
    value: usize,
    campaign: usize,
    by_group: bool,
}

struct World<'a> {
    stage: &'a mut Stage,
    number: usize,
    limits: Limits,
    observer: Caller,
    /// By `Other`.
    others: [Caller; 3],
    left: bool,
    shared_group: GroupId,
    secret_groups: Vec<GroupId>,
    watched: [Watched; 2],
    /// What the observer sees, saw, and never saw; and its own.
    shown: Vec<Held>,
    lost: Vec<Held>,
    secret: Vec<Held>,
    own: Vec<Held>,
    all: Vec<(usize, IndicatorId)>,
    mask: Mask,
    transcript: Vec<String>,
}

impl Stage {
    pub fn new() -> Stage {
        Stage {
            hub: TestHub::new(),
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
        let (observer, others, shared_group, secret_group) = wait(async {
            let hub = &stage.hub;
            let observer = hub.member(&format!("Observer {number}"), kind).await;
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
            (observer, others, shared, secret)
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
        };
        let about_operation = Filter {
            campaigns: vec![CAMPAIGNS[1].into()],
            ..Filter::default()
        };
        let watched = [Filter::default(), about_operation].map(|filter| Watched {
            filter,
            feed: None,
            cursor: Bytes::new(),
        });
        World {
            stage,
            number,
            limits,
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
            mask,
            transcript: Vec::new(),
        }
    }

    fn hub(&self) -> &Hub {
        self.stage.hub.hub()
    }

    fn tell(&mut self, what: &str, seen: impl std::fmt::Debug) {
        let line = format!("{what}: {seen:?}");
        self.transcript.push(self.mask.apply(&line));
    }

    /// Cleans up, so that the next world on this hub starts with nothing in sight.
    fn end(mut self) -> Vec<String> {
        self.watched.iter_mut().for_each(|watched| watched.feed = None);
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
    fn caller(&self, owner: usize) -> &Caller {
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
            } => self.publish_own(*value, *campaign, *request),
            Common::OwnRetract { item } => {
                if let Some(at) = wrap(*item, self.own.len()) {
                    let held = self.own[at];
                    let reason = drafts::text("no longer held");
                    let outcome = wait(self.hub().retract(&self.observer, vec![held.id], reason, true));
                    self.tell("own retraction", outcome);
                }
            }
            Common::Observe(observation) => self.observe(*observation),
        }
    }

    fn publish_own(&mut self, value: usize, campaign: usize, request: usize) {
        let item = Item {
            request_id: format!("request {request}").into(),
            content: self.content(value, campaign, Rules::open(Tlp::Green)),
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

    fn secret(&mut self, secret: &Secret) {
        match secret {
            Secret::Publish {
                by,
                value,
                campaign,
                hidden,
                copies,
                request,
            } => {
                // The platform's public indicators must stay new ones.
                let campaign = if *by == Other::Platform { 2 } else { *campaign };
                for copy in 0..*copies {
                    let value = (value + copy) % VALUES.len();
                    let content = self.content(value, campaign, self.hidden_rules(*by as usize, *hidden));
                    let request = format!("request {}", request + copy);
                    let held = self.publish(*by as usize, &request, content, (value, campaign, false));
                    self.secret.extend(held);
                }
            }
            Secret::Revise { item, hidden } => {
                if let Some(at) = wrap(*item, self.secret.len()) {
                    let rules = self.hidden_rules(self.secret[at].owner, *hidden);
                    self.secret[at] = self.revise(self.secret[at], rules);
                }
            }
            Secret::Retract { item } => {
                if let Some(at) = wrap(*item, self.secret.len()) {
                    let held = self.secret.remove(at);
                    self.retract(held);
                }
            }
            Secret::ReviseLost { item, hidden } => {
                if let Some(at) = wrap(*item, self.lost.len()) {
                    let rules = self.hidden_rules(self.lost[at].owner, *hidden);
                    self.lost[at] = self.revise(self.lost[at], rules);
                }
            }
            // It stays in its place, so that both worlds count alike.
            Secret::RetractLost { item } => {
                if let Some(at) = wrap(*item, self.lost.len()) {
                    self.retract(self.lost[at]);
                }
            }
            Secret::NewGroup { member } => {
                let name = format!("Secret {} {}", self.number, self.secret_groups.len());
                let group = wait(self.stage.hub.group(&name, &[self.others[*member as usize].member]));
                self.secret_groups.push(group);
            }
            Secret::LeaveGroup { group, member } => {
                let at = 1 + group;
                if let Some(group) = self.secret_groups.get(at) {
                    let hub = &self.stage.hub;
                    let member = self.others[*member as usize].member;
                    wait(hub.hub().remove_from_group(hub.admin(), *group, member)).expect("a member leaves");
                }
            }
            Secret::PublishToLeftGroup { value } if self.left => {
                let content = self.content(*value, 2, self.shown_rules(Shown::ByGroup));
                let held = self.publish(1, "", content, (*value, 2, true));
                self.secret.extend(held);
            }
            Secret::RetractInLeftGroup { item } if self.left => {
                let in_group: Vec<Held> = self.lost.iter().filter(|held| held.by_group).copied().collect();
                if let Some(at) = wrap(*item, in_group.len()) {
                    self.retract(in_group[at]);
                }
            }
            Secret::PublishToLeftGroup { .. } | Secret::RetractInLeftGroup { .. } => {}
            Secret::Enrol { member } => {
                let roles = [Role::Subscriber].into_iter().collect();
                let member = self.others[*member as usize].member;
                let name = format!("agent-{}", self.transcript.len());
                wait(self.stage.hub.enrol(member, &name, roles));
            }
        }
    }

    fn publish(
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
    fn revise(&self, held: Held, rules: Rules) -> Held {
        let content = self.content(held.value, held.campaign, rules);
        let author = &self.others[held.owner];
        let revised = wait(self.hub().revise(author, held.id, held.revision, "".into(), content));
        let revision = revised.map_or(held.revision, |(_, revision)| revision);
        Held { revision, ..held }
    }

    fn retract(&self, held: Held) {
        let reason = drafts::text("no longer held");
        wait(
            self.hub()
                .retract(&self.others[held.owner], vec![held.id], reason, true),
        )
        .expect("others may retract");
    }

    fn content(&self, value: usize, campaign: usize, rules: Rules) -> Content {
        let handling: Handling = rules.handling().expect("handling that holds");
        let mut content = drafts::content(VALUES[value], handling);
        content.campaign = drafts::text(CAMPAIGNS[campaign]);
        content
    }

    fn after_secs(&self, seconds: i64) -> Timestamp {
        self.stage.hub.clock().now().plus_secs(seconds)
    }

    fn shown_rules(&self, shown: Shown) -> Rules {
        let observer = || vec![self.observer.member];
        let released = |tlp| Rules {
            government_release: true,
            ..Rules::open(tlp)
        };
        match shown {
            Shown::ToAll => Rules::open(Tlp::Clear),
            Shown::Green => released(Tlp::Green),
            Shown::ByName => Rules {
                members: observer(),
                ..released(Tlp::Amber)
            },
            Shown::ByGroup => Rules {
                groups: vec![self.shared_group],
                ..released(Tlp::Amber)
            },
            Shown::Red => Rules {
                members: observer(),
                ..released(Tlp::Red)
            },
            Shown::ThroughEmbargo => Rules {
                embargo: Some((self.after_secs(FAR_SECS), observer())),
                ..released(Tlp::Green)
            },
            Shown::ForSeconds(seconds) => Rules {
                expires_at: Some(self.after_secs(seconds)),
                ..Rules::open(Tlp::Clear)
            },
        }
    }

    fn hidden_rules(&self, owner: usize, hidden: Hidden) -> Rules {
        let another = || vec![self.others[1].member, self.others[2].member];
        let released = |tlp| Rules {
            government_release: true,
            ..Rules::open(tlp)
        };
        let kind = self
            .stage
            .hub
            .hub()
            .members()
            .into_iter()
            .find(|card| card.id == self.observer.member);
        let observer_governs = kind.is_some_and(|card| card.kind == MemberKind::Government);
        match hidden {
            Hidden::RedForAnother => Rules {
                members: another(),
                ..released(Tlp::Red)
            },
            Hidden::OtherGroup => Rules {
                groups: vec![self.secret_groups[0]],
                ..released(Tlp::Green)
            },
            Hidden::EmbargoedFromAll => Rules {
                embargo: Some((self.after_secs(FAR_SECS), Vec::new())),
                ..Rules::open(Tlp::Clear)
            },
            Hidden::EmbargoedForAnother => Rules {
                embargo: Some((self.after_secs(FAR_SECS), another())),
                ..released(Tlp::Green)
            },
            Hidden::NotForGovernments if observer_governs && owner != Other::Government as usize => Rules {
                members: vec![self.observer.member],
                ..Rules::open(Tlp::Amber)
            },
            Hidden::ForSeconds(seconds) => Rules {
                members: another(),
                expires_at: Some(self.after_secs(seconds)),
                ..released(Tlp::Amber)
            },
            Hidden::NamedAnother | Hidden::NotForGovernments => Rules {
                members: another(),
                ..released(Tlp::Amber)
            },
        }
    }
}

const OBSERVER: usize = 3;

/// What the observer gets to know.
impl World<'_> {
    fn observe(&mut self, observation: Observation) {
        match observation {
            Observation::Read { feed, batches } => self.read(feed, batches),
            Observation::Reconnect { feed } => self.watched[feed].feed = None,
            Observation::Search { page_items } => self.search(page_items),
            Observation::Lookup => self.look_up(),
            Observation::Campaigns => {
                for words in ["", "operation", "secret"] {
                    let campaigns = wait(self.hub().campaigns(&self.observer, words));
                    for mut campaign in campaigns.expect("the observer may read") {
                        let publishers = self.in_order(&std::mem::take(&mut campaign.publishers));
                        self.tell("campaign", (words, campaign, publishers));
                    }
                }
            }
            Observation::Lists => self.list(),
            Observation::TryId => self.try_id(),
            Observation::TryGroup => self.try_group(),
        }
    }

    fn read(&mut self, at: usize, batches: usize) {
        for _ in 0..batches {
            let watched = &mut self.watched[at];
            if watched.feed.is_none() {
                let hub = self.stage.hub.hub();
                let opened = hub.subscribe_within(&self.observer, watched.filter.clone(), &watched.cursor, self.limits);
                watched.feed = Some(opened.expect("the observer may subscribe"));
            }
            let Some(batch) = watched.feed.as_mut().and_then(|feed| poll_now(feed.next())) else {
                self.tell("feed", "idle");
                return;
            };
            let batch = batch.expect("the observer may read");
            watched.cursor = batch.cursor.clone();
            let upserts: Vec<_> = batch.upserts.iter().map(sighted).collect();
            let live = batch.live.map(|sum| sum.count);
            self.tell("feed", (at, upserts, batch.removals, batch.cursor.len(), live));
        }
    }

    fn search(&mut self, page_items: usize) {
        let mut token: Option<Bytes> = None;
        loop {
            let page = wait(
                self.hub()
                    .search(&self.observer, &Filter::default(), page_items, token.as_deref()),
            );
            let page = page.expect("the observer may search");
            let found: Vec<_> = page.releases.iter().map(sighted).collect();
            let next_length = page.next.as_ref().map(Bytes::len);
            self.tell("page", (page_items, found, next_length));
            match page.next {
                Some(next) => token = Some(next),
                None => return,
            }
        }
    }

    fn look_up(&mut self) {
        let values = VALUES.iter().chain(&["unknown.example"]);
        let asked: Vec<_> = values.map(|value| Observable::parse(value).ok()).collect();
        let answers = self
            .hub()
            .lookup(&self.observer, &asked)
            .expect("the observer may look up");
        for answer in answers {
            let found: Vec<_> = answer
                .found
                .iter()
                .map(|(relation, release)| (*relation, sighted(release)))
                .collect();
            self.tell("look-up", (found, answer.truncated));
        }
    }

    fn list(&mut self) {
        let groups = self.hub().groups(&self.observer);
        let number = self.number.to_string();
        for group in groups {
            let name = group.name.as_str().replace(&number, "");
            let members = self.in_order(&group.members);
            self.tell("group", (group.id, name, members));
        }
        let agents: Vec<_> = [None, Some(self.others[0].member), Some(self.observer.member)]
            .map(|of| self.hub().agents(&self.observer, of).len())
            .into();
        self.tell("agents", agents);
    }

    /// Members by their words: their ids are random, and so is the order of these.
    fn in_order(&self, members: &[MemberId]) -> Vec<String> {
        let mut words: Vec<_> = members
            .iter()
            .map(|member| self.mask.apply(&member.to_string()))
            .collect();
        words.sort();
        words
    }

    fn try_id(&mut self) {
        let nobody = IndicatorId(Uuid::now_v7());
        let id = self.secret.last().map_or(nobody, |held| held.id);
        let got = self
            .hub()
            .indicator(&self.observer, id)
            .map(|release| sighted(&release));
        let own = self.hub().own(&self.observer, id).map(|indicator| indicator.revision);
        let content = self.content(0, 0, Rules::open(Tlp::Green));
        let revised = wait(self.hub().revise(&self.observer, id, 1, "".into(), content));
        let reason = drafts::text("no longer held");
        let retracted = wait(self.hub().retract(&self.observer, vec![id], reason, false));
        self.tell("id of another", (got, own, revised, retracted));
    }

    fn try_group(&mut self) {
        let nobodys = GroupId(Uuid::now_v7());
        let group = self.secret_groups.get(1).copied().unwrap_or(nobodys);
        let rules = Rules {
            groups: vec![group],
            ..Rules::open(Tlp::Amber)
        };
        let item = drafts::item(self.content(0, 2, rules));
        let outcome = wait(self.hub().publish(&self.observer, vec![Ok(item)]));
        // Its own words come back to it, in both worlds alike.
        self.mask.name(group.0, "the group".into());
        self.tell("group of others", outcome);
        self.mask.words.remove(&group.0);
    }
}

/// All that a release holds, as text.
fn sighted(release: &Release<Sighting>) -> String {
    let Sighting {
        id,
        revision,
        state,
        body,
        owner_suffix,
    } = release.body();
    let somebody = Audience::new(vec![MemberId(Uuid::nil())], Vec::new());
    let indicator = decode_indicator(body, somebody.expect("one member"), Vec::new()).expect("a body");
    let suffix_length = release.is_own().then_some(owner_suffix.len());
    let size = body.len();
    format!(
        "{id} {revision} {state:?} {indicator:?} {size} {suffix_length:?} {}",
        release.is_exportable()
    )
}

fn wrap(number: usize, count: usize) -> Option<usize> {
    (count > 0).then(|| number % count)
}
