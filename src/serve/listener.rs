//! The one port: accept, TLS handshake under a timeout, who is it, is there room, then HTTP under limits.
//!
//! Each limit has a peer in mind that wants to exhaust the hub: half-open handshakes, slow headers, floods of streams and resets,
//! connections beyond what descriptors allow.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::grpc;
use crate::hub::Hub;
use crate::pki::{ConnectionRegistry, Identity, Peer, PeerCertificate, TrustDomain, peer_certificate};

use super::first_bytes::{Counted, Received};
use super::records::InRecords;

/// A handshake that takes longer is dropped.
const HANDSHAKE_MAX: Duration = Duration::from_secs(4);

/// Request headers that take longer drop the connection, and so does silence after the handshake.
const HEADERS_MAX: Duration = Duration::from_secs(4);

/// How long a connection that was cut may still end its streams in order.
const CUT_GRACE: Duration = Duration::from_millis(500);

/// Concurrent requests and feeds of one connection.
const STREAMS_PER_CONNECTION_MAX: u32 = 256;

/// Streams that a peer may make the hub reset by its own errors (the MadeYouReset attack, CVE-2025-8671) before it is dropped.
const LOCAL_RESETS_MAX: usize = 256;

/// Streams that a peer may open and reset at once before it is dropped (rapid reset, CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 64;

/// Bytes of headers of one request.
const HEADER_BYTES_MAX: u32 = 32 << 10;

/// Bytes that one stream and one connection may have in flight towards the hub.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// Bytes of one stream that wait to be written.
const SEND_BUFFER_BYTES_MAX: usize = 256 << 10;

/// An idle peer is asked for a sign of life this often, and given this long to answer.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEP_ALIVE_ANSWER_MAX: Duration = Duration::from_secs(10);

/// After an accept that failed for want of descriptors or memory: long enough to idle, short enough to recover at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// What every connection needs.
pub(super) struct Door {
    /// Answers requests.
    pub calls: grpc::Door,
    /// Asked who the peer is, after the connection was registered.
    pub hub: Hub,
    /// The present certificates.
    pub tls: Arc<ArcSwap<ServerConfig>>,
    /// Of the hub's certificates.
    pub trust_domain: TrustDomain,
    /// Live connections.
    pub connections: ConnectionRegistry,
    /// Cancelled when the hub stops.
    pub stopping: CancellationToken,
}

/// Accepts until the hub stops, then waits for the connections to end.
pub(super) async fn accept(listener: TcpListener, door: Door, connections_max: usize) {
    let door = Arc::new(door);
    let room = Arc::new(Semaphore::new(connections_max));
    let tracker = TaskTracker::new();
    let mut failing = Failing::default();
    loop {
        let permit = tokio::select! {
            () = door.stopping.cancelled() => break,
            permit = room.clone().acquire_owned() => permit,
        };
        // The semaphore is never closed.
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            () = door.stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                failing.end();
                tracker.spawn(connection(stream, door.clone(), permit));
            }
            Err(error) if is_of_the_peer(&error) => refused("accept", &error),
            Err(error) => {
                failing.go_on(&error);
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
}

/// Whether it is a connection that failed, and not the hub: the next may be accepted at once.
fn is_of_the_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A time in which no connection can be accepted. The log is told of its beginning and its end, and not of each try.
#[derive(Default)]
struct Failing {
    tries: u64,
}

impl Failing {
    fn go_on(&mut self, error: &std::io::Error) {
        self.tries += 1;
        metrics::counter!("clearinghouse_accepts_failed_total").increment(1);
        if self.tries == 1 {
            tracing::error!(%error, "no connections can be accepted");
        }
    }

    fn end(&mut self) {
        if self.tries > 0 {
            tracing::warn!(tries = self.tries, "connections are accepted again");
            self.tries = 0;
        }
    }
}

async fn connection(stream: TcpStream, door: Arc<Door>, _room: OwnedSemaphorePermit) {
    let _ = stream.set_nodelay(true);
    let acceptor = TlsAcceptor::from(door.tls.load_full());
    let stream = match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refused("handshake", &error),
        Err(_) => return refused("handshake", &"took too long"),
    };
    let certificate = match peer(&door.trust_domain, &stream) {
        Ok(certificate) => certificate,
        Err(reason) => return refused("certificate", &reason),
    };
    let registration = match door.connections.register_peer(&certificate) {
        Ok(registration) => registration,
        Err(error) => return refused("connections", &error),
    };
    // Asked after the registration: whoever is revoked from now on is found in the registry.
    let known = match &certificate.identity {
        Identity::Agent { .. } => door.hub.authenticate(&certificate).map(drop),
        Identity::Invitation(_) => Ok(()),
    };
    if let Err(error) = known {
        // The connection is served all the same: each request is refused with the reason, which a bare hang-up would not tell.
        tracing::info!(%error, serial = %certificate.serial, "a peer that may not call has connected");
    }
    metrics::counter!("clearinghouse_connections_total").increment(1);
    let peer = Peer::new(certificate, registration.token().clone());
    serve(stream, peer, &door).await;
}

fn peer(trust_domain: &TrustDomain, stream: &TlsStream<TcpStream>) -> Result<PeerCertificate, String> {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = chain.first().ok_or("no client certificate")?;
    peer_certificate(trust_domain, leaf).map_err(|error| error.to_string())
}

async fn serve(stream: TlsStream<TcpStream>, peer: Peer, door: &Door) {
    let cut = peer.cut().clone();
    let calls = door.calls.clone();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let answered = calls.clone().answer(request);
        async { Ok::<_, Infallible>(answered.await.map(InRecords::new)) }
    });
    let builder = http();
    let received = Received::default();
    let stream = TokioIo::new(Counted::new(stream, received.clone()));
    let serving = builder.serve_connection(stream, service);
    tokio::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return log_end(ended),
        () = received.too_little_after(HEADERS_MAX) => return refused("protocol", &"the peer said nothing in time"),
        () = cut.cancelled() => {}
        () = door.stopping.cancelled() => {}
    }
    serving.as_mut().graceful_shutdown();
    if cut.is_cancelled() {
        let _ = tokio::time::timeout(CUT_GRACE, serving).await;
        return;
    }
    // The hub is stopping; open feeds end by themselves, and a later cut still acts.
    tokio::select! {
        ended = serving.as_mut() => log_end(ended),
        () = cut.cancelled() => {}
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER_MAX);
    builder
}

fn refused(step: &'static str, reason: &dyn std::fmt::Display) {
    metrics::counter!("clearinghouse_connections_refused_total", "step" => step).increment(1);
    tracing::debug!(step, %reason, "a connection was refused");
}

fn log_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}
