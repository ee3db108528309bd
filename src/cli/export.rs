//! `export`: what one may see and re-share, as a table. Indicators that others marked TLP:RED or TLP:AMBER+STRICT stay out: they
//! are not for a file that travels.

use std::io;

use clap::{Args, ValueEnum};

use super::connection::Context;
use super::failure::Failure;
use super::names::Directory;
use super::query::Pages;
use super::{filter, json, spreadsheet, words};
use crate::grpc::wire;

const COLUMNS: [&str; 16] = [
    "id",
    "kind",
    "value",
    "verdict",
    "confidence",
    "severity",
    "campaign",
    "attribution",
    "ttps",
    "tags",
    "first_seen",
    "last_seen",
    "publisher",
    "publisher_kind",
    "tlp",
    "note",
];

/// Write what you may see and re-share
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse export --format csv --filter 'campaign:Doppelganger' > doppelganger.csv\n\n\
Others' TLP:RED and TLP:AMBER+STRICT indicators are left out; how many is said on stderr."
)]
pub struct Export {
    /// The file's format
    #[arg(long)]
    format: Format,
    /// Which indicators: see `subscribe --help`
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// A table; cells that a spreadsheet would take for formulas begin with an apostrophe
    Csv,
}

impl Export {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let directory = Directory::of_members(&connection).await?;
        let filter = filter::read(self.filter.as_deref(), &directory)?;
        let mut pages = Pages::new(&connection, filter, usize::MAX);
        let (mut written, mut held_back) = (0_u64, 0_u64);
        match self.format {
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(io::stdout().lock());
                writer.write_record(COLUMNS).map_err(of_csv)?;
                while let Some(page) = pages.next().await? {
                    for indicator in &page {
                        match may_travel(indicator, &directory) {
                            true => writer.write_record(record(indicator, &directory)).map_err(of_csv)?,
                            false => held_back += 1,
                        }
                        written += 1;
                    }
                }
                writer.flush().map_err(Failure::of_stdout)?;
            }
        }
        let held = if held_back == 0 {
            String::new()
        } else {
            format!(", {held_back} held back by their TLP")
        };
        context
            .output
            .note(&format!("{} indicators{held}", written - held_back));
        Ok(())
    }
}

/// Retracted and expired ones of one's own are no longer anybody's indicators.
fn may_travel(indicator: &wire::Indicator, directory: &Directory) -> bool {
    let tlp = indicator.handling.as_ref().map_or(0, |handling| handling.tlp);
    let is_own = indicator.publisher_id == directory.own_member_id();
    let is_wide = tlp == wire::Tlp::Clear as i32 || tlp == wire::Tlp::Green as i32 || tlp == wire::Tlp::Amber as i32;
    indicator.state == wire::IndicatorState::Active as i32 && (is_wide || is_own && tlp != wire::Tlp::Red as i32)
}

fn record(indicator: &wire::Indicator, directory: &Directory) -> Vec<String> {
    let observable = indicator.observable.clone().unwrap_or_default();
    let moment = |moment| json::moment(moment).as_str().unwrap_or_default().to_owned();
    let cells = [
        indicator.id.clone(),
        words::kind(observable.kind).to_owned(),
        observable.value,
        words::verdict(indicator.verdict).to_owned(),
        indicator.confidence.to_string(),
        words::severity(indicator.severity).unwrap_or_default().to_owned(),
        indicator.campaign.clone(),
        indicator.attribution.clone(),
        indicator.ttps.join(" "),
        indicator.tags.join(" "),
        moment(&indicator.first_seen),
        moment(&indicator.last_seen),
        directory.member_name(&indicator.publisher_id).to_owned(),
        words::member_kind(indicator.publisher_kind).to_owned(),
        indicator
            .handling
            .as_ref()
            .map(|handling| words::tlp(handling.tlp))
            .unwrap_or_default()
            .to_owned(),
        indicator.note.clone(),
    ];
    cells
        .iter()
        .map(|cell| spreadsheet::harmless(cell).into_owned())
        .collect()
}

fn of_csv(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Failure::of_stdout(error),
        other => Failure::Failed(format!("cannot write the table: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_for_travel_stays_at_home() {
        let directory = Directory::default();
        let of = |tlp: wire::Tlp, publisher: &str, state: wire::IndicatorState| wire::Indicator {
            publisher_id: publisher.into(),
            handling: Some(wire::Handling {
                tlp: tlp as i32,
                ..Default::default()
            }),
            state: state as i32,
            ..Default::default()
        };
        // The default directory's own member has the empty id.
        let active = wire::IndicatorState::Active;
        for (tlp, other, own) in [
            (wire::Tlp::Clear, true, true),
            (wire::Tlp::Green, true, true),
            (wire::Tlp::Amber, true, true),
            (wire::Tlp::AmberStrict, false, true),
            (wire::Tlp::Red, false, false),
            (wire::Tlp::Unspecified, false, true),
        ] {
            assert_eq!(may_travel(&of(tlp, "other", active), &directory), other, "{tlp:?}");
            assert_eq!(may_travel(&of(tlp, "", active), &directory), own, "own {tlp:?}");
        }
        assert!(!may_travel(
            &of(wire::Tlp::Clear, "", wire::IndicatorState::Retracted),
            &directory
        ));
    }

    #[test]
    fn a_record_has_a_cell_for_each_column() {
        assert_eq!(
            record(&wire::Indicator::default(), &Directory::default()).len(),
            COLUMNS.len()
        );
    }
}
