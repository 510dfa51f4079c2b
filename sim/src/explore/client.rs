//! Clients as values: what each has asked for, and what it may be told.

use std::collections::VecDeque;

use althing_core::code::Code;
use althing_core::ids::{ConnectionId, Password, ServerId, SessionId, Xid, Zxid};
use althing_core::node::reply::{ConnectResponse, Reply, Response};
use althing_core::node::request::{ConnectRequest, Read, Request, Watching};
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Done, Lifetime, Naming, Op, Telling};
use althing_core::tree::path::{Path, Place};

use crate::explore::digest::Digest;
use crate::explore::ledger::Ledger;
use crate::explore::mark::Mark;
use crate::explore::violation::Violation;

/// The znode that clients set and watch; the first create makes it.
const WATCHED: &str = "/a";
/// The time-out that clients wish.
const TIMEOUT_MS: i32 = 10_000;

/// What a client can ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Want {
    /// Creates the znode that is set and watched.
    Found,
    /// Creates a sequential znode.
    Create,
    /// Creates an ephemeral sequential znode.
    Lend,
    /// Sets the znode.
    Set,
    /// Reads the znode and leaves a watch.
    Watch,
    /// Reads the znode.
    Get,
    /// Wants to see everything that anybody was told is done.
    Sync,
    /// Ends its session.
    Close,
}

impl Want {
    /// All of them, with the words of stories.
    pub const NAMES: [(Want, &'static str); 8] = [
        (Want::Found, "found"),
        (Want::Create, "create"),
        (Want::Lend, "lend"),
        (Want::Set, "set"),
        (Want::Watch, "watch"),
        (Want::Get, "get"),
        (Want::Sync, "sync"),
        (Want::Close, "close"),
    ];

    /// The word of stories.
    pub fn name(self) -> &'static str {
        Want::NAMES[self as usize].1
    }

    /// What it asks for; what it creates bears a mark, if there is one.
    fn request(self, mark: Option<Mark>) -> Request {
        let path = || Path::parse(WATCHED).expect("a path");
        let create = |place, lifetime, naming| {
            Request::Write(Op::Create(Create {
                place,
                data: mark.map(Mark::data),
                acl: Acl::open(),
                lifetime,
                naming,
                telling: Telling::Path,
            }))
        };
        let prefix = || Place::prefix("/s").expect("a place");
        match self {
            Want::Found => {
                let place = Place::exact(WATCHED).expect("a place");
                create(place, Lifetime::Persistent, Naming::Exact)
            }
            Want::Create => create(prefix(), Lifetime::Persistent, Naming::Sequential),
            Want::Lend => create(prefix(), Lifetime::Ephemeral, Naming::Sequential),
            Want::Set => Request::Write(Op::SetData {
                path: path(),
                data: Some(Data::from("x")),
                version: ANY_VERSION,
            }),
            Want::Watch | Want::Get => Request::Read(Read::GetData {
                path: path(),
                watching: match self {
                    Want::Watch => Watching::Once,
                    _ => Watching::No,
                },
            }),
            Want::Sync => Request::Sync { path: path() },
            Want::Close => Request::CloseSession,
        }
    }
}

/// A request that is not answered yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Waits {
    xid: Xid,
    want: Want,
    /// What the answer must show at least.
    floor: Zxid,
    /// The mark of what it creates.
    mark: Option<Mark>,
}

/// How far a client's connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It waits for its session.
    Connecting,
    /// It has a session.
    Attached,
    /// It is closed.
    Gone,
}

/// One connection of a client. A client that moves to another server becomes another of these.
#[derive(Clone, Debug)]
pub struct Client {
    /// To whom it is connected.
    pub server: ServerId,
    /// Its connection.
    pub connection: ConnectionId,
    /// How far it has come.
    pub phase: Phase,
    /// Its session, and the secret.
    pub session: Option<(SessionId, Password)>,
    /// The newest position that it was told.
    pub seen: Zxid,
    xids: i32,
    /// How much it has created that bears its mark.
    marks: u8,
    waits: VecDeque<Waits>,
    /// It has a watch, since it saw the state at this position.
    watching: Option<Zxid>,
    /// It has asked for the end of its session.
    closing: bool,
}

impl Client {
    /// A client that connects; with the session of `former`, if it had one.
    pub fn new(server: ServerId, connection: ConnectionId, former: Option<&Client>) -> Client {
        Client {
            server,
            connection,
            phase: Phase::Connecting,
            session: former.and_then(|former| former.session),
            seen: former.map_or(Zxid::ZERO, |former| former.seen),
            xids: 0,
            marks: 0,
            waits: VecDeque::new(),
            watching: None,
            closing: false,
        }
    }

    /// Its first frame.
    pub fn greeting(&self) -> ConnectRequest {
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.seen,
            timeout_ms: TIMEOUT_MS,
            session: self.session.map(|(session, _)| session),
            password: self
                .session
                .map_or(Password::NONE, |(_, password)| password),
            read_only: Some(false),
        }
    }

    /// Is its connection open?
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Gone
    }

    /// Can it ask for something?
    pub fn can_ask(&self) -> bool {
        self.phase == Phase::Attached && !self.closing
    }

    /// Asks.
    pub fn ask(&mut self, want: Want, ledger: &Ledger) -> (Xid, Request) {
        self.xids += 1;
        let xid = Xid(self.xids);
        let floor = match want {
            Want::Sync => ledger.acknowledged(),
            _ => Zxid::ZERO,
        };
        self.closing |= want == Want::Close;
        let mark = (want == Want::Create && self.is_local()).then(|| self.mark());
        self.waits.push_back(Waits {
            xid,
            want,
            floor,
            mark,
        });
        (xid, want.request(mark))
    }

    /// Is its session one that its server has opened for itself alone?
    fn is_local(&self) -> bool {
        self.session.is_some_and(|(session, _)| session.is_local())
    }

    fn mark(&mut self) -> Mark {
        self.marks += 1;
        Mark {
            connection: u8::try_from(self.connection.0).expect("there are few"),
            number: self.marks,
        }
    }

    /// Its connection is closed, by whomever.
    pub fn lose(&mut self) {
        self.phase = Phase::Gone;
        self.waits.clear();
        self.watching = None;
    }

    /// It is told something. Gives the position that is acknowledged by it.
    pub fn told(&mut self, reply: &Reply, ledger: &Ledger) -> Result<Option<Zxid>, Violation> {
        if self.phase == Phase::Gone {
            return Ok(None);
        }
        match reply {
            Reply::Connected(response) => self.connected(response),
            Reply::Event(event) => self.noticed(event.zxid, ledger).map(|()| None),
            Reply::Answer { xid, zxid, result } => self.answered(*xid, *zxid, result, ledger),
        }
    }

    fn connected(&mut self, response: &ConnectResponse) -> Result<Option<Zxid>, Violation> {
        let Some(session) = response.session else {
            self.lose();
            return Ok(None);
        };
        if self.session.is_some_and(|(known, _)| known != session) {
            let text = format!("{} has got another session", self.connection);
            return Err(Violation::new("E5 identity", text));
        }
        self.session = Some((session, response.password));
        self.phase = Phase::Attached;
        // One of its server alone has no place in the log.
        Ok((!session.is_local()).then(|| Zxid::from_wire(session.0)))
    }

    /// Its watch fires.
    fn noticed(&mut self, zxid: Zxid, ledger: &Ledger) -> Result<(), Violation> {
        let Some(since) = self.watching.take() else {
            let text = format!("{} was told of a change unasked", self.connection);
            return Err(Violation::new("V1 one-shot", text));
        };
        if !ledger.has_changed(since, zxid) {
            let text = format!("{}: nothing has changed since {since}", self.connection);
            return Err(Violation::new("V2 true event", text));
        }
        self.see(zxid, ledger)
    }

    fn answered(
        &mut self,
        xid: Xid,
        zxid: Zxid,
        result: &Result<Response, Code>,
        ledger: &Ledger,
    ) -> Result<Option<Zxid>, Violation> {
        self.see(zxid, ledger)?;
        let waits = self.waits.pop_front();
        let Some(waits) = waits.filter(|waits| waits.xid == xid) else {
            let text = format!("{} was answered {} out of turn", self.connection, xid.0);
            return Err(Violation::new("W3 order", text));
        };
        let unseen = |since: Zxid| ledger.has_changed(since, zxid);
        if self.watching.is_some_and(unseen) {
            let text = format!("{} saw {zxid} before its event", self.connection);
            return Err(Violation::new("V3 no lost watch", text));
        }
        let Ok(response) = result else {
            return Ok(None);
        };
        if waits.want == Want::Watch {
            self.watching.get_or_insert(zxid);
        }
        if zxid < waits.floor {
            let text = format!("a sync shows {zxid}, but {} is told", waits.floor);
            return Err(Violation::new("R4 sync", text));
        }
        if let Response::Done(Done::Created { stat, .. }) = response
            && stat.czxid != zxid
        {
            let text = format!("created at {}, answered at {zxid}", stat.czxid);
            return Err(Violation::new("W2 result", text));
        }
        if let Some(mark) = waits.mark
            && ledger.marked(mark) != Some(zxid)
        {
            let text = format!("{mark:?} is said to be created at {zxid}, and was not");
            return Err(Violation::new("W2 result", text));
        }
        let is_write = !matches!(waits.want, Want::Watch | Want::Get | Want::Sync);
        Ok(is_write.then_some(zxid))
    }

    fn see(&mut self, zxid: Zxid, ledger: &Ledger) -> Result<(), Violation> {
        if zxid < self.seen {
            let text = format!("{} saw {} and then {zxid}", self.connection, self.seen);
            return Err(Violation::new("R2 monotone", text));
        }
        if !ledger.is_agreed(zxid) {
            let text = format!("{} was told of {zxid}", self.connection);
            return Err(Violation::new("I4 no rollback", text));
        }
        self.seen = zxid;
        Ok(())
    }

    /// Feeds everything that matters.
    pub fn fingerprint(&self, digest: &mut Digest) {
        digest
            .number(u64::from(self.server.0) << 8 | self.phase as u64)
            .number(self.session.map_or(0, |(session, _)| session.0 as u64))
            .number(self.seen.0)
            .number(self.xids as u64 | u64::from(self.marks) << 32)
            .number(self.watching.map_or(0, |zxid| zxid.0 + 1))
            .number(self.closing.into());
        for waits in &self.waits {
            digest
                .number((waits.want as u64) << 32 | waits.xid.0 as u64)
                .number(waits.floor.0);
        }
    }
}
