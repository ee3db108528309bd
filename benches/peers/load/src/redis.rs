//! Redis Streams: an entry for each value, pipelines for batches, blocking reads to follow. What is kept is stored under a key too.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, TlsCertificates, cmd, pipe};
use bytes::Bytes;

use crate::peer::{Access, Feed, Peer, Set};

/// Entries in an answer.
const PAGE_ENTRIES: u64 = 1_000;
const BLOCK_MILLIS: u64 = 5_000;
const ANSWER_MAX: Duration = Duration::from_secs(60);

pub struct Redis {
    connection: MultiplexedConnection,
}

/// Streams with their entries: id, and the one field with its value.
type Streams = Vec<(String, Vec<(String, (Vec<u8>, Bytes))>)>;

fn key(number: u64) -> String {
    format!("key{number:016}")
}

fn add(set: Set, value: &Bytes) -> Cmd {
    let mut add = cmd("XADD");
    add.arg(set.name()).arg("*").arg("v").arg(&value[..]);
    add
}

impl Peer for Redis {
    type Feed = Entries;

    async fn connect(access: &Access) -> anyhow::Result<Redis> {
        let client_tls = Some(ClientTlsConfig {
            client_cert: access.pem("cert.pem")?,
            client_key: access.pem("key.pem")?,
        });
        let certificates = TlsCertificates {
            client_tls,
            root_cert: Some(access.pem("ca.pem")?),
        };
        let client = Client::build_with_tls(format!("rediss://{}", access.server), certificates)?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_MAX));
        Ok(Redis {
            connection: client.get_multiplexed_async_connection_with_config(&config).await?,
        })
    }

    async fn clear(&mut self, set: Set) -> anyhow::Result<()> {
        Ok(cmd("DEL").arg(set.name()).query_async(&mut self.connection).await?)
    }

    async fn publish(&mut self, set: Set, from: u64, values: Vec<Bytes>) -> anyhow::Result<()> {
        if let ([value], Set::Fresh) = (&values[..], set) {
            add(set, value).query_async::<String>(&mut self.connection).await?;
            return Ok(());
        }
        let mut commands = pipe();
        for (number, value) in (from..).zip(&values) {
            commands.add_command(add(set, value)).ignore();
            if set == Set::Kept {
                commands.cmd("SET").arg(key(number)).arg(&value[..]).ignore();
            }
        }
        Ok(commands.query_async(&mut self.connection).await?)
    }

    async fn follow(&mut self) -> anyhow::Result<Entries> {
        Ok(Entries {
            connection: self.connection.clone(),
            set: Set::Fresh,
            from: "0-0".into(),
        })
    }

    async fn replay(&mut self, marked: bool) -> anyhow::Result<Entries> {
        anyhow::ensure!(!marked, "a stream of Redis has no index");
        Ok(Entries {
            connection: self.connection.clone(),
            set: Set::Kept,
            from: "0-0".into(),
        })
    }

    async fn lookup(&mut self, numbers: &[u64]) -> anyhow::Result<u64> {
        let keys: Vec<String> = numbers.iter().map(|number| key(*number)).collect();
        let found: Vec<Option<Bytes>> = cmd("MGET").arg(keys).query_async(&mut self.connection).await?;
        Ok(found.iter().flatten().count() as u64)
    }
}

pub struct Entries {
    connection: MultiplexedConnection,
    set: Set,
    from: String,
}

impl Feed for Entries {
    async fn next(&mut self, each: &mut (dyn FnMut(&[u8]) + Send)) -> anyhow::Result<u64> {
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(PAGE_ENTRIES).arg("BLOCK").arg(BLOCK_MILLIS);
        read.arg("STREAMS").arg(self.set.name()).arg(&self.from);
        let streams: Option<Streams> = read.query_async(&mut self.connection).await?;
        let Some((_, entries)) = streams.and_then(|mut streams| streams.pop()) else {
            return Ok(0);
        };
        entries.iter().for_each(|(_, (_, value))| each(value));
        let count = entries.len() as u64;
        if let Some((last, _)) = entries.into_iter().next_back() {
            self.from = last;
        }
        Ok(count)
    }
}
