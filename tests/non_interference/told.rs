//! What the observer gets to know of what became of shared things: assessments and sources, recalls, its durable subscriptions, the
//! disclosure record, its own history and condition.

use bytes::Bytes;
use clearinghouse::domain::assessment::{Assessment, AssessmentVerdict};
use clearinghouse::domain::id::{IndicatorId, MemberId, Timestamp};
use clearinghouse::domain::indicator::Text;
use clearinghouse::domain::member::MemberKind;
use uuid::Uuid;

use super::hub_support::drafts;
use super::hub_support::waiting::wait;
use super::script::{VALUES, observable};
use super::streams::name;
use super::world::{Held, World};

impl World<'_> {
    /// The assessments of all that it sees and saw, and of its own, with what they amount to.
    pub(super) fn assessments(&mut self) {
        let ids: Vec<IndicatorId> = [&self.shown, &self.lost, &self.own]
            .into_iter()
            .flatten()
            .map(|held| held.id)
            .collect();
        for id in ids {
            let told = self.hub().assessments(&self.observer, id);
            self.tell("assessments", (id, told));
        }
        let asked: Vec<_> = VALUES.iter().map(|value| observable(value)).collect();
        let answers = wait(self.hub().lookup(&self.observer, &asked)).expect("the observer may look up");
        let sources: Vec<_> = answers.iter().map(|answer| answer.corroboration).collect();
        self.tell("sources", sources);
    }

    /// What became of what it took back itself, and the sums of it.
    pub(super) fn recalls(&mut self) {
        for held in self.own.clone() {
            let told = wait(self.hub().recall(&self.observer, held.id)).map(|mut recall| {
                let holders = std::mem::take(&mut recall.holders);
                (recall, self.by_word(holders, |holder| holder.member))
            });
            self.tell("recall", told);
        }
        let open = wait(self.hub().open_recalls(&self.observer)).expect("the observer may list its recalls");
        let open = open.into_iter().map(|recall| {
            let holders = recall.holders.len();
            (
                self.mask.apply(&recall.indicator.to_string()),
                recall.recalled_at,
                holders,
            )
        });
        let mut open: Vec<_> = open.collect();
        open.sort();
        self.tell("open recalls", open);
        let counts = wait(self.hub().recall_counts_of(self.observer.member));
        self.tell("recall counts", counts);
    }

    /// Its durable subscriptions, and those of others, which it asks for in vain.
    pub(super) fn subscriptions(&mut self) {
        let told = wait(self.hub().subscriptions(&self.observer));
        self.tell("subscriptions", told);
        let dropped = [self.others[0].agent.clone(), "nobody".parse().expect("a name")]
            .map(|agent| wait(self.hub().drop_subscription(&self.observer, agent, name("theirs"))));
        let acknowledged = wait(self.hub().acknowledge(&self.observer, name("theirs"), &[7; 74]));
        self.tell("subscriptions of others", (dropped, acknowledged));
    }

    /// The crossings that it took part in, as publisher or as agency. That there were others, and how many, every member may know: they
    /// are counted for all to see.
    pub(super) fn crossings(&mut self) {
        let mut token: Option<Bytes> = None;
        loop {
            let page = wait(self.hub().disclosures(&self.observer, 2, token.as_deref()));
            let (cards, next) = page.expect("the observer may ask for its crossings");
            self.tell("crossings", (cards, next.as_ref().map(Bytes::len)));
            match next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        let counts = wait(self.hub().count_disclosures(&self.observer, usize::MAX, None));
        let (counts, _) = counts.expect("the observer may count crossings");
        let me = self.observer.member;
        let others = counts.iter().filter(|count| count.publisher != me);
        let named: Vec<_> = others
            .map(|count| &count.campaign)
            .filter(|name| !name.is_empty())
            .collect();
        assert!(named.is_empty(), "campaigns of others: {named:?}");
        let took_part = counts
            .into_iter()
            .filter(|count| [count.publisher, count.agency].contains(&me));
        let counts = self.by_word(took_part, |count| count.agency);
        self.tell("counted crossings", counts);
    }

    /// What there is to know of membership and of the hub.
    pub(super) fn membership(&mut self) {
        let number = self.number.to_string();
        let known = |member: &MemberId| self.mask.words.contains_key(&member.0);
        let members = self.hub().members().into_iter().filter(|card| known(&card.id));
        let members = self.by_word(members, |card| card.id).join("; ").replace(&number, "");
        self.tell("members", members);
        let events = self.hub().member_history(&self.observer, self.observer.member);
        let operator = self.stage.hub.admin().member;
        for event in events.expect("a member's own history") {
            let by_operator = event.author.map(|(member, _)| member == operator);
            let summary = event
                .summary
                .replace(&format!("er {number}"), "er")
                .replace(&format!("ed {number}"), "ed");
            self.tell("history", (event.at, event.kind, summary, by_operator, event.seq));
        }
        let refused = [self.others[0].member, MemberId(Uuid::nil())].map(|member| {
            self.hub()
                .member_history(&self.observer, member)
                .map(|events| events.len())
        });
        let pending = self.hub().pending_changes(&self.observer).map(|cards| cards.len());
        self.tell("refused", (refused, pending));
        let condition = self.hub().condition();
        self.tell("condition", (condition.hub_name, condition.read_only));
    }

    /// Tries to find out by acting on what is another's in one world and nobody's in the other.
    pub(super) fn try_reactions(&mut self) {
        let nobody = IndicatorId(Uuid::now_v7());
        let id = self.secret.last().map_or(nobody, |held| held.id);
        let listed = self
            .hub()
            .assessments(&self.observer, id)
            .map(|told| told.assessments.len());
        let assessed = wait(
            self.hub()
                .assess(&self.observer, reaction(id, AssessmentVerdict::Disputes, true)),
        );
        let recalled = wait(self.hub().recall(&self.observer, id));
        self.tell("reactions to another's", (listed, assessed, recalled));
    }

    /// As text, in the order of members' words: their ids are random, and so is the order of these.
    fn by_word<T: std::fmt::Debug>(
        &self,
        things: impl IntoIterator<Item = T>,
        member: impl Fn(&T) -> MemberId,
    ) -> Vec<String> {
        let mut things: Vec<(String, String)> = things
            .into_iter()
            .map(|thing| {
                (
                    self.mask.apply(&member(&thing).to_string()),
                    self.mask.apply(&format!("{thing:?}")),
                )
            })
            .collect();
        things.sort();
        things.into_iter().map(|(_, text)| text).collect()
    }
}

/// What members do to indicators of others.
impl World<'_> {
    /// What another makes of an indicator; refused where it does not see it.
    pub(super) fn react(&self, other: usize, held: Held, verdict: usize, independent: bool, released: bool) {
        let assessment = Assessment {
            government_release: released,
            ..reaction(held.id, verdicts(verdict), independent)
        };
        drop(wait(self.hub().assess(&self.others[other], assessment)));
    }

    pub(super) fn react_itself(&mut self, held: Held, verdict: usize, independent: bool) {
        let assessment = reaction(held.id, verdicts(verdict), independent);
        let told = wait(self.hub().assess(&self.observer, assessment));
        self.tell("own assessment", told);
    }
}

fn verdicts(number: usize) -> AssessmentVerdict {
    // A fact check needs a review; what is told of it is told of the others too.
    AssessmentVerdict::ALL[number % 3]
}

fn reaction(indicator: IndicatorId, verdict: AssessmentVerdict, independent: bool) -> Assessment {
    let note: Text<4096> = drafts::text("as the others say");
    Assessment {
        indicator,
        // The hub puts the author, its kind and the time in the place of these.
        member: MemberId(Uuid::nil()),
        member_kind: MemberKind::Platform,
        verdict,
        independent,
        note,
        claim_review: None,
        government_release: false,
        made_at: Timestamp::default(),
    }
}
