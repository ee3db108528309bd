//! The buffers that messages lie in between HTTP/2 and the services: they begin as small as most messages are. tonic's own begin with
//! 8 KiB, of which each call takes two, and an answer that nobody reads keeps its own.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::ProstCodec;

/// What a buffer begins with: a publication of one indicator, or a look-up of one value.
const BUFFER_BYTES: usize = 1 << 10;

/// Answers of a stream that are ready are sent together until they have so many bytes.
const TOGETHER_BYTES: usize = 32 << 10;

/// Protobuf, as [`ProstCodec`] has it.
pub struct SmallBuffers<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SmallBuffers<T, U> {
    fn default() -> Self {
        SmallBuffers(PhantomData)
    }
}

/// Makes room for the whole of a message before it is written, piece by piece: a buffer that grows by doubling is copied each time.
pub struct RoomFirst<T>(PhantomData<T>);

impl<T: Message> Encoder for RoomFirst<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        // It asks for the length once more, and finds room.
        message
            .encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, TOGETHER_BYTES)
}

impl<T, U> Codec for SmallBuffers<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = RoomFirst<T>;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        RoomFirst(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}
