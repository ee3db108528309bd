//! What a peer must be able to do to be measured, and how it is reached.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where the peer listens and with whose certificate it is asked.
#[derive(Args, Clone)]
pub struct Access {
    /// The server's address, HOST:PORT
    #[arg(long)]
    pub server: String,
    /// The server's process
    #[arg(long)]
    pub server_pid: u32,
    /// A profile of the hub whose certificate the server has
    #[arg(long)]
    pub profile: PathBuf,
}

impl Access {
    /// A file of the profile.
    pub fn pem(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.profile.join(name);
        fs::read(&path).with_context(|| path.display().to_string())
    }

    /// For clients that take rustls as it is.
    pub fn tls(&self) -> anyhow::Result<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&self.pem("ca.pem")?) {
            roots.add(certificate?)?;
        }
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.pem("cert.pem")?).collect();
        let key = PrivateKeyDer::from_pem_slice(&self.pem("key.pem")?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config
            .with_root_certificates(roots)
            .with_client_auth_cert(chain?, key)?)
    }
}

/// What is published into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// What is read: filled once, with values that can be looked up by their number.
    Kept,
    /// What a run publishes.
    Fresh,
}

impl Set {
    pub fn name(self) -> &'static str {
        match self {
            Set::Kept => "kept",
            Set::Fresh => "fresh",
        }
    }
}

/// Of the values that are kept, one in so many has the mark by which a filtered replay selects.
pub const MARKED_ONE_IN: u64 = 100;

/// A connection to a peer.
pub trait Peer: Sized + Send + 'static {
    type Feed: Feed;

    fn connect(access: &Access) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Leaves the set empty.
    fn clear(&mut self, set: Set) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Publishes values with the numbers from `from` on. Returns when all are on the server's disk.
    fn publish(&mut self, set: Set, from: u64, values: Vec<Bytes>) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// What is published from now on.
    fn follow(&mut self) -> impl Future<Output = anyhow::Result<Self::Feed>> + Send;

    /// What is kept, from the start, in the order in which it came; of that the marked alone, where the peer can select.
    fn replay(&mut self, marked: bool) -> impl Future<Output = anyhow::Result<Self::Feed>> + Send;

    /// Asks for kept values by their numbers; returns how many there are.
    fn lookup(&mut self, numbers: &[u64]) -> impl Future<Output = anyhow::Result<u64>> + Send;
}

/// What a peer delivers.
pub trait Feed: Send + 'static {
    /// Waits for values and hands them over; returns how many came. 0: there are none now, ask again.
    fn next(&mut self, each: &mut (dyn FnMut(&[u8]) + Send)) -> impl Future<Output = anyhow::Result<u64>> + Send;
}
