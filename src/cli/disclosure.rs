//! `disclosure report`: what crossed to governments, counted for everybody, and one by one for one's own.

use std::io;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::names::Directory;
use super::{json, spreadsheet};
use crate::grpc::wire;

/// Own crossings asked for at a time.
const PAGE_ITEMS: u32 = 1_000;

const COUNT_COLUMNS: [&str; 5] = ["agency", "publisher", "campaign", "month", "indicators"];
const OWN_COLUMNS: [&str; 4] = ["indicator_id", "agency", "campaign", "disclosed_at"];

/// What crossed to government members
#[derive(Args, Debug)]
pub struct DisclosureCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Report(Report),
}

/// Count every crossing of an indicator to a government member
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse disclosure report\n  clearinghouse disclosure report --own --format csv > ours.csv\n\n\
Counts are for every member: by agency, publisher and month, and for your own indicators by campaign.\n\
--own lists the crossings of your own indicators one by one."
)]
struct Report {
    /// Your own indicators, one by one
    #[arg(long)]
    own: bool,
    /// The report's format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// For reading
    Table,
    /// Comma-separated; cells that a spreadsheet would take for formulas begin with an apostrophe
    Csv,
    /// One object, as with --json
    Json,
}

impl DisclosureCommand {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let Action::Report(report) = self.action;
        let connection = context.connect().await?;
        let directory = Directory::of_members(&connection).await?;
        let (columns, rows) = match report.own {
            true => (OWN_COLUMNS.as_slice(), own_rows(&connection, &directory).await?),
            false => (COUNT_COLUMNS.as_slice(), count_rows(&connection, &directory).await?),
        };
        match report.format {
            Format::Table if !context.output.is_json() => context.output.table("crossings", columns, rows),
            Format::Csv => write_csv(columns, rows),
            Format::Table | Format::Json => context.output.object(&as_json(columns, rows)),
        }
    }
}

async fn count_rows(connection: &Connection, directory: &Directory) -> Result<Vec<Vec<String>>, Failure> {
    let mut counts = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::CountDisclosuresRequest {
            page_size: PAGE_ITEMS,
            page_token,
        };
        let response = connection.disclosures().count_disclosures(call(request)).await;
        let response = response.map_err(|status| connection.failure(status))?.into_inner();
        counts.extend(response.counts);
        page_token = response.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let row = |count: wire::DisclosureCount| {
        let wire::DisclosureCount {
            agency_id,
            publisher_id,
            campaign,
            month,
            indicators,
        } = count;
        let name = |id: &str| directory.member_name(id).to_owned();
        vec![
            name(&agency_id),
            name(&publisher_id),
            campaign,
            month,
            indicators.to_string(),
        ]
    };
    Ok(counts.into_iter().map(row).collect())
}

async fn own_rows(connection: &Connection, directory: &Directory) -> Result<Vec<Vec<String>>, Failure> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::ListDisclosuresRequest {
            page_size: PAGE_ITEMS,
            page_token,
        };
        let response = connection.disclosures().list_disclosures(call(request)).await;
        let response = response.map_err(|status| connection.failure(status))?.into_inner();
        for wire::Disclosure {
            indicator_id,
            agency_id,
            campaign,
            disclosed_at,
        } in response.disclosures
        {
            let at = json::moment(&disclosed_at).as_str().unwrap_or_default().to_owned();
            rows.push(vec![
                indicator_id,
                directory.member_name(&agency_id).to_owned(),
                campaign,
                at,
            ]);
        }
        page_token = response.next_page_token;
        if page_token.is_empty() {
            return Ok(rows);
        }
    }
}

fn write_csv(columns: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let failed = |error: csv::Error| Failure::of("stdout", error);
    let mut writer = csv::Writer::from_writer(io::stdout().lock());
    writer.write_record(columns).map_err(failed)?;
    for row in rows {
        let cells = row.iter().map(|cell| spreadsheet::harmless(cell).into_owned());
        writer.write_record(cells).map_err(failed)?;
    }
    writer.flush().map_err(|error| Failure::of("stdout", error))
}

fn as_json(columns: &[&str], rows: Vec<Vec<String>>) -> Value {
    let object = |row: Vec<String>| -> Value {
        let cells = columns.iter().zip(row).map(|(column, cell)| {
            let number = (*column == "indicators").then(|| cell.parse::<u64>().ok()).flatten();
            ((*column).to_owned(), number.map_or(json!(cell), |number| json!(number)))
        });
        Value::Object(cells.collect())
    };
    let total = rows.len();
    json!({"crossings": rows.into_iter().map(object).collect::<Vec<_>>(), "rows": total})
}
