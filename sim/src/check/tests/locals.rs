//! Handshakes by which clients come to sessions of one server alone, and back to them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use althing_core::ids::{Password, ServerId, SessionId, Zxid};
use althing_core::node::reply::ConnectResponse;
use althing_core::node::request::ConnectRequest;
use althing_core::tree::op::{ANY_VERSION, Op};
use althing_core::tree::path::Path;

use crate::history::{LinkId, Received, Sent, What};

/// A number, and a password.
pub type Claim = (SessionId, Password);

/// The time-out that everybody asks for and gets, in milliseconds.
pub const TIMEOUT_MS: i32 = 4000;

/// A session that a server has opened for itself alone, its password, and another one.
pub const SESSION: SessionId = SessionId(i64::MIN + 5);
pub const SECRET: Password = Password([3; 16]);
pub const OTHER: Password = Password([4; 16]);

/// The one client.
pub fn client() -> Arc<str> {
    Arc::from("client-1")
}

/// A write.
pub fn deletion(path: &str) -> Op {
    Op::Delete {
        path: Path::parse(path).expect("a path"),
        version: ANY_VERSION,
    }
}

/// What is asked for on a new link to a server, and what is answered.
pub fn handshake(
    link: LinkId,
    server: ServerId,
    asked: Option<Claim>,
    given: Option<Claim>,
) -> [What; 3] {
    let client = client();
    [
        What::LinkOpened {
            client: client.clone(),
            link,
            server,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        },
        What::Sent {
            client: client.clone(),
            link,
            frame: Sent::Connect(ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: Zxid::ZERO,
                timeout_ms: TIMEOUT_MS,
                session: asked.map(|(session, _)| session),
                password: asked.map_or(Password::NONE, |(_, password)| password),
                read_only: Some(false),
            }),
        },
        What::Received {
            client,
            link,
            frame: Received::Connected(ConnectResponse {
                timeout_ms: given.map_or(0, |_| TIMEOUT_MS),
                session: given.map(|(session, _)| session),
                password: given.map_or(Password::NONE, |(_, password)| password),
                read_only: Some(false),
            }),
        },
    ]
}
