//! Filter expressions on their way to the wire: the domain reads them, the hub's members give the ids of publishers' names.

use super::failure::Failure;
use super::names::Directory;
use super::words;
use crate::domain::filter::Filter;
use crate::domain::indicator::{Severity, Verdict};
use crate::domain::member::MemberKind;
use crate::domain::observable::Kind;
use crate::domain::similarity::Near;
use crate::grpc::wire;

/// What an expression may say, for `--help`.
pub const HELP: &str = "Filter expressions are terms separated by spaces, all of which must hold; values separated by commas are \
alternatives:\n  kind:domain,url  campaign:\"Secondary Infektion\"  ttp:T0007  country:DE  language:de  event:NAME  tag:TAG\n  \
publisher:NAME|ID  publisher-kind:research  suffix:example.com  platform:x  verdict:malicious\n  confidence>=70  severity>=high  \
near:pdq:HASH or near:pdq:HASH~20 (hashes within a distance; pdq at most 31, tlsh at most 100)";

/// The filter that an expression means; everything visible where there is none.
pub fn read(expression: Option<&str>, directory: &Directory) -> Result<wire::Filter, Failure> {
    let parsed = Filter::parse(expression.unwrap_or_default())
        .map_err(|violation| Failure::Usage(format!("--filter: {violation}")))?;
    let mut filter = to_wire(&parsed.filter);
    for name in &parsed.publisher_names {
        filter.publisher_ids.push(directory.member_id(name)?);
    }
    // The hub binds cursors to the filter: the same expression must always give the same message.
    filter.publisher_ids.sort_unstable();
    filter.publisher_ids.dedup();
    Ok(filter)
}

fn to_wire(filter: &Filter) -> wire::Filter {
    // Field by field, so that a new field of the filter is a compile error here.
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
    } = filter;
    wire::Filter {
        kinds: kinds.iter().map(|kind| words::number(Kind::ALL, *kind)).collect(),
        campaigns: campaigns.clone(),
        ttps: ttps.clone(),
        target_countries: target_countries.iter().map(|code| code.as_str().to_owned()).collect(),
        target_languages: target_languages.iter().map(|code| code.as_str().to_owned()).collect(),
        target_events: target_events.clone(),
        tags: tags.clone(),
        publisher_kinds: publisher_kinds
            .iter()
            .map(|kind| words::number(&MemberKind::ALL, *kind))
            .collect(),
        publisher_ids: publishers.iter().map(ToString::to_string).collect(),
        confidence_min: (*confidence_min).into(),
        value_suffixes: value_suffixes.clone(),
        verdicts: verdicts
            .iter()
            .map(|verdict| words::number(&Verdict::ALL, *verdict))
            .collect(),
        severity_min: severity_min.map_or(0, |severity| words::number(&Severity::ALL, severity)),
        platforms: platforms.clone(),
        near: near.iter().map(near_hash).collect(),
    }
}

fn near_hash(near: &Near) -> wire::NearHash {
    wire::NearHash {
        kind: words::number(Kind::ALL, near.hash().kind()),
        value: near.hash().value(),
        distance_max: near.distance_max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_becomes_the_wires_numbers() {
        let filter = read(
            Some("kind:domain,url campaign:\"Secondary Infektion\" confidence>=70 severity>=high verdict:benign"),
            &Directory::default(),
        );
        let filter = filter.unwrap();
        assert_eq!(
            filter.kinds,
            [wire::ObservableKind::Domain as i32, wire::ObservableKind::Url as i32]
        );
        assert_eq!(filter.campaigns, ["Secondary Infektion"]);
        assert_eq!(
            (filter.confidence_min, filter.severity_min),
            (70, wire::Severity::High as i32)
        );
        assert_eq!(filter.verdicts, [wire::Verdict::Benign as i32]);
    }

    #[test]
    fn no_expression_passes_everything_and_a_wrong_one_is_wrong_usage() {
        assert_eq!(read(None, &Directory::default()).unwrap(), wire::Filter::default());
        let failure = read(Some("colour:red"), &Directory::default()).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
        assert!(
            read(Some("publisher:Nobody"), &Directory::default()).is_err(),
            "a wider feed than was meant is not opened"
        );
    }
}
