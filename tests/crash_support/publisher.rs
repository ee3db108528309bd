//! A client that publishes, remembers what it asked and what it was told, and asks again under the same request id until it knows.

use std::sync::Arc;

use clearinghouse::grpc::wire;
use tokio::sync::Semaphore;
use tonic::transport::Channel;
use tonic::{Code, Status};
use wire::publish_result::Outcome;
use wire::publish_service_client::PublishServiceClient;

use crate::wire_support::{Credentials, TestHub, draft, green};

use super::Random;
use super::checker::Attempt;

/// Most new items in a request.
const NEW_MAX: usize = 16;
/// Most items in a request that were answered before and are asked again all the same: 200 kills ask 100,000 again.
const REPEATED_MAX: usize = 80;
/// Every so many requests, one is sent twice at once.
const TWICE_EVERY: usize = 5;

pub type Client = PublishServiceClient<Channel>;

pub struct Publisher {
    name: String,
    credentials: Credentials,
    random: Random,
    pub attempts: Vec<Attempt>,
    /// Places of those in `attempts` that were sent and not answered.
    unanswered: Vec<usize>,
    /// Items that were sent again.
    pub repeated: usize,
    /// Bytes of noise in the note of each indicator, which no compression shrinks: for tests that fill a disk.
    pub note_bytes: usize,
}

impl Publisher {
    pub fn new(name: &str, credentials: Credentials, seed: u64) -> Publisher {
        Publisher {
            name: name.to_owned(),
            credentials,
            random: Random::new(seed),
            attempts: Vec::new(),
            unanswered: Vec::new(),
            repeated: 0,
            note_bytes: 0,
        }
    }

    /// Publishes until the hub is gone. Each acknowledged request adds a permit to `acknowledgements`.
    pub async fn publish_until_gone(&mut self, hub: &TestHub, acknowledgements: &Arc<Semaphore>) -> Status {
        let mut client = match hub.try_connect(&self.credentials).await {
            Ok(channel) => PublishServiceClient::new(channel),
            Err(error) => return Status::unavailable(error.to_string()),
        };
        loop {
            let new = 1 + self.random.below(NEW_MAX);
            if let Err(status) = self.publish(&mut client, new).await {
                return status;
            }
            acknowledgements.add_permits(1);
        }
    }

    pub async fn connect(&self, hub: &TestHub) -> Client {
        PublishServiceClient::new(hub.connect(&self.credentials).await)
    }

    /// Has everything answered that is not.
    pub async fn settle(&mut self, hub: &TestHub) {
        let mut client = self.connect(hub).await;
        while !self.unanswered.is_empty() {
            self.publish(&mut client, 0).await.unwrap();
        }
    }

    /// Has one item answered that the test has altered.
    pub async fn ask_again(&mut self, hub: &TestHub, place: usize) {
        self.unanswered.push(place);
        self.settle(hub).await;
    }

    /// One request: what is unanswered, some of what was answered, and new items.
    pub async fn publish(&mut self, client: &mut Client, new: usize) -> Result<(), Status> {
        let mut places = self.unanswered.clone();
        if !self.attempts.is_empty() {
            for _ in 0..self.random.below(REPEATED_MAX + 1) {
                places.push(self.random.below(self.attempts.len()));
            }
        }
        self.repeated += places.len();
        for _ in 0..new {
            places.push(self.attempts.len());
            self.unanswered.push(self.attempts.len());
            self.attempts.push(self.next_attempt());
        }
        let request = wire::PublishRequest {
            items: places.iter().map(|place| self.item(*place)).collect(),
        };
        if self.random.below(TWICE_EVERY) == 0 {
            // A client that does not wait for the answer before it tries again, on a stream beside the first.
            self.repeated += places.len();
            let mut beside = client.clone();
            let (first, second) = tokio::join!(client.publish(request.clone()), beside.publish(request));
            let (first, second) = (self.take_in(&places, first), self.take_in(&places, second));
            return first.or(second);
        }
        let answer = client.publish(request).await;
        self.take_in(&places, answer)
    }

    fn next_attempt(&self) -> Attempt {
        let number = self.attempts.len();
        Attempt {
            request_id: format!("{}-{number}", self.name),
            value: format!("{}-{number}.example.com", self.name),
            campaign: format!("campaign {}", number % 7),
            acknowledged: None,
        }
    }

    fn item(&self, place: usize) -> wire::PublishItem {
        let attempt = &self.attempts[place];
        let mut noise = Random::new(place as u64);
        let letter = |_| char::from(b'!' + noise.below(90) as u8);
        wire::PublishItem {
            request_id: attempt.request_id.clone(),
            draft: Some(wire::IndicatorDraft {
                campaign: attempt.campaign.clone(),
                note: (0..self.note_bytes).map(letter).collect(),
                ..draft(&attempt.value, green())
            }),
        }
    }

    fn take_in(
        &mut self,
        places: &[usize],
        answer: Result<tonic::Response<wire::PublishResponse>, Status>,
    ) -> Result<(), Status> {
        let results = answer.map_err(gone_or_read_only)?.into_inner().results;
        assert_eq!(results.len(), places.len(), "one result per item");
        for (place, result) in places.iter().zip(results) {
            let attempt = &mut self.attempts[*place];
            let Some(Outcome::Accepted(accepted)) = &result.outcome else {
                panic!("{attempt:?} was not accepted: {result:?}");
            };
            assert_eq!(accepted.revision, 1);
            let first = attempt.acknowledged.get_or_insert_with(|| accepted.id.clone());
            assert_eq!(*first, accepted.id, "{} got another answer", attempt.request_id);
        }
        self.unanswered
            .retain(|place| self.attempts[*place].acknowledged.is_none());
        Ok(())
    }
}

/// A client may be left without an answer; it may never be told something else.
fn gone_or_read_only(status: Status) -> Status {
    let expected = [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal];
    assert!(expected.contains(&status.code()), "{status:?}");
    status
}
