//! Fuzzes the port for clients. Each input is a frame; what the server must do with it is known
//! from the same codec: answer it once, in its turn and with its number, or close the connection.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};

use althing_core::codec::client::{decode_request, peek_xid};
use althing_core::ids::Xid;
use althing_core::node::request::Request;

use crate::corpus;
use crate::dice::{Dice, framed};
use crate::stream::{dial, send_alone, until_closed};

/// A session that is left alone is gone after this.
const SESSION_MS: i32 = 3000;

/// Frames of one connection, before it is closed as a good client closes it.
const FRAMES_MAX: usize = 256;

/// Frames that are written at once.
const BATCH: usize = 64;

/// Of the frames that are no request, one in so many is sent: each closes the connection, and more
/// would fuzz nothing but the closing.
const FATAL_ONE_IN: usize = 128;

/// The same of closeSession and auth, which may close it.
const LAST_ONE_IN: usize = 8;

/// One connection in so many begins with something else than the opening of a session.
const STRANGE_ONE_IN: usize = 4;

/// Frames that must be answered with these numbers, and perhaps one after which the connection may
/// be closed.
struct Batch {
    bytes: Vec<u8>,
    dues: Vec<Xid>,
    /// Written when the others are answered, since what closes a connection does so at once.
    last: Option<Last>,
}

/// A frame that ends a connection.
struct Last {
    bytes: Vec<u8>,
    /// The number of its answer: closeSession, and auth that may fail. Without, it is no request.
    due: Option<Xid>,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub inputs: u64,
    pub answered: u64,
    pub closed: u64,
    pub expired: u64,
}

/// Sends frames over one connection after the other until there were `inputs`.
pub fn fuzz(address: SocketAddr, inputs: u64, seed: u64) -> Count {
    let corpus = corpus::requests();
    let mut count = Count::default();
    for number in 0.. {
        if count.inputs >= inputs {
            break;
        }
        let mut dice = Dice::new(seed, number);
        let tried = match dice.is_one(STRANGE_ONE_IN) {
            true => strange(address, &mut dice, &mut count),
            false => session(address, &corpus, &mut dice, &mut count),
        };
        if let Err(error) = tried {
            panic!("seed {seed}, connection {number}: {error}");
        }
    }
    count
}

/// A connection that begins with a broken opening, a four-letter word, or noise.
fn strange(address: SocketAddr, dice: &mut Dice, count: &mut Count) -> Result<()> {
    let words = [
        &b"ruok"[..],
        b"mntr",
        b"srvr",
        b"cons",
        b"wchs",
        b"isro",
        b"dump",
        b"xxxx",
    ];
    let openings = [corpus::connect(SESSION_MS)];
    let bytes = match dice.below(4) {
        0 => dice.pick(&words).to_vec(),
        1 => {
            let length = dice.below(100);
            dice.noise(length)
        }
        _ => dice.mutant(&openings),
    };
    send_alone(address, &bytes)?;
    count.inputs += 1;
    count.closed += 1;
    Ok(())
}

/// A connection with a session, and frames until one closes it.
fn session(
    address: SocketAddr,
    corpus: &[Vec<u8>],
    dice: &mut Dice,
    count: &mut Count,
) -> Result<()> {
    let mut stream = dial(address)?;
    stream.write_all(&corpus::connect(SESSION_MS))?;
    let mut reader = Reader::new(stream.try_clone()?);
    reader.frame()?;
    let mut sent = 0;
    while sent < FRAMES_MAX {
        let Batch { bytes, dues, last } = batch(corpus, dice);
        stream.write_all(&bytes)?;
        count.inputs += dues.len() as u64;
        sent += dues.len();
        if judge(&mut reader, &bytes, &dues, count)? == Next::Closed {
            return Ok(());
        }
        if let Some(Last { bytes, due }) = last {
            count.inputs += 1;
            count.closed += 1;
            // The server may close before it has read all.
            let _ = stream.write_all(&bytes);
            return match due {
                Some(xid) => judge(&mut reader, &bytes, &[xid], count).map(|_| ()),
                None => until_closed(&mut stream),
            };
        }
    }
    let mut close = Vec::new();
    althing_core::codec::client::encode_request(Xid(1), &Request::CloseSession, &mut close);
    stream.write_all(&close)?;
    until_closed(&mut stream)
}

/// Frames, up to one after which the connection may be closed.
fn batch(corpus: &[Vec<u8>], dice: &mut Dice) -> Batch {
    let (mut bytes, mut dues) = (Vec::new(), Vec::new());
    while dues.len() < BATCH {
        let mut body = dice.mutant(corpus);
        if body.starts_with(&[0xff; 4]) {
            // The number of events: its answer could not be told from one.
            body[..4].copy_from_slice(&7_i32.to_be_bytes());
        }
        let last = match decode_request(&body) {
            Ok((_, Request::CloseSession | Request::Auth { .. })) if !dice.is_one(LAST_ONE_IN) => {
                continue;
            }
            Ok((xid, Request::CloseSession | Request::Auth { .. })) => Last {
                bytes: framed(&body),
                due: Some(xid),
            },
            Ok((xid, _)) => {
                bytes.extend(framed(&body));
                dues.push(xid);
                continue;
            }
            Err(_) if dice.is_one(FATAL_ONE_IN) => Last {
                bytes: match dice.is_one(8) {
                    true => dice.pick(&[-1, i32::MIN, i32::MAX]).to_be_bytes().to_vec(),
                    false => framed(&body),
                },
                due: None,
            },
            Err(_) => continue,
        };
        let last = Some(last);
        return Batch { bytes, dues, last };
    }
    let last = None;
    Batch { bytes, dues, last }
}

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Goes,
    Closed,
}

/// Reads what is due, in its turn.
fn judge(reader: &mut Reader, bytes: &[u8], dues: &[Xid], count: &mut Count) -> Result<Next> {
    for (index, xid) in dues.iter().enumerate() {
        let (found, code) = reader.answer().map_err(|error| {
            let request = decode_request(nth(bytes, index));
            let what = format!("{error}, instead of an answer to {request:?}");
            Error::new(error.kind(), what)
        })?;
        // Pings, auth and setWatches are answered with numbers of their own.
        let own = [-2, -4, -8].contains(&found.0);
        assert!(found == *xid || own, "{found:?} instead of {xid:?}");
        count.answered += 1;
        if code == EXPIRED {
            count.expired += 1;
            return Ok(Next::Closed);
        }
    }
    Ok(Next::Goes)
}

/// The body of one of several frames.
fn nth(bytes: &[u8], index: usize) -> &[u8] {
    let (length, rest) = bytes.split_first_chunk().expect("a frame");
    let length = i32::from_be_bytes(*length) as usize;
    match index {
        0 => &rest[..length],
        index => nth(&rest[length..], index - 1),
    }
}

/// `SessionExpired`: the machine was so busy that this client was silent for too long.
const EXPIRED: i32 = -112;

/// Takes frames from a stream.
struct Reader {
    stream: TcpStream,
    bytes: Vec<u8>,
    taken: usize,
}

impl Reader {
    fn new(stream: TcpStream) -> Reader {
        let (bytes, taken) = (Vec::new(), 0);
        Reader {
            stream,
            bytes,
            taken,
        }
    }

    /// The number and the code of the next answer; events are passed over.
    fn answer(&mut self) -> Result<(Xid, i32)> {
        loop {
            let frame = self.frame()?;
            let xid = peek_xid(&frame).expect("a reply begins with its number");
            if xid != Xid::NOTIFICATION {
                let code: [u8; 4] = frame[12..16].try_into().expect("four bytes");
                return Ok((xid, i32::from_be_bytes(code)));
            }
        }
    }

    fn frame(&mut self) -> Result<Vec<u8>> {
        let length = i32::from_be_bytes(self.take(4)?.try_into().expect("four bytes"));
        self.take(usize::try_from(length).expect("a length"))
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.bytes.len() - self.taken < count {
            self.bytes.drain(..self.taken);
            self.taken = 0;
            let mut piece = [0; 64 * 1024];
            match self.stream.read(&mut piece)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => self.bytes.extend_from_slice(&piece[..read]),
            }
        }
        let found = self.bytes[self.taken..self.taken + count].to_vec();
        self.taken += count;
        Ok(found)
    }
}
