//! Follows every message from the server that says it to the one that hears it, and tells which of
//! them went astray: over the queue of its link, through the stream, past what a link loses,
//! doubles and delays. Only runs that record what goes on backstage have one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use althing_core::codec::handshake::{HANDSHAKE_BYTES, decode_handshake};
use althing_core::codec::peer::{MESSAGE_BYTES_MAX, decode_message};
use althing_core::ids::ServerId;
use althing_core::node::effect::Effect;
use althing_core::node::input::Input;
use althing_core::node::reply::Reply;
use althing_core::quorum::log::Record;
use althing_core::quorum::message::Message;

use crate::backstage::{Astray, Deed, Link, MessageId};
use crate::world::connection::Side;
use crate::world::record::Recorder;

/// From whom to whom.
type Way = (ServerId, ServerId);
/// A message that is on its way.
type Packet = (MessageId, Arc<Message>);

#[derive(Default)]
struct Packets {
    last: u64,
    /// The servers that a server has a link to.
    linked: BTreeSet<Way>,
    /// Said, and not yet written to a stream.
    waiting: BTreeMap<Way, VecDeque<Packet>>,
    /// What has been written to a stream by its client (0) or its server (1), and not yet been
    /// read: `None` stands for a frame without a message.
    written: BTreeMap<(u64, usize), VecDeque<Option<Packet>>>,
    /// Read, and not yet heard by the node.
    read: BTreeMap<Way, VecDeque<Packet>>,
}

/// A handle; all clones follow the same messages.
#[derive(Clone)]
pub struct Wiretap {
    recorder: Recorder,
    packets: Arc<Mutex<Packets>>,
}

impl Wiretap {
    /// One that writes into this recorder.
    pub fn new(recorder: Recorder) -> Wiretap {
        Wiretap {
            recorder,
            packets: Arc::default(),
        }
    }

    /// A life of a server begins: what the last one had not sent or heard never will be.
    pub fn begins(&self, server: ServerId) {
        let mut packets = self.packets();
        packets.linked.retain(|(from, _)| *from != server);
        let ways: Vec<Way> = packets.waiting.keys().copied().collect();
        for way in ways.into_iter().filter(|(from, _)| *from == server) {
            self.give_up(&mut packets, way);
        }
        packets.read.retain(|(_, to), _| *to != server);
    }

    /// Something happened to a server; it has not acted on it yet.
    pub fn input(&self, server: ServerId, input: &Input) {
        let deed = match input {
            Input::Heard { from, message, .. } => match self.heard(*from, server, message) {
                Some(id) => Deed::Heard {
                    server,
                    from: *from,
                    id,
                },
                None => return,
            },
            Input::PeerJoined { server: to, .. } => {
                self.packets().linked.insert((server, *to));
                let (to, link) = (*to, Link::Up);
                Deed::Linked { server, to, link }
            }
            Input::PeerLost(to) => {
                let mut packets = self.packets();
                packets.linked.remove(&(server, *to));
                self.give_up(&mut packets, (server, *to));
                let (to, link) = (*to, Link::Gone);
                Deed::Linked { server, to, link }
            }
            Input::Timeout(timer) => Deed::Rang {
                server,
                timer: *timer,
            },
            Input::Opened {
                connection,
                address,
                request,
                ..
            } => Deed::Opened {
                server,
                connection: *connection,
                address: *address,
                request: request.clone(),
            },
            Input::Asked {
                connection, xid, ..
            } => Deed::Asked {
                server,
                connection: *connection,
                xid: *xid,
            },
            Input::Drained => Deed::Drained { server },
            _ => return,
        };
        self.recorder.record_deed(deed);
    }

    /// A server wants something done.
    pub fn effect(&self, server: ServerId, effect: &Effect) {
        match effect {
            Effect::Send { to, message } => self.said(server, *to, message),
            Effect::Save {
                record: Record::Ballot(ballot),
                ..
            } => self.recorder.record_deed(Deed::Voting {
                server,
                ballot: *ballot,
            }),
            Effect::Reply { connection, reply } => {
                let (xid, zxid) = match reply {
                    Reply::Connected(_) => (None, None),
                    Reply::Event(event) => (None, Some(event.zxid)),
                    Reply::Answer { xid, zxid, .. } => (Some(*xid), Some(*zxid)),
                };
                self.recorder.record_deed(Deed::Answered {
                    server,
                    connection: *connection,
                    xid,
                    zxid,
                });
            }
            _ => {}
        }
    }

    fn said(&self, server: ServerId, to: ServerId, message: &Message) {
        let mut packets = self.packets();
        packets.last += 1;
        let id = MessageId(packets.last);
        let message = Arc::new(slim(message));
        self.recorder.record_deed(Deed::Said {
            server,
            to,
            id,
            message: Arc::clone(&message),
        });
        match packets.linked.contains(&(server, to)) {
            true => {
                let waiting = packets.waiting.entry((server, to)).or_default();
                waiting.push_back((id, message));
            }
            false => self.strayed(id, Astray::Unsent),
        }
    }

    fn heard(&self, from: ServerId, to: ServerId, message: &Message) -> Option<MessageId> {
        let message = slim(message);
        let mut packets = self.packets();
        let read = packets.read.get_mut(&(from, to))?;
        let place = read.iter().position(|(_, read)| **read == message)?;
        read.remove(place).map(|(id, _)| id)
    }

    /// A whole frame of `way` was written to a stream. Of those that waited, what is as short or as
    /// long and was said before it found no room.
    fn wrote(&self, stream: (u64, usize), way: Way, frame: &[u8]) {
        let mut packets = self.packets();
        let message = decode_message(frame).ok().map(|message| slim(&message));
        let waiting = packets.waiting.entry(way).or_default();
        let place = message
            .and_then(|message| waiting.iter().position(|(_, waiting)| **waiting == message));
        let packet = place.and_then(|place| waiting.remove(place));
        if let (Some(place), Some((_, message))) = (place, &packet) {
            let mut later = waiting.split_off(place);
            let passed = std::mem::take(waiting);
            for (id, before) in passed {
                match is_short(&before) == is_short(message) {
                    true => self.strayed(id, Astray::Unsent),
                    false => waiting.push_back((id, before)),
                }
            }
            waiting.append(&mut later);
        }
        packets.written.entry(stream).or_default().push_back(packet);
    }

    /// The next frame of a stream has been read, and this becomes of it.
    fn read(&self, stream: (u64, usize), way: Way, fate: Option<Astray>) {
        let mut packets = self.packets();
        let written = packets.written.get_mut(&stream);
        let Some((id, message)) = written.and_then(VecDeque::pop_front).flatten() else {
            return;
        };
        if let Some(fate) = fate {
            self.strayed(id, fate);
        }
        let copies = match fate {
            Some(Astray::Lost | Astray::Unsent) => 0,
            Some(Astray::Doubled) => 2,
            Some(Astray::Late) | None => 1,
        };
        let read = packets.read.entry(way).or_default();
        read.extend(std::iter::repeat_n((id, message), copies));
    }

    fn give_up(&self, packets: &mut Packets, way: Way) {
        for (id, _) in packets.waiting.remove(&way).unwrap_or_default() {
            self.strayed(id, Astray::Unsent);
        }
    }

    fn strayed(&self, id: MessageId, fate: Astray) {
        self.recorder.record_deed(Deed::Strayed { id, fate });
    }

    fn packets(&self) -> MutexGuard<'_, Packets> {
        self.packets.lock().expect("no panic within")
    }
}

/// A message without the bytes of a snapshot, which nobody wants to see.
fn slim(message: &Message) -> Message {
    match message {
        Message::Chunk {
            epoch,
            zxid,
            offset,
            extent,
            ..
        } => Message::Chunk {
            epoch: *epoch,
            zxid: *zxid,
            offset: *offset,
            bytes: Vec::new(),
            extent: *extent,
        },
        other => other.clone(),
    }
}

/// A link has a lane for what is short, which overtakes what is long.
fn is_short(message: &Message) -> bool {
    match message {
        Message::Append { entries, .. } => entries.is_empty(),
        Message::Chunk { .. } | Message::Forward { .. } => false,
        _ => true,
    }
}

/// What one direction of a link has carried, cut into frames.
#[derive(Default)]
struct Frames {
    handshake: Vec<u8>,
    begun: Vec<u8>,
}

impl Frames {
    /// The frames that these bytes complete, without their lengths.
    fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let missing = HANDSHAKE_BYTES - self.handshake.len();
        let (handshake, messages) = bytes.split_at(missing.min(bytes.len()));
        self.handshake.extend_from_slice(handshake);
        self.begun.extend_from_slice(messages);
        let mut frames = Vec::new();
        while let Some(length) = self.begun.first_chunk() {
            let length = u32::from_be_bytes(*length) as usize;
            assert!(
                length <= MESSAGE_BYTES_MAX,
                "a server sends a message of {length} bytes"
            );
            if self.begun.len() < 4 + length {
                break;
            }
            let rest = self.begun.split_off(4 + length);
            let frame = std::mem::replace(&mut self.begun, rest);
            frames.push(frame[4..].to_vec());
        }
        frames
    }
}

/// The tap on one server's end of one link.
pub struct LinkTap {
    wiretap: Wiretap,
    own: ServerId,
    number: u64,
    side: Side,
    wrote: Frames,
    read: Frames,
}

impl LinkTap {
    /// On the end that `own` has of the stream `number`.
    pub fn new(wiretap: Wiretap, own: ServerId, number: u64, side: Side) -> LinkTap {
        LinkTap {
            wiretap,
            own,
            number,
            side,
            wrote: Frames::default(),
            read: Frames::default(),
        }
    }

    /// The server wrote this.
    pub fn wrote(&mut self, bytes: &[u8]) {
        for frame in self.wrote.take(bytes) {
            // A server says nothing before the other one has introduced itself.
            if let Some(other) = self.other() {
                let stream = (self.number, self.side as usize);
                self.wiretap.wrote(stream, (self.own, other), &frame);
            }
        }
    }

    /// This came, and each of its messages without further ado.
    pub fn came(&mut self, bytes: &[u8]) {
        for _ in self.read.take(bytes) {
            self.fell(None);
        }
    }

    /// This much of the other server's introduction came.
    pub fn introduced(&mut self, bytes: &[u8]) {
        self.read.take(bytes);
    }

    /// The next message came, and this becomes of it.
    pub fn fell(&mut self, fate: Option<Astray>) {
        if let Some(other) = self.other() {
            let stream = (self.number, self.side.other() as usize);
            self.wiretap.read(stream, (other, self.own), fate);
        }
    }

    fn other(&self) -> Option<ServerId> {
        let bytes = self.read.handshake.first_chunk()?;
        decode_handshake(bytes).ok().map(|other| other.server)
    }
}
