//! The client protocol, both directions: the server's half and the client's half.

use alloc::vec::Vec;

use crate::codec::malformed::Malformed;
use crate::ids::Xid;
use crate::node::reply::{ConnectResponse, Reply};
use crate::node::request::{ConnectRequest, Request};

/// Reads a connection's first frame (without its length).
///
/// # Errors
/// If the frame is not a ConnectRequest.
pub fn decode_connect(frame: &[u8]) -> Result<ConnectRequest, Malformed> {
    let _ = frame;
    todo!()
}

/// Reads a request's frame (without its length).
///
/// A frame whose header can be read but whose operation is not known is [`Request::Unknown`]; one
/// whose values break a rule (a bad path) is [`Request::Refused`].
///
/// # Errors
/// If the frame is not a request.
pub fn decode_request(frame: &[u8]) -> Result<(Xid, Request), Malformed> {
    let _ = frame;
    todo!()
}

/// Appends a message to a client, with its length.
pub fn encode_reply(reply: &Reply, out: &mut Vec<u8>) {
    let _ = (reply, out);
    todo!()
}

/// Appends a connection's first frame, with its length.
pub fn encode_connect(request: &ConnectRequest, out: &mut Vec<u8>) {
    let _ = (request, out);
    todo!()
}

/// Appends a request's frame, with its length.
pub fn encode_request(xid: Xid, request: &Request, out: &mut Vec<u8>) {
    let _ = (xid, request, out);
    todo!()
}

/// Reads the server's first frame (without its length).
///
/// # Errors
/// If the frame is not a ConnectResponse.
pub fn decode_connect_response(frame: &[u8]) -> Result<ConnectResponse, Malformed> {
    let _ = frame;
    todo!()
}

/// The number of the request that a server's frame answers, [`Xid::NOTIFICATION`] for an event.
///
/// # Errors
/// If the frame has no reply header.
pub fn peek_xid(frame: &[u8]) -> Result<Xid, Malformed> {
    let _ = frame;
    todo!()
}

/// Reads a server's frame (without its length) after the first: an event, or the answer to
/// `request`, which the caller has found by [`peek_xid`].
///
/// # Errors
/// If the frame is neither.
pub fn decode_reply(frame: &[u8], request: Option<&Request>) -> Result<Reply, Malformed> {
    let _ = (frame, request);
    todo!()
}
