//! Filters: which of the visible indicators a subscriber wants. A conjunction of fields, each a list of alternatives.

use super::id::MemberId;
use super::indicator::{Code, Severity, Verdict};
use super::member::MemberKind;
use super::observable::Kind;

/// Each non-empty field must hold; a list holds if one of its values does. The default passes everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Kinds of observables.
    pub kinds: Vec<Kind>,
    /// Exact campaign names.
    pub campaigns: Vec<String>,
    /// TTP ids, or heads of them: `T0007` holds for `T0007.001`.
    pub ttps: Vec<String>,
    /// Target countries.
    pub target_countries: Vec<Code>,
    /// Target languages.
    pub target_languages: Vec<Code>,
    /// Exact names of target events.
    pub target_events: Vec<String>,
    /// Exact tags.
    pub tags: Vec<String>,
    /// Kinds of publishers.
    pub publisher_kinds: Vec<MemberKind>,
    /// Publishers.
    pub publishers: Vec<MemberId>,
    /// Least confidence, 0 to 100.
    pub confidence_min: u8,
    /// Ends of canonical values; for hosts whole labels.
    pub value_suffixes: Vec<String>,
    /// Verdicts.
    pub verdicts: Vec<Verdict>,
    /// Least severity; an indicator that states none does not pass.
    pub severity_min: Option<Severity>,
    /// Platforms of accounts, pages, groups, channels and posts.
    pub platforms: Vec<String>,
}
