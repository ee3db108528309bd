//! The entries of one call's publications. What they have in common is encoded once, and the bytes of several share an allocation.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::fields::Fields;
use super::indicator::{self, Common};
use super::{Actor, Entry, Event, StoredIndicator, head_fields};
use crate::domain::id::{IndicatorId, ObservableId, Timestamp};
use crate::domain::indicator::{Content, Indicator, Report, Text};
use crate::domain::member::MemberKind;

/// Bytes of entries that share an allocation. It is in memory until the last of them has been written and packed, so it is small
/// beside what waits for that.
const SHARED_BYTES: usize = 32 << 10;

/// Bytes of most entries, and of what those of a report have in common.
const ENTRY_BYTES_USUAL: usize = 512;
const COMMON_BYTES_USUAL: usize = 256;

/// The numbers of the fields `indicator_published` of an entry, and of `indicator` there.
const PUBLISHED: u32 = 3;
const INDICATOR: u32 = 1;

/// What takes the place of a key and a length at most.
const HEAD_BYTES_MAX: usize = 8;

/// Makes the entries of one publisher at one time.
pub struct Publications {
    at: Timestamp,
    actor: Actor,
    publisher_kind: MemberKind,
    /// The fields of each entry before its event.
    head: Bytes,
    body: Fields,
    common: Option<CommonFields>,
    shared: BytesMut,
    /// How large the next allocation is.
    shared_bytes: usize,
}

/// The fields that the entries of one report have in common.
struct CommonFields {
    report: Arc<Report>,
    bytes: Vec<u8>,
    /// Where each part of the body ends.
    ends: [usize; Common::ALL.len()],
}

impl CommonFields {
    fn of(indicator: &Indicator) -> CommonFields {
        let mut fields = Fields::with_capacity(COMMON_BYTES_USUAL);
        let ends = Common::ALL.map(|part| {
            indicator::common_fields(part, indicator, &mut fields);
            fields.bytes().len()
        });
        indicator::audience_fields(&indicator.content.handling, &mut fields);
        CommonFields {
            report: indicator.content.report.clone(),
            bytes: std::mem::take(fields.bytes()),
            ends,
        }
    }

    fn part(&self, part: Common) -> &[u8] {
        let place = part as usize;
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[begin..self.ends[place]]
    }

    /// The field after the body.
    fn audience(&self) -> &[u8] {
        &self.bytes[self.ends[Common::ALL.len() - 1]..]
    }
}

impl Publications {
    /// Of a publisher, which is the actor's member, at a time; about so many.
    pub fn new(at: Timestamp, (actor, publisher_kind): (Actor, MemberKind), count: usize) -> Publications {
        Publications {
            at,
            head: head_fields(at, Some(&actor)).finish(),
            actor,
            publisher_kind,
            body: Fields::with_capacity(ENTRY_BYTES_USUAL),
            common: None,
            shared: BytesMut::new(),
            shared_bytes: SHARED_BYTES.min(count * ENTRY_BYTES_USUAL),
        }
    }

    /// The entry of a publication, and the bytes to be stored. The body is a part of these, not a copy. The observable's id is that of
    /// the content's.
    pub fn entry(
        &mut self,
        id: IndicatorId,
        (content, observable): (Content, ObservableId),
        warnings: Vec<Text<200>>,
        request_id: Arc<str>,
    ) -> (Entry, Bytes) {
        let indicator = Indicator {
            id,
            publisher: self.actor.member,
            publisher_kind: self.publisher_kind,
            revision: 1,
            content,
            published_at: self.at,
            revised_at: self.at,
            retraction_reason: Text::default(),
            warnings,
        };
        let (bytes, body) = self.encode(&indicator, observable, &request_id);
        let stored = Box::new(StoredIndicator {
            indicator,
            body,
            observable,
        });
        let entry = Entry {
            at: self.at,
            actor: Some(self.actor.clone()),
            event: Event::IndicatorPublished { stored, request_id },
        };
        (entry, bytes)
    }

    /// The bytes of an entry, and its body among them.
    fn encode(&mut self, indicator: &Indicator, observable: ObservableId, request_id: &str) -> (Bytes, Bytes) {
        let known = self.common.take();
        let common = match known.filter(|common| Arc::ptr_eq(&common.report, &indicator.content.report)) {
            Some(common) => common,
            None => CommonFields::of(indicator),
        };
        let body = &mut self.body;
        body.bytes().clear();
        indicator::body_fields(indicator, observable, body, |part, fields| {
            fields.bytes().extend_from_slice(common.part(part));
        });
        let body_bytes = body.bytes().len();
        // After the body in the same memory, to be copied with it.
        body.bytes().extend_from_slice(common.audience());
        body.text(indicator::REQUEST_ID, request_id);
        self.common = Some(common);
        let rest = self.body.bytes();
        let event_bytes = 1 + encoded_len_varint(body_bytes as u64) + rest.len();
        let entry_bytes_max = self.head.len() + HEAD_BYTES_MAX + event_bytes;
        if self.shared.capacity() < entry_bytes_max {
            self.shared = BytesMut::with_capacity(entry_bytes_max.max(self.shared_bytes));
        }
        let out = &mut self.shared;
        out.extend_from_slice(&self.head);
        put_head(PUBLISHED, event_bytes, out);
        put_head(INDICATOR, body_bytes, out);
        let body_at = out.len();
        out.extend_from_slice(rest);
        let bytes = out.split().freeze();
        let body = bytes.slice(body_at..body_at + body_bytes);
        (bytes, body)
    }
}

fn put_head(tag: u32, bytes: usize, out: &mut BytesMut) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes as u64, out);
}
