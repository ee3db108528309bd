//! `import`: reports in, indicators out. Owns the run from files to the summary; the room `import` reads the files, the hub
//! decides what is a duplicate. Every row ends in exactly one of accepted, duplicate, rejected and skipped.

mod files;
mod plan;
mod rejects;
mod sender;
mod summary;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::connection::Context;
use super::failure::Failure;
use super::flags::{ContentFlags, HandlingFlags};
use super::names::Directory;
use crate::grpc::wire;
use crate::import::{Fate, Format, Report};

use files::Source;
pub use plan::{Planned, Template};
use rejects::Rejects;
use sender::Sender;
use summary::Summary;

/// Publish the indicators of report files
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse import reports/ --tlp green --rejects rejects.csv\n  \
clearinghouse import event.json --format misp --tlp amber --to group:\"Election 2026\" --campaign Doppelganger\n  \
clearinghouse import report.csv --dry-run --json\n\n\
The formats are told by content. A row ends as accepted, duplicate, rejected (looks like an indicator and is none) or\n\
skipped (separators, prose). Exit code 3 if any was rejected. An import that was cut short is simply run again: what the\n\
hub already has comes back as duplicate."
)]
pub struct Import {
    /// Files, or directories whose files are read in order of their names; `-` reads stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The files' format, where content does not tell
    #[arg(long, value_parser = format_parser())]
    format: Option<Format>,
    /// Write the rejected rows to this CSV file, with the reasons
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Read and count, and publish nothing; needs no hub
    #[arg(long)]
    dry_run: bool,
    /// Publish wider than a file's own TLP marking: only if you are its originator
    #[arg(long)]
    wider_than_marked: bool,
    /// Give up when the hub has taken nothing for this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    patience: u64,
    #[command(flatten)]
    content: ContentFlags,
    #[command(flatten)]
    handling: HandlingFlags,
}

impl Import {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        if !self.dry_run {
            self.handling.explain_default(context);
        }
        let sources = files::collect(&self.files)?;
        let mut run = self.prepare(context).await?;
        let mut end = Ok(());
        for source in sources {
            end = self.import_file(&source, &mut run).await;
            if end.is_err() {
                break;
            }
        }
        let end = match end {
            Ok(()) => run.sender.finish(&mut run.tally).await,
            Err(failure) => Err(failure),
        };
        run.sender.drain(&mut run.tally).await;
        run.sender.clear_progress();
        if let Some(path) = &self.rejects {
            run.tally.rejects.write(path)?;
        }
        let summary = &run.tally.summary;
        if !context.output.is_json() {
            summary.explain(context);
        }
        context.output.result(&summary.to_json(), || summary.to_text())?;
        end.and_then(|()| summary.ending())
    }

    async fn prepare(&self, context: &Context) -> Result<Run, Failure> {
        let mut handling = wire::Handling::default();
        let sender = match self.dry_run {
            true => Sender::dry(),
            false => {
                let connection = context.connect().await?;
                let directory = match self.handling.names_anyone() {
                    true => Directory::of_all(&connection).await?,
                    false => Directory::default(),
                };
                self.handling.apply(&mut handling, &directory)?;
                Sender::new(connection, Duration::from_secs(self.patience))
            }
        };
        let mut draft = wire::IndicatorDraft {
            handling: Some(handling),
            ..Default::default()
        };
        self.content.apply(&mut draft);
        let tally = Tally {
            summary: Summary::default(),
            rejects: Rejects::new(self.rejects.is_some()),
        };
        Ok(Run {
            template: Template::new(draft),
            sender,
            tally,
        })
    }

    async fn import_file(&self, source: &Source, run: &mut Run) -> Result<(), Failure> {
        let read = tokio::task::block_in_place(|| source.read(self.format));
        let report = match read {
            Ok(Some(report)) => report,
            Ok(None) => {
                run.tally.summary.ignored.push(source.name());
                return Ok(());
            }
            Err(reason) => {
                run.tally.summary.unreadable.push((source.name(), reason));
                return Ok(());
            }
        };
        if let Some(reason) = self.marking_refusal(&report) {
            run.tally.summary.unreadable.push((source.name(), reason));
            return Ok(());
        }
        run.tally.summary.add_file();
        run.sender
            .announce(report.rows.iter().filter(|row| row.fate() == Fate::Accepted).count());
        let file = run.template.start_file(&source.name(), &report);
        for row in report.rows {
            run.tally.summary.add_row(row.class);
            match run.template.plan(&file, row) {
                Planned::Publish(planned) => run.sender.push(*planned, &mut run.tally).await?,
                Planned::Rejected(rejection) => run.tally.reject(rejection),
                Planned::Skipped => run.tally.summary.skipped += 1,
            }
        }
        Ok(())
    }

    /// A file that says `tlp:amber` was given in trust: publishing it wider needs the publisher's word.
    fn marking_refusal(&self, report: &Report) -> Option<String> {
        let chosen = Some(self.handling.tlp_number()).filter(|_| !self.wider_than_marked)?;
        let marked = report
            .markings
            .iter()
            .filter_map(|marking| plan::tlp_of_marking(marking))
            .max()?;
        (marked > chosen).then(|| {
            let name = super::words::tlp(marked);
            format!(
                "is marked TLP:{}, and this is wider; its originator can say --wider-than-marked",
                name.to_uppercase()
            )
        })
    }
}

/// One import under way.
struct Run {
    template: Template,
    sender: Sender,
    tally: Tally,
}

/// What has become of the rows so far.
pub struct Tally {
    summary: Summary,
    rejects: Rejects,
}

impl Tally {
    fn reject(&mut self, rejection: rejects::Rejection) {
        self.summary.rejected += 1;
        self.rejects.push(rejection);
    }
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    let names = Format::ALL.iter().map(|format| format.name()).chain(["stix"]);
    PossibleValuesParser::new(names.collect::<Vec<_>>())
        .try_map(|name| Format::from_name(&name).ok_or_else(|| format!("no format {name:?}")))
}
