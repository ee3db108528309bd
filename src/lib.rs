//! Clearinghouse: a mutually authenticated hub on which platforms, researchers, media and governments exchange
//! indicators of disinformation campaigns. This file is the map: the rooms, in reading order. Calls go down only;
//! `tests/tidy.rs` holds the table of permitted arrows.

pub mod domain;

pub mod import;

pub mod config;

pub mod log;

pub mod pki;

pub mod hub;

pub mod grpc;

pub mod serve;

pub mod cli;
