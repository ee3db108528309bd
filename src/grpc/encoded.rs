//! A response that is written as its bytes, field by field. An indicator is encoded once, when it is published; a response takes its
//! bytes as they lie. Protobuf allows it: the concatenation of encoded fields is a message.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint};

/// A message as its encoded fields. It can be sent; it is never decoded.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    bytes: Vec<u8>,
}

impl Encoded {
    /// An empty message with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Encoded {
        Encoded {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// Adds encoded fields as they lie.
    pub fn push(&mut self, fields: &[u8]) {
        self.bytes.extend_from_slice(fields);
    }

    /// Adds the fields of `message`, which must be a message of the same type, with the fields that are set here left empty.
    pub fn push_message(&mut self, message: &impl prost::Message) {
        message.encode_raw(&mut self.bytes);
    }

    /// Adds field `tag`, a text; nothing where it is empty.
    pub fn push_text(&mut self, tag: u32, text: &str) {
        if !text.is_empty() {
            self.push_item(tag, text.as_bytes());
        }
    }

    /// Adds field `tag`, an id in text.
    pub fn push_id(&mut self, tag: u32, id: uuid::Uuid) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        self.push_item(tag, id.hyphenated().encode_lower(&mut text).as_bytes());
    }

    /// Adds field `tag`, a number, a bool or the number of an enum's value; nothing where it is zero.
    pub fn push_number(&mut self, tag: u32, number: u64) {
        if number != 0 {
            encode_key(tag, WireType::Varint, &mut self.bytes);
            encode_varint(number, &mut self.bytes);
        }
    }

    /// Adds field `tag`, one text or encoded message of a repeated field.
    pub fn push_item(&mut self, tag: u32, bytes: &[u8]) {
        encode_key(tag, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(bytes.len() as u64, &mut self.bytes);
        self.push(bytes);
    }

    /// Adds field `tag`, a message whose fields `write` adds.
    pub fn push_field(&mut self, tag: u32, write: impl FnOnce(&mut Encoded)) {
        encode_key(tag, WireType::LengthDelimited, &mut self.bytes);
        // One byte is the length of most; the longer ones are moved on.
        self.bytes.push(0);
        let start = self.bytes.len();
        write(self);
        let length = self.bytes.len() - start;
        let more = encoded_len_varint(length as u64) - 1;
        self.bytes.resize(start + length + more, 0);
        self.bytes.copy_within(start..start + length, start + more);
        encode_varint(length as u64, &mut &mut self.bytes[start - 1..start + more]);
    }

    /// Encoded length so far, in bytes.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The fields in one piece.
    pub fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }
}

impl prost::Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.bytes);
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        // Only servers use this type, and they never receive a response.
        prost::encoding::skip_field(wire_type, tag, buffer, context)
    }

    fn clear(&mut self) {
        *self = Encoded::default();
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::grpc::wire;

    #[test]
    fn fields_are_those_of_the_message() {
        for length in [0, 1, 100, 127, 128, 300, 16_383, 16_384, 70_000] {
            let id = uuid::Uuid::from_u128(7);
            let description = "d".repeat(length);
            let message = wire::Member {
                id: id.to_string(),
                name: description.clone(),
                kind: 0,
                standing: 2,
                admitted_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            };
            let mut encoded = Encoded::default();
            encoded.push_field(9, |member| {
                member.push_id(1, id);
                member.push_text(2, &description);
                member.push_number(3, 0);
                member.push_number(4, 2);
                member.push_field(5, |time| time.push_number(1, 1));
            });
            let mut expected = Vec::new();
            prost::encoding::message::encode(9, &message, &mut expected);
            assert_eq!(encoded.encode_to_vec(), expected, "{length}");
            assert_eq!(encoded.byte_len(), expected.len());
        }
    }
}
