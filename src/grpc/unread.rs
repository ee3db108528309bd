//! How many answers to queries one member may leave unread. An answer lives until its last byte is taken, and a peer that opens no
//! window takes none: without a limit, a few connections full of searches would hold all of the hub's memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::OwnedSemaphorePermit;

use crate::hub::Caller;
use crate::hub::error::HubError;

use super::places::Places;
use super::status;

/// The service whose answers are large.
const QUERY_PATH: &str = "/clearinghouse.v1.QueryService/";

/// Answers of one member that may be unread at once. Those that come after them wait for their turn.
const UNREAD_PER_MEMBER_MAX: usize = 16;

/// Bytes of an answer that are handed on at once: the largest frame that a peer takes unless it said otherwise.
const PIECE_BYTES_MAX: usize = 16 << 10;

/// How long a request waits for its turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);

/// The places of all members.
pub fn places() -> Places {
    Places::new(UNREAD_PER_MEMBER_MAX)
}

/// Lets a query have its turn, and keeps its place until the answer was taken.
pub async fn limit(State(places): State<Places>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    let Some(member) = caller.map(|caller| caller.member).filter(|_| is_query(&request)) else {
        return next.run(request).await;
    };
    match tokio::time::timeout(TURN_WAIT_MAX, places.of(member).acquire_owned()).await {
        Ok(Ok(place)) => next.run(request).await.map(|body| {
            let rest = Bytes::new();
            Body::new(Placed {
                body,
                rest,
                _place: place,
            })
        }),
        // The semaphore is never closed.
        Ok(Err(_)) | Err(_) => {
            let refused = HubError::Exhausted {
                reason: "too many answers to this member's queries are unread",
                retry_after: TURN_WAIT_MAX,
            };
            status::from_hub(refused).into_http()
        }
    }
}

fn is_query(request: &Request) -> bool {
    request.uri().path().starts_with(QUERY_PATH)
}

/// An answer that has a place. It is handed on in small pieces, for HTTP/2 takes in a whole piece as soon as the peer's window has
/// room for one byte of it: handed on as a whole, a large answer would wait there, and its place be free again.
struct Placed {
    body: Body,
    /// What was taken from `body` and not yet handed on.
    rest: Bytes,
    _place: OwnedSemaphorePermit,
}

impl Placed {
    fn next_piece(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        Frame::data(self.rest.split_to(length))
    }
}

impl HttpBody for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)).map(|read| read.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(self.next_piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}
