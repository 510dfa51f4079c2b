//! Datagrams between machines: each by itself, so they overtake one another, get lost or come
//! twice, and are kept for nobody who does not listen.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use crate::random::{Stream, Streams};
use crate::world::connection::{MachineId, Wakes};

/// Datagrams that wait to be read; more are dropped, as with a full socket buffer.
const WAITING_MAX: usize = 256;

#[derive(Default)]
struct Socket {
    waiting: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
}

/// The sockets of the processes that listen for datagrams.
#[derive(Default)]
pub(super) struct Datagrams {
    sockets: BTreeMap<MachineId, Socket>,
    /// Each way has randomness of its own.
    ways: BTreeMap<(MachineId, MachineId), Stream>,
}

impl Datagrams {
    /// The randomness of the way between two machines; `name` is asked once.
    pub(super) fn way(
        &mut self,
        from: MachineId,
        to: MachineId,
        streams: Streams,
        name: impl FnOnce() -> String,
    ) -> &mut Stream {
        let way = self.ways.entry((from, to));
        way.or_insert_with(|| streams.fork(&name()))
    }

    /// One has come.
    pub(super) fn take_in(&mut self, to: MachineId, bytes: Vec<u8>, wakes: &mut Wakes) {
        let Some(socket) = self.sockets.get_mut(&to) else {
            return;
        };
        if socket.waiting.len() < WAITING_MAX {
            socket.waiting.push_back(bytes);
            wakes.add(&mut socket.reader);
        }
    }

    /// The next one; from the first call on, they are kept for the caller.
    pub(super) fn poll(&mut self, machine: MachineId, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        let socket = self.sockets.entry(machine).or_default();
        match socket.waiting.pop_front() {
            Some(bytes) => Poll::Ready(bytes),
            None => {
                socket.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The process on this machine ends.
    pub(super) fn close(&mut self, machine: MachineId, wakes: &mut Wakes) {
        if let Some(mut socket) = self.sockets.remove(&machine) {
            wakes.add(&mut socket.reader);
        }
    }
}
