//! The gRPC door.

pub mod encoded;

/// The wire API: messages and clients, as generated from `proto/clearinghouse/v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod wire {
    tonic::include_proto!("clearinghouse.v1");
}

/// The servers' side of the wire API. Responses that carry indicators are [`encoded::Encoded`].
#[allow(missing_docs, unused, clippy::all, clippy::pedantic)]
mod server {
    include!(concat!(env!("OUT_DIR"), "/server/clearinghouse.v1.rs"));
}
