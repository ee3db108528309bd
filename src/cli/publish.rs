//! `publish`: one indicator.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use uuid::Uuid;

use super::connection::{Context, call};
use super::failure::Failure;
use super::flags::{ContentFlags, HandlingFlags};
use super::names::Directory;
use super::outcome;
use super::output::plain;
use super::words::{self, Number};
use crate::domain::observable::Kind;
use crate::grpc::wire;
use crate::grpc::wire::publish_result::Outcome;

/// Publish one indicator
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse publish domain 'bad[.]example[.]com' --tlp green --campaign Doppelganger\n  \
clearinghouse publish auto 'hxxps://t[.]me/somechannel' --tlp amber --to group:\"Election 2026\" --confidence 80 --ttp T0007"
)]
pub struct Publish {
    /// What VALUE is; `auto` decides from its text
    #[arg(value_parser = kind_or_auto())]
    kind: Number,
    /// The value as you have it, defanged or not
    value: String,
    #[command(flatten)]
    content: ContentFlags,
    #[command(flatten)]
    handling: HandlingFlags,
}

impl Publish {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        self.handling.explain_default(context);
        let connection = context.connect().await?;
        let directory = match self.handling.names_anyone() {
            true => Directory::of_all(&connection).await?,
            false => Directory::default(),
        };
        let mut draft = wire::IndicatorDraft {
            raw: self.value,
            kind: self.kind,
            ..Default::default()
        };
        self.content.apply(&mut draft);
        self.handling
            .apply(draft.handling.get_or_insert_default(), &directory)?;
        // A fresh id each time: said twice by a person, it is meant twice, and the hub tells the repetition by its content.
        let item = wire::PublishItem {
            request_id: Uuid::now_v7().to_string(),
            draft: Some(draft),
        };
        let response = connection
            .publishing()
            .publish(call(wire::PublishRequest { items: vec![item] }))
            .await;
        let results = response
            .map_err(|status| connection.failure(status))?
            .into_inner()
            .results;
        let result = results.into_iter().next().unwrap_or_default();
        let outcome = outcome::of(result)?;
        match &outcome {
            Outcome::Rejected(rejected) => Err(Failure::Failed(outcome::rejection_text(rejected))),
            Outcome::Accepted(accepted) => {
                for list in &accepted.warnings {
                    let list = plain(list);
                    context.output.note(&format!(
                        "warning: it stands on the list {list:?}; is it a false positive?"
                    ));
                }
                context
                    .output
                    .result(&outcome::json(&outcome), || format!("published {}", accepted.id))
            }
            Outcome::Duplicate(duplicate) => context.output.result(&outcome::json(&outcome), || {
                format!("already published as {}", duplicate.id)
            }),
        }
    }
}

fn kind_or_auto() -> impl TypedValueParser<Value = Number> {
    let names = std::iter::once("auto").chain(Kind::ALL.iter().map(|kind| kind.name()));
    PossibleValuesParser::new(names.collect::<Vec<_>>()).map(|name| {
        Kind::ALL
            .iter()
            .find(|kind| kind.name() == name)
            .map_or(0, |kind| words::number(Kind::ALL, *kind))
    })
}
