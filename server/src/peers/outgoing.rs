//! What is on its way to one other server: the drive fills it, the link writes it.
//!
//! There are two lanes. What is short (heartbeats, votes, acknowledgements) overtakes what is long
//! (entries, pieces of snapshots, forwarded requests), and never waits for more than one write of
//! it. Nothing depends on that order, nor on anything arriving at all. Within a lane order is kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use althing_core::codec::peer::{MESSAGE_BYTES_MAX, encode_message};
use althing_core::quorum::message::Message;
use tokio::sync::Notify;

use crate::limits::{LINK_BULK_BYTES_MAX, LINK_PROMPT_FRAMES_MAX, LINK_WRITE_BYTES};

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It waits to be written.
    Kept,
    /// There was no room, for it or for an older one.
    Dropped,
}

#[derive(Debug, Default)]
struct State {
    /// Short frames.
    prompt: VecDeque<Vec<u8>>,
    /// Long frames.
    bulk: VecDeque<Vec<u8>>,
    bulk_bytes: usize,
    /// What was dropped since the writer last had written everything.
    dropped: u64,
    cut: bool,
}

/// One link's outgoing frames, shared by the drive and the link's task.
#[derive(Debug, Default)]
pub struct Outgoing {
    state: Mutex<State>,
    to_writer: Notify,
    to_whole: Notify,
}

impl Outgoing {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in this file can panic between two halves of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By the drive: adds a message, which is written after the next [`Outgoing::hand_over`].
    ///
    /// Of the long ones the newest is dropped if there is no room: those that wait follow each
    /// other, and it would not follow them. Of the short ones the oldest is: the newest heartbeat
    /// says all that it said.
    pub fn push(&self, message: &Message) -> Pushed {
        let frame = frame(message);
        if frame.len() - 4 > MESSAGE_BYTES_MAX {
            let (name, bytes) = (message.name(), frame.len());
            tracing::error!(name, bytes, "a message is too long for a link, and dropped");
            return Pushed::Dropped;
        }
        let mut state = self.lock();
        if is_short(message) {
            state.prompt.push_back(frame);
            if state.prompt.len() <= LINK_PROMPT_FRAMES_MAX {
                return Pushed::Kept;
            }
            state.prompt.pop_front();
        } else if state.bulk.is_empty() || state.bulk_bytes + frame.len() <= LINK_BULK_BYTES_MAX {
            state.bulk_bytes += frame.len();
            state.bulk.push_back(frame);
            return Pushed::Kept;
        }
        state.dropped += 1;
        Pushed::Dropped
    }

    /// By the drive: what was pushed is to be written now, in one piece.
    pub fn hand_over(&self) {
        self.to_writer.notify_one();
    }

    /// By the drive: the link ends at once, whatever waits.
    pub fn cut(&self) {
        self.lock().cut = true;
        self.to_whole.notify_one();
    }

    /// By the link: ends when it is cut.
    pub async fn until_cut(&self) {
        while !self.lock().cut {
            self.to_whole.notified().await;
        }
    }

    /// By the link's writer: waits for frames and takes into `bytes`, which is empty, as many as
    /// one write should have.
    ///
    /// Nothing is lost if the wait is given up.
    pub async fn take(&self, bytes: &mut Vec<u8>) {
        assert!(bytes.is_empty(), "taken before the last bytes were written");
        loop {
            let dropped = {
                let mut state = self.lock();
                state.fill(bytes);
                match state.prompt.is_empty() && state.bulk.is_empty() {
                    true => std::mem::take(&mut state.dropped),
                    false => 0,
                }
            };
            if dropped > 0 {
                tracing::warn!(dropped, "a link had no room; what matters is said again");
            }
            if !bytes.is_empty() {
                return;
            }
            self.to_writer.notified().await;
        }
    }
}

impl State {
    fn fill(&mut self, bytes: &mut Vec<u8>) {
        for frame in self.prompt.drain(..) {
            bytes.extend_from_slice(&frame);
        }
        while let Some(frame) = self.bulk.front()
            && (bytes.is_empty() || bytes.len() + frame.len() <= LINK_WRITE_BYTES)
        {
            bytes.extend_from_slice(frame);
            self.bulk_bytes -= frame.len();
            self.bulk.pop_front();
        }
    }
}

/// Is the length of such a message limited by something small?
fn is_short(message: &Message) -> bool {
    match message {
        Message::Append { entries, .. } => entries.is_empty(),
        Message::Chunk { .. } | Message::Forward { .. } => false,
        _ => true,
    }
}

/// Room for a frame; most are no longer.
const FRAME_BYTES: usize = 128;

/// The message behind its length.
fn frame(message: &Message) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_BYTES);
    frame.extend_from_slice(&[0; 4]);
    encode_message(message, &mut frame);
    let length = i32::try_from(frame.len() - 4).unwrap_or(i32::MAX);
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::FrameBuffer;
    use crate::rig::run;
    use althing_core::codec::peer::decode_message;
    use althing_core::ids::{Epoch, Zxid};
    use althing_core::quorum::message::Extent;
    use proptest::prelude::*;

    fn beat(round: u64) -> Message {
        Message::Beat {
            epoch: Epoch(1),
            round,
            committed: Zxid::ZERO,
        }
    }

    fn chunk(offset: u64, bytes: usize) -> Message {
        Message::Chunk {
            epoch: Epoch(1),
            zxid: Zxid(9),
            offset,
            bytes: vec![7; bytes],
            extent: Extent::More,
        }
    }

    /// What one write has: `b` and the round of a heartbeat, `c` and the offset of a piece.
    async fn written(outgoing: &Outgoing) -> Vec<String> {
        let mut bytes = Vec::new();
        outgoing.take(&mut bytes).await;
        let mut frames = FrameBuffer::default();
        let stream = &mut bytes.as_slice();
        let mut messages = Vec::new();
        loop {
            while let Some(frame) = frames.next_frame(1 << 30).expect("a length") {
                messages.push(match decode_message(frame).expect("a message") {
                    Message::Beat { round, .. } => format!("b{round}"),
                    Message::Chunk { offset, .. } => format!("c{offset}"),
                    other => panic!("{}", other.name()),
                });
            }
            if frames.fill(stream).await.expect("memory") == 0 {
                assert!(frames.waiting().is_empty(), "whole frames");
                return messages;
            }
        }
    }

    #[test]
    fn what_waits_is_written_at_once_and_short_messages_first() {
        run(async {
            let outgoing = Outgoing::default();
            outgoing.push(&chunk(0, 100));
            outgoing.push(&beat(1));
            outgoing.push(&chunk(100, 100));
            outgoing.push(&beat(2));
            assert_eq!(written(&outgoing).await, ["b1", "b2", "c0", "c100"]);
        });
    }

    #[test]
    fn a_heartbeat_waits_for_one_write_at_most() {
        run(async {
            let outgoing = Outgoing::default();
            for i in 0..6 {
                outgoing.push(&chunk(i, LINK_WRITE_BYTES / 3));
            }
            assert_eq!(written(&outgoing).await, ["c0", "c1"]);
            outgoing.push(&beat(1));
            assert_eq!(written(&outgoing).await, ["b1", "c2", "c3"]);
            assert_eq!(written(&outgoing).await, ["c4", "c5"]);
        });
    }

    #[test]
    fn of_long_messages_the_newest_is_dropped_and_the_queue_recovers() {
        run(async {
            let outgoing = Outgoing::default();
            let large = LINK_BULK_BYTES_MAX / 4;
            let pushed: Vec<Pushed> = (0..5).map(|i| outgoing.push(&chunk(i, large))).collect();
            let kept = pushed.iter().filter(|pushed| **pushed == Pushed::Kept);
            assert_eq!(kept.count(), 3, "a frame is a little longer than its piece");
            assert_eq!(outgoing.push(&beat(1)), Pushed::Kept, "it has its own room");
            for expected in ["b1", "c0", "c1", "c2"] {
                assert_eq!(written(&outgoing).await, [expected]);
            }
            assert_eq!(outgoing.push(&chunk(9, large)), Pushed::Kept);
        });
    }

    #[test]
    fn a_message_longer_than_the_queue_goes_alone() {
        run(async {
            let outgoing = Outgoing::default();
            let huge = LINK_BULK_BYTES_MAX + 1;
            assert_eq!(outgoing.push(&chunk(0, huge)), Pushed::Kept);
            assert_eq!(outgoing.push(&chunk(1, 1)), Pushed::Dropped);
            assert_eq!(written(&outgoing).await, ["c0"]);
        });
    }

    #[test]
    fn of_short_messages_the_oldest_is_dropped() {
        run(async {
            let outgoing = Outgoing::default();
            let rounds = LINK_PROMPT_FRAMES_MAX as u64 + 10;
            for round in 0..rounds {
                outgoing.push(&beat(round));
            }
            let written = written(&outgoing).await;
            assert_eq!(written.len(), LINK_PROMPT_FRAMES_MAX);
            assert_eq!(written[0], "b10");
            assert_eq!(written.last(), Some(&format!("b{}", rounds - 1)));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn memory_is_bounded_and_order_kept(
            sizes in proptest::collection::vec(0..LINK_BULK_BYTES_MAX / 8, 0..64),
            takes in proptest::collection::vec(any::<bool>(), 64),
        ) {
            run(async {
                let outgoing = Outgoing::default();
                let mut expected = VecDeque::new();
                for ((i, bytes), take) in sizes.into_iter().enumerate().zip(takes) {
                    let message = chunk(i as u64, bytes);
                    if outgoing.push(&message) == Pushed::Kept {
                        expected.push_back(format!("c{i}"));
                    }
                    assert!(outgoing.lock().bulk_bytes <= LINK_BULK_BYTES_MAX);
                    if take && !expected.is_empty() {
                        for message in written(&outgoing).await {
                            assert_eq!(Some(message), expected.pop_front());
                        }
                    }
                }
            });
        }
    }
}
