//! Items to publish, from their bytes. Those of one request are most often of one report, so what a report states of all its
//! indicators is compared as it lies, and taken apart once: the others share what was made of it.

use std::sync::Arc;

use bytes::Buf;
use prost::encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field, string};
use prost::{DecodeError, Message};

use crate::domain::indicator::Report;
use crate::domain::violation::Violation;
use crate::hub::publish::{Item, REQUEST_ID_BYTES_MAX};

use super::{convert, wire};

/// The numbers of the fields of `PublishItem`.
const REQUEST_ID: u32 = 1;
const DRAFT: u32 = 2;

/// What is known of the items before.
#[derive(Default)]
pub struct Drafts {
    /// Of the item at hand.
    request_id: String,
    /// The report's fields of the item at hand, while they are not those of the last one.
    stated: Stated,
    /// How much of the last one's the item at hand repeated, before it said something else.
    repeated: usize,
    /// Whether it has said nothing else.
    is_repeating: bool,
    /// The fields of the last item that had good ones, and what they say.
    last: Option<(Stated, Arc<Report>)>,
}

/// Fields of a report as they lie in a draft, without what lies between them.
#[derive(Clone, Default)]
struct Stated {
    fields: Vec<u8>,
    /// Where runs of fields end that lie side by side. In the next draft each is most often there as a whole.
    run_ends: Vec<usize>,
}

impl Stated {
    fn clear(&mut self) {
        self.fields.clear();
        self.run_ends.clear();
    }

    fn end_run(&mut self) {
        let end = self.fields.len();
        if end > self.run_ends.last().copied().unwrap_or_default() {
            self.run_ends.push(end);
        }
    }

    /// The run that begins at a place.
    fn run_from(&self, place: usize) -> &[u8] {
        let end = self.run_ends.iter().find(|end| **end > place);
        end.map_or(&[], |end| &self.fields[place..*end])
    }
}

impl Drafts {
    /// The next item, an encoded `PublishItem`.
    pub fn item(&mut self, item: &[u8]) -> Result<Item, Violation> {
        let undecodable = |error: DecodeError| Violation::new("draft", format!("cannot be decoded: {error}"));
        let draft = self.take_apart(item).map_err(undecodable)?;
        check_request_id(&self.request_id)?;
        let draft = draft.ok_or_else(|| Violation::new("draft", "must be given"))?;
        let report = match &self.last {
            Some((last, report)) if self.is_repeating && self.repeated == last.fields.len() => report.clone(),
            _ => {
                self.say_else();
                let stated = wire::IndicatorDraft::decode(&*self.stated.fields).map_err(undecodable)?;
                let report = convert::report(&stated).map_err(|violation| violation.within("draft"))?;
                let report = Arc::new(report);
                self.stated.end_run();
                self.last = Some((self.stated.clone(), report.clone()));
                report
            }
        };
        let content = convert::content(draft, report).map_err(|violation| violation.within("draft"))?;
        Ok(Item {
            request_id: self.request_id.as_str().into(),
            content,
        })
    }

    /// The draft comes without its report's fields: see [`Drafts::stated`].
    fn take_apart(&mut self, mut rest: &[u8]) -> Result<Option<wire::IndicatorDraft>, DecodeError> {
        self.stated.clear();
        (self.repeated, self.is_repeating) = (0, true);
        self.request_id.clear();
        let mut draft = None;
        while rest.has_remaining() {
            let (tag, wire_type) = decode_key(&mut rest)?;
            match tag {
                REQUEST_ID => string::merge(wire_type, &mut self.request_id, &mut rest, DecodeContext::default())?,
                DRAFT => {
                    check_wire_type(WireType::LengthDelimited, wire_type)?;
                    let mut value = skipped(&mut rest, |rest| {
                        skip_field(wire_type, tag, rest, DecodeContext::default())
                    })?;
                    decode_varint(&mut value)?;
                    self.take_draft_apart(value, draft.get_or_insert_default())?;
                }
                _ => skip_field(wire_type, tag, &mut rest, DecodeContext::default())?,
            }
        }
        Ok(draft)
    }

    fn take_draft_apart(&mut self, mut rest: &[u8], draft: &mut wire::IndicatorDraft) -> Result<(), DecodeError> {
        while rest.has_remaining() {
            let mut after_key = rest;
            let (tag, wire_type) = decode_key(&mut after_key)?;
            if !is_of_report(tag) {
                self.stated.end_run();
                rest = after_key;
                draft.merge_field(tag, wire_type, &mut rest, DecodeContext::default())?;
                continue;
            }
            if let Some(after) = self.repeats(rest) {
                rest = after;
                continue;
            }
            self.say_else();
            let field = skipped(&mut rest, |rest| {
                *rest = after_key;
                skip_field(wire_type, tag, rest, DecodeContext::default())
            })?;
            self.stated.fields.extend_from_slice(field);
        }
        Ok(())
    }

    /// What follows the next run of the last item's fields, where a draft goes on with it.
    fn repeats<'a>(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (last, _) = self.last.as_ref().filter(|_| self.is_repeating)?;
        let run = last.run_from(self.repeated);
        let after = rest.strip_prefix(run).filter(|_| !run.is_empty())?;
        self.repeated += run.len();
        Some(after)
    }

    /// Takes over what the item at hand repeated, for it says something else than the last one.
    fn say_else(&mut self) {
        if std::mem::take(&mut self.is_repeating)
            && let Some((last, _)) = &self.last
        {
            self.stated.fields.extend_from_slice(&last.fields[..self.repeated]);
            let ends = last.run_ends.iter().take_while(|end| **end <= self.repeated);
            self.stated.run_ends.extend(ends);
        }
    }
}

/// Whether a field of `IndicatorDraft` is one that [`convert::report`] reads.
fn is_of_report(tag: u32) -> bool {
    const CAMPAIGN: u32 = 6;
    const ATTRIBUTION: u32 = 7;
    const TTPS: u32 = 8;
    const TARGETS: u32 = 9;
    const TAGS: u32 = 12;
    const HANDLING: u32 = 15;
    matches!(tag, CAMPAIGN | ATTRIBUTION | TTPS | TARGETS | TAGS | HANDLING)
}

/// What `skip` passes over.
fn skipped<'a>(
    rest: &mut &'a [u8],
    skip: impl FnOnce(&mut &'a [u8]) -> Result<(), DecodeError>,
) -> Result<&'a [u8], DecodeError> {
    let from = *rest;
    skip(rest)?;
    Ok(&from[..from.len() - rest.len()])
}

/// Refuses a request id that is too long.
pub fn check_request_id(request_id: &str) -> Result<(), Violation> {
    match request_id.len() > REQUEST_ID_BYTES_MAX {
        true => Err(Violation::new(
            "request_id",
            format!("must have at most {REQUEST_ID_BYTES_MAX} bytes"),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use prost::encoding::{encode_key, encode_varint};
    use prost_types::Timestamp;

    use super::*;

    fn full() -> wire::IndicatorDraft {
        let moment = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        wire::IndicatorDraft {
            raw: "news[.]example.com".into(),
            kind: wire::ObservableKind::Domain.into(),
            verdict: wire::Verdict::Malicious.into(),
            confidence: 70,
            severity: wire::Severity::High.into(),
            campaign: "Amber Drift".into(),
            attribution: "nobody".into(),
            ttps: words(&["T0007", "0.9.4"]),
            targets: Some(wire::Targets {
                countries: words(&["DE"]),
                languages: words(&["de"]),
                events: words(&["an election"]),
            }),
            first_seen: moment(1),
            last_seen: moment(2),
            tags: words(&["mirror"]),
            note: "a remark".into(),
            evidence: vec![wire::Evidence {
                description: "a screenshot".into(),
                reference: String::new(),
                sha256: vec![7; 32],
            }],
            handling: Some(wire::Handling {
                tlp: wire::Tlp::Amber.into(),
                member_ids: vec![uuid::Uuid::from_u128(7).to_string()],
                ..Default::default()
            }),
            hash_quality: 0,
            independent: true,
        }
    }

    fn encoded(draft: wire::IndicatorDraft) -> Vec<u8> {
        let request_id = "once".into();
        wire::PublishItem {
            request_id,
            draft: Some(draft),
        }
        .encode_to_vec()
    }

    #[test]
    fn an_item_is_what_the_generated_messages_make_of_it_whatever_came_before() {
        let mut changes: Vec<fn(&mut wire::IndicatorDraft)> = vec![|_| {}];
        changes.push(|draft| draft.raw = "other.example.com".into());
        changes.push(|draft| draft.campaign.clear());
        changes.push(|draft| draft.attribution.push('x'));
        changes.push(|draft| draft.ttps.truncate(1));
        changes.push(|draft| draft.targets = None);
        changes.push(|draft| draft.tags.push("more".into()));
        changes.push(|draft| draft.handling.as_mut().unwrap().government_release = true);
        let mut drafts = Drafts::default();
        for first in &changes {
            for second in &changes {
                for change in [first, second] {
                    let mut draft = full();
                    change(&mut draft);
                    let item = drafts.item(&encoded(draft.clone())).unwrap();
                    assert_eq!(item.content, convert::draft(draft).unwrap());
                    assert_eq!(&*item.request_id, "once");
                }
            }
        }
    }

    #[test]
    fn a_request_id_is_of_its_own_item_alone() {
        let mut drafts = Drafts::default();
        for request_id in ["a long one", "", "short", "", ""] {
            let request_id = request_id.to_owned();
            let item = wire::PublishItem {
                request_id: request_id.clone(),
                draft: Some(full()),
            };
            assert_eq!(*drafts.item(&item.encode_to_vec()).unwrap().request_id, *request_id);
        }
    }

    #[test]
    fn items_of_one_report_share_it_whatever_they_say_between() {
        let mut drafts = Drafts::default();
        let mut report_of = |draft| drafts.item(&encoded(draft)).unwrap().content.report;
        let other = |change: fn(&mut wire::IndicatorDraft)| {
            let mut draft = full();
            change(&mut draft);
            draft
        };
        let report = report_of(full());
        let of_it: [fn(&mut wire::IndicatorDraft); 3] = [
            |draft| draft.raw = "other.example.com".into(),
            |draft| (draft.first_seen, draft.last_seen) = (None, None),
            |draft| draft.note.clear(),
        ];
        for change in of_it {
            assert!(Arc::ptr_eq(&report_of(other(change)), &report));
        }
        let change: fn(&mut wire::IndicatorDraft) = |draft| draft.tags.push("more".into());
        let changed = report_of(other(change));
        assert!(!Arc::ptr_eq(&changed, &report));
        assert!(Arc::ptr_eq(&report_of(other(change)), &changed));
        assert_eq!(report_of(full()), report);
    }

    #[test]
    fn what_is_wrong_is_told_and_the_next_item_does_not_suffer() {
        let mut drafts = Drafts::default();
        let mut wrong = full();
        wrong.tags = vec!["two words".into()];
        let mut without = full();
        without.handling = None;
        let field = |drafts: &mut Drafts, bytes: &[u8]| drafts.item(bytes).err().map(|violation| violation.field);
        for _ in 0..2 {
            assert_eq!(
                field(&mut drafts, &encoded(wrong.clone())).as_deref(),
                Some("draft.tags[0]")
            );
            assert_eq!(
                field(&mut drafts, &encoded(without.clone())).as_deref(),
                Some("draft.handling")
            );
            assert_eq!(field(&mut drafts, &[]).as_deref(), Some("draft"));
            assert_eq!(field(&mut drafts, &encoded(full())), None);
        }
    }

    #[test]
    fn a_draft_in_two_parts_and_with_unknown_fields_is_merged() {
        let mut tail = wire::IndicatorDraft {
            tags: vec!["more".into()],
            confidence: 9,
            ..Default::default()
        }
        .encode_to_vec();
        encode_key(99, WireType::Varint, &mut tail);
        encode_varint(1, &mut tail);
        let mut bytes = encoded(full());
        encode_key(DRAFT, WireType::LengthDelimited, &mut bytes);
        encode_varint(tail.len() as u64, &mut bytes);
        bytes.extend_from_slice(&tail);
        let merged = wire::PublishItem::decode(&*bytes).unwrap().draft.unwrap();
        assert_eq!((merged.tags.len(), merged.confidence), (2, 9));
        let item = Drafts::default().item(&bytes).unwrap();
        assert_eq!(item.content, convert::draft(merged).unwrap());
    }

    #[test]
    fn every_cut_and_every_changed_byte_ends_as_the_generated_messages_end() {
        let whole = encoded(full());
        let mut drafts = Drafts::default();
        let mut check = |bytes: &[u8]| {
            let expected = wire::PublishItem::decode(bytes).ok().and_then(|item| item.draft);
            let expected = expected.and_then(|draft| convert::draft(draft).ok());
            let found = drafts.item(bytes).ok().map(|item| item.content);
            assert_eq!(found, expected, "{bytes:?}");
        };
        for length in 0..whole.len() {
            check(&whole[..length]);
        }
        for place in 0..whole.len() {
            for byte in [0, 1, 2, 0x0a, 0x0d, 0x32, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[place] = byte;
                check(&changed);
            }
        }
    }
}
