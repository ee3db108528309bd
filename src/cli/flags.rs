//! The flags that say what is published and who may see it, shared by `publish`, `import` and `revise`. Owns their words and
//! their way onto a draft; refuses to judge them: the hub does, and it alone.

use std::str::FromStr;

use clap::Args;
use prost_types::Timestamp;

use super::connection::Context;
use super::failure::Failure;
use super::names::Directory;
use super::time;
use super::words::{self, Number};
use crate::domain::handling::Tlp;
use crate::grpc::wire;

/// Who may see what is published.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Handling")]
pub struct HandlingFlags {
    /// Traffic Light Protocol 2.0 label: who may see it at most [default: amber with --to, else green]
    #[arg(long, value_name = "LABEL", value_parser = words::tlp_parser())]
    pub tlp: Option<Number>,
    /// A member or group of the audience; may be repeated
    #[arg(long, value_name = "member:NAME|group:NAME")]
    pub to: Vec<Recipient>,
    /// Let government members of the audience see it
    #[arg(long)]
    pub government_release: bool,
    /// Nobody else sees it before then (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub embargo_until: Option<Timestamp>,
    /// A member that sees it during the embargo; may be repeated
    #[arg(long, value_name = "member:NAME", requires = "embargo_until")]
    pub embargo_to: Vec<EmbargoRecipient>,
    /// From then on nobody else sees it (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub expires: Option<Timestamp>,
}

impl HandlingFlags {
    /// The label that holds where none was given: the audience named, or all members (and no government, which needs its own
    /// release). Never wider than what the command line says, so a slip shows too little rather than too much.
    fn default_tlp(&self) -> Tlp {
        match self.to.is_empty() {
            true => Tlp::Green,
            false => Tlp::Amber,
        }
    }

    /// The label that holds, as the wire's number.
    pub fn tlp_number(&self) -> Number {
        self.tlp.unwrap_or_else(|| words::number(&Tlp::ALL, self.default_tlp()))
    }

    /// Tells a person which label holds, where the command line does not.
    pub fn explain_default(&self, context: &Context) {
        if self.tlp.is_none() && !context.output.is_json() {
            let who = match self.default_tlp() {
                Tlp::Amber => "amber: those named with --to",
                _ => "green: all members but governments",
            };
            context.output.note(&format!("no --tlp given, so it is {who}"));
        }
    }

    /// Whether names must be looked up at the hub.
    pub fn names_anyone(&self) -> bool {
        !self.to.is_empty() || !self.embargo_to.is_empty()
    }

    /// Puts what was given onto `handling`.
    pub fn apply(&self, handling: &mut wire::Handling, directory: &Directory) -> Result<(), Failure> {
        let HandlingFlags {
            tlp,
            to,
            government_release,
            embargo_until,
            embargo_to,
            expires,
        } = self;
        match tlp {
            Some(tlp) => handling.tlp = *tlp,
            None if handling.tlp == 0 => handling.tlp = self.tlp_number(),
            // A revision keeps the label it has.
            None => {}
        }
        if !to.is_empty() {
            handling.member_ids.clear();
            handling.group_ids.clear();
        }
        for recipient in to {
            match recipient {
                Recipient::Member(name) => handling.member_ids.push(directory.member_id(name)?),
                Recipient::Group(name) => handling.group_ids.push(directory.group_id(name)?),
            }
        }
        handling.government_release |= government_release;
        if let Some(until) = embargo_until {
            handling.embargo_until = Some(*until);
            let members = embargo_to
                .iter()
                .map(|EmbargoRecipient(name)| directory.member_id(name));
            handling.embargo_member_ids = members.collect::<Result<_, _>>()?;
        }
        if let Some(expires) = expires {
            handling.expires_at = Some(*expires);
        }
        Ok(())
    }
}

/// What the publisher states of an observable.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Content")]
pub struct ContentFlags {
    /// What you hold of it
    #[arg(long, value_parser = words::verdict_parser())]
    pub verdict: Option<Number>,
    /// How sure you are, 0 to 100
    #[arg(long, value_name = "0-100", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub confidence: Option<u32>,
    /// How much harm is at stake
    #[arg(long, value_parser = words::severity_parser())]
    pub severity: Option<Number>,
    /// The campaign it belongs to
    #[arg(long, value_name = "NAME")]
    pub campaign: Option<String>,
    /// Whom you attribute the campaign to
    #[arg(long, value_name = "WHOM")]
    pub attribution: Option<String>,
    /// A DISARM or Online Operations Kill Chain id; may be repeated
    #[arg(long, value_name = "ID")]
    pub ttp: Vec<String>,
    /// A free tag; may be repeated
    #[arg(long)]
    pub tag: Vec<String>,
    /// A country aimed at (ISO 3166-1 alpha-2); may be repeated
    #[arg(long, value_name = "CODE")]
    pub country: Vec<String>,
    /// A language aimed at (BCP 47); may be repeated
    #[arg(long, value_name = "CODE")]
    pub language: Vec<String>,
    /// An election or event aimed at; may be repeated
    #[arg(long, value_name = "NAME")]
    pub event: Vec<String>,
    /// First sighting (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub first_seen: Option<Timestamp>,
    /// Last sighting (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub last_seen: Option<Timestamp>,
    /// A remark for those who read it
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Where it can be checked: a URL or an archive reference; may be repeated
    #[arg(long, value_name = "REFERENCE")]
    pub evidence: Vec<String>,
    /// You saw it yourself, and do not only know of it from others
    #[arg(long)]
    pub independent: bool,
}

impl ContentFlags {
    /// Puts what was given onto `draft`; a list that was given replaces the one that is there.
    pub fn apply(&self, draft: &mut wire::IndicatorDraft) {
        let ContentFlags {
            verdict,
            confidence,
            severity,
            campaign,
            attribution,
            ttp,
            tag,
            country,
            language,
            event,
            first_seen,
            last_seen,
            note,
            evidence,
            independent,
        } = self;
        draft.independent |= independent;
        set(&mut draft.verdict, verdict);
        set(&mut draft.confidence, confidence);
        set(&mut draft.severity, severity);
        set(&mut draft.campaign, campaign);
        set(&mut draft.attribution, attribution);
        set(&mut draft.note, note);
        set_list(&mut draft.ttps, ttp);
        set_list(&mut draft.tags, tag);
        if !(country.is_empty() && language.is_empty() && event.is_empty()) {
            let targets = draft.targets.get_or_insert_default();
            set_list(&mut targets.countries, country);
            set_list(&mut targets.languages, language);
            set_list(&mut targets.events, event);
        }
        draft.first_seen = first_seen.or(draft.first_seen);
        draft.last_seen = last_seen.or(draft.last_seen);
        let reference = |text: &String| wire::Evidence {
            reference: text.clone(),
            ..Default::default()
        };
        set_list(&mut draft.evidence, &evidence.iter().map(reference).collect::<Vec<_>>());
    }
}

fn set<T: Clone>(field: &mut T, given: &Option<T>) {
    if let Some(value) = given {
        field.clone_from(value);
    }
}

fn set_list<T: Clone>(field: &mut Vec<T>, given: &[T]) {
    if !given.is_empty() {
        *field = given.to_vec();
    }
}

/// One of an audience.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recipient {
    /// A member by name or id.
    Member(String),
    /// A group by name or id.
    Group(String),
}

impl FromStr for Recipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Recipient, String> {
        match text.split_once(':') {
            Some(("member", name)) if !name.is_empty() => Ok(Recipient::Member(name.to_owned())),
            Some(("group", name)) if !name.is_empty() => Ok(Recipient::Group(name.to_owned())),
            _ => Err("must be member:NAME or group:NAME".to_owned()),
        }
    }
}

/// One that sees through an embargo: a member by name or id. Groups cannot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmbargoRecipient(pub String);

impl FromStr for EmbargoRecipient {
    type Err = String;

    fn from_str(text: &str) -> Result<EmbargoRecipient, String> {
        match text.parse() {
            Ok(Recipient::Member(name)) => Ok(EmbargoRecipient(name)),
            Ok(Recipient::Group(_)) => Err("an embargo opens to members one by one, not to groups".to_owned()),
            Err(_) => Err("must be member:NAME".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_say_whether_they_are_members_or_groups() {
        assert_eq!(
            "member:Agora: Social".parse(),
            Ok(Recipient::Member("Agora: Social".into()))
        );
        assert_eq!(
            "group:Election 2026".parse(),
            Ok(Recipient::Group("Election 2026".into()))
        );
        for text in ["Agora", "member:", "group:", "agent:x", ""] {
            assert!(text.parse::<Recipient>().is_err(), "{text:?}");
        }
        assert!("group:x".parse::<EmbargoRecipient>().is_err());
    }

    #[test]
    fn what_was_not_given_stays() {
        let mut draft = wire::IndicatorDraft {
            note: "kept".into(),
            tags: vec!["old".into()],
            confidence: 40,
            ..Default::default()
        };
        let flags = ContentFlags {
            tag: vec!["new".into()],
            country: vec!["DE".into()],
            ..Default::default()
        };
        flags.apply(&mut draft);
        assert_eq!((draft.note.as_str(), draft.confidence), ("kept", 40));
        assert_eq!(draft.tags, ["new"]);
        assert_eq!(draft.targets.unwrap().countries, ["DE"]);
    }

    #[test]
    fn handling_flags_replace_the_audience_as_a_whole() {
        let mut handling = wire::Handling {
            tlp: 2,
            group_ids: vec!["g".into()],
            government_release: true,
            ..Default::default()
        };
        HandlingFlags::default()
            .apply(&mut handling, &Directory::default())
            .unwrap();
        assert_eq!(handling.group_ids, ["g"]);
        let unknown = HandlingFlags {
            to: vec![Recipient::Member("nobody".into())],
            ..Default::default()
        };
        assert!(unknown.apply(&mut handling, &Directory::default()).is_err());
    }
}
