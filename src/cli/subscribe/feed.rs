//! The state of a subscription between messages: what was printed, what is stored, what the mirror holds.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::cursor_file::{Change, CursorFile, Stored};
use super::mirror::Mirror;
use super::{Connection, Failure};
use crate::cli::names::Directory;
use crate::cli::output::Output;
use crate::cli::{json, words};
use crate::grpc::wire;

/// Changes kept before the cursor is stored although more messages are ready, so that a crash in a long replay repeats little.
const UNSTORED_CHANGES_MAX: usize = 20_000;

/// A subscription.
pub struct Feed {
    connection: Connection,
    directory: Directory,
    output: Output,
    stdout: BufWriter<Stdout>,
    file: Option<CursorFile>,
    cursor: Vec<u8>,
    /// Nothing: unknown, so that digests cannot be checked.
    mirror: Option<Mirror>,
    /// The mirror before a snapshot that is under way: what the snapshot does not bring is taken back at its end.
    before_snapshot: Option<Mirror>,
    unstored: Vec<Change>,
    is_dirty: bool,
    is_live: bool,
    has_agreed: bool,
    was_connected: bool,
    messages: u64,
}

/// What a message says of the mirror.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It agrees with the hub's digest, as far as one was sent.
    Fine,
    /// It does not.
    Disagrees(String),
}

impl Feed {
    /// Reads where the subscription stands.
    pub async fn open(connection: Connection, cursor_file: Option<&Path>, output: Output) -> Result<Feed, Failure> {
        let (file, stored) = match cursor_file {
            None => (
                None,
                Stored {
                    cursor: Vec::new(),
                    mirror: Some(Mirror::default()),
                },
            ),
            Some(path) => {
                let (file, stored) = CursorFile::open(path).map_err(|error| Failure::of(path.display(), error))?;
                (Some(file), stored)
            }
        };
        if stored.mirror.is_none() {
            output.note(
                "warning: the journal beside the cursor file is missing or of another cursor: digests are not checked",
            );
        }
        let directory = Directory::of_members(&connection).await?;
        Ok(Feed {
            connection,
            directory,
            output,
            stdout: BufWriter::with_capacity(1 << 16, io::stdout()),
            file,
            cursor: stored.cursor,
            mirror: stored.mirror,
            before_snapshot: None,
            unstored: Vec::new(),
            is_dirty: false,
            is_live: false,
            has_agreed: false,
            was_connected: true,
            messages: 0,
        })
    }

    /// The members.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Where the subscription stands.
    pub fn cursor(&self) -> &[u8] {
        &self.cursor
    }

    /// Messages taken.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether the last message said that the mirror equals what a query would return.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Whether a digest agreed since the last snapshot began.
    pub fn has_agreed(&self) -> bool {
        self.has_agreed
    }

    /// A stream was opened.
    pub fn connected(&mut self) {
        if self.messages > 0 && !self.cursor.is_empty() {
            self.output.note("connected again, resuming at the last cursor");
        }
        self.is_live = false;
        self.was_connected = true;
    }

    /// Whether a stream was opened since this was last asked.
    pub fn was_connected(&mut self) -> bool {
        std::mem::take(&mut self.was_connected)
    }

    /// Forgets the cursor: the next stream begins with a snapshot.
    pub fn start_over(&mut self) {
        self.cursor.clear();
        self.unstored.clear();
        self.has_agreed = false;
        // A snapshot that never reached its end leaves what was before it as what the consumer holds.
        let partial = self.mirror.replace(Mirror::default());
        self.before_snapshot = match (self.before_snapshot.take(), partial) {
            (Some(mut before), Some(partial)) => {
                partial.iter().for_each(|(id, revision)| before.put(id, revision));
                Some(before)
            }
            (Some(before), None) => Some(before),
            (None, partial) => partial,
        };
    }

    /// Prints a message and applies it.
    pub async fn apply(&mut self, response: wire::SubscribeResponse) -> Result<Verdict, Failure> {
        let wire::SubscribeResponse {
            upserts,
            removals,
            cursor,
            live,
            digest,
        } = response;
        self.messages += 1;
        self.learn_publishers(&upserts).await;
        let mut lines = Vec::with_capacity(upserts.len() + removals.len() + 2);
        for indicator in &upserts {
            lines.push(json!({"type": "upsert", "indicator": json::indicator(indicator, &self.directory)}));
            self.change(Change::Put(id_of(&indicator.id)?, indicator.revision));
        }
        for wire::Removal { id, reason } in &removals {
            lines.push(json!({"type": "remove", "id": id, "reason": words::removal_reason(*reason)}));
            self.change(Change::Drop(id_of(id)?));
        }
        if live {
            lines.extend(self.end_snapshot());
        }
        let changes = lines.len();
        if live && !self.is_live {
            lines.push(json!({"type": "live"}));
        }
        self.is_live = live;
        let (line, verdict) = self.check(digest.as_ref());
        lines.extend(line);
        let before = std::mem::replace(&mut self.cursor, cursor);
        self.is_dirty |= !lines.is_empty() || before != self.cursor;
        self.print(lines, changes, &before)?;
        if self.unstored.len() >= UNSTORED_CHANGES_MAX {
            self.flush()?;
        }
        Ok(verdict)
    }

    /// Lets the lines out, then stores the cursor that covers them.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if !self.is_dirty {
            return Ok(());
        }
        self.stdout.flush().map_err(Failure::of_stdout)?;
        self.is_dirty = false;
        // During a snapshot that replaces a mirror the old cursor stays: only the end shows what must be taken back.
        if self.before_snapshot.is_some() || self.cursor.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            let stored = file.store(&self.cursor, &self.unstored, self.mirror.as_ref());
            stored.map_err(|error| Failure::of("cannot store the cursor", error))?;
        }
        self.unstored.clear();
        Ok(())
    }

    fn change(&mut self, change: Change) {
        let Some(mirror) = &mut self.mirror else { return };
        match change {
            Change::Put(id, revision) => mirror.put(id, revision),
            Change::Drop(id) => mirror.drop(id),
        }
        if self.file.is_some() {
            self.unstored.push(change);
        }
    }

    /// What the consumer still holds and the snapshot did not bring, taken back.
    fn end_snapshot(&mut self) -> Vec<Value> {
        let (Some(before), Some(mirror)) = (self.before_snapshot.take(), &self.mirror) else {
            return Vec::new();
        };
        let reason = words::removal_reason(wire::RemovalReason::NoLongerVisible as i32);
        let gone = before.without(mirror);
        if self.file.is_some() {
            // The journal still has them, for it goes on from before the snapshot.
            self.unstored.extend(gone.iter().map(|id| Change::Drop(*id)));
        }
        gone.iter()
            .map(|id| json!({"type": "remove", "id": id.to_string(), "reason": reason}))
            .collect()
    }

    fn check(&mut self, digest: Option<&wire::Digest>) -> (Option<Value>, Verdict) {
        let Some(digest) = digest else {
            return (None, Verdict::Fine);
        };
        let agrees = self.mirror.as_ref().map(|mirror| mirror.agrees(digest));
        let line =
            json!({"type": "digest", "count": digest.count, "hash": json::hex(&digest.hash), "verified": agrees});
        let verdict = match (agrees, &self.mirror) {
            (Some(false), Some(mirror)) => Verdict::Disagrees(format!(
                "the mirror does not agree with the hub's digest: {} indicators here, {} there",
                mirror.len(),
                digest.count
            )),
            _ => Verdict::Fine,
        };
        self.has_agreed |= agrees == Some(true);
        (Some(line), verdict)
    }

    /// Each line carries the cursor with which nothing is missed that comes after it: a change within the batch that of the batch
    /// before, the last change and what follows it that of this batch.
    fn print(&mut self, lines: Vec<Value>, changes: usize, before: &[u8]) -> Result<(), Failure> {
        let (before, after) = (STANDARD.encode(before), STANDARD.encode(&self.cursor));
        for (place, mut line) in lines.into_iter().enumerate() {
            line["cursor"] = Value::String(if place + 1 < changes {
                before.clone()
            } else {
                after.clone()
            });
            writeln!(self.stdout, "{line}").map_err(Failure::of_stdout)?;
        }
        Ok(())
    }

    /// A member that was admitted after this program began publishes: its name must be known.
    async fn learn_publishers(&mut self, upserts: &[wire::Indicator]) {
        let is_known = |indicator: &wire::Indicator| self.directory.member(&indicator.publisher_id).is_some();
        // Where the list cannot be had just now, the line goes out with the id alone.
        if !upserts.iter().all(is_known)
            && let Ok(directory) = Directory::of_members(&self.connection).await
        {
            self.directory = directory;
        }
    }
}

fn id_of(text: &str) -> Result<Uuid, Failure> {
    text.parse()
        .map_err(|_| Failure::Failed(format!("the hub sent {text:?} as the id of an indicator")))
}
