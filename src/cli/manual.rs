//! `completions` and `man`: generated from the command line itself, so they cannot fall behind it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::connection::Context;
use super::failure::Failure;

/// Print a shell's completion script
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse completions bash > ~/.local/share/bash-completion/completions/clearinghouse"
)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    /// Runs it.
    pub fn run(self, mut command: clap::Command) -> Result<(), Failure> {
        // Into memory first: the generator panics on a write error, and a reader that leaves is none.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "clearinghouse", &mut script);
        write_out(&script)
    }
}

/// Print the manual page, or write one for each command
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse man | man -l -\n  clearinghouse man --dir /usr/local/share/man/man1"
)]
pub struct Man {
    /// Write a page for each command into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Runs it.
    pub fn run(self, context: &Context, command: clap::Command) -> Result<(), Failure> {
        match self.dir {
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command)
                    .render(&mut page)
                    .map_err(Failure::of_stdout)?;
                write_out(&page)
            }
            Some(dir) => {
                let failed = |error| Failure::of(dir.display(), error);
                fs::create_dir_all(&dir).map_err(failed)?;
                clap_mangen::generate_to(command, &dir).map_err(failed)?;
                context.output.note(&format!("wrote the pages to {}", dir.display()));
                Ok(())
            }
        }
    }
}

fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(Failure::of_stdout)
}
