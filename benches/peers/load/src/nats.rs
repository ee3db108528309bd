//! NATS JetStream: a message for each value in a stream on files, publications pipelined for batches, ordered consumers to follow and
//! to read from the start, the last message of a subject to look up.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::jetstream::stream::{Config, StorageType, Stream};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};

use crate::peer::{Access, Feed, Peer, Set};

const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Publications of one client that may await their acknowledgement.
const UNACKNOWLEDGED_MAX: usize = 1_024;

pub struct Nats {
    context: Context,
    kept: Option<Stream>,
}

fn subject(set: Set, number: u64) -> String {
    format!("{}.{number:016}", set.name())
}

impl Nats {
    async fn stream(&self, set: Set) -> anyhow::Result<Stream> {
        let config = Config {
            name: set.name().into(),
            subjects: vec![format!("{}.>", set.name())],
            storage: StorageType::File,
            allow_direct: true,
            duplicate_window: Duration::from_secs(1),
            ..Config::default()
        };
        Ok(self.context.get_or_create_stream(config).await?)
    }

    async fn messages(&self, set: Set) -> anyhow::Result<Ordered> {
        let consumer = self
            .stream(set)
            .await?
            .create_consumer(OrderedConfig::default())
            .await?;
        Ok(consumer.messages().await?)
    }
}

impl Peer for Nats {
    type Feed = Messages;

    async fn connect(access: &Access) -> anyhow::Result<Nats> {
        let options = async_nats::ConnectOptions::new()
            .tls_client_config(access.tls()?)
            .require_tls(true);
        let client = options.connect(format!("tls://{}", access.server)).await?;
        let context = ContextBuilder::new().timeout(ANSWER_MAX).ack_timeout(ANSWER_MAX);
        let context = context.max_ack_inflight(UNACKNOWLEDGED_MAX).build(client);
        Ok(Nats { context, kept: None })
    }

    async fn clear(&mut self, set: Set) -> anyhow::Result<()> {
        // The first time there is none.
        let _ = self.context.delete_stream(set.name()).await;
        self.stream(set).await?;
        Ok(())
    }

    async fn publish(&mut self, set: Set, from: u64, values: Vec<Bytes>) -> anyhow::Result<()> {
        let mut acknowledgements = Vec::with_capacity(values.len());
        for (number, value) in (from..).zip(values) {
            acknowledgements.push(self.context.publish(subject(set, number), value).await?);
        }
        for acknowledgement in acknowledgements {
            acknowledgement.await?;
        }
        Ok(())
    }

    async fn follow(&mut self) -> anyhow::Result<Messages> {
        Ok(Messages {
            messages: self.messages(Set::Fresh).await?,
        })
    }

    async fn replay(&mut self, marked: bool) -> anyhow::Result<Messages> {
        anyhow::ensure!(!marked, "a stream of NATS has no index but its subjects");
        Ok(Messages {
            messages: self.messages(Set::Kept).await?,
        })
    }

    async fn lookup(&mut self, numbers: &[u64]) -> anyhow::Result<u64> {
        if self.kept.is_none() {
            self.kept = Some(self.stream(Set::Kept).await?);
        }
        let mut found = 0;
        for (number, kept) in numbers.iter().zip(self.kept.iter().cycle()) {
            found += u64::from(
                kept.direct_get_last_for_subject(subject(Set::Kept, *number))
                    .await
                    .is_ok(),
            );
        }
        Ok(found)
    }
}

pub struct Messages {
    messages: Ordered,
}

impl Feed for Messages {
    async fn next(&mut self, each: &mut (dyn FnMut(&[u8]) + Send)) -> anyhow::Result<u64> {
        let Some(first) = self.messages.next().await else {
            anyhow::bail!("the consumer ended")
        };
        each(&first?.payload);
        let mut count = 1;
        // What is there already is taken with it.
        while let Some(Some(message)) = self.messages.next().now_or_never() {
            each(&message?.payload);
            count += 1;
        }
        Ok(count)
    }
}
