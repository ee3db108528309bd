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

mod convert;
mod drafts;
mod items;
mod status;

mod access;
mod places;
mod unread;
mod unsent;

mod assessment_service;
mod disclosure_service;
mod enrolment_service;
mod erasure_service;
mod feed_service;
mod membership_service;
mod publish_service;
mod query_service;
mod recall_service;

use axum::Router;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::hub::Hub;

/// The descriptors of the wire API, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Largest message that is read, in bytes, also after decompression.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;

macro_rules! limited {
    ($server:expr) => {
        $server
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
    };
}

/// All services of the door behind the check of who calls. What is not found is answered as gRPC wants it, or as 404.
pub fn router(hub: &Hub) -> Router {
    use server::assessment_service_server::AssessmentServiceServer;
    use server::disclosure_service_server::DisclosureServiceServer;
    use server::enrolment_service_server::EnrolmentServiceServer;
    use server::erasure_service_server::ErasureServiceServer;
    use server::feed_service_server::FeedServiceServer;
    use server::membership_service_server::MembershipServiceServer;
    use server::publish_service_server::PublishServiceServer;
    use server::query_service_server::QueryServiceServer;
    use server::recall_service_server::RecallServiceServer;

    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1();
    tokio::spawn(report_health(reporter, hub.clone()));

    let mut routes = Routes::builder();
    routes
        .add_service(limited!(PublishServiceServer::new(publish_service::Service::new(
            hub.clone()
        ))))
        .add_service(limited!(FeedServiceServer::new(feed_service::Service::new(
            hub.clone()
        ))))
        .add_service(limited!(QueryServiceServer::new(query_service::Service::new(
            hub.clone()
        ))))
        .add_service(limited!(MembershipServiceServer::new(
            membership_service::Service::new(hub.clone())
        )))
        .add_service(limited!(EnrolmentServiceServer::new(enrolment_service::Service::new(
            hub.clone()
        ))))
        .add_service(limited!(AssessmentServiceServer::new(
            assessment_service::Service::new(hub.clone())
        )))
        .add_service(limited!(DisclosureServiceServer::new(
            disclosure_service::Service::new(hub.clone())
        )))
        .add_service(limited!(RecallServiceServer::new(recall_service::Service::new(
            hub.clone()
        ))))
        .add_service(limited!(ErasureServiceServer::new(erasure_service::Service::new(
            hub.clone()
        ))))
        .add_service(health);
    match reflection {
        Ok(reflection) => {
            routes.add_service(reflection);
        }
        Err(error) => tracing::error!(%error, "reflection is off: the descriptors cannot be served"),
    }
    let router = routes
        .routes()
        .into_axum_router()
        .reset_fallback()
        .fallback(access::not_found);
    // The layer that is added last is asked first: who calls is known before places are given.
    router
        .layer(axum::middleware::from_fn_with_state(
            unread::Budgets::default(),
            unread::limit,
        ))
        .layer(axum::middleware::from_fn_with_state(
            unsent::Budgets::default(),
            unsent::limit,
        ))
        .layer(axum::middleware::from_fn_with_state(hub.clone(), access::authenticate))
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
