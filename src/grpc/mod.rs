//! The gRPC door: thin services over the hub. It turns messages into domain types and back, and knows nothing else: who may call
//! is asked of the hub once per request (`access`), errors become status in one table (`status`).

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

pub mod encoded;

mod codec;
mod convert;
mod drafts;
mod items;
mod status;

mod access;
mod places;
mod unread;
mod unsent;

mod services;

mod assessment_service;
mod disclosure_service;
mod enrolment_service;
mod erasure_service;
mod feed_service;
mod membership_service;
mod publish_service;
mod query_service;
mod recall_service;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::StdError;

use crate::hub::Hub;

use services::Services;

/// Largest message that is read, in bytes, also after decompression.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// All services of the door behind the check of who calls. Cheap to clone; all clones are one door.
#[derive(Clone)]
pub struct Door(Arc<Guarded>);

/// The services, and what members have left.
struct Guarded {
    hub: Hub,
    unsent: unsent::Budgets,
    unread: unread::Budgets,
    services: Services,
}

impl Door {
    /// The door of a hub. It is to be made within the runtime that serves it.
    pub fn new(hub: &Hub) -> Door {
        let (reporter, services) = Services::new(hub);
        tokio::spawn(report_health(reporter, hub.clone()));
        Door(Arc::new(Guarded {
            hub: hub.clone(),
            unsent: unsent::Budgets::default(),
            unread: unread::Budgets::default(),
            services,
        }))
    }

    /// Answers a request, to which the listener has added the [`Peer`](crate::pki::Peer). Each call comes through here, so the steps
    /// are one future: a layer of boxes for each would cost what a small call costs. Who calls is known before places are given.
    pub async fn answer<B>(self, mut request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<StdError>,
    {
        let Guarded {
            hub,
            unsent,
            unread,
            services,
        } = &*self.0;
        // The place among the member's requests is held until the answer, or the stream of answers, is there.
        let _place = match access::authenticate(hub, &mut request) {
            Ok(place) => place,
            Err(refused) => return refused.into_http(),
        };
        match unsent.limit(request) {
            Ok(request) => unread.limit(request, |request| services.answer(request)).await,
            Err(refused) => refused.into_http(),
        }
    }
}

/// Keeps the health service in step with the hub: a hub that accepts no writes is not serving as a publisher.
async fn report_health(reporter: tonic_health::server::HealthReporter, hub: Hub) {
    use server::publish_service_server::SERVICE_NAME;
    let mut every = tokio::time::interval(std::time::Duration::from_secs(1));
    loop {
        every.tick().await;
        let status = match hub.condition().read_only {
            None => tonic_health::ServingStatus::Serving,
            Some(_) => tonic_health::ServingStatus::NotServing,
        };
        reporter.set_service_status(SERVICE_NAME, status).await;
    }
}
