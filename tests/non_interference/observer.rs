//! What the observer does to find out, and what it gets to know: all of it, as text.

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::{Audience, Tlp};
use clearinghouse::domain::id::{GroupId, IndicatorId, MemberId};
use clearinghouse::domain::policy::Release;
use clearinghouse::hub::Sighting;
use clearinghouse::hub::feed::Batch;
use clearinghouse::hub::query::Reach;
use clearinghouse::log::entry::decode_indicator;
use uuid::Uuid;

use super::hub_support::drafts::{self, Rules};
use super::hub_support::waiting::wait;
use super::script::{Observation, VALUES, observable};
use super::world::{World, near};

impl World<'_> {
    pub(super) fn observe(&mut self, observation: Observation) {
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
            Observation::Assessments => self.assessments(),
            Observation::Recalls => self.recalls(),
            Observation::Subscriptions => self.subscriptions(),
            Observation::Crossings => self.crossings(),
            Observation::Membership => self.membership(),
            Observation::TryReactions => self.try_reactions(),
            Observation::Door => self.door(),
            Observation::Places => self.take_places(),
            Observation::Fill => self.fill(),
            Observation::Rate => self.hurry(),
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
            let hub = &self.stage.hub;
            let Some(batch) = watched.feed.as_mut().and_then(|feed| hub.next_now(feed)) else {
                self.tell("feed", "idle");
                return;
            };
            let batch = batch.expect("the observer may read");
            watched.cursor = batch.cursor.clone();
            self.tell_batch("feed", at, batch);
        }
    }

    pub(super) fn tell_batch(&mut self, what: &str, at: usize, batch: Batch) {
        let upserts: Vec<_> = batch.upserts.iter().map(sighted).collect();
        let live = batch.live.map(|sum| sum.count);
        self.tell(what, (at, upserts, batch.removals, batch.cursor.len(), live));
    }

    fn search(&mut self, page_items: usize) {
        for filter in [Filter::default(), near("pdq:"), near("tlsh:")] {
            self.search_for(&filter, page_items);
        }
    }

    fn search_for(&mut self, filter: &Filter, page_items: usize) {
        let mut token: Option<Bytes> = None;
        loop {
            let page = wait(self.hub().search(&self.observer, filter, page_items, token.as_deref()));
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
        let asked: Vec<_> = values.map(|value| observable(value)).collect();
        for reach in [Reach::Usual, Reach::Within(4), Reach::Within(0)] {
            let answers = wait(self.hub().lookup_within(&self.observer, &asked, reach));
            for answer in answers.expect("the observer may look up") {
                let found: Vec<_> = answer
                    .found
                    .iter()
                    .map(|(relation, release)| (*relation, sighted(release)))
                    .collect();
                self.tell("look-up", (reach, found, answer.truncated));
            }
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
        let got = wait(self.hub().indicator(&self.observer, id)).map(|release| sighted(&release));
        let own = wait(self.hub().own(&self.observer, id)).map(|indicator| indicator.revision);
        let content = self.content(0, 0, Rules::open(Tlp::Green));
        let revised = wait(self.hub().revise(&self.observer, id, 1, "".into(), content, true));
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
