//! The drive's view of this server's clients: what they wait for, and what they were told.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use althing_core::codec::client::encode_reply;
use althing_core::ids::{ConnectionId, Xid, Zxid};
use althing_core::node::event::Reached;
use althing_core::node::reply::Reply;
use althing_core::node::request::Request;
use althing_core::time::Instant;

use crate::audit::{Audited, Who};
use crate::limits::Limits;
use crate::outbound::{Answered, Cut, Outbound};
use crate::refusals::Refusals;
use crate::statistics::Statistics;

/// A client's request, with what the drive must know about it.
#[derive(Debug)]
pub struct Asked {
    /// The client's number for it.
    pub xid: Xid,
    /// What.
    pub request: Request,
    /// The length of its frame.
    pub bytes: usize,
    /// When it was read.
    pub received: Instant,
}

/// A request that was stepped and is not yet answered.
#[derive(Debug)]
struct Waiting {
    name: &'static str,
    bytes: usize,
    received: Instant,
    /// For the audit log.
    audited: Option<Box<(Who, Audited)>>,
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// Where it comes from.
    pub address: SocketAddr,
    /// When its connection was opened.
    pub since: Instant,
    /// Its own counters.
    pub statistics: Statistics,
    /// The last operation that was answered; "NA" before the first.
    pub last_operation: &'static str,
    /// The number of the last request that was answered.
    pub last_xid: Xid,
    /// The position that the last answer told.
    pub last_zxid: Zxid,
    /// When the last answer was given.
    pub last_answer: Instant,
    /// How long the last answer took, in milliseconds.
    pub last_latency_ms: u128,
    outbound: Arc<Outbound>,
    /// Encoded since the last hand-over.
    encoded: Vec<u8>,
    /// Left unread at the last hand-over.
    unread_bytes: usize,
    waiting: VecDeque<Waiting>,
    /// Requests that wait for the client to read its replies; behind the first, all wait.
    deferred: VecDeque<Asked>,
    answered: Answered,
    /// In the list of those to hand over to.
    listed: bool,
    closing: bool,
}

/// This server's clients, in the order of their connections.
#[derive(Debug)]
pub struct Clients {
    limits: Limits,
    all: BTreeMap<ConnectionId, Client>,
    /// Those that have something to be handed over.
    touched: Vec<ConnectionId>,
    refusals: Refusals,
}

/// What becomes of a request that came in.
#[derive(Debug)]
pub enum Fate {
    /// It is stepped now.
    Step(Asked),
    /// It waits in its client's queue until the client has read its replies.
    Wait,
    /// Its connection is closing: nobody would see the answer.
    Drop,
}

impl Clients {
    /// Nobody yet.
    pub fn new(limits: Limits) -> Clients {
        Clients {
            limits,
            all: BTreeMap::new(),
            touched: Vec::new(),
            refusals: Refusals::default(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Requests that were stepped and are not answered.
    pub fn unanswered(&self) -> usize {
        let open = self.all.values().filter(|client| !client.closing);
        open.map(|client| client.waiting.len()).sum()
    }

    /// All, in the order of their connections.
    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Client)> {
        self.all.iter().map(|(id, client)| (*id, client))
    }

    /// Adds the one of a new connection, whose first frame waits for its answer.
    pub fn open(
        &mut self,
        connection: ConnectionId,
        address: SocketAddr,
        outbound: Arc<Outbound>,
        received: Instant,
        server: &mut Statistics,
    ) {
        server.received += 1;
        server.opened += 1;
        let mut client = Client {
            address,
            since: received,
            statistics: Statistics::default(),
            last_operation: "NA",
            last_xid: Xid(0),
            last_zxid: Zxid::ZERO,
            last_answer: received,
            last_latency_ms: 0,
            outbound,
            encoded: Vec::new(),
            unread_bytes: 0,
            waiting: VecDeque::new(),
            deferred: VecDeque::new(),
            answered: Answered::default(),
            listed: false,
            closing: false,
        };
        client.statistics.received += 1;
        client.expect("connect", 0, received);
        let known = self.all.insert(connection, client);
        assert!(known.is_none(), "{connection} was opened twice");
    }

    /// Decides about a request that came in, and waits for its answer if it is to be stepped.
    pub fn ask(&mut self, connection: ConnectionId, asked: Asked, server: &mut Statistics) -> Fate {
        let Some(client) = self.all.get_mut(&connection) else {
            return Fate::Drop;
        };
        server.received += 1;
        client.statistics.received += 1;
        if asked.bytes > self.limits.frame_bytes_max {
            server.large_requests += 1;
            self.refusals
                .tell(client.address, "the bytes of a request", asked.received);
        }
        if client.closing {
            return Fate::Drop;
        }
        if !client.deferred.is_empty() || client.is_above(self.limits.unread_bytes_soft) {
            client.deferred.push_back(asked);
            Clients::touch(&mut self.touched, connection, client);
            return Fate::Wait;
        }
        client.expect(asked.request.name(), asked.bytes, asked.received);
        Fate::Step(asked)
    }

    /// The next request that waited for its client to read, if it has read enough by now.
    pub fn next_deferred(&mut self, connection: ConnectionId) -> Option<Asked> {
        let client = self.all.get_mut(&connection)?;
        if client.closing || client.deferred.is_empty() {
            return None;
        }
        if client.is_above(self.limits.unread_bytes_soft) {
            Clients::touch(&mut self.touched, connection, client);
            return None;
        }
        let asked = client.deferred.pop_front()?;
        client.expect(asked.request.name(), asked.bytes, asked.received);
        Some(asked)
    }

    /// Counts that a client was refused something since it has reached a limit.
    pub fn refused(
        &mut self,
        connection: ConnectionId,
        limit: Reached,
        now: Instant,
        server: &mut Statistics,
    ) {
        let what = match limit {
            Reached::ReplyBytes => "the bytes of a reply",
            Reached::SessionRate => "the requests of a session",
            Reached::AddressRate => "the requests of an address",
            Reached::IdentityRate => "the requests of an identity",
        };
        match limit {
            Reached::ReplyBytes => server.large_replies += 1,
            _ => server.throttled += 1,
        }
        if let Some(client) = self.all.get(&connection) {
            self.refusals.tell(client.address, what, now);
        }
    }

    /// Of the request that was taken last: what the audit log is to tell when it is answered.
    pub fn audit(&mut self, connection: ConnectionId, who: Who, audited: Audited) {
        let client = self.all.get_mut(&connection);
        if let Some(waiting) = client.and_then(|client| client.waiting.back_mut()) {
            waiting.audited = Some(Box::new((who, audited)));
        }
    }

    /// What the audit log is to tell of the request that is about to be answered, if anything.
    pub fn audited(&self, connection: ConnectionId) -> Option<&(Who, Audited)> {
        let waiting = self.all.get(&connection)?.waiting.front()?;
        waiting.audited.as_deref()
    }

    /// Encodes a reply for its client.
    pub fn reply(
        &mut self,
        connection: ConnectionId,
        reply: &Reply,
        now: Instant,
        server: &mut Statistics,
    ) {
        let Some(client) = self.all.get_mut(&connection) else {
            return;
        };
        if client.closing {
            return;
        }
        if matches!(reply, Reply::Event(_)) && client.is_above(self.limits.unread_bytes_max) {
            let (address, unread_bytes) = (client.address, client.unread_bytes);
            tracing::warn!(%connection, %address, unread_bytes, "the client does not read: cut");
            server.cut += 1;
            client.cut(Cut::Unread);
            return;
        }
        encode_reply(reply, &mut client.encoded);
        client.count(reply, now, server);
        Clients::touch(&mut self.touched, connection, client);
    }

    /// Nothing is said on the connection after what was said before.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(client) = self.all.get_mut(&connection)
            && !client.closing
        {
            client.closing = true;
            client.deferred.clear();
            Clients::touch(&mut self.touched, connection, client);
        }
    }

    /// Counts anew what is counted of each.
    pub fn reset_statistics(&mut self) {
        let all = self.all.values_mut();
        all.for_each(|client| client.statistics.reset());
    }

    /// Closes all.
    pub fn close_all(&mut self) {
        let all: Vec<ConnectionId> = self.all.keys().copied().collect();
        all.into_iter()
            .for_each(|connection| self.close(connection));
    }

    /// Forgets a connection that has ended.
    pub fn remove(&mut self, connection: ConnectionId) {
        let known = self.all.remove(&connection);
        assert!(known.is_some(), "{connection} ended but was not opened");
    }

    /// Hands over what was encoded since the last time, each client's bytes in one piece. Returns
    /// those whose requests wait although they have read enough meanwhile.
    pub fn hand_over(&mut self) -> Vec<ConnectionId> {
        let mut ready = Vec::new();
        for connection in self.touched.drain(..) {
            let Some(client) = self.all.get_mut(&connection) else {
                continue;
            };
            client.listed = false;
            client.unread_bytes = client.outbound.fill(&mut client.encoded, client.answered);
            assert!(client.encoded.is_empty(), "replies stayed behind");
            if client.closing {
                client.outbound.complete();
            } else if !client.deferred.is_empty() {
                let soft = self.limits.unread_bytes_soft;
                client.unread_bytes = client.outbound.unread_bytes_or_wait(soft);
                if client.unread_bytes <= soft {
                    ready.push(connection);
                }
            }
        }
        ready
    }

    fn touch(touched: &mut Vec<ConnectionId>, connection: ConnectionId, client: &mut Client) {
        if !mem::replace(&mut client.listed, true) {
            touched.push(connection);
        }
    }
}

impl Client {
    /// Requests that are not yet answered, whether stepped or not.
    pub fn outstanding(&self) -> usize {
        self.waiting.len() + self.deferred.len()
    }

    /// Has it more to read than `bytes`? What is known of its reading is looked up only if so.
    fn is_above(&mut self, bytes: usize) -> bool {
        if self.encoded.len() + self.unread_bytes <= bytes {
            return false;
        }
        self.unread_bytes = self.outbound.unread_bytes();
        self.encoded.len() + self.unread_bytes > bytes
    }

    fn expect(&mut self, name: &'static str, bytes: usize, received: Instant) {
        self.waiting.push_back(Waiting {
            name,
            bytes,
            received,
            audited: None,
        });
    }

    fn count(&mut self, reply: &Reply, now: Instant, server: &mut Statistics) {
        self.statistics.sent += 1;
        server.sent += 1;
        if let Reply::Answer { xid, zxid, .. } = reply {
            self.last_xid = *xid;
            self.last_zxid = *zxid;
        }
        if matches!(reply, Reply::Event(_)) {
            return;
        }
        // Replies leave in the order of the requests.
        let Some(waiting) = self.waiting.pop_front() else {
            return;
        };
        let latency = now.since(waiting.received);
        self.statistics.answered(latency);
        server.answered(latency);
        self.last_operation = waiting.name;
        self.last_answer = now;
        self.last_latency_ms = latency.as_millis();
        self.answered.requests += 1;
        self.answered.bytes += waiting.bytes as u64;
    }

    fn cut(&mut self, why: Cut) {
        self.closing = true;
        self.deferred.clear();
        self.outbound.cut(why);
    }
}

impl Drop for Clients {
    /// However the drive ends, no connection outlives it.
    fn drop(&mut self) {
        for client in self.all.values() {
            client.outbound.cut(Cut::Ended);
        }
    }
}
