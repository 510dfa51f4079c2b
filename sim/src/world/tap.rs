//! The tap on a client's stream: cuts both directions into frames and records them, as a black box
//! sees them: what the client sent when it wrote it, what the server sent when the client read it.
//!
//! It needs nothing of the simulated world but a [`Book`] to write into, so it taps real streams
//! too.

use std::collections::VecDeque;
use std::sync::Arc;

use althing_core::codec::client::{
    decode_connect, decode_connect_response, decode_reply, decode_request, peek_xid,
};
use althing_core::ids::Xid;
use althing_core::node::reply::Reply;
use althing_core::node::request::Request;

use crate::history::{LinkId, Received, Sent, What};
use crate::world::record::Recorder;

/// Longest frame that is taken for one. Servers allow a few MiB; what claims to be longer than
/// this is not the protocol.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where a tap writes down what it saw.
pub trait Book {
    /// Writes down that `what` happened now.
    fn record(&self, what: What);

    /// As [`Book::record`], for a frame of these bytes.
    fn record_frame(&self, what: What, bytes: &[u8]);

    /// Writes down that a rule was broken.
    fn violate(&self, invariant: &'static str, detail: String);
}

impl Book for Recorder {
    fn record(&self, what: What) {
        Recorder::record(self, what);
    }

    fn record_frame(&self, what: What, bytes: &[u8]) {
        Recorder::record_frame(self, what, bytes);
    }

    fn violate(&self, invariant: &'static str, detail: String) {
        Recorder::violate(self, invariant, detail);
    }
}

/// One direction, cut into frames.
#[derive(Default)]
struct Framer {
    bytes: Vec<u8>,
    frames: u64,
}

impl Framer {
    /// The next whole frame, without its length; the error is a length that cannot be one.
    fn next(&mut self) -> Result<Option<Vec<u8>>, i32> {
        let Some(length) = self.bytes.first_chunk() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*length);
        let bytes = match usize::try_from(length) {
            Ok(bytes) if bytes <= FRAME_BYTES_MAX => bytes,
            _ => return Err(length),
        };
        if self.bytes.len() < 4 + bytes {
            return Ok(None);
        }
        let frame = self.bytes[4..4 + bytes].to_vec();
        self.bytes.drain(..4 + bytes);
        self.frames += 1;
        Ok(Some(frame))
    }
}

/// The tap on one stream.
pub struct Tap<B: Book = Recorder> {
    book: B,
    client: Arc<str>,
    link: LinkId,
    sent: Framer,
    received: Framer,
    /// What the server owes an answer to, in the order in which it was asked.
    unanswered: VecDeque<(Xid, Arc<Request>)>,
    /// What came is not the protocol (a four-letter word, or garbage that was recorded as such).
    deaf: bool,
    ended: bool,
}

impl<B: Book> Tap<B> {
    /// A tap on a stream that `client` has just opened.
    pub fn new(book: B, client: Arc<str>, link: LinkId) -> Tap<B> {
        Tap {
            book,
            client,
            link,
            sent: Framer::default(),
            received: Framer::default(),
            unanswered: VecDeque::new(),
            deaf: false,
            ended: false,
        }
    }

    /// The client wrote this.
    pub fn wrote(&mut self, bytes: &[u8]) {
        if self.deaf {
            return;
        }
        self.sent.bytes.extend_from_slice(bytes);
        loop {
            match self.sent.next() {
                Ok(Some(frame)) => self.record_sent(&frame),
                Ok(None) => return,
                Err(_) => return self.stop(),
            }
        }
    }

    /// The client read this.
    pub fn read(&mut self, bytes: &[u8]) {
        if self.deaf {
            return;
        }
        self.received.bytes.extend_from_slice(bytes);
        while !self.deaf {
            match self.received.next() {
                Ok(Some(frame)) => self.record_received(&frame),
                Ok(None) => return,
                Err(length) => self.garbage(format!("a frame of {length} bytes"), &[]),
            }
        }
    }

    /// The client saw the stream's end, or dropped it.
    pub fn ended(&mut self) {
        if !self.ended {
            self.ended = true;
            self.book.record(What::LinkEnded {
                client: self.client.clone(),
                link: self.link,
            });
        }
    }

    fn record_sent(&mut self, frame: &[u8]) {
        let decoded = match self.sent.frames {
            1 => decode_connect(frame).map(Sent::Connect),
            _ => decode_request(frame).map(|(xid, request)| {
                let request = Arc::new(request);
                self.unanswered.push_back((xid, request.clone()));
                Sent::Request { xid, request }
            }),
        };
        match decoded {
            Ok(sent) => self.book.record_frame(
                What::Sent {
                    client: self.client.clone(),
                    link: self.link,
                    frame: sent,
                },
                frame,
            ),
            // A story may send nonsense on purpose; the server owes it nothing but an end.
            Err(_) => self.stop(),
        }
    }

    fn record_received(&mut self, frame: &[u8]) {
        if self.received.frames == 1 {
            match decode_connect_response(frame) {
                Ok(response) => self.received(Received::Connected(response), frame),
                Err(malformed) => self.garbage(malformed.to_string(), frame),
            }
            return;
        }
        let request = match peek_xid(frame) {
            Ok(Xid::NOTIFICATION) => None,
            Ok(xid) => match self.asked(xid) {
                Some(request) => Some(request),
                None => return self.garbage(format!("an answer to nothing: {xid:?}"), frame),
            },
            Err(malformed) => return self.garbage(malformed.to_string(), frame),
        };
        match decode_reply(frame, request.as_deref()) {
            Ok(reply @ Reply::Connected(_)) => self.garbage(format!("{reply:?} again"), frame),
            Ok(reply) => self.received(Received::Reply { reply, request }, frame),
            Err(malformed) => self.garbage(malformed.to_string(), frame),
        }
    }

    /// The oldest unanswered request with this number. That it is the oldest of all is for the
    /// checkers to judge.
    fn asked(&mut self, xid: Xid) -> Option<Arc<Request>> {
        let place = self
            .unanswered
            .iter()
            .position(|(asked, _)| *asked == xid)?;
        self.unanswered.remove(place).map(|(_, request)| request)
    }

    fn received(&self, frame: Received, bytes: &[u8]) {
        self.book.record_frame(
            What::Received {
                client: self.client.clone(),
                link: self.link,
                frame,
            },
            bytes,
        );
    }

    fn garbage(&mut self, why: String, bytes: &[u8]) {
        self.book.violate(
            "G1 garbage",
            format!("{} received on link {}: {why}", self.client, self.link.0),
        );
        self.received(Received::Garbage(why), bytes);
        self.stop();
    }

    fn stop(&mut self) {
        self.deaf = true;
        self.sent.bytes = Vec::new();
        self.received.bytes = Vec::new();
    }
}
