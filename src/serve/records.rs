//! Answers in pieces that fill a TLS record each. HTTP/2 cuts what it sends into frames of at most 16 KiB, and TLS into records of as
//! many bytes: a full frame with its head takes two, the second of nine bytes, which is encrypted, sent and decrypted as a full one is.
//! And HTTP/2 takes in a whole piece as soon as the peer's window has room for one byte of it: small ones leave little with a peer that
//! does not read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// What a TLS record holds at most (RFC 8446, section 5.1).
const RECORD_BYTES: usize = 1 << 14;

/// The head of a frame (RFC 9113, section 4.1).
const FRAME_HEAD_BYTES: usize = 9;

/// What a frame carries that fills a record.
const PIECE_BYTES: usize = RECORD_BYTES - FRAME_HEAD_BYTES;

/// A body whose data comes in such pieces.
pub(super) struct InRecords<B> {
    body: B,
    rest: Bytes,
}

impl<B> InRecords<B> {
    pub fn new(body: B) -> InRecords<B> {
        InRecords {
            body,
            rest: Bytes::new(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for InRecords<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let end = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(end)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// What is left of an answer, last first.
    struct Answer(Vec<Frame<Bytes>>);

    impl Body for Answer {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop().map(Ok))
        }
    }

    #[test]
    fn all_is_sent_in_order_and_no_piece_is_longer_than_a_record_holds() {
        let data: Vec<Bytes> = [1, PIECE_BYTES, 3 * PIECE_BYTES + 7, 0, 5]
            .into_iter()
            .enumerate()
            .map(|(number, length)| vec![number as u8; length].into())
            .collect();
        let mut frames: Vec<Frame<Bytes>> = data.iter().cloned().map(Frame::data).collect();
        frames.push(Frame::trailers(HeaderMap::new()));
        frames.reverse();
        let mut answer = InRecords::new(Answer(frames));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let (mut sent, mut lengths, mut trailers) = (Vec::new(), Vec::new(), 0);
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut answer).poll_frame(&mut context) {
            match frame.into_data() {
                Ok(piece) => {
                    assert_eq!(trailers, 0);
                    lengths.push(piece.len());
                    sent.extend_from_slice(&piece);
                }
                Err(_) => trailers += 1,
            }
        }
        assert_eq!((sent, trailers), (data.concat(), 1));
        assert_eq!(
            lengths,
            [1, PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 7, 0, 5]
        );
    }
}
