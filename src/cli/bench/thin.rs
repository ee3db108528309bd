//! The hub's answers as a bench reads them: the fields that it counts, the rest skipped. Client and server share the machine, so
//! what the client does with an answer is taken from the server. Owns the paths of the calls; a test holds that these messages read
//! what the API's messages write.

use http::uri::PathAndQuery;
use prost::DecodeError;
use prost::bytes::{Buf, BufMut, Bytes};
use prost::encoding::{self, DecodeContext, WireType};
use prost_types::Timestamp;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::tally::Done;
use crate::cli::connection::{Connection, MESSAGE_BYTES_MAX};
use crate::grpc::encoded::Encoded;
use crate::grpc::wire;

const PUBLISH: &str = "/clearinghouse.v1.PublishService/Publish";
const PUBLISH_STREAM: &str = "/clearinghouse.v1.PublishService/PublishStream";
const SUBSCRIBE: &str = "/clearinghouse.v1.FeedService/Subscribe";
const LOOKUP: &str = "/clearinghouse.v1.QueryService/Lookup";

/// `PublishResponse` and `PublishStreamResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Published {
    /// One for each item.
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<Outcome>,
}

/// `PublishResult`: which of the three it was.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Outcome {
    /// `accepted`.
    #[prost(message, optional, tag = "1")]
    pub accepted: Option<Nothing>,
    /// `duplicate`.
    #[prost(message, optional, tag = "2")]
    pub duplicate: Option<Nothing>,
    /// `rejected`.
    #[prost(message, optional, tag = "3")]
    pub rejected: Option<Nothing>,
}

/// A message of which nothing is read.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Nothing {}

/// `LookupResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Found {
    /// One for each value.
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<FoundOne>,
}

/// `LookupResult`: how many matches it has.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FoundOne {
    /// `matches`.
    #[prost(message, repeated, tag = "5")]
    pub matches: Vec<Nothing>,
}

/// `SubscribeResponse`: how many indicators it has, and when a part of them were sent.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changes {
    /// How many `upserts`.
    pub upserts: u64,
    /// Of the first of them, and then of each [`TIMED_EVERY`]th, when its publisher sent it, which the bench writes into `last_seen`.
    pub sent: Vec<Timestamp>,
    /// `cursor`.
    pub cursor: Bytes,
    /// `live`.
    pub live: bool,
    /// `digest`.
    pub digest: Option<wire::Digest>,
}

/// Indicators of a response of which one is read, and the others are counted.
const TIMED_EVERY: u64 = 16;

/// `Indicator`: when its publisher sent it.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Upsert {
    /// `last_seen`.
    #[prost(message, optional, tag = "16")]
    last_seen: Option<Timestamp>,
}

impl prost::Message for Changes {
    fn encode_raw(&self, _: &mut impl BufMut) {}

    fn encoded_len(&self) -> usize {
        0
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 if self.upserts.is_multiple_of(TIMED_EVERY) => {
                self.upserts += 1;
                let mut upsert = Upsert::default();
                encoding::message::merge(wire_type, &mut upsert, buffer, context)?;
                self.sent.extend(upsert.last_seen);
                Ok(())
            }
            1 => {
                self.upserts += 1;
                encoding::skip_field(wire_type, tag, buffer, context)
            }
            3 => encoding::bytes::merge(wire_type, &mut self.cursor, buffer, context),
            4 => encoding::bool::merge(wire_type, &mut self.live, buffer, context),
            5 => encoding::message::merge(wire_type, self.digest.get_or_insert_default(), buffer, context),
            _ => encoding::skip_field(wire_type, tag, buffer, context),
        }
    }

    fn clear(&mut self) {
        *self = Changes::default();
    }
}

impl Published {
    /// What the call did.
    pub fn done(&self) -> Done {
        let count = |is: fn(&Outcome) -> bool| self.results.iter().filter(|outcome| is(outcome)).count() as u64;
        Done {
            items: self.results.len() as u64,
            duplicates: count(|outcome| outcome.duplicate.is_some()),
            rejected: count(|outcome| outcome.rejected.is_some()),
            ..Done::default()
        }
    }
}

/// The calls of a bench over one connection.
#[derive(Clone)]
pub struct Client {
    grpc: tonic::client::Grpc<Channel>,
}

impl Client {
    /// Over a connection.
    pub fn new(connection: &Connection) -> Client {
        let grpc = tonic::client::Grpc::new(connection.channel()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Client { grpc }
    }

    /// `Publish`.
    pub async fn publish(&mut self, request: Encoded) -> Result<Published, Status> {
        self.unary(PUBLISH, request).await
    }

    /// `Lookup`.
    pub async fn lookup(&mut self, request: wire::LookupRequest) -> Result<Found, Status> {
        self.unary(LOOKUP, request).await
    }

    /// `PublishStream`.
    pub async fn publish_stream(
        &mut self,
        requests: impl tokio_stream::Stream<Item = Encoded> + Send + 'static,
    ) -> Result<Streaming<Published>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(PUBLISH_STREAM);
        let answers = self
            .grpc
            .streaming(Request::new(requests), path, ProstCodec::default())
            .await?;
        Ok(answers.into_inner())
    }

    /// `Subscribe`.
    pub async fn subscribe(&mut self, request: wire::SubscribeRequest) -> Result<Streaming<Changes>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(SUBSCRIBE);
        let changes = self
            .grpc
            .server_streaming(Request::new(request), path, ProstCodec::default())
            .await?;
        Ok(changes.into_inner())
    }

    async fn unary<M, A>(&mut self, path: &'static str, request: M) -> Result<A, Status>
    where
        M: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.ready().await?;
        let path = PathAndQuery::from_static(path);
        let answer = self
            .grpc
            .unary(Request::new(request), path, ProstCodec::default())
            .await?;
        Ok(answer.into_inner())
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Status::unavailable(format!("the connection broke: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use wire::publish_result::Outcome as Full;

    #[test]
    fn thin_messages_read_what_the_api_writes() {
        let outcomes = [
            Full::Accepted(wire::Accepted {
                id: "a".into(),
                revision: 1,
                ..Default::default()
            }),
            Full::Duplicate(wire::Duplicate {
                id: "b".into(),
                revision: 2,
            }),
            Full::Rejected(wire::Rejected {
                reason: "c".into(),
                ..Default::default()
            }),
        ];
        let results = outcomes
            .map(|outcome| wire::PublishResult { outcome: Some(outcome) })
            .to_vec();
        let published = Published::decode(&*wire::PublishResponse { results }.encode_to_vec()).unwrap();
        let done = published.done();
        assert_eq!((done.items, done.duplicates, done.rejected), (3, 1, 1));

        let result = wire::LookupResult {
            raw: "r".into(),
            matches: vec![wire::Match::default(); 2],
            ..Default::default()
        };
        let found = Found::decode(&*wire::LookupResponse { results: vec![result] }.encode_to_vec()).unwrap();
        assert_eq!(found.results[0].matches.len(), 2);

        let last_seen = |seconds| Some(Timestamp { seconds, nanos: 6 });
        let upserts = (0..40).map(|number| wire::Indicator {
            note: "n".into(),
            last_seen: last_seen(number),
            ..Default::default()
        });
        let response = wire::SubscribeResponse {
            upserts: upserts.collect(),
            removals: vec![wire::Removal::default()],
            cursor: b"cursor".to_vec(),
            live: true,
            digest: Some(wire::Digest {
                count: 9,
                hash: b"hash".to_vec(),
            }),
        };
        let changes = Changes::decode(&*response.encode_to_vec()).unwrap();
        let sent: Vec<_> = [0, 16, 32].into_iter().filter_map(last_seen).collect();
        assert_eq!((changes.upserts, changes.sent, changes.live), (40, sent, true));
        assert_eq!((changes.digest, &*changes.cursor), (response.digest, &b"cursor"[..]));
    }
}
