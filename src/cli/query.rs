//! `lookup`, `get`, `search`, `campaign`: reading what is known and visible.

use std::io::{BufRead, IsTerminal};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::filter;
use super::names::Directory;
use super::output::plain;
use super::words::{self, Number};
use super::{assess, json, revise};
use crate::grpc::wire;

/// Values of one request to the hub. Fewer than the wire's bound: the answer holds up to 100 matches of each, and so many of the longest
/// values are the 1 MiB that the wire takes.
const LOOKUP_VALUES_MAX: usize = 64;
/// Longest value that the wire takes, in bytes; a longer line of stdin is refused by its number.
const VALUE_BYTES_MAX: usize = 16_384;

/// Show what is known, visible to you, about raw values
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse lookup 'hxxps://bad[.]example[.]com/page' twitter.com/someone --json\n  \
cut -f1 report.tsv | clearinghouse lookup - --json\n  \
clearinghouse lookup --kind pdq --distance 20 0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
)]
pub struct Lookup {
    /// Values as you have them, defanged or not; `-` reads them from stdin, one a line
    #[arg(required = true, value_name = "VALUE")]
    values: Vec<String>,
    /// What all values are, where their text does not tell
    #[arg(long, value_parser = words::kind_parser())]
    kind: Option<Number>,
    /// How far from a PDQ or TLSH hash others are near it: at most 31 for pdq, 100 for tlsh; 0 finds the hash alone [default: 31
    /// for pdq, 30 for tlsh]
    #[arg(long, value_name = "N")]
    distance: Option<u32>,
}

/// What all values of a command have in common.
#[derive(Clone, Copy)]
struct Asked {
    kind: Number,
    distance_max: Option<u32>,
}

impl Lookup {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let directory = Directory::of_members(&connection).await?;
        let asked = Asked {
            kind: self.kind.unwrap_or_default(),
            distance_max: self.distance,
        };
        let mut batch = Vec::new();
        for value in self.values {
            match value.as_str() {
                "-" => {
                    // On a pipe the values go in batches; a person at a terminal gets each answer at once.
                    let batch_max = if std::io::stdin().is_terminal() {
                        1
                    } else {
                        LOOKUP_VALUES_MAX
                    };
                    for line in std::io::stdin().lock().lines() {
                        let line = line.map_err(|error| Failure::of("stdin", error))?;
                        batch.extend(Some(line).filter(|line| !line.trim().is_empty()));
                        if batch.len() >= batch_max {
                            look_up(context, &connection, &directory, asked, std::mem::take(&mut batch)).await?;
                        }
                    }
                }
                _ => batch.push(value),
            }
            if batch.len() >= LOOKUP_VALUES_MAX {
                look_up(context, &connection, &directory, asked, std::mem::take(&mut batch)).await?;
            }
        }
        look_up(context, &connection, &directory, asked, batch).await
    }
}

async fn look_up(
    context: &Context,
    connection: &Connection,
    directory: &Directory,
    asked: Asked,
    values: Vec<String>,
) -> Result<(), Failure> {
    if values.is_empty() {
        return Ok(());
    }
    if let Some(value) = values.iter().find(|value| value.len() > VALUE_BYTES_MAX) {
        let head: String = value.chars().take(40).collect();
        return Err(Failure::Failed(format!(
            "{:?}… is longer than {VALUE_BYTES_MAX} bytes",
            plain(&head)
        )));
    }
    let Asked { kind, distance_max } = asked;
    let request = wire::LookupRequest {
        values,
        kind,
        distance_max,
    };
    let response = connection.queries().lookup(call(request)).await;
    let response = response.map_err(|status| connection.failure(status))?.into_inner();
    for result in &response.results {
        match context.output.is_json() {
            true => context.output.object(&json::lookup_result(result, directory))?,
            false => print_result(context, result, directory)?,
        }
    }
    Ok(())
}

fn print_result(context: &Context, result: &wire::LookupResult, directory: &Directory) -> Result<(), Failure> {
    let Some(observable) = &result.observable else {
        return context
            .output
            .line(&format!("{}: {}", plain(&result.raw), plain(&result.reason)));
    };
    let kind = words::kind(observable.kind);
    let count = match (result.matches.len(), result.truncated) {
        (0, _) => "nothing known".to_owned(),
        (count, true) => format!("{count} matches and more"),
        (1, false) => "1 match".to_owned(),
        (count, false) => format!("{count} matches"),
    };
    context
        .output
        .line(&format!("{kind} {}: {count}", plain(&observable.value)))?;
    for one in &result.matches {
        let indicator = one.indicator.clone().unwrap_or_default();
        let mut relation = words::relation(one.relation).to_owned();
        if one.distance > 0 {
            relation.push_str(&format!(" {}", one.distance));
        }
        let line = format!("  {relation:<7} {}", summary(&indicator, directory));
        context.output.line(&line)?;
    }
    match &result.corroboration {
        Some(corroboration) if !result.matches.is_empty() => {
            let sources = words::corroboration(corroboration);
            context.output.line(&format!("  {sources}"))
        }
        _ => Ok(()),
    }
}

/// One line about an indicator, for a person.
pub fn summary(indicator: &wire::Indicator, directory: &Directory) -> String {
    let observable = indicator.observable.clone().unwrap_or_default();
    let mut line = format!(
        "{} {}  {} {}%  by {} ({})",
        words::kind(observable.kind),
        plain(&observable.value),
        words::verdict(indicator.verdict),
        indicator.confidence,
        plain(directory.member_name(&indicator.publisher_id)),
        words::member_kind(indicator.publisher_kind),
    );
    if !indicator.campaign.is_empty() {
        line.push_str(&format!("  campaign {:?}", plain(&indicator.campaign)));
    }
    if indicator.state != wire::IndicatorState::Active as i32 {
        line.push_str(&format!("  {}", words::state(indicator.state)));
    }
    for list in &indicator.warnings {
        line.push_str(&format!("  on the list {:?}", plain(list)));
    }
    line
}

/// Show one indicator, with what others hold of it
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  clearinghouse get 0198c3a1-7d2e-7c11-9a55-0d8f3f6b2a10 --json")]
pub struct Get {
    /// Id of the indicator
    id: String,
}

impl Get {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let directory = Directory::of_members(&connection).await?;
        let mut value = json::indicator(&revise::current(&connection, &self.id).await?, &directory);
        let assessed = assess::all(&connection, &self.id).await?;
        if let (Value::Object(value), Value::Object(assessed)) = (&mut value, assess::as_json(&assessed, &directory)) {
            value.extend(assessed);
        }
        // Pretty JSON keeps everything and escapes what is dangerous on a terminal.
        context.output.result(&value, || plain_lines(&format!("{value:#}")))
    }
}

/// JSON escapes C0 controls itself; what else is dangerous on a terminal is escaped here, line by line.
fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// List indicators that pass a filter, in the order of publication
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse search --filter 'kind:domain,url campaign:Doppelganger confidence>=50' --limit 20"
)]
pub struct Search {
    /// Which indicators: see `subscribe --help`
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Most indicators to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl Search {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let directory = Directory::of_members(&connection).await?;
        let filter = filter::read(self.filter.as_deref(), &directory)?;
        let mut pages = Pages::new(&connection, filter, self.limit);
        let mut indicators = Vec::new();
        while let Some(page) = pages.next().await? {
            indicators.extend(page);
        }
        if context.output.is_json() {
            let values: Vec<_> = indicators.iter().map(|one| json::indicator(one, &directory)).collect();
            return context
                .output
                .object(&json!({"indicators": values, "more": pages.more}));
        }
        for indicator in &indicators {
            context
                .output
                .line(&format!("{}  {}", indicator.id, summary(indicator, &directory)))?;
        }
        if pages.more {
            context
                .output
                .note(&format!("more than {} match: raise --limit", self.limit));
        }
        Ok(())
    }
}

/// Pages of a search, until there are no more or enough.
pub struct Pages<'a> {
    connection: &'a Connection,
    filter: wire::Filter,
    left: usize,
    token: Option<String>,
    /// Whether indicators were left out because enough were read.
    pub more: bool,
}

impl<'a> Pages<'a> {
    /// Pages of at most `limit` indicators in all.
    pub fn new(connection: &'a Connection, filter: wire::Filter, limit: usize) -> Pages<'a> {
        Pages {
            connection,
            filter,
            left: limit,
            token: Some(String::new()),
            more: false,
        }
    }

    /// The next page.
    pub async fn next(&mut self) -> Result<Option<Vec<wire::Indicator>>, Failure> {
        let Some(page_token) = self.token.take() else {
            return Ok(None);
        };
        if self.left == 0 {
            self.more = true;
            return Ok(None);
        }
        let request = wire::SearchIndicatorsRequest {
            filter: Some(self.filter.clone()),
            page_size: u32::try_from(self.left.min(1_000)).unwrap_or(1_000),
            page_token,
        };
        let response = self.connection.queries().search_indicators(call(request)).await;
        let response = response.map_err(|status| self.connection.failure(status))?.into_inner();
        self.left = self.left.saturating_sub(response.indicators.len());
        self.token = Some(response.next_page_token).filter(|token| !token.is_empty());
        Ok(Some(response.indicators))
    }
}

/// List campaigns, or show one
#[derive(Args, Debug)]
pub struct CampaignCommand {
    #[command(subcommand)]
    action: CampaignAction,
}

#[derive(Subcommand, Debug)]
enum CampaignAction {
    /// List the campaigns of which you see at least one indicator
    #[command(after_help = "Example:\n  clearinghouse campaign list --contains doppel")]
    List {
        /// Only names that hold this text
        #[arg(long, value_name = "TEXT", default_value = "")]
        contains: String,
    },
    /// Show one campaign
    #[command(after_help = "Example:\n  clearinghouse campaign show Doppelganger --json")]
    Show {
        /// Its exact name
        name: String,
    },
}

impl CampaignCommand {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let directory = Directory::of_members(&connection).await?;
        let (name_contains, exact) = match self.action {
            CampaignAction::List { contains } => (contains, None),
            CampaignAction::Show { name } => (name.clone(), Some(name)),
        };
        let response = connection
            .queries()
            .list_campaigns(call(wire::ListCampaignsRequest { name_contains }))
            .await;
        let campaigns = response
            .map_err(|status| connection.failure(status))?
            .into_inner()
            .campaigns;
        match exact {
            Some(name) => show(context, &campaigns, &name, &directory),
            None => list_campaigns(context, &campaigns, &directory),
        }
    }
}

fn show(
    context: &Context,
    campaigns: &[wire::CampaignSummary],
    name: &str,
    directory: &Directory,
) -> Result<(), Failure> {
    let Some(campaign) = campaigns.iter().find(|campaign| campaign.name == name) else {
        let near: Vec<String> = campaigns
            .iter()
            .take(3)
            .map(|campaign| format!("{:?}", plain(&campaign.name)))
            .collect();
        let hint = if near.is_empty() {
            String::new()
        } else {
            format!(": did you mean {}?", near.join(" or "))
        };
        return Err(Failure::Failed(format!(
            "no campaign {:?} that you can see{hint}",
            plain(name)
        )));
    };
    let value = json::campaign(campaign, directory);
    context.output.result(&value, || plain_lines(&format!("{value:#}")))
}

fn list_campaigns(
    context: &Context,
    campaigns: &[wire::CampaignSummary],
    directory: &Directory,
) -> Result<(), Failure> {
    if context.output.is_json() {
        let campaigns: Vec<_> = campaigns
            .iter()
            .map(|campaign| json::campaign(campaign, directory))
            .collect();
        return context.output.object(&json!({"campaigns": campaigns}));
    }
    let row = |campaign: &wire::CampaignSummary| {
        let publishers: Vec<&str> = campaign
            .publisher_ids
            .iter()
            .map(|id| directory.member_name(id))
            .collect();
        let seen = json::moment(&campaign.last_seen);
        vec![
            campaign.name.clone(),
            campaign.indicators.to_string(),
            publishers.join(", "),
            seen.as_str().unwrap_or_default().to_owned(),
        ]
    };
    let rows = campaigns.iter().map(row).collect();
    context.output.table(
        "campaigns that you can see",
        &["campaign", "indicators", "publishers", "last seen"],
        rows,
    )
}
