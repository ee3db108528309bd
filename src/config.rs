//! Raw file and environment to a validated configuration. Precedence: command line, environment, `hub.toml`, default.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::violation::Violation;

/// The hub's configuration file within its directory.
pub const FILE: &str = "hub.toml";

/// Where a hub listens unless told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8443";

/// Lifetime of agents' certificates unless told otherwise: a week, so that renewal is routine.
pub const CERTIFICATE_LIFETIME_SECS_DEFAULT: u32 = 7 * 86_400;

/// Items that one member may publish a second unless told otherwise: more than a busy hub takes in, so that it is felt only where it
/// was set on purpose.
const PUBLISH_ITEMS_PER_SEC_DEFAULT: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();

/// Items that one member may publish at once after a rest, unless told otherwise.
const PUBLISH_BURST_ITEMS_DEFAULT: NonZeroU32 = NonZeroU32::new(2_000_000).unwrap();

/// Memory for the bodies of indicators unless told otherwise.
const BODY_CACHE_BYTES_DEFAULT: usize = 96 << 20;

/// A configuration that holds together.
#[derive(Clone, Debug)]
pub struct Config {
    /// The hub's directory.
    pub dir: PathBuf,
    /// Where members connect. Port 0: a free one.
    pub listen: SocketAddr,
    /// Where metrics and health are served over plain HTTP; loopback only. None: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Names and addresses in the server's certificate.
    pub hosts: Vec<String>,
    /// Lifetime of agents' certificates, in seconds: an hour to 90 days.
    pub certificate_lifetime_secs: u32,
    /// Most connections at once.
    pub connections_max: usize,
    /// Most connections of one member at once.
    pub connections_per_member_max: usize,
    /// Threads that serve requests.
    pub worker_threads: usize,
    /// When a holder is overdue to confirm that it removed what was taken back, in seconds.
    pub recall_confirm_secs: u32,
    /// Taking back more than this share of what a member shares, 0 to 1, needs a second confirmation.
    pub large_retraction_share: f64,
    /// So many indicators may always be taken back without one.
    pub large_retraction_floor: u32,
    /// What is taken back within so many seconds counts as one.
    pub large_retraction_window_secs: u32,
    /// How long an orderly stop waits for requests to end, in seconds.
    pub drain_secs: u64,
    /// A folder of warning lists in MISP's format. None: no warnings.
    pub warning_lists: Option<PathBuf>,
    /// Whether a publication that hits a warning list is refused instead of flagged.
    pub warning_lists_strict: bool,
    /// What the hub makes from the log.
    pub views: Views,
    /// What one member may take of the hub.
    pub limits: Limits,
    /// How long what is over is kept.
    pub retention: Retention,
}

/// How long what is over is kept before it is erased, in days; 0: for ever. The table `[retention]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// A revision, after a newer one took its place.
    pub superseded_days: u16,
    /// An indicator, after it was retracted.
    pub retracted_days: u16,
    /// An indicator, after it expired.
    pub expired_days: u16,
}

/// What the hub makes from the log: the table `[views]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Views {
    /// Memory for the bodies of indicators, in bytes: what is asked for often is kept there.
    pub body_cache_bytes: usize,
}

/// What one member may take of the hub: the table `[limits]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Items published a second, in the long run.
    pub publish_items_per_sec_per_member: NonZeroU32,
    /// Items that may be published at once after a rest; not below what one request may hold.
    pub publish_burst_items_per_member: NonZeroU32,
    /// Requests being answered at once.
    pub requests_in_flight_per_member_max: usize,
    /// Feeds open at once.
    pub feeds_per_member_max: usize,
    /// Indicators ever published.
    pub indicators_per_member_max: u64,
    /// Bytes of all revisions of its indicators, before compression.
    pub bytes_per_member_max: u64,
}

/// What the command line overrides.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<String>,
}

/// The file as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    listen: Option<String>,
    metrics_listen: Option<String>,
    hosts: Option<Vec<String>>,
    certificate_lifetime_secs: Option<u32>,
    connections_max: Option<usize>,
    connections_per_member_max: Option<usize>,
    worker_threads: Option<usize>,
    recall_confirm_secs: Option<u32>,
    large_retraction_share: Option<f64>,
    large_retraction_floor: Option<u32>,
    large_retraction_window_secs: Option<u32>,
    drain_secs: Option<u64>,
    warning_lists: Option<PathBuf>,
    warning_lists_strict: Option<bool>,
    views: RawViews,
    limits: RawLimits,
    retention: RawRetention,
}

/// The table `[retention]` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawRetention {
    superseded_days: u16,
    retracted_days: u16,
    expired_days: u16,
}

/// The table `[views]` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawViews {
    body_cache_bytes: Option<usize>,
}

/// The table `[limits]` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    publish_items_per_sec_per_member: Option<NonZeroU32>,
    publish_burst_items_per_member: Option<NonZeroU32>,
    requests_in_flight_per_member_max: Option<usize>,
    feeds_per_member_max: Option<usize>,
    indicators_per_member_max: Option<u64>,
    bytes_per_member_max: Option<u64>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The directory holds no hub.
    #[error("{} holds no hub: create one with `clearinghouse init --dir {}`", .0.display(), .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key that is not known.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its range.
    #[error("{0}")]
    Value(#[from] Violation),
}

impl Config {
    /// Reads `DIR/hub.toml` and the variables `CLEARINGHOUSE_LISTEN` and `CLEARINGHOUSE_METRICS_LISTEN`.
    pub fn load(dir: &Path, overrides: Overrides) -> Result<Config, ConfigError> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ConfigError::Missing(dir.to_owned()));
            }
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let mut raw: RawConfig = toml::from_str(&text).map_err(|source| ConfigError::Syntax {
            path,
            source: Box::new(source),
        })?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        raw.listen = overrides.listen.or(variable("CLEARINGHOUSE_LISTEN")).or(raw.listen);
        raw.metrics_listen = variable("CLEARINGHOUSE_METRICS_LISTEN").or(raw.metrics_listen);
        Ok(validate(dir, raw)?)
    }
}

fn validate(dir: &Path, raw: RawConfig) -> Result<Config, Violation> {
    let RawConfig {
        listen,
        metrics_listen,
        hosts,
        certificate_lifetime_secs,
        connections_max,
        connections_per_member_max,
        worker_threads,
        recall_confirm_secs,
        large_retraction_share,
        large_retraction_floor,
        large_retraction_window_secs,
        drain_secs,
        warning_lists,
        warning_lists_strict,
        views,
        limits,
        retention,
    } = raw;
    let hosts = hosts.unwrap_or_else(|| vec!["localhost".into(), "127.0.0.1".into(), "::1".into()]);
    if hosts.is_empty() {
        return Err(Violation::new("hosts", "must name at least one host"));
    }
    Ok(Config {
        dir: dir.to_owned(),
        listen: address("listen", listen.as_deref().unwrap_or(LISTEN_DEFAULT))?,
        metrics_listen: metrics_listen.map(|text| loopback(&text)).transpose()?,
        hosts,
        certificate_lifetime_secs: within(
            "certificate_lifetime_secs",
            certificate_lifetime_secs.unwrap_or(CERTIFICATE_LIFETIME_SECS_DEFAULT),
            3_600..=90 * 86_400,
        )?,
        connections_max: within("connections_max", connections_max.unwrap_or(16_384), 1..=1_000_000)?,
        connections_per_member_max: within(
            "connections_per_member_max",
            connections_per_member_max.unwrap_or(4_096),
            1..=1_000_000,
        )?,
        worker_threads: within("worker_threads", worker_threads.unwrap_or_else(cores), 1..=1_024)?,
        recall_confirm_secs: within(
            "recall_confirm_secs",
            recall_confirm_secs.unwrap_or(86_400),
            1..=366 * 86_400,
        )?,
        large_retraction_share: within(
            "large_retraction_share",
            large_retraction_share.unwrap_or(0.2),
            0.0..=1.0,
        )?,
        large_retraction_floor: within(
            "large_retraction_floor",
            large_retraction_floor.unwrap_or(20),
            0..=1_000_000,
        )?,
        large_retraction_window_secs: within(
            "large_retraction_window_secs",
            large_retraction_window_secs.unwrap_or(3_600),
            1..=366 * 86_400,
        )?,
        drain_secs: within("drain_secs", drain_secs.unwrap_or(10), 0..=3_600)?,
        warning_lists: warning_lists.map(|path| dir.join(path)),
        warning_lists_strict: warning_lists_strict.unwrap_or(false),
        views: self::views(&views)?,
        limits: self::limits(limits)?,
        retention: self::retention(&retention)?,
    })
}

fn loopback(text: &str) -> Result<SocketAddr, Violation> {
    let address = address("metrics_listen", text)?;
    if !address.ip().is_loopback() {
        let reason = "must be a loopback address: metrics and health are served without authentication";
        return Err(Violation::new("metrics_listen", reason));
    }
    Ok(address)
}

fn views(raw: &RawViews) -> Result<Views, Violation> {
    let RawViews { body_cache_bytes } = raw;
    Ok(Views {
        body_cache_bytes: within(
            "views.body_cache_bytes",
            body_cache_bytes.unwrap_or(BODY_CACHE_BYTES_DEFAULT),
            0..=1 << 40,
        )?,
    })
}

fn retention(raw: &RawRetention) -> Result<Retention, Violation> {
    let RawRetention {
        superseded_days,
        retracted_days,
        expired_days,
    } = *raw;
    Ok(Retention {
        superseded_days: within("retention.superseded_days", superseded_days, 0..=36_600)?,
        retracted_days: within("retention.retracted_days", retracted_days, 0..=36_600)?,
        expired_days: within("retention.expired_days", expired_days, 0..=36_600)?,
    })
}

fn limits(raw: RawLimits) -> Result<Limits, Violation> {
    let RawLimits {
        publish_items_per_sec_per_member,
        publish_burst_items_per_member,
        requests_in_flight_per_member_max,
        feeds_per_member_max,
        indicators_per_member_max,
        bytes_per_member_max,
    } = raw;
    // Neither is zero, and the compiler checks it.
    const RATE: std::ops::RangeInclusive<NonZeroU32> = NonZeroU32::MIN..=NonZeroU32::new(10_000_000).unwrap();
    // The lowest burst is what one request may hold: a lower one would refuse full requests for ever.
    // It is not zero, and the compiler checks it.
    const BURST: std::ops::RangeInclusive<NonZeroU32> = NonZeroU32::new(1_000).unwrap()..=*RATE.end();
    Ok(Limits {
        publish_items_per_sec_per_member: within(
            "limits.publish_items_per_sec_per_member",
            publish_items_per_sec_per_member.unwrap_or(PUBLISH_ITEMS_PER_SEC_DEFAULT),
            RATE,
        )?,
        publish_burst_items_per_member: within(
            "limits.publish_burst_items_per_member",
            publish_burst_items_per_member.unwrap_or(PUBLISH_BURST_ITEMS_DEFAULT),
            BURST,
        )?,
        requests_in_flight_per_member_max: within(
            "limits.requests_in_flight_per_member_max",
            requests_in_flight_per_member_max.unwrap_or(8_192),
            1..=1_000_000,
        )?,
        feeds_per_member_max: within(
            "limits.feeds_per_member_max",
            feeds_per_member_max.unwrap_or(8_192),
            1..=1_000_000,
        )?,
        indicators_per_member_max: within(
            "limits.indicators_per_member_max",
            indicators_per_member_max.unwrap_or(50_000_000),
            1..=u64::MAX,
        )?,
        bytes_per_member_max: within(
            "limits.bytes_per_member_max",
            bytes_per_member_max.unwrap_or(64 << 30),
            1_024..=u64::MAX,
        )?,
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(1_024)
}

fn address(field: &str, text: &str) -> Result<SocketAddr, Violation> {
    text.parse()
        .map_err(|_| Violation::new(field, format!("{text:?} is not an address such as {LISTEN_DEFAULT}")))
}

fn within<T: PartialOrd + std::fmt::Display + Copy>(
    field: &str,
    value: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, Violation> {
    match range.contains(&value) {
        true => Ok(value),
        false => {
            let reason = format!("is {value}, must be {} to {}", range.start(), range.end());
            Err(Violation::new(field, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        Config::load(dir.path(), Overrides::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn empty_file_gives_the_defaults() {
        let config = load("").unwrap();
        assert_eq!(config.listen.to_string(), LISTEN_DEFAULT);
        assert_eq!(config.metrics_listen, None);
        assert_eq!(config.certificate_lifetime_secs, CERTIFICATE_LIFETIME_SECS_DEFAULT);
    }

    #[test]
    fn each_wrong_value_is_named() {
        for (text, expected) in [
            ("listen = 'nowhere'", "listen: \"nowhere\" is not an address"),
            (
                "metrics_listen = '0.0.0.0:9090'",
                "metrics_listen: must be a loopback address",
            ),
            (
                "certificate_lifetime_secs = 3599",
                "certificate_lifetime_secs: is 3599, must be 3600 to 7776000",
            ),
            ("connections_max = 0", "connections_max: is 0, must be 1 to 1000000"),
            (
                "recall_confirm_secs = 0",
                "recall_confirm_secs: is 0, must be 1 to 31622400",
            ),
            (
                "large_retraction_share = 1.5",
                "large_retraction_share: is 1.5, must be 0 to 1",
            ),
            (
                "large_retraction_share = nan",
                "large_retraction_share: is NaN, must be 0 to 1",
            ),
            (
                "large_retraction_window_secs = 0",
                "large_retraction_window_secs: is 0, must be 1 to 31622400",
            ),
            (
                "[limits]\npublish_burst_items_per_member = 999",
                "limits.publish_burst_items_per_member: is 999, must be 1000 to 10000000",
            ),
            (
                "[limits]\nfeeds_per_member_max = 0",
                "limits.feeds_per_member_max: is 0, must be 1 to 1000000",
            ),
            (
                "[views]\nbody_cache_bytes = 1099511627777",
                "views.body_cache_bytes: is 1099511627777, must be 0 to 1099511627776",
            ),
            ("[limits]\nfeeds = 1", "unknown field `feeds`"),
            ("hosts = []", "hosts: must name at least one host"),
            ("listne = 'x'", "unknown field `listne`"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(load("certificate_lifetime_secs = 3600").is_ok());
    }

    #[test]
    fn missing_hub_says_how_to_create_one() {
        let dir = tempfile::tempdir().unwrap();
        let error = Config::load(dir.path(), Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("clearinghouse init --dir"), "{error}");
    }
}
