//! Filters: which of the visible indicators a subscriber wants. A conjunction of fields, each a list of alternatives.
//! `expression` reads and writes the text form. A filter only narrows: who may see an indicator is `policy`'s alone.

mod expression;
mod facets;
mod term;

use super::id::MemberId;
use super::indicator::{Code, Indicator, Severity, Tag, Text, Ttp, Verdict};
use super::member::MemberKind;
use super::observable::{Kind, Observable};
use super::similarity::Near;
use super::violation::Violation;

pub use expression::ParsedFilter;
pub use facets::Facets;

/// Each non-empty field must hold; a list holds if one of its values does. The default passes everything.
///
/// A filter from outside goes through [`Filter::canonical`] at the door. What [`Filter::fingerprint_bytes`] calls equal,
/// [`Filter::matches`] treats alike, canonical or not.
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
    /// Ends of canonical values, whatever their ASCII letter case; for hosts whole labels.
    pub value_suffixes: Vec<String>,
    /// Verdicts.
    pub verdicts: Vec<Verdict>,
    /// Least severity; an indicator that states none does not pass.
    pub severity_min: Option<Severity>,
    /// Platforms of accounts, pages, groups, channels and posts.
    pub platforms: Vec<String>,
    /// What hashes lie near, of the kinds that have a distance.
    pub near: Vec<Near>,
}

impl Filter {
    /// Most values in all lists together.
    pub const VALUES_MAX: usize = 256;
    /// Most TTPs: each is compared with each TTP of an indicator.
    pub const TTPS_MAX: usize = 64;
    /// Most hashes to be near: each is compared with each hash that is published.
    pub const NEAR_MAX: usize = 64;
    /// Longest value suffix, in bytes: the longest host name.
    pub const SUFFIX_BYTES_MAX: usize = 253;
    /// Longest name of a platform, in bytes.
    pub const PLATFORM_BYTES_MAX: usize = 64;

    /// Whether everything passes.
    pub fn is_all(&self) -> bool {
        self.values_count() == 0 && self.confidence_min == 0 && self.severity_min.is_none()
    }

    /// Whether `indicator` passes. Allocates nothing.
    pub fn matches(&self, indicator: &Indicator) -> bool {
        self.matches_confidence(indicator.content.confidence)
            && self.matches_facets(&Facets::of(indicator))
            && self.matches_value(&indicator.content.observable)
    }

    /// Checks every limit and the shape of every value. Fields are named as on the wire.
    pub fn check(&self) -> Result<(), Violation> {
        self.check_counts()?;
        if self.confidence_min > 100 {
            let reason = format!("is {}, must be 0 to 100", self.confidence_min);
            return Err(Violation::new("confidence_min", reason));
        }
        check_each("campaigns", &self.campaigns, check_name)?;
        check_each("ttps", &self.ttps, |field, ttp| Ttp::parse(field, ttp).map(drop))?;
        check_each("target_events", &self.target_events, |field, name| {
            check_name(field, name)
        })?;
        check_each("tags", &self.tags, |field, tag| Tag::parse(field, tag).map(drop))?;
        check_each("value_suffixes", &self.value_suffixes, check_suffix)?;
        check_each("platforms", &self.platforms, check_platform)
    }

    fn check_counts(&self) -> Result<(), Violation> {
        if self.values_count() > Filter::VALUES_MAX {
            let reason = format!(
                "has {} values, at most {} are accepted",
                self.values_count(),
                Filter::VALUES_MAX
            );
            return Err(Violation::new("filter", reason));
        }
        if self.ttps.len() > Filter::TTPS_MAX {
            let reason = format!(
                "has {} values, at most {} are accepted",
                self.ttps.len(),
                Filter::TTPS_MAX
            );
            return Err(Violation::new("ttps", reason));
        }
        if self.near.len() > Filter::NEAR_MAX {
            let reason = format!(
                "has {} values, at most {} are accepted",
                self.near.len(),
                Filter::NEAR_MAX
            );
            return Err(Violation::new("near", reason));
        }
        Ok(())
    }

    fn values_count(&self) -> usize {
        // Destructured, so that a new field cannot be forgotten here.
        let Filter {
            kinds,
            campaigns,
            ttps,
            target_countries,
            target_languages,
            target_events,
            tags,
            publisher_kinds,
            publishers,
            confidence_min: _,
            value_suffixes,
            verdicts,
            severity_min: _,
            platforms,
            near,
        } = self;
        let texts = [campaigns, ttps, target_events, tags, value_suffixes, platforms];
        let codes = target_countries.len() + target_languages.len();
        let members = publisher_kinds.len() + publishers.len();
        texts.iter().map(|list| list.len()).sum::<usize>() + kinds.len() + verdicts.len() + codes + members + near.len()
    }

    /// The canonical form, checked: lists sorted and without repetitions; TTPs in upper case; platforms by their one
    /// name; suffixes in lower case and without a leading dot, `*.` or lone `www.`, as canonical values have none. An international
    /// suffix gains its ASCII form beside its own, because hosts are stored in the one and texts in the other.
    pub fn canonical(mut self) -> Result<Filter, Violation> {
        self.ttps.iter_mut().for_each(|ttp| ttp.make_ascii_uppercase());
        self.check()?;
        self.platforms
            .iter_mut()
            .for_each(|name| *name = canonical_platform(name));
        let suffixes = std::mem::take(&mut self.value_suffixes);
        self.value_suffixes = suffixes.iter().flat_map(|suffix| canonical_suffix(suffix)).collect();
        sort_set(&mut self.kinds);
        sort_set(&mut self.campaigns);
        sort_set(&mut self.ttps);
        sort_set(&mut self.target_countries);
        sort_set(&mut self.target_languages);
        sort_set(&mut self.target_events);
        sort_set(&mut self.tags);
        sort_set(&mut self.publisher_kinds);
        sort_set(&mut self.publishers);
        sort_set(&mut self.value_suffixes);
        sort_set(&mut self.verdicts);
        sort_set(&mut self.platforms);
        sort_set(&mut self.near);
        // International suffixes have grown.
        self.check_counts()?;
        Ok(self)
    }

    /// Bytes that two filters share exactly when they state the same values, whatever their order and repetition: what a
    /// cursor is bound to. Layout: a version byte, then every field in the order of declaration, as a count (u32) and that
    /// many values, each as a length (u32) and bytes; big-endian. `near` is there only where it is stated: cursors are older than it.
    /// Changing it makes every cursor unusable.
    pub fn fingerprint_bytes(&self) -> Vec<u8> {
        let Filter {
            kinds,
            campaigns,
            ttps,
            target_countries,
            target_languages,
            target_events,
            tags,
            publisher_kinds,
            publishers,
            confidence_min,
            value_suffixes,
            verdicts,
            severity_min,
            platforms,
            near,
        } = self;
        let lowered = |text: &str| text.to_ascii_lowercase().into_bytes();
        let mut bytes = vec![FINGERPRINT_VERSION];
        push_set(&mut bytes, kinds, |kind| kind.name().into());
        push_set(&mut bytes, campaigns, |name| name.as_bytes().into());
        push_set(&mut bytes, ttps, |ttp| ttp.as_bytes().into());
        push_set(&mut bytes, target_countries, |code| code.as_str().into());
        push_set(&mut bytes, target_languages, |code| code.as_str().into());
        push_set(&mut bytes, target_events, |name| name.as_bytes().into());
        push_set(&mut bytes, tags, |tag| tag.as_bytes().into());
        push_set(&mut bytes, publisher_kinds, |kind| kind.name().into());
        push_set(&mut bytes, publishers, |publisher| publisher.0.as_bytes().into());
        push_set(&mut bytes, &[*confidence_min], |least| vec![*least]);
        push_set(&mut bytes, value_suffixes, |suffix| lowered(without_wildcard(suffix)));
        push_set(&mut bytes, verdicts, |verdict| verdict.name().into());
        push_set(&mut bytes, severity_min.as_slice(), |least| least.name().into());
        push_set(&mut bytes, platforms, |name| lowered(name));
        if !near.is_empty() {
            push_set(&mut bytes, near, |near| near.to_string().into_bytes());
        }
        bytes
    }
}

const FINGERPRINT_VERSION: u8 = 1;

fn holds<T>(wanted: &[T], is_stated: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is_stated)
}

/// Whether `ttp` is `head` or lies below it. Whole components: `T0007` does not head `T00071`, nor `0.1` `0.10`.
fn is_or_heads(head: &str, ttp: &str) -> bool {
    ttp.strip_prefix(head)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn is_on_platform(observable: &Observable, name: &str) -> bool {
    platform(observable).is_some_and(|platform| platform.eq_ignore_ascii_case(name))
}

/// The platform that heads the values of everything that lives on one.
fn platform(observable: &Observable) -> Option<&str> {
    match observable.kind() {
        Kind::Account | Kind::Page | Kind::Group | Kind::Channel | Kind::Post => {
            observable.value().split_once(':').map(|(platform, _)| platform)
        }
        _ => None,
    }
}

fn ends_with(observable: &Observable, suffix: &str) -> bool {
    let suffix = without_wildcard(suffix).as_bytes();
    let Some(host) = observable.host() else {
        return has_tail(observable.value().as_bytes(), suffix);
    };
    let host = host.as_bytes();
    // Whole labels: what stands before the suffix is nothing or a dot.
    let before = host.len().checked_sub(suffix.len() + 1).map(|last| host[last]);
    has_tail(host, suffix) && before.is_none_or(|byte| byte == b'.')
}

fn has_tail(value: &[u8], tail: &[u8]) -> bool {
    let start = value.len().checked_sub(tail.len());
    start.is_some_and(|start| value[start..].eq_ignore_ascii_case(tail))
}

fn without_wildcard(suffix: &str) -> &str {
    let bare = suffix.strip_prefix("*.").or_else(|| suffix.strip_prefix('.'));
    bare.unwrap_or(suffix)
}

fn canonical_suffix(suffix: &str) -> Vec<String> {
    let suffix = bare_suffix(&suffix.to_lowercase()).to_string();
    // A text that is no host name has no ASCII form, and needs none.
    let is_host = !suffix.is_ascii() && !suffix.contains(char::is_whitespace);
    let ascii = is_host.then(|| idna::domain_to_ascii(&suffix).ok()).flatten();
    let ascii = ascii.map(|ascii| bare_suffix(&ascii).to_string());
    let ascii = ascii.filter(|ascii| check_suffix("", ascii).is_ok());
    ascii.into_iter().chain([suffix]).collect()
}

/// What is left when nothing more can be taken off the front. Canonical hosts shed a leading `www.` when two labels
/// remain, so a suffix that kept it could never hold.
fn bare_suffix(suffix: &str) -> &str {
    let rest = without_wildcard(suffix);
    let rest = rest
        .strip_prefix("www.")
        .filter(|rest| rest.contains('.'))
        .unwrap_or(rest);
    match rest.is_empty() || rest.len() == suffix.len() {
        true => suffix,
        false => bare_suffix(rest),
    }
}

fn check_each<T: AsRef<str>>(
    field: &str,
    values: &[T],
    check: impl Fn(&str, &str) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let mut numbered = values.iter().enumerate();
    numbered.try_for_each(|(index, value)| check(&format!("{field}[{index}]"), value.as_ref()))
}

fn check_name(field: &str, name: &str) -> Result<(), Violation> {
    match name.is_empty() {
        // An indicator that names no campaign states nothing; "nothing" cannot be asked for by name.
        true => Err(Violation::new(field, "must not be empty")),
        false => Text::<200>::parse(field, name).map(drop),
    }
}

fn check_suffix(field: &str, suffix: &str) -> Result<(), Violation> {
    let bare = without_wildcard(suffix);
    if bare.is_empty() || bare.starts_with('.') {
        return Err(Violation::new(field, "must end in a name, such as example.com or ru"));
    }
    if bare.contains('*') {
        return Err(Violation::new(field, "may hold a wildcard only as a leading `*.`"));
    }
    if bare.contains("://") {
        return Err(Violation::new(field, "must be the end of a host or value, not a URL"));
    }
    Text::<{ Filter::SUFFIX_BYTES_MAX }>::parse(field, bare).map(drop)
}

fn check_platform(field: &str, name: &str) -> Result<(), Violation> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match (1..=Filter::PLATFORM_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_letter) {
        true => Ok(()),
        false => Err(Violation::new(
            field,
            format!(
                "must be a platform such as x or telegram, of 1 to {} bytes",
                Filter::PLATFORM_BYTES_MAX
            ),
        )),
    }
}

/// The one name of a platform (`x` for `twitter`): the one it has in an observable there.
fn canonical_platform(name: &str) -> String {
    let post = Observable::parse_as(Kind::Post, &format!("{name}:1")).ok();
    let named = post.as_ref().and_then(platform).map(String::from);
    named.unwrap_or_else(|| name.to_ascii_lowercase())
}

fn sort_set<T: Ord>(values: &mut Vec<T>) {
    values.sort_unstable();
    values.dedup();
}

fn push_set<T>(bytes: &mut Vec<u8>, values: &[T], encode: impl Fn(&T) -> Vec<u8>) {
    let mut encoded: Vec<Vec<u8>> = values.iter().map(encode).collect();
    sort_set(&mut encoded);
    push_length(bytes, encoded.len());
    for value in encoded {
        push_length(bytes, value.len());
        bytes.extend(value);
    }
}

fn push_length(bytes: &mut Vec<u8>, length: usize) {
    // A filter that passed the check is far smaller; a longer one would need 4 GiB to be mistaken for another.
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests;
