//! Who calls: asked of the hub on each request, before any service sees it, so that a change of rights acts on open connections.

use http::Request;
use tonic::Status;

use crate::domain::id::InvitationId;
use crate::hub::quota::Place;
use crate::hub::{Caller, Hub};
use crate::pki::Peer;

use super::status;

/// The one service that an invitation's certificate opens.
const ENROLMENT_PATH: &str = "/clearinghouse.v1.EnrolmentService/";

/// Lets agents through to all services but enrolment, and invitations to enrolment alone: the request says then whose it is. An
/// agent's has a place among its member's requests.
pub fn authenticate<B>(hub: &Hub, request: &mut Request<B>) -> Result<Option<Place>, Status> {
    // The listener puts the peer on each request; a request without one did not come through it.
    let peer = request.extensions().get::<Peer>();
    let peer = peer.ok_or_else(|| Status::unauthenticated("a client certificate is required"))?;
    if peer.cut().is_cancelled() {
        return Err(Status::unauthenticated("the certificate was revoked"));
    }
    if request.uri().path().starts_with(ENROLMENT_PATH) {
        let invitation = hub.authenticate_invitation(peer.certificate());
        let invitation = invitation.map_err(status::from_hub)?;
        request.extensions_mut().insert(invitation);
        return Ok(None);
    }
    let caller = hub.authenticate(peer.certificate()).map_err(status::from_hub)?;
    let place = hub.admit_request(&caller).map_err(status::from_hub)?;
    request.extensions_mut().insert(caller);
    Ok(Some(place))
}

/// Why a call that was open is cut: what the hub says of its certificate by now.
pub fn cut_off(hub: &Hub, peer: &Peer) -> Status {
    match hub.authenticate(peer.certificate()) {
        Err(error) => status::from_hub(error),
        Ok(_) => Status::unauthenticated("the connection was cut"),
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
