//! Writes the stored messages that there are millions of, straight from the domain: what the generated messages would first have
//! copied. The bytes are those that they write, which a test holds.

use bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use uuid::Uuid;

use crate::domain::id::Timestamp;

/// The fields of a message, in the making.
#[derive(Default)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    /// None yet, and room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Fields {
        Fields(Vec::with_capacity(bytes))
    }

    /// A text; nothing where it is empty.
    pub fn text(&mut self, tag: u32, text: &str) {
        if !text.is_empty() {
            self.item(tag, text.as_bytes());
        }
    }

    /// One text or some bytes of a repeated field.
    pub fn item(&mut self, tag: u32, bytes: &[u8]) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
    }

    /// An id in text.
    pub fn id(&mut self, tag: u32, id: Uuid) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        self.item(tag, id.hyphenated().encode_lower(&mut text).as_bytes());
    }

    /// A number, a bool, or the number of an enum's value; nothing where it is zero.
    pub fn number(&mut self, tag: u32, number: u64) {
        if number != 0 {
            encode_key(tag, WireType::Varint, &mut self.0);
            encode_varint(number, &mut self.0);
        }
    }

    /// A moment, as `google.protobuf.Timestamp`; nothing where there is none.
    pub fn time(&mut self, tag: u32, time: Option<Timestamp>) {
        let Some(time) = time else { return };
        self.message(tag, |fields| {
            fields.number(1, time.0.div_euclid(1_000_000) as u64);
            fields.number(2, (time.0.rem_euclid(1_000_000) * 1_000) as u64);
        });
    }

    /// A message whose fields `write` adds.
    pub fn message(&mut self, tag: u32, write: impl FnOnce(&mut Fields)) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        // One byte is the length of most; the longer ones are moved on.
        self.0.push(0);
        let start = self.0.len();
        write(self);
        let length = self.0.len() - start;
        let more = encoded_len_varint(length as u64) - 1;
        self.0.resize(start + length + more, 0);
        self.0.copy_within(start..start + length, start + more);
        encode_varint(length as u64, &mut &mut self.0[start - 1..start + more]);
    }

    /// For what writes itself.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// All of it.
    pub fn finish(self) -> Bytes {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prost::Message;

    use super::super::{Actor, Entry, Event, Publications, StoredIndicator, encode_indicator, stored};
    use crate::domain::handling::{Audience, Embargo, Handling, Tlp};
    use crate::domain::id::{GroupId, IndicatorId, MemberId, Timestamp};
    use crate::domain::indicator::{
        Code, Confidence, Content, Evidence, Indicator, Report, Severity, Tag, Targets, Text, Ttp, Verdict,
    };
    use crate::domain::member::MemberKind;
    use crate::domain::observable::Observable;
    use uuid::Uuid;

    fn text<const BYTES_MAX: usize>(text: &str) -> Text<BYTES_MAX> {
        Text::parse("text", text).unwrap()
    }

    fn plain() -> Indicator {
        Indicator {
            id: IndicatorId(Uuid::from_u128(1)),
            publisher: MemberId(Uuid::from_u128(2)),
            publisher_kind: MemberKind::Platform,
            revision: 1,
            content: Content {
                observable: Observable::parse("news.example.com").unwrap(),
                raw: text("news[.]example.com"),
                verdict: Verdict::Suspected,
                confidence: Confidence::default(),
                severity: None,
                first_seen: None,
                last_seen: None,
                note: text(""),
                evidence: Vec::new(),
                hash_quality: 0,
                independent: false,
                report: Arc::new(Report {
                    campaign: text(""),
                    attribution: text(""),
                    ttps: Vec::new(),
                    targets: Targets::default(),
                    tags: Vec::new(),
                    handling: Handling::new(Tlp::Green, Audience::default()).unwrap(),
                }),
            },
            published_at: Timestamp(0),
            revised_at: Timestamp(1),
            retraction_reason: text(""),
            warnings: Vec::new(),
        }
    }

    fn full() -> Indicator {
        let plain = plain();
        let member = |n| MemberId(Uuid::from_u128(n));
        let audience = Audience::new(vec![member(3), member(4)], vec![GroupId(Uuid::from_u128(5))]).unwrap();
        let mut handling = Handling::new(Tlp::Amber, audience).unwrap();
        handling.government_release = true;
        handling.embargo = Some(Embargo::new(Timestamp(i64::MAX / 2), vec![member(6)]).unwrap());
        handling.expires_at = Some(Timestamp(i64::MAX));
        let evidence = |description: &str, sha256| Evidence {
            description: text(description),
            reference: text("a case number"),
            sha256,
        };
        Indicator {
            revision: 300,
            content: Content {
                confidence: Confidence::new(100).unwrap(),
                severity: Some(Severity::Critical),
                first_seen: Some(Timestamp(-1)),
                last_seen: Some(Timestamp(1_700_000_000_000_001)),
                note: text(&"a long remark, ".repeat(200)),
                evidence: vec![evidence("", None), evidence("a screenshot", Some([7; 32]))],
                hash_quality: 90,
                independent: true,
                report: Arc::new(Report {
                    campaign: text("Amber Drift"),
                    attribution: text("nobody"),
                    ttps: ["T0007", "0.9.4"].map(|ttp| Ttp::parse("ttp", ttp).unwrap()).into(),
                    targets: Targets {
                        countries: vec![Code::country("country", "DE").unwrap()],
                        languages: vec![Code::language("language", "de").unwrap()],
                        events: vec![text("the election"), text("")],
                    },
                    tags: vec![Tag::parse("tag", "mirror").unwrap()],
                    handling,
                }),
                ..plain.content.clone()
            },
            retraction_reason: text("a mistake"),
            warnings: vec![text("top sites"), text("")],
            ..plain
        }
    }

    #[test]
    fn bytes_are_those_of_the_generated_messages() {
        for indicator in [plain(), full()] {
            let stored = StoredIndicator::new(indicator);
            let body = stored::Indicator::decode(stored.body.clone()).unwrap();
            assert_eq!(body.encode_to_vec(), stored.body);
            let published = |request_id: &str| Event::IndicatorPublished {
                stored: Box::new(stored.clone()),
                request_id: request_id.into(),
            };
            let revised = Event::IndicatorRevised {
                stored: Box::new(stored.clone()),
                request_id: "again".into(),
            };
            let retracted = Event::IndicatorRetracted {
                stored: Box::new(stored.clone()),
            };
            let tick = Event::ClockTicked { now: Timestamp(7) };
            for event in [published(""), published("once"), revised, retracted, tick] {
                let actor = Some(Actor {
                    member: MemberId(Uuid::from_u128(2)),
                    agent: "service".parse().unwrap(),
                });
                for (at, actor) in [(0, None), (-1, None), (1_700_000_000_000_001, actor)] {
                    let entry = Entry {
                        at: Timestamp(at),
                        actor,
                        event: event.clone(),
                    };
                    let bytes = entry.encode();
                    let decoded = stored::Entry::decode(bytes.clone()).unwrap();
                    assert!(decoded.event.is_some());
                    assert_eq!(decoded.encode_to_vec(), bytes);
                    let again = Entry::decode(bytes.clone()).unwrap();
                    assert_eq!(again.encode(), bytes);
                    if let (Event::IndicatorPublished { stored, .. }, Event::IndicatorPublished { stored: other, .. }) =
                        (&event, &again.event)
                    {
                        assert_eq!(stored.indicator, other.indicator);
                    }
                }
            }
        }
    }
    #[test]
    fn publications_are_encoded_as_other_entries_are_whatever_came_before_them() {
        let actor = Actor {
            member: MemberId(Uuid::from_u128(2)),
            agent: "service".parse().unwrap(),
        };
        let mut publications = Publications::new(Timestamp(7), (actor, MemberKind::Media), 3);
        let mut longest = full();
        longest.content.note = text(&"a long remark, ".repeat(260));
        let all = [plain(), full(), plain(), longest.clone(), longest.clone()];
        // More than lies in one allocation.
        let all = all.into_iter().chain(std::iter::repeat_n(longest, 10)).zip(1..);
        let all: Vec<_> = all
            .map(|(indicator, number)| {
                let Indicator { content, warnings, .. } = indicator;
                let (id, observable) = (IndicatorId(Uuid::from_u128(number)), content.observable.id());
                let request_id = ["", "once"][number as usize % 2];
                publications.entry(id, (content, observable), warnings, request_id.into())
            })
            .collect();
        for (entry, bytes) in all {
            assert_eq!(bytes, entry.encode());
            let Event::IndicatorPublished { stored, .. } = entry.event else {
                panic!("another event");
            };
            assert_eq!(stored.body, encode_indicator(&stored.indicator));
            assert_eq!(
                (stored.indicator.revision, stored.indicator.published_at),
                (1, Timestamp(7))
            );
        }
    }
}
