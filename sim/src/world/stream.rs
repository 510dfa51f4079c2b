//! One end of a simulated stream, as tokio's I/O traits see it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::random::Stream;
use crate::world::net::{Net, Side};
use crate::world::tap::Tap;

/// How likely a read returns less than what is there: code that relies on whole messages fails.
const SHORT_READ: f64 = 0.1;

/// One end of a stream.
pub struct SimStream {
    net: Net,
    number: u64,
    side: Side,
    tap: Option<Box<Tap>>,
}

impl SimStream {
    /// The end of the stream `number` on this `side`.
    pub fn new(net: Net, number: u64, side: Side) -> SimStream {
        SimStream {
            net,
            number,
            side,
            tap: None,
        }
    }

    /// The same with a tap on it.
    pub fn tapped(mut self, tap: Tap) -> SimStream {
        self.tap = Some(Box::new(tap));
        self
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let end = &mut *self;
        let take = |inbox: &mut VecDeque<u8>, random: &mut Stream| {
            let whole = inbox.len().min(into.remaining());
            let bytes = match whole > 1 && random.chance(SHORT_READ) {
                true => 1 + random.index(whole - 1),
                false => whole,
            };
            let (first, second) = inbox.as_slices();
            into.put_slice(&first[..bytes.min(first.len())]);
            into.put_slice(&second[..bytes.saturating_sub(first.len())]);
            inbox.drain(..bytes);
        };
        let result = ready!(end.net.poll_read(end.number, end.side, context, take));
        let read = &into.filled()[before..];
        if let Some(tap) = &mut end.tap {
            match read.is_empty() {
                true => tap.ended(),
                false => tap.read(read),
            }
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let end = &mut *self;
        let result = ready!(end.net.poll_write(end.number, end.side, context, bytes));
        if let Some(tap) = &mut end.tap {
            match &result {
                Ok(written) => tap.wrote(&bytes[..*written]),
                Err(_) => tap.ended(),
            }
        }
        Poll::Ready(result)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.shut_down(self.number, self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if let Some(tap) = &mut self.tap {
            tap.ended();
        }
        self.net.close(self.number, self.side);
    }
}
