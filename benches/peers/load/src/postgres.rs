//! PostgreSQL: a row for each value, found by a hash that is unique; `COPY` for batches; pages by the primary key to read from the
//! start, and by an index over the mark where that selects.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, pin_mut};
use tokio_postgres::{Client, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::peer::{Access, Feed, MARKED_ONE_IN, Peer, Set};
use crate::values::next;

/// Rows in an answer.
const PAGE_ROWS: i64 = 10_000;

pub struct Postgres {
    client: Arc<Client>,
    statements: Option<Statements>,
}

/// Prepared once a connection; their tables must be there.
struct Statements {
    insert: Statement,
    find: Statement,
    find_many: Statement,
}

/// 32 bytes that a number decides, as an index of hashes has them.
fn hash(number: u64) -> Vec<u8> {
    let mut state = number;
    (0..4).flat_map(|_| next(&mut state).to_be_bytes()).collect()
}

fn mark(number: u64) -> i16 {
    (number % MARKED_ONE_IN) as i16
}

impl Postgres {
    async fn statements(&mut self) -> anyhow::Result<&Statements> {
        if self.statements.is_none() {
            let (fresh, kept) = (Set::Fresh.name(), Set::Kept.name());
            let prepare = async |text: String| self.client.prepare(&text).await;
            self.statements = Some(Statements {
                insert: prepare(format!("insert into {fresh}(hash, mark, value) values ($1, $2, $3)")).await?,
                find: prepare(format!("select value from {kept} where hash = $1")).await?,
                find_many: prepare(format!("select value from {kept} where hash = any($1)")).await?,
            });
        }
        self.statements
            .as_ref()
            .ok_or_else(|| anyhow::anyhow!("nothing was prepared"))
    }
}

impl Peer for Postgres {
    type Feed = Pages;

    async fn connect(access: &Access) -> anyhow::Result<Postgres> {
        let (host, port) = access
            .server
            .rsplit_once(':')
            .ok_or_else(|| anyhow::anyhow!("HOST:PORT is wanted"))?;
        let address = format!("host={host} port={port} user=load dbname=postgres sslmode=require");
        let (client, connection) = tokio_postgres::connect(&address, MakeRustlsConnect::new(access.tls()?)).await?;
        tokio::spawn(connection);
        Ok(Postgres {
            client: Arc::new(client),
            statements: None,
        })
    }

    async fn clear(&mut self, cleared: Set) -> anyhow::Result<()> {
        for set in [Set::Kept, Set::Fresh] {
            let name = set.name();
            let columns =
                "seq bigserial primary key, hash bytea not null unique, mark smallint not null, value bytea not null";
            let table = format!("create table if not exists {name} ({columns})");
            self.client.batch_execute(&table).await?;
        }
        self.client.batch_execute(&format!("truncate {}", cleared.name())).await?;
        Ok(())
    }

    async fn publish(&mut self, set: Set, from: u64, values: Vec<Bytes>) -> anyhow::Result<()> {
        if let ([value], Set::Fresh) = (&values[..], set) {
            let client = self.client.clone();
            let insert = &self.statements().await?.insert;
            client.execute(insert, &[&hash(from), &mark(from), &&value[..]]).await?;
            return Ok(());
        }
        let copy = format!("copy {} (hash, mark, value) from stdin (format binary)", set.name());
        let sink = self.client.copy_in(&copy).await?;
        pin_mut!(sink);
        sink.send(rows(from, &values)).await?;
        sink.finish().await?;
        Ok(())
    }

    async fn follow(&mut self) -> anyhow::Result<Pages> {
        anyhow::bail!("PostgreSQL has no feed that waits")
    }

    async fn replay(&mut self, marked: bool) -> anyhow::Result<Pages> {
        let kept = Set::Kept.name();
        let selected = if marked { "mark = 0 and" } else { "" };
        let select = format!("select seq, value from {kept} where {selected} seq > $1 order by seq limit {PAGE_ROWS}");
        let select = self.client.prepare(&select).await?;
        Ok(Pages {
            client: self.client.clone(),
            select,
            from: 0,
        })
    }

    async fn lookup(&mut self, numbers: &[u64]) -> anyhow::Result<u64> {
        let client = self.client.clone();
        let statements = self.statements().await?;
        let found = match numbers {
            [number] => client.query(&statements.find, &[&hash(*number)]).await?,
            _ => {
                let hashes: Vec<Vec<u8>> = numbers.iter().map(|number| hash(*number)).collect();
                client.query(&statements.find_many, &[&hashes]).await?
            }
        };
        Ok(found.len() as u64)
    }
}

/// Rows in the binary form of `COPY`.
fn rows(from: u64, values: &[Bytes]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_slice(b"PGCOPY\n\xff\r\n\0");
    bytes.put_i32(0);
    bytes.put_i32(0);
    for (number, value) in (from..).zip(values) {
        bytes.put_i16(3);
        for field in [&hash(number)[..], &mark(number).to_be_bytes(), value] {
            bytes.put_i32(field.len() as i32);
            bytes.put_slice(field);
        }
    }
    bytes.put_i16(-1);
    bytes.freeze()
}

pub struct Pages {
    client: Arc<Client>,
    select: Statement,
    from: i64,
}

impl Feed for Pages {
    async fn next(&mut self, each: &mut (dyn FnMut(&[u8]) + Send)) -> anyhow::Result<u64> {
        let rows = self.client.query(&self.select, &[&self.from]).await?;
        rows.iter().for_each(|row| each(row.get(1)));
        if let Some(last) = rows.last() {
            self.from = last.get(0);
        }
        Ok(rows.len() as u64)
    }
}
