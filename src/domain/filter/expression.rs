//! The text form of a filter: `kind:domain,url campaign:"Secondary Infektion" confidence>=70`. Refuses to guess: what it
//! does not know it names, with what it knows. Names of publishers stay names, for only a hub can resolve them.

use std::fmt;

use super::Filter;
use super::term::{Operator, Term, is_field};
use crate::domain::id::MemberId;
use crate::domain::indicator::{Code, Confidence, Severity, Verdict};
use crate::domain::member::{MemberKind, Name};
use crate::domain::observable::Kind;
use crate::domain::similarity::Near;
use crate::domain::violation::Violation;

/// A filter as a person wrote it. `Display` writes the expression that reads as the same again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ParsedFilter {
    /// Everything that needs no hub to understand, in canonical form; publishers given by id are already in it.
    pub filter: Filter,
    /// Publishers given by name, sorted. Unless this is empty, `filter` alone is wider than what was meant: see
    /// [`ParsedFilter::resolve`].
    pub publisher_names: Vec<String>,
}

impl Filter {
    /// Longest expression, in bytes.
    pub const EXPRESSION_BYTES_MAX: usize = 128 * 1024;

    /// Reads terms that white space separates, each `field:value[,value…]`, `confidence>=N` or `severity>=LEVEL`. A value with
    /// white space, a comma or quotes stands in quotes, in which `\"` and `\\` stand for themselves. A field that comes again adds
    /// alternatives. An empty text passes everything.
    pub fn parse(text: &str) -> Result<ParsedFilter, Violation> {
        if text.len() > Filter::EXPRESSION_BYTES_MAX {
            let reason = format!(
                "has {} bytes, at most {} are accepted",
                text.len(),
                Filter::EXPRESSION_BYTES_MAX
            );
            return Err(Violation::new("filter", reason));
        }
        let mut parsed = ParsedFilter::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (term, after) = Term::read(rest)?;
            parsed.add(&term)?;
            rest = after.trim_start();
        }
        parsed.publisher_names.sort_unstable();
        parsed.publisher_names.dedup();
        check_publishers(&parsed)?;
        parsed.filter = parsed.filter.canonical()?;
        Ok(parsed)
    }
}

/// Names become ids, so they count like ids; else a filter that reads well here would be refused by the hub.
fn check_publishers(parsed: &ParsedFilter) -> Result<(), Violation> {
    let count = parsed.filter.values_count() + parsed.publisher_names.len();
    match count > Filter::VALUES_MAX {
        true => Err(Violation::new(
            "filter",
            format!("has {count} values, at most {} are accepted", Filter::VALUES_MAX),
        )),
        false => Ok(()),
    }
}

impl ParsedFilter {
    /// The whole filter, once `id_of` knows each publisher's name. A name that it does not know is an error: without it the
    /// filter would be another, perhaps one that passes everything.
    pub fn resolve(self, id_of: impl Fn(&str) -> Option<MemberId>) -> Result<Filter, Violation> {
        let mut filter = self.filter;
        for name in &self.publisher_names {
            let unknown = || Violation::new("filter", format!("`publisher:{}`: no such member", quote(name)));
            filter.publishers.push(id_of(name).ok_or_else(unknown)?);
        }
        filter.canonical()
    }

    fn add(&mut self, term: &Term<'_>) -> Result<(), Violation> {
        match (term.field, term.operator) {
            ("confidence", Operator::AtLeast) => self.set_confidence(term),
            ("severity", Operator::AtLeast) => self.set_severity(term),
            ("confidence" | "severity", Operator::Is) => {
                Err(term.violation(&format!("write {}>= and the least value", term.field)))
            }
            (_, Operator::Is) => term.values.iter().try_for_each(|value| self.add_value(term, value)),
            (field, Operator::AtLeast) if is_field(field) => {
                Err(term.violation(&format!("write {field}: and a value")))
            }
            (_, Operator::AtLeast) => Err(term.unknown_field()),
        }
    }

    fn add_value(&mut self, term: &Term<'_>, value: &str) -> Result<(), Violation> {
        if value.is_empty() {
            return Err(term.violation("a value must not be empty; write no space after a comma"));
        }
        let filter = &mut self.filter;
        let named = |result: Result<Code, Violation>| result.map_err(|violation| term.violation(&violation.reason));
        match term.field {
            "kind" => filter.kinds.push(kind(term, value)?),
            "campaign" => filter.campaigns.push(value.into()),
            "ttp" => filter.ttps.push(value.into()),
            "country" => filter.target_countries.push(named(Code::country("", value))?),
            "language" => filter.target_languages.push(named(Code::language("", value))?),
            "event" => filter.target_events.push(value.into()),
            "tag" => filter.tags.push(value.into()),
            "publisher-kind" => filter
                .publisher_kinds
                .push(one_of(term, value, &MemberKind::ALL, MemberKind::name)?),
            "publisher" => self.add_publisher(term, value)?,
            "suffix" => filter.value_suffixes.push(value.into()),
            "verdict" => filter.verdicts.push(one_of(term, value, &Verdict::ALL, Verdict::name)?),
            "platform" => filter.platforms.push(value.into()),
            "near" => filter
                .near
                .push(Near::parse("", value).map_err(|violation| term.violation(&violation.reason))?),
            _ => return Err(term.unknown_field()),
        }
        // The values that are kept as text are checked here, one at a time, so that the error can name the term.
        let alone = single(term.field, value).canonical();
        alone.map(drop).map_err(|violation| term.violation(&violation.reason))
    }

    fn add_publisher(&mut self, term: &Term<'_>, value: &str) -> Result<(), Violation> {
        if let Ok(id) = value.parse::<MemberId>() {
            self.filter.publishers.push(id);
            return Ok(());
        }
        let name = Name::parse("", value).map_err(|violation| term.violation(&violation.reason))?;
        self.publisher_names.push(name.as_str().into());
        Ok(())
    }

    fn set_confidence(&mut self, term: &Term<'_>) -> Result<(), Violation> {
        let value = term.only_value()?;
        let number = value.parse().ok().and_then(|number| Confidence::new(number).ok());
        let least = number.ok_or_else(|| term.violation("must be a number from 0 to 100"))?;
        // Two bounds on one field are both to hold, so the higher one stands.
        self.filter.confidence_min = self.filter.confidence_min.max(least.value());
        Ok(())
    }

    fn set_severity(&mut self, term: &Term<'_>) -> Result<(), Violation> {
        let least = one_of(term, term.only_value()?, &Severity::ALL, Severity::name)?;
        self.filter.severity_min = self.filter.severity_min.max(Some(least));
        Ok(())
    }
}

fn single(field: &str, value: &str) -> Filter {
    let (values, mut filter) = (vec![value.to_string()], Filter::default());
    match field {
        "campaign" => filter.campaigns = values,
        "ttp" => filter.ttps = values,
        "event" => filter.target_events = values,
        "tag" => filter.tags = values,
        "suffix" => filter.value_suffixes = values,
        "platform" => filter.platforms = values,
        _ => {}
    }
    filter
}

fn kind(term: &Term<'_>, value: &str) -> Result<Kind, Violation> {
    Kind::from_name(value).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        term.violation(&format!("must be one of {}", known.join(", ")))
    })
}

fn one_of<T: Copy>(term: &Term<'_>, value: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, Violation> {
    let found = all.iter().copied().find(|item| name(*item).eq_ignore_ascii_case(value));
    found.ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|item| name(*item)).collect();
        term.violation(&format!("must be one of {}", known.join(", ")))
    })
}

impl fmt::Display for ParsedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filter = &self.filter;
        let publishers = filter
            .publishers
            .iter()
            .map(MemberId::to_string)
            .chain(self.publisher_names.clone());
        let mut terms = Vec::new();
        push_term(&mut terms, "kind", filter.kinds.iter().map(|kind| kind.name()));
        push_term(&mut terms, "campaign", &filter.campaigns);
        push_term(&mut terms, "ttp", &filter.ttps);
        push_term(&mut terms, "country", filter.target_countries.iter().map(Code::as_str));
        push_term(&mut terms, "language", filter.target_languages.iter().map(Code::as_str));
        push_term(&mut terms, "event", &filter.target_events);
        push_term(&mut terms, "tag", &filter.tags);
        push_term(
            &mut terms,
            "publisher-kind",
            filter.publisher_kinds.iter().map(|kind| kind.name()),
        );
        push_term(&mut terms, "publisher", publishers);
        push_term(&mut terms, "suffix", &filter.value_suffixes);
        push_term(
            &mut terms,
            "verdict",
            filter.verdicts.iter().map(|verdict| verdict.name()),
        );
        push_term(&mut terms, "platform", &filter.platforms);
        push_term(&mut terms, "near", filter.near.iter().map(Near::to_string));
        if filter.confidence_min > 0 {
            terms.push(format!("confidence>={}", filter.confidence_min));
        }
        if let Some(least) = filter.severity_min {
            terms.push(format!("severity>={}", least.name()));
        }
        f.write_str(&terms.join(" "))
    }
}

fn push_term<T: AsRef<str>>(terms: &mut Vec<String>, field: &str, values: impl IntoIterator<Item = T>) {
    let values: Vec<String> = values.into_iter().map(|value| quote(value.as_ref())).collect();
    if !values.is_empty() {
        terms.push(format!("{field}:{}", values.join(",")));
    }
}

fn quote(value: &str) -> String {
    let needs_quotes = |c: char| c.is_whitespace() || matches!(c, ',' | '"');
    match value.is_empty() || value.contains(needs_quotes) {
        true => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        false => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::term::FIELDS;
    use super::*;

    fn check(text: &str, canonical: &str) {
        let parsed = Filter::parse(text).unwrap();
        assert_eq!(parsed.to_string(), canonical, "{text}");
        assert_eq!(Filter::parse(canonical).unwrap(), parsed, "{text}");
    }

    fn refusal(text: &str) -> String {
        let violation = Filter::parse(text).expect_err(text);
        assert_eq!(violation.field, "filter", "{text}");
        violation.reason
    }

    #[test]
    fn expressions_read_back_as_what_they_were_written_from() {
        for (text, canonical) in [
            ("", ""),
            (" \t\n ", ""),
            ("kind:url,domain", "kind:domain,url"),
            ("kind:url kind:domain kind:url", "kind:domain,url"),
            ("kind:android_package", "kind:android-package"),
            ("campaign:Doppelganger", "campaign:Doppelganger"),
            ("campaign:\"Secondary Infektion\"", "campaign:\"Secondary Infektion\""),
            ("campaign:\"a, b\",c", "campaign:\"a, b\",c"),
            (r#"campaign:"say \"no\" \\ yes""#, r#"campaign:"say \"no\" \\ yes""#),
            (r"campaign:back\slash", r"campaign:back\slash"),
            (
                "campaign:\"\u{432}\u{44b}\u{431}\u{43e}\u{440}\"",
                "campaign:\u{432}\u{44b}\u{431}\u{43e}\u{440}",
            ),
            ("ttp:t0007.001,0.9.4", "ttp:0.9.4,T0007.001"),
            ("country:de,FR", "country:DE,FR"),
            ("language:RU,ukr", "language:ru,ukr"),
            ("event:\"Example election 2026\"", "event:\"Example election 2026\""),
            ("tag:a:b,c", "tag:a:b,c"),
            ("publisher-kind:Media,platform", "publisher-kind:platform,media"),
            ("publisher:\"Example Labs\",acme", "publisher:\"Example Labs\",acme"),
            (
                "publisher:acme,018F2E5C-0000-7000-8000-000000000001",
                "publisher:018f2e5c-0000-7000-8000-000000000001,acme",
            ),
            ("suffix:*.Example.COM,.ru", "suffix:example.com,ru"),
            ("suffix:www.example.com", "suffix:example.com"),
            ("suffix:\u{440}\u{444}", "suffix:xn--p1ai,\u{440}\u{444}"),
            ("verdict:benign,malicious", "verdict:malicious,benign"),
            ("platform:Telegram,twitter", "platform:telegram,x"),
            (
                "near:TLSH:6541e8128a758fa0d1d71b1f921056203fd20bb43493c976ac79e6f1b39d22846d64f5~40,\
                 pdq:0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F~31",
                "near:pdq:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f,\
                 tlsh:T16541E8128A758FA0D1D71B1F921056203FD20BB43493C976AC79E6F1B39D22846D64F5~40",
            ),
            ("confidence>=70 severity>=high", "confidence>=70 severity>=high"),
            ("confidence>=70 confidence>=80 confidence>=10", "confidence>=80"),
            ("severity>=HIGH severity>=low", "severity>=high"),
            ("confidence>=0", ""),
            ("  kind:url\u{a0}tag:x  ", "kind:url tag:x"),
        ] {
            check(text, canonical);
        }
    }

    #[test]
    fn names_of_publishers_stay_names_and_ids_become_publishers() {
        let parsed = Filter::parse("publisher:018f2e5c-0000-7000-8000-000000000001,zeta,alpha,zeta").unwrap();
        assert_eq!(parsed.publisher_names, ["alpha", "zeta"]);
        assert_eq!(parsed.filter.publishers.len(), 1);
    }

    const REFUSALS: &[(&str, &str)] = &[
        (
            "kind:url colour:red",
            "`colour:red`: the field is unknown; fields: kind:, campaign:, ttp:",
        ),
        ("colour>=3", "`colour>=3`: the field is unknown; fields: kind:"),
        ("kind", "`kind`: must be a field and its values; fields: kind:"),
        ("kind=url", "`kind=url`: must be a field and its values"),
        ("example.com", "`example.com`: must be a field and its values"),
        ("kind:starship", "`kind:starship`: must be one of domain, url, ipv4"),
        (
            "verdict:bad",
            "`verdict:bad`: must be one of malicious, suspected, informational, benign",
        ),
        (
            "publisher-kind:bank",
            "`publisher-kind:bank`: must be one of platform, government, research, media",
        ),
        (
            "severity>=huge",
            "`severity>=huge`: must be one of low, medium, high, critical",
        ),
        ("confidence>=101", "`confidence>=101`: must be a number from 0 to 100"),
        ("confidence>=-1", "`confidence>=-1`: must be a number from 0 to 100"),
        ("confidence>=10,20", "`confidence>=10,20`: must have one value"),
        (
            "confidence:70",
            "`confidence:70`: write confidence>= and the least value",
        ),
        ("severity:high", "`severity:high`: write severity>= and the least value"),
        ("kind>=url", "`kind>=url`: write kind: and a value"),
        (
            "country:Germany",
            "`country:Germany`: must be an ISO 3166-1 alpha-2 code",
        ),
        (
            "language:german",
            "`language:german`: must be a BCP 47 primary language tag",
        ),
        ("ttp:nonsense", "`ttp:nonsense`: must be a DISARM id"),
        ("campaign:", "`campaign:`: a value must not be empty"),
        ("campaign:\"\"", "`campaign:\"\"`: a value must not be empty"),
        (
            "tag:a, b",
            "`tag:a,`: a value must not be empty; write no space after a comma",
        ),
        ("tag:\"a b\"", "`tag:\"a b\"`: must not contain white space"),
        ("campaign:\"open", "`campaign:\"open`: the closing quote is missing"),
        (
            "campaign:\"a\"b",
            "`campaign:\"a\"b`: a comma or a space must follow the closing quote",
        ),
        (
            "campaign:a\"b\"",
            "`campaign:a\"b\"`: quotes must enclose a whole value",
        ),
        (
            r#"campaign:"a\n""#,
            "a backslash stands before a quote or a backslash only",
        ),
        ("publisher:\"<b>\"", "must not contain '<'"),
        ("platform:\"a b\"", "must be a platform such as x or telegram"),
        (
            "suffix:https://example.com",
            "must be the end of a host or value, not a URL",
        ),
        ("near:0f0f", "must be pdq: or tlsh: and a hash"),
        ("near:domain:example.com", "must be pdq: or tlsh: and a hash"),
        ("near:pdq:0f0f", "a PDQ hash has 64 hex digits"),
        (
            "near:pdq:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f~32",
            "has the distance 32, must be 1 to 31 for pdq",
        ),
        (
            "near:pdq:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f~-1",
            "must be pdq: or tlsh: and a hash",
        ),
        ("suffix:*", "may hold a wildcard only as a leading `*.`"),
        ("suffix:*.", "must end in a name"),
        ("suffix:a*.example.com", "may hold a wildcard only as a leading `*.`"),
    ];

    #[test]
    fn a_publisher_that_nobody_knows_never_widens_the_filter() {
        let acme = MemberId(uuid::Uuid::from_u128(7));
        let id_of = |name: &str| (name == "Acme Labs").then_some(acme);
        let known = Filter::parse("publisher:\"Acme Labs\"").unwrap();
        assert_eq!(known.resolve(id_of).unwrap().publishers, [acme]);
        let unknown = Filter::parse("publisher:\"Acme Labs\",\"Nobody Here\"").unwrap();
        let violation = unknown.resolve(id_of).unwrap_err();
        assert_eq!(violation.reason, "`publisher:\"Nobody Here\"`: no such member");
    }

    #[test]
    fn refusals_name_the_term_and_what_is_known() {
        for (text, expected) in REFUSALS {
            let reason = refusal(text);
            assert!(reason.contains(expected), "{text}: {reason}");
        }
    }

    #[test]
    fn refusals_show_neither_control_characters_nor_long_terms() {
        let reason = refusal(&format!("tag:\u{1b}[31m{}", "x".repeat(10_000)));
        assert!(!reason.contains(char::is_control) && reason.len() < 400, "{reason}");
    }

    #[test]
    fn every_field_that_is_offered_is_known() {
        for field in FIELDS.split(", ") {
            let name = field.trim_end_matches([':', '>', '=']);
            assert!(is_field(name), "{field}");
            let reason = refusal(&format!("{field}\"\u{0}\""));
            assert!(!reason.contains("unknown"), "{field}: {reason}");
        }
    }

    #[test]
    fn values_are_counted_with_the_names_of_publishers() {
        let names = |count: usize| (0..count).map(|n| format!("name{n}")).collect::<Vec<_>>().join(",");
        let limit = format!("kind:url publisher:{}", names(Filter::VALUES_MAX - 1));
        assert!(Filter::parse(&limit).is_ok());
        assert!(refusal(&format!("{limit} tag:x")).contains("has 257 values"));
    }

    #[test]
    fn expressions_have_a_longest_length() {
        let blank = " ".repeat(Filter::EXPRESSION_BYTES_MAX);
        assert!(Filter::parse(&blank).is_ok());
        assert!(refusal(&format!("{blank} ")).contains("has 131073 bytes"));
    }
}
