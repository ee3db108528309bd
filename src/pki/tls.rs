//! The hub's TLS: version 1.3 alone, a client certificate always, a full handshake every time. Built anew whenever
//! certificates or revocations change; nothing is carried over from one configuration to the next.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::certificate::{self, BadCertificate};

/// The most root certificates that the hub trusts at once: its own, its successor, and some external ones.
const ROOTS_MAX: usize = 16;

/// Protocols the hub speaks over TLS, best first: gRPC needs the first, TAXII clients and browsers may want the second.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A private key and the certificate chain on it, both PEM, end entity first.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyAndChain {
    /// The chain.
    pub chain_pem: String,
    /// The private key (PKCS #8, PKCS #1 or SEC 1).
    pub key_pem: String,
}

impl std::fmt::Debug for KeyAndChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyAndChain")
            .field("chain_pem", &self.chain_pem)
            .field("key_pem", &"[redacted]")
            .finish()
    }
}

/// The hub's side. `ca_pem` holds the roots whose client certificates are accepted, each under a subject of its own.
///
/// `crl_pem` holds their revocation lists. With `None`, revocation is left to the roster, which the hub asks on each
/// request anyway; with lists, *every* root must have one, since a certificate of unknown standing is refused. A list
/// past its own end still counts: otherwise a late list would lock everyone out, and the roster is the one that rules.
pub fn server_config(ca_pem: &str, keys: &KeyAndChain, crl_pem: Option<&str>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let crls = crl_pem.map_or(Ok(Vec::new()), revocation_lists)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca_pem)?), Arc::clone(&provider))
        .with_crls(crls)
        .build()
        .map_err(TlsError::Crl)?;
    let (chain, key) = chain_and_key(keys)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // A resumed session skips the check of the client's certificate: one that was revoked or has expired would come
    // in. So there is nothing to resume: no tickets, no stored sessions, and no data before the handshake ends.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// A member's side, for tests, probes and load generators that speak TLS without a gRPC client.
pub fn client_config(ca_pem: &str, keys: &KeyAndChain) -> Result<Arc<ClientConfig>, TlsError> {
    let (chain, key) = chain_and_key(keys)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots(ca_pem)?)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Why a TLS configuration could not be made. All of these are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The roots cannot be read, or there is none, or there are too many.
    #[error("roots: must be 1 to {ROOTS_MAX} certificates in PEM")]
    Roots,
    /// A root cannot be read as a certificate.
    #[error("roots: {0}")]
    Root(#[from] BadCertificate),
    /// A root is no authority. As a trust anchor it could nevertheless sign for anyone.
    #[error("roots: a certificate among them is not an authority's")]
    RootNotAuthority,
    /// Two different roots have the same subject, so verifiers would try only one of them.
    #[error("roots: two of them have the same subject name; give a new authority a new name")]
    SameSubject,
    /// The hub's own certificate chain or key cannot be read.
    #[error("server certificate: the chain or the private key is not valid PEM")]
    KeyAndChain,
    /// A revocation list cannot be read.
    #[error("revocation lists: not valid PEM")]
    CrlPem,
    /// The roots and revocation lists do not make a verifier.
    #[error("revocation lists: {0}")]
    Crl(VerifierBuilderError),
    /// TLS refuses the rest: most often a key that is not the certificate's.
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Named here rather than taken from the process, so that no other crate's choice of default changes our TLS. With the
/// feature `prefer-post-quantum` it offers X25519MLKEM768 first.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(ca_pem: &str) -> Result<RootCertStore, TlsError> {
    let ders: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(ca_pem.as_bytes())
        .take(ROOTS_MAX + 1)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::Roots)?;
    if ders.is_empty() || ders.len() > ROOTS_MAX {
        return Err(TlsError::Roots);
    }
    let mut store = RootCertStore::empty();
    let mut subjects = HashSet::new();
    for der in &ders {
        let root = certificate::parse(der)?;
        if !certificate::is_authority(&root)? {
            return Err(TlsError::RootNotAuthority);
        }
        if !subjects.insert(root.subject().as_raw().to_vec()) {
            return Err(TlsError::SameSubject);
        }
        store.add(der.clone().into_owned())?;
    }
    Ok(store)
}

fn revocation_lists(crl_pem: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(crl_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::CrlPem)?;
    // An empty file would quietly mean "no revocation", which nobody who configures a list wants.
    if lists.is_empty() {
        Err(TlsError::CrlPem)
    } else {
        Ok(lists)
    }
}

fn chain_and_key(keys: &KeyAndChain) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(keys.chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::KeyAndChain)?;
    let key = PrivateKeyDer::from_pem_slice(keys.key_pem.as_bytes()).map_err(|_| TlsError::KeyAndChain)?;
    if chain.is_empty() {
        Err(TlsError::KeyAndChain)
    } else {
        Ok((chain, key))
    }
}
