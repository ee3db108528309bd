//! The pure core: what indicators, members and handling are, and who may see what. No IO, no clock, no randomness, no async, no
//! wire formats: time and chance enter as arguments.

pub mod agent;
pub mod id;
pub mod sha256;
pub mod violation;

pub mod observable;
pub mod similarity;

pub mod assessment;
pub mod handling;
pub mod indicator;
pub mod member;
pub mod subscription;

pub mod policy;

pub mod warning;

pub mod filter;
