//! The facets of all versions, each set of them once: what policy decides on (its **class**) and what filters ask besides confidence
//! and value. A version holds one number for all of it; policy and filters are decided by that number, and no body is decoded.
//!
//! What a member can cost by never saying the same twice: each set of facets takes some 60 bytes; each campaign its name (at most 200
//! bytes) and 50; each class its audience (at most 16 bytes for each of 576 named, and as text for the owner 40). TTPs, tags and
//! targets could take 8 KiB an indicator, so a member's may take [`STATED_BYTES_FREE`] and [`STATED_BYTES_PER_VERSION`] for each of
//! its versions. Past that, those of new combinations are **unstated** here: filters that may ask for them decode the body, which
//! costs them time and nobody memory.

mod kept;

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::filter::{Facets, Filter};
use crate::domain::handling::{Embargo, Handling};
use crate::domain::id::{MemberId, Timestamp};
use crate::domain::indicator::{Code, Content, Indicator, Report, Severity, Tag, Targets, Ttp, Verdict};
use crate::domain::member::MemberKind;
use crate::domain::observable::Kind;
use crate::log::entry::encode_audience;

use super::numbers::Numbers;
use super::postings::Postings;
use super::rows::Rows;

/// The number of a set of facets.
pub type FacetsNumber = u32;

/// Bytes of TTPs, tags and targets that each member may bring whatever it publishes.
const STATED_BYTES_FREE: u64 = 1 << 20;

/// Bytes that it may bring besides for each version that it wrote. A report of two hundred indicators states some 300 bytes once.
const STATED_BYTES_PER_VERSION: u64 = 16;

/// What policy decides on, shared by all indicators that agree in it. Times are left out: they act through the state.
pub struct Class {
    /// The owner.
    pub publisher: MemberId,
    /// The owner's kind.
    pub publisher_kind: MemberKind,
    /// Label, audience, release and the members of the embargo.
    pub handling: Handling,
    /// Encoded: what the owner's view adds to the body.
    pub owner_suffix: Bytes,
}

/// What a member has brought.
#[derive(Default)]
pub struct Brought {
    versions: u64,
    stated_bytes: u64,
}

/// One set of facets.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Set {
    class: u32,
    context: u32,
    kind: Kind,
    verdict: Verdict,
    severity: Option<Severity>,
}

/// What the indicators of one report have in common.
struct Context {
    campaign: u32,
    /// None: unstated.
    stated: Option<Box<Stated>>,
}

/// What a publisher states of an operation.
#[derive(PartialEq, Eq)]
struct Stated {
    ttps: Vec<Ttp>,
    tags: Vec<Tag>,
    targets: Targets,
}

/// The report of the indicator before, and what it was found to be: most often the next one is of the same.
struct Last {
    report: Arc<Report>,
    publisher: MemberId,
    publisher_kind: MemberKind,
    class: u32,
    context: u32,
}

/// All sets of facets.
#[derive(Default)]
pub struct FacetSets {
    keys: RandomState,
    last: Option<Last>,
    sets: Rows<Set>,
    postings: Rows<Postings>,
    set_index: Numbers,
    classes: Rows<Class>,
    class_index: Numbers,
    contexts: Rows<Context>,
    context_index: Numbers,
    campaigns: Rows<Box<str>>,
    campaign_index: Numbers,
}

impl FacetSets {
    /// How many there are.
    pub fn len(&self) -> u32 {
        self.sets.len() as u32
    }

    /// At which touches versions of a set came or went.
    pub fn postings(&self, number: FacetsNumber) -> &Postings {
        self.postings.at(number)
    }

    /// Notes a touch.
    pub fn post(&mut self, number: FacetsNumber, touch: u32) {
        self.postings.at_mut(number).push(touch);
    }

    /// Makes room for some more touches.
    pub fn reserve_posts(&mut self, number: FacetsNumber, count: usize) {
        self.postings.at_mut(number).reserve(count);
    }

    /// What kind of observable it is of.
    pub fn kind(&self, number: FacetsNumber) -> Kind {
        self.sets.at(number).kind
    }

    /// What policy decides a version on.
    pub fn class(&self, number: FacetsNumber) -> &Class {
        self.classes.at(self.sets.at(number).class)
    }

    /// Whether two sets are of one class.
    pub fn is_one_class(&self, one: FacetsNumber, other: FacetsNumber) -> bool {
        self.sets.at(one).class == self.sets.at(other).class
    }

    /// The campaign; empty for none.
    pub fn campaign(&self, number: FacetsNumber) -> &str {
        self.campaigns.at(self.campaign_number(number))
    }

    /// The number of the campaign.
    pub fn campaign_number(&self, number: FacetsNumber) -> u32 {
        self.contexts.at(self.sets.at(number).context).campaign
    }

    /// The number of a campaign that somebody named before.
    pub fn find_campaign(&self, name: &str) -> Option<u32> {
        let is = |number: u32| **self.campaigns.at(number) == *name;
        self.campaign_index.find(self.keys.hash_one(name), is)
    }

    /// Whether the set passes a filter; none where only the body can tell.
    pub fn passes(&self, filter: &Filter, number: FacetsNumber) -> Option<bool> {
        let set = self.sets.at(number);
        let (class, context) = (self.classes.at(set.class), self.contexts.at(set.context));
        let stated = context.stated.as_ref()?;
        Some(filter.matches_facets(&Facets {
            publisher: class.publisher,
            publisher_kind: class.publisher_kind,
            kind: set.kind,
            verdict: set.verdict,
            severity: set.severity,
            campaign: self.campaigns.at(context.campaign),
            ttps: &stated.ttps,
            tags: &stated.tags,
            targets: &stated.targets,
        }))
    }

    /// The number of an indicator's set, which is new where nobody stated the same before.
    pub fn number(&mut self, indicator: &Indicator, brought: &mut Brought) -> FacetsNumber {
        brought.versions += 1;
        let content = &indicator.content;
        let (class, context) = self.of_report(indicator, brought);
        let set = Set {
            class,
            context,
            kind: content.observable.kind(),
            verdict: content.verdict,
            severity: content.severity,
        };
        let FacetSets {
            keys,
            sets,
            postings,
            set_index,
            ..
        } = self;
        let hash = keys.hash_one(set);
        set_index.find(hash, |held| *sets.at(held) == set).unwrap_or_else(|| {
            let number = sets.push(set);
            postings.push(Postings::default());
            set_index.insert(hash, number, |held| keys.hash_one(sets.at(held)));
            number
        })
    }

    /// The numbers of class and context.
    fn of_report(&mut self, indicator: &Indicator, brought: &mut Brought) -> (u32, u32) {
        let Indicator {
            publisher,
            publisher_kind,
            content,
            ..
        } = indicator;
        let last = self.last.as_ref();
        let is_same = |last: &&Last| {
            Arc::ptr_eq(&last.report, &content.report)
                && (last.publisher, last.publisher_kind) == (*publisher, *publisher_kind)
        };
        if let Some(last) = last.filter(is_same) {
            return (last.class, last.context);
        }
        let class = self.class_number(indicator);
        let campaign = self.named_campaign(content.campaign.as_str());
        let context = self.context_number(campaign, content, brought);
        // One that is unstated might be stated next time.
        if self.contexts.at(context).stated.is_some() {
            self.last = Some(Last {
                report: content.report.clone(),
                publisher: *publisher,
                publisher_kind: *publisher_kind,
                class,
                context,
            });
        }
        (class, context)
    }

    fn class_number(&mut self, indicator: &Indicator) -> u32 {
        let (publisher, publisher_kind) = (indicator.publisher, indicator.publisher_kind);
        let handling = &indicator.content.handling;
        let FacetSets {
            keys,
            classes,
            class_index,
            ..
        } = self;
        let hash = class_hash(keys, publisher, publisher_kind, handling);
        let is = |held: u32| {
            let class = classes.at(held);
            class.publisher == publisher
                && class.publisher_kind == publisher_kind
                && policy_parts(&class.handling) == policy_parts(handling)
        };
        class_index.find(hash, is).unwrap_or_else(|| {
            let mut handling = handling.clone();
            handling.expires_at = None;
            if let Some(embargo) = &mut handling.embargo {
                embargo.until = Timestamp::default();
            }
            let number = classes.push(Class {
                publisher,
                publisher_kind,
                owner_suffix: encode_audience(&handling),
                handling,
            });
            class_index.insert(hash, number, |held| {
                let class = classes.at(held);
                class_hash(keys, class.publisher, class.publisher_kind, &class.handling)
            });
            number
        })
    }

    fn named_campaign(&mut self, name: &str) -> u32 {
        self.find_campaign(name).unwrap_or_else(|| {
            let FacetSets {
                keys,
                campaigns,
                campaign_index,
                ..
            } = self;
            let number = campaigns.push(name.into());
            campaign_index.insert(keys.hash_one(name), number, |held| keys.hash_one(&**campaigns.at(held)));
            number
        })
    }

    fn context_number(&mut self, campaign: u32, content: &Content, brought: &mut Brought) -> u32 {
        let hash = context_hash(
            &self.keys,
            campaign,
            Some((&content.ttps, &content.tags, &content.targets)),
        );
        let is = |held: u32| {
            let context = self.contexts.at(held);
            context.campaign == campaign
                && context.stated.as_ref().is_some_and(|stated| {
                    stated.ttps == content.ttps && stated.tags == content.tags && stated.targets == content.targets
                })
        };
        if let Some(number) = self.context_index.find(hash, is) {
            return number;
        }
        let allowed = STATED_BYTES_FREE + STATED_BYTES_PER_VERSION * brought.versions;
        let bytes = stated_bytes(content);
        if brought.stated_bytes + bytes > allowed {
            return self.unstated_number(campaign);
        }
        brought.stated_bytes += bytes;
        let stated = Stated {
            ttps: content.ttps.clone(),
            tags: content.tags.clone(),
            targets: content.targets.clone(),
        };
        self.push_context(hash, campaign, Some(Box::new(stated)))
    }

    fn unstated_number(&mut self, campaign: u32) -> u32 {
        let hash = context_hash(&self.keys, campaign, None);
        let is = |held: u32| {
            let context = self.contexts.at(held);
            context.campaign == campaign && context.stated.is_none()
        };
        match self.context_index.find(hash, is) {
            Some(number) => number,
            None => self.push_context(hash, campaign, None),
        }
    }

    fn push_context(&mut self, hash: u64, campaign: u32, stated: Option<Box<Stated>>) -> u32 {
        let FacetSets {
            keys,
            contexts,
            context_index,
            ..
        } = self;
        let number = contexts.push(Context { campaign, stated });
        context_index.insert(hash, number, |held| {
            let Context { campaign, stated } = contexts.at(held);
            let stated = stated.as_deref();
            context_hash(keys, *campaign, stated.map(|one| (&one.ttps, &one.tags, &one.targets)))
        });
        number
    }
}

/// What of a handling policy looks at.
fn policy_parts(handling: &Handling) -> impl PartialEq + Hash + '_ {
    (
        handling.tlp(),
        handling.audience(),
        handling.government_release,
        handling.embargo.as_ref().map(Embargo::members),
    )
}

fn class_hash(keys: &RandomState, publisher: MemberId, kind: MemberKind, handling: &Handling) -> u64 {
    keys.hash_one((publisher, kind, policy_parts(handling)))
}

fn context_hash(keys: &RandomState, campaign: u32, stated: Option<(&Vec<Ttp>, &Vec<Tag>, &Targets)>) -> u64 {
    let mut hasher = keys.build_hasher();
    campaign.hash(&mut hasher);
    if let Some((ttps, tags, targets)) = stated {
        let Targets {
            countries,
            languages,
            events,
        } = targets;
        (ttps, tags, countries, languages, events).hash(&mut hasher);
    }
    hasher.finish()
}

/// What a context takes in memory, but for its campaign.
fn stated_bytes(content: &Content) -> u64 {
    let targets = &content.targets;
    let text = |text: &str| size_of::<Box<str>>() + text.len();
    let ttps = content.ttps.iter().map(|ttp| text(ttp.as_str()));
    let tags = content.tags.iter().map(|tag| text(tag.as_str()));
    let events = targets.events.iter().map(|event| text(event.as_str()));
    let codes = (targets.countries.len() + targets.languages.len()) * size_of::<Code>();
    (size_of::<Context>() + size_of::<Stated>() + codes + ttps.chain(tags).chain(events).sum::<usize>()) as u64
}

#[cfg(test)]
pub(super) mod tests;
