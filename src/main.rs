//! The binary: runs the command line and maps the error to an exit code.

use std::process::ExitCode;

/// A publication is some thirty small allocations: with the system's allocator they are a third of its cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    clearinghouse::cli::run(std::env::args_os())
}
