//! Publishing, revising, retracting.

use std::pin::Pin;

use bytes::Bytes;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::domain::id::IndicatorId;
use crate::domain::indicator::Text;
use crate::domain::violation::Violation;
use crate::hub::publish::{ITEMS_MAX, Outcome};
use crate::hub::{Caller, Hub};
use crate::pki::Peer;

use super::drafts::{Drafts, check_request_id};
use super::encoded::Encoded;
use super::items::Items;
use super::server::publish_service_server::PublishService;
use super::{access, convert, status, wire};

/// The number of the field `results` of each answer.
const RESULTS: u32 = 1;

/// What the result of an accepted item takes in an answer: an id in text, a revision and three heads.
const RESULT_BYTES: usize = 44;

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
    async fn publish(&self, request: Request<Items>) -> Result<Response<Encoded>, Status> {
        let caller = access::caller(&request)?;
        let Items { items } = request.into_inner();
        Ok(Response::new(publish(&self.hub, &caller, items).await?))
    }

    type PublishStreamStream = Pin<Box<dyn Stream<Item = Result<Encoded, Status>> + Send>>;

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
        Ok(Response::new(Box::pin(ReceiverStream::new(answered))))
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

    async fn retract(&self, request: Request<wire::RetractRequest>) -> Result<Response<Encoded>, Status> {
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
        Ok(Response::new(results(&outcomes)))
    }
}

/// Answers the requests of one stream, in their order. Those that have arrived are published together: while one lot is being written,
/// the next arrives. A client that does not read its answers is not read either.
async fn publish_all(
    hub: Hub,
    caller: Caller,
    peer: Peer,
    mut requests: Streaming<Items>,
    answers: tokio::sync::mpsc::Sender<Result<Encoded, Status>>,
) {
    let (mut left, mut drafts) = (None, Drafts::default());
    loop {
        let first = match left.take() {
            Some(request) => Some(Ok(request)),
            None => tokio::select! {
                biased;
                () = peer.cut().cancelled() => Some(Err(access::cut_off(&hub, &peer))),
                next = requests.next() => next,
            },
        };
        let mut lot = Lot::gather(first, &mut requests).await;
        left = lot.left.take();
        let published = match lot.items.is_empty() {
            true => Ok(Vec::new()),
            false => {
                let items = lot.items.into_iter().map(|item| drafts.item(&item));
                hub.publish(&caller, items).await
            }
        };
        let end = match &published {
            Ok(_) => lot.end,
            Err(error) => End::Failed(status::from_hub(error.clone())),
        };
        let mut outcomes = published.unwrap_or_default().into_iter();
        for count in lot.counts {
            let these: Vec<Outcome> = outcomes.by_ref().take(count).collect();
            // Where nothing was published there are none, and the reason comes after.
            if !these.is_empty() && answers.send(Ok(results(&these))).await.is_err() {
                return;
            }
        }
        match end {
            End::None => {}
            End::Closed => return,
            End::Failed(status) => {
                // Whoever has gone needs no reason.
                let _ = answers.send(Err(status)).await;
                return;
            }
        }
    }
}

/// Requests of one stream that are published together.
struct Lot {
    items: Vec<Bytes>,
    /// How many of the items each request has; none has no item.
    counts: Vec<usize>,
    /// A request that has arrived and is for the next lot.
    left: Option<Items>,
    end: End,
}

/// Why there will be no further lot.
enum End {
    /// There will be.
    None,
    /// The client has said all.
    Closed,
    /// A request cannot be answered, and neither can what comes after it.
    Failed(Status),
}

impl Lot {
    /// Takes what has arrived after `first`, and waits for nothing; all together no more than one request may have.
    async fn gather(first: Option<Result<Items, Status>>, requests: &mut Streaming<Items>) -> Lot {
        let mut lot = Lot {
            items: Vec::new(),
            counts: Vec::new(),
            left: None,
            end: End::None,
        };
        let mut next = first;
        while lot.takes(next) && lot.counts.len() < UNANSWERED_MAX {
            next = tokio::select! {
                biased;
                next = requests.next() => next,
                () = std::future::ready(()) => break,
            };
        }
        lot
    }

    /// Takes a request, if it is one and there is room. False where the lot ends.
    fn takes(&mut self, next: Option<Result<Items, Status>>) -> bool {
        let checked = next.map(|next| {
            let Items { items } = next?;
            check_count("items", items.len()).map_err(status::invalid)?;
            Ok(items)
        });
        match checked {
            None => self.end = End::Closed,
            Some(Err(status)) => self.end = End::Failed(status),
            Some(Ok(items)) if self.items.len() + items.len() > ITEMS_MAX => self.left = Some(Items { items }),
            Some(Ok(items)) => {
                self.counts.push(items.len());
                self.items.extend(items);
                return true;
            }
        }
        false
    }
}

async fn publish(hub: &Hub, caller: &Caller, items: Vec<Bytes>) -> Result<Encoded, Status> {
    check_count("items", items.len()).map_err(status::invalid)?;
    let mut drafts = Drafts::default();
    // Lazily: the hub asks for an item when the member has its turn.
    let items = items.into_iter().map(|item| drafts.item(&item));
    let outcomes = hub.publish(caller, items).await.map_err(status::from_hub)?;
    Ok(results(&outcomes))
}

/// `PublishResponse`, `PublishStreamResponse` or `RetractResponse`, which have the same one field.
fn results(outcomes: &[Outcome]) -> Encoded {
    let mut response = Encoded::with_capacity(outcomes.len() * RESULT_BYTES);
    for outcome in outcomes {
        response.push_field(RESULTS, |result| convert::outcome(outcome, result));
    }
    response
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
