//! The clients: closed loops for a set time. What is printed has the names that `clearinghouse bench --json` uses.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::pb::echo_client::EchoClient;
use crate::pb::{ReceiveRequest, SendRequest, SendStreamRequest};

/// As the hub's clients have them.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Messages of one stream that may await their answer, as the hub bounds it.
const UNANSWERED_MAX: usize = 64;

const LATENCY_US_MAX: u64 = 600_000_000;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// A call for each batch.
    Send,
    /// A stream of batches, each acknowledged.
    Stream,
    /// Batches that the server sends.
    Receive,
}

/// Flags of `load`.
#[derive(Args)]
pub struct Load {
    #[arg(value_enum)]
    mode: Mode,
    /// The server's address, https://HOST:PORT
    #[arg(long)]
    server: String,
    /// The server's process
    #[arg(long)]
    server_pid: u32,
    /// A profile of the hub whose certificate the server has
    #[arg(long)]
    profile: PathBuf,
    #[arg(long, default_value = "8", value_parser = clap::value_parser!(u16).range(1..=4096))]
    clients: u16,
    /// Connections that the clients share [default: one each]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: Option<u16>,
    /// Payloads in a message
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Bytes of a payload
    #[arg(long, default_value = "400", value_parser = clap::value_parser!(u16).range(1..=4096))]
    size: u16,
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
}

/// What is being done with what the clients do.
const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// What one client did.
struct Tally {
    phase: Arc<AtomicU8>,
    items: u64,
    calls: u64,
    latencies_us: Histogram<u32>,
}

impl Tally {
    fn is_over(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == OVER
    }

    fn record(&mut self, start: Instant, items: u64) {
        if self.phase.load(Ordering::Relaxed) == MEASURING {
            self.items += items;
            self.calls += 1;
            self.latencies_us.saturating_record(start.elapsed().as_micros() as u64);
        }
    }
}

impl Load {
    /// Runs it; returns the line to print.
    pub async fn run(self) -> anyhow::Result<Value> {
        let connections = self.connections.unwrap_or(self.clients).min(self.clients);
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(connect(&self.profile, &self.server).await?);
        }
        let phase = Arc::new(AtomicU8::new(WARMING));
        let payload = Bytes::from(vec![b'x'; usize::from(self.size)]);
        let payloads = vec![payload; usize::from(self.batch)];
        let mut tasks = tokio::task::JoinSet::new();
        for client in clients.iter().cycle().take(usize::from(self.clients)) {
            let tally = Tally { phase: phase.clone(), items: 0, calls: 0, latencies_us: histogram()? };
            let (client, payloads) = (client.clone(), payloads.clone());
            let (size, batch) = (u32::from(self.size), u32::from(self.batch));
            match self.mode {
                Mode::Send => tasks.spawn(send(client, payloads, tally)),
                Mode::Stream => tasks.spawn(stream(client, payloads, tally)),
                Mode::Receive => tasks.spawn(receive(client, ReceiveRequest { size, batch }, tally)),
            };
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (start, server_before, own_before) = (Instant::now(), cpu(self.server_pid)?, cpu(std::process::id())?);
        phase.store(MEASURING, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(self.seconds.into())).await;
        phase.store(OVER, Ordering::Relaxed);
        let seconds = start.elapsed().as_secs_f64();
        let server = (cpu(self.server_pid)? - server_before).as_secs_f64();
        let own = (cpu(std::process::id())? - own_before).as_secs_f64();
        let (mut items, mut calls, mut latencies_us) = (0_u64, 0_u64, histogram()?);
        while let Some(tally) = tasks.join_next().await {
            let tally = tally??;
            items += tally.items;
            calls += tally.calls;
            latencies_us.add(&tally.latencies_us)?;
        }
        anyhow::ensure!(items > 0, "nothing was done");
        let quantile = |quantile| latencies_us.value_at_quantile(quantile);
        Ok(json!({
            "bench": "echo", "mode": self.mode.to_possible_value().map(|mode| mode.get_name().to_owned()),
            "clients": self.clients, "connections": connections, "batch": self.batch, "size": self.size,
            "seconds": seconds, "items": items, "calls": calls, "rate_per_s": items as f64 / seconds,
            "latency_us": {"p50": quantile(0.5), "p99": quantile(0.99), "p999": quantile(0.999), "max": latencies_us.max()},
            "server_cpu_us_per_item": server * 1e6 / items as f64, "client_cpu_us_per_item": own * 1e6 / items as f64,
            "server_cores": server / seconds, "client_cores": own / seconds,
        }))
    }
}

async fn send(mut client: EchoClient<Channel>, payloads: Vec<Bytes>, mut tally: Tally) -> Result<Tally, Status> {
    while !tally.is_over() {
        let payloads = payloads.clone();
        let start = Instant::now();
        let count = client.send(SendRequest { payloads }).await?.into_inner().count;
        tally.record(start, count);
    }
    Ok(tally)
}

async fn stream(mut client: EchoClient<Channel>, payloads: Vec<Bytes>, mut tally: Tally) -> Result<Tally, Status> {
    let (requests, outgoing) = mpsc::channel(1);
    let (sent, mut awaited) = mpsc::channel(UNANSWERED_MAX);
    let phase = tally.phase.clone();
    let sending = tokio::spawn(async move {
        while phase.load(Ordering::Relaxed) != OVER {
            let payloads = payloads.clone();
            if sent.send(Instant::now()).await.is_err() || requests.send(SendStreamRequest { payloads }).await.is_err() {
                return;
            }
        }
    });
    let mut answers = client.send_stream(ReceiverStream::new(outgoing)).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        let start = awaited.try_recv().unwrap_or_else(|_| Instant::now());
        tally.record(start, answer.count);
    }
    sending.abort();
    Ok(tally)
}

async fn receive(mut client: EchoClient<Channel>, request: ReceiveRequest, mut tally: Tally) -> Result<Tally, Status> {
    let mut responses = client.receive(request).await?.into_inner();
    loop {
        let start = Instant::now();
        let Some(response) = responses.message().await? else { break };
        tally.record(start, response.payloads.len() as u64);
        if tally.is_over() {
            break;
        }
    }
    Ok(tally)
}

async fn connect(profile: &Path, server: &str) -> anyhow::Result<EchoClient<Channel>> {
    let read = |name: &str| std::fs::read(profile.join(name));
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("ca.pem")?))
        .identity(Identity::from_pem(read("cert.pem")?, read("key.pem")?));
    let channel = Endpoint::from_shared(server.to_owned())?
        .tls_config(tls)?
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect()
        .await?;
    Ok(EchoClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

fn histogram() -> anyhow::Result<Histogram<u32>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?)
}

/// Processor time of a process, from Linux's `/proc`; in hundredths of a second.
fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |place: usize| -> anyhow::Result<u32> {
        Ok(fields.get(place).copied().unwrap_or_default().parse::<u32>()?)
    };
    Ok(Duration::from_millis(10) * (ticks(11)? + ticks(12)?))
}
