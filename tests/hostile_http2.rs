//! Members whose software attacks the hub below gRPC. They are enrolled, for nobody else gets past the handshake. Whatever they
//! do, the hub does not panic, its memory stays within bounds, and an honest member is answered.
#![allow(missing_docs)]

mod hostile_support;
mod wire_support;

use std::time::Duration;

use clearinghouse::grpc::wire;
use hostile_support::raw::{Raw, Stalled, call, field, flag, frame, kind, tls, whole_call};
use hostile_support::{ATTACK_MAX, Arena};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const STATUS: &str = "/clearinghouse.v1.QueryService/GetStatus";
const SEARCH: &str = "/clearinghouse.v1.QueryService/SearchIndicators";
const PUBLISH: &str = "/clearinghouse.v1.PublishService/Publish";
const SUBSCRIBE: &str = "/clearinghouse.v1.FeedService/Subscribe";

/// Memory that an attack may cost while it lasts, the honest calls' own included.
const GROWTH_MAX_MIB: u64 = 32;
const GROWTH_STALLED_MAX_MIB: u64 = 64;

const STREAMS_RESET: u32 = 20_000;
const STREAMS_MADE_TO_RESET: u32 = 2_000;
const CONTINUATIONS: usize = 2_000;
const SETTINGS: usize = 100_000;
const PINGS: usize = 100_000;
const BOMBS: u32 = 200;
const EMPTY_FRAMES: usize = 100_000;
const UNFINISHED_CONNECTIONS: usize = 60;
const UNFINISHED_PER_CONNECTION: u32 = 4;
const UNFINISHED_PARTS: usize = 60;
const MESSAGE_BYTES: u32 = 8 << 20;
/// What one member's incomplete requests may hold, and what it takes to grow a buffer to that.
const GROWTH_UNFINISHED_MAX_MIB: u64 = 160;
/// The hub's limit is 20 s.
const ARRIVAL_WITHIN: Duration = Duration::from_secs(40);
const HALF_OPEN: usize = 2_000;
const SLOW: usize = 100;
/// 200 searches, or 500 feeds.
const SEARCHING_CONNECTIONS: usize = 4;
const SUBSCRIBED_CONNECTIONS: usize = 10;
const STALLED_PER_CONNECTION: u32 = 50;

/// A connection that does not get on is shed: the hub's limit is 4 s, and the machine is shared.
const SHED_WITHIN: Duration = Duration::from_secs(10);
/// How long a server that sheds nothing is watched.
const NOT_SHED_WITHIN: Duration = Duration::from_secs(6);

/// The stream ids that a client may use.
fn stream_ids(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| number * 2 + 1)
}

/// Stops an attack after its time; false, for the hub had not hung up.
async fn bounded(attack: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(ATTACK_MAX, attack).await.unwrap_or(false)
}

/// What this file writes is HTTP/2: a call without malice is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_call_is_answered() {
    let arena = Arena::open().await;
    let mut raw = Raw::connect(arena.hub(), &arena.hostile).await;
    raw.write(&whole_call(1, STATUS, &[])).await.unwrap();
    // The head of the response, and its trailers.
    raw.await_responses(2).await;
    let pieces = stream_ids(100).skip(1).map(|id| whole_call(id, STATUS, &[]));
    assert!(!bounded(raw.flood(pieces)).await, "the hub hung up on an honest peer");
}

/// CVE-2023-44487: open a stream and cancel it at once, so that no limit of concurrent streams is ever reached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset_is_withstood() {
    let arena = Arena::open().await;
    let raw = Raw::connect(arena.hub(), &arena.hostile).await;
    let cancel = 8u32.to_be_bytes();
    let pieces = stream_ids(STREAMS_RESET).map(move |id| {
        let mut bytes = frame(kind::HEADERS, flag::END_HEADERS, id, &call(STATUS));
        bytes.extend(frame(kind::RST_STREAM, 0, id, &cancel));
        bytes
    });
    arena.withstand(GROWTH_MAX_MIB, bounded(raw.flood(pieces))).await;
}

/// CVE-2025-8671, "MadeYouReset": break a rule on each stream, so that the hub itself resets it while its request is still worked
/// on. A window that grows past 2^31-1 does (RFC 9113, section 6.9.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_makes_the_hub_reset_streams_is_dropped() {
    let arena = Arena::open().await;
    let raw = Raw::connect(arena.hub(), &arena.hostile).await;
    let dropped = arena
        .withstand(GROWTH_MAX_MIB, bounded(raw.flood(made_to_reset())))
        .await;
    assert!(dropped, "the hub goes on resetting for ever");
}

fn made_to_reset() -> impl Iterator<Item = Vec<u8>> {
    stream_ids(STREAMS_MADE_TO_RESET).map(|id| {
        let mut bytes = frame(kind::HEADERS, flag::END_HEADERS, id, &call(STATUS));
        bytes.extend(frame(kind::WINDOW_UPDATE, 0, id, &0x7fff_ffffu32.to_be_bytes()));
        bytes
    })
}

/// The negative control: a server without that limit goes on, and the harness sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_limit_is_not_taken_for_the_hub() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        builder.http2().max_local_error_reset_streams(None);
        let service =
            hyper::service::service_fn(|_| std::future::pending::<Result<hyper::Response<String>, hyper::Error>>());
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    });
    let stream = Box::new(TcpStream::connect(address).await.unwrap());
    let raw = Raw::over(stream, None).await;
    assert!(!bounded(raw.flood(made_to_reset())).await, "it was expected to go on");
    serving.abort();
}

/// CVE-2024-27316 and its kin: headers that never end, one CONTINUATION after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_without_end_are_dropped() {
    let arena = Arena::open().await;
    let raw = Raw::connect(arena.hub(), &arena.hostile).await;
    let more = field(0, "x-more", &"m".repeat(16_000));
    let first = frame(kind::HEADERS, 0, 1, &call(STATUS));
    let pieces = std::iter::once(first).chain((0..CONTINUATIONS).map(move |_| frame(kind::CONTINUATION, 0, 1, &more)));
    let dropped = arena.withstand(GROWTH_MAX_MIB, bounded(raw.flood(pieces))).await;
    assert!(dropped, "the hub goes on reading headers for ever");
}

/// CVE-2019-9515: settings, each of which the hub must acknowledge, to a peer that reads nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_flood_is_withstood() {
    let arena = Arena::open().await;
    let raw = Raw::connect(arena.hub(), &arena.hostile).await;
    let pieces = (0..SETTINGS).map(|_| frame(kind::SETTINGS, 0, 0, &[]));
    arena.withstand(GROWTH_MAX_MIB, bounded(raw.flood_unread(pieces))).await;
}

/// CVE-2019-9512: pings, each of which the hub must answer, to a peer that reads nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_flood_is_withstood() {
    let arena = Arena::open().await;
    let raw = Raw::connect(arena.hub(), &arena.hostile).await;
    let pieces = (0..PINGS).map(|number| frame(kind::PING, 0, 0, &(number as u64).to_be_bytes()));
    arena.withstand(GROWTH_MAX_MIB, bounded(raw.flood_unread(pieces))).await;
}

/// The HPACK bomb (CVE-2016-6581): one large field in the dynamic table, and then a byte each for thousands of copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hpack_bomb_is_withstood() {
    let arena = Arena::open().await;
    let raw = Raw::connect(arena.hub(), &arena.hostile).await;
    let pieces = stream_ids(BOMBS).map(|id| {
        let mut block = call(STATUS);
        block.extend(field(0x40, "x-bomb", &"b".repeat(3_900)));
        // Index 62 is the newest entry of the dynamic table (RFC 7541, section 2.3.3).
        block.extend(std::iter::repeat_n(0x80 | 62, 10_000));
        frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id, &block)
    });
    arena.withstand(GROWTH_MAX_MIB, bounded(raw.flood(pieces))).await;
}

/// CVE-2019-9518: frames that carry nothing and end nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_frames_are_withstood() {
    let arena = Arena::open().await;
    let raw = Raw::connect(arena.hub(), &arena.hostile).await;
    let first = frame(kind::HEADERS, flag::END_HEADERS, 1, &call(PUBLISH));
    let pieces = std::iter::once(first).chain((0..EMPTY_FRAMES).map(|_| frame(kind::DATA, 0, 1, &[])));
    arena.withstand(GROWTH_MAX_MIB, bounded(raw.flood(pieces))).await;
}

/// CVE-2019-9517: ask for much on many streams, and never open the window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zero_window_is_withstood() {
    stalled_searches(0).await;
}

/// The same with a window of one byte: enough for an answer to be begun, and never enough for it to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_byte_window_is_withstood() {
    stalled_searches(1).await;
}

async fn stalled_searches(window_bytes: u32) {
    let arena = Arena::open().await;
    arena.publish(0..1_000, 1_000).await;
    let search = wire::SearchIndicatorsRequest {
        page_size: 1_000,
        ..Default::default()
    };
    let search = search.encode_to_vec();
    let attack = async {
        let mut searching = JoinSet::new();
        for _ in 0..SEARCHING_CONNECTIONS {
            let mut raw = Raw::connect_with_window(arena.hub(), &arena.hostile, window_bytes).await;
            for id in stream_ids(STALLED_PER_CONNECTION) {
                raw.write(&whole_call(id, SEARCH, &search)).await.unwrap();
            }
            searching.spawn(async move {
                raw.await_responses(STALLED_PER_CONNECTION as usize).await;
                raw.stall()
            });
        }
        searching.join_all().await
    };
    let stalled = arena.withstand(GROWTH_MAX_MIB, attack).await;
    assert!(stalled.iter().all(Stalled::is_held), "the attack ended before its end");
}

/// Messages that never end: each stream sends most of the largest message that the hub takes, and then nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_messages_are_bounded_and_shed() {
    let arena = Arena::open().await;
    let attack = async {
        let mut unfinished = JoinSet::new();
        for _ in 0..UNFINISHED_CONNECTIONS {
            let mut raw = Raw::connect(arena.hub(), &arena.hostile).await;
            for id in stream_ids(UNFINISHED_PER_CONNECTION) {
                raw.write(&unfinished_message(id)).await.unwrap();
            }
            unfinished.spawn(async move { raw.await_responses(UNFINISHED_PER_CONNECTION as usize).await });
        }
        unfinished
    };
    let unfinished = arena.withstand(GROWTH_UNFINISHED_MAX_MIB, attack).await;
    let shed = tokio::time::timeout(ARRIVAL_WITHIN, unfinished.join_all()).await;
    shed.expect("each request that does not arrive is answered with a refusal");
}

/// The beginning of a message of the largest size, as much of it as fits into the windows that the hub grants at first.
fn unfinished_message(stream: u32) -> Vec<u8> {
    let mut bytes = frame(kind::HEADERS, flag::END_HEADERS, stream, &call(PUBLISH));
    let beginning = [&[0][..], &MESSAGE_BYTES.to_be_bytes()].concat();
    bytes.extend(frame(kind::DATA, 0, stream, &beginning));
    let part = frame(kind::DATA, 0, stream, &[0; 16_000]);
    bytes.extend(part.repeat(UNFINISHED_PARTS));
    bytes
}

/// Feeds that are never read, while much is published: a slow subscriber costs itself latency, and the hub no memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_subscribers_cost_no_memory() {
    let arena = Arena::open().await;
    arena.publish(0..2_000, 1_000).await;
    let subscribe = wire::SubscribeRequest::default().encode_to_vec();
    let attack = async {
        let mut stalled = Vec::new();
        for _ in 0..SUBSCRIBED_CONNECTIONS {
            let mut raw = Raw::connect(arena.hub(), &arena.hostile).await;
            for id in stream_ids(STALLED_PER_CONNECTION) {
                raw.write(&whole_call(id, SUBSCRIBE, &subscribe)).await.unwrap();
            }
            raw.await_responses(STALLED_PER_CONNECTION as usize).await;
            stalled.push(raw.stall());
        }
        arena.publish(2_000..4_000, 1_000).await;
        // They go on stalling while the honest calls that follow are made.
        stalled
    };
    let stalled = arena.withstand(GROWTH_STALLED_MAX_MIB, attack).await;
    assert!(stalled.iter().all(Stalled::is_held), "the attack ended before its end");
}

/// Handshakes that are never finished: half of them say nothing, half the first bytes of a TLS record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_are_shed() {
    // This end of them takes descriptors too.
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
    let arena = Arena::open().await;
    let mut waiting = JoinSet::new();
    for number in 0..HALF_OPEN {
        let mut stream = TcpStream::connect(arena.hub().address).await.unwrap();
        waiting.spawn(async move {
            if number % 2 == 0 {
                let _ = stream.write_all(&[22, 3, 1, 2, 0, 1]).await;
            }
            // The hub says nothing, or an alert, and hangs up.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
    }
    shed(&arena, waiting).await;
}

/// Connections that begin a request and do not end its head: HTTP/1.1, HTTP/2, and those that say nothing at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_headers_are_shed() {
    let arena = Arena::open().await;
    let mut waiting = JoinSet::new();
    for number in 0..SLOW {
        let (protocol, beginning): (_, &[u8]) = match number % 3 {
            0 => ("http/1.1", b"GET /healthz HTTP/1.1\r\nhost: 127"),
            1 => ("h2", b"PRI * HTTP/2.0\r\n\r\nSM"),
            _ => ("h2", b""),
        };
        let mut stream = tls(arena.hub(), &arena.hostile, protocol).await;
        waiting.spawn(async move {
            let _ = stream.write_all(beginning).await;
            let _ = stream.flush().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
    }
    shed(&arena, waiting).await;
}

/// The negative control: a server that keeps whoever connects, and the harness sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_keeps_all_connections_is_not_taken_for_one_that_sheds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let kept = listener.accept().await.unwrap();
    let mut said = Vec::new();
    let shed = tokio::time::timeout(NOT_SHED_WITHIN, stream.read_to_end(&mut said)).await;
    assert!(shed.is_err(), "it was expected to keep it");
    drop(kept);
}

/// The negative control of what memory is measured: a hub that is given much to remember does not pass for one that withstands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "MiB more, of 0 at most")]
async fn growth_is_noticed() {
    let arena = Arena::open().await;
    arena.withstand(0, arena.publish(0..4_000, 4_000)).await;
}

/// All of these connections must have been ended by the hub in time.
async fn shed(arena: &Arena, waiting: JoinSet<()>) {
    let all = waiting.len();
    let shedding = tokio::time::timeout(SHED_WITHIN, waiting.join_all());
    let shed = arena.withstand(GROWTH_MAX_MIB, shedding).await;
    assert!(shed.is_ok(), "of {all} connections that do not get on, some are kept");
}
