//! One client of the measured server: a socket, its two buffers, and what is not answered yet.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use althing_core::codec::client::{
    decode_connect_response, decode_reply, encode_connect, encode_request,
};
use althing_core::ids::{Password, Xid, Zxid};
use althing_core::node::reply::Reply;
use althing_core::node::request::{ConnectRequest, Request};

use super::server::PATIENCE;

/// The longest time-out that the server grants by default.
const TIMEOUT_MS: i32 = 40_000;

/// Room for what is read at once: the answers to everything that one connection has in flight.
const INCOMING_BYTES: usize = 64 * 1024;

struct Unanswered {
    xid: Xid,
    request: Request,
    sent: Instant,
}

pub struct Connection {
    stream: TcpStream,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    /// How much of `incoming` was read.
    filled: usize,
    unanswered: VecDeque<Unanswered>,
    last_xid: i32,
}

impl Connection {
    /// Connects and asks for a session; [`Connection::greet`] hears the answer, so that many
    /// connections can ask at once.
    pub fn ask(address: SocketAddr) -> Result<Connection, Box<dyn Error>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut outgoing = Vec::new();
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: TIMEOUT_MS,
            session: None,
            password: Password::NONE,
            read_only: Some(false),
        };
        encode_connect(&request, &mut outgoing);
        stream.write_all(&outgoing)?;
        outgoing.clear();
        Ok(Connection {
            stream,
            outgoing,
            incoming: vec![0; INCOMING_BYTES],
            filled: 0,
            unanswered: VecDeque::new(),
            last_xid: 0,
        })
    }

    /// Waits for the session.
    pub fn greet(&mut self) -> Result<(), Box<dyn Error>> {
        let frame = self.wait_for_frame()?;
        let response = decode_connect_response(&frame)?;
        response.session.ok_or("the server gave no session")?;
        Ok(())
    }

    /// From here on, reads and writes take what there is and do not wait.
    pub fn stop_waiting(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// From here on, reads and writes wait.
    pub fn start_waiting(&self) -> io::Result<()> {
        self.stream.set_nonblocking(false)
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn count_unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Queues a request; [`Connection::send`] sends all that are queued.
    pub fn queue(&mut self, request: Request, now: Instant) {
        self.last_xid = self.last_xid.checked_add(1).unwrap_or(1);
        let xid = Xid(self.last_xid);
        encode_request(xid, &request, &mut self.outgoing);
        self.unanswered.push_back(Unanswered {
            xid,
            request,
            sent: now,
        });
    }

    /// Writes as much as the socket takes; is anything left?
    pub fn send(&mut self) -> io::Result<Left> {
        let mut written = 0;
        while written < self.outgoing.len() {
            match self.stream.write(&self.outgoing[written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.outgoing.drain(..written);
        Ok(if self.outgoing.is_empty() {
            Left::Nothing
        } else {
            Left::Something
        })
    }

    /// Reads once and hands when each request was sent that is answered now. Every answer is
    /// decoded and must be a success: what is measured is a server that does its work.
    pub fn receive(&mut self, mut answered: impl FnMut(Instant)) -> Result<(), Box<dyn Error>> {
        match self.stream.read(&mut self.incoming[self.filled..]) {
            Ok(0) => return Err("the server closed a connection, or sent too large a frame".into()),
            Ok(bytes) => self.filled += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let mut taken = 0;
        while let Some((head, rest)) = self.incoming[taken..self.filled].split_first_chunk() {
            let length = usize::try_from(i32::from_be_bytes(*head))?;
            let Some(frame) = rest.get(..length) else {
                break;
            };
            answered(take_answer(&mut self.unanswered, frame)?);
            taken += head.len() + length;
        }
        self.incoming.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(())
    }

    /// Asks one thing and waits for its answer, while nothing else is in flight.
    pub fn call(&mut self, request: Request) -> Result<(), Box<dyn Error>> {
        self.queue(request, Instant::now());
        self.stream.write_all(&self.outgoing)?;
        self.outgoing.clear();
        self.hear()
    }

    /// Waits for the answer to the oldest request.
    pub fn hear(&mut self) -> Result<(), Box<dyn Error>> {
        let frame = self.wait_for_frame()?;
        take_answer(&mut self.unanswered, &frame)?;
        Ok(())
    }

    fn wait_for_frame(&mut self) -> Result<Vec<u8>, Box<dyn Error>> {
        assert_eq!(self.filled, 0, "part of a frame was read before");
        let mut head = [0; 4];
        self.stream.read_exact(&mut head)?;
        let length = usize::try_from(i32::from_be_bytes(head))?;
        if length > INCOMING_BYTES {
            return Err(format!("a frame of {length} bytes").into());
        }
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }
}

/// What [`Connection::send`] could not write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Something,
}

/// Checks that `frame` answers the oldest request with a success, and tells when that was sent.
fn take_answer(
    unanswered: &mut VecDeque<Unanswered>,
    frame: &[u8],
) -> Result<Instant, Box<dyn Error>> {
    let oldest = unanswered
        .pop_front()
        .ok_or("an answer to nothing that was asked")?;
    match decode_reply(frame, Some(&oldest.request))? {
        Reply::Answer { xid, .. } if xid != oldest.xid => {
            Err(format!("an answer to {xid:?} before that to {:?}", oldest.xid).into())
        }
        Reply::Answer {
            result: Err(code), ..
        } => Err(format!("{} was refused: {code}", oldest.request.name()).into()),
        Reply::Answer { result: Ok(_), .. } => Ok(oldest.sent),
        other => Err(format!("{other:?}, which nobody asked for").into()),
    }
}
