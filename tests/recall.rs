//! Provable recall, on a hub in this process: who is listed as a holder of what was taken back, who is not, and when each counts as
//! having confirmed. What the wire and the command line add is tested over them.

mod hub_support;

#[path = "recall/confirmations.rs"]
mod confirmations;
#[path = "recall/guard.rs"]
mod guard;
#[path = "recall/holders.rs"]
mod holders;
#[path = "recall/restored.rs"]
mod restored;
#[path = "recall/stage.rs"]
mod stage;
