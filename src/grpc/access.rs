//! Who calls: asked of the hub on each request, before any service sees it, so that a change of rights acts on open connections.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::Status;

use crate::domain::id::InvitationId;
use crate::hub::{Caller, Hub};
use crate::pki::Peer;

use super::status;

/// The one service that an invitation's certificate opens.
const ENROLMENT_PATH: &str = "/clearinghouse.v1.EnrolmentService/";

/// Lets agents through to all services but enrolment, and invitations to enrolment alone.
pub async fn authenticate(State(hub): State<Hub>, mut request: Request, next: Next) -> Response {
    // The listener puts the peer on each request; a request without one did not come through it.
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Status::unauthenticated("a client certificate is required").into_http();
    };
    if peer.cut().is_cancelled() {
        return Status::unauthenticated("the certificate was revoked").into_http();
    }
    let allowed = if request.uri().path().starts_with(ENROLMENT_PATH) {
        let invitation = hub.authenticate_invitation(peer.certificate());
        invitation.map(|invitation| {
            request.extensions_mut().insert(invitation);
            None
        })
    } else {
        let caller = hub.authenticate(peer.certificate());
        caller.and_then(|caller| {
            let place = hub.admit_request(&caller)?;
            request.extensions_mut().insert(caller);
            Ok(Some(place))
        })
    };
    match allowed {
        // The place among the member's requests is held until the answer, or the stream of answers, is there.
        Ok(_place) => next.run(request).await,
        Err(error) => status::from_hub(error).into_http(),
    }
}

/// Why a call that was open is cut: what the hub says of its certificate by now.
pub fn cut_off(hub: &Hub, peer: &Peer) -> Status {
    match hub.authenticate(peer.certificate()) {
        Err(error) => status::from_hub(error),
        Ok(_) => Status::unauthenticated("the connection was cut"),
    }
}

/// A path that nobody serves.
pub async fn not_found(request: Request) -> Response {
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
    match content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        true => Status::unimplemented("no such method").into_http(),
        false => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The agent that [`authenticate`] let through.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| Status::unauthenticated("no agent"))
}

/// The invitation that [`authenticate`] let through.
pub fn invitation<T>(request: &tonic::Request<T>) -> Result<InvitationId, Status> {
    request
        .extensions()
        .get::<InvitationId>()
        .copied()
        .ok_or_else(|| Status::unauthenticated("no invitation"))
}

/// The peer behind a request.
pub fn peer<T>(request: &tonic::Request<T>) -> Result<Peer, Status> {
    request
        .extensions()
        .get::<Peer>()
        .cloned()
        .ok_or_else(|| Status::unauthenticated("no peer"))
}
