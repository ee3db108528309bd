//! Entries about erasing: what was erased, what was ordered, and what is left in an erased entry's place. Domain to stored message
//! and back. What is left is the same whenever it is made of the same entry: the log's record of it is a digest.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{DecodeError, Entry, Event, StoredIndicator, id_bytes, indicator, item, number, stored, uuid};
use crate::domain::id::{IndicatorId, ObservableId, Seq, Timestamp};
use crate::domain::indicator::{Content, Indicator, Report, Text};
use crate::domain::observable::Observable;

/// Most entries in one record of an erasure: with an id for each it stays far below the largest entry.
pub const ENTRIES_PER_ERASURE_MAX: usize = 1_024;

/// Entries that are being erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erased {
    /// Their positions, ascending.
    pub seqs: Vec<Seq>,
    /// [`digest_of`] what is left in their places.
    pub left: [u8; 32],
    /// Indicators of which nothing is left to be read.
    pub indicators: Vec<IndicatorId>,
}

/// What an erased entry did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It was an [`Event::IndicatorPublished`].
    Published,
    /// It was an [`Event::IndicatorRevised`].
    Revised,
    /// It was an [`Event::IndicatorRetracted`].
    Retracted,
}

impl Change {
    const ALL: [Change; 3] = [Change::Published, Change::Revised, Change::Retracted];
}

/// What is left of an entry of an indicator.
#[derive(Clone, Debug)]
pub struct Left {
    /// What the entry did.
    pub change: Change,
    /// The indicator, as far as policy and filters decide on it. Its body is empty, and so is the id of what it spoke of.
    pub stored: StoredIndicator,
    /// The client's name for the attempt; empty if none.
    pub request_id: Arc<str>,
    /// How long the body was.
    pub body_bytes: u32,
    /// SHA-256 of the bytes that are left.
    pub sha256: [u8; 32],
}

/// The digest of what is left of several entries, from the SHA-256 of each, in the order of their positions.
pub fn digest_of(left: impl IntoIterator<Item = [u8; 32]>) -> [u8; 32] {
    let digest = left
        .into_iter()
        .fold(Sha256::new(), |digest, one| digest.chain_update(one));
    digest.finalize().into()
}

/// What is left of an entry where it is erased, given its bytes; none of one that must not be: only those of indicators may go.
pub fn left_of(bytes: &Bytes) -> Option<Bytes> {
    let Entry { at, actor: _, event } = Entry::decode(bytes.clone()).ok()?;
    let (change, stored, request_id) = match event {
        Event::IndicatorPublished { stored, request_id } => (Change::Published, stored, request_id),
        Event::IndicatorRevised { stored, request_id } => (Change::Revised, stored, request_id),
        Event::IndicatorRetracted { stored } => (Change::Retracted, stored, "".into()),
        _ => return None,
    };
    let body_bytes = u32::try_from(stored.body.len()).ok()?;
    let left = Left {
        change,
        stored: bare(stored.indicator),
        request_id,
        body_bytes,
        sha256: [0; 32],
    };
    let event = Event::IndicatorErased(Box::new(left));
    Some(Entry { at, actor: None, event }.encode())
}

/// An indicator without its value, and without what its publisher said of it in free words, but for what filters ask.
fn bare(indicator: Indicator) -> StoredIndicator {
    let report = Report {
        attribution: Text::default(),
        ..Report::clone(&indicator.content.report)
    };
    let content = Content {
        observable: Observable::erased(indicator.content.observable.kind()),
        raw: Text::default(),
        first_seen: None,
        last_seen: None,
        note: Text::default(),
        evidence: Vec::new(),
        hash_quality: 0,
        report: Arc::new(report),
        ..indicator.content
    };
    let indicator = Indicator {
        content,
        published_at: Timestamp::default(),
        revised_at: Timestamp::default(),
        retraction_reason: Text::default(),
        warnings: Vec::new(),
        ..indicator
    };
    StoredIndicator {
        indicator,
        body: Bytes::new(),
        observable: ObservableId::ERASED,
    }
}

/// Encodes the events of this file.
pub(super) fn encode(event: &Event) -> stored::entry::Event {
    use stored::entry::Event as Stored;
    match event {
        Event::EntriesErased(erased) => Stored::EntriesErased(encode_erased(erased)),
        Event::ErasureOrdered { indicator, reason } => Stored::ErasureOrdered(stored::ErasureOrdered {
            indicator_id: id_bytes(indicator.0),
            reason: reason.clone(),
        }),
        Event::IndicatorErased(left) => {
            let Left {
                change,
                stored,
                request_id,
                body_bytes,
                sha256: _,
            } = &**left;
            Stored::IndicatorErased(stored::IndicatorErased {
                change: number(&Change::ALL, change),
                indicator: indicator::encode(&stored.indicator, stored.observable),
                audience: indicator::stored_audience(&stored.indicator.content.handling),
                request_id: request_id.to_string(),
                indicator_bytes: *body_bytes,
            })
        }
        _ => unreachable!("the caller hands over the events above only"),
    }
}

fn encode_erased(erased: &Erased) -> stored::EntriesErased {
    let Erased { seqs, left, indicators } = erased;
    let before = std::iter::once(0).chain(seqs.iter().map(|seq| seq.0));
    stored::EntriesErased {
        positions: seqs.iter().zip(before).map(|(seq, before)| seq.0 - before).collect(),
        left_sha256: Bytes::copy_from_slice(left),
        indicator_ids: indicators.iter().map(|id| id_bytes(id.0)).collect(),
    }
}

/// Decodes the events of this file.
pub(super) fn decode(event: stored::entry::Event, bytes: &Bytes) -> Result<Event, DecodeError> {
    use stored::entry::Event as Stored;
    Ok(match event {
        Stored::EntriesErased(erased) => Event::EntriesErased(Box::new(decode_erased(erased)?)),
        Stored::ErasureOrdered(stored::ErasureOrdered { indicator_id, reason }) => Event::ErasureOrdered {
            indicator: IndicatorId(uuid(&indicator_id)?),
            reason,
        },
        Stored::IndicatorErased(stored::IndicatorErased {
            change,
            indicator,
            audience,
            request_id,
            indicator_bytes,
        }) => Event::IndicatorErased(Box::new(Left {
            change: item(&Change::ALL, change, "change")?,
            stored: StoredIndicator {
                body: Bytes::new(),
                observable: ObservableId::ERASED,
                ..indicator::decode_stored(indicator, audience)?
            },
            request_id: request_id.into(),
            body_bytes: indicator_bytes,
            sha256: Sha256::digest(bytes).into(),
        })),
        _ => unreachable!("the caller hands over the events above only"),
    })
}

fn decode_erased(erased: stored::EntriesErased) -> Result<Erased, DecodeError> {
    let stored::EntriesErased {
        positions,
        left_sha256,
        indicator_ids,
    } = erased;
    let mut seqs: Vec<Seq> = Vec::with_capacity(positions.len());
    for distance in positions {
        let seq = match seqs.last() {
            None => Some(distance),
            Some(last) => last.0.checked_add(distance).filter(|_| distance > 0),
        };
        seqs.push(Seq(seq.ok_or(DecodeError::Unknown("positions"))?));
    }
    Ok(Erased {
        seqs,
        left: left_sha256
            .as_ref()
            .try_into()
            .map_err(|_| DecodeError::Unknown("left_sha256"))?,
        indicators: indicator_ids
            .iter()
            .map(|id| uuid(id).map(IndicatorId))
            .collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::fields::golden;
    use super::*;
    use crate::domain::handling::{Audience, Handling, Tlp};
    use crate::domain::id::{GroupId, MemberId};
    use crate::domain::indicator::{Confidence, Evidence, Severity, Tag, Targets, Ttp, Verdict};
    use crate::domain::member::MemberKind;
    use crate::domain::observable::Kind;
    use uuid::Uuid;

    fn text<const BYTES_MAX: usize>(text: &str) -> Text<BYTES_MAX> {
        Text::parse("text", text).unwrap()
    }

    fn whole() -> Indicator {
        let audience = Audience::new(vec![MemberId(Uuid::from_u128(3))], vec![GroupId(Uuid::from_u128(4))]);
        let mut handling = Handling::new(Tlp::Amber, audience.unwrap()).unwrap();
        handling.expires_at = Some(Timestamp(1_700_000_000_000_000));
        Indicator {
            id: IndicatorId(Uuid::from_u128(1)),
            publisher: MemberId(Uuid::from_u128(2)),
            publisher_kind: MemberKind::Research,
            revision: 3,
            content: Content {
                observable: Observable::parse("secret.example.com").unwrap(),
                raw: text("secret[.]example[.]com"),
                verdict: Verdict::Malicious,
                confidence: Confidence::new(70).unwrap(),
                severity: Some(Severity::Critical),
                first_seen: Some(Timestamp(1)),
                last_seen: Some(Timestamp(2)),
                note: text("a secret note"),
                evidence: vec![Evidence {
                    description: text("a secret shot"),
                    reference: text("secret 7"),
                    sha256: None,
                }],
                hash_quality: 9,
                independent: true,
                report: Arc::new(Report {
                    campaign: text("Amber Drift"),
                    attribution: text("secret people"),
                    ttps: vec![Ttp::parse("ttp", "T0007").unwrap()],
                    targets: Targets::default(),
                    tags: vec![Tag::parse("tag", "mirror").unwrap()],
                    handling,
                }),
            },
            published_at: Timestamp(3),
            revised_at: Timestamp(4),
            retraction_reason: text("secret reasons"),
            warnings: vec![text("secret list")],
        }
    }

    fn entry(event: Event) -> Entry {
        Entry {
            at: Timestamp(5),
            actor: None,
            event,
        }
    }

    #[test]
    fn what_is_left_tells_what_policy_and_filters_ask_and_no_more() {
        let stored = || Box::new(StoredIndicator::new(whole()));
        let body_bytes = stored().body.len() as u32;
        let events = [
            Event::IndicatorPublished {
                stored: stored(),
                request_id: "once".into(),
            },
            Event::IndicatorRevised {
                stored: stored(),
                request_id: "once".into(),
            },
            Event::IndicatorRetracted { stored: stored() },
        ];
        for (event, change) in events.into_iter().zip(Change::ALL) {
            let bytes = left_of(&entry(event).encode()).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"secret"));
            let decoded = Entry::decode(bytes.clone()).unwrap();
            assert_eq!((decoded.at, decoded.encode()), (Timestamp(5), bytes.clone()));
            assert_eq!(left_of(&bytes), None, "what is left is left");
            let Event::IndicatorErased(left) = decoded.event else {
                panic!("{decoded:?}");
            };
            let request_id = if change == Change::Retracted { "" } else { "once" };
            assert_eq!(
                (left.change, &*left.request_id, left.body_bytes),
                (change, request_id, body_bytes)
            );
            assert_eq!(left.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
            assert_eq!(left.stored.observable, ObservableId::ERASED);
            let (before, after) = (whole(), left.stored.indicator);
            assert_eq!(
                (before.id, before.publisher, before.revision),
                (after.id, after.publisher, after.revision)
            );
            let lasting = |content: Content| {
                let Content {
                    verdict,
                    confidence,
                    severity,
                    independent,
                    report,
                    ..
                } = content;
                let report = Report {
                    attribution: Text::default(),
                    ..Report::clone(&report)
                };
                (verdict, confidence, severity, independent, report)
            };
            assert_eq!(after.content.observable, Observable::erased(Kind::Domain));
            assert_eq!(lasting(before.content), lasting(after.content));
        }
    }

    #[test]
    fn golden_bytes_are_read_and_left_for_ever() {
        let erased = Erased {
            seqs: vec![Seq(0), Seq(5), Seq(300)],
            left: [7; 32],
            indicators: vec![IndicatorId(Uuid::from_u128(9))],
        };
        let ordered = Event::ErasureOrdered {
            indicator: IndicatorId(Uuid::from_u128(9)),
            reason: "court order 12/34".to_owned(),
        };
        let published = Event::IndicatorPublished {
            stored: Box::new(StoredIndicator::new(whole())),
            request_id: "once".into(),
        };
        // A record that is not carried out holds the digest of what an older program would have left.
        let left = left_of(&entry(published).encode()).unwrap();
        for (bytes, known) in [
            (
                entry(Event::EntriesErased(Box::new(erased))).encode(),
                include_str!("../golden/entry-entries-erased-1.hex"),
            ),
            (
                entry(ordered).encode(),
                include_str!("../golden/entry-erasure-ordered-1.hex"),
            ),
            (left, include_str!("../golden/entry-indicator-erased-1.hex")),
        ] {
            assert_eq!(bytes, golden::bytes(known));
            assert_eq!(Entry::decode(bytes.clone()).unwrap().encode(), bytes);
        }
    }

    #[test]
    fn positions_that_do_not_ascend_are_refused() {
        for positions in [vec![3, 0], vec![u64::MAX, 1]] {
            let erased = stored::EntriesErased {
                positions,
                left_sha256: vec![0; 32].into(),
                indicator_ids: Vec::new(),
            };
            assert_eq!(decode_erased(erased), Err(DecodeError::Unknown("positions")));
        }
    }
}
