//! What is on its way to one client: the drive fills it, the connection writes it.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Why a connection is cut off without its last replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The client left more unread than it may.
    Unread,
    /// The server ends.
    Ended,
}

/// Of a connection's requests, what was answered since it opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Answered {
    /// How many.
    pub requests: u64,
    /// With how many bytes.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Filled by the drive, not yet taken by the connection.
    filled: Vec<u8>,
    /// Taken by the connection, not yet accepted by the stream.
    writing_bytes: usize,
    answered: Answered,
    /// The connection waits for answers before it reads on.
    reader_waits: bool,
    /// The drive waits for the client to read before it steps its requests.
    drive_waits: bool,
    /// Nothing comes after what is filled.
    complete: bool,
    cut: Option<Cut>,
}

/// One client's outgoing bytes, shared by the drive and the connection's task.
#[derive(Debug, Default)]
pub struct Outbound {
    state: Mutex<State>,
    to_writer: Notify,
    to_reader: Notify,
    to_whole: Notify,
}

/// What the connection's writer found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Bytes to write.
    Bytes,
    /// All is written and nothing will follow.
    Complete,
}

/// Does the drive wait to be told that the client has read?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DriveWaits {
    /// Yes, and it is time to.
    TellIt,
    /// No, or not yet.
    No,
}

impl Outbound {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in this file can panic between two halves of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By the drive: hands over `replies` (and takes back an empty buffer), and tells what was
    /// answered in all. Returns the bytes that the client has not read.
    pub fn fill(&self, replies: &mut Vec<u8>, answered: Answered) -> usize {
        let mut state = self.lock();
        if state.filled.is_empty() {
            mem::swap(&mut state.filled, replies);
        } else {
            state.filled.append(replies);
        }
        state.answered = answered;
        let wake_writer = !state.filled.is_empty();
        let wake_reader = mem::take(&mut state.reader_waits);
        let unread_bytes = state.filled.len() + state.writing_bytes;
        drop(state);
        if wake_writer {
            self.to_writer.notify_one();
        }
        if wake_reader {
            self.to_reader.notify_one();
        }
        unread_bytes
    }

    /// By the drive: the bytes that the client has not read.
    pub fn unread_bytes(&self) -> usize {
        let state = self.lock();
        state.filled.len() + state.writing_bytes
    }

    /// By the drive: the bytes that the client has not read, and a wish to be told when they have
    /// become few if they are more than `soft` now.
    pub fn unread_bytes_or_wait(&self, soft: usize) -> usize {
        let mut state = self.lock();
        let unread_bytes = state.filled.len() + state.writing_bytes;
        state.drive_waits = unread_bytes > soft;
        unread_bytes
    }

    /// By the drive: nothing follows what was filled.
    pub fn complete(&self) {
        self.lock().complete = true;
        self.to_writer.notify_one();
    }

    /// By the drive: the connection ends at once, whatever was filled.
    pub fn cut(&self, why: Cut) {
        self.lock().cut.get_or_insert(why);
        self.to_whole.notify_one();
    }

    /// By the connection: ends when it is cut.
    pub async fn until_cut(&self) -> Cut {
        loop {
            if let Some(why) = self.lock().cut {
                return why;
            }
            self.to_whole.notified().await;
        }
    }

    /// By the connection's writer: waits for bytes and takes all of them into `bytes`, which is
    /// empty and gives its room to the drive.
    pub async fn take(&self, bytes: &mut Vec<u8>) -> Taken {
        assert!(bytes.is_empty(), "taken before the last bytes were written");
        loop {
            {
                let mut state = self.lock();
                if !state.filled.is_empty() {
                    mem::swap(&mut state.filled, bytes);
                    state.writing_bytes = bytes.len();
                    return Taken::Bytes;
                }
                if state.complete {
                    return Taken::Complete;
                }
            }
            self.to_writer.notified().await;
        }
    }

    /// By the connection's writer: so many of the bytes that it took are still to be written.
    pub fn still_writing(&self, writing_bytes: usize, soft: usize) -> DriveWaits {
        let mut state = self.lock();
        state.writing_bytes = writing_bytes;
        let few = state.filled.len() + state.writing_bytes <= soft / 2;
        match few && mem::take(&mut state.drive_waits) {
            true => DriveWaits::TellIt,
            false => DriveWaits::No,
        }
    }

    /// By the connection's reader: what was answered, as soon as it is `enough`.
    pub async fn until_answered(&self, enough: impl Fn(Answered) -> bool) -> Answered {
        loop {
            {
                let mut state = self.lock();
                if enough(state.answered) {
                    return state.answered;
                }
                state.reader_waits = true;
            }
            self.to_reader.notified().await;
        }
    }
}
