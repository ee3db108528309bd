//! The log.

pub mod entry;
