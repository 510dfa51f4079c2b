//! A link between two servers as one of them reads it: a stream that may lose, double and reorder
//! whole messages, which servers promise to survive.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use althing_core::codec::handshake::HANDSHAKE_BYTES;
use althing_core::codec::peer::MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::backstage::Astray;
use crate::random::Stream;
use crate::world::stream::SimStream;
use crate::world::wiretap::LinkTap;

/// Bytes that are read from the stream beneath at once.
const READ_BYTES: usize = 16 * 1024;

/// One end of a link.
pub struct SimLink {
    stream: SimStream,
    shuffler: Option<Box<Shuffler>>,
    tap: Option<Box<LinkTap>>,
}

impl SimLink {
    /// A link that carries what its stream carries.
    pub fn new(stream: SimStream) -> SimLink {
        SimLink {
            stream,
            shuffler: None,
            tap: None,
        }
    }

    /// The same with so large a share of the messages lost, doubled or late.
    pub fn shuffled(mut self, share: f64, random: Stream) -> SimLink {
        if share > 0.0 {
            self.shuffler = Some(Box::new(Shuffler::new(share, random)));
        }
        self
    }

    /// The same with a tap on it.
    pub fn tapped(mut self, tap: Option<LinkTap>) -> SimLink {
        self.tap = tap.map(Box::new);
        self
    }
}

impl AsyncRead for SimLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let link = &mut *self;
        let Some(shuffler) = &mut link.shuffler else {
            let before = into.filled().len();
            ready!(Pin::new(&mut link.stream).poll_read(context, into))?;
            if let Some(tap) = &mut link.tap {
                tap.came(&into.filled()[before..]);
            }
            return Poll::Ready(Ok(()));
        };
        while shuffler.ready.is_empty() {
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut link.stream).poll_read(context, &mut read))?;
            match read.filled() {
                // The end: what is held back has got lost with it.
                [] => return Poll::Ready(Ok(())),
                read => shuffler.take(read, link.tap.as_deref_mut()),
            }
        }
        let bytes = shuffler.ready.len().min(into.remaining());
        let (first, second) = shuffler.ready.as_slices();
        into.put_slice(&first[..bytes.min(first.len())]);
        into.put_slice(&second[..bytes.saturating_sub(first.len())]);
        shuffler.ready.drain(..bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let link = &mut *self;
        let written = ready!(Pin::new(&mut link.stream).poll_write(context, bytes))?;
        if let Some(tap) = &mut link.tap {
            tap.wrote(&bytes[..written]);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Comes,
    Lost,
    Doubled,
    /// It comes after the one that was sent after it.
    Late,
}

impl Fate {
    fn astray(self) -> Option<Astray> {
        match self {
            Fate::Comes => None,
            Fate::Lost => Some(Astray::Lost),
            Fate::Doubled => Some(Astray::Doubled),
            Fate::Late => Some(Astray::Late),
        }
    }
}

/// Cuts what comes into messages, and lets some of them go astray.
struct Shuffler {
    share: f64,
    random: Stream,
    /// Bytes of the handshake that have not come yet; they are no message.
    handshake_left: usize,
    /// The beginning of a message.
    begun: Vec<u8>,
    /// A message that is late.
    late: Option<Vec<u8>>,
    /// What may be read.
    ready: VecDeque<u8>,
}

impl Shuffler {
    fn new(share: f64, random: Stream) -> Shuffler {
        Shuffler {
            share,
            random,
            handshake_left: HANDSHAKE_BYTES,
            begun: Vec::new(),
            late: None,
            ready: VecDeque::new(),
        }
    }

    fn take(&mut self, bytes: &[u8], mut tap: Option<&mut LinkTap>) {
        let (handshake, messages) = bytes.split_at(self.handshake_left.min(bytes.len()));
        self.handshake_left -= handshake.len();
        self.ready.extend(handshake);
        if let Some(tap) = &mut tap {
            tap.introduced(handshake);
        }
        self.begun.extend_from_slice(messages);
        while let Some(message) = self.next_message() {
            let late = self.late.take();
            let fate = self.fate();
            if let Some(tap) = &mut tap {
                tap.fell(fate.astray());
            }
            match fate {
                Fate::Lost => {}
                Fate::Comes => self.ready.extend(&message),
                Fate::Doubled => {
                    self.ready.extend(&message);
                    self.ready.extend(&message);
                }
                Fate::Late => self.late = Some(message),
            }
            self.ready.extend(late.into_iter().flatten());
        }
    }

    /// The next whole message with its length before it.
    fn next_message(&mut self) -> Option<Vec<u8>> {
        let length = u32::from_be_bytes(*self.begun.first_chunk()?) as usize;
        assert!(
            length <= MESSAGE_BYTES_MAX,
            "a server sends a message of {length} bytes"
        );
        let whole = 4 + length;
        if self.begun.len() < whole {
            return None;
        }
        let rest = self.begun.split_off(whole);
        Some(std::mem::replace(&mut self.begun, rest))
    }

    fn fate(&mut self) -> Fate {
        if !self.random.chance(self.share) {
            return Fate::Comes;
        }
        match self.random.below(3) {
            0 => Fate::Lost,
            1 => Fate::Doubled,
            _ => Fate::Late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages that come of 1,000 numbered ones, in what order they come.
    fn comes(share: f64, piece_bytes: usize) -> Vec<u32> {
        let mut sent = vec![7; HANDSHAKE_BYTES];
        for number in 0..1_000_u32 {
            // Of different lengths.
            let filling = vec![0; number as usize % 5];
            let length = 4 + filling.len() as u32;
            sent.extend(length.to_be_bytes());
            sent.extend(number.to_be_bytes());
            sent.extend(filling);
        }
        let mut shuffler = Shuffler::new(share, Stream::named(1, "link"));
        sent.chunks(piece_bytes)
            .for_each(|piece| shuffler.take(piece, None));
        let come: Vec<u8> = shuffler.ready.into_iter().collect();
        let (handshake, mut rest) = come.split_at(HANDSHAKE_BYTES);
        assert!(handshake.iter().all(|byte| *byte == 7));
        let mut numbers = Vec::new();
        while let Some((length, more)) = rest.split_first_chunk() {
            let (message, more) = more.split_at(u32::from_be_bytes(*length) as usize);
            numbers.push(u32::from_be_bytes(
                *message.first_chunk().expect("a number"),
            ));
            rest = more;
        }
        numbers
    }

    #[test]
    fn messages_get_lost_come_twice_and_come_late() {
        for piece_bytes in [1, 7, 10_000] {
            let numbers = comes(0.3, piece_bytes);
            assert_eq!(numbers, comes(0.3, 10_000), "pieces are no messages");
            let twice = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
            let late = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
            let lost = (0..1_000)
                .filter(|number| !numbers.contains(number))
                .count();
            for count in [twice, late, lost] {
                assert!((60..140).contains(&count), "{twice} {late} {lost}");
            }
        }
    }

    #[test]
    fn without_a_share_everything_comes_in_order() {
        assert_eq!(comes(0.0, 100), (0..1_000).collect::<Vec<u32>>());
    }
}
