//! How much of answers one member may leave unread. An answer lives until its last byte is written to the connection, and a peer that
//! opens no window, or reads nothing, takes none: without a limit, a few connections full of requests would hold all of the hub's
//! memory. Feeds and streams of publications are not answers: they make one message at a time, when there is room for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;

use crate::hub::Caller;
use crate::hub::error::HubError;

use super::places::Places;
use super::status;

/// Methods whose answer is a stream of messages. The hub's own limits count them.
const STREAMS: [&str; 2] = [
    "/clearinghouse.v1.FeedService/Subscribe",
    "/clearinghouse.v1.PublishService/PublishStream",
];

/// Where the other streams are: health and reflection, which are the same for all.
const OTHER_STREAMS: &str = "/grpc.";

/// Writes wait for one another, many at once, and are answered with little. All else may be answered with much.
const LITTLE: &str = "/clearinghouse.v1.PublishService/";

/// Answers of one member that may be in the making at once, those included that wait for room among its unread ones: they are held
/// besides those. Where there are more processors than this, so many.
const MAKING_PER_MEMBER: usize = 4;

/// Bytes of one member's answers that may be unread at once: two of the largest, or very many usual ones.
const UNREAD_BYTES_PER_MEMBER_MAX: usize = 8 << 20;

/// What an answer takes besides its bytes: its stream and what belongs to it.
const ANSWER_BYTES: usize = 4 << 10;

/// Streams of [`OTHER_STREAMS`] that one member may have open at once.
const OTHER_STREAMS_PER_MEMBER_MAX: usize = 16;

/// How long an answer waits for its turn to be made, and then for room.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);

/// What members have left.
pub struct Budgets {
    making: Places,
    bytes: Places,
    others: Places,
}

impl Default for Budgets {
    fn default() -> Budgets {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Budgets {
            making: Places::new(MAKING_PER_MEMBER.max(processors)),
            bytes: Places::new(UNREAD_BYTES_PER_MEMBER_MAX),
            others: Places::new(OTHER_STREAMS_PER_MEMBER_MAX),
        }
    }
}

impl Budgets {
    /// Lets an answer be made when its member has a turn, and hands it on once there is room for it.
    pub async fn limit(
        &self,
        request: Request<Body>,
        answer: impl AsyncFnOnce(Request<Body>) -> Response<Body>,
    ) -> Response<Body> {
        let path = request.uri().path();
        let caller = request.extensions().get::<Caller>();
        let Some(member) = caller.map(|caller| caller.member).filter(|_| !STREAMS.contains(&path)) else {
            return answer(request).await;
        };
        if path.starts_with(OTHER_STREAMS) {
            let Some(place) = turn(self.others.of(member), 1).await else {
                return refused();
            };
            let held = |body| Body::new(Held { body, _place: place });
            return answer(request).await.map(held);
        }
        let _making = match path.starts_with(LITTLE) {
            true => None,
            false => match turn(self.making.of(member), 1).await {
                None => return refused(),
                turn => turn,
            },
        };
        let (head, mut body) = answer(request).await.into_parts();
        // A service that has answered has its message at hand.
        let first = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let (message, next) = match first.map(|read| read.map(Frame::into_data)) {
            None => return Response::from_parts(head, Body::empty()),
            Some(Ok(Ok(message))) => (message, None),
            Some(Ok(Err(trailers))) => (Bytes::new(), Some(Ok(trailers))),
            Some(Err(error)) => (Bytes::new(), Some(Err(error))),
        };
        let bytes = (message.len() + ANSWER_BYTES).min(UNREAD_BYTES_PER_MEMBER_MAX);
        match turn(self.bytes.of(member), bytes).await {
            None => refused(),
            Some(room) => {
                let message = Bytes::from_owner(Charged { message, _room: room });
                Response::from_parts(head, Body::new(Answer { message, next, body }))
            }
        }
    }
}

/// So many places, once they are free. None: they were not in time.
async fn turn(places: Arc<Semaphore>, count: usize) -> Option<OwnedSemaphorePermit> {
    // No budget comes near the largest number.
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if let Ok(permit) = places.clone().try_acquire_many_owned(count) {
        return Some(permit);
    }
    let acquired = tokio::time::timeout(TURN_WAIT_MAX, places.acquire_many_owned(count)).await;
    // The semaphore is never closed.
    acquired.ok()?.ok()
}

fn refused() -> Response<Body> {
    let refused = HubError::Exhausted {
        reason: "too many answers to this member are unread",
        retry_after: TURN_WAIT_MAX,
    };
    status::from_hub(refused).into_http()
}

/// A message that has room. The room is free again when the last piece of the message has been written, wherever pieces wait until
/// then.
struct Charged {
    message: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

/// An answer whose message has room.
struct Answer {
    /// The message, until it was handed on.
    message: Bytes,
    /// What else was read from `body`.
    next: Option<Result<Frame<Bytes>, Status>>,
    body: Body,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if !self.message.is_empty() {
            let message = std::mem::take(&mut self.message);
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        match self.next.take() {
            Some(next) => Poll::Ready(Some(next)),
            None => Pin::new(&mut self.body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_empty() && self.next.is_none() && self.body.is_end_stream()
    }
}

/// A stream that keeps its place.
struct Held {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
