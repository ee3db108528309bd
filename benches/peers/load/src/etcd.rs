//! etcd: a key for each value, transactions of puts for batches, watches to follow, ranges to read from the start.

use bytes::Bytes;
use etcd_client::{
    Client, ConnectOptions, DeleteOptions, GetOptions, TlsOptions, Txn, TxnOp, TxnOpResponse, WatchOptions, WatchStream,
};
use tonic::transport::{Certificate, Identity};

use crate::peer::{Access, Feed, Peer, Set};

/// Keys in a response of a range.
const PAGE_KEYS: i64 = 2_000;
const MESSAGE_BYTES_MAX: usize = 64 << 20;

pub struct Etcd {
    client: Client,
}

fn key(set: Set, number: u64) -> String {
    format!("{}/{number:016}", set.name())
}

impl Peer for Etcd {
    type Feed = Changes;

    async fn connect(access: &Access) -> anyhow::Result<Etcd> {
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(access.pem("ca.pem")?))
            .identity(Identity::from_pem(access.pem("cert.pem")?, access.pem("key.pem")?));
        let options = ConnectOptions::new().with_tls(tls);
        let client = Client::connect([format!("https://{}", access.server)], Some(options)).await?;
        Ok(Etcd { client })
    }

    async fn clear(&mut self, set: Set) -> anyhow::Result<()> {
        self.client
            .delete(set.name(), Some(DeleteOptions::new().with_prefix()))
            .await?;
        Ok(())
    }

    async fn publish(&mut self, set: Set, from: u64, values: Vec<Bytes>) -> anyhow::Result<()> {
        let keys = (from..).map(|number| key(set, number));
        match <[Bytes; 1]>::try_from(values) {
            Ok([value]) => {
                self.client.put(key(set, from), &value[..], None).await?;
            }
            Err(values) => {
                let puts = keys.zip(values).map(|(key, value)| TxnOp::put(key, &value[..], None));
                self.client.txn(Txn::new().and_then(puts.collect::<Vec<_>>())).await?;
            }
        }
        Ok(())
    }

    async fn follow(&mut self) -> anyhow::Result<Changes> {
        let mut watches = self.client.watch_client().max_decoding_message_size(MESSAGE_BYTES_MAX);
        let options = WatchOptions::new().with_prefix();
        let mut stream = watches.watch(Set::Fresh.name(), Some(options)).await?;
        // The first message says that the watch is there.
        stream.message().await?;
        Ok(Changes::Watch(Box::new(stream)))
    }

    async fn replay(&mut self, marked: bool) -> anyhow::Result<Changes> {
        anyhow::ensure!(!marked, "etcd has no index but its keys");
        Ok(Changes::Range {
            client: self.client.clone(),
            from: Set::Kept.name().into(),
        })
    }

    async fn lookup(&mut self, numbers: &[u64]) -> anyhow::Result<u64> {
        if let [number] = numbers {
            return Ok(self.client.get(key(Set::Kept, *number), None).await?.kvs().len() as u64);
        }
        let gets = numbers.iter().map(|number| TxnOp::get(key(Set::Kept, *number), None));
        let answer = self.client.txn(Txn::new().and_then(gets.collect::<Vec<_>>())).await?;
        let found = answer.op_responses().into_iter().map(|response| match response {
            TxnOpResponse::Get(got) => got.kvs().len() as u64,
            _ => 0,
        });
        Ok(found.sum())
    }
}

pub enum Changes {
    Watch(Box<WatchStream>),
    Range { client: Client, from: Vec<u8> },
}

impl Feed for Changes {
    async fn next(&mut self, each: &mut (dyn FnMut(&[u8]) + Send)) -> anyhow::Result<u64> {
        match self {
            Changes::Watch(stream) => {
                let Some(message) = stream.message().await? else {
                    anyhow::bail!("the watch ended")
                };
                message
                    .events()
                    .iter()
                    .filter_map(|event| event.kv())
                    .for_each(|kv| each(kv.value()));
                Ok(message.events().len() as u64)
            }
            Changes::Range { client, from } => {
                // Past the last key of the set: "/" and what follows it.
                let options = GetOptions::new()
                    .with_range(format!("{}0", Set::Kept.name()))
                    .with_limit(PAGE_KEYS);
                let mut keys = client.kv_client().max_decoding_message_size(MESSAGE_BYTES_MAX);
                let page = keys.get(from.clone(), Some(options)).await?;
                page.kvs().iter().for_each(|kv| each(kv.value()));
                if let Some(last) = page.kvs().last() {
                    *from = [last.key(), &[0]].concat();
                }
                Ok(page.kvs().len() as u64)
            }
        }
    }
}
