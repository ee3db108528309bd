//! Publishing, revising, retracting.

use std::pin::Pin;

use bytes::Bytes;
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::domain::id::IndicatorId;
use crate::domain::indicator::Text;
use crate::domain::violation::Violation;
use crate::hub::publish::{ITEMS_MAX, Item, REQUEST_ID_BYTES_MAX};
use crate::hub::{Caller, Hub};
use crate::pki::Peer;

use super::items::Items;
use super::server::publish_service_server::PublishService;
use super::{access, convert, status, wire};

/// Requests of one stream that may await their answer.
const UNANSWERED_MAX: usize = 64;

pub struct Service {
    hub: Hub,
}

impl Service {
    pub fn new(hub: Hub) -> Service {
        Service { hub }
    }
}

#[tonic::async_trait]
impl PublishService for Service {
    async fn publish(&self, request: Request<Items>) -> Result<Response<wire::PublishResponse>, Status> {
        let caller = access::caller(&request)?;
        let Items { items } = request.into_inner();
        let results = publish(&self.hub, &caller, items).await?;
        Ok(Response::new(wire::PublishResponse { results }))
    }

    type PublishStreamStream = Pin<Box<dyn Stream<Item = Result<wire::PublishStreamResponse, Status>> + Send>>;

    async fn publish_stream(
        &self,
        request: Request<Streaming<Items>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let caller = access::caller(&request)?;
        let peer = access::peer(&request)?;
        let (answers, answered) = tokio::sync::mpsc::channel(UNANSWERED_MAX);
        tokio::spawn(publish_all(
            self.hub.clone(),
            caller,
            peer,
            request.into_inner(),
            answers,
        ));
        // Answers come in the order of the requests, though the hub works on many at once.
        let in_order = ReceiverStream::new(answered).then(|answer: tokio::task::JoinHandle<_>| async {
            answer
                .await
                .unwrap_or_else(|_| Err(Status::internal("the request was dropped")))
        });
        Ok(Response::new(Box::pin(in_order)))
    }

    async fn revise(&self, request: Request<wire::ReviseRequest>) -> Result<Response<wire::ReviseResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ReviseRequest {
            id,
            expected_revision,
            draft,
            request_id,
            confirm_large,
        } = request.into_inner();
        let id = convert::id::<IndicatorId>("id", &id).map_err(status::invalid)?;
        check_request_id(&request_id).map_err(status::invalid)?;
        if expected_revision == 0 {
            return Err(status::invalid(Violation::new("expected_revision", "must be given")));
        }
        let mut draft = draft.ok_or_else(|| status::invalid(Violation::new("draft", "must be given")))?;
        if draft.raw.is_empty() {
            let old = self.hub.own(&caller, id).await.map_err(status::from_hub)?;
            draft.raw = old.content.raw.as_str().to_owned();
            draft.kind = convert::kind_number(old.content.observable.kind());
        }
        let content = convert::draft(draft).map_err(|violation| status::invalid(violation.within("draft")))?;
        let (id, revision) = self
            .hub
            .revise(
                &caller,
                id,
                expected_revision,
                request_id.into(),
                content,
                confirm_large,
            )
            .await
            .map_err(status::from_hub)?;
        Ok(Response::new(wire::ReviseResponse {
            id: id.to_string(),
            revision,
        }))
    }

    async fn retract(&self, request: Request<wire::RetractRequest>) -> Result<Response<wire::RetractResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::RetractRequest {
            ids,
            reason,
            confirm_large,
        } = request.into_inner();
        check_count("ids", ids.len()).map_err(status::invalid)?;
        let numbered = ids.iter().enumerate();
        let ids = numbered
            .map(|(place, id)| convert::id::<IndicatorId>(&format!("ids[{place}]"), id))
            .collect::<Result<Vec<_>, _>>()
            .map_err(status::invalid)?;
        let reason = Text::parse("reason", &reason).map_err(status::invalid)?;
        let outcomes = self
            .hub
            .retract(&caller, ids, reason, confirm_large)
            .await
            .map_err(status::from_hub)?;
        Ok(Response::new(wire::RetractResponse {
            results: outcomes.into_iter().map(convert::outcome).collect(),
        }))
    }
}

/// Answers to the requests of one stream, to be sent in their order.
type Answers = tokio::sync::mpsc::Sender<tokio::task::JoinHandle<Result<wire::PublishStreamResponse, Status>>>;

async fn publish_all(hub: Hub, caller: Caller, peer: Peer, mut requests: Streaming<Items>, answers: Answers) {
    loop {
        // Waiting for room comes first: a client that does not read its answers is not read either.
        let Ok(room) = answers.reserve().await else { return };
        let next = tokio::select! {
            () = peer.cut().cancelled() => Some(Err(Status::unauthenticated("the agent's rights have ended"))),
            next = requests.next() => next,
        };
        match next {
            None => return,
            Some(Err(status)) => {
                room.send(tokio::spawn(async { Err(status) }));
                return;
            }
            Some(Ok(Items { items })) => {
                let (hub, caller) = (hub.clone(), caller.clone());
                room.send(tokio::spawn(async move {
                    let results = publish(&hub, &caller, items).await?;
                    Ok(wire::PublishStreamResponse { results })
                }));
            }
        }
    }
}

async fn publish(hub: &Hub, caller: &Caller, items: Vec<Bytes>) -> Result<Vec<wire::PublishResult>, Status> {
    check_count("items", items.len()).map_err(status::invalid)?;
    // Lazily: the hub asks for an item when the member has its turn.
    let outcomes = hub
        .publish(caller, items.into_iter().map(item))
        .await
        .map_err(status::from_hub)?;
    Ok(outcomes.into_iter().map(convert::outcome).collect())
}

fn item(item: Bytes) -> Result<Item, Violation> {
    let item = wire::PublishItem::decode(item);
    let wire::PublishItem { request_id, draft } =
        item.map_err(|error| Violation::new("draft", format!("cannot be decoded: {error}")))?;
    check_request_id(&request_id)?;
    let draft = draft.ok_or_else(|| Violation::new("draft", "must be given"))?;
    let content = convert::draft(draft).map_err(|violation| violation.within("draft"))?;
    Ok(Item {
        request_id: request_id.into(),
        content,
    })
}

fn check_request_id(request_id: &str) -> Result<(), Violation> {
    match request_id.len() > REQUEST_ID_BYTES_MAX {
        true => Err(Violation::new(
            "request_id",
            format!("must have at most {REQUEST_ID_BYTES_MAX} bytes"),
        )),
        false => Ok(()),
    }
}

fn check_count(field: &str, count: usize) -> Result<(), Violation> {
    match (1..=ITEMS_MAX).contains(&count) {
        true => Ok(()),
        false => Err(Violation::new(
            field,
            format!("has {count} items, must have 1 to {ITEMS_MAX}"),
        )),
    }
}
