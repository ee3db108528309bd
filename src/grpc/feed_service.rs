//! Feeds: the hub's batches as a stream of encoded responses.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio_stream::Stream;
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
        tracing::info!(member = %caller.member, agent = %caller.agent, name, "feed opened");
        Ok(Response::new(Box::pin(Responses::of(feed, peer, until_live))))
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

/// The responses of one feed. Each is made when the connection has room for it: what a slow subscriber does not read is not made, and
/// costs the hub no memory.
struct Responses {
    making: Option<Making>,
    peer: Peer,
    until_live: bool,
}

/// The next response in the making, and the feed unless it was the last.
type Making = Pin<Box<dyn Future<Output = (Option<Feed>, Result<Encoded, Status>)> + Send>>;

impl Responses {
    fn of(feed: Feed, peer: Peer, until_live: bool) -> Responses {
        Responses {
            making: Some(Box::pin(make(feed, peer.clone(), until_live))),
            peer,
            until_live,
        }
    }
}

impl Stream for Responses {
    type Item = Result<Encoded, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(making) = &mut self.making else {
            return Poll::Ready(None);
        };
        let (feed, response) = ready!(making.as_mut().poll(context));
        let (peer, until_live) = (self.peer.clone(), self.until_live);
        self.making = feed.map(|feed| -> Making { Box::pin(make(feed, peer, until_live)) });
        Poll::Ready(Some(response))
    }
}

async fn make(mut feed: Feed, peer: Peer, until_live: bool) -> (Option<Feed>, Result<Encoded, Status>) {
    let batch = tokio::select! {
        biased;
        () = peer.cut().cancelled() => {
            return (None, Err(access::cut_off(feed.hub(), &peer)));
        }
        batch = feed.next() => batch,
    };
    match batch {
        Ok(batch) => {
            let last = until_live && batch.live.is_some();
            metrics::counter!("clearinghouse_feed_upserts_total").increment(batch.upserts.len() as u64);
            metrics::counter!("clearinghouse_feed_removals_total").increment(batch.removals.len() as u64);
            ((!last).then_some(feed), Ok(response(batch)))
        }
        Err(error) => (None, Err(status::from_hub(error))),
    }
}

/// Number of the field `upserts` in `SubscribeResponse`.
const UPSERTS: u32 = 1;

/// Made once for all feeds that send the same.
fn encode_upserts(releases: &[Release<Sighting>]) -> Bytes {
    let mut encoded = Encoded::with_capacity(convert::indicators_bytes(releases));
    for release in releases {
        let bytes = convert::indicator_bytes(release);
        encoded.push_long_field(UPSERTS, bytes, |indicator| convert::indicator(release, indicator));
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
    let mut response = Encoded::ending_with(upserts.encoded(encode_upserts));
    response.push_message(&wire::SubscribeResponse {
        upserts: Vec::new(),
        removals: removals.into_iter().map(convert::removal).collect(),
        cursor: cursor.into(),
        live: live.is_some(),
        digest: live.map(convert::digest),
    });
    response
}
