//! Keys: the hub's authority, TLS, and who a certificate is.
//!
//! The room's promises, each held by a test:
//! - nobody reaches a request handler without a certificate of a trusted authority, checked in a full TLS 1.3 handshake;
//! - a certificate names one agent or one invitation and nothing else, in one exact spelling;
//! - of a certificate signing request only the public key is taken;
//! - a private key is made on the machine that uses it, and rests in a file that its owner alone can read.
//!
//! There is no task, no clock and no knowledge of membership here: the time is an argument, and whether an agent still
//! stands is asked of the roster by whoever holds a [`PeerCertificate`].

mod identity;

mod certificate;

mod validity;

mod csr;

mod template;

mod authority;

mod issue;

mod invitation;

mod private_file;

mod tls;

mod registry;

mod peer;

#[cfg(test)]
mod handshake_tests;

pub use authority::{Authority, AuthorityError};
pub use certificate::{
    BadCertificate, PeerCertificate, SERIAL_BYTES_MAX, Serial, certificate_pem, chain_not_after, peer_certificate,
};
pub use csr::{CSR_BYTES_MAX, CsrError, KeyAndCsr, new_key_and_csr};
pub use identity::{BadIdentity, BadTrustDomain, Identity, TRUST_DOMAIN_CHARS_MAX, TrustDomain};
pub use invitation::{InvitationToken, TOKEN_CHARS_MAX, TokenError};
pub use issue::{AGENT_LIFETIME_SECS, INVITATION_LIFETIME_SECS, Issued};
pub use peer::Peer;
pub use private_file::{create_private, write_private};
pub use registry::{ConnectionLimits, ConnectionRegistry, Registration, TooManyConnections};
pub use tls::{KeyAndChain, TlsError, client_config, server_config};
pub use validity::{CLOCK_SKEW_SECS, LIFETIME_MAX_SECS};
