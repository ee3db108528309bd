//! Metrics and health over plain HTTP, on loopback only: `/metrics` (Prometheus text), `/healthz` (the process lives), `/readyz`
//! (it takes writes).

use std::sync::OnceLock;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::hub::Hub;
use crate::pki::ConnectionRegistry;

use super::ServeError;

/// There is one recorder in a process, however many hubs its tests start.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

#[derive(Clone)]
struct Sources {
    hub: Hub,
    connections: ConnectionRegistry,
}

/// Starts the listener, if one is configured.
pub(super) async fn start(
    config: &Config,
    hub: Hub,
    connections: ConnectionRegistry,
    stopping: CancellationToken,
) -> Result<Option<tokio::task::JoinHandle<()>>, ServeError> {
    let Some(address) = config.metrics_listen else {
        return Ok(None);
    };
    RECORDER.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("metrics were set up before; these will show no counts");
        }
        handle
    });
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!(address = %listener.local_addr().map_err(failed)?, "metrics listener");
    let router = Router::new()
        .route("/metrics", get(show))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Sources { hub, connections });
    Ok(Some(tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the metrics listener ended");
        }
    })))
}

async fn show(State(Sources { hub, connections }): State<Sources>) -> String {
    let condition = hub.condition();
    metrics::gauge!("clearinghouse_log_entries").set(condition.log.size as f64);
    metrics::gauge!("clearinghouse_writable").set(if condition.read_only.is_none() { 1.0 } else { 0.0 });
    metrics::gauge!("clearinghouse_indicators").set(hub.indicators_published() as f64);
    metrics::gauge!("clearinghouse_connections_open").set(connections.total() as f64);
    metrics::gauge!("clearinghouse_feeds_open").set(f64::from(hub.feeds_open()));
    let ends = hub.server_certificate_ends().0 as f64 / 1e6;
    metrics::gauge!("clearinghouse_server_certificate_expires_seconds").set(ends);
    // Where they cannot be told, which the hub's log says, the gauges stay as they were.
    if let Ok(recalls) = hub.recall_counts().await {
        metrics::gauge!("clearinghouse_recalls_open").set(f64::from(recalls.open));
        metrics::gauge!("clearinghouse_recalls_overdue").set(f64::from(recalls.overdue));
    }
    let kept = hub.snapshot();
    let (kept_entries, kept_at) = kept.map_or((0, 0), |kept| (kept.entries, kept.made_at.0));
    metrics::gauge!("clearinghouse_snapshot_entries").set(kept_entries as f64);
    metrics::gauge!("clearinghouse_snapshot_made_seconds").set(kept_at as f64 / 1e6);
    let erased = hub.erased();
    metrics::gauge!("clearinghouse_entries_erased").set(erased.entries as f64);
    metrics::counter!("clearinghouse_erased_bytes_total").absolute(erased.bytes_returned);
    let disk = hub.disk();
    metrics::gauge!("clearinghouse_log_disk_bytes").set(disk.used_bytes as f64);
    metrics::gauge!("clearinghouse_disk_free_bytes").set(disk.free_bytes as f64);
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

async fn ready(State(Sources { hub, .. }): State<Sources>) -> impl IntoResponse {
    match hub.condition().read_only {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("read-only: {reason}\n")),
    }
}
