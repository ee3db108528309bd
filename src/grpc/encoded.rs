//! A response made of parts that are already encoded. An indicator is encoded once, when it is published; each subscriber's
//! response is a row of such parts. Protobuf allows it: the concatenation of encoded fields is a message.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, encode_key, encode_varint};

/// A message as the concatenation of its encoded fields. It can be sent; it is never decoded.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    parts: Vec<Bytes>,
    length: usize,
}

impl Encoded {
    /// Adds encoded fields as they lie.
    pub fn push(&mut self, fields: Bytes) {
        self.length += fields.len();
        self.parts.push(fields);
    }

    /// Adds the fields of `message`, which must be a message of the same type, with the fields that are set here left empty.
    pub fn push_message(&mut self, message: &impl prost::Message) {
        self.push(message.encode_to_vec().into());
    }

    /// Adds field `tag`, a message whose own encoded fields are `parts`.
    pub fn push_field(&mut self, tag: u32, parts: &[Bytes]) {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let mut head = Vec::with_capacity(8);
        encode_key(tag, WireType::LengthDelimited, &mut head);
        encode_varint(length as u64, &mut head);
        self.push(head.into());
        parts.iter().for_each(|part| self.push(part.clone()));
    }

    /// Encoded length so far, in bytes.
    pub fn byte_len(&self) -> usize {
        self.length
    }

    /// The fields in one piece.
    pub fn into_bytes(self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.length);
        self.parts.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.into()
    }

    /// The fields as one row of parts, to be put into an outer message.
    pub fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }
}

impl prost::Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        self.parts.iter().for_each(|part| buffer.put_slice(part));
    }

    fn encoded_len(&self) -> usize {
        self.length
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
