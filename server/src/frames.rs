//! Cuts a stream's bytes into frames, in one buffer that is used again and again.

use std::io;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::{BUFFER_KEPT_BYTES_MAX, SKIPPED_BYTES_MAX};

/// The least room that is offered to a read; most clients' requests fit many times.
const READ_BYTES_MIN: usize = 4 * 1024;

/// A length that no frame has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a frame of {length} bytes; at most {bytes_max} are accepted")]
pub struct BadLength {
    length: i32,
    bytes_max: usize,
}

/// The first bytes of a frame that is too large: the number of the request.
pub const HEAD_BYTES: usize = 4;

/// What a client sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming<'a> {
    /// A frame, without its length.
    Frame(&'a [u8]),
    /// A frame that is too large, of which nothing else is kept.
    TooLarge {
        /// Its first bytes.
        head: [u8; HEAD_BYTES],
        /// How many it has.
        bytes: usize,
    },
}

/// What was read and is not yet taken.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    taken: usize,
    /// Bytes of a frame that is too large which are still to come, and to be thrown away.
    skipping: usize,
    kept_bytes_max: usize,
}

impl Default for FrameBuffer {
    /// One for a client.
    fn default() -> FrameBuffer {
        FrameBuffer::keeping(BUFFER_KEPT_BYTES_MAX)
    }
}

impl FrameBuffer {
    /// One whose room is given back when it is empty and has grown beyond `kept_bytes_max`.
    pub fn keeping(kept_bytes_max: usize) -> FrameBuffer {
        FrameBuffer {
            bytes: Vec::new(),
            taken: 0,
            skipping: 0,
            kept_bytes_max,
        }
    }

    /// The bytes that wait.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Takes the next frame, without its length; `None` if it is not complete.
    ///
    /// # Errors
    /// If its length is negative or more than `bytes_max`.
    pub fn next_frame(&mut self, bytes_max: usize) -> Result<Option<&[u8]>, BadLength> {
        let Some((head, rest)) = self.waiting().split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*head);
        let bytes = match usize::try_from(length) {
            Ok(bytes) if bytes <= bytes_max => bytes,
            _ => return Err(BadLength { length, bytes_max }),
        };
        if rest.len() < bytes {
            return Ok(None);
        }
        let from = self.taken + 4;
        self.taken = from + bytes;
        Ok(Some(&self.bytes[from..from + bytes]))
    }

    /// Takes the next frame. Of one that has more than `bytes_max` only the head is taken, and the
    /// rest is thrown away as it comes; `None` if there is neither.
    ///
    /// # Errors
    /// If its length is negative, or so large that it is no frame's.
    pub fn next_request(&mut self, bytes_max: usize) -> Result<Option<Incoming<'_>>, BadLength> {
        let thrown_away = self.skipping.min(self.waiting().len());
        self.taken += thrown_away;
        self.skipping -= thrown_away;
        let Some((length, rest)) = self.waiting().split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length <= bytes_max || length > SKIPPED_BYTES_MAX {
            return Ok(self.next_frame(bytes_max)?.map(Incoming::Frame));
        }
        let Some(head) = rest.first_chunk::<HEAD_BYTES>().copied() else {
            return Ok(None);
        };
        self.taken += 4 + HEAD_BYTES;
        self.skipping = length.saturating_sub(HEAD_BYTES);
        Ok(Some(Incoming::TooLarge {
            head,
            bytes: length,
        }))
    }

    /// Reads once, as much as there is room for; 0 at the end of the stream.
    ///
    /// The room at least doubles what waits, so a large frame takes few reads, and a length that a
    /// client only claims costs it no memory of ours.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.compact();
        self.bytes.reserve(READ_BYTES_MIN.max(self.bytes.len()));
        stream.read_buf(&mut self.bytes).await
    }

    fn compact(&mut self) {
        let waiting = self.bytes.len() - self.taken;
        if waiting == 0 && self.bytes.capacity() > self.kept_bytes_max {
            self.bytes = Vec::new();
        } else {
            self.bytes.copy_within(self.taken.., 0);
            self.bytes.truncate(waiting);
        }
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::ReadBuf;

    /// Gives its bytes in pieces of the given sizes, then the rest at once.
    struct Pieces {
        bytes: Vec<u8>,
        sizes: Vec<usize>,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let size = self.sizes.pop().unwrap_or(usize::MAX);
            let size = size.min(self.bytes.len()).min(into.remaining());
            let piece: Vec<u8> = self.bytes.drain(..size).collect();
            into.put_slice(&piece);
            Poll::Ready(Ok(()))
        }
    }

    async fn all_frames(mut stream: Pieces) -> Result<Vec<Vec<u8>>, BadLength> {
        let mut buffer = FrameBuffer::default();
        let mut frames = Vec::new();
        loop {
            while let Some(frame) = buffer.next_frame(300_000)? {
                frames.push(frame.to_vec());
            }
            if buffer.fill(&mut stream).await.expect("no errors here") == 0 {
                assert!(buffer.waiting().is_empty());
                return Ok(frames);
            }
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(future)
    }

    proptest! {
        #[test]
        fn frames_arrive_however_the_stream_is_cut(
            sizes in proptest::collection::vec(
                prop_oneof![0usize..40, 4_000usize..9_000, 100_000usize..200_000], 0..8),
            cuts in proptest::collection::vec(1usize..5_000, 0..50),
        ) {
            let frames: Vec<Vec<u8>> =
                sizes.iter().enumerate().map(|(i, &size)| vec![i as u8; size]).collect();
            let mut bytes = Vec::new();
            for frame in &frames {
                bytes.extend_from_slice(&(frame.len() as i32).to_be_bytes());
                bytes.extend_from_slice(frame);
            }
            prop_assert_eq!(run(all_frames(Pieces { bytes, sizes: cuts })), Ok(frames));
        }
    }

    proptest! {
        #[test]
        fn what_is_too_large_is_skipped_and_nothing_else_is(
            sizes in proptest::collection::vec(prop_oneof![4usize..40, 90usize..110, 5_000usize..9_000], 0..12),
            cuts in proptest::collection::vec(1usize..300, 0..50),
        ) {
            let mut bytes = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                bytes.extend_from_slice(&(*size as i32).to_be_bytes());
                bytes.extend(vec![index as u8; *size]);
            }
            let mut stream = Pieces { bytes, sizes: cuts };
            let mut buffer = FrameBuffer::default();
            let mut found = Vec::new();
            run(async {
                loop {
                    while let Some(incoming) = buffer.next_request(100).expect("lengths") {
                        found.push(match incoming {
                            Incoming::Frame(frame) => (false, frame[0], frame.len()),
                            Incoming::TooLarge { head, bytes } => (true, head[3], bytes),
                        });
                    }
                    if buffer.fill(&mut stream).await.expect("no errors here") == 0 {
                        break;
                    }
                }
            });
            let sent = sizes.iter().enumerate();
            let sent: Vec<_> = sent.map(|(index, size)| (*size > 100, index as u8, *size)).collect();
            prop_assert_eq!(found, sent);
            prop_assert!(buffer.waiting().is_empty());
            prop_assert!(buffer.bytes.capacity() <= 4 * READ_BYTES_MIN, "what is skipped is not kept");
        }
    }

    #[test]
    fn lengths_that_no_frame_has_are_refused() {
        for length in [-1, i32::MIN, 300_001, i32::MAX] {
            let stream = Pieces {
                bytes: length.to_be_bytes().to_vec(),
                sizes: Vec::new(),
            };
            assert_eq!(
                run(all_frames(stream)),
                Err(BadLength {
                    length,
                    bytes_max: 300_000
                })
            );
        }
    }

    #[test]
    fn a_claimed_length_costs_no_memory() {
        let mut buffer = FrameBuffer::default();
        let mut stream = Pieces {
            bytes: 300_000_i32.to_be_bytes().to_vec(),
            sizes: Vec::new(),
        };
        run(buffer.fill(&mut stream)).expect("no errors here");
        assert_eq!(buffer.next_frame(300_000), Ok(None));
        assert!(buffer.bytes.capacity() < 2 * READ_BYTES_MIN);
    }
}
