//! Raw file and environment to a validated configuration.
