//! How many descriptors this process has, and how many of them connections may take. Each connection takes one, and so does each open
//! file: a hub whose peers could take the last one could neither seal an epoch nor read what it sealed. So a reserve is kept from
//! them, and a peer that comes when the rest are taken waits to be accepted.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

use super::ServeError;

/// Descriptors that no connection of a member gets: some 20 for the log and the views, more while an epoch is sealed or bodies are read,
/// and those of the runtime, the listeners and the metrics.
const RESERVE: usize = 128;

/// A limit that leaves room for fewer connections, where more are asked for, was not meant for a hub.
const CONNECTIONS_MIN: usize = 16;

/// The configuration with no more connections than there is room for, of which a member may have the same part as before. The soft limit
/// is raised as far as that takes and the hard one allows.
pub(super) fn fit(config: Config) -> Result<Config, ServeError> {
    let asked = config.connections_max;
    let limit = raised(getrlimit(Resource::Nofile), asked.saturating_add(RESERVE));
    let room = limit.saturating_sub(RESERVE).min(asked);
    if room == asked {
        return Ok(config);
    }
    if room < CONNECTIONS_MIN {
        let needed = CONNECTIONS_MIN + RESERVE;
        return Err(ServeError::Descriptors { limit, needed });
    }
    let of_member = part_of(room, config.connections_per_member_max, asked);
    tracing::warn!(
        limit,
        "the limit of open files leaves room for {room} connections, {of_member} of one member; connections_max is {asked}"
    );
    Ok(Config {
        connections_max: room,
        connections_per_member_max: of_member,
        ..config
    })
}

/// The same part of `room` that `per_member` was of `all`, rounded up.
fn part_of(room: usize, per_member: usize, all: usize) -> usize {
    let part = (room as u128 * per_member as u128).div_ceil(all as u128);
    usize::try_from(part).unwrap_or(usize::MAX)
}

/// The limit in force, after it was raised to `wanted` where it could be.
fn raised(limit: Rlimit, wanted: usize) -> usize {
    // None: no limit.
    let [soft, hard] = [limit.current, limit.maximum].map(|limit| limit.map_or(usize::MAX, saturated));
    let asked = wanted.min(hard);
    if soft >= asked {
        return soft;
    }
    let raised = Rlimit {
        current: Some(asked as u64),
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => asked,
        Err(error) => {
            tracing::warn!(%error, soft, "the limit of open files could not be raised");
            soft
        }
    }
}

fn saturated(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
