//! `revise`: new content or handling for one's own indicator. What is not named stays as it is.

use clap::{Args, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::flags::{ContentFlags, HandlingFlags};
use super::names::Directory;
use crate::grpc::wire;

/// Change the content or handling of an indicator of your own
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse revise 0198c3a1-… --confidence 95 --note \"confirmed by the registrar\"\n  \
clearinghouse revise 0198c3a1-… --tlp red --to member:\"Agora Social\" --clear government-release\n\n\
What is not named stays. Those who may no longer see the indicator are told to drop it."
)]
pub struct Revise {
    /// Id of the indicator
    id: String,
    /// Take a field back to \"not stated\"; may be repeated
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<Clearable>,
    /// Fail if the indicator is no longer at this revision
    #[arg(long, value_name = "REVISION")]
    expect: Option<u32>,
    /// Confirm that a large share of your indicators is meant to be taken back within a short time
    #[arg(long)]
    confirm_large: bool,
    #[command(flatten)]
    content: ContentFlags,
    #[command(flatten)]
    handling: HandlingFlags,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Clearable {
    Attribution,
    Audience,
    Campaign,
    Embargo,
    Evidence,
    Expires,
    FirstSeen,
    GovernmentRelease,
    LastSeen,
    Note,
    Severity,
    Tags,
    Targets,
    Ttps,
}

impl Revise {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let directory = match self.handling.names_anyone() {
            true => Directory::of_all(&connection).await?,
            false => Directory::default(),
        };
        let indicator = current(&connection, &self.id).await?;
        let expected_revision = self.expect.unwrap_or(indicator.revision);
        let id = indicator.id.clone();
        let mut draft = draft_of(indicator);
        self.clear.iter().for_each(|field| field.clear(&mut draft));
        self.content.apply(&mut draft);
        self.handling
            .apply(draft.handling.get_or_insert_default(), &directory)?;
        let request = wire::ReviseRequest {
            id,
            expected_revision,
            draft: Some(draft),
            request_id: Uuid::now_v7().to_string(),
            confirm_large: self.confirm_large,
        };
        let response = connection.publishing().revise(call(request)).await;
        let wire::ReviseResponse { id, revision } = response.map_err(|status| connection.failure(status))?.into_inner();
        context.output.result(&json!({"id": id, "revision": revision}), || {
            format!("revised {id}: revision {revision}")
        })
    }
}

/// The indicator as it stands.
pub async fn current(connection: &Connection, id: &str) -> Result<wire::Indicator, Failure> {
    let request = wire::GetIndicatorRequest { id: id.to_owned() };
    let response = connection.queries().get_indicator(call(request)).await;
    let indicator = response
        .map_err(|status| connection.failure(status))?
        .into_inner()
        .indicator;
    indicator.ok_or_else(|| Failure::Failed("the hub gave no indicator".to_owned()))
}

/// The draft that would make the indicator what it is.
fn draft_of(indicator: wire::Indicator) -> wire::IndicatorDraft {
    let mut handling = indicator.handling.unwrap_or_default();
    if indicator.state != wire::IndicatorState::Embargoed as i32 {
        // It is over, and the hub takes only embargoes that lie ahead.
        handling.embargo_until = None;
        handling.embargo_member_ids.clear();
    }
    wire::IndicatorDraft {
        // Empty: the value stays. Sent again, an annotated raw text might not be read as one value.
        raw: String::new(),
        kind: indicator
            .observable
            .map(|observable| observable.kind)
            .unwrap_or_default(),
        verdict: indicator.verdict,
        confidence: indicator.confidence,
        severity: indicator.severity,
        campaign: indicator.campaign,
        attribution: indicator.attribution,
        ttps: indicator.ttps,
        targets: indicator.targets,
        first_seen: indicator.first_seen,
        last_seen: indicator.last_seen,
        tags: indicator.tags,
        note: indicator.note,
        evidence: indicator.evidence,
        handling: Some(handling),
        hash_quality: indicator.hash_quality,
        independent: indicator.independent,
    }
}

impl Clearable {
    fn clear(self, draft: &mut wire::IndicatorDraft) {
        let handling = draft.handling.get_or_insert_default();
        match self {
            Clearable::Attribution => draft.attribution.clear(),
            Clearable::Audience => {
                handling.member_ids.clear();
                handling.group_ids.clear();
            }
            Clearable::Campaign => draft.campaign.clear(),
            Clearable::Embargo => {
                handling.embargo_until = None;
                handling.embargo_member_ids.clear();
            }
            Clearable::Evidence => draft.evidence.clear(),
            Clearable::Expires => handling.expires_at = None,
            Clearable::FirstSeen => draft.first_seen = None,
            Clearable::GovernmentRelease => handling.government_release = false,
            Clearable::LastSeen => draft.last_seen = None,
            Clearable::Note => draft.note.clear(),
            Clearable::Severity => draft.severity = 0,
            Clearable::Tags => draft.tags.clear(),
            Clearable::Targets => draft.targets = None,
            Clearable::Ttps => draft.ttps.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indicator(state: wire::IndicatorState) -> wire::Indicator {
        wire::Indicator {
            raw: "hxxp://a[.]example (seen on 3 May)".into(),
            note: "a note".into(),
            ttps: vec!["T0007".into()],
            handling: Some(wire::Handling {
                tlp: 3,
                group_ids: vec!["g".into()],
                government_release: true,
                embargo_until: Some(prost_types::Timestamp { seconds: 5, nanos: 0 }),
                embargo_member_ids: vec!["m".into()],
                ..Default::default()
            }),
            state: state as i32,
            ..Default::default()
        }
    }

    #[test]
    fn what_is_not_named_stays_and_an_embargo_that_ended_is_not_sent_again() {
        let draft = draft_of(indicator(wire::IndicatorState::Active));
        assert_eq!((draft.raw.as_str(), draft.note.as_str()), ("", "a note"));
        let handling = draft.handling.unwrap();
        assert!(
            handling.government_release && handling.embargo_until.is_none() && handling.embargo_member_ids.is_empty()
        );
        let draft = draft_of(indicator(wire::IndicatorState::Embargoed));
        assert!(draft.handling.unwrap().embargo_until.is_some());
    }

    #[test]
    fn every_clearable_field_is_cleared() {
        let mut draft = draft_of(indicator(wire::IndicatorState::Embargoed));
        Clearable::value_variants()
            .iter()
            .for_each(|field| field.clear(&mut draft));
        let tlp_alone = wire::Handling {
            tlp: 3,
            ..Default::default()
        };
        assert_eq!(
            draft,
            wire::IndicatorDraft {
                handling: Some(tlp_alone),
                ..Default::default()
            }
        );
    }
}
