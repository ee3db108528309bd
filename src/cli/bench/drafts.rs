//! Drafts of a load as they go over the wire. Client and server share the machine, so what making a request takes is taken from the
//! server: what all drafts of a report say is encoded once, and each adds its own few fields.

use std::ops::Range;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::load::{INDICATORS_PER_CAMPAIGN, Load};
use crate::grpc::encoded::Encoded;
use crate::grpc::wire;

/// Numbers of the fields `items` of both requests, of `PublishItem`, and of `last_seen` of a draft.
const ITEMS: u32 = 1;
const REQUEST_ID: u32 = 1;
const DRAFT: u32 = 2;
const LAST_SEEN: u32 = 11;

/// What a draft ends with: `last_seen`, whose numbers have five bytes each whatever they are, so that it can be written later.
const STAMP_BYTES: usize = 14;

/// Makes requests to publish.
#[derive(Clone, Debug)]
pub struct Drafts {
    load: Load,
    /// What the drafts of the last report have in common, encoded.
    campaign: Option<(u64, Vec<u8>)>,
}

/// A `PublishRequest` or `PublishStreamRequest`, which have the same one field.
#[derive(Debug, Default)]
pub struct Request {
    bytes: Vec<u8>,
    /// Where each draft ends.
    ends: Vec<usize>,
}

impl Drafts {
    /// Those of a load.
    pub fn of(load: Load) -> Drafts {
        Drafts { load, campaign: None }
    }

    /// The request with the drafts of these numbers.
    pub fn request(&mut self, numbers: Range<u64>) -> Request {
        let mut request = Request::default();
        for number in numbers {
            let (request_id, own) = self.load.own(number);
            let common = self.common(number / INDICATORS_PER_CAMPAIGN);
            request.push(&request_id, &own, common);
        }
        request
    }

    fn common(&mut self, campaign: u64) -> &[u8] {
        let load = &self.load;
        let encoded = |campaign| (campaign, load.of_campaign(campaign).encode_to_vec());
        let held = self.campaign.take().filter(|(held, _)| *held == campaign);
        let (_, common) = self.campaign.insert(held.unwrap_or_else(|| encoded(campaign)));
        common
    }
}

impl Request {
    /// Adds a draft: what follows an encoded message adds to it.
    fn push(&mut self, request_id: &str, own: &wire::IndicatorDraft, common: &[u8]) {
        let bytes = &mut self.bytes;
        let draft_bytes = own.encoded_len() + common.len() + STAMP_BYTES;
        // An empty text is left out, as in any message.
        let id_bytes = if request_id.is_empty() {
            0
        } else {
            field_bytes(request_id.len())
        };
        open_field(ITEMS, id_bytes + field_bytes(draft_bytes), bytes);
        if id_bytes > 0 {
            open_field(REQUEST_ID, request_id.len(), bytes);
            bytes.extend_from_slice(request_id.as_bytes());
        }
        open_field(DRAFT, draft_bytes, bytes);
        own.encode_raw(bytes);
        bytes.extend_from_slice(common);
        bytes.extend_from_slice(&[0; STAMP_BYTES]);
        self.ends.push(bytes.len());
    }

    /// Ready to be sent: says in each draft when it was to be, which is how a subscriber knows how long it was under way.
    pub fn stamped(mut self, due: Instant) -> Encoded {
        let sent = SystemTime::now().checked_sub(due.elapsed()).unwrap_or(UNIX_EPOCH);
        let stamp = stamp(sent.duration_since(UNIX_EPOCH).unwrap_or_default());
        for end in self.ends {
            self.bytes[end - STAMP_BYTES..end].copy_from_slice(&stamp);
        }
        Encoded::ending_with(self.bytes.into())
    }
}

/// The field `last_seen`.
fn stamp(since_epoch: std::time::Duration) -> [u8; STAMP_BYTES] {
    let mut stamp = [0; STAMP_BYTES];
    stamp[0] = (LAST_SEEN << 3 | WireType::LengthDelimited as u32) as u8;
    stamp[1] = STAMP_BYTES as u8 - 2;
    for (tag, number) in [(1, since_epoch.as_secs()), (2, u64::from(since_epoch.subsec_nanos()))] {
        let at = 2 + 6 * (tag - 1);
        stamp[at] = (tag << 3) as u8;
        for place in 0..5 {
            let more = if place < 4 { 0x80 } else { 0 };
            stamp[at + 1 + place] = (number >> (7 * place)) as u8 & 0x7f | more;
        }
    }
    stamp
}

/// The bytes of a field of so many, all of whose numbers are below 16.
fn field_bytes(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

fn open_field(tag: u32, bytes: usize, out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes as u64, out);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_request_says_what_the_load_has_and_when_it_was_sent() {
        let load = Load::new(7, vec!["group".into()]);
        let numbers = INDICATORS_PER_CAMPAIGN - 2..INDICATORS_PER_CAMPAIGN + 2;
        let begun = SystemTime::now() - Duration::from_millis(1);
        let request = Drafts::of(load.clone()).request(numbers.clone());
        let encoded = request.stamped(Instant::now()).encode_to_vec();
        let items = wire::PublishRequest::decode(&*encoded).unwrap().items;
        assert_eq!(wire::PublishStreamRequest::decode(&*encoded).unwrap().items, items);
        assert_eq!(items.len(), 4);
        for (number, item) in numbers.zip(items) {
            let mut draft = item.draft.unwrap();
            let sent = SystemTime::try_from(draft.last_seen.take().unwrap()).unwrap();
            assert!(begun <= sent && sent <= SystemTime::now(), "{sent:?}");
            let (request_id, own) = load.own(number);
            let mut expected = load.of_campaign(number / INDICATORS_PER_CAMPAIGN);
            expected.merge(&*own.encode_to_vec()).unwrap();
            assert_eq!((item.request_id, draft), (request_id, expected));
        }
    }

    #[test]
    fn stamps_are_timestamps() {
        for (secs, nanos) in [(0, 0), (1, 999_999_999), (1_764_000_000, 127), (1 << 34, 1)] {
            let draft = wire::IndicatorDraft::decode(&stamp(Duration::new(secs, nanos))[..]).unwrap();
            let stamp = draft.last_seen.unwrap();
            assert_eq!((stamp.seconds, stamp.nanos), (secs as i64, nanos as i32));
        }
    }
}
