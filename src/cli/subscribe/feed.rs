//! The state of a subscription between messages: what was printed, what is stored, what the mirror holds.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tonic::Request;
use uuid::Uuid;

use super::cursor_file::{Change, CursorFile, Stored};
use super::mirror::Mirror;
use super::{Connection, Failure};
use crate::cli::names::Directory;
use crate::cli::output::Output;
use crate::cli::{json, words};
use crate::grpc::wire;

/// Bytes of lines kept back while more messages are ready; then they go out, and the cursor is stored.
const LINES_BYTES_MAX: usize = 1 << 20;

/// An acknowledgement must not hold the feed up for longer.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(5);

/// A subscription.
pub struct Feed {
    connection: Connection,
    directory: Directory,
    output: Output,
    /// Lines that are not out yet: what they say must be in the journal first.
    lines: Vec<u8>,
    file: Option<CursorFile>,
    cursor: Vec<u8>,
    /// Nothing: unknown, so that digests cannot be checked.
    mirror: Option<Mirror>,
    /// The mirror before a snapshot that is under way: what the snapshot does not bring is taken back at its end.
    before_snapshot: Option<Mirror>,
    /// Changes whose lines are not out yet.
    unannounced: Vec<Change>,
    /// What may have reached the consumer before a crash: taken back when live, if it has gone since.
    undecided: BTreeSet<Uuid>,
    is_dirty: bool,
    /// Name of the durable subscription; empty: it is not durable.
    name: String,
    /// Removals went out that the hub has not been told of.
    has_removals: bool,
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
    pub async fn open(
        connection: Connection,
        cursor_file: Option<&Path>,
        name: String,
        output: Output,
    ) -> Result<Feed, Failure> {
        let (file, stored) = match cursor_file {
            None => {
                let mirror = Some(Mirror::default());
                (
                    None,
                    Stored {
                        mirror,
                        ..Stored::default()
                    },
                )
            }
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
            lines: Vec::new(),
            file,
            cursor: stored.cursor,
            mirror: stored.mirror,
            before_snapshot: None,
            unannounced: Vec::new(),
            undecided: stored.undecided,
            is_dirty: false,
            name,
            has_removals: false,
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
            self.has_removals = true;
        }
        if live {
            lines.extend(self.take_back());
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
        self.print(lines, changes, &before);
        if self.lines.len() >= LINES_BYTES_MAX {
            self.flush()?;
        }
        Ok(verdict)
    }

    /// Writes down what is about to go out, lets the lines out, then stores the cursor that covers them.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if !self.is_dirty {
            return Ok(());
        }
        let failed = |error| Failure::of("cannot store the cursor", error);
        if let Some(file) = &mut self.file {
            file.announce(&self.unannounced).map_err(failed)?;
        }
        self.unannounced.clear();
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(&self.lines)
            .and_then(|()| stdout.flush())
            .map_err(Failure::of_stdout)?;
        self.lines.clear();
        self.is_dirty = false;
        // During a snapshot that replaces a mirror the old cursor stays: only the end shows what must be taken back.
        if self.before_snapshot.is_some() || self.cursor.is_empty() {
            return Ok(());
        }
        match &mut self.file {
            Some(file) => file.store(&self.cursor, self.mirror.as_ref()).map_err(failed),
            None => Ok(()),
        }
    }

    /// Flushes, and tells the hub that what was taken back is out: so a publisher learns that its recall was carried out at once,
    /// and not only when this subscriber comes back. Best effort: coming back with the cursor says the same.
    pub async fn flush_and_acknowledge(&mut self) -> Result<(), Failure> {
        self.flush()?;
        let is_due = self.has_removals && !self.name.is_empty() && !self.cursor.is_empty();
        if is_due && self.before_snapshot.is_none() {
            self.has_removals = false;
            let (name, cursor) = (self.name.clone(), self.cursor.clone());
            let mut request = Request::new(wire::AcknowledgeRequest { name, cursor });
            request.set_timeout(ACKNOWLEDGE_TIMEOUT);
            if let Err(status) = self.connection.feeds().acknowledge(request).await {
                tracing::debug!(%status, "the removals were not acknowledged");
            }
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        let Some(mirror) = &mut self.mirror else { return };
        match change {
            Change::Put(id, revision) => mirror.put(id, revision),
            Change::Drop(id) => mirror.drop(id),
        }
        if self.file.is_some() {
            self.unannounced.push(change);
        }
    }

    /// Once live: what the consumer may hold and the feed no longer has, taken back. That is what a snapshot did not bring again,
    /// and what went out before a crash and has gone since.
    fn take_back(&mut self) -> Vec<Value> {
        let before = self.before_snapshot.take();
        let Some(mirror) = &self.mirror else { return Vec::new() };
        let mut gone = std::mem::take(&mut self.undecided);
        gone.retain(|id| !mirror.holds(*id));
        gone.extend(before.map(|before| before.without(mirror)).unwrap_or_default());
        if let Some(file) = &mut self.file {
            file.settle();
            // The journal may still have them, for it goes on from before the snapshot.
            self.unannounced.extend(gone.iter().map(|id| Change::Drop(*id)));
        }
        let reason = words::removal_reason(wire::RemovalReason::NoLongerVisible as i32);
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
    fn print(&mut self, lines: Vec<Value>, changes: usize, before: &[u8]) {
        let (before, after) = (STANDARD.encode(before), STANDARD.encode(&self.cursor));
        for (place, mut line) in lines.into_iter().enumerate() {
            line["cursor"] = Value::String(if place + 1 < changes {
                before.clone()
            } else {
                after.clone()
            });
            // Writing to memory cannot fail.
            let _ = writeln!(self.lines, "{line}");
        }
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
