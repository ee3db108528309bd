//! Who is at the other end of a connection: put on each request by the listener, read by every door.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::certificate::PeerCertificate;

/// The verified certificate of a connection, and the token that is cancelled when its holder's rights end.
#[derive(Clone, Debug)]
pub struct Peer {
    certificate: Arc<PeerCertificate>,
    cut: CancellationToken,
}

impl Peer {
    /// The peer of a connection that was entered into the registry.
    pub fn new(certificate: PeerCertificate, cut: CancellationToken) -> Peer {
        Peer {
            certificate: Arc::new(certificate),
            cut,
        }
    }

    /// What TLS verified.
    pub fn certificate(&self) -> &PeerCertificate {
        &self.certificate
    }

    /// Cancelled when the connection is to be cut: streams end on it.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}
