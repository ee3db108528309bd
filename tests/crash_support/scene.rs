//! Publishers and a subscriber against the hub in one directory, over as many lives of the hub as the test likes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clearinghouse::grpc::wire;
use clearinghouse::log::merkle::{Hash, verify_consistency};
use clearinghouse::log::{Durability, Log, Options, verify};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wire::feed_service_client::FeedServiceClient;
use wire::query_service_client::QueryServiceClient;

use crate::wire_support::child::ChildHub;
use crate::wire_support::{Credentials, TestHub};

use super::checker::check;
use super::mirror::Mirror;
use super::publisher::Publisher;

/// A hub that acknowledges nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// With large notes, a page must still fit into what gRPC clients take unless told otherwise: 4 MiB.
const PAGE_ITEMS: u32 = 500;

pub struct Scene {
    pub publishers: Vec<Publisher>,
    pub subscriber: Credentials,
    pub mirror: Mirror,
    /// Sizes and roots that the hub told its clients.
    told: Vec<(u64, Hash)>,
}

impl Scene {
    /// Enrols two members that publish, one of them with two agents, and one that subscribes.
    pub async fn enrol(hub: &TestHub, seed: u64) -> Scene {
        let a = hub.member("Aurora Social", wire::MemberKind::Platform).await;
        let a2 = hub.agent(&a.id(), "second").await;
        let b = hub.member("Borealis Search", wire::MemberKind::Platform).await;
        let c = hub.member("Cirrus Research", wire::MemberKind::Research).await;
        let publishers = [("a", a), ("a2", a2), ("b", b)].into_iter().zip(0..);
        Scene {
            publishers: publishers
                .map(|((name, client), place)| Publisher::new(name, client.credentials, seed * 8 + place))
                .collect(),
            subscriber: c.credentials,
            mirror: Mirror::default(),
            told: Vec::new(),
        }
    }

    /// All clients at work on a running hub; `end` ends the hub after so many acknowledged requests, at whatever moment that is.
    pub async fn under_load(&mut self, child: ChildHub, acknowledgements: usize, end: impl FnOnce(ChildHub)) {
        let answered = Arc::new(Semaphore::new(0));
        let mut working = JoinSet::new();
        for mut publisher in self.publishers.drain(..) {
            let (hub, answered) = (TestHub::at(child.hub.address, &child.hub.dir), answered.clone());
            working.spawn(async move {
                publisher.publish_until_gone(&hub, &answered).await;
                publisher
            });
        }
        let feed = self.follow(&child.hub);
        let feed = tokio::spawn(feed);
        let wanted = answered.acquire_many(acknowledgements as u32);
        let enough = tokio::time::timeout(PATIENCE, wanted).await;
        enough.expect("the hub goes on acknowledging").unwrap().forget();
        tokio::task::block_in_place(|| end(child));
        self.publishers = working.join_all().await;
        self.mirror = feed.await.unwrap();
    }

    /// Follows the feed until the hub is gone; gives back the mirror.
    fn follow(&self, hub: &TestHub) -> impl Future<Output = Mirror> + Send + 'static {
        let (mut mirror, subscriber) = (self.mirror.clone(), self.subscriber.clone());
        let hub = TestHub::at(hub.address, &hub.dir);
        async move {
            let Ok(channel) = hub.try_connect(&subscriber).await else {
                return mirror;
            };
            let request = wire::SubscribeRequest {
                cursor: mirror.cursor.clone(),
                ..Default::default()
            };
            let Ok(response) = FeedServiceClient::new(channel).subscribe(request).await else {
                return mirror;
            };
            let mut feed = response.into_inner();
            while let Ok(Some(response)) = feed.message().await {
                mirror.apply(response).unwrap();
            }
            mirror
        }
    }

    /// Holds a running hub, on which nobody works just now, against what its clients know.
    pub async fn check_running(&mut self, hub: &TestHub) -> Result<(), String> {
        let channel = hub.connect(&self.subscriber).await;
        catch_up(&mut self.mirror, &mut FeedServiceClient::new(channel.clone())).await?;
        let mut queries = QueryServiceClient::new(channel);
        let found = search_all(&mut queries).await;
        let status = queries
            .get_status(wire::GetStatusRequest {})
            .await
            .unwrap()
            .into_inner();
        self.told
            .push((status.log_size, status.log_root.try_into().expect("32 bytes")));
        let attempts = self.publishers.iter().flat_map(|publisher| &publisher.attempts);
        check(attempts, &found, &self.mirror)
    }

    /// Holds the log of a hub that does not run against itself, and against each head that its clients were told.
    pub fn check_stopped(&self, dir: &Path) {
        let dir = dir.join("log");
        verify(&dir).unwrap_or_else(|error| panic!("verify: {error}"));
        let options = Options {
            durability: Durability::SkipSync,
            ballast_bytes: 0,
            ..Options::default()
        };
        let log = Log::open(&dir, options).unwrap_or_else(|error| panic!("open: {error}"));
        let (reader, head) = (log.reader(), log.head());
        for (size, root) in &self.told {
            assert_eq!(reader.root_at(*size).unwrap(), *root, "the root at {size} was another");
            let path = reader.consistency_proof(*size, head.size).unwrap();
            assert!(
                verify_consistency(*size, head.size, root, &head.root, &path),
                "{size} to {}",
                head.size
            );
        }
    }

    /// Has everything answered that was not.
    pub async fn settle(&mut self, hub: &TestHub) {
        for publisher in &mut self.publishers {
            publisher.settle(hub).await;
        }
    }

    pub fn acknowledged(&self) -> usize {
        let attempts = self.publishers.iter().flat_map(|publisher| &publisher.attempts);
        attempts.filter(|attempt| attempt.acknowledged.is_some()).count()
    }

    pub fn repeated(&self) -> usize {
        self.publishers.iter().map(|publisher| publisher.repeated).sum()
    }
}

/// Lets the mirror catch up with a hub on which nobody works.
async fn catch_up(mirror: &mut Mirror, feeds: &mut FeedServiceClient<tonic::transport::Channel>) -> Result<(), String> {
    let request = wire::SubscribeRequest {
        cursor: mirror.cursor.clone(),
        until_live: true,
        ..Default::default()
    };
    let refused = |status: tonic::Status| format!("the feed was refused: {status}");
    let mut feed = feeds.subscribe(request).await.map_err(refused)?.into_inner();
    let mut live = false;
    while let Some(response) = feed.message().await.map_err(refused)? {
        live = response.live;
        mirror.apply(response)?;
    }
    match live {
        true => Ok(()),
        false => Err("the feed ended before it was live".into()),
    }
}

async fn search_all(queries: &mut QueryServiceClient<tonic::transport::Channel>) -> Vec<wire::Indicator> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::SearchIndicatorsRequest {
            filter: None,
            page_size: PAGE_ITEMS,
            page_token,
        };
        let page = queries.search_indicators(request).await.unwrap().into_inner();
        found.extend(page.indicators);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}
