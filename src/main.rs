//! The binary: runs the command line and maps the error to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    clearinghouse::cli::run(std::env::args_os())
}
