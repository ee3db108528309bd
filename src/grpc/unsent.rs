//! How much of requests that are not complete one member may leave in the hub, and for how long. A message is put together in
//! memory before anybody looks at it; without a limit, a few connections full of messages that never end would hold it all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::StdError;

use crate::hub::Caller;
use crate::hub::error::HubError;

use super::places::Places;
use super::status;

/// The one method whose request may go on for ever; each of its messages is answered.
const STREAM_PATH: &str = "/clearinghouse.v1.PublishService/PublishStream";

/// Bytes of one member's requests that may be incomplete at once: four messages of the largest size, or very many usual ones.
const UNSENT_BYTES_PER_MEMBER_MAX: usize = 32 << 20;

/// Streams of requests that one member may have open, each of which may hold one incomplete message.
const STREAMS_PER_MEMBER_MAX: usize = 32;

/// How long a request may take to arrive: the largest message comes through at 4 Mbit/s.
const ARRIVAL_MAX: Duration = Duration::from_secs(20);

/// When a refused peer may come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What members have left.
pub struct Budgets {
    bytes: Places,
    streams: Places,
}

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets {
            bytes: Places::new(UNSENT_BYTES_PER_MEMBER_MAX),
            streams: Places::new(STREAMS_PER_MEMBER_MAX),
        }
    }
}

impl Budgets {
    /// Puts a request's body under its member's budget.
    pub fn limit<B>(&self, request: Request<B>) -> Result<Request<Body>, Status>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<StdError>,
    {
        let Some(member) = request.extensions().get::<Caller>().map(|caller| caller.member) else {
            return Ok(request.map(Body::new));
        };
        if request.uri().path() != STREAM_PATH {
            let bytes = self.bytes.of(member);
            return Ok(request.map(|body| Body::new(Arriving::new(body, bytes))));
        }
        let place = self.streams.of(member).try_acquire_owned();
        let place = place.map_err(|_| refused("too many streams of this member's requests are open"))?;
        Ok(request.map(|body| Body::new(Held { body, _place: place })))
    }
}

fn refused(reason: &'static str) -> Status {
    status::from_hub(HubError::Exhausted {
        reason,
        retry_after: RETRY_AFTER,
    })
}

/// A body that is counted as it arrives. It is dropped once its message is complete, and its bytes are free again.
struct Arriving<B> {
    body: B,
    budget: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
    /// Set once there is something to wait for: most bodies are there when they are asked for.
    too_late: Option<Pin<Box<Sleep>>>,
}

impl<B> Arriving<B> {
    fn new(body: B, budget: Arc<Semaphore>) -> Arriving<B> {
        Arriving {
            body,
            budget,
            taken: None,
            too_late: None,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Status> {
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(permit) = self.budget.clone().try_acquire_many_owned(wanted) else {
            return Err(refused("too many bytes of this member's requests are incomplete"));
        };
        match &mut self.taken {
            None => self.taken = Some(permit),
            Some(taken) => taken.merge(permit),
        }
        Ok(())
    }

    fn poll_too_late(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let too_late = self
            .too_late
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(ARRIVAL_MAX)));
        ready!(too_late.as_mut().poll(context));
        Poll::Ready(Status::deadline_exceeded("the request did not arrive in time"))
    }
}

impl<B> HttpBody for Arriving<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                return self.poll_too_late(context).map(|late| Some(Err(late.into())));
            }
        };
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        match self.take(bytes) {
            Ok(()) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Err(refused) => Poll::Ready(Some(Err(refused.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// A body that keeps its stream's place.
struct Held<B> {
    body: B,
    _place: OwnedSemaphorePermit,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

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
