//! The binary: runs the command line and maps the error to an exit code.

fn main() {}
