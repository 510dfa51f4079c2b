//! A client that does exactly what it is told, byte by byte: also what no good client would do.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use althing_core::codec::client;
use althing_core::ids::{Password, SessionId, Xid, Zxid};
use althing_core::node::reply::{ConnectResponse, Reply};
use althing_core::node::request::{ConnectRequest, Request};
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::path::{Path, Place};

use crate::process::PATIENCE;

/// One connection.
pub struct Raw {
    stream: TcpStream,
    asked: VecDeque<Request>,
    xid: i32,
}

impl Raw {
    /// Connects without saying anything.
    pub fn dial(address: SocketAddr) -> Result<Raw> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Raw {
            stream,
            asked: VecDeque::new(),
            xid: 0,
        })
    }

    /// Connects and opens a session.
    pub fn open(address: SocketAddr) -> Result<(Raw, ConnectResponse)> {
        Raw::attach(address, None)
    }

    /// Connects and attaches to a session, or opens one.
    pub fn attach(
        address: SocketAddr,
        session: Option<(SessionId, Password)>,
    ) -> Result<(Raw, ConnectResponse)> {
        let mut raw = Raw::dial(address)?;
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 10_000,
            session: session.map(|(session, _)| session),
            password: session.map_or(Password::NONE, |(_, password)| password),
            read_only: Some(false),
        };
        let mut bytes = Vec::new();
        client::encode_connect(&request, &mut bytes);
        raw.send_bytes(&bytes)?;
        let frame = raw.frame()?;
        let response = client::decode_connect_response(&frame).expect("a connect response");
        Ok((raw, response))
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request without waiting for its answer.
    pub fn send(&mut self, request: Request) -> Result<()> {
        self.xid += 1;
        let mut bytes = Vec::new();
        client::encode_request(Xid(self.xid), &request, &mut bytes);
        self.asked.push_back(request);
        self.send_bytes(&bytes)
    }

    /// The next message of the server.
    pub fn receive(&mut self) -> Result<Reply> {
        let frame = self.frame()?;
        let xid = client::peek_xid(&frame).expect("a reply header");
        let request = if xid == Xid::NOTIFICATION {
            None
        } else {
            self.asked.pop_front()
        };
        Ok(client::decode_reply(&frame, request.as_ref()).expect("a reply"))
    }

    /// Sends a request and waits for its answer; events in between are passed over.
    pub fn ask(&mut self, request: Request) -> Result<Reply> {
        self.send(request)?;
        loop {
            let reply = self.receive()?;
            if !matches!(reply, Reply::Event(_)) {
                return Ok(reply);
            }
        }
    }

    /// Does the server close this connection, whatever it says before?
    pub fn is_closed_by_server(&mut self) -> bool {
        let mut last_words = Vec::new();
        match self.stream.read_to_end(&mut last_words) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Ends the connection.
    pub fn hang_up(self) {
        // The other side may have been faster.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn frame(&mut self) -> Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }
}

/// The creation of a persistent znode.
pub fn create(path: &str, data: &[u8]) -> Request {
    Request::Write(Op::Create(Create {
        place: Place::exact(path).expect("a place"),
        data: Some(Data::copy_of(data)),
        acl: Acl::open(),
        lifetime: Lifetime::Persistent,
        naming: Naming::Exact,
        telling: Telling::Path,
    }))
}

/// New data for a znode.
pub fn set(path: &str, data: &[u8]) -> Request {
    Request::Write(Op::SetData {
        path: Path::parse(path).expect("a path"),
        data: Some(Data::copy_of(data)),
        version: ANY_VERSION,
    })
}
