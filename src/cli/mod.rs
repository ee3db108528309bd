//! The command line. Online commands are clients of the hub's gRPC API and name none of its insides; offline ones (`init`,
//! `serve`, `verify`) go through `serve` and `log`. This file owns the list of commands, the global flags and the exit codes.

mod failure;
mod output;

mod time;
mod words;

mod explain;
mod profile;

mod connection;

mod names;

mod json;
mod outcome;
mod spreadsheet;

mod filter;
mod flags;

mod init;
mod serve;
mod verify;

mod agent;
mod change;
mod enroll;
mod enrolment_key;
mod group;
mod invite;
mod member;

mod assess;
mod disclosure;
mod erase;
mod import;
mod publish;
mod retract;
mod revise;

mod export;
mod query;
mod recall;
mod status;
mod subscribe;
mod subscription;

mod bench;
mod demo;

mod manual;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};

use connection::Context;
use failure::Failure;
use output::Output;

/// Exchange indicators of disinformation campaigns between platforms, researchers, media and governments
#[derive(Parser, Debug)]
#[command(
    name = "clearinghouse",
    version,
    max_term_width = 120,
    after_help = "Example:\n  clearinghouse demo\n\n\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done (some items were rejected)."
)]
struct Cli {
    /// Directory with the agent's key, certificate and hub address
    #[arg(
        long,
        global = true,
        env = "CLEARINGHOUSE_PROFILE",
        hide_env_values = true,
        value_name = "DIR",
        help_heading = "Global"
    )]
    profile: Option<PathBuf>,
    /// The hub's address, HOST:PORT, instead of the profile's
    #[arg(
        long,
        global = true,
        env = "CLEARINGHOUSE_HUB",
        hide_env_values = true,
        value_name = "ADDR",
        help_heading = "Global"
    )]
    hub: Option<String>,
    /// Print JSON: one object, or one a line for streams
    #[arg(long, global = true, help_heading = "Global")]
    json: bool,
    /// Log more to stderr; twice: much more
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Global")]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Serve(serve::Serve),
    Verify(verify::Verify),
    Member(member::MemberCommand),
    Change(change::ChangeCommand),
    Group(group::GroupCommand),
    Invite(invite::Invite),
    Enroll(enroll::Enroll),
    Renew(enroll::Renew),
    Rotate(enroll::Rotate),
    Agent(agent::AgentCommand),
    Publish(publish::Publish),
    Import(import::Import),
    Revise(revise::Revise),
    Retract(retract::Retract),
    Erase(erase::Erase),
    Assess(assess::Assess),
    Assessments(assess::Assessments),
    Disclosure(disclosure::DisclosureCommand),
    Subscribe(subscribe::Subscribe),
    Subscription(subscription::SubscriptionCommand),
    Recall(recall::RecallCommand),
    Lookup(query::Lookup),
    Get(query::Get),
    Search(query::Search),
    Campaign(query::CampaignCommand),
    Export(export::Export),
    Status(status::Status),
    Bench(bench::BenchCommand),
    Completions(manual::Completions),
    Man(manual::Man),
}

/// Runs the command line and says what is left to say. The exit codes are a contract: see [`Failure::exit_code`].
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no errors. A closed stdout is none either.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    log_to_stderr(cli.verbose + u8::from(matches!(cli.command, Command::Serve(_))));
    let context = Context {
        profile: cli.profile,
        hub: cli.hub,
        output: Output::new(cli.json),
    };
    match execute(cli.command, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                context.output.note(&format!("error: {message}"));
            }
            failure.exit_code()
        }
    }
}

/// Offline commands run here, the others in a runtime.
fn execute(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Demo(command) => online(command.run(context)),
        Command::Init(command) => command.run(context),
        Command::Serve(command) => command.run(context),
        Command::Verify(command) => command.run(context),
        Command::Member(command) => online(command.run(context)),
        Command::Change(command) => online(command.run(context)),
        Command::Group(command) => online(command.run(context)),
        Command::Invite(command) => online(command.run(context)),
        Command::Enroll(command) => online(command.run(context)),
        Command::Renew(command) => online(command.run(context)),
        Command::Rotate(command) => online(command.run(context)),
        Command::Agent(command) => online(command.run(context)),
        Command::Publish(command) => online(command.run(context)),
        Command::Import(command) => online(command.run(context)),
        Command::Revise(command) => online(command.run(context)),
        Command::Retract(command) => online(command.run(context)),
        Command::Erase(command) => online(command.run(context)),
        Command::Assess(command) => online(command.run(context)),
        Command::Assessments(command) => online(command.run(context)),
        Command::Disclosure(command) => online(command.run(context)),
        Command::Subscribe(command) => online(command.run(context)),
        Command::Subscription(command) => online(command.run(context)),
        Command::Recall(command) => online(command.run(context)),
        Command::Lookup(command) => online(command.run(context)),
        Command::Get(command) => online(command.run(context)),
        Command::Search(command) => online(command.run(context)),
        Command::Campaign(command) => online(command.run(context)),
        Command::Export(command) => online(command.run(context)),
        Command::Status(command) => online(command.run(context)),
        Command::Bench(command) => command.run(context),
        Command::Completions(command) => command.run(Cli::command()),
        Command::Man(command) => command.run(context, Cli::command()),
    }
}

fn online(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    // Two workers: a reader of stdout that dawdles blocks one, and the other keeps the connection alive.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::of("cannot start", error))?;
    let ended = runtime.block_on(command);
    // A read of stdin that blocks must not keep the program alive.
    runtime.shutdown_background();
    ended
}

/// `RUST_LOG` wins over `-v`. Logs never go to stdout.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info,clearinghouse=debug",
        _ => "debug,clearinghouse=trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    let built = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr)
        .try_init();
    // Already set where a test runs several commands in one process.
    drop(built);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_has_an_example() {
        Cli::command().debug_assert();
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let mut subcommands = command
                .get_subcommands()
                .filter(|one| one.get_name() != "help")
                .peekable();
            if subcommands.peek().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.starts_with("Example"), "{path} has no example");
                assert!(help.contains("clearinghouse"), "{path}: {help}");
            }
            subcommands.for_each(|one| check(one, &path));
        }
        check(&Cli::command(), "");
    }
}
