//! An HTTP/2 connection as bytes (RFC 9113), on which nothing is checked and anything can be written.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use clearinghouse::pki::{KeyAndChain, client_config};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::wire_support::{Credentials, TestHub};

/// Types of frames (RFC 9113, section 6).
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    /// Of SETTINGS and PING.
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
}

/// The setting of the window that each stream begins with.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// The hub in its certificate.
const HUB: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What the last ping of a flood carries.
const THE_END: &[u8; 8] = b"the end!";

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub struct Raw {
    stream: Box<dyn Stream>,
}

/// TLS with the credentials' certificate and one protocol, and nothing said yet.
pub async fn tls(hub: &TestHub, credentials: &Credentials, protocol: &str) -> Box<dyn Stream> {
    let stream = TcpStream::connect(hub.address).await.unwrap();
    let config = Arc::new(config(hub, credentials, protocol));
    Box::new(TlsConnector::from(config).connect(HUB.into(), stream).await.unwrap())
}

/// A handshake that the hub has answered and that is not finished.
pub async fn half_open(hub: &TestHub, credentials: &Credentials) -> TcpStream {
    let mut hello = Vec::new();
    let config = Arc::new(config(hub, credentials, "h2"));
    let mut handshake = rustls::ClientConnection::new(config, HUB.into()).unwrap();
    handshake.write_tls(&mut hello).unwrap();
    let mut stream = TcpStream::connect(hub.address).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    stream.read_exact(&mut [0; 1]).await.expect("the hub answers");
    stream
}

fn config(hub: &TestHub, credentials: &Credentials, protocol: &str) -> ClientConfig {
    let keys = KeyAndChain {
        chain_pem: credentials.cert_pem.clone(),
        key_pem: credentials.key_pem.clone(),
    };
    let mut config = Arc::unwrap_or_clone(client_config(&hub.ca_pem, &keys).unwrap());
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    config
}

impl Raw {
    /// A connection to the hub, with its preface sent.
    pub async fn connect(hub: &TestHub, credentials: &Credentials) -> Raw {
        Raw::over(tls(hub, credentials, "h2").await, None).await
    }

    /// The same; each stream may receive so many bytes until more is granted, which never is.
    pub async fn connect_with_window(hub: &TestHub, credentials: &Credentials, window_bytes: u32) -> Raw {
        Raw::over(tls(hub, credentials, "h2").await, Some(window_bytes)).await
    }

    pub async fn over(stream: Box<dyn Stream>, window_bytes: Option<u32>) -> Raw {
        let mut raw = Raw { stream };
        raw.stream.write_all(PREFACE).await.unwrap();
        let settings = window_bytes.map(|bytes| setting(INITIAL_WINDOW_SIZE, bytes));
        let settings = settings.unwrap_or_default();
        raw.write(&frame(kind::SETTINGS, 0, 0, &settings)).await.unwrap();
        // The windows that the hub grants hold from when they are acknowledged.
        while raw.next_kind().await.expect("the hub begins") != kind::SETTINGS {}
        raw.write(&frame(kind::SETTINGS, flag::ACK, 0, &[])).await.unwrap();
        raw
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Writes one piece after another, while what comes back is read and thrown away. True if the hub hung up before the end, by
    /// GOAWAY or by closing.
    pub async fn flood(self, pieces: impl Iterator<Item = Vec<u8>>) -> bool {
        let (read, mut write) = tokio::io::split(self.stream);
        let mut written = 0;
        let writing = async {
            for piece in pieces {
                if write.write_all(&piece).await.is_err() || write.flush().await.is_err() {
                    break;
                }
                written += 1;
            }
            // Whoever wants to hang up has done so once everything was read: a question whose answer comes after it.
            let ping = frame(kind::PING, 0, 0, THE_END);
            let _ = write.write_all(&ping).await;
            let _ = write.flush().await;
            std::future::pending().await
        };
        let hung_up = tokio::select! {
            hung_up = until_hung_up(read) => hung_up,
            hung_up = writing => hung_up,
        };
        println!("{written} pieces were written; hung up: {hung_up}");
        hung_up
    }

    /// Reads until so many responses have begun.
    pub async fn await_responses(&mut self, count: usize) {
        let mut begun = 0;
        while begun < count {
            let kind = self.next_kind().await.expect("the hub goes on");
            begun += usize::from(kind == kind::HEADERS);
        }
    }

    /// The kind of the next frame. Pings are answered: a peer that does not would be taken for dead, and cut.
    async fn next_kind(&mut self) -> io::Result<u8> {
        let Frame { kind, flags, payload } = read_frame(&mut self.stream).await?;
        if kind == kind::PING && flags & flag::ACK == 0 {
            self.write(&frame(kind::PING, flag::ACK, 0, &payload)).await?;
        }
        Ok(kind)
    }

    /// Lives on, and opens no window: what the hub has for it stays with the hub.
    pub fn stall(mut self) -> Stalled {
        Stalled(tokio::spawn(async move { while self.next_kind().await.is_ok() {} }))
    }

    /// Writes one piece after another and never reads. False if the hub stopped reading too, which is its right, or took it all;
    /// true if it hung up.
    pub async fn flood_unread(mut self, pieces: impl Iterator<Item = Vec<u8>>) -> bool {
        for piece in pieces {
            if self.write(&piece).await.is_err() {
                return true;
            }
        }
        false
    }
}

/// A connection that stalls until it is dropped.
pub struct Stalled(JoinHandle<()>);

impl Stalled {
    /// Whether the hub has not hung up.
    pub fn is_held(&self) -> bool {
        !self.0.is_finished()
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads frames until GOAWAY or the end, which are true, or the answer to the last ping, which is false.
async fn until_hung_up(mut read: impl AsyncRead + Unpin) -> bool {
    while let Ok(Frame { kind, payload, .. }) = read_frame(&mut read).await {
        match kind {
            kind::GOAWAY => {
                // RFC 9113, section 6.8: the last stream, the code, and what there is to say.
                let said = String::from_utf8_lossy(payload.get(8..).unwrap_or_default());
                println!("the hub says goodbye: {said:?}");
                return true;
            }
            kind::PING if payload == THE_END => return false,
            _ => {}
        }
    }
    true
}

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

async fn read_frame(read: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    read.read_exact(&mut payload).await?;
    let [kind, flags] = [head[3], head[4]];
    Ok(Frame { kind, flags, payload })
}

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()
}

/// The header block that calls a method.
pub fn call(path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", path),
        (":authority", "127.0.0.1"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields.iter().flat_map(|(name, value)| field(0, name, value)).collect()
}

/// A call with its whole message, and its stream closed on this side.
pub fn whole_call(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend_from_slice(&(message.len() as u32).to_be_bytes());
    body.extend_from_slice(message);
    let mut bytes = frame(kind::HEADERS, flag::END_HEADERS, stream, &call(path));
    bytes.extend(frame(kind::DATA, flag::END_STREAM, stream, &body));
    bytes
}

/// A literal field with a new name (RFC 7541, section 6.2). `form` 0: not kept; 0x40: kept in the dynamic table.
pub fn field(form: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![form];
    for text in [name, value] {
        bytes.extend(length(text.len()));
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(value: usize) -> Vec<u8> {
    if value < 127 {
        return vec![value as u8];
    }
    let (mut bytes, mut rest) = (vec![127], value - 127);
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}
