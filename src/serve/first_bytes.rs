//! Counts what a peer sends, and does not look at it. A peer that says too little after its handshake to show which protocol it speaks
//! would hold its place for ever, since hyper waits for that without a limit of time; one that says very much at once would hold a
//! thread of the runtime for as long as it takes to decrypt it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The length of HTTP/2's preface (RFC 9113, section 3.4). A request of HTTP/1.1 is longer, and has a limit of its own besides.
const PREFACE_BYTES: usize = 24;

/// Bytes read from one connection before other tasks of the thread have their turn: some ten microseconds of decrypting.
const BYTES_PER_TURN: usize = 64 << 10;

/// How many bytes a connection has received.
#[derive(Clone, Default)]
pub(super) struct Received(Arc<AtomicUsize>);

impl Received {
    /// Resolves after `wait` if the peer has not said enough by then; else never.
    pub async fn too_little_after(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
        if self.0.load(Ordering::Relaxed) >= PREFACE_BYTES {
            std::future::pending().await
        }
    }
}

/// A stream whose received bytes are counted.
pub(super) struct Counted<S> {
    stream: S,
    received: Received,
    /// Bytes read since the connection last gave way to others.
    in_turn: usize,
}

impl<S> Counted<S> {
    /// Counts what `stream` receives into `received`.
    pub fn new(stream: S, received: Received) -> Counted<S> {
        Counted {
            stream,
            received,
            in_turn: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.in_turn >= BYTES_PER_TURN {
            self.in_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        self.received.0.fetch_add(bytes, Ordering::Relaxed);
        self.in_turn = if read.is_pending() { 0 } else { self.in_turn + bytes };
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_with_much_to_say_gives_way_and_goes_on() {
        let said = vec![7; 3 * BYTES_PER_TURN];
        let received = Received::default();
        let mut stream = Counted::new(&said[..], received.clone());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let (mut gave_way, mut storage) = (0, vec![0; BYTES_PER_TURN / 4]);
        while received.0.load(Ordering::Relaxed) < said.len() {
            let mut buffer = ReadBuf::new(&mut storage);
            match Pin::new(&mut stream).poll_read(&mut context, &mut buffer) {
                Poll::Pending => gave_way += 1,
                Poll::Ready(read) => read.unwrap(),
            }
        }
        assert_eq!(gave_way, 2);
    }
}
