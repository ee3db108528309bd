//! `assess` and `assessments`: reactions to the indicators of others.

use clap::Args;
use serde_json::{Value, json};

use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::names::Directory;
use super::words::{self, Number};
use super::{json, output};
use crate::grpc::wire;

/// React to somebody else's indicator
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse assess 0198c3a1-… --verdict confirms --independent --note \"seen on our platform since May\"\n  \
clearinghouse assess 0198c3a1-… --verdict checked --check-url https://check.example.org/1 --rating False --language en"
)]
pub struct Assess {
    /// The indicator
    id: String,
    /// What you hold of it: confirms, disputes, acted (you took measures), checked (you published a fact check)
    #[arg(long, value_parser = words::assessment_verdict_parser())]
    verdict: Number,
    /// You saw it yourself; otherwise you only know it from the hub, and are no second source
    #[arg(long)]
    independent: bool,
    /// A remark for those who read it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    /// Let government members that see the indicator see this assessment
    #[arg(long)]
    government_release: bool,
    /// Where the fact check is published (ClaimReview)
    #[arg(long, value_name = "URL", requires_all = ["rating", "language"])]
    check_url: Option<String>,
    /// The fact check's rating, in its own words
    #[arg(long, value_name = "TEXT", requires = "check_url")]
    rating: Option<String>,
    /// The fact check's language (BCP 47)
    #[arg(long, value_name = "CODE", requires = "check_url")]
    language: Option<String>,
    /// The claim that was checked
    #[arg(long, value_name = "TEXT", requires = "check_url")]
    claim: Option<String>,
}

impl Assess {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let claim_review = self.check_url.map(|url| wire::ClaimReview {
            url,
            rating: self.rating.unwrap_or_default(),
            language: self.language.unwrap_or_default(),
            claim: self.claim.unwrap_or_default(),
        });
        let request = wire::AssessRequest {
            indicator_id: self.id,
            verdict: self.verdict,
            independent: self.independent,
            note: self.note,
            claim_review,
            government_release: self.government_release,
        };
        let response = connection.assessments().assess(call(request)).await;
        let response = response.map_err(|status| connection.failure(status))?.into_inner();
        let assessment = response.assessment.unwrap_or_default();
        let directory = Directory::of_members(&connection).await?;
        context.output.result(&json::assessment(&assessment, &directory), || {
            format!(
                "{} {}",
                words::assessment_verdict(assessment.verdict),
                assessment.indicator_id
            )
        })
    }
}

/// List the assessments of an indicator, as far as you may see them
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  clearinghouse assessments 0198c3a1-…")]
pub struct Assessments {
    /// The indicator
    id: String,
}

impl Assessments {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let assessed = all(&connection, &self.id).await?;
        let directory = Directory::of_members(&connection).await?;
        if context.output.is_json() {
            return context.output.object(&as_json(&assessed, &directory));
        }
        let rows = assessed.assessments.iter().map(|one| row(one, &directory)).collect();
        context.output.table(
            "assessments",
            &["member", "verdict", "independent", "made", "note"],
            rows,
        )?;
        if assessed.truncated {
            context.output.line("there are more than are shown")?;
        }
        let corroboration = assessed.corroboration.unwrap_or_default();
        context.output.line(&words::corroboration(&corroboration))
    }
}

/// The assessments of an indicator, and what its sources amount to, as far as the caller may see them.
pub async fn all(connection: &Connection, indicator_id: &str) -> Result<wire::ListAssessmentsResponse, Failure> {
    let request = wire::ListAssessmentsRequest {
        indicator_id: indicator_id.to_owned(),
    };
    let response = connection.assessments().list_assessments(call(request)).await;
    response
        .map(tonic::Response::into_inner)
        .map_err(|status| connection.failure(status))
}

/// As JSON: `{"assessments", "corroboration", "truncated"}`.
pub fn as_json(assessed: &wire::ListAssessmentsResponse, directory: &Directory) -> Value {
    let wire::ListAssessmentsResponse {
        assessments,
        corroboration,
        truncated,
    } = assessed;
    let assessments: Vec<Value> = assessments.iter().map(|one| json::assessment(one, directory)).collect();
    let corroboration = json::corroboration(&corroboration.unwrap_or_default());
    json!({"assessments": assessments, "corroboration": corroboration, "truncated": truncated})
}

fn row(assessment: &wire::Assessment, directory: &Directory) -> Vec<String> {
    let review = assessment.claim_review.as_ref();
    let review = review
        .map(|review| format!("[{}] {} ", review.rating, review.url))
        .unwrap_or_default();
    vec![
        directory.member_name(&assessment.member_id).to_owned(),
        words::assessment_verdict(assessment.verdict).to_owned(),
        if assessment.independent { "yes" } else { "no" }.to_owned(),
        json::moment(&assessment.made_at)
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        output::plain(&format!("{review}{}", assessment.note)),
    ]
}
