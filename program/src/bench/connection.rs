//! One client of a server under load: a socket, its two buffers, and what is not answered yet.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use althing_core::code::Code;
use althing_core::codec::client::{
    decode_connect_response, decode_reply, encode_connect, encode_request,
};
use althing_core::ids::{Password, Xid, Zxid};
use althing_core::node::reply::Reply;
use althing_core::node::request::{ConnectRequest, Request};

/// What goes wrong in any thread.
pub type Trouble = Box<dyn Error + Send + Sync>;

/// What must happen and has not happened for so long never will.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The longest time-out that the server grants by default.
const TIMEOUT_MS: i32 = 40_000;

/// Room for what is read at once, unless an answer is larger.
const INCOMING_BYTES: usize = 64 * 1024;

/// The largest answer: as much as a znode's data may ever be, and what surrounds it.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

struct Unanswered {
    xid: Xid,
    request: Request,
    sent: Instant,
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What was asked.
    pub request: Request,
    /// When it was sent.
    pub sent: Instant,
    /// Why it was refused, if it was.
    pub refused: Option<Code>,
}

/// A client.
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
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn ask(address: SocketAddr) -> Result<Connection, Trouble> {
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
    ///
    /// # Errors
    /// If there is none.
    pub fn greet(&mut self) -> Result<(), Trouble> {
        let frame = self.wait_for_frame()?;
        let response = decode_connect_response(&frame)?;
        response.session.ok_or("the server gave no session")?;
        Ok(())
    }

    /// From here on, reads and writes take what there is and do not wait.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn stop_waiting(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// From here on, reads and writes wait.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn start_waiting(&self) -> io::Result<()> {
        self.stream.set_nonblocking(false)
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// How many requests have no answer yet.
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
    ///
    /// # Errors
    /// If the connection is lost.
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

    /// Reads once and hands on what is answered now. Every answer is decoded: what counts is a
    /// server that does its work.
    ///
    /// # Errors
    /// If the connection is lost, or something else than answers comes.
    pub fn receive(&mut self, mut answered: impl FnMut(Answered)) -> Result<(), Trouble> {
        match self.stream.read(&mut self.incoming[self.filled..]) {
            Ok(0) => return Err("a server has closed a connection".into()),
            Ok(bytes) => self.filled += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let mut taken = 0;
        while let Some((head, rest)) = self.incoming[taken..self.filled].split_first_chunk() {
            let length = length_of(*head)?;
            let Some(frame) = rest.get(..length) else {
                let needed = head.len() + length;
                if needed > self.incoming.len() {
                    self.incoming.resize(needed, 0);
                }
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
    ///
    /// # Errors
    /// If it is refused, or the connection is lost.
    pub fn call(&mut self, request: Request) -> Result<(), Trouble> {
        self.queue(request, Instant::now());
        self.stream.write_all(&self.outgoing)?;
        self.outgoing.clear();
        self.hear()
    }

    /// Waits for the answer to the oldest request.
    ///
    /// # Errors
    /// If it is refused, or the connection is lost.
    pub fn hear(&mut self) -> Result<(), Trouble> {
        let frame = self.wait_for_frame()?;
        let answered = take_answer(&mut self.unanswered, &frame)?;
        match answered.refused {
            None => Ok(()),
            Some(code) => {
                let name = answered.request.name();
                Err(format!("{name} was refused: {}", code.name()).into())
            }
        }
    }

    fn wait_for_frame(&mut self) -> Result<Vec<u8>, Trouble> {
        assert_eq!(self.filled, 0, "part of a frame was read before");
        let mut head = [0; 4];
        self.stream.read_exact(&mut head)?;
        let mut frame = vec![0; length_of(head)?];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }
}

/// What [`Connection::send`] could not write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// All was written.
    Nothing,
    /// The socket is full.
    Something,
}

/// How long a frame is.
fn length_of(head: [u8; 4]) -> Result<usize, Trouble> {
    let length = i32::from_be_bytes(head);
    match usize::try_from(length) {
        Ok(length) if length <= FRAME_BYTES_MAX => Ok(length),
        _ => Err(format!("a frame of {length} bytes").into()),
    }
}

/// Checks that `frame` answers the oldest request.
fn take_answer(unanswered: &mut VecDeque<Unanswered>, frame: &[u8]) -> Result<Answered, Trouble> {
    let Unanswered { xid, request, sent } = unanswered
        .pop_front()
        .ok_or("an answer to nothing that was asked")?;
    match decode_reply(frame, Some(&request))? {
        Reply::Answer { xid: told, .. } if told != xid => {
            Err(format!("an answer to {told:?} before that to {xid:?}").into())
        }
        Reply::Answer { result, .. } => Ok(Answered {
            request,
            sent,
            refused: result.err(),
        }),
        other => Err(format!("{other:?}, which nobody asked for").into()),
    }
}
