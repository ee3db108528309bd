//! Facets: what a filter asks of an indicator besides its confidence and its value. Many indicators agree in them, so that who
//! holds many decides a filter once for all that do. Together, the three questions below are [`Filter::matches`].

use super::{Filter, ends_with, holds, is_on_platform, is_or_heads};
use crate::domain::id::MemberId;
use crate::domain::indicator::{Confidence, Indicator, Severity, Tag, Targets, Ttp, Verdict};
use crate::domain::member::MemberKind;
use crate::domain::observable::{Kind, Observable};
use crate::domain::similarity::SimilarityHash;

/// The facets of an indicator.
#[derive(Clone, Copy, Debug)]
pub struct Facets<'a> {
    /// Its owner.
    pub publisher: MemberId,
    /// The owner's kind.
    pub publisher_kind: MemberKind,
    /// What sort of thing it speaks of.
    pub kind: Kind,
    /// What the publisher holds of it.
    pub verdict: Verdict,
    /// How much harm is at stake; absent: not stated.
    pub severity: Option<Severity>,
    /// The campaign; empty for none.
    pub campaign: &'a str,
    /// Techniques.
    pub ttps: &'a [Ttp],
    /// Free tags.
    pub tags: &'a [Tag],
    /// What the operation aims at.
    pub targets: &'a Targets,
}

impl<'a> Facets<'a> {
    /// Those of `indicator`.
    pub fn of(indicator: &'a Indicator) -> Facets<'a> {
        let content = &indicator.content;
        Facets {
            publisher: indicator.publisher,
            publisher_kind: indicator.publisher_kind,
            kind: content.observable.kind(),
            verdict: content.verdict,
            severity: content.severity,
            campaign: content.campaign.as_str(),
            ttps: &content.ttps,
            tags: &content.tags,
            targets: &content.targets,
        }
    }
}

impl Filter {
    /// Whether a confidence passes.
    pub fn matches_confidence(&self, confidence: Confidence) -> bool {
        confidence.value() >= self.confidence_min
    }

    /// Whether facets pass. Allocates nothing.
    pub fn matches_facets(&self, facets: &Facets<'_>) -> bool {
        // The fields that cost one comparison come first.
        self.severity_min.is_none_or(|least| facets.severity >= Some(least))
            && holds(&self.kinds, |kind| *kind == facets.kind)
            && holds(&self.near, |near| near.hash().kind() == facets.kind)
            && holds(&self.verdicts, |verdict| *verdict == facets.verdict)
            && holds(&self.publisher_kinds, |kind| *kind == facets.publisher_kind)
            && holds(&self.publishers, |publisher| *publisher == facets.publisher)
            && self.holds_for_context(facets)
    }

    /// Whether an answer takes more than facets and confidence.
    pub fn asks_value(&self) -> bool {
        !self.platforms.is_empty() || !self.value_suffixes.is_empty() || !self.near.is_empty()
    }

    /// Whether a value passes.
    pub fn matches_value(&self, observable: &Observable) -> bool {
        holds(&self.platforms, |name| is_on_platform(observable, name))
            && holds(&self.value_suffixes, |suffix| ends_with(observable, suffix))
            && self.holds_near(observable)
    }

    fn holds_near(&self, observable: &Observable) -> bool {
        // Read once, however many it is compared with.
        self.near.is_empty()
            || SimilarityHash::of(observable).is_some_and(|hash| self.near.iter().any(|near| near.holds(&hash)))
    }

    fn holds_for_context(&self, facets: &Facets<'_>) -> bool {
        let targets = facets.targets;
        let stated = |ttp: &String| facets.ttps.iter().any(|stated| is_or_heads(ttp, stated.as_str()));
        holds(&self.campaigns, |name| name == facets.campaign)
            && holds(&self.tags, |tag| {
                facets.tags.iter().any(|stated| tag == stated.as_str())
            })
            && holds(&self.target_countries, |code| targets.countries.contains(code))
            && holds(&self.target_languages, |code| targets.languages.contains(code))
            && holds(&self.target_events, |name| {
                targets.events.iter().any(|event| name == event.as_str())
            })
            && holds(&self.ttps, stated)
    }
}
