//! One byte stream between two machines: what is on the way, what has arrived, and how either end
//! fares. A plain value; [`crate::world::net`] lets time and faults pass over it.

use std::collections::VecDeque;
use std::io;
use std::task::Waker;
use std::time::Duration;

use crate::random::Stream;

/// A machine, by its place in the network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MachineId(pub(super) usize);

/// One of the two ends of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Who connected.
    Client,
    /// Who accepted.
    Server,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

pub(super) enum Content {
    Bytes(Vec<u8>),
    Fin,
    Reset,
}

pub(super) struct Packet {
    pub(super) content: Content,
    pub(super) arrives: Duration,
    /// It met a cut when it left, so its first copy will not arrive.
    pub(super) lost: bool,
}

/// One direction of a stream.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) on_the_way: VecDeque<Packet>,
    pub(super) bytes: usize,
    pub(super) arrived_last: Duration,
    pub(super) scheduled: bool,
    pub(super) tries: u32,
    pub(super) stuck_since: Option<Duration>,
}

pub(super) struct End {
    pub(super) machine: MachineId,
    /// Does a process still hold it?
    pub(super) held: bool,
    pub(super) failed: Option<io::ErrorKind>,
    pub(super) finished_writing: bool,
    pub(super) finished_reading: bool,
    pub(super) inbox: VecDeque<u8>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

pub(super) struct Connection {
    /// Client's, then server's.
    pub(super) ends: [End; 2],
    /// What the client sends, then what the server sends.
    pub(super) pipes: [Pipe; 2],
    pub(super) random: Stream,
}

#[derive(PartialEq, Eq)]
pub(super) enum TakenIn {
    ByItsEnd,
    ByNobody,
}

/// Wakers to be called once the state is no longer locked: they may drop what locks it again.
#[derive(Default)]
pub(super) struct Wakes(pub(super) Vec<Waker>);

impl Wakes {
    pub(super) fn add(&mut self, waker: &mut Option<Waker>) {
        self.0.extend(waker.take());
    }

    pub(super) fn call(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl End {
    pub(super) fn new(machine: MachineId) -> End {
        End {
            machine,
            held: true,
            failed: None,
            finished_writing: false,
            finished_reading: false,
            inbox: VecDeque::new(),
            reader: None,
            writer: None,
        }
    }
}

impl Pipe {
    /// A packet that was sent again gets through: its acknowledgement makes the sender repeat all
    /// that was lost behind it at once, not one after the other as each one's time is over.
    pub(super) fn nothing_is_lost(&mut self) {
        for packet in &mut self.on_the_way {
            packet.lost = false;
        }
    }

    pub(super) fn clear(&mut self) {
        self.on_the_way.clear();
        self.bytes = 0;
        self.tries = 0;
        self.stuck_since = None;
    }
}

impl Connection {
    pub(super) fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    pub(super) fn pipe(&mut self, side: Side) -> &mut Pipe {
        &mut self.pipes[side as usize]
    }

    /// From where to where `side` sends.
    pub(super) fn machines(&self, side: Side) -> (MachineId, MachineId) {
        let from = self.ends[side as usize].machine;
        let to = self.ends[side.other() as usize].machine;
        (from, to)
    }

    pub(super) fn fail(&mut self, side: Side, kind: io::ErrorKind, wakes: &mut Wakes) {
        let end = self.end(side);
        if end.failed.is_none() {
            end.failed = Some(kind);
        }
        wakes.add(&mut end.reader);
        wakes.add(&mut end.writer);
        self.pipe(side).clear();
    }

    /// The other end takes in the first packet of what `side` has sent.
    pub(super) fn take_in(&mut self, side: Side, wakes: &mut Wakes) -> TakenIn {
        let pipe = &mut self.pipes[side as usize];
        let packet = pipe.on_the_way.pop_front().expect("a packet arrives");
        pipe.tries = 0;
        pipe.stuck_since = None;
        if let Content::Bytes(bytes) = &packet.content {
            pipe.bytes -= bytes.len();
        }
        let end = self.end(side.other());
        let alive = end.held && end.failed.is_none();
        match packet.content {
            Content::Reset => {
                self.fail(side.other(), io::ErrorKind::ConnectionReset, wakes);
                return TakenIn::ByItsEnd;
            }
            Content::Bytes(_) if !alive => return TakenIn::ByNobody,
            Content::Bytes(bytes) => end.inbox.extend(bytes),
            Content::Fin => end.finished_reading = true,
        }
        wakes.add(&mut end.reader);
        TakenIn::ByItsEnd
    }
}
