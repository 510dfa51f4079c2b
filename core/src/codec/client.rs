//! The client protocol, both directions: the server's half and the client's half.

use alloc::vec::Vec;

use crate::code::Code;
use crate::codec::cursor::Cursor;
use crate::codec::jute;
use crate::codec::malformed::Malformed;
use crate::codec::{reply, request};
use crate::ids::{Password, SessionId, Xid, Zxid};
use crate::node::reply::{ConnectResponse, Reply};
use crate::node::request::{ConnectRequest, Request};

/// Longest password that a first frame may carry: ours have 16 bytes, other servers' may differ.
const PASSWORD_BYTES_MAX: usize = 1024;

/// The only version of the protocol that there has ever been.
const PROTOCOL_VERSION: i32 = 0;

/// Reads a connection's first frame (without its length).
///
/// # Errors
/// If the frame is not a ConnectRequest.
pub fn decode_connect(frame: &[u8]) -> Result<ConnectRequest, Malformed> {
    let input = &mut Cursor::new(frame);
    Ok(ConnectRequest {
        protocol_version: jute::int(input, "protocol version")?,
        last_zxid_seen: Zxid::from_wire(jute::long(input, "last zxid seen")?),
        timeout_ms: jute::int(input, "time-out")?,
        session: session(input)?,
        password: password(input)?,
        read_only: read_only(input)?,
    })
}

/// Zero is no session.
fn session(input: &mut Cursor<'_>) -> Result<Option<SessionId>, Malformed> {
    match jute::long(input, "session")? {
        0 => Ok(None),
        id => Ok(Some(SessionId(id))),
    }
}

/// What cannot be a password of ours is like none at all: it matches no session's.
fn password(input: &mut Cursor<'_>) -> Result<Password, Malformed> {
    let at = input.malformed("password");
    let bytes = jute::buffer(input, "password")?.unwrap_or(&[]);
    if bytes.len() > PASSWORD_BYTES_MAX {
        return Err(at);
    }
    Ok(bytes.try_into().map_or(Password::NONE, Password))
}

/// The last field of a first frame, which old clients and servers leave out.
fn read_only(input: &mut Cursor<'_>) -> Result<Option<bool>, Malformed> {
    if input.remaining() == 0 {
        return Ok(None);
    }
    let read_only = jute::truth(input, "read-only")?;
    input.end("end of the first frame")?;
    Ok(Some(read_only))
}

/// Reads a request's frame (without its length).
///
/// A frame whose header can be read but whose operation is not known is [`Request::Unknown`]; one
/// whose values break a rule (a bad path) is [`Request::Refused`].
///
/// # Errors
/// If the frame is not a request.
pub fn decode_request(frame: &[u8]) -> Result<(Xid, Request), Malformed> {
    let input = &mut Cursor::new(frame);
    let xid = Xid(jute::int(input, "xid")?);
    let opcode = jute::int(input, "operation")?;
    Ok((xid, request::decode_body(opcode, input)?))
}

/// Appends a message to a client, with its length.
pub fn encode_reply(reply: &Reply, out: &mut Vec<u8>) {
    jute::put_frame(out, |out| match reply {
        Reply::Connected(response) => put_connect_response(out, response),
        Reply::Answer { xid, zxid, result } => {
            let error = result.as_ref().map_or_else(|code| code.number(), |_| 0);
            put_reply_header(out, *xid, *zxid, error);
            if let Ok(response) = result {
                reply::put_body(out, response);
            }
        }
        Reply::Event(event) => {
            put_reply_header(out, Xid::NOTIFICATION, event.zxid, 0);
            reply::put_event(out, event);
        }
    });
}

fn put_connect_response(out: &mut Vec<u8>, response: &ConnectResponse) {
    let (session, password) = match response.session {
        Some(session) => (session.0, response.password),
        None => (0, Password::NONE),
    };
    jute::put_int(out, PROTOCOL_VERSION);
    jute::put_int(out, response.timeout_ms);
    jute::put_long(out, session);
    jute::put_buffer(out, &password.0);
    if let Some(read_only) = response.read_only {
        jute::put_truth(out, read_only);
    }
}

fn put_reply_header(out: &mut Vec<u8>, xid: Xid, zxid: Zxid, error: i32) {
    jute::put_int(out, xid.0);
    jute::put_long(out, zxid.to_wire());
    jute::put_int(out, error);
}

/// Appends a connection's first frame, with its length.
pub fn encode_connect(request: &ConnectRequest, out: &mut Vec<u8>) {
    jute::put_frame(out, |out| {
        jute::put_int(out, request.protocol_version);
        jute::put_long(out, request.last_zxid_seen.to_wire());
        jute::put_int(out, request.timeout_ms);
        jute::put_long(out, request.session.map_or(0, |session| session.0));
        jute::put_buffer(out, &request.password.0);
        if let Some(read_only) = request.read_only {
            jute::put_truth(out, read_only);
        }
    });
}

/// Appends a request's frame, with its length.
///
/// # Panics
/// If the request is [`Request::Refused`]: that is a server's judgement, nothing that is sent.
pub fn encode_request(xid: Xid, request: &Request, out: &mut Vec<u8>) {
    jute::put_frame(out, |out| {
        jute::put_int(out, xid.0);
        jute::put_int(out, request::opcode_of(request));
        request::put_body(out, request);
    });
}

/// Reads the server's first frame (without its length).
///
/// # Errors
/// If the frame is not a ConnectResponse.
pub fn decode_connect_response(frame: &[u8]) -> Result<ConnectResponse, Malformed> {
    let input = &mut Cursor::new(frame);
    jute::int(input, "protocol version")?;
    Ok(ConnectResponse {
        timeout_ms: jute::int(input, "time-out")?,
        session: session(input)?,
        password: password(input)?,
        read_only: read_only(input)?,
    })
}

struct ReplyHeader {
    xid: Xid,
    zxid: Zxid,
    error: Option<Code>,
}

fn reply_header(input: &mut Cursor<'_>) -> Result<ReplyHeader, Malformed> {
    let what = "reply header";
    let xid = Xid(jute::int(input, what)?);
    let zxid = Zxid::from_wire(jute::long(input, what)?);
    let at = input.malformed("error code");
    let error = match jute::int(input, what)? {
        0 => None,
        number => Some(Code::from_number(number).ok_or(at)?),
    };
    Ok(ReplyHeader { xid, zxid, error })
}

/// The number of the request that a server's frame answers, [`Xid::NOTIFICATION`] for an event.
///
/// # Errors
/// If the frame has no reply header.
pub fn peek_xid(frame: &[u8]) -> Result<Xid, Malformed> {
    reply_header(&mut Cursor::new(frame)).map(|header| header.xid)
}

/// Reads a server's frame (without its length) after the first: an event, or the answer to
/// `request`, which the caller has found by [`peek_xid`].
///
/// The answer to a plain `create` has no Stat on the wire; there it is `Stat::default()`.
///
/// # Errors
/// If the frame is neither.
pub fn decode_reply(frame: &[u8], request: Option<&Request>) -> Result<Reply, Malformed> {
    let input = &mut Cursor::new(frame);
    let header = reply_header(input)?;
    match (request, header.error) {
        _ if header.xid == Xid::NOTIFICATION => {
            Ok(Reply::Event(reply::decode_event(input, header.zxid)?))
        }
        (None, _) => Err(input.malformed("reply: nothing was asked")),
        (Some(_), Some(code)) => {
            input.end("end of the error")?;
            Ok(Reply::Answer {
                xid: header.xid,
                zxid: header.zxid,
                result: Err(code),
            })
        }
        (Some(request), None) => Ok(Reply::Answer {
            xid: header.xid,
            zxid: header.zxid,
            result: Ok(reply::decode_body(input, request)?),
        }),
    }
}

#[cfg(test)]
mod tests;
