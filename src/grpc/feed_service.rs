//! Feeds: the hub's batches as a stream of encoded responses.

use std::pin::Pin;

use bytes::Bytes;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::domain::agent::AgentName;
use crate::domain::filter::Filter;
use crate::domain::policy::Release;
use crate::domain::subscription::SubscriptionName;
use crate::domain::violation::Violation;
use crate::hub::feed::{Batch, Feed};
use crate::hub::{Hub, Sighting};
use crate::pki::Peer;

use super::encoded::Encoded;
use super::server::feed_service_server::FeedService;
use super::{access, convert, status, wire};

/// Responses made ahead of a slow subscriber. What it does not read is not made: it costs the hub no more than this.
const RESPONSES_AHEAD_MAX: usize = 2;

pub struct Service {
    hub: Hub,
}

impl Service {
    pub fn new(hub: Hub) -> Service {
        Service { hub }
    }
}

#[tonic::async_trait]
impl FeedService for Service {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<Encoded, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<wire::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let caller = access::caller(&request)?;
        let peer = access::peer(&request)?;
        let wire::SubscribeRequest {
            filter,
            cursor,
            name,
            until_live,
        } = request.into_inner();
        let durable = match name.is_empty() {
            true => None,
            false => Some(SubscriptionName::parse("name", &name).map_err(status::invalid)?),
        };
        let filter = match filter {
            None => Filter::default(),
            Some(filter) => convert::filter(filter).map_err(|violation| status::invalid(violation.within("filter")))?,
        };
        let feed = match durable {
            None => self.hub.subscribe(&caller, filter, &cursor),
            Some(name) => self.hub.subscribe_durable(&caller, name, filter, &cursor).await,
        };
        let feed = feed.map_err(status::from_hub)?;
        let (responses, stream) = tokio::sync::mpsc::channel(RESPONSES_AHEAD_MAX);
        tracing::info!(member = %caller.member, agent = %caller.agent, name, "feed opened");
        tokio::spawn(send_all(feed, peer, until_live, responses));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn acknowledge(
        &self,
        request: Request<wire::AcknowledgeRequest>,
    ) -> Result<Response<wire::AcknowledgeResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::AcknowledgeRequest { name, cursor } = request.into_inner();
        let name = SubscriptionName::parse("name", &name).map_err(status::invalid)?;
        let confirmed = self.hub.acknowledge(&caller, name, &cursor).await;
        Ok(Response::new(wire::AcknowledgeResponse {
            recalls_confirmed: confirmed.map_err(status::from_hub)?,
        }))
    }

    async fn list_subscriptions(
        &self,
        request: Request<wire::ListSubscriptionsRequest>,
    ) -> Result<Response<wire::ListSubscriptionsResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListSubscriptionsRequest {} = request.into_inner();
        let subscriptions = self.hub.subscriptions(&caller).await.map_err(status::from_hub)?;
        Ok(Response::new(wire::ListSubscriptionsResponse {
            subscriptions: subscriptions.into_iter().map(convert::subscription).collect(),
        }))
    }

    async fn drop_subscription(
        &self,
        request: Request<wire::DropSubscriptionRequest>,
    ) -> Result<Response<wire::DropSubscriptionResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::DropSubscriptionRequest { agent, name } = request.into_inner();
        let agent = match agent.is_empty() {
            true => caller.agent.clone(),
            false => agent
                .parse::<AgentName>()
                .map_err(|_| status::invalid(Violation::new("agent", "is no name of an agent")))?,
        };
        let name = SubscriptionName::parse("name", &name).map_err(status::invalid)?;
        let dropped = self.hub.drop_subscription(&caller, agent, name).await;
        dropped.map_err(status::from_hub)?;
        Ok(Response::new(wire::DropSubscriptionResponse {}))
    }
}

async fn send_all(
    mut feed: Feed,
    peer: Peer,
    until_live: bool,
    responses: tokio::sync::mpsc::Sender<Result<Encoded, Status>>,
) {
    loop {
        let Ok(room) = responses.reserve().await else { break };
        let batch = tokio::select! {
            () = peer.cut().cancelled() => {
                room.send(Err(Status::unauthenticated("the agent's rights have ended")));
                break;
            }
            () = responses.closed() => break,
            batch = feed.next() => batch,
        };
        match batch {
            Ok(batch) => {
                let last = until_live && batch.live.is_some();
                metrics::counter!("clearinghouse_feed_upserts_total").increment(batch.upserts.len() as u64);
                metrics::counter!("clearinghouse_feed_removals_total").increment(batch.removals.len() as u64);
                room.send(Ok(response(batch)));
                if last {
                    break;
                }
            }
            Err(error) => {
                room.send(Err(status::from_hub(error)));
                break;
            }
        }
    }
}

/// Number of the field `upserts` in `SubscribeResponse`.
const UPSERTS: u32 = 1;

/// What an indicator takes in a response besides its body, most often.
const INDICATOR_BYTES_MORE: usize = 8;

/// Made once for all feeds that send the same.
fn encode_upserts(releases: &[Release<Sighting>]) -> Bytes {
    let sizes = releases
        .iter()
        .map(|release| release.body().body.len() + INDICATOR_BYTES_MORE);
    let mut encoded = Encoded::with_capacity(sizes.sum());
    for release in releases {
        encoded.push_field(UPSERTS, |indicator| convert::indicator(release, indicator));
    }
    encoded.into_bytes()
}

fn response(batch: Batch) -> Encoded {
    let Batch {
        upserts,
        removals,
        cursor,
        live,
    } = batch;
    let mut response = Encoded::default();
    if !upserts.is_empty() {
        response.push(&upserts.encoded(encode_upserts));
    }
    response.push_message(&wire::SubscribeResponse {
        upserts: Vec::new(),
        removals: removals.into_iter().map(convert::removal).collect(),
        cursor: cursor.into(),
        live: live.is_some(),
        digest: live.map(convert::digest),
    });
    response
}
