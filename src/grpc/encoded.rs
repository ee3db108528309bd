//! A response that is written as its bytes, field by field. An indicator is encoded once, when it is published; a response takes its
//! bytes as they lie. Protobuf allows it: the concatenation of encoded fields is a message.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint};

/// A message as its encoded fields. It can be sent; it is never decoded.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    bytes: Vec<u8>,
    /// Whether fields that lie elsewhere are copied as they are added.
    is_one_piece: bool,
    /// Those that are not, each with its place among the bytes.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
    /// Fields that follow.
    ending: Bytes,
}

impl Encoded {
    /// An empty message with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Encoded {
        Encoded {
            bytes: Vec::with_capacity(bytes),
            is_one_piece: true,
            ..Encoded::default()
        }
    }

    /// The same of one that is sent once: what others have as well is copied then, and not before. The room is for the rest.
    pub fn of_pieces(bytes: usize) -> Encoded {
        Encoded {
            is_one_piece: false,
            ..Encoded::with_capacity(bytes)
        }
    }

    /// A message that ends with encoded fields which others send as well. They are not copied until it is sent.
    pub fn ending_with(ending: Bytes) -> Encoded {
        Encoded {
            ending,
            ..Encoded::default()
        }
    }

    /// Adds encoded fields as they lie.
    pub fn push(&mut self, fields: &[u8]) {
        self.bytes.extend_from_slice(fields);
    }

    /// The same of fields that others have as well.
    pub fn push_shared(&mut self, fields: &Bytes) {
        if self.is_one_piece {
            return self.push(fields);
        }
        self.shared_bytes += fields.len();
        self.shared.push((self.bytes.len(), fields.clone()));
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
        self.push_long_field(tag, 0, write);
    }

    /// The same of a message that is about so long.
    pub fn push_long_field(&mut self, tag: u32, bytes: usize, write: impl FnOnce(&mut Encoded)) {
        encode_key(tag, WireType::LengthDelimited, &mut self.bytes);
        // Room for the length; where it takes more or less of it, the fields are moved.
        let (at, room) = (self.bytes.len(), encoded_len_varint(bytes as u64));
        let start = at + room;
        self.bytes.resize(start, 0);
        let (shared_before, shared_bytes) = (self.shared.len(), self.shared_bytes);
        write(self);
        let own = self.bytes.len() - start;
        let length = own + self.shared_bytes - shared_bytes;
        let needed = encoded_len_varint(length as u64);
        if needed != room {
            self.bytes.resize((at + needed + own).max(self.bytes.len()), 0);
            self.bytes.copy_within(start..start + own, at + needed);
            self.bytes.truncate(at + needed + own);
            for (place, _) in &mut self.shared[shared_before..] {
                *place = *place - room + needed;
            }
        }
        encode_varint(length as u64, &mut &mut self.bytes[at..at + needed]);
    }

    /// Encoded length so far, in bytes.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + self.shared_bytes + self.ending.len()
    }

    /// The fields in one piece.
    pub fn into_bytes(mut self) -> Bytes {
        if self.shared.is_empty() {
            self.bytes.extend_from_slice(&self.ending);
            return self.bytes.into();
        }
        prost::Message::encode_to_vec(&self).into()
    }
}

impl prost::Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        let mut from = 0;
        for (place, fields) in &self.shared {
            buffer.put_slice(&self.bytes[from..*place]);
            buffer.put_slice(fields);
            from = *place;
        }
        buffer.put_slice(&self.bytes[from..]);
        buffer.put_slice(&self.ending);
    }

    fn encoded_len(&self) -> usize {
        self.byte_len()
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
            let write = |member: &mut Encoded| {
                member.push_id(1, id);
                member.push_text(2, &description);
                member.push_number(3, 0);
                member.push_number(4, 2);
                member.push_field(5, |time| time.push_number(1, 1));
            };
            encoded.push_field(9, write);
            let mut expected = Vec::new();
            prost::encoding::message::encode(9, &message, &mut expected);
            assert_eq!(encoded.encode_to_vec(), expected, "{length}");
            assert_eq!(encoded.byte_len(), expected.len());
            for about in [0, 127, 128, length, 1 << 14, 1 << 21] {
                let mut encoded = Encoded::ending_with(Bytes::from_static(b"more"));
                encoded.push_shared(&Bytes::from_static(b"first"));
                encoded.push_long_field(9, about, write);
                // The same, of which all but the first field lies elsewhere, in two pieces.
                encoded.push_long_field(9, about, |member| {
                    let mut fields = Encoded::default();
                    write(&mut fields);
                    let fields = fields.into_bytes();
                    let name_at = 2 + 36 + (fields.len() - 2 - 36).min(3);
                    member.push(&fields[..2 + 36]);
                    member.push_shared(&fields.slice(2 + 36..name_at));
                    member.push_shared(&fields.slice(name_at..));
                });
                let expected = [b"first", &expected[..], &expected[..], b"more"].concat();
                assert_eq!(encoded.encode_to_vec(), expected, "{length} of about {about}");
                assert_eq!(encoded.byte_len(), expected.len());
                assert_eq!(encoded.into_bytes(), expected);
            }
        }
    }
}
