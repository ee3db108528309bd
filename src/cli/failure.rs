//! How a command ends when it does not end well, and the exit code that scripts see. Refuses to print: `main` does.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::domain::violation::Violation;

/// Why a command did not do all that it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line cannot mean anything: exit code 2.
    Usage(String),
    /// The command failed: exit code 1.
    Failed(String),
    /// Some items were done and some rejected, and the output already says which: exit code 3.
    Partly,
    /// The output already says what failed: exit code 1 and not another word.
    Reported,
    /// The reader of stdout left. `clearinghouse … | head` is no failure: exit code 0.
    ReaderGone,
}

impl Failure {
    /// A failure to do `what`, because of `error`.
    pub fn of(what: impl fmt::Display, error: impl fmt::Display) -> Failure {
        Failure::Failed(format!("{what}: {error}"))
    }

    /// The exit code that scripts rely on.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::ReaderGone => ExitCode::SUCCESS,
            Failure::Failed(_) | Failure::Reported => ExitCode::from(1),
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Partly => ExitCode::from(3),
        }
    }

    /// What is still to be said on stderr.
    pub fn message(&self) -> Option<&str> {
        match self {
            Failure::Usage(message) | Failure::Failed(message) => Some(message),
            Failure::Partly | Failure::Reported | Failure::ReaderGone => None,
        }
    }

    /// A failure of writing to stdout.
    pub fn of_stdout(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::of("cannot write to stdout", error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message().unwrap_or("not everything was done"))
    }
}

impl std::error::Error for Failure {}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Failure {
        Failure::Failed(violation.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_no_failure_and_other_write_errors_are() {
        let gone = Failure::of_stdout(io::ErrorKind::BrokenPipe.into());
        assert!(matches!(gone, Failure::ReaderGone));
        let full = Failure::of_stdout(io::ErrorKind::StorageFull.into());
        assert!(matches!(full, Failure::Failed(_)));
    }
}
