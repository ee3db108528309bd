//! Wires the rooms: listeners, clock, shutdown. The only place that knows them all.

mod descriptors;
mod dir;
mod first_bytes;
mod init;
mod listener;
mod metrics_listener;
mod records;
mod warning_lists;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::id::Timestamp;
use crate::hub::erase::Retention;
use crate::hub::recall::RecallRules;
use crate::hub::{Hub, HubOptions};
use crate::log::bodies::BodiesOptions;
use crate::log::{Durability, Log, Options};
use crate::pki::{Authority, AuthorityError, ConnectionLimits, ConnectionRegistry, TlsError};

pub use dir::HubDir;
pub use init::{InitError, InitRequest, Initialised, init};

/// How often time passes in the hub.
const TICK: Duration = Duration::from_millis(200);

/// How often what is due is erased.
const ERASE_EVERY: Duration = Duration::from_secs(3_600);

/// The least time between two rounds of that.
const ERASE_REST: Duration = Duration::from_secs(10);

/// How often the server's certificate is looked at, and replaced where its end is near.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(86_400);

/// Why the hub did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A file of the hub is missing or cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The authority's files are wrong.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The log cannot be opened; another hub may have it.
    #[error(transparent)]
    Log(#[from] crate::log::OpenError),
    /// The log cannot be folded.
    #[error(transparent)]
    Fold(#[from] crate::hub::OpenError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The process may have too few files open.
    #[error(
        "the limit of open files is {limit}, and a hub needs {needed} at least: see `ulimit -n`, or LimitNOFILE in its unit"
    )]
    Descriptors {
        /// The limit in force.
        limit: usize,
        /// The least that a hub can do with.
        needed: usize,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// A hub that is open but not yet listening.
pub struct Opened {
    config: Config,
    hub: Hub,
    sequencer: std::thread::JoinHandle<()>,
    dir: HubDir,
    authority: Authority,
    connections: ConnectionRegistry,
}

/// The present time.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Opens the hub in the configured directory and runs it until `stop` resolves. `on_ready` is told the address once connections
/// are accepted; `reload` is awaited again and again, and each time it resolves the certificates are read anew.
pub async fn run(
    config: Config,
    on_ready: impl FnOnce(SocketAddr),
    reload: impl FnMut() -> ReloadSignal,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    run_with(config, Options::default(), on_ready, reload, stop).await
}

/// Resolves when certificates are to be read anew.
pub type ReloadSignal = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// As [`run`], with a log of other limits; for tests.
#[doc(hidden)]
pub async fn run_with(
    config: Config,
    log_options: Options,
    on_ready: impl FnOnce(SocketAddr),
    mut reload: impl FnMut() -> ReloadSignal,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let config = descriptors::fit(config)?;
    let opened = tokio::task::block_in_place(|| open(config, log_options))?;
    let Opened {
        config,
        hub,
        sequencer,
        dir,
        authority,
        connections,
    } = opened;
    let address = config.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;
    let bound = listener
        .local_addr()
        .map_err(|source| ServeError::Listen { address, source })?;
    let (server_config, ends) = dir.server_tls(&authority, &config.hosts, now())?;
    hub.set_server_certificate_ends(ends);
    let tls = Arc::new(ArcSwap::new(server_config));
    let stopping = CancellationToken::new();
    let metrics = metrics_listener::start(&config, hub.clone(), connections.clone(), stopping.clone()).await?;
    let door = listener::Door {
        calls: crate::grpc::Door::new(&hub),
        hub: hub.clone(),
        tls: tls.clone(),
        trust_domain: authority.trust_domain().clone(),
        connections: connections.clone(),
        stopping: stopping.clone(),
    };
    let accepting = tokio::spawn(listener::accept(listener, door, config.connections_max));
    let ticking = tokio::spawn(tick(hub.clone(), connections, stopping.clone()));
    let erasing = tokio::spawn(erase(hub.clone(), stopping.clone()));
    dir.tell_admin(bound);
    on_ready(bound);

    until_stopped(stop, &mut reload, || {
        let (fresh, ends) = dir.server_tls(&authority, &config.hosts, now())?;
        tls.store(fresh);
        hub.set_server_certificate_ends(ends);
        hub.set_warning_lists(warning_lists::load(config.warning_lists.as_deref()));
        Ok(())
    })
    .await;
    tracing::info!("stopping: no new connections, open requests may end");
    stopping.cancel();
    hub.end_feeds();
    let drained = tokio::time::timeout(Duration::from_secs(config.drain_secs), async {
        let _ = accepting.await;
    });
    if drained.await.is_err() {
        tracing::warn!("some connections did not end in time and are dropped");
    }
    // What they have begun in the log is in order at any point.
    for task in [ticking, erasing] {
        task.abort();
        let _ = task.await;
    }
    if let Some(metrics) = metrics {
        metrics.abort();
        let _ = metrics.await;
    }
    close(hub, sequencer).await;
    Ok(())
}

/// Waits for the stop; meanwhile reads certificates when asked, and daily, for the server's own must be replaced in time.
async fn until_stopped(
    stop: impl Future<Output = ()>,
    reload: &mut impl FnMut() -> ReloadSignal,
    mut read_certificates: impl FnMut() -> Result<(), ServeError>,
) {
    tokio::pin!(stop);
    let mut daily = tokio::time::interval(CERTIFICATE_CHECK);
    daily.tick().await;
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = reload() => {}
            _ = daily.tick() => {}
        }
        match read_certificates() {
            Ok(()) => tracing::info!("certificates were read anew"),
            Err(error) => tracing::error!(%error, "certificates were not read anew; the old ones stay"),
        }
    }
}

/// Drops the last handle that this function knows of, and waits for the log to close.
async fn close(hub: Hub, sequencer: std::thread::JoinHandle<()>) {
    hub.close();
    drop(hub);
    let joined = tokio::task::spawn_blocking(move || sequencer.join()).await;
    if !matches!(joined, Ok(Ok(()))) {
        tracing::error!("the sequencer did not end in order; the next start will check the log");
    }
}

fn open(config: Config, log_options: Options) -> Result<Opened, ServeError> {
    let dir = HubDir::new(&config.dir);
    // The lock on the log comes first: a second hub on one directory must touch nothing else.
    let log = Log::open(&dir.log(), log_options.clone())?;
    let authority = Authority::open(&dir.ca())?;
    let limits = ConnectionLimits {
        total_max: config.connections_max,
        per_member_max: config.connections_per_member_max,
        ..ConnectionLimits::DEFAULT
    };
    let connections = ConnectionRegistry::new(limits);
    let options = HubOptions {
        authority: Authority::open(&dir.ca())?,
        connections: connections.clone(),
        cursor_key: dir.cursor_key()?,
        clock: now,
        certificate_lifetime_secs: config.certificate_lifetime_secs,
        warning_lists: warning_lists::load(config.warning_lists.as_deref()),
        warning_lists_strict: config.warning_lists_strict,
        recall: RecallRules {
            confirm_secs: config.recall_confirm_secs,
            large_share: config.large_retraction_share,
            large_floor: config.large_retraction_floor,
            large_window_secs: config.large_retraction_window_secs,
        },
        limits: quotas(&config.limits),
        retention: retention(&config.retention),
        log_dir: dir.log(),
        reopen: reopener(dir.log(), log_options),
        views_dir: dir.views(),
        views_durability: Durability::Full,
        bodies: BodiesOptions {
            cache_bytes: config.views.body_cache_bytes,
        },
    };
    let (hub, sequencer) = Hub::open(log, options)?;
    Ok(Opened {
        config,
        hub,
        sequencer,
        dir,
        authority,
        connections,
    })
}

fn quotas(limits: &crate::config::Limits) -> crate::hub::quota::Limits {
    let crate::config::Limits {
        publish_items_per_sec_per_member,
        publish_burst_items_per_member,
        requests_in_flight_per_member_max,
        feeds_per_member_max,
        indicators_per_member_max,
        bytes_per_member_max,
    } = *limits;
    crate::hub::quota::Limits {
        publish_items_per_sec: publish_items_per_sec_per_member,
        publish_burst_items: publish_burst_items_per_member,
        requests_in_flight_max: requests_in_flight_per_member_max,
        feeds_max: feeds_per_member_max,
        indicators_max: indicators_per_member_max,
        bytes_max: bytes_per_member_max,
    }
}

fn retention(rules: &crate::config::Retention) -> Retention {
    let crate::config::Retention {
        superseded_days,
        retracted_days,
        expired_days,
    } = *rules;
    let secs = |days: u16| (days > 0).then_some(u32::from(days) * 86_400);
    Retention {
        superseded_secs: secs(superseded_days),
        retracted_secs: secs(retracted_days),
        expired_secs: secs(expired_days),
    }
}

fn reopener(path: PathBuf, options: Options) -> Box<dyn FnMut() -> Result<Log, crate::log::OpenError> + Send> {
    Box::new(move || Log::open(&path, options.clone()))
}

async fn tick(hub: Hub, connections: ConnectionRegistry, stopping: CancellationToken) {
    let mut every = tokio::time::interval(TICK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = every.tick() => {}
        }
        connections.cancel_expired(now());
        if let Err(error) = hub.tick().await {
            tracing::warn!(%error, "time could not be written to the log");
        }
    }
}

/// Erases what is due, from time to time and when it is ordered.
async fn erase(hub: Hub, stopping: CancellationToken) {
    let mut every = tokio::time::interval(ERASE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = every.tick() => {}
            () = hub.erasure_ordered() => {}
        }
        if let Err(error) = hub.erase_due(tokio::time::sleep).await {
            tracing::warn!(%error, "not all that is due was erased; it is tried again");
        }
        // Each order may begin an epoch of the log: those that come now are followed together.
        tokio::time::sleep(ERASE_REST).await;
    }
}

/// What an offline check found whole.
pub struct Verified {
    /// Bytes of all entries, or of what is left of those that were erased, before compression.
    pub entry_bytes: u64,
    /// Entries that the log says are to be erased, and that are not yet.
    pub entries_to_erase: u64,
    /// Of the log.
    pub log: crate::log::Report,
    /// Members in the views.
    pub members: usize,
    /// Indicators in the views.
    pub indicators: usize,
}

/// Why a hub's record does not pass.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log is damaged, in use, or missing.
    #[error(transparent)]
    Log(#[from] crate::log::VerifyError),
    /// An entry cannot be folded.
    #[error(transparent)]
    Fold(#[from] crate::hub::OpenError),
}

/// Checks the hub in `dir` offline: derives every hash, the Merkle root and all views again. The first bad entry is the error.
pub fn verify(dir: &Path) -> Result<Verified, VerifyError> {
    let mut folding = crate::hub::Folding::default();
    let mut folded = Ok(());
    let mut entry_bytes = 0;
    let log = crate::log::verify_each(&HubDir::new(dir).log(), &mut |seq, bytes| {
        entry_bytes += bytes.len() as u64;
        if folded.is_ok() {
            folded = folding.entry(seq, bytes);
        }
    })?;
    folded?;
    folding.end()?;
    let (members, indicators) = folding.counts();
    Ok(Verified {
        log,
        entry_bytes,
        entries_to_erase: folding.entries_to_erase(),
        members,
        indicators,
    })
}

/// The directory of a hub, if `path` is one.
pub fn hub_dir(path: &Path) -> HubDir {
    HubDir::new(path)
}
