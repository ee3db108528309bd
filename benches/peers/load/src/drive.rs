//! The runs: closed loops for a set time, fan-outs of a number of values at full speed or at a fixed rate, replays. The same for
//! every peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::measure::{Meter, Tally};
use crate::peer::{Access, Feed, MARKED_ONE_IN, Peer, Set};
use crate::values::{VALUE_BYTES, age, next, values};

/// Values in a message while a peer is filled.
const FILL_BATCH: u64 = 500;
const FILL_CLIENTS: u64 = 4;

/// Calls that are due and wait for a client.
const DUE_MAX: usize = 4_096;

/// Longest that a fan-out may take after the last publication.
const DELIVERY_MAX: Duration = Duration::from_secs(30);

const WARMUP: Duration = Duration::from_millis(500);

#[derive(Subcommand, Clone)]
pub enum Mode {
    /// Empty what is read and publish so many values
    Fill {
        #[arg(long)]
        items: u64,
    },
    /// Publish in a closed loop
    Publish(Closed),
    /// Ask for kept values in a closed loop
    Lookup {
        #[command(flatten)]
        closed: Closed,
        /// Values that are kept
        #[arg(long)]
        items: u64,
        /// Of a hundred values so many are kept
        #[arg(long, default_value = "100")]
        hits: u64,
    },
    /// Deliver what is published to live subscribers
    Fanout {
        #[arg(long)]
        subscribers: u64,
        #[arg(long, default_value = "8")]
        publishers: u64,
        #[arg(long, default_value = "128")]
        batch: u64,
        /// Values that are published
        #[arg(long)]
        items: u64,
        /// Values a second [default: as fast as they are acknowledged]
        #[arg(long)]
        rate: Option<f64>,
    },
    /// Read everything that is kept
    Replay {
        /// Values that are kept
        #[arg(long)]
        items: u64,
        /// Only the marked one in a hundred
        #[arg(long)]
        marked: bool,
        #[arg(long, default_value = "3")]
        seconds: f64,
    },
}

#[derive(Args, Clone)]
pub struct Closed {
    #[arg(long, default_value = "8")]
    pub clients: u64,
    /// Values in a call
    #[arg(long, default_value = "1")]
    pub batch: u64,
    #[arg(long, default_value = "3")]
    pub seconds: f64,
}

/// Runs it; returns the line to print.
pub async fn run<P: Peer>(access: Access, mode: Mode) -> anyhow::Result<Value> {
    match mode {
        Mode::Fill { items } => fill::<P>(&access, items).await,
        Mode::Publish(closed) => {
            P::connect(&access).await?.clear(Set::Fresh).await?;
            loops::<P>(&access, &closed, Call::Publish(Arc::default())).await
        }
        Mode::Lookup { closed, items, hits } => loops::<P>(&access, &closed, Call::Lookup { items, hits }).await,
        Mode::Fanout {
            subscribers,
            publishers,
            batch,
            items,
            rate,
        } => {
            fanout::<P>(
                &access,
                subscribers,
                Publishing {
                    publishers,
                    batch,
                    items,
                    rate,
                },
            )
            .await
        }
        Mode::Replay { items, marked, seconds } => replay::<P>(&access, items, marked, seconds).await,
    }
}

async fn fill<P: Peer>(access: &Access, items: u64) -> anyhow::Result<Value> {
    P::connect(access).await?.clear(Set::Kept).await?;
    let (next, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = JoinSet::new();
    for _ in 0..FILL_CLIENTS {
        let (mut peer, next) = (P::connect(access).await?, next.clone());
        tasks.spawn(async move {
            loop {
                let from = next.fetch_add(FILL_BATCH, Ordering::Relaxed);
                let count = items.saturating_sub(from).min(FILL_BATCH);
                if count == 0 {
                    return anyhow::Ok(());
                }
                peer.publish(Set::Kept, from, values(from, count, start)).await?;
            }
        });
    }
    while let Some(filled) = tasks.join_next().await {
        filled??;
    }
    Ok(json!({"items": items, "seconds": start.elapsed().as_secs_f64()}))
}

/// What a client does again and again.
#[derive(Clone)]
enum Call {
    Publish(Arc<AtomicU64>),
    Lookup { items: u64, hits: u64 },
}

impl Call {
    async fn make<P: Peer>(&self, peer: &mut P, batch: u64, chance: &mut u64) -> anyhow::Result<()> {
        match self {
            Call::Publish(number) => {
                let from = number.fetch_add(batch, Ordering::Relaxed);
                peer.publish(Set::Fresh, from, values(from, batch, Instant::now()))
                    .await
            }
            Call::Lookup { items, hits } => {
                let mut expected = 0;
                let numbers = (0..batch).map(|_| {
                    let is_kept = next(chance) % 100 < *hits;
                    expected += u64::from(is_kept);
                    next(chance) % items + if is_kept { 0 } else { *items }
                });
                let numbers: Vec<u64> = numbers.collect();
                let found = peer.lookup(&numbers).await?;
                // A peer may answer once for a value that was asked for twice.
                anyhow::ensure!(
                    found <= expected && found + batch / 8 >= expected,
                    "{found} of {expected} were found"
                );
                Ok(())
            }
        }
    }
}

/// What is being done with what the clients do.
const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

async fn loops<P: Peer>(access: &Access, closed: &Closed, call: Call) -> anyhow::Result<Value> {
    let phase = Arc::new(AtomicU8::new(WARMING));
    let mut peers = Vec::new();
    for _ in 0..closed.clients {
        peers.push(P::connect(access).await?);
    }
    let mut tasks = JoinSet::new();
    for (mut peer, mut chance) in peers.into_iter().zip(1..) {
        let (phase, call, batch) = (phase.clone(), call.clone(), closed.batch);
        tasks.spawn(async move {
            let mut tally = Tally::new()?;
            while phase.load(Ordering::Relaxed) != OVER {
                let start = Instant::now();
                call.make(&mut peer, batch, &mut chance).await?;
                if phase.load(Ordering::Relaxed) == MEASURING {
                    tally.record(start.elapsed(), batch);
                }
            }
            anyhow::Ok(tally)
        });
    }
    tokio::time::sleep(WARMUP).await;
    let meter = Meter::start(access.server_pid)?;
    phase.store(MEASURING, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs_f64(closed.seconds)).await;
    phase.store(OVER, Ordering::Relaxed);
    let usage = meter.stop()?;
    usage.row(&sum(tasks).await?)
}

async fn sum(mut tasks: JoinSet<anyhow::Result<Tally>>) -> anyhow::Result<Tally> {
    let mut total = Tally::new()?;
    while let Some(tally) = tasks.join_next().await {
        total.add(&tally??)?;
    }
    Ok(total)
}

struct Publishing {
    publishers: u64,
    batch: u64,
    items: u64,
    rate: Option<f64>,
}

async fn fanout<P: Peer>(access: &Access, subscribers: u64, publishing: Publishing) -> anyhow::Result<Value> {
    P::connect(access).await?.clear(Set::Fresh).await?;
    let mut receiving = JoinSet::new();
    for _ in 0..subscribers {
        let mut peer = P::connect(access).await?;
        let feed = peer.follow().await?;
        let items = publishing.items;
        receiving.spawn(async move {
            let tally = receive(feed, items).await;
            drop(peer);
            tally
        });
    }
    let mut peers = Vec::new();
    for _ in 0..publishing.publishers {
        peers.push(P::connect(access).await?);
    }
    let meter = Meter::start(access.server_pid)?;
    let published = publish_all(peers, &publishing).await?;
    let received = tokio::time::timeout(DELIVERY_MAX, sum(receiving)).await;
    let usage = meter.stop()?;
    let mut tally = received.context("not everything was delivered")??;
    tally.missed = published.missed;
    usage.row(&tally)
}

async fn receive<F: Feed>(mut feed: F, items: u64) -> anyhow::Result<Tally> {
    let mut tally = Tally::new()?;
    while tally.items < items {
        let came = feed.next(&mut |value| tally.latency(age(value))).await?;
        tally.items += came;
        tally.calls += 1;
    }
    anyhow::ensure!(tally.items == items, "{} instead of {items} came", tally.items);
    Ok(tally)
}

/// Publishes; each call begins as soon as the one before it is acknowledged, or when it is due.
async fn publish_all<P: Peer>(peers: Vec<P>, publishing: &Publishing) -> anyhow::Result<Tally> {
    let (number, items, batch) = (Arc::new(AtomicU64::new(0)), publishing.items, publishing.batch);
    let (mut senders, mut tasks) = (Vec::new(), JoinSet::new());
    for mut peer in peers {
        let number = number.clone();
        let mut due = publishing.rate.map(|_| {
            let (sender, due) = mpsc::channel(DUE_MAX);
            senders.push(sender);
            due
        });
        tasks.spawn(async move {
            loop {
                let due = match &mut due {
                    Some(due) => due.recv().await,
                    None => Some(Instant::now()),
                };
                let from = number.fetch_add(batch, Ordering::Relaxed);
                let count = items.saturating_sub(from).min(batch);
                let Some(due) = due.filter(|_| count > 0) else {
                    return Tally::new();
                };
                peer.publish(Set::Fresh, from, values(from, count, due)).await?;
            }
        });
    }
    let pacer = publishing
        .rate
        .map(|rate| tokio::task::spawn_blocking(move || pace(rate / batch as f64, &senders)));
    let mut tally = sum(tasks).await?;
    if let Some(pacer) = pacer {
        tally.missed = pacer.await?;
    }
    Ok(tally)
}

/// Tells publishers in turn when a call is due, until one of them has ended; returns how many calls could not be told. A thread
/// of its own, for the runtime's timers know whole milliseconds only.
fn pace(calls_per_second: f64, publishers: &[mpsc::Sender<Instant>]) -> u64 {
    let (start, mut missed) = (Instant::now(), 0);
    for (count, publisher) in (0_u32..).zip(publishers.iter().cycle()) {
        let due = start + Duration::from_secs_f64(f64::from(count) / calls_per_second);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        match publisher.try_send(due) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => missed += 1,
            Err(mpsc::error::TrySendError::Closed(_)) => break,
        }
    }
    missed
}

/// Whole replays, one after another, until the time is over; latency is that of a whole replay.
async fn replay<P: Peer>(access: &Access, items: u64, marked: bool, seconds: f64) -> anyhow::Result<Value> {
    let expected = if marked { items.div_ceil(MARKED_ONE_IN) } else { items };
    let mut peer = P::connect(access).await?;
    let mut tally = Tally::new()?;
    let meter = Meter::start(access.server_pid)?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        let start = Instant::now();
        let (mut feed, mut came, mut bytes) = (peer.replay(marked).await?, 0, 0);
        while came < expected {
            came += feed.next(&mut |value| bytes += value.len()).await?;
        }
        anyhow::ensure!(came == expected, "{came} instead of {expected} came");
        anyhow::ensure!(bytes as u64 == came * VALUE_BYTES as u64, "{bytes} bytes came");
        tally.record(start.elapsed(), came);
    }
    meter.stop()?.row(&tally)
}
