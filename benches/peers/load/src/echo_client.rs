//! The clients: closed loops for a set time. What is printed has the names that `clearinghouse bench --json` uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::measure::{Meter, Tally};
use crate::pb::echo_client::EchoClient;
use crate::pb::{ReceiveRequest, SendRequest, SendStreamRequest};
use crate::peer::Access;

/// As the hub's clients have them.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Messages of one stream that may await their answer, as the hub bounds it.
const UNANSWERED_MAX: usize = 64;

const WARMUP: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// A call for each batch.
    Send,
    /// A stream of batches, each acknowledged.
    Stream,
    /// Batches that the server sends.
    Receive,
}

/// How the limit is loaded.
#[derive(Args)]
pub struct Load {
    #[command(flatten)]
    access: Access,
    #[arg(value_enum)]
    mode: Mode,
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
    #[arg(long, default_value = "3")]
    seconds: f64,
}

/// What is being done with what the clients do.
const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// What one client did, of which the part is counted that falls into the run.
struct Course {
    phase: Arc<AtomicU8>,
    tally: Tally,
}

impl Course {
    fn is_over(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == OVER
    }

    fn record(&mut self, start: Instant, items: u64) {
        if self.phase.load(Ordering::Relaxed) == MEASURING {
            self.tally.record(start.elapsed(), items);
        }
    }
}

impl Load {
    /// Runs it; returns the line to print.
    pub async fn run(self) -> anyhow::Result<Value> {
        let connections = self.connections.unwrap_or(self.clients).min(self.clients);
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(connect(&self.access).await?);
        }
        let phase = Arc::new(AtomicU8::new(WARMING));
        let payload = Bytes::from(vec![b'x'; usize::from(self.size)]);
        let payloads = vec![payload; usize::from(self.batch)];
        let mut tasks = JoinSet::new();
        for client in clients.iter().cycle().take(usize::from(self.clients)) {
            let course = Course {
                phase: phase.clone(),
                tally: Tally::new()?,
            };
            let (client, payloads) = (client.clone(), payloads.clone());
            let (size, batch) = (u32::from(self.size), u32::from(self.batch));
            match self.mode {
                Mode::Send => tasks.spawn(send(client, payloads, course)),
                Mode::Stream => tasks.spawn(stream(client, payloads, course)),
                Mode::Receive => tasks.spawn(receive(client, ReceiveRequest { size, batch }, course)),
            };
        }
        tokio::time::sleep(WARMUP).await;
        let meter = Meter::start(self.access.server_pid)?;
        phase.store(MEASURING, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs_f64(self.seconds)).await;
        phase.store(OVER, Ordering::Relaxed);
        let usage = meter.stop()?;
        let mut total = Tally::new()?;
        while let Some(tally) = tasks.join_next().await {
            total.add(&tally??)?;
        }
        usage.row(&total)
    }
}

async fn send(mut client: EchoClient<Channel>, payloads: Vec<Bytes>, mut course: Course) -> Result<Tally, Status> {
    while !course.is_over() {
        let payloads = payloads.clone();
        let start = Instant::now();
        let count = client.send(SendRequest { payloads }).await?.into_inner().count;
        course.record(start, count);
    }
    Ok(course.tally)
}

async fn stream(mut client: EchoClient<Channel>, payloads: Vec<Bytes>, mut course: Course) -> Result<Tally, Status> {
    let (requests, outgoing) = mpsc::channel(1);
    let (sent, mut awaited) = mpsc::channel(UNANSWERED_MAX);
    let phase = course.phase.clone();
    let sending = tokio::spawn(async move {
        while phase.load(Ordering::Relaxed) != OVER {
            let payloads = payloads.clone();
            if sent.send(Instant::now()).await.is_err() || requests.send(SendStreamRequest { payloads }).await.is_err()
            {
                return;
            }
        }
    });
    let mut answers = client.send_stream(ReceiverStream::new(outgoing)).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        let start = awaited.try_recv().unwrap_or_else(|_| Instant::now());
        course.record(start, answer.count);
    }
    sending.abort();
    Ok(course.tally)
}

async fn receive(
    mut client: EchoClient<Channel>,
    request: ReceiveRequest,
    mut course: Course,
) -> Result<Tally, Status> {
    let mut responses = client.receive(request).await?.into_inner();
    loop {
        let start = Instant::now();
        let Some(response) = responses.message().await? else {
            break;
        };
        course.record(start, response.payloads.len() as u64);
        if course.is_over() {
            break;
        }
    }
    Ok(course.tally)
}

async fn connect(access: &Access) -> anyhow::Result<EchoClient<Channel>> {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(access.pem("ca.pem")?))
        .identity(Identity::from_pem(access.pem("cert.pem")?, access.pem("key.pem")?));
    let channel = Endpoint::from_shared(format!("https://{}", access.server))?
        .tls_config(tls)?
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect()
        .await?;
    Ok(EchoClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}
