//! Which service answers which call. Nothing is checked here.

use std::collections::HashMap;
use std::convert::Infallible;

use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tonic_health::server::HealthReporter;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use super::server::assessment_service_server::AssessmentServiceServer;
use super::server::disclosure_service_server::DisclosureServiceServer;
use super::server::enrolment_service_server::EnrolmentServiceServer;
use super::server::erasure_service_server::ErasureServiceServer;
use super::server::feed_service_server::FeedServiceServer;
use super::server::membership_service_server::MembershipServiceServer;
use super::server::publish_service_server::PublishServiceServer;
use super::server::query_service_server::QueryServiceServer;
use super::server::recall_service_server::RecallServiceServer;
use super::{
    MESSAGE_BYTES_MAX, assessment_service, disclosure_service, enrolment_service, erasure_service, feed_service,
    membership_service, publish_service, query_service, recall_service,
};
use crate::hub::Hub;

/// The descriptors of the wire API, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

type Boxed = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// All services by their names, which are the first parts of paths.
#[derive(Default)]
pub struct Services(HashMap<&'static str, Boxed>);

macro_rules! limited {
    ($server:expr) => {
        $server
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
    };
}

impl Services {
    /// Those of a hub, and whom to tell how it is.
    pub fn new(hub: &Hub) -> (HealthReporter, Services) {
        let (reporter, health) = tonic_health::server::health_reporter();
        let hub = || hub.clone();
        let mut services = Services::default();
        services.add(limited!(PublishServiceServer::new(
            publish_service::Service::new(hub())
        )));
        services.add(limited!(FeedServiceServer::new(feed_service::Service::new(hub()))));
        services.add(limited!(QueryServiceServer::new(query_service::Service::new(hub()))));
        services.add(limited!(MembershipServiceServer::new(
            membership_service::Service::new(hub())
        )));
        services.add(limited!(EnrolmentServiceServer::new(enrolment_service::Service::new(
            hub()
        ))));
        services.add(limited!(AssessmentServiceServer::new(
            assessment_service::Service::new(hub())
        )));
        services.add(limited!(DisclosureServiceServer::new(
            disclosure_service::Service::new(hub())
        )));
        services.add(limited!(RecallServiceServer::new(recall_service::Service::new(hub()))));
        services.add(limited!(ErasureServiceServer::new(
            erasure_service::Service::new(hub())
        )));
        services.add(health);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .build_v1();
        match reflection {
            Ok(reflection) => services.add(reflection),
            Err(error) => tracing::error!(%error, "reflection is off: the descriptors cannot be served"),
        }
        (reporter, services)
    }

    fn add<S>(&mut self, service: S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.0.insert(S::NAME, BoxCloneSyncService::new(service));
    }

    /// What the service says that the path names.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let named = request
            .uri()
            .path()
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'));
        match named.and_then(|(name, _)| self.0.get(name)) {
            Some(service) => {
                let Ok(answer) = service.clone().oneshot(request).await;
                answer
            }
            None => not_found(&request),
        }
    }
}

/// A path that nobody serves is answered as gRPC wants it, or as 404.
fn not_found(request: &Request<Body>) -> Response<Body> {
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
    if content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        return Status::unimplemented("no such method").into_http();
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
