//! The server: counts what it gets, sends what it has at hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;

use bytes::Bytes;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::pb::echo_server::{Echo, EchoServer};
use crate::pb::{ReceiveRequest, ReceiveResponse, SendRequest, SendResponse, SendStreamRequest, SendStreamResponse};

/// As the hub has them.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// Most bytes of a response.
const RESPONSE_BYTES_MAX: u64 = 4 << 20;

struct Service;

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for Service {
    async fn send(&self, request: Request<SendRequest>) -> Result<Response<SendResponse>, Status> {
        let count = request.into_inner().payloads.len() as u64;
        Ok(Response::new(SendResponse { count }))
    }

    type SendStreamStream = Responses<SendStreamResponse>;

    async fn send_stream(
        &self,
        requests: Request<Streaming<SendStreamRequest>>,
    ) -> Result<Response<Self::SendStreamStream>, Status> {
        let answers = requests.into_inner().map(|request| {
            request.map(|request| SendStreamResponse {
                count: request.payloads.len() as u64,
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    type ReceiveStream = Responses<ReceiveResponse>;

    async fn receive(&self, request: Request<ReceiveRequest>) -> Result<Response<Self::ReceiveStream>, Status> {
        let ReceiveRequest { size, batch } = request.into_inner();
        if u64::from(size) * u64::from(batch) > RESPONSE_BYTES_MAX {
            return Err(Status::invalid_argument("the response would be too large"));
        }
        let payload = Bytes::from(vec![b'x'; size as usize]);
        let response = ReceiveResponse {
            payloads: vec![payload; batch as usize],
        };
        Ok(Response::new(Box::pin(tokio_stream::iter(std::iter::repeat_with(
            move || Ok(response.clone()),
        )))))
    }
}

/// Serves until it is killed.
pub async fn serve(dir: &Path, port: u16) -> anyhow::Result<()> {
    let read = |name: &str| std::fs::read(dir.join(name));
    let identity = Identity::from_pem(read("tls/server.pem")?, read("tls/server.key")?);
    let tls = ServerTlsConfig::new()
        .identity(identity)
        .client_ca_root(Certificate::from_pem(read("admin/ca.pem")?));
    let incoming = TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?.with_nodelay(Some(true));
    Server::builder()
        .tls_config(tls)?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .add_service(EchoServer::new(Service).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
