//! Requests to publish, as they arrive: each item's bytes, to be decoded when the member has its turn. Decoded with the message, a full
//! request would hold a thread of the runtime for milliseconds, whosever turn it is.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, bytes as field, skip_field};

/// The number of the field `items` of `PublishRequest` and `PublishStreamRequest`.
const ITEMS: u32 = 1;

/// `PublishRequest` or `PublishStreamRequest`, which have the same one field.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Items {
    /// Each an encoded `PublishItem`; a part of the message, not a copy.
    pub items: Vec<Bytes>,
}

impl prost::Message for Items {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        field::encode_repeated(ITEMS, &self.items, buffer);
    }

    fn encoded_len(&self) -> usize {
        field::encoded_len_repeated(ITEMS, &self.items)
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            ITEMS => field::merge_repeated(wire_type, &mut self.items, buffer, context),
            _ => skip_field(wire_type, tag, buffer, context),
        }
    }

    fn clear(&mut self) {
        self.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::grpc::wire;

    #[test]
    fn items_are_those_of_both_requests() {
        let items: Vec<wire::PublishItem> = ["a", "", "b"]
            .map(|request_id| wire::PublishItem {
                request_id: request_id.into(),
                draft: None,
            })
            .into();
        // Taken apart, so that a new field is noticed here.
        let request = wire::PublishRequest { items: items.clone() };
        let wire::PublishRequest { items: _ } = &request;
        let in_stream = wire::PublishStreamRequest { items: items.clone() };
        let wire::PublishStreamRequest { items: _ } = &in_stream;
        for bytes in [request.encode_to_vec(), in_stream.encode_to_vec()] {
            let arrived = Items::decode(&*bytes).unwrap();
            assert_eq!(arrived.encode_to_vec(), bytes);
            let decoded: Vec<_> = arrived
                .items
                .into_iter()
                .map(|item| wire::PublishItem::decode(item).unwrap())
                .collect();
            assert_eq!(decoded, items);
        }
        assert!(
            Items::decode(&[0x0a, 5, 1][..]).is_err(),
            "a length past the end is refused"
        );
    }
}
